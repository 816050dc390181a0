//! What waits until something is safe: stored, or not needed any more.
//!
//! A hold travels with what it waits for. Wherever that ends (stored, acknowledged by its receiver, expired, gone with
//! its session), the hold is dropped, and that lets go what waited. Dropping one may take the lock of a session, so it
//! is never done under one.

use std::sync::Arc;

use super::connection::ConnectionShared;
use super::delivery;
use super::session::Session;

/// Lets something go when it is dropped.
pub(crate) struct Hold(Option<Waiting>);

enum Waiting {
    /// PUBACK or PUBREC.
    Acknowledgement { connection: Arc<ConnectionShared>, sequence: u64 },
    /// The decision about a QoS 2 message.
    Exact { session: Arc<Session>, packet_id: u16, attempt: u64 },
    /// SUBACK, UNSUBACK, PUBREL or PUBCOMP.
    Reply { connection: Arc<ConnectionShared>, sequence: u64 },
    /// Whoever published through a link.
    Publisher(Arc<delivery::Shared>),
}

impl Hold {
    pub(crate) fn acknowledgement(connection: Arc<ConnectionShared>, sequence: u64) -> Self {
        Self(Some(Waiting::Acknowledgement { connection, sequence }))
    }

    pub(crate) fn exact(session: Arc<Session>, packet_id: u16, attempt: u64) -> Self {
        Self(Some(Waiting::Exact { session, packet_id, attempt }))
    }

    pub(crate) fn reply(connection: Arc<ConnectionShared>, sequence: u64) -> Self {
        Self(Some(Waiting::Reply { connection, sequence }))
    }

    pub(crate) fn publisher(delivery: Arc<delivery::Shared>) -> Self {
        Self(Some(Waiting::Publisher(delivery)))
    }

    /// Nobody is to be told any more.
    pub(crate) fn discard(mut self) {
        self.0 = None;
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        match self.0.take() {
            None => {}
            Some(Waiting::Acknowledgement { connection, sequence }) => connection.complete(sequence),
            Some(Waiting::Exact { session, packet_id, attempt }) => session.exact_accept(packet_id, attempt),
            Some(Waiting::Reply { connection, sequence }) => connection.complete_reply(sequence),
            Some(Waiting::Publisher(delivery)) => delivery.one_safe(),
        }
    }
}
