//! What a client was found to be. The broker carries it as a name without knowing what it means, so this is also the
//! form of that name: it outlives the connection with the session.

use cse_core::id::CseIdentity;
use cse_core::value::Text;

use crate::broker::Identity;

/// Credential-ID of clients that have no credential, where they are let in at all. All of them share it.
pub(crate) const ANONYMOUS: &str = "anonymous";

/// The entity that a credential stands for, as its issuer or the operator has decided.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Entity {
    /// An AE: its stem if it belongs to this CSE or is S-type, otherwise SP-relative or absolute, in canonical form
    /// ([`CseIdentity::canonical_originator`]).
    Ae(Text),
    /// Another CSE: its SP-relative CSE-ID (`/id-mn`), or the absolute one of another service provider.
    Cse(Text),
}

impl Entity {
    /// The identifier in canonical form.
    pub fn identifier(&self) -> &Text {
        match self {
            Self::Ae(identifier) | Self::Cse(identifier) => identifier,
        }
    }

    /// The Credential-ID of a certificate for it (TS-0003 §10.4: type, `-`, value).
    pub(crate) fn credential(&self) -> String {
        match self {
            Self::Ae(identifier) => format!("33-{identifier}"),
            Self::Cse(identifier) => format!("32-{identifier}"),
        }
    }
}

/// Who a client is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Who<'a> {
    /// The Credential-ID.
    pub credential: &'a str,
    /// Whether it was proven.
    pub proven: bool,
    /// The AE it is, in canonical form.
    pub ae: Option<&'a str>,
    /// The CSE it is, in canonical form.
    pub cse: Option<&'a str>,
}

impl<'a> Who<'a> {
    /// What a policy of this module has made a name of.
    pub fn of(identity: &'a Identity) -> Self {
        let mut parts = identity.name().splitn(3, ' ');
        let nobody = Who { credential: ANONYMOUS, proven: false, ae: None, cse: None };
        let (Some(kind), Some(identifier), Some(credential)) = (parts.next(), parts.next(), parts.next()) else {
            return nobody;
        };
        let known = Who { credential, proven: true, ..nobody };
        match kind {
            "ae" => Who { ae: Some(identifier), ..known },
            "cse" => Who { cse: Some(identifier), ..known },
            "id" => known,
            _ => nobody,
        }
    }

    /// The identifier that the credential stands for.
    pub fn identifier(&self) -> Option<&'a str> {
        self.ae.or(self.cse)
    }
}

/// The name of a client with that credential, and what the credential stands for.
///
/// Identifiers have no blanks, so that the credential can have them.
pub(crate) fn identity(entity: Option<&Entity>, credential: &str) -> Identity {
    Identity::new(match entity {
        Some(Entity::Ae(identifier)) => format!("ae {identifier} {credential}"),
        Some(Entity::Cse(identifier)) => format!("cse {identifier} {credential}"),
        None => format!("id - {credential}"),
    })
}

/// The name of a client without credential.
pub(crate) fn anonymous() -> Identity {
    Identity::new("")
}

/// Whether a topic level spells a CSE-ID in canonical form: SP-relative, or absolute (Mcc').
pub(crate) fn spells_cse(own: &CseIdentity, level: &str, cse: &str) -> bool {
    let is_written = |identifier: &mut dyn Iterator<Item = char>| {
        identifier.eq(level.chars().map(|c| if c == ':' { '/' } else { c }))
    };
    match cse.strip_prefix("//") {
        Some(absolute) => is_written(&mut "/".chars().chain(absolute.chars())),
        None => {
            let relative = cse.trim_start_matches('/');
            level == relative || is_written(&mut own.sp_id.chars().skip(1).chain(cse.chars()))
        }
    }
}

/// Whether a topic level spells a Credential-ID.
pub(crate) fn spells_credential(level: &str, credential: &str) -> bool {
    credential.chars().map(|c| if c == '/' { ':' } else { c }).eq(level.chars())
}

#[cfg(test)]
mod tests {
    use cse_core::id::CseType;

    use super::*;

    #[test]
    fn a_name_says_who_a_client_is() {
        let ae = Entity::Ae("Cx".into());
        let cse = Entity::Cse("/id-mn".into());
        for (entity, credential, ae, cse) in [
            (Some(&ae), "33-Cx", Some("Cx"), None),
            (Some(&cse), "32-/id-mn", None, Some("/id-mn")),
            (None, "John Smith", None, None),
            (None, "ae Cx 33-Cx", None, None),
            (None, "-", None, None),
        ] {
            let identity = identity(entity, credential);
            assert_eq!(Who::of(&identity), Who { credential, proven: true, ae, cse });
        }
        let nobody = Who { credential: "anonymous", proven: false, ae: None, cse: None };
        for name in ["", "alice", "ae Cx", "x y z"] {
            assert_eq!(Who::of(&Identity::new(name)), nobody, "{name}");
        }
        assert_eq!(Who::of(&anonymous()), nobody);
        assert_eq!((ae.credential().as_str(), cse.credential().as_str()), ("33-Cx", "32-/id-mn"));
    }

    #[test]
    fn levels_spell_cses_and_credentials() {
        let own = CseIdentity::new("//cse.example", "/id-in", "cse-in", CseType::In).expect("valid");
        for (level, cse, same) in [
            ("id-mn", "/id-mn", true),
            (":cse.example:id-mn", "/id-mn", true),
            (":other.example:id-mn", "//other.example/id-mn", true),
            (":other.example:id-mn", "/id-mn", false),
            ("other.example:id-mn", "//other.example/id-mn", false),
            ("id-m", "/id-mn", false),
            ("id-mnx", "/id-mn", false),
            (":id-mn", "/id-mn", false),
            ("", "/id-mn", false),
        ] {
            assert_eq!(spells_cse(&own, level, cse), same, "{level} {cse}");
        }
        for (level, credential, same) in [
            ("1-abc", "1-abc", true),
            ("32-:id-mn", "32-/id-mn", true),
            ("a:b", "a:b", true),
            ("a", "ab", false),
            ("ab", "a", false),
        ] {
            assert_eq!(spells_credential(level, credential), same, "{level} {credential}");
        }
    }
}
