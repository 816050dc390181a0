//! Samples of the MQTT binding.

use cse_mqtt::MqttStats;

use super::Sample;

type Row = (&'static str, &'static str, fn(&MqttStats) -> u64);

const COUNTERS: &[Row] = &[
    ("mqtt_received", "Messages received on any topic", |s| s.received.get()),
    ("mqtt_dispatched", "Requests handed to the CSE", |s| s.dispatched.get()),
    ("mqtt_answered", "Answers published, refusals included", |s| s.answered.get()),
    ("mqtt_unanswered_by_wish", "Requests that wanted no answer", |s| s.unanswered_by_wish.get()),
    ("mqtt_answers_refused", "Answers that the broker did not take", |s| s.answers_refused.get()),
    ("mqtt_answers_unheard", "Answers that nobody was subscribed to", |s| s.answers_unheard.get()),
    ("mqtt_unknown_topics", "Messages on topics that are not for this CSE", |s| s.unknown_topics.get()),
    ("mqtt_early_draft_requests", "Requests in the form of the early draft of TS-0010, served or not", |s| {
        s.early_draft_requests.get()
    }),
    ("mqtt_undecodable", "Payloads that are no request", |s| s.undecodable.get()),
    ("mqtt_undecodable_unanswered", "Payloads that are no request and name none to answer", |s| {
        s.undecodable_unanswered.get()
    }),
    ("mqtt_unsupported_serializations", "Requests in a serialization not supported", |s| {
        s.unsupported_serializations.get()
    }),
    ("mqtt_originator_mismatches", "Requests whose topic may not speak for their originator", |s| {
        s.originator_mismatches.get()
    }),
    ("mqtt_possible_redeliveries", "Requests that may be redeliveries", |s| s.possible_redeliveries.get()),
    ("mqtt_acknowledged_early", "Requests acknowledged before they were complete", |s| s.acknowledged_early.get()),
    ("mqtt_refused_as_too_many", "Requests refused because too many of their originator wait", |s| {
        s.refused_as_too_many.get()
    }),
    ("mqtt_polls_refused", "Polls of polling channels refused because too many waited", |s| s.polls_refused.get()),
    ("mqtt_panics", "Requests whose execution panicked", |s| s.panics.get()),
    ("mqtt_answers_forgotten", "Answers whose receipt is followed no longer, for want of room", |s| {
        s.answers_forgotten.get()
    }),
    ("mqtt_sent", "Requests of the CSE published", |s| s.sent.get()),
    ("mqtt_responses_matched", "Answers to requests of the CSE", |s| s.responses_matched.get()),
    ("mqtt_responses_unmatched", "Answers nobody waits for", |s| s.responses_unmatched.get()),
    ("mqtt_responses_undecodable", "Payloads that are no response", |s| s.responses_undecodable.get()),
    ("mqtt_connections", "Connections to external brokers that came about", |s| s.connections.get()),
    ("mqtt_connection_failures", "Connections to external brokers lost or refused", |s| s.connection_failures.get()),
    ("mqtt_other_brokers_closed", "Connections to other brokers closed", |s| s.other_brokers_closed.get()),
    ("mqtt_retained", "Retained messages from an external broker, ignored", |s| s.retained.get()),
    ("mqtt_oversized", "Messages from an external broker that were too large, ignored", |s| s.oversized.get()),
    ("mqtt_subscriptions_refused", "Times that an external broker refused the subscriptions of the CSE", |s| {
        s.subscriptions_refused.get()
    }),
    ("mqtt_refused_by_broker", "Messages that an external broker refused to take", |s| s.refused_by_broker.get()),
    ("mqtt_given_up", "Messages given up because connections kept ending with them", |s| s.given_up.get()),
    ("mqtt_republished", "Messages published again because a broker lost them", |s| s.republished.get()),
];

/// The samples now.
pub(crate) fn mqtt_samples(stats: &MqttStats) -> Vec<Sample> {
    COUNTERS.iter().map(|(name, help, counter)| Sample::counter(name, help, counter(stats))).collect()
}
