//! What a message is, by its topic; and answers to requests of this CSE, which wait for nothing.
//!
//! Links give answers to [`Common::take_answer`] as they read them. Whatever requests wait for, the answer that ends it
//! gets past them.

use std::sync::Arc;

use super::Common;
use crate::legacy::{DraftMessage, DraftTopic};
use crate::link::AnswerTaker;
use crate::topic::{Topic, TopicKind};

/// What a message is.
pub(super) enum Addressed<'a> {
    Request(Topic<'a>),
    DraftRequest(DraftTopic<'a>),
    Answer(Topic<'a>),
    DraftAnswer,
    /// In the form of the draft, which is not served.
    UnservedDraft,
    Elsewhere,
}

impl Common {
    pub(super) fn addressed<'a>(&self, topic: &'a str) -> Addressed<'a> {
        let Self { topics, drafts, .. } = self;
        match topics.parse(topic) {
            Some(topic) if topic.kind.answer().is_some() && topics.is_own(topic.receiver) => {
                return Addressed::Request(topic);
            }
            Some(topic) if topic.kind == TopicKind::Response && topics.is_own(topic.originator) => {
                return Addressed::Answer(topic);
            }
            _ => {}
        }
        match drafts.parse(topic) {
            Some(DraftMessage::Request(topic)) if drafts.are_served() => return Addressed::DraftRequest(topic),
            Some(DraftMessage::Answer) if drafts.are_served() => return Addressed::DraftAnswer,
            Some(DraftMessage::Request(_)) => return Addressed::UnservedDraft,
            _ => {}
        }
        // Under whatever prefix the request went out.
        match topics.parse_any(topic) {
            Some(topic) if topic.kind == TopicKind::Response && topics.is_own(topic.originator) => {
                Addressed::Answer(topic)
            }
            _ => Addressed::Elsewhere,
        }
    }

    /// Whether a request is not for us to carry out, because it is not from the one whose requests we take here.
    pub(super) fn is_for_others(&self, topic: &Topic<'_>) -> bool {
        self.only_peer.as_ref().is_some_and(|peer| **peer != *topic.originator || topic.kind != TopicKind::Request)
    }

    /// Takes a message if it is an answer to a request of this CSE; says whether it was.
    pub(super) fn take_answer(&self, topic: &str, payload: &[u8]) -> bool {
        match self.addressed(topic) {
            Addressed::Answer(topic) => self.correlation.on_response(None, &topic, payload),
            Addressed::DraftAnswer => self.correlation.on_draft_response(payload),
            _ => return false,
        }
        self.stats.received.increment();
        true
    }

    /// [`Common::take_answer`] for the link to our own broker.
    pub(crate) fn answer_taker(&self) -> AnswerTaker {
        let common = self.clone();
        Arc::new(move |topic, payload| common.take_answer(topic, payload))
    }
}
