//! Sessions that survive the process: the seam to whatever stores them, and what is promised.
//!
//! Of a kept session are stored: itself, its subscriptions, the QoS 1 and 2 messages that wait for its client, and the
//! packet identifiers of QoS 2 messages that its client has not released. The promise: **nothing that has been
//! acknowledged to somebody is forgotten.** A SUBACK leaves when the subscription is stored; the acknowledgement of a
//! message leaves when every kept session that was given the message either has it stored or has already got its
//! client's acknowledgement. Sessions that end with their connection, and receivers with QoS 0, hold nothing up.
//!
//! The stored state runs a little behind. Sessions note what has changed and list themselves in the [`Journal`]; one
//! task, the [`Persister`], looks at the listed sessions a few milliseconds later and commits what still matters in one
//! transaction. Most messages have been acknowledged by then, so that live traffic is hardly ever written. What is only
//! removed (acknowledged messages, ended sessions) nobody waits for: if a crash comes first, a message is delivered
//! again, marked as duplicate, or a session is there that could have gone.

mod journal;
mod persister;
mod restore;

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use rumqttc::QoS;

pub(crate) use journal::{Budget, Collected, Journal};
pub use persister::{Persister, PersisterStatus};

/// Stores sessions. One task uses it, one call at a time.
pub trait Persistence: Send + 'static {
    /// Makes all of `changes` durable, or none. The order is: everything that is put, then everything that is removed,
    /// sessions last. Putting something again replaces it, and removing what is not there is no error, since after a
    /// failure whose outcome is uncertain the same change comes again.
    fn commit(&mut self, changes: &Changes) -> impl Future<Output = Result<(), PersistenceError>> + Send;

    /// Ends after the last commit.
    fn close(self) -> impl Future<Output = Result<(), PersistenceError>> + Send;
}

/// Why a commit failed. Its text is for the log and for readiness probes.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct PersistenceError(pub String);

/// What one commit stores and removes.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Changes {
    /// Sessions, new or changed.
    pub sessions: Vec<SessionRecord>,
    /// Subscriptions, new or changed.
    pub subscriptions: Vec<SubscriptionRecord>,
    /// Messages, new, or reduced to their release.
    pub messages: Vec<MessageRecord>,
    /// QoS 2 packet identifiers that clients have used and not released.
    pub received: Vec<PacketKey>,
    /// Subscriptions that have ended.
    pub subscriptions_ended: Vec<SubscriptionKey>,
    /// Messages that are done with.
    pub messages_done: Vec<MessageRange>,
    /// Packet identifiers that are free again.
    pub released: Vec<PacketKey>,
    /// Sessions that have ended, with everything of theirs.
    pub sessions_ended: Vec<u64>,
}

impl Changes {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
            && self.subscriptions.is_empty()
            && self.messages.is_empty()
            && self.received.is_empty()
            && self.subscriptions_ended.is_empty()
            && self.messages_done.is_empty()
            && self.released.is_empty()
            && self.sessions_ended.is_empty()
    }
}

/// A session without what hangs on it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SessionRecord {
    /// Unique among all sessions ever stored.
    pub id: u64,
    /// Client identifier.
    pub client_id: Arc<str>,
    /// Name of the identity that owns the session.
    pub identity: Arc<str>,
    /// How long it outlives its connection.
    pub expiry: Duration,
    /// When it ends unless its client comes back; none while the client is connected.
    pub ends: Option<SystemTime>,
    /// Messages with a number below have been sent. While the client is connected, more may have been.
    pub sent_below: u64,
}

/// A subscription.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SubscriptionRecord {
    /// Whose it is.
    pub key: SubscriptionKey,
    /// Highest QoS.
    pub qos: QoS,
    /// MQTT 5: not for the client's own messages.
    pub no_local: bool,
}

/// What identifies a subscription.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SubscriptionKey {
    /// [`SessionRecord::id`].
    pub session: u64,
    /// Topic filter.
    pub filter: Arc<str>,
}

/// A message that waits for a client.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MessageRecord {
    /// [`SessionRecord::id`].
    pub session: u64,
    /// Place in the session's order, from 1. The packet identifier follows from it.
    pub number: u64,
    /// 1 or 2.
    pub qos: QoS,
    /// The message; none once the client has confirmed its receipt and only PUBREL has to arrive.
    pub content: Option<MessageContent>,
}

/// What a message says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MessageContent {
    /// Topic.
    pub topic: Arc<str>,
    /// Payload.
    pub payload: Bytes,
    /// It is not delivered any more from then on.
    pub expires: Option<SystemTime>,
    /// Encoded properties of MQTT 5 that go with it.
    pub properties: Option<Bytes>,
}

/// Messages of one session with consecutive numbers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct MessageRange {
    /// [`SessionRecord::id`].
    pub session: u64,
    /// The first.
    pub first: u64,
    /// The last.
    pub last: u64,
}

/// A packet identifier of a client.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PacketKey {
    /// [`SessionRecord::id`].
    pub session: u64,
    /// The packet identifier.
    pub packet_id: u16,
}

/// A session as it was stored, to begin with.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StoredSession {
    /// The session.
    pub record: SessionRecord,
    /// Its subscriptions; [`SubscriptionKey::session`] is that of the record.
    pub subscriptions: Vec<SubscriptionRecord>,
    /// Its messages by growing number; [`MessageRecord::session`] is that of the record.
    pub messages: Vec<MessageRecord>,
    /// QoS 2 packet identifiers that the client has used and not released.
    pub received: Vec<u16>,
}
