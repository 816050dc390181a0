//! Samples of the MQTT binding.

use cse_mqtt::{Count, MqttStats};

use super::Sample;

type Row = (&'static str, &'static str, fn(&MqttStats) -> &Count);

const COUNTERS: &[Row] = &[
    ("mqtt_received", "Messages received on any topic", |s| &s.received),
    ("mqtt_dispatched", "Requests handed to the CSE", |s| &s.dispatched),
    ("mqtt_answered", "Answers published, refusals included", |s| &s.answered),
    ("mqtt_unanswered_by_wish", "Requests that wanted no answer", |s| &s.unanswered_by_wish),
    ("mqtt_answers_refused", "Answers that the broker did not take", |s| &s.answers_refused),
    ("mqtt_unknown_topics", "Messages on topics that are not for this CSE", |s| &s.unknown_topics),
    ("mqtt_undecodable", "Payloads that are no request", |s| &s.undecodable),
    ("mqtt_undecodable_unanswered", "Payloads that are no request and name none to answer", |s| {
        &s.undecodable_unanswered
    }),
    ("mqtt_unsupported_serializations", "Requests in a serialization not supported", |s| &s.unsupported_serializations),
    ("mqtt_originator_mismatches", "Requests whose topic may not speak for their originator", |s| {
        &s.originator_mismatches
    }),
    ("mqtt_possible_redeliveries", "Requests that may be redeliveries", |s| &s.possible_redeliveries),
    ("mqtt_acknowledged_early", "Requests acknowledged before they were complete", |s| &s.acknowledged_early),
    ("mqtt_panics", "Requests whose execution panicked", |s| &s.panics),
    ("mqtt_answers_forgotten", "Answers whose receipt is followed no longer, for want of room", |s| {
        &s.answers_forgotten
    }),
    ("mqtt_sent", "Requests of the CSE published", |s| &s.sent),
    ("mqtt_responses_matched", "Answers to requests of the CSE", |s| &s.responses_matched),
    ("mqtt_responses_unmatched", "Answers nobody waits for", |s| &s.responses_unmatched),
    ("mqtt_responses_undecodable", "Payloads that are no response", |s| &s.responses_undecodable),
    ("mqtt_connections", "Connections to external brokers that came about", |s| &s.connections),
    ("mqtt_connection_failures", "Connections to external brokers lost or refused", |s| &s.connection_failures),
    ("mqtt_republished", "Messages published again because a broker lost them", |s| &s.republished),
];

/// The samples now.
pub(crate) fn mqtt_samples(stats: &MqttStats) -> Vec<Sample> {
    COUNTERS.iter().map(|(name, help, counter)| Sample::counter(name, help, counter(stats).get())).collect()
}
