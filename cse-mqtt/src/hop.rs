//! Whether the sender that the topic names may speak for the originator that the primitive names.
//!
//! The broker controls who publishes on which topic (TS-0010 §8.4); the topic names the entity of *this hop*, `fr`
//! the one that asked first. On Mca they are the same. On Mcc a CSE passes on requests of others, but those of
//! entities registered here never come in through a peer.

use cse_core::error::Error;
use cse_core::id::{CseIdentity, Peer};
use cse_core::primitive::{Operation, Request};
use cse_core::schema::Ty;
use cse_core::value::Text;

use crate::topic::{Topic, TopicKind, entity_of};

/// What a topic says of the sender of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hop<'a> {
    pub(crate) kind: TopicKind,
    /// Its identifier as a topic level, or its Credential-ID.
    pub(crate) level: &'a str,
    /// Whether the broker says that the topic is the sender's own; `None` if it does not say.
    pub(crate) is_own: Option<bool>,
}

/// Checks `fr` against the topic and brings a registration without originator into one form (`fr` absent).
///
/// # Errors
/// [`Error::OriginatorMismatch`] if the hop may not speak for the originator, [`Error::MissingParameter`] without
/// originator.
pub(crate) fn check(identity: &CseIdentity, hop: Hop<'_>, request: &mut Request) -> Result<(), Error> {
    let Hop { kind, level, is_own } = hop;
    if is_own == Some(false) {
        // It was when the broker took the message; the registration has ended since.
        let text = format!("topic originator '{level}' is not, or no longer, registered under the sender's credential");
        return Err(Error::OriginatorMismatch(text));
    }
    let registers_ae = request.operation == Operation::Create && request.resource_type == Some(Ty::AE);
    if kind == TopicKind::RegistrationRequest {
        let registers_cse = request.operation == Operation::Create && request.resource_type == Some(Ty::REMOTE_CSE);
        if !registers_ae && !registers_cse {
            let text = format!("topic reg_req is for registrations only, not for {} here", request.operation);
            return Err(Error::OriginatorMismatch(text));
        }
    }
    if request.from.as_ref().is_some_and(|from| from.is_empty()) {
        request.from = None;
    }
    let Some(from) = &request.from else {
        return if registers_ae { Ok(()) } else { Err(Error::MissingParameter("fr")) };
    };
    let asks_for_identifier = registers_ae && (from == "C" || from == "S");
    if kind == TopicKind::RegistrationRequest || asks_for_identifier || may_speak_for(identity, level, from) {
        return Ok(());
    }
    Err(Error::OriginatorMismatch(format!("topic originator '{level}' may not speak for originator '{from}'")))
}

/// The Credential-ID that a topic names.
pub(crate) fn claimed_credential(topic: &Topic<'_>) -> Option<Text> {
    let claims = topic.kind == TopicKind::RegistrationRequest && !topic.originator.is_empty();
    claims.then(|| topic.originator.into())
}

/// What is known of the sender, with the Credential-ID of the topic where none is known otherwise: nobody here has
/// verified it, but what is bound to it by configuration is bound to it all the same.
pub(crate) fn with_credential(claimed: Option<Text>, mut peer: Peer) -> Peer {
    peer.credential = peer.credential.or(claimed);
    peer
}

fn may_speak_for(identity: &CseIdentity, level: &str, from: &str) -> bool {
    let originator = identity.canonical_originator(from);
    if originator == entity_of(identity, level) {
        return true;
    }
    // As a CSE: its SP-relative or, between service providers, absolute identifier.
    let cse = format!("/{}", level.replace(':', "/"));
    let is_cse = cse.trim_start_matches('/').split('/').count() == if cse.starts_with("//") { 2 } else { 1 };
    if !is_cse || level.is_empty() || level == identity.base_id() {
        return false;
    }
    if originator.as_str() == cse || originator.as_str().strip_prefix(&cse).is_some_and(|rest| rest.starts_with('/')) {
        return true;
    }
    // In transit: anybody of elsewhere. A level that looks like an AE-ID stem does not get this right, and a
    // canonical originator without slash is, or may be, an AE registered here.
    let looks_like_ae = level.starts_with(['C', 'S']);
    !looks_like_ae && originator.as_str().starts_with('/') && originator.as_str() != identity.cse_id
}

#[cfg(test)]
mod tests {
    use cse_core::error::Rsc;
    use cse_core::id::CseType;

    use super::*;

    fn identity() -> CseIdentity {
        CseIdentity::new("//cse.example", "/id-in", "cse-in", CseType::In).expect("valid")
    }

    #[test]
    fn who_may_speak_for_whom() {
        for (level, from, allowed) in [
            ("Cx", "Cx", true),
            ("Cx", "/id-in/Cx", true),
            ("Cx", "//cse.example/id-in/Cx", true),
            ("id-in:Cx", "Cx", true),
            ("Sx", "Sx", true),
            ("Sx", "/Sx", true),
            ("Cx", "Cy", false),
            ("Cx", "/id-mn/Cx", false),
            ("Cx", "/id-mn", false),
            ("Cx", "/id-in", false),
            ("id-mn:Cx", "/id-mn/Cx", true),
            ("id-mn:Cx", "/id-mn/Cy", false),
            ("id-mn:Cx", "/id-other/Cx", false),
            ("id-mn", "/id-mn", true),
            ("id-mn", "/id-mn/Cx", true),
            ("id-mn", "/id-other/Cx", true),
            ("id-mn", "//other.example/id-in/Cx", true),
            ("id-mn", "//cse.example/id-mn/Cx", true),
            ("id-mn", "Cx", false),
            ("id-mn", "Sx", false),
            ("id-mn", "/id-in/Cx", false),
            ("id-mn", "//cse.example/id-in/Cx", false),
            ("id-mn", "/id-in", false),
            ("Cloud", "/Cloud", true),
            ("Cloud", "/Cloud/Cx", true),
            ("Cloud", "/id-mn/Cx", false),
            (":other.example:id-in", "//other.example/id-in", true),
            (":other.example:id-in", "//other.example/id-in/Cx", true),
            (":other.example:id-in", "/id-in/Cx", false),
            ("id-in", "/id-in/Cx", false),
            ("", "Cx", false),
            ("", "/id-mn/Cx", false),
        ] {
            assert_eq!(may_speak_for(&identity(), level, from), allowed, "{level} for {from}");
        }
    }

    fn checked(kind: TopicKind, level: &str, from: Option<&str>, ty: Option<Ty>) -> Result<Request, Rsc> {
        let operation = if ty.is_some() { Operation::Create } else { Operation::Retrieve };
        let mut request = Request::new(operation, "cse-in", "", "1");
        request.from = from.map(Into::into);
        request.resource_type = ty;
        let hop = Hop { kind, level, is_own: None };
        check(&identity(), hop, &mut request).map(|()| request).map_err(|error| error.rsc())
    }

    #[test]
    fn registrations_need_no_originator() {
        for from in [None, Some(""), Some("C"), Some("S")] {
            for level in ["C", "1-credential", "anything"] {
                for kind in [TopicKind::Request, TopicKind::RegistrationRequest] {
                    let request = checked(kind, level, from, Some(Ty::AE)).expect("allowed");
                    assert_eq!(request.from.as_deref(), from.filter(|from| !from.is_empty()));
                }
                assert!(checked(TopicKind::Request, level, from, Some(Ty::CONTAINER)).is_err() || level == "C");
            }
        }
        assert_eq!(checked(TopicKind::Request, "Cx", Some(""), None).expect_err("no fr"), Rsc::BadRequest);
    }

    #[test]
    fn a_credential_registers_and_does_nothing_else() {
        let kind = TopicKind::RegistrationRequest;
        assert!(checked(kind, "1-abc", Some("Cx"), Some(Ty::AE)).is_ok());
        assert!(checked(kind, "1-abc", Some("/id-mn"), Some(Ty::REMOTE_CSE)).is_ok());
        let refusal = checked(kind, "1-abc", Some("Cx"), Some(Ty::CONTAINER)).expect_err("refused");
        assert_eq!(refusal, Rsc::OriginatorHasNoPrivilege);
        assert!(checked(kind, "1-abc", Some("Cx"), None).is_err());
    }

    #[test]
    fn what_the_broker_says_of_the_topic_counts_first() {
        for (is_own, kind, from, ty, allowed) in [
            (Some(true), TopicKind::Request, "Cx", None, true),
            (Some(true), TopicKind::Request, "Cy", None, false),
            (Some(false), TopicKind::Request, "Cx", None, false),
            (Some(false), TopicKind::Request, "C", Some(Ty::AE), false),
            (Some(true), TopicKind::RegistrationRequest, "Cy", Some(Ty::AE), true),
            (Some(false), TopicKind::RegistrationRequest, "Cx", Some(Ty::AE), false),
            (Some(true), TopicKind::RegistrationRequest, "Cx", Some(Ty::CONTAINER), false),
        ] {
            let operation = if ty.is_some() { Operation::Create } else { Operation::Retrieve };
            let mut request = Request::new(operation, "cse-in", from, "1");
            request.resource_type = ty;
            let checked = check(&identity(), Hop { kind, level: "Cx", is_own }, &mut request);
            assert_eq!(checked.is_ok(), allowed, "{is_own:?} {kind:?} {from} {ty:?}");
        }
    }

    #[test]
    fn a_credential_in_the_topic_is_a_claim() {
        let topics = crate::topic::Topics::new(&identity(), "");
        let claimed = |topic: &str| claimed_credential(&topics.parse(topic).expect("a topic"));
        let known = Peer { authenticated: true, credential: Some("lamp-7".into()), ..Peer::default() };
        for (topic, peer, expected) in [
            ("/oneM2M/reg_req/1-abc/id-in/json", Peer::default(), Some("1-abc")),
            ("/oneM2M/reg_req/1-abc/id-in/json", known, Some("lamp-7")),
            ("/oneM2M/reg_req//id-in/json", Peer::default(), None),
            ("/oneM2M/req/1-abc/id-in/json", Peer::default(), None),
        ] {
            let proven = peer.authenticated;
            let peer = with_credential(claimed(topic), peer);
            assert_eq!((peer.credential.as_deref(), peer.authenticated), (expected, proven), "{topic}");
        }
    }
}
