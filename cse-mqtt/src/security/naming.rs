//! From the names in certificates and lists of users to credentials and the entities that they stand for.
//!
//! TS-0003 has the identifier of an AE as a full URI (§10.1.1.5) and that of a CSE under its domain name (§10.1.1.7) in
//! the certificate, and Credential-IDs as type and value (§10.4): `33-` for an AE-ID, `32-` for a CSE-ID.

use cse_core::id::{CseIdentity, is_unreserved};

use super::identity::{ANONYMOUS, Entity};
use crate::broker::PeerCertificate;

/// Longest Credential-ID, in bytes.
const CREDENTIAL_BYTES_MAX: usize = 256;

/// Which name of a client certificate counts.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum CertificateIdentity {
    /// The first subject alternative name of type URI.
    Uri,
    /// The common name of the subject.
    CommonName,
    /// The URI, or in certificates without any the common name.
    #[default]
    UriOrCommonName,
}

/// The credential of a client, and what it stands for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Named {
    pub(crate) credential: String,
    pub(crate) entity: Option<Entity>,
}

/// Whether a text can be a Credential-ID: it has to fit into a topic level, and not to be that of everybody.
pub(crate) fn is_credential(text: &str) -> bool {
    let is_refused = |c: char| c.is_control() || matches!(c, '+' | '#');
    let fits = !text.is_empty() && text.len() <= CREDENTIAL_BYTES_MAX && text.trim() == text;
    fits && !text.contains(is_refused) && text != ANONYMOUS
}

/// What a certificate says by that rule. `None` if it says nothing, or contradicts itself.
pub(crate) fn of_certificate(
    own: &CseIdentity,
    rule: CertificateIdentity,
    certificate: &PeerCertificate,
) -> Option<Named> {
    let common_name = || certificate.common_name.as_deref().and_then(|name| of_name(own, name));
    match rule {
        CertificateIdentity::CommonName => common_name(),
        CertificateIdentity::UriOrCommonName if certificate.uris.is_empty() => common_name(),
        CertificateIdentity::Uri | CertificateIdentity::UriOrCommonName => of_uris(own, &certificate.uris),
    }
}

fn of_uris(own: &CseIdentity, uris: &[String]) -> Option<Named> {
    let mut named = uris.iter().map(|uri| of_name(own, uri)).collect::<Option<Vec<_>>>()?.into_iter();
    let mut found = named.next()?;
    for other in named {
        match (&found.entity, &other.entity) {
            // One that names an entity says more than one that does not.
            (None, Some(_)) => found = other,
            (Some(entity), Some(another)) if entity != another => return None,
            _ => {}
        }
    }
    Some(found)
}

/// One name of a certificate.
fn of_name(own: &CseIdentity, name: &str) -> Option<Named> {
    let entity = of_typed(own, name).or_else(|| of_address(own, name));
    let credential = entity.as_ref().map_or_else(|| name.to_owned(), Entity::credential);
    is_credential(&credential).then_some(Named { credential, entity })
}

/// `33-Cx`, `32-/id-mn`.
fn of_typed(own: &CseIdentity, name: &str) -> Option<Entity> {
    let (kind, value) = name.split_once('-')?;
    match kind {
        "33" => ae(own, value),
        "32" => cse(own, value),
        _ => None,
    }
}

/// `//cse.example/id-in/Cx` with or without a scheme, and SP-relative. A URI with a scheme is an identifier only
/// under our own domain name: others are names of other things.
fn of_address(own: &CseIdentity, name: &str) -> Option<Entity> {
    let address = match name.split_once("://") {
        Some((_, rest)) => {
            let address = &name[name.len() - rest.len() - 2..];
            address.strip_prefix(own.sp_id.as_str()).filter(|rest| rest.starts_with('/'))?;
            address
        }
        None => name.starts_with('/').then_some(name)?,
    };
    ae(own, address).or_else(|| cse(own, address))
}

/// The entity of an identifier as an operator writes it: an AE-ID stem, an SP-relative or absolute AE-ID or CSE-ID.
/// A text of one part that begins with `/S` is the stem of an AE; `32-/S...` would be a CSE.
pub fn identifier_of(own: &CseIdentity, text: &str) -> Option<Entity> {
    of_typed(own, text).or_else(|| ae(own, text)).or_else(|| cse(own, text))
}

fn ae(own: &CseIdentity, text: &str) -> Option<Entity> {
    let originator = own.canonical_originator(text);
    let canonical = originator.as_str();
    let (cse, stem) = canonical.rsplit_once('/').unwrap_or(("", canonical));
    let is_of_cse = cse.is_empty() && !canonical.starts_with('/') || segments(cse).is_some();
    let is_stem = stem.starts_with(['C', 'S']) && is_unreserved(stem);
    (is_of_cse && is_stem).then(|| Entity::Ae(originator.text().clone()))
}

fn cse(own: &CseIdentity, text: &str) -> Option<Entity> {
    let relative = text.strip_prefix(own.sp_id.as_str()).filter(|rest| rest.starts_with('/')).unwrap_or(text);
    segments(relative).map(|()| Entity::Cse(relative.into()))
}

/// Whether a text is a CSE-ID, SP-relative or absolute.
fn segments(text: &str) -> Option<()> {
    let (text, count) = match text.strip_prefix("//") {
        Some(absolute) => (absolute, 2),
        None => (text.strip_prefix('/')?, 1),
    };
    let is_right = text.split('/').count() == count && text.split('/').all(is_unreserved);
    is_right.then_some(())
}

#[cfg(test)]
mod tests {
    use cse_core::id::CseType;

    use super::*;

    fn own() -> CseIdentity {
        CseIdentity::new("//cse.example", "/id-in", "cse-in", CseType::In).expect("valid")
    }

    fn ae(text: &str) -> Option<Entity> {
        Some(Entity::Ae(text.into()))
    }

    fn cse(text: &str) -> Option<Entity> {
        Some(Entity::Cse(text.into()))
    }

    #[test]
    fn names_of_certificates() {
        for (name, credential, entity) in [
            ("//cse.example/id-in/Cx", "33-Cx", ae("Cx")),
            ("https://cse.example/id-in/Cx", "33-Cx", ae("Cx")),
            ("m2m://cse.example/Sx", "33-Sx", ae("Sx")),
            ("m2m://cse.example/id-mn/Cx", "33-/id-mn/Cx", ae("/id-mn/Cx")),
            ("m2m://cse.example/id-mn", "32-/id-mn", cse("/id-mn")),
            ("/id-mn", "32-/id-mn", cse("/id-mn")),
            ("/id-in/Cx", "33-Cx", ae("Cx")),
            ("33-Cx", "33-Cx", ae("Cx")),
            ("33-/id-in/Cx", "33-Cx", ae("Cx")),
            ("33-//cse.example/Sx", "33-Sx", ae("Sx")),
            ("32-/Server", "32-/Server", cse("/Server")),
            ("32-//cse.example/id-mn", "32-/id-mn", cse("/id-mn")),
            ("//other.example/id-mn", "32-//other.example/id-mn", cse("//other.example/id-mn")),
            // Names that look like identifiers, and are none.
            ("Cx", "Cx", None),
            ("Carol", "Carol", None),
            ("sensor-17", "sensor-17", None),
            ("33-x", "33-x", None),
            ("32-id-mn", "32-id-mn", None),
            ("urn:dev:mac:0024befffe804ff1", "urn:dev:mac:0024befffe804ff1", None),
            ("https://other.example/id-in/Cx", "https://other.example/id-in/Cx", None),
            ("https://cse.example:8443/id-in/Cx", "https://cse.example:8443/id-in/Cx", None),
            ("https://cse.example/a/b/c", "https://cse.example/a/b/c", None),
            ("https://cse.example", "https://cse.example", None),
            ("https://cse.exampleX/id-in/Cx", "https://cse.exampleX/id-in/Cx", None),
            ("/id-in/lamp", "/id-in/lamp", None),
        ] {
            let named = Named { credential: credential.into(), entity };
            assert_eq!(of_name(&own(), name), Some(named), "{name}");
        }
        for refused in ["", " ", "a+b", "#", "a\0", " x", "anonymous", &"x".repeat(257)] {
            assert_eq!(of_name(&own(), refused), None, "{refused:?}");
        }
    }

    #[test]
    fn the_rule_says_which_name_counts() {
        use CertificateIdentity::{CommonName, Uri, UriOrCommonName};
        let certificate = |uris: &[&str], common_name: Option<&str>| PeerCertificate {
            uris: uris.iter().map(|uri| (*uri).into()).collect(),
            common_name: common_name.map(Into::into),
        };
        let uri = "//cse.example/id-in/Cx";
        for (rule, uris, common_name, credential) in [
            (Uri, &[uri][..], Some("lamp"), Some("33-Cx")),
            (Uri, &[], Some("lamp"), None),
            (CommonName, &[uri], Some("lamp"), Some("lamp")),
            (CommonName, &[uri], None, None),
            (UriOrCommonName, &[uri], Some("lamp"), Some("33-Cx")),
            (UriOrCommonName, &[], Some("lamp"), Some("lamp")),
            (UriOrCommonName, &[], None, None),
            // The name that says which entity it is counts, and two entities are a contradiction.
            (Uri, &["urn:x", uri], None, Some("33-Cx")),
            (Uri, &["urn:x", "urn:y"], None, Some("urn:x")),
            (Uri, &[uri, "//cse.example/id-in/Cy"], None, None),
            (Uri, &[uri, "/id-mn"], None, None),
            (Uri, &[uri, "https://cse.example/id-in/Cx"], None, Some("33-Cx")),
            (Uri, &[uri, "a+b"], None, None),
        ] {
            let named = of_certificate(&own(), rule, &certificate(uris, common_name));
            assert_eq!(named.map(|named| named.credential).as_deref(), credential, "{rule:?} {uris:?} {common_name:?}");
        }
    }

    #[test]
    fn identifiers_as_operators_write_them() {
        for (text, entity) in [
            ("Cx", ae("Cx")),
            ("Sx", ae("Sx")),
            ("/Sx", ae("Sx")),
            ("/id-in/Cx", ae("Cx")),
            ("/id-mn/Cx", ae("/id-mn/Cx")),
            ("/id-mn", cse("/id-mn")),
            ("//cse.example/id-mn", cse("/id-mn")),
            ("32-/Smn", cse("/Smn")),
            ("//other.example/id/Cx", ae("//other.example/id/Cx")),
            ("lamp", None),
            ("id-mn", None),
            ("C x", None),
            ("/a/b/c", None),
            ("", None),
            ("/", None),
            ("//", None),
            ("*", None),
        ] {
            assert_eq!(identifier_of(&own(), text), entity, "{text}");
        }
    }
}
