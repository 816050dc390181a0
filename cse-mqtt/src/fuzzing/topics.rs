//! Topic names and identifiers.

use cse_core::codec::Serialization;
use cse_core::id::{CseIdentity, CseType};

use crate::broker::fuzzing::matches;
use crate::legacy::{DraftMessage, Drafts};
use crate::options::EarlyDraft;
use crate::topic::{Format, Topic, Topics, entity_of, is_publishable, level_of, same_entity};

const PREFIXES: [&str; 3] = ["", "plant/7", "\u{e9}"];
const SERIALIZATIONS: [Serialization; 3] = [Serialization::Json, Serialization::Xml, Serialization::Cbor];

/// Reads a text as topic, as level and as identifier: nothing is lost, answers find the way back, what is ours comes by
/// our filters, and an entity has one name.
///
/// # Panics
/// If it is not so.
pub fn topics(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(identity) = CseIdentity::new("//cse.example", "/id-in", "cse-in", CseType::In) else { return };
    for prefix in PREFIXES {
        let topics = Topics::new(&identity, prefix);
        if let Some(topic) = topics.parse(text) {
            assert_eq!(topic.prefix, topics.prefix());
            assert_eq!(topics.parse_any(text), Some(topic));
            whole(&topics, &topic, text);
            arrives(&topics, &topic, text);
        } else if let Some(topic) = topics.parse_any(text) {
            whole(&topics, &topic, text);
        }
        draft(&identity, &topics, text);
    }
    identifier(&identity, text);
    if !text.contains('/') {
        level(&identity, text);
    }
    if let Some((one, other)) = text.split_once('\n') {
        let same = same_entity(&identity, one, other);
        assert_eq!(same, same_entity(&identity, other, one), "{one:?}, {other:?}");
    }
}

/// The parts of a topic are all there is to it, and its answer says the same of both sides.
fn whole(topics: &Topics, topic: &Topic<'_>, text: &str) {
    let Topic { prefix, kind, originator, receiver, format } = *topic;
    let last = match format {
        Format::Absent => String::new(),
        Format::Named(serialization) => format!("/{}", serialization.name()),
        Format::Unknown(name) => format!("/{name}"),
    };
    assert_eq!(text, format!("{prefix}/oneM2M/{}/{originator}/{receiver}{last}", kind.level()));
    for written_as in SERIALIZATIONS {
        let answer = topics.answer(topic, written_as);
        assert_eq!(answer.is_some(), kind.answer().is_some());
        let Some(answer) = answer else { continue };
        let read = topics.parse_any(&answer);
        let format = if format == Format::Absent { Format::Absent } else { Format::Named(written_as) };
        let expected = kind.answer().map(|kind| Topic { prefix, kind, originator, receiver, format });
        assert_eq!(read, expected, "the answer {answer:?} to {text:?}");
        // What a broker has delivered, it can deliver an answer to; the last level is at most one byte longer.
        assert!(!is_publishable(text) || answer.len() > text.len() || is_publishable(&answer), "{text:?}: {answer:?}");
    }
}

/// A request to this CSE, and an answer to one of its own, match one of the filters it subscribes to.
fn arrives(topics: &Topics, topic: &Topic<'_>, text: &str) {
    let to_us = match topic.kind.answer() {
        Some(_) => topics.is_own(topic.receiver),
        None => topics.is_own(topic.originator) && topic.kind.level() == "resp",
    };
    if !is_publishable(text) {
        return;
    }
    let filters = [topics.filters(), topics.absolute_filters()].concat();
    assert_eq!(filters.iter().any(|filter| matches(filter, text)), to_us, "{text:?}");
}

/// The early draft of TS-0010: targets are those of this CSE, and a topic for the answer can be published to.
fn draft(identity: &CseIdentity, topics: &Topics, text: &str) {
    let drafts = Drafts::new(identity, topics, EarlyDraft { served: true, ..EarlyDraft::default() });
    if let Some(DraftMessage::Request(topic)) = drafts.parse(text) {
        assert!(identity.local_part(&topic.target()).is_some(), "{text:?}");
        assert!(topic.answer("Cae").is_some_and(|answer| is_publishable(&answer)) || text.len() > 60_000);
        assert!(topic.answer(text).is_none_or(|answer| is_publishable(&answer)));
    }
}

/// An identifier that can be a level is the same entity there, and its requests and answers can be published.
fn identifier(identity: &CseIdentity, text: &str) {
    let canonical = identity.canonical_originator(text);
    assert_eq!(identity.canonical_originator(canonical.as_str()), canonical, "{text:?}");
    let Some(level) = level_of(text) else { return };
    assert!(!level.contains('/'), "{level:?}");
    let topics = Topics::new(identity, "");
    let request = topics.request(topics.prefix(), &level, Serialization::Json);
    assert!(is_publishable(&request) || level.len() > 60_000, "{request:?}");
    let read = topics.parse(&request);
    assert_eq!(read.map(|topic| topic.receiver), Some(&*level));
    assert!(read.is_some_and(|topic| topics.is_own(topic.originator)), "{request:?}");
    // A colon cannot be told from a slash in a level, so only identifiers without one come back; and a level has no
    // place for a CSE-relative address, which is no entity.
    if !text.contains(':') && (text.starts_with('/') || !text.contains('/')) {
        let entity = entity_of(identity, &level);
        let expected = if text.starts_with("//") { canonical.as_str() } else { as_stem(canonical.as_str()) };
        assert_eq!(entity.as_str(), expected, "{text:?} as {level:?}");
    }
}

/// A CSE-ID alone, as a level without colon, is taken as a stem.
fn as_stem(entity: &str) -> &str {
    entity.strip_prefix('/').filter(|id| !id.contains('/')).unwrap_or(entity)
}

/// A level is one entity, whose own level stands for it again.
fn level(identity: &CseIdentity, level: &str) {
    let entity = entity_of(identity, level);
    assert!(same_entity(identity, level, level));
    assert_eq!(identity.canonical_originator(entity.as_str()), entity, "{level:?}");
    if let Some(again) = level_of(entity.as_str()) {
        assert_eq!(entity_of(identity, &again).as_str(), as_stem(entity.as_str()), "{level:?} as {again:?}");
    }
}
