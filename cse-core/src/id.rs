//! Identifiers (TS-0001 §7.2): parsed once, compared in one canonical form.

mod look_alikes;

use std::fmt;
use std::net::IpAddr;

use self::look_alikes::{LookAlikes, is_candidate};
use crate::primitive::{Operation, Request};
use crate::schema::Ty;
use crate::value::{Text, Value};

/// Which kind of CSE this is (`m2m:cseTypeID`).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CseType {
    /// Infrastructure node.
    In = 1,
    /// Middle node.
    Mn = 2,
    /// Application service node.
    Asn = 3,
}

/// Who this CSE is.
#[derive(Clone, Debug)]
pub struct CseIdentity {
    /// M2M-SP-ID with its two slashes, `//cse.example`.
    pub sp_id: Text,
    /// SP-relative CSE-ID with its slash, `/id-in`.
    pub cse_id: Text,
    /// Resource name of the CSEBase, `cse-in`.
    pub cse_name: Text,
    /// Kind of CSE.
    pub cse_type: CseType,
    look_alikes: LookAlikes,
}

/// What an identifier in the configuration has to look like.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidId {
    /// Not an M2M-SP-ID.
    #[error("'{0}' is no SP-ID: it begins with '//' and has only letters, digits, '-', '.', '_', '~'")]
    SpId(String),
    /// Not a CSE-ID.
    #[error("'{0}' is no CSE-ID: it begins with '/' and has only letters, digits, '-', '.', '_', '~'")]
    CseId(String),
    /// Not a resource name.
    #[error("'{0}' is no resource name: it begins with a letter or digit, then letters, digits, '-', '.', '_'")]
    ResourceName(String),
}

impl CseIdentity {
    /// Checks and takes the three identifiers.
    ///
    /// # Errors
    /// [`InvalidId`] names the first that is malformed.
    pub fn new(sp_id: &str, cse_id: &str, cse_name: &str, cse_type: CseType) -> Result<Self, InvalidId> {
        if !sp_id.strip_prefix("//").is_some_and(is_unreserved) {
            return Err(InvalidId::SpId(sp_id.into()));
        }
        if !cse_id.strip_prefix('/').is_some_and(is_unreserved) {
            return Err(InvalidId::CseId(cse_id.into()));
        }
        if !is_resource_name(cse_name) {
            return Err(InvalidId::ResourceName(cse_name.into()));
        }
        let look_alikes = LookAlikes::default();
        Ok(Self { sp_id: sp_id.into(), cse_id: cse_id.into(), cse_name: cse_name.into(), cse_type, look_alikes })
    }

    /// Resource identifier of the CSEBase: the CSE-ID without its slash.
    pub fn base_id(&self) -> &str {
        self.cse_id.trim_start_matches('/')
    }

    /// The CSE as an originator.
    pub fn originator(&self) -> Originator {
        Originator(self.cse_id.clone())
    }

    /// The SP-relative form of a CSE-relative address of this CSE.
    pub fn sp_relative(&self, cse_relative: &str) -> String {
        format!("{}/{cse_relative}", self.cse_id)
    }

    /// The part of an address behind this CSE's own identifier, if it is SP-relative or absolute and names
    /// this CSE; CSE-relative addresses come back as they are; `None` for addresses of others.
    pub fn local_part<'a>(&self, address: &'a str) -> Option<&'a str> {
        let Some(after_slash) = address.strip_prefix('/') else {
            return Some(address);
        };
        let sp_relative = if after_slash.starts_with('/') {
            let rest = address.strip_prefix(self.sp_id.as_str())?;
            if !rest.starts_with('/') {
                return None;
            }
            rest
        } else {
            address
        };
        let rest = sp_relative.strip_prefix(self.cse_id.as_str())?;
        match rest.strip_prefix('/') {
            Some(local) => Some(local),
            None if rest.is_empty() => Some(""),
            None => None,
        }
    }

    /// The CSE that hosts what an SP-relative or absolute address names, in canonical form: SP-relative, or absolute if
    /// it belongs to another service provider. `None` for addresses that name no CSE.
    pub fn cse_id_of(&self, address: &str) -> Option<Text> {
        let (cse_id, is_whole) = self.first_as_cse_id(address)?;
        // The SP-relative form of an S-type AE-ID stem looks like a CSE-ID.
        let is_ae = is_whole && self.stem_of_service_level(cse_id.rsplit_once('/')?.1);
        (!is_ae).then_some(cse_id)
    }

    /// The canonical form of a text that stands where only a CSE-ID can; `None` if it is none.
    pub fn canonical_cse_id(&self, text: &str) -> Option<Text> {
        let (cse_id, is_whole) = self.first_as_cse_id(text)?;
        is_whole.then_some(cse_id)
    }

    /// The canonical CSE-ID that an SP-relative or absolute address begins with, and whether there is no more.
    fn first_as_cse_id(&self, address: &str) -> Option<(Text, bool)> {
        let is_absolute = address.starts_with("//");
        let (provider, rest) = match provider_of(address) {
            Some(provider) => (provider, &address[provider.len()..]),
            None if is_absolute => return None,
            None => ("", address),
        };
        let (stem, is_whole) = match rest.strip_prefix('/')?.split_once('/') {
            Some((stem, _)) => (stem, false),
            None => (&rest[1..], true),
        };
        if !is_unreserved(stem) {
            return None;
        }
        let cse_id = match provider {
            "" => smol_str::format_smolstr!("/{stem}"),
            own if own == self.sp_id => smol_str::format_smolstr!("/{stem}"),
            other => smol_str::format_smolstr!("{other}/{stem}"),
        };
        Some((cse_id, is_whole))
    }

    /// Whether `/stem` is the SP-relative form of an S-type AE-ID, and not a CSE-ID.
    pub(crate) fn stem_of_service_level(&self, stem: &str) -> bool {
        stem.starts_with('S') && !stem.contains('/') && stem != self.base_id() && !self.look_alikes.has(stem)
    }

    /// Whether a word, without slash, is the CSE-ID of another CSE that is known here although it looks like the stem of
    /// an AE-ID.
    pub fn is_known_cse(&self, stem: &str) -> bool {
        self.look_alikes.has(stem)
    }

    /// Says which CSEs are known, by their canonical CSE-IDs; see [`CseIdentity::is_known_cse`].
    pub(crate) fn know_cses(&self, cse_ids: impl Iterator<Item = Text>) {
        self.look_alikes.replace(cse_ids);
    }

    /// Brings an originator into canonical form: AEs registered here by their stem, S-type stems without
    /// slash, everything else SP-relative or, for other service providers, absolute.
    pub fn canonical_originator(&self, text: &str) -> Originator {
        let sp_relative = match text.strip_prefix(self.sp_id.as_str()) {
            // What is absolute once more behind it is no identifier; taken off, it would look like one.
            Some(rest) if rest.starts_with('/') && !rest.starts_with("//") => rest,
            _ => text,
        };
        if sp_relative.starts_with("//") {
            return Originator(sp_relative.into());
        }
        if let Some(rest) = sp_relative.strip_prefix('/') {
            if let Some((cse, stem)) = rest.split_once('/') {
                if cse == self.base_id() && !stem.contains('/') {
                    return Originator(stem.into());
                }
            } else if self.stem_of_service_level(rest) {
                return Originator(rest.into());
            }
        }
        Originator(sp_relative.into())
    }

    /// The originator of a request, in canonical form. Only a CSE registers as one, and what has sent a request itself
    /// is what the binding takes it for; otherwise see [`CseIdentity::canonical_originator`].
    pub fn originator_of(&self, request: &Request) -> Originator {
        let from = request.from.as_deref().unwrap_or_default();
        let registers_cse = request.operation == Operation::Create && request.resource_type == Some(Ty::REMOTE_CSE);
        match self.canonical_cse_id(from) {
            Some(cse_id) if registers_cse || request.context.sender.as_ref() == Some(&cse_id) => Originator(cse_id),
            _ => self.canonical_originator(from),
        }
    }
}

/// Who asks, in canonical form (see [`CseIdentity::canonical_originator`]).
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Originator(Text);

impl Originator {
    /// From text that is canonical already, as it comes from the store.
    pub fn from_canonical(text: impl Into<Text>) -> Self {
        Self(text.into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text, to keep.
    pub fn text(&self) -> &Text {
        &self.0
    }

    /// Whether this is an AE-ID stem as it is used by AEs registered here.
    pub fn is_ae_stem(&self) -> bool {
        is_candidate(&self.0)
    }

    /// Whether it is the stem of an AE-ID that is unique with the service provider (S-type): it does not say at which
    /// CSE the AE is registered.
    pub fn is_service_level(&self) -> bool {
        self.0.starts_with('S') && !self.0.contains('/')
    }
}

impl fmt::Display for Originator {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl From<&Originator> for Value {
    fn from(originator: &Originator) -> Self {
        Value::Text(originator.0.clone())
    }
}

/// The number of a resource in this CSE: given once at creation, growing, never used again.
///
/// It is the order of creation, the key in the store and the source of generated resource identifiers.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Seq(pub i64);

impl Seq {
    /// The CSEBase.
    pub const CSE_BASE: Seq = Seq(1);
    /// Before every resource.
    pub const START: Seq = Seq(0);
}

impl fmt::Display for Seq {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// The M2M-SP-ID (`//cse.example`) at the beginning of an absolute address; `None` for other forms.
pub fn provider_of(address: &str) -> Option<&str> {
    let name = address.strip_prefix("//")?.split('/').next()?;
    is_unreserved(name).then(|| &address[..name.len() + 2])
}

/// Whether the text has only unreserved characters (RFC 3986) and at least one.
pub fn is_unreserved(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
}

/// Whether the text is a resource name: a letter or digit, then letters, digits, `-`, `.`, `_`.
pub fn is_resource_name(text: &str) -> bool {
    text.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric)
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
}

/// Whether `text` matches `pattern`, where each `*` stands for any number of characters but no `/`.
pub fn matches_within_segment(pattern: &str, text: &str) -> bool {
    matches_pattern(pattern, text, Some('/'))
}

/// Whether `text` matches `pattern`, where each `*` stands for any number of characters.
pub fn matches_wildcard(pattern: &str, text: &str) -> bool {
    matches_pattern(pattern, text, None)
}

fn matches_pattern(pattern: &str, text: &str, never: Option<char>) -> bool {
    // Greedy with one point of return: linear for a `*` list, never exponential.
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let never = never.map(|c| c as u8);
    let (mut p, mut t) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        if p < pattern.len() && pattern[p] == b'*' {
            retry = Some((p, t));
            p += 1;
        } else if p < pattern.len() && pattern[p] == text[t] {
            p += 1;
            t += 1;
        } else if let Some((star, from)) = retry
            && Some(text[from]) != never
        {
            p = star + 1;
            t = from + 1;
            retry = Some((star, t));
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

/// Where a request came from, as the binding knows it; not part of the primitive.
#[derive(Clone, Debug, Default)]
pub struct Peer {
    /// Address of the peer, where the binding has a connection of its own with it.
    pub address: Option<IpAddr>,
    /// Whether the peer's identity was proven (client certificate, password, token).
    pub authenticated: bool,
    /// The Credential-ID of the peer (TS-0003), if it has one. It is as good as [`Peer::authenticated`] says: a
    /// binding that cannot verify it passes on what the peer claims.
    pub credential: Option<Text>,
    /// The AE-ID stem or SP-relative CSE-ID that the operator has bound to the credential (a certificate that names
    /// it, an entry in a list of users): the only one that the peer may register.
    pub identifier: Option<Text>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity() -> CseIdentity {
        CseIdentity::new("//cse.example", "/id-in", "cse-in", CseType::In).expect("valid")
    }

    #[test]
    fn originators_have_one_form() {
        for (given, canonical) in [
            ("Cmeter", "Cmeter"),
            ("/id-in/Cmeter", "Cmeter"),
            ("//cse.example/id-in/Cmeter", "Cmeter"),
            ("/id-mn/Cmeter", "/id-mn/Cmeter"),
            ("/S17", "S17"),
            ("//cse.example/S17", "S17"),
            ("/id-mn", "/id-mn"),
            ("//cse.example/id-mn", "/id-mn"),
            ("//other.example/id-in/Cmeter", "//other.example/id-in/Cmeter"),
            ("//cse.example//cse.example/id-in/Cmeter", "//cse.example//cse.example/id-in/Cmeter"),
        ] {
            assert_eq!(identity().canonical_originator(given).as_str(), canonical, "{given}");
            assert_eq!(identity().canonical_originator(canonical).as_str(), canonical, "{canonical} once more");
        }
    }

    #[test]
    fn an_address_is_ours_or_not() {
        for (address, local) in [
            ("cse-in/a", Some("cse-in/a")),
            ("/id-in/cse-in/a", Some("cse-in/a")),
            ("/id-in", Some("")),
            ("//cse.example/id-in/cnt1", Some("cnt1")),
            ("/id-inn/cnt1", None),
            ("/id-mn/cnt1", None),
            ("//cse.exampleX/id-in/cnt1", None),
            ("//other.example/id-in/cnt1", None),
        ] {
            assert_eq!(identity().local_part(address), local, "{address}");
        }
    }

    #[test]
    fn an_address_names_a_cse() {
        for (address, cse_id) in [
            ("/id-mn", Some("/id-mn")),
            ("/id-mn/cse-mn/a", Some("/id-mn")),
            ("//cse.example/id-mn/a", Some("/id-mn")),
            ("//other.example/id-mn/a", Some("//other.example/id-mn")),
            ("/Smn/a", Some("/Smn")),
            ("/Smn", None),
            ("//other.example", None),
            ("///id-mn", None),
            ("//a b/id-mn", None),
            ("/id mn/a", None),
            ("cse-in/a", None),
            ("/", None),
            ("", None),
        ] {
            assert_eq!(identity().cse_id_of(address).as_deref(), cse_id, "{address}");
        }
    }

    #[test]
    fn a_cse_that_looks_like_an_ae_is_one_once_it_is_known() {
        let identity = identity();
        let shared = identity.clone();
        for known in [false, true] {
            let originator = |text: &str| shared.canonical_originator(text).text().clone();
            assert_eq!(originator("/Site-1"), if known { "/Site-1" } else { "Site-1" });
            assert_eq!(originator("//cse.example/Site-1"), if known { "/Site-1" } else { "Site-1" });
            assert_eq!((originator("Site-1"), originator("/S2")), ("Site-1".into(), "S2".into()));
            assert_eq!(shared.cse_id_of("/Site-1").as_deref(), known.then_some("/Site-1"));
            assert_eq!(shared.cse_id_of("/S2"), None);
            assert_eq!(shared.canonical_cse_id("//cse.example/Site-1").as_deref(), Some("/Site-1"));
            assert_eq!(shared.canonical_cse_id("/Site-1/Cx"), None);
            assert_eq!((shared.is_known_cse("Site-1"), shared.is_known_cse("Cabinet")), (known, known));
            assert!(!shared.is_known_cse("id-mn"), "does not look like one");
            let cses = ["/Site-1", "/Cabinet", "/id-mn", "//other.example/S2"];
            identity.know_cses(cses.into_iter().map(Text::from));
        }
        identity.know_cses(std::iter::empty());
        assert_eq!(shared.canonical_originator("/Site-1").as_str(), "Site-1");
    }

    #[test]
    fn who_registers_as_a_cse_or_is_seen_to_be_one_is_one() {
        let identity = identity();
        let mut request = Request::new(Operation::Create, "cse-in", "/S1", "1");
        assert_eq!(identity.originator_of(&request).as_str(), "S1");
        request.context.sender = Some("/S1".into());
        assert_eq!(identity.originator_of(&request).as_str(), "/S1");
        request.context.sender = Some("/id-mn".into());
        assert_eq!(identity.originator_of(&request).as_str(), "S1", "passed on by a CSE");
        request.resource_type = Some(Ty::REMOTE_CSE);
        assert_eq!(identity.originator_of(&request).as_str(), "/S1");
        request.from = Some("S1".into());
        assert_eq!(identity.originator_of(&request).as_str(), "S1", "which is no CSE-ID");
    }

    #[test]
    fn wildcards() {
        assert!(matches_within_segment("/id-*/C*", "/id-mn/Cx"));
        assert!(!matches_within_segment("/id-*", "/id-mn/Cx"));
        assert!(matches_wildcard("*a*b*", "xxaxxbxx"));
        assert!(!matches_wildcard("*a*b", "xxaxxbxx"));
        assert!(matches_wildcard("*", ""));
        assert!(matches_wildcard(&"*a".repeat(40), &"a".repeat(40)));
    }

    #[test]
    fn malformed_identifiers_are_named() {
        assert!(CseIdentity::new("cse.example", "/id", "n", CseType::In).is_err());
        assert!(CseIdentity::new("//x", "id", "n", CseType::In).is_err());
        assert!(CseIdentity::new("//x", "/id/x", "n", CseType::In).is_err());
        assert!(CseIdentity::new("//x", "/id", "-", CseType::In).is_err());
    }
}
