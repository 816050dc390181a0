//! The early draft of TS-0010: one identifier in the topic, and other names for some parameters.
//!
//! Requests come on `/oneM2M/req/<CSE-ID>[/resource]` and are answered on `/oneM2M/resp/<fr>`; the topic does not say
//! who asks, nor how the payload is written. Old clients are served only if that is wanted; else their requests are
//! counted and named in the log, because without an answer they look as if they had never arrived.

mod names;

use std::collections::{HashMap, HashSet};

use cse_core::codec::Serialization;
use cse_core::id::{CseIdentity, Originator, matches_wildcard};
use cse_core::value::Text;
use parking_lot::Mutex;

pub(crate) use names::Names;

use crate::form::appearance;
use crate::link::Subscription;
use crate::options::EarlyDraft;
use crate::stats::MqttStats;
use crate::topic::{Topics, is_publishable};

/// Entities remembered for how they speak; beyond it one is forgotten for each new one.
const SPEAKERS_MAX: usize = 10_000;
/// Longest identifier that is remembered, in bytes.
const SPEAKER_BYTES_MAX: usize = 256;
/// Originators that were named in the log; no more are named then.
const NOTICED_MAX: usize = 1_000;
/// Bytes of an originator in the log.
const NOTICED_BYTES_MAX: usize = 128;

/// The topic of a request in the form of the draft, without the fixed parts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct DraftTopic<'a> {
    /// What stands before `oneM2M`: the draft has it with and without slash.
    lead: &'a str,
    /// CSE-ID and resource, as `id-in/cse-in/sensor`.
    path: &'a str,
}

impl DraftTopic<'_> {
    /// The target that the topic names, SP-relative.
    pub(crate) fn target(&self) -> String {
        format!("/{}", self.path)
    }

    /// The topic for the answer; `None` if the originator cannot be part of one.
    pub(crate) fn answer(&self, from: &str) -> Option<String> {
        let from = from.trim_start_matches('/');
        let topic = format!("{}oneM2M/resp/{from}", self.lead);
        (!from.is_empty() && is_publishable(&topic)).then_some(topic)
    }
}

/// A message in the form of the draft.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum DraftMessage<'a> {
    /// A request to this CSE.
    Request(DraftTopic<'a>),
    /// An answer to a request of this CSE; from whom, the topic does not say.
    Answer,
}

/// How an entity speaks the draft.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Manner {
    /// Whether its topics begin with a slash.
    pub(crate) slash: bool,
    /// How it names parameters.
    pub(crate) names: Names,
}

/// What this CSE knows of those who speak the draft.
pub(crate) struct Drafts {
    identity: CseIdentity,
    /// `<prefix>/oneM2M/`
    lead: String,
    options: EarlyDraft,
    /// Keys come from clients, hence the keyed default hasher; below likewise.
    speakers: Mutex<HashMap<Originator, Manner>>,
    noticed: Mutex<HashSet<Text>>,
}

impl Drafts {
    pub(crate) fn new(identity: &CseIdentity, topics: &Topics, options: EarlyDraft) -> Self {
        Self {
            identity: identity.clone(),
            lead: format!("{}/", topics.prefix()),
            options,
            speakers: Mutex::default(),
            noticed: Mutex::default(),
        }
    }

    /// Whether requests in this form are carried out.
    pub(crate) fn are_served(&self) -> bool {
        self.options.served
    }

    /// What has to be listened to, be it only to notice it.
    pub(crate) fn subscriptions(&self) -> Vec<Subscription> {
        let (lead, own, name) = (&self.lead, self.identity.base_id(), &self.identity.cse_name);
        // What this CSE sends in today's form begins likewise, `/oneM2M/req/<own>/<entity>/<type>`, and an external
        // broker would send all of it back. To notice old clients, less is enough.
        let mut filters = if self.options.served {
            vec![format!("{lead}oneM2M/req/{own}/#")]
        } else {
            let places = ["".to_owned(), "/+".to_owned(), format!("/{name}/+/#")];
            places.map(|place| format!("{lead}oneM2M/req/{own}{place}")).to_vec()
        };
        if lead == "/" {
            filters.push(format!("oneM2M/req/{own}/#"));
            if self.options.served {
                filters.push(format!("oneM2M/resp/{own}"));
            }
        }
        Subscription::wanted(filters).collect()
    }

    /// Reads a topic in the form of the draft, if it concerns this CSE.
    pub(crate) fn parse<'a>(&self, topic: &'a str) -> Option<DraftMessage<'a>> {
        let own = self.identity.base_id();
        let (lead, rest) = match topic.strip_prefix(self.lead.as_str()) {
            Some(rest) => topic.split_at(topic.len() - rest.len()),
            None if self.lead == "/" => ("", topic),
            None => return None,
        };
        let rest = rest.strip_prefix("oneM2M/")?;
        if rest.strip_prefix("resp/") == Some(own) {
            return Some(DraftMessage::Answer);
        }
        let path = rest.strip_prefix("req/")?;
        let below = path.strip_prefix(own)?;
        (below.is_empty() || below.starts_with('/')).then_some(DraftMessage::Request(DraftTopic { lead, path }))
    }

    /// Whether that originator is this CSE: what it sends in today's form may come back from an external broker.
    pub(crate) fn is_echo(&self, from: &str) -> bool {
        self.identity.canonical_originator(from).as_str() == self.identity.cse_id
    }

    /// Counts a request that is not carried out, and names its originator in the log, once.
    pub(crate) fn notice(&self, topic: &str, payload: &[u8], stats: &MqttStats) {
        let parameters = appearance(payload).decode_primitive(payload).map(|primitive| primitive.parameters);
        let from = parameters.as_ref().ok().and_then(|parameters| parameters.text("fr")).unwrap_or_default();
        if self.is_echo(from) {
            return;
        }
        stats.early_draft_requests.increment();
        let from = &from[..from.floor_char_boundary(NOTICED_BYTES_MAX)];
        let mut noticed = self.noticed.lock();
        if noticed.len() < NOTICED_MAX && noticed.insert(from.into()) {
            tracing::warn!(
                originator = from,
                topic,
                "a request in the form of the early draft of TS-0010 is not answered; mqtt.early-draft serves such clients"
            );
        }
    }

    /// Remembers how an entity speaks.
    pub(crate) fn heard(&self, from: &str, topic: &DraftTopic<'_>, names: Names) {
        let speaker = self.identity.canonical_originator(from);
        if speaker.as_str().len() > SPEAKER_BYTES_MAX {
            return;
        }
        let mut speakers = self.speakers.lock();
        if speakers.len() >= SPEAKERS_MAX && !speakers.contains_key(&speaker) {
            let any = speakers.keys().next().cloned();
            any.and_then(|any| speakers.remove(&any));
        }
        speakers.insert(speaker, Manner { slash: !topic.lead.is_empty(), names });
    }

    /// An entity has spoken in today's form.
    pub(crate) fn heard_otherwise(&self, from: &str) {
        if self.options.served {
            self.speakers.lock().remove(&self.identity.canonical_originator(from));
        }
    }

    /// How requests to that entity are written, if in the form of the draft.
    pub(crate) fn manner_of(&self, entity: &Originator) -> Option<Manner> {
        if !self.options.served {
            return None;
        }
        if let Some(manner) = self.speakers.lock().get(entity) {
            return Some(*manner);
        }
        let named = self.options.entities.iter().any(|pattern| matches_wildcard(pattern, entity.as_str()));
        named.then_some(Manner { slash: true, names: Names::Draft })
    }
}

/// The topic of a request to an entity in the form of the draft.
pub(crate) fn request_topic(prefix: &str, manner: Manner, entity: &Originator) -> String {
    let slash = if manner.slash || !prefix.is_empty() { "/" } else { "" };
    format!("{prefix}{slash}oneM2M/req/{}", entity.as_str().trim_start_matches('/'))
}

/// The serialization for a payload in the form of the draft, which does not know CBOR.
pub(crate) fn serialization(wanted: Serialization) -> Serialization {
    match wanted {
        Serialization::Xml => Serialization::Xml,
        Serialization::Json | Serialization::Cbor => Serialization::Json,
    }
}

#[cfg(test)]
mod tests;
