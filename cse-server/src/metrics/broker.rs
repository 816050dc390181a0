//! Samples of the embedded broker.

use cse_mqtt::broker::{Counter, Stats};

use super::Sample;

type Row = (&'static str, &'static str, fn(&Stats) -> &Counter);

const COUNTERS: &[Row] = &[
    ("broker_connections_accepted", "Connections accepted by the embedded broker", |s| &s.connections_accepted),
    ("broker_connections_over_limit", "Connections closed because there were too many", |s| &s.connections_over_limit),
    ("broker_handshakes_failed", "Connections whose TLS or WebSocket handshake failed", |s| &s.handshakes_failed),
    ("broker_connects_refused", "CONNECT packets refused", |s| &s.connects_refused),
    ("broker_connect_timeouts", "Connections without CONNECT in time", |s| &s.connect_timeouts),
    ("broker_takeovers", "Connections whose client identifier connected again", |s| &s.takeovers),
    ("broker_keep_alive_timeouts", "Connections of clients that fell silent", |s| &s.keep_alive_timeouts),
    ("broker_protocol_violations", "Connections closed for violations of MQTT", |s| &s.protocol_violations),
    ("broker_subscriptions_granted", "Subscriptions granted", |s| &s.subscriptions_granted),
    ("broker_subscriptions_denied", "Subscriptions denied by policy", |s| &s.subscriptions_denied),
    ("broker_subscriptions_withdrawn", "Subscriptions withdrawn: rights have ended", |s| &s.subscriptions_withdrawn),
    ("broker_subscriptions_refused", "Subscriptions over a limit or not supported", |s| &s.subscriptions_refused),
    ("broker_publishes_received", "PUBLISH packets from clients", |s| &s.publishes_received),
    ("broker_publishes_retained", "PUBLISH packets whose RETAIN flag was ignored", |s| &s.publishes_retained),
    ("broker_publishes_denied", "PUBLISH packets denied by policy", |s| &s.publishes_denied),
    ("broker_denied_disconnects", "Connections closed for too many of these", |s| &s.denied_disconnects),
    ("broker_publishes_unmatched", "PUBLISH packets without subscriber", |s| &s.publishes_unmatched),
    ("broker_publishes_sent", "PUBLISH packets to clients, redeliveries included", |s| &s.publishes_sent),
    ("broker_link_deliveries", "Messages handed to the CSE", |s| &s.link_deliveries),
    ("broker_link_stalls", "Waits for the CSE to take messages", |s| &s.link_stalls),
    ("broker_dropped_queue_full", "Messages dropped: the client's queue was full", |s| &s.dropped_queue_full),
    ("broker_dropped_memory_full", "Messages dropped: all queues together were full", |s| &s.dropped_memory_full),
    ("broker_dropped_offline", "QoS 0 messages dropped: the client was away", |s| &s.dropped_offline),
    ("broker_dropped_expired", "Messages dropped: expired before their delivery", |s| &s.dropped_expired),
    ("broker_dropped_too_large", "Messages dropped: too large for their client", |s| &s.dropped_too_large),
    ("broker_dropped_link_full", "Messages dropped between links: queue full", |s| &s.dropped_link_full),
    ("broker_session_commits", "Commits of MQTT sessions", |s| &s.session_commits),
    ("broker_messages_stored", "Messages stored because a client had not acknowledged them", |s| &s.messages_stored),
    ("broker_session_commit_failures", "Commits of MQTT sessions that failed", |s| &s.session_commit_failures),
    ("broker_sessions_expired", "Sessions forgotten: away too long", |s| &s.sessions_expired),
    ("broker_sessions_displaced", "Sessions forgotten: too many were away", |s| &s.sessions_displaced),
    ("broker_clients_revoked", "Connections closed: their users have changed or gone", |s| &s.clients_revoked),
    ("broker_sessions_revoked", "Sessions ended: their users have gone", |s| &s.sessions_revoked),
    ("broker_accept_errors", "Failures to accept a connection", |s| &s.accept_errors),
];

/// The samples now.
pub(crate) fn broker_samples(stats: &Stats) -> Vec<Sample> {
    let counters = COUNTERS.iter().map(|(name, help, counter)| Sample::counter(name, help, counter(stats).get()));
    let connected = stats.clients_connected.get();
    counters
        .chain([Sample::gauge("broker_clients_connected", "Clients connected to the embedded broker now", connected)])
        .collect()
}
