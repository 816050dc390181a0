//! Counters of the binding: whatever is not answered is at least counted.

use crate::broker::Counter;

/// Counters of one binding, from its start.
#[derive(Debug, Default)]
pub struct MqttStats {
    /// Messages received on any topic.
    pub received: Counter,
    /// Requests handed to the CSE.
    pub dispatched: Counter,
    /// Answers published, refusals by the binding included.
    pub answered: Counter,
    /// Requests with response type "no response".
    pub unanswered_by_wish: Counter,
    /// Answers that the link refused (too large, or the link has ended).
    pub answers_refused: Counter,
    /// Answers that nobody is subscribed to (embedded broker; an external one does not tell).
    pub answers_unheard: Counter,
    /// Messages on topics that are not of TS-0010 or not for this CSE.
    pub unknown_topics: Counter,
    /// Requests in the form of the early draft of TS-0010, carried out or not.
    pub early_draft_requests: Counter,
    /// Payloads that are no request, answered or not.
    pub undecodable: Counter,
    /// Payloads that are no request and have no request identifier to answer to.
    pub undecodable_unanswered: Counter,
    /// Requests in a serialization that is not supported.
    pub unsupported_serializations: Counter,
    /// Requests whose topic originator may not speak for their `fr`.
    pub originator_mismatches: Counter,
    /// Requests that may be redeliveries: marked DUP, or before the first answer was acknowledged.
    pub possible_redeliveries: Counter,
    /// Requests acknowledged before they were complete, see
    /// [`BindingOptions::acknowledge_after`](crate::BindingOptions::acknowledge_after).
    pub acknowledged_early: Counter,
    /// Requests refused because too many of their originator were waiting, see
    /// [`BindingOptions::waiting_per_originator_max`](crate::BindingOptions::waiting_per_originator_max).
    pub refused_as_too_many: Counter,
    /// Polls of polling channels refused because too many were waiting.
    pub polls_refused: Counter,
    /// Requests whose execution panicked.
    pub panics: Counter,
    /// Entries dropped from the full table of unacknowledged answers.
    pub answers_forgotten: Counter,
    /// Requests of this CSE published.
    pub sent: Counter,
    /// Answers to requests of this CSE.
    pub responses_matched: Counter,
    /// Answers nobody waits for (late, twice, or never asked).
    pub responses_unmatched: Counter,
    /// Payloads on response topics that are no response.
    pub responses_undecodable: Counter,
    /// Connections to external brokers that came about.
    pub connections: Counter,
    /// Connections to external brokers that were lost or refused.
    pub connection_failures: Counter,
    /// Connections to other brokers that were closed, mostly because they were idle.
    pub other_brokers_closed: Counter,
    /// Retained messages from an external broker, ignored.
    pub retained: Counter,
    /// Messages from an external broker above
    /// [`ExternalOptions::packet_bytes_max`](crate::ExternalOptions::packet_bytes_max), ignored.
    pub oversized: Counter,
    /// Times that an external broker refused to subscribe this CSE to its topics.
    pub subscriptions_refused: Counter,
    /// Messages that an external broker refused by their acknowledgement (MQTT 5).
    pub refused_by_broker: Counter,
    /// Messages given up because connections to the external broker kept ending with them.
    pub given_up: Counter,
    /// Messages that an external broker lost with its session and that were published again.
    pub republished: Counter,
}
