//! Senders on an external broker that keeps its users to the topics of `security::StaticRules`: what a topic says of
//! them is true then, as far as such rules go, and the CSE adds what they cannot say.

use cse_core::id::{CseIdentity, Peer, matches_wildcard};
use cse_core::value::Text;

use crate::link::Vouched;
use crate::topic::entity_of;

/// An external broker with rules from [`StaticRules`](crate::security::StaticRules).
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct RestrictedBroker {
    /// CSE-IDs of the CSEs there are (`*` stands for any text). Every other topic level is that of an AE, which speaks
    /// for nobody else.
    pub cses: Vec<Text>,
}

impl RestrictedBroker {
    /// What the sender with that topic level is. `None` if it could be an AE and a CSE as well: then `fr` decides.
    pub(crate) fn vouch(&self, level: &str) -> Option<Vouched> {
        let cse = cse_of(level);
        // `*` stands for slashes, too, and what is behind a CSE-ID is an AE.
        let has_form = cse.trim_start_matches('/').split('/').count() == if cse.starts_with("//") { 2 } else { 1 };
        let is_cse = has_form && self.cses.iter().any(|pattern| matches_wildcard(pattern, &cse));
        match (is_cse, level.starts_with(['C', 'S'])) {
            (true, true) => None,
            (true, false) => Some(Vouched::Cse),
            (false, _) => Some(Vouched::Ae),
        }
    }

    /// Adds the entity that a Credential-ID is, if it is one: there the user name is both.
    pub(crate) fn bind(&self, identity: &CseIdentity, mut peer: Peer) -> Peer {
        if peer.identifier.is_none()
            && let Some(credential) = &peer.credential
        {
            peer.identifier = match self.vouch(credential) {
                Some(Vouched::Cse) => Some(cse_of(credential).as_str().into()),
                Some(Vouched::Ae) => {
                    let entity = entity_of(identity, credential);
                    entity.is_ae_stem().then(|| entity.text().clone())
                }
                Some(Vouched::Not) | None => None,
            };
        }
        peer
    }
}

fn cse_of(level: &str) -> String {
    format!("/{}", level.replace(':', "/"))
}

#[cfg(test)]
mod tests {
    use cse_core::id::CseType;

    use super::*;

    fn broker() -> RestrictedBroker {
        RestrictedBroker { cses: vec!["/id-*".into(), "//other.example/*".into(), "/Cloud".into()] }
    }

    #[test]
    fn a_level_is_that_of_an_ae_unless_it_is_a_known_cse() {
        for (level, expected) in [
            ("Clamp", Some(Vouched::Ae)),
            ("Sdoor", Some(Vouched::Ae)),
            ("id-mn", Some(Vouched::Cse)),
            (":other.example:id-x", Some(Vouched::Cse)),
            (":third.example:id-x", Some(Vouched::Ae)),
            ("lamp-7", Some(Vouched::Ae)),
            ("id-in:Clamp", Some(Vouched::Ae)),
            ("id-mn:Cx", Some(Vouched::Ae)),
            (":other.example:id-x:Cx", Some(Vouched::Ae)),
            ("Cloud", None),
            ("", Some(Vouched::Ae)),
        ] {
            assert_eq!(broker().vouch(level), expected, "{level}");
            let nobody = RestrictedBroker::default();
            assert_eq!(nobody.vouch(level), Some(Vouched::Ae), "{level}");
        }
    }

    #[test]
    fn a_credential_that_is_an_identifier_stands_for_it() {
        let identity = CseIdentity::new("//cse.example", "/id-in", "cse-in", CseType::In).expect("valid");
        for (credential, expected) in [
            ("Clamp", Some("Clamp")),
            ("Sdoor", Some("Sdoor")),
            ("id-mn", Some("/id-mn")),
            ("lamp-7", None),
            ("Cloud", None),
        ] {
            let peer = Peer { credential: Some(credential.into()), ..Peer::default() };
            let bound = broker().bind(&identity, peer);
            assert_eq!((bound.identifier.as_deref(), bound.authenticated), (expected, false), "{credential}");
        }
        assert_eq!(broker().bind(&identity, Peer::default()).identifier, None);
        let known = Peer { credential: Some("Clamp".into()), identifier: Some("Cx".into()), ..Peer::default() };
        assert_eq!(broker().bind(&identity, known).identifier.as_deref(), Some("Cx"));
    }
}
