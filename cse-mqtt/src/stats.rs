//! Counters of the binding: whatever is not answered is at least counted.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// The value now. Counters are not read together at one instant.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn increment(&self) {
        self.add(1);
    }
}

/// Counters of one binding, from its start.
#[derive(Debug, Default)]
pub struct MqttStats {
    /// Messages received on any topic.
    pub received: Count,
    /// Requests handed to the CSE.
    pub dispatched: Count,
    /// Answers published, refusals by the binding included.
    pub answered: Count,
    /// Requests with response type "no response".
    pub unanswered_by_wish: Count,
    /// Answers that the link refused (too large, or the link has ended).
    pub answers_refused: Count,
    /// Messages on topics that are not of TS-0010 or not for this CSE.
    pub unknown_topics: Count,
    /// Payloads that are no request, answered or not.
    pub undecodable: Count,
    /// Payloads that are no request and have no request identifier to answer to.
    pub undecodable_unanswered: Count,
    /// Requests in a serialization that is not supported.
    pub unsupported_serializations: Count,
    /// Requests whose topic originator may not speak for their `fr`.
    pub originator_mismatches: Count,
    /// Requests that may be redeliveries: marked DUP, or before the first answer was acknowledged.
    pub possible_redeliveries: Count,
    /// Requests acknowledged before they were complete, see
    /// [`BindingOptions::acknowledge_after`](crate::BindingOptions::acknowledge_after).
    pub acknowledged_early: Count,
    /// Requests whose execution panicked.
    pub panics: Count,
    /// Entries dropped from the full table of unacknowledged answers.
    pub answers_forgotten: Count,
    /// Requests of this CSE published.
    pub sent: Count,
    /// Answers to requests of this CSE.
    pub responses_matched: Count,
    /// Answers nobody waits for (late, twice, or never asked).
    pub responses_unmatched: Count,
    /// Payloads on response topics that are no response.
    pub responses_undecodable: Count,
    /// Connections to external brokers that came about.
    pub connections: Count,
    /// Connections to external brokers that were lost or refused.
    pub connection_failures: Count,
    /// Connections to other brokers that were closed, mostly because they were idle.
    pub other_brokers_closed: Count,
    /// Retained messages from an external broker, ignored.
    pub retained: Count,
    /// Messages from an external broker above
    /// [`ExternalOptions::packet_bytes_max`](crate::ExternalOptions::packet_bytes_max), ignored.
    pub oversized: Count,
    /// Messages that an external broker lost with its session and that were published again.
    pub republished: Count,
}
