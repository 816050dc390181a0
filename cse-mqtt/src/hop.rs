//! Whether the sender that the topic names may speak for the originator that the primitive names.
//!
//! The broker controls who publishes on which topic (TS-0010 §8.4); the topic names the entity of *this hop*, `fr`
//! the one that asked first. On Mca they are the same. On Mcc a CSE passes on requests of others. What it passes on in
//! the name of an AE of this CSE, in the form that is due between CSEs, is left to the core: that knows who is
//! registered here, under an S-type AE-ID too, which names no CSE, and what has gone that way and may come back.
//! Nobody registers like that.

use cse_core::error::Error;
use cse_core::id::{CseIdentity, Peer};
use cse_core::primitive::{Operation, Request};
use cse_core::schema::Ty;
use cse_core::value::Text;

use crate::link::Vouched;
use crate::security::spells_cse;
use crate::topic::{Topic, TopicKind, entity_of};

/// What a topic says of the sender of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hop<'a> {
    pub(crate) kind: TopicKind,
    /// Its identifier as a topic level, or its Credential-ID.
    pub(crate) level: &'a str,
    /// What the broker says of that; `None` if it does not say.
    pub(crate) vouched: Option<Vouched>,
}

/// Checks `fr` against the topic and brings a registration without originator into one form (`fr` absent).
///
/// # Errors
/// [`Error::OriginatorMismatch`] if the hop may not speak for the originator, [`Error::MissingParameter`] without
/// originator.
pub(crate) fn check(identity: &CseIdentity, hop: Hop<'_>, request: &mut Request) -> Result<(), Error> {
    let Hop { kind, level, vouched } = hop;
    if vouched == Some(Vouched::Not) {
        // It was when the broker took the message; the registration has ended since.
        let text = format!("topic originator '{level}' is not, or no longer, registered under the sender's credential");
        return Err(Error::OriginatorMismatch(text));
    }
    let registers_ae = request.operation == Operation::Create && request.resource_type == Some(Ty::AE);
    if kind == TopicKind::RegistrationRequest && !registers(request) {
        let text = format!("topic reg_req is for registrations only, not for {} here", request.operation);
        return Err(Error::OriginatorMismatch(text));
    }
    if request.from.as_ref().is_some_and(|from| from.is_empty()) {
        request.from = None;
    }
    let Some(from) = &request.from else {
        return if registers_ae { Ok(()) } else { Err(Error::MissingParameter("fr")) };
    };
    let asks_for_identifier = registers_ae && (from == "C" || from == "S");
    let may_ask = || asks_for_identifier || may_speak_for(identity, hop, request, from);
    if kind == TopicKind::RegistrationRequest || may_ask() || may_pass_on(identity, hop, request, from) {
        return Ok(());
    }
    Err(Error::OriginatorMismatch(format!("topic originator '{level}' may not speak for originator '{from}'")))
}

/// The Credential-ID that a topic names.
pub(crate) fn claimed_credential(topic: &Topic<'_>) -> Option<Text> {
    let claims = topic.kind == TopicKind::RegistrationRequest && !topic.originator.is_empty();
    claims.then(|| topic.originator.into())
}

/// Who sends a request, by the topic: without `:` a level is an AE-ID stem or a CSE-ID, and only a CSE registers as
/// one, or speaks for originators of elsewhere.
pub(crate) fn sender(identity: &CseIdentity, hop: Hop<'_>, request: &Request) -> Text {
    let Hop { level, vouched, .. } = hop;
    let of_other = || {
        let stem = request.from.as_deref().and_then(|from| stem_between_cses(identity, from));
        // A registration has not been passed on; but an S-type AE-ID may be the CSE-ID of whoever registers.
        stem.is_some_and(|stem| stem != level && (hop.kind == TopicKind::Request || stem.starts_with('S')))
    };
    let is_cse = match vouched {
        Some(Vouched::Cse) => true,
        Some(Vouched::Ae | Vouched::Not) => false,
        None => identity.originator_of(request).as_str().starts_with('/') || of_other(),
    };
    if is_cse && !level.contains(':') { format!("/{level}").into() } else { entity_of(identity, level).text().clone() }
}

/// What is known of the sender, with the Credential-ID of the topic where none is known otherwise: nobody here has
/// verified it, but what is bound to it by configuration is bound to it all the same.
pub(crate) fn with_credential(claimed: Option<Text>, mut peer: Peer) -> Peer {
    peer.credential = peer.credential.or(claimed);
    peer
}

fn may_speak_for(identity: &CseIdentity, hop: Hop<'_>, request: &Request, from: &str) -> bool {
    let originator = identity.originator_of(request);
    let is_of_level = originator == entity_of(identity, hop.level);
    let is_elsewhere = originator.as_str().starts_with('/') && originator.as_str() != identity.cse_id;
    match hop.vouched {
        // An AE-ID stem and a CSE-ID may be the same word.
        Some(Vouched::Ae) => is_of_level,
        Some(Vouched::Cse) => is_elsewhere || spells_itself(identity, hop.level, from),
        Some(Vouched::Not) => false,
        None => is_of_level || may_be_cse_of(identity, hop.level, originator.as_str(), is_elsewhere),
    }
}

/// Whether a CSE speaks for itself by its CSE-ID, also if that looks like the AE-ID of an S-type stem.
fn spells_itself(identity: &CseIdentity, level: &str, from: &str) -> bool {
    let cse = identity.canonical_cse_id(from).filter(|cse| *cse != identity.cse_id);
    cse.is_some_and(|cse| spells_cse(identity, level, &cse))
}

/// Whether the sender may be a CSE that passes on a request of an AE with an S-type AE-ID or of one of this CSE, which
/// it names in the SP-relative or absolute form that is due between CSEs (TS-0001 §7.1.3). The core decides.
fn may_pass_on(identity: &CseIdentity, hop: Hop<'_>, request: &Request, from: &str) -> bool {
    let is_cse = match hop.vouched {
        Some(Vouched::Cse) => true,
        Some(Vouched::Ae | Vouched::Not) => false,
        None => !looks_like_ae(identity, hop.level),
    };
    if !is_cse || !is_level_of_cse(identity, hop.level) || registers(request) {
        return false;
    }
    let is_due = |stem: Text| stem.starts_with('S') || from.starts_with("//") || !hop.level.starts_with(':');
    stem_between_cses(identity, from).is_some_and(is_due)
}

/// Whether this is a registration; these are never passed on.
fn registers(request: &Request) -> bool {
    request.operation == Operation::Create && matches!(request.resource_type, Some(Ty::AE | Ty::REMOTE_CSE))
}

/// The stem, if this is the AE-ID of an AE of this CSE, or an S-type AE-ID, in SP-relative or absolute form.
fn stem_between_cses(identity: &CseIdentity, from: &str) -> Option<Text> {
    let originator = identity.canonical_originator(from);
    (from.starts_with('/') && originator.is_ae_stem()).then(|| originator.text().clone())
}

/// Whether a level is, by its form, that of another CSE: its SP-relative or, between service providers, absolute
/// identifier.
fn is_level_of_cse(identity: &CseIdentity, level: &str) -> bool {
    let cse = format!("/{}", level.replace(':', "/"));
    let is_cse = cse.trim_start_matches('/').split('/').count() == if cse.starts_with("//") { 2 } else { 1 };
    is_cse && !level.is_empty() && level != identity.base_id()
}

/// Whether a level may be that of a CSE that speaks for the originator.
fn may_be_cse_of(identity: &CseIdentity, level: &str, originator: &str, is_elsewhere: bool) -> bool {
    if !is_level_of_cse(identity, level) {
        return false;
    }
    let cse = format!("/{}", level.replace(':', "/"));
    if originator == cse || originator.strip_prefix(&cse).is_some_and(|rest| rest.starts_with('/')) {
        return true;
    }
    // In transit: anybody of elsewhere. A canonical originator without slash is, or may be, an AE registered here.
    is_elsewhere && !looks_like_ae(identity, level)
}

/// Whether a level looks like an AE-ID stem, and is not known to be that of a CSE.
fn looks_like_ae(identity: &CseIdentity, level: &str) -> bool {
    level.starts_with(['C', 'S']) && !identity.is_known_cse(level)
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
            let hop = Hop { kind: TopicKind::Request, level, vouched: None };
            let request = Request::new(Operation::Retrieve, "cse-in", from, "1");
            assert_eq!(may_speak_for(&identity(), hop, &request, from), allowed, "{level} for {from}");
        }
    }

    fn checked(kind: TopicKind, level: &str, from: Option<&str>, ty: Option<Ty>) -> Result<Request, Rsc> {
        let operation = if ty.is_some() { Operation::Create } else { Operation::Retrieve };
        let mut request = Request::new(operation, "cse-in", "", "1");
        request.from = from.map(Into::into);
        request.resource_type = ty;
        let hop = Hop { kind, level, vouched: None };
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
    fn what_the_broker_says_of_the_sender_counts_first() {
        use TopicKind::{RegistrationRequest, Request as Ask};
        use Vouched::{Ae, Cse, Not};
        for (vouched, kind, level, from, ty, allowed) in [
            // An AE speaks for itself, in any spelling, and for nobody else.
            (Ae, Ask, "Cx", "Cx", None, true),
            (Ae, Ask, "Cx", "/id-in/Cx", None, true),
            (Ae, Ask, "id-in:Cx", "Cx", None, true),
            (Ae, Ask, "Sx", "/Sx", None, true),
            (Ae, Ask, "Cx", "Cy", None, false),
            (Ae, Ask, "Cx", "/Cx", None, false),
            (Ae, Ask, "Cx", "/Cx/Cy", None, false),
            (Ae, Ask, "Cx", "/id-mn/Cx", None, false),
            (Ae, Ask, "Cx", "/id-mn", None, false),
            (Ae, Ask, "Cx", "/id-in", None, false),
            (Ae, Ask, "Cx", "//other.example/id-in/Cx", None, false),
            (Ae, Ask, "Cx", "CAdmin", None, false),
            // A CSE for itself, for those behind it and in transit, and as the core says for those of this CSE.
            (Cse, Ask, "id-mn", "/id-mn", None, true),
            (Cse, Ask, "id-mn", "/id-mn/Cx", None, true),
            (Cse, Ask, "id-mn", "/id-other/Cx", None, true),
            (Cse, Ask, "id-mn", "//other.example/id-in/Cx", None, true),
            (Cse, Ask, "Cloud", "/Cloud", None, true),
            (Cse, Ask, "Cloud", "/id-mn/Cx", None, true),
            (Cse, Ask, "Cloud", "Cloud", None, false),
            (Cse, Ask, "S1", "/S1", None, true),
            (Cse, Ask, "S1", "//cse.example/S1", None, true),
            (Cse, Ask, "S1", "/S1/Cx", None, true),
            (Cse, Ask, "S1", "/S1", Some(Ty::REMOTE_CSE), true),
            (Cse, Ask, "S1", "S1", None, false),
            // An AE of elsewhere, for all that can be told here.
            (Cse, Ask, "S1", "/S2", None, true),
            (Ae, Ask, "S1", "/S1", Some(Ty::REMOTE_CSE), false),
            (Cse, Ask, "Server", "Server", None, false),
            (Cse, Ask, "id-mn", "Cx", None, false),
            (Cse, Ask, "id-mn", "Sx", None, false),
            (Cse, Ask, "id-mn", "/id-in/Cx", None, true),
            (Cse, Ask, "id-mn", "//cse.example/id-in/Cx", None, true),
            (Cse, Ask, "id-mn", "/id-in/Cx", Some(Ty::AE), false),
            (Cse, Ask, "id-mn", "/id-in/Cx", Some(Ty::REMOTE_CSE), false),
            (Cse, Ask, "id-mn", "/id-in/Cx", Some(Ty::CONTAINER), true),
            (Cse, Ask, "id-mn", "/id-in/x", None, false),
            (Cse, Ask, "id-mn:Cx", "/id-in/Cx", None, false),
            (Cse, Ask, "id-mn", "/id-in", None, false),
            (Cse, Ask, "id-mn", "CAdmin", None, false),
            // Nobody on the topic of another, as when its registration has ended since it was let through.
            (Not, Ask, "Cx", "Cx", None, false),
            (Not, Ask, "Cx", "C", Some(Ty::AE), false),
            (Not, RegistrationRequest, "Cx", "Cx", Some(Ty::AE), false),
            // Whom a credential may register is decided with the registration.
            (Ae, RegistrationRequest, "lamp-7", "Cy", Some(Ty::AE), true),
            (Cse, RegistrationRequest, "32-:id-mn", "/id-mn", Some(Ty::REMOTE_CSE), true),
            (Ae, RegistrationRequest, "lamp-7", "Cy", Some(Ty::CONTAINER), false),
            (Ae, RegistrationRequest, "lamp-7", "Cy", None, false),
        ] {
            let operation = if ty.is_some() { Operation::Create } else { Operation::Retrieve };
            let mut request = Request::new(operation, "cse-in", from, "1");
            request.resource_type = ty;
            let checked = check(&identity(), Hop { kind, level, vouched: Some(vouched) }, &mut request);
            assert_eq!(checked.is_ok(), allowed, "{vouched:?} {kind:?} {level} for {from} {ty:?}");
        }
    }

    #[test]
    fn a_cse_passes_on_what_aes_with_s_type_identifiers_and_of_this_cse_ask() {
        use Vouched::{Ae, Cse, Not};
        for (vouched, level, from, ty, allowed) in [
            (None, "id-mn", "/id-in/Cx", None, true),
            (None, "id-mn", "//cse.example/id-in/Cx", None, true),
            (None, ":other.example:id-in", "//cse.example/id-in/Cx", None, true),
            (None, ":other.example:id-in", "/id-in/Cx", None, false),
            (None, "id-mn", "/id-in/Cx", Some(Ty::CONTAINER), true),
            (None, "id-mn", "/id-in/Cx", Some(Ty::AE), false),
            (None, "id-mn", "/id-in/Cx", Some(Ty::REMOTE_CSE), false),
            (None, "id-mn", "/id-in", None, false),
            (None, "id-mn", "/id-in/x", None, false),
            (None, "id-mn", "Cx", None, false),
            (None, "Cloud", "/id-in/Cx", None, false),
            (None, "id-in", "/id-in/Cx", None, false),
            (None, "id-mn:Cy", "/id-in/Cx", None, false),
            (None, "", "/id-in/Cx", None, false),
            (Some(Ae), "id-mn", "/id-in/Cx", None, false),
            (Some(Not), "id-mn", "/id-in/Cx", None, false),
            (None, "id-mn", "/Sx", None, true),
            (None, "id-mn", "//cse.example/Sx", None, true),
            (None, "Cloud", "/Sx", None, false),
            (None, "Sy", "/Sx", None, false),
            (None, "id-in", "/Sx", None, false),
            (None, "id-mn:Cx", "/Sx", None, false),
            (None, ":other.example:id-in", "/Sx", None, true),
            (None, "id-mn", "Sx", None, false),
            (None, "id-mn", "/Cx", None, true),
            (Some(Cse), "id-mn", "/Sx", None, true),
            (Some(Cse), "Server", "/Sx", None, true),
            (Some(Ae), "Cx", "/Sx", None, false),
            (Some(Not), "id-mn", "/Sx", None, false),
            // Registrations are not passed on.
            (Some(Cse), "id-mn", "/Sx", Some(Ty::AE), false),
            (Some(Cse), "id-mn", "/Sx", Some(Ty::CONTAINER), true),
        ] {
            let operation = if ty.is_some() { Operation::Create } else { Operation::Retrieve };
            let mut request = Request::new(operation, "cse-in", from, "1");
            request.resource_type = ty;
            let checked = check(&identity(), Hop { kind: TopicKind::Request, level, vouched }, &mut request);
            assert_eq!(checked.is_ok(), allowed, "{vouched:?} {level} for {from} {ty:?}");
        }
    }

    #[test]
    fn the_topic_names_the_sender_on_this_hop() {
        for (level, from, expected) in [
            ("Cx", "Cx", "Cx"),
            ("id-in:Cx", "Cx", "Cx"),
            ("id-mn", "/id-mn", "/id-mn"),
            ("id-mn", "/id-other/Cx", "/id-mn"),
            ("id-mn", "/id-in/Cx", "/id-mn"),
            ("id-in:Cx", "/id-in/Cx", "Cx"),
            ("Cx", "/id-in/Cx", "Cx"),
            (":other.example:id-in", "//cse.example/id-in/Cx", "//other.example/id-in"),
            ("Cloud", "/Cloud/Cx", "/Cloud"),
            ("S1", "S1", "S1"),
            ("S1", "/S1", "S1"),
            ("S1", "/S1/Cx", "/S1"),
            ("id-mn:Cx", "/id-mn/Cx", "/id-mn/Cx"),
            (":other.example:id-in", "//other.example/id-mn/Cx", "//other.example/id-in"),
            ("id-mn", "/Sx", "/id-mn"),
            ("Sx", "/Sx", "Sx"),
            ("Sx", "Sx", "Sx"),
        ] {
            let request = Request::new(Operation::Retrieve, "/id-mn2/x", from, "1");
            let hop = Hop { kind: TopicKind::Request, level, vouched: None };
            assert_eq!(sender(&identity(), hop, &request), expected, "{level} for {from}");
            if let Some(cse) = expected.strip_prefix('/').filter(|cse| !cse.contains('/')) {
                let vouched = Hop { level: cse, vouched: Some(Vouched::Cse), ..hop };
                assert_eq!(sender(&identity(), vouched, &request), expected, "{cse} for {from}");
            }
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
