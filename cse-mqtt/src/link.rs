//! What the binding needs of a broker, whether it is embedded or reached over the network.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cse_core::id::Peer;
use cse_core::ports::BoxFuture;

/// A message that came in.
pub(crate) struct Inbound {
    /// Topic name.
    pub(crate) topic: Arc<str>,
    /// Payload.
    pub(crate) payload: Bytes,
    /// DUP: the sender (or the external broker) has sent it before.
    pub(crate) duplicate: bool,
    /// Who published it, as far as the link knows.
    pub(crate) peer: Peer,
    /// What the broker says of the sender as the topic has it; `None` where it does not judge that, and the topic is
    /// taken at its word.
    pub(crate) vouched: Option<Vouched>,
    /// To be used when the message has done its work; dropped unused, the message comes again some day.
    pub(crate) acknowledgement: Option<Box<dyn Acknowledgement>>,
}

/// What a broker that knows its clients says of the sender of a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Vouched {
    /// The topic is its own, and it is an AE, or is about to become one.
    Ae,
    /// The topic is its own, and it is a CSE.
    Cse,
    /// The topic is not its own.
    Not,
}

/// Tells the broker that a message has done its work.
pub(crate) trait Acknowledgement: Send {
    /// Everything published before this call reaches the broker before this acknowledgement does.
    fn acknowledge(self: Box<Self>);
}

/// Is given each message, topic and payload, as it is read, before it waits behind others. `true`: it was an answer to a
/// request of this CSE and has done its work.
pub(crate) type AnswerTaker = Arc<dyn Fn(&str, &[u8]) -> bool + Send + Sync>;

/// Filters that are listened under for answers, besides those of the binding itself, of one link.
pub(crate) const MORE_FILTERS_MAX: usize = 128;

/// A subscription of a link.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Subscription {
    pub(crate) filter: String,
    /// Without it the link is of no use. A broker may refuse the others: what arrives under them does not arrive then.
    pub(crate) needed: bool,
}

impl Subscription {
    pub(crate) fn needed(filters: impl IntoIterator<Item = String>) -> impl Iterator<Item = Self> {
        filters.into_iter().map(|filter| Self { filter, needed: true })
    }

    pub(crate) fn wanted(filters: impl IntoIterator<Item = String>) -> impl Iterator<Item = Self> {
        filters.into_iter().map(|filter| Self { filter, needed: false })
    }
}

/// Why a message is not taken.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum Refused {
    #[error("too many messages are waiting for the broker")]
    Full,
    #[error("the message has {0} bytes, more than the broker takes")]
    TooLarge(usize),
    #[error("not a topic name")]
    InvalidTopic,
    #[error("the connection to the broker has been closed")]
    Closed,
    #[error("answers are awaited under too many topic prefixes")]
    TooManyFilters,
}

/// What is known of a published message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Progress {
    /// Not yet acknowledged by the broker.
    Waiting,
    /// The broker has it; receivers are not known, or have not acknowledged it yet.
    TakenOver,
    /// Everybody who was to get it has it.
    Received,
    /// Nobody is subscribed to its topic.
    NoReceiver,
    /// It will not arrive.
    Lost,
}

/// Follows one published message. Dropped before the message was sent, it may withdraw it.
pub(crate) trait Receipt: Send {
    /// What is known now.
    fn progress(&mut self) -> Progress;
    /// Waits for something else than [`Progress::Waiting`]. Cancel safe.
    fn settled(&mut self) -> BoxFuture<'_, Progress>;
    /// Whether the message may arrive although nobody waits any more: it has left, or cannot be withdrawn.
    fn may_arrive(&self) -> bool {
        true
    }
    /// Waits until as much is known as ever will be: with an external broker, that it has the message. Cancel safe.
    fn received(&mut self) -> BoxFuture<'_, Progress> {
        self.settled()
    }
    /// Acknowledges the request that the message answers, when the answer can be lost no more. Without more to be
    /// known than the order of both on the way to the broker, that is now.
    fn acknowledge_when_safe(&mut self, request: Box<dyn Acknowledgement>) {
        request.acknowledge();
    }
}

/// The sending half of a link. Never waits: it takes a message, or refuses it.
pub(crate) trait Publisher: Send + Sync + 'static {
    /// Publishes an answer with QoS 1. Refused only if it could never be sent: a link that has no room for answers
    /// gives no requests. It need not be delivered later than `expiry` from now.
    fn publish_answer(
        &self,
        topic: String,
        payload: Bytes,
        expiry: Option<Duration>,
    ) -> Result<Option<Box<dyn Receipt>>, Refused>;
    /// Subscribes to more, before anything that is published later. Refused beyond [`MORE_FILTERS_MAX`].
    fn listen(&self, filters: &[String]) -> Result<(), Refused>;
    /// Whether a client that is named after an entity (as a topic level) listens to a topic, connected or with a session
    /// that is kept. `false` where the broker does not tell.
    fn is_heard_by(&self, _topic: &str, _entity: &str) -> bool {
        false
    }
    /// Publishes a request with QoS 1 and follows it. It need not be delivered later than `expiry` from now.
    fn publish_request(
        &self,
        topic: String,
        payload: Bytes,
        expiry: Option<Duration>,
    ) -> Result<Box<dyn Receipt>, Refused>;
}

/// The receiving half of a link, in the hands of one task.
pub(crate) trait Link: Send + 'static {
    /// The next message that the link's [`AnswerTaker`] has not taken, in the order of arrival; `None` when there will be no more. Cancel safe.
    fn receive(&mut self) -> impl Future<Output = Option<Inbound>> + Send;
    /// Lets everything published reach the broker and ends. The caller limits the time.
    fn close(self) -> impl Future<Output = ()> + Send;
}

/// Whether the broker is there, for readiness probes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum LinkStatus {
    /// Not connected, or not subscribed yet.
    #[default]
    Down,
    /// Connected and subscribed.
    Up,
}
