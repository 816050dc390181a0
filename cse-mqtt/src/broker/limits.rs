//! Every bound of the broker in one place, with what happens when it is reached.
//!
//! A broker faces clients it does not control, so nothing in it grows without one of these.

use std::time::Duration;

/// Bounds of a [`Broker`](super::Broker). The defaults suit a machine with a few hundred megabytes to spare.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Largest packet from a client, in bytes of its remaining length. Default 1 MiB.
    ///
    /// A larger one closes the connection before its content is read.
    pub packet_bytes_max: usize,
    /// Largest CONNECT, in bytes. Default 64 KiB, since nothing is known yet about its sender.
    ///
    /// A larger one closes the connection.
    pub connect_bytes_max: usize,
    /// Connections of all listeners at a time, those in a TLS or WebSocket handshake included. Default 10,000.
    ///
    /// One more is accepted and closed at once; see [`Stats::connections_over_limit`](super::Stats).
    pub connections_max: usize,
    /// Time from the accepted connection to a complete, authenticated CONNECT, with TLS and WebSocket before it.
    /// Default 10 s.
    ///
    /// After it the connection is closed.
    pub connect_timeout: Duration,
    /// Subscriptions of one client. Default 256.
    ///
    /// One more is answered with SUBACK return code 0x80.
    pub subscriptions_per_client_max: usize,
    /// Subscriptions of all clients together. Default 500,000.
    ///
    /// One more is answered with SUBACK return code 0x80.
    pub subscriptions_total_max: usize,
    /// Length of a topic filter, in bytes. Default 1,024.
    ///
    /// A longer one is answered with SUBACK return code 0x80.
    pub filter_bytes_max: usize,
    /// Levels of a topic filter. Default 32; oneM2M needs 6.
    ///
    /// One with more is answered with SUBACK return code 0x80.
    pub filter_levels_max: usize,
    /// Messages with QoS 1 and 2 sent to one client and not acknowledged yet. Default 128.
    ///
    /// Further messages wait in the client's queue. The receive maximum of a client of MQTT 5 may make it less.
    pub in_flight_max: usize,
    /// Messages waiting for one client, in flight or not. Default 10,000.
    ///
    /// A new message is refused (the waiting ones were promised, so they stay): it is not delivered to this client,
    /// the link that publishes it is told, and it counts in [`Stats::dropped_queue_full`](super::Stats).
    pub queued_messages_per_client_max: usize,
    /// Bytes waiting for one client, topics and a fixed cost for each message included. Default 16 MiB.
    ///
    /// As [`Limits::queued_messages_per_client_max`].
    pub queued_bytes_per_client_max: usize,
    /// Bytes waiting for all clients together. Default 256 MiB.
    ///
    /// As [`Limits::queued_messages_per_client_max`], counted in [`Stats::dropped_memory_full`](super::Stats).
    pub queued_bytes_total_max: usize,
    /// PUBLISH packets with QoS 1 and 2 of one connection that are not acknowledged yet, because the link has not
    /// accepted them. Default 1,024. Also the number of QoS 2 packet identifiers of one client awaiting PUBREL.
    ///
    /// At the first bound the connection is not read from until the link accepts; at the second it is closed. Clients
    /// of MQTT 5 are told as receive maximum (65,535 at most), and their connection is closed beyond it.
    pub unacknowledged_max: usize,
    /// PUBLISH packets of one connection that the policy denies within [`Limits::denied_publishes_window`]. Default
    /// 20; 0 for any number.
    ///
    /// One more closes the connection; those before are acknowledged and dropped.
    pub denied_publishes_max: usize,
    /// See [`Limits::denied_publishes_max`]. Default 1 min.
    pub denied_publishes_window: Duration,
    /// Messages waiting in the queue of one link. Default 4,096.
    ///
    /// When it is full, connections whose messages go there are not read from; nothing is lost.
    pub link_messages_max: usize,
    /// Bytes waiting in the queue of one link. Default 32 MiB; the last message may go beyond it.
    ///
    /// As [`Limits::link_messages_max`].
    pub link_bytes_max: usize,
    /// Sessions kept for clients that are not connected. Default 10,000.
    ///
    /// For one more, a session of the identity with the most of them is forgotten, the one that would end first; see
    /// [`Stats::sessions_displaced`](super::Stats).
    pub offline_sessions_max: usize,
    /// Of these, sessions of one identity. Default 100. Clients without identity ([`Identity::is_nobody`]) are not one,
    /// and only [`Limits::offline_sessions_max`] holds for them.
    ///
    /// For one more, that of the identity's own sessions is forgotten that would end first; the new one is what a device
    /// comes back for, while those with old client identifiers may be nobody's any more. Counted in
    /// [`Stats::sessions_displaced`](super::Stats).
    ///
    /// [`Identity::is_nobody`]: super::Identity::is_nobody
    pub offline_sessions_per_identity_max: usize,
    /// How long a session is kept at most for a client that is not connected; clients of MQTT 5 choose a shorter time
    /// themselves. Default 7 days.
    ///
    /// After it the session is forgotten with its messages.
    pub offline_expiry: Duration,
}

impl Limits {
    /// Receive maximum of version 5: at least 1, since 0 is not allowed.
    pub(crate) fn receive_max(&self) -> usize {
        self.unacknowledged_max.clamp(1, usize::from(u16::MAX))
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            packet_bytes_max: 1024 * 1024,
            connect_bytes_max: 64 * 1024,
            connections_max: 10_000,
            connect_timeout: Duration::from_secs(10),
            subscriptions_per_client_max: 256,
            subscriptions_total_max: 500_000,
            filter_bytes_max: 1024,
            filter_levels_max: 32,
            in_flight_max: 128,
            queued_messages_per_client_max: 10_000,
            queued_bytes_per_client_max: 16 * 1024 * 1024,
            queued_bytes_total_max: 256 * 1024 * 1024,
            unacknowledged_max: 1024,
            denied_publishes_max: 20,
            denied_publishes_window: Duration::from_secs(60),
            link_messages_max: 4096,
            link_bytes_max: 32 * 1024 * 1024,
            offline_sessions_max: 10_000,
            offline_sessions_per_identity_max: 100,
            offline_expiry: Duration::from_secs(7 * 24 * 60 * 60),
        }
    }
}
