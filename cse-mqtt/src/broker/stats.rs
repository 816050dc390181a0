//! Counters of what the broker did and, above all, of what it refused to do.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that only grows, or a gauge where its documentation says so.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
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

    pub(crate) fn decrement(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Counters of one [`Broker`](super::Broker), from its start.
#[derive(Debug, Default)]
pub struct Stats {
    /// Network connections accepted.
    pub connections_accepted: Counter,
    /// Clients connected now (gauge).
    pub clients_connected: Counter,
    /// Connections closed at once because there were
    /// [`Limits::connections_max`](super::Limits::connections_max).
    pub connections_over_limit: Counter,
    /// Connections whose TLS or WebSocket handshake failed.
    pub handshakes_failed: Counter,
    /// CONNECT packets refused with a return code, by the policy or by the protocol.
    pub connects_refused: Counter,
    /// Connections without a complete CONNECT in time, or without the handshake before it.
    pub connect_timeouts: Counter,
    /// Connections closed because another took over their client identifier.
    pub takeovers: Counter,
    /// Connections closed because the client was silent for 1.5 times its keep-alive.
    pub keep_alive_timeouts: Counter,
    /// Connections closed because of malformed packets or violations of the protocol.
    pub protocol_violations: Counter,
    /// Subscriptions granted.
    pub subscriptions_granted: Counter,
    /// Subscriptions the policy denied.
    pub subscriptions_denied: Counter,
    /// Subscriptions withdrawn because the policy denies them by now.
    pub subscriptions_withdrawn: Counter,
    /// Subscriptions refused because of a limit or because they are not supported (shared subscriptions).
    pub subscriptions_refused: Counter,
    /// PUBLISH packets received from clients.
    pub publishes_received: Counter,
    /// PUBLISH packets received with the RETAIN flag, which is ignored.
    pub publishes_retained: Counter,
    /// PUBLISH packets the policy denied: acknowledged and dropped.
    pub publishes_denied: Counter,
    /// Connections closed after [`Limits::denied_publishes_max`](super::Limits::denied_publishes_max) of these.
    pub denied_disconnects: Counter,
    /// PUBLISH packets for which nobody had a subscription.
    pub publishes_unmatched: Counter,
    /// PUBLISH packets written for clients, redeliveries included.
    pub publishes_sent: Counter,
    /// Messages handed to links.
    pub link_deliveries: Counter,
    /// Times a connection had to wait because the queue of a link was full.
    pub link_stalls: Counter,
    /// Messages not queued for a client whose queue was full.
    pub dropped_queue_full: Counter,
    /// Messages not queued because all queues together were full.
    pub dropped_memory_full: Counter,
    /// QoS 0 messages for clients that were not connected.
    pub dropped_offline: Counter,
    /// Messages dropped because they expired before their delivery to a client began.
    pub dropped_expired: Counter,
    /// Messages dropped because their packet would be larger than their client allows.
    pub dropped_too_large: Counter,
    /// Messages of one link not taken by another link, whose queue was full.
    pub dropped_link_full: Counter,
    /// Commits of the [`Persister`](super::Persister).
    pub session_commits: Counter,
    /// Messages in them.
    pub messages_stored: Counter,
    /// Commits that failed.
    pub session_commit_failures: Counter,
    /// Sessions forgotten because they were offline too long.
    pub sessions_expired: Counter,
    /// Sessions forgotten before their time because too many were offline, in all or of their identity.
    pub sessions_displaced: Counter,
    /// Connections closed because what let their clients in does not hold any more.
    pub clients_revoked: Counter,
    /// Sessions ended because nobody can come back for them any more.
    pub sessions_revoked: Counter,
    /// Failures to accept a connection, such as no free file descriptor.
    pub accept_errors: Counter,
}
