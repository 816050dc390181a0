//! Who may publish and subscribe to what, asked with any topics and filters.

use cse_core::id::{CseIdentity, CseType};

use super::identity::{ANONYMOUS, Who};
use super::rights::{Registered, Rights};
use crate::broker::fuzzing::matches;
use crate::topic::{TopicKind, Topics, is_publishable};

const PREFIXES: [&str; 2] = ["", "plant/7"];

const fn credential(credential: &'static str) -> Who<'static> {
    Who { credential, proven: true, ae: None, cse: None }
}

const fn ae(ae: &'static str, certificate: &'static str) -> Who<'static> {
    Who { ae: Some(ae), ..credential(certificate) }
}

const fn cse(cse: &'static str, certificate: &'static str) -> Who<'static> {
    Who { cse: Some(cse), ..credential(certificate) }
}

/// Clients of whom no two are the same entity.
const CLIENTS: [Who<'static>; 12] = [
    ae("Clamp", "33-Clamp"),
    ae("Cgone", "33-Cgone"),
    ae("Sdoor", "33-Sdoor"),
    ae("CAdmin", "33-CAdmin"),
    ae("/id-mn/Cx", "33-/id-mn/Cx"),
    ae("//other.example/id-far/Cy", "33-//other.example/id-far/Cy"),
    cse("/id-mn", "32-/id-mn"),
    cse("/id-mn2", "32-/id-mn2"),
    cse("//other.example/id-far", "32-//other.example/id-far"),
    credential("lamp-7"),
    credential("lamp-8"),
    Who { credential: ANONYMOUS, proven: false, ae: None, cse: None },
];

/// AEs, each with the credential it is registered under.
struct Registry;

impl Registry {
    const AES: [(&str, &str); 4] = [("Clamp", ""), ("Sdoor", ""), ("Ctwo", "lamp-7"), ("Cthree", "lamp-8")];
}

impl Registered for Registry {
    fn has_ae(&self, stem: &str) -> bool {
        Self::AES.iter().any(|(known, _)| *known == stem)
    }

    fn has(&self, identifier: &str) -> bool {
        self.has_ae(identifier)
    }

    fn is_under(&self, stem: &str, credential: &str) -> bool {
        Self::AES.contains(&(stem, credential))
    }
}

/// Reads a filter and, on the next line, a topic. A filter that is granted matches nothing that would not be granted by
/// itself; and whatever the topic, no two entities may speak on it, nor is it meant for two.
///
/// # Panics
/// If it is not so.
pub fn rights(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (filter, topic) = text.split_once('\n').unwrap_or((text, text));
    let Ok(identity) = CseIdentity::new("//cse.example", "/id-in", "cse-in", CseType::In) else { return };
    for prefix in PREFIXES {
        let topics = Topics::new(&identity, prefix);
        let admin = identity.canonical_originator("CAdmin");
        let rights = Rights::new(identity.clone(), admin, prefix);
        for who in &CLIENTS {
            let granted = rights.may_subscribe(who, &Registry, filter);
            assert!(!granted || topics.parse(filter).is_some(), "{who:?} of {filter:?}");
            if granted && is_publishable(topic) && is_whole(&topics, topic) && matches(filter, topic) {
                assert!(rights.may_subscribe(who, &Registry, topic), "{who:?}, {filter:?} matches {topic:?}");
            }
        }
        if is_publishable(topic) {
            alone(&topics, &rights, topic);
        }
    }
}

/// Whether the topic has no level behind that of its serialization: nobody may publish to any other.
fn is_whole(topics: &Topics, topic: &str) -> bool {
    topics.parse(topic).is_some() && topic[topics.prefix().len()..].split('/').count() <= 6
}

fn alone(topics: &Topics, rights: &Rights, topic: &str) {
    let speaks: Vec<_> = CLIENTS.iter().filter(|who| rights.may_publish(who, &Registry, topic)).collect();
    assert!(speaks.len() <= 1, "{topic:?}: {speaks:?} may publish");
    let reads: Vec<_> = CLIENTS.iter().filter(|who| rights.may_subscribe(who, &Registry, topic)).collect();
    let Some(parsed) = topics.parse(topic) else {
        assert!(speaks.is_empty() && reads.is_empty(), "{topic:?}: {speaks:?}, {reads:?}");
        return;
    };
    if let [one, other] = reads[..] {
        // The answers of a CSE to its own AEs are its own affair, too (TS-0010 §8.4 1 b).
        let is_of = |ae: &Who<'_>, cse: &Who<'_>| match (ae.ae, cse.cse) {
            (Some(ae), Some(cse)) => ae.strip_prefix(cse).is_some_and(|stem| stem.starts_with('/')),
            _ => false,
        };
        let is_family = parsed.kind == TopicKind::Response && (is_of(one, other) || is_of(other, one));
        assert!(is_family, "{topic:?}: {reads:?} may subscribe");
    }
    assert!(reads.len() <= 2, "{topic:?}: {reads:?} may subscribe");
    if parsed.kind.answer().is_some() {
        assert!(!topics.is_own(parsed.originator) || speaks.is_empty(), "{topic:?}: {speaks:?} asks as the CSE");
        assert!(!topics.is_own(parsed.receiver) || reads.is_empty(), "{topic:?}: {reads:?} listens as the CSE");
    }
}
