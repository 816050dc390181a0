//! The in-process link: how the service behind the broker takes part without a socket.
//!
//! A link subscribes like a client, but decides when a message counts as accepted: PUBACK or PUBREC goes to the
//! publishing client only after [`AckToken::accept`]. Its queue is bounded, and when it is full the connections that
//! feed it are not read from, so that a fast publisher waits and nothing is lost.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use parking_lot::Mutex;
use rumqttc::QoS;

use super::Core;
use super::codec::REMAINING_LENGTH_MAX;
use super::connection::ConnectionShared;
use super::delivery::{DeliveryGuard, DeliveryHandle};
use super::filter::{InvalidFilter, TopicFilter, is_topic_name};
use super::policy::Client;
use super::router::{Published, Target};
use super::session::{Message, Session};

/// A message for a link.
#[derive(Debug)]
pub struct Inbound {
    /// Topic it was published to.
    pub topic: Arc<str>,
    /// Its content.
    pub payload: Bytes,
    /// QoS of the publisher's packet.
    pub qos: QoS,
    /// DUP of the publisher's packet.
    pub dup: bool,
    /// Who published it.
    pub publisher: Arc<Client>,
    /// Decides about its acknowledgement.
    pub ack: AckToken,
}

/// Is shown each message for a link, in the task of whoever publishes it, before it waits for room in the queue behind
/// others. `true`: the message has done its work, is acknowledged, and does not get into the queue.
///
/// It has to be quick, and must not publish.
pub type Shortcut = Arc<dyn Fn(&Inbound) -> bool + Send + Sync>;

/// The right, and the duty, to let a message be acknowledged to its publisher.
///
/// Dropped without [`AckToken::accept`], the message stays unacknowledged: its client sends it again, with DUP, on its
/// next connection. Acknowledgements go out in the order of receipt, so a message never accepted holds back those
/// behind it on the same connection.
#[derive(Debug)]
pub struct AckToken(Decision);

#[derive(Debug)]
enum Decision {
    /// Accepted already, or QoS 0.
    None,
    AtLeastOnce {
        connection: Arc<ConnectionShared>,
        sequence: u64,
    },
    ExactlyOnce(ExactDecision),
    /// Published by another link.
    Delivery(DeliveryGuard),
}

struct ExactDecision {
    session: Arc<Session>,
    packet_id: u16,
    attempt: u64,
}

impl AckToken {
    pub(crate) fn none() -> Self {
        Self(Decision::None)
    }

    pub(crate) fn at_least_once(connection: Arc<ConnectionShared>, sequence: u64) -> Self {
        Self(Decision::AtLeastOnce { connection, sequence })
    }

    pub(crate) fn exactly_once(session: Arc<Session>, packet_id: u16, attempt: u64) -> Self {
        Self(Decision::ExactlyOnce(ExactDecision { session, packet_id, attempt }))
    }

    pub(crate) fn delivery(guard: Option<DeliveryGuard>) -> Self {
        Self(guard.map_or(Decision::None, Decision::Delivery))
    }

    /// The message is safe with the receiver. If the publisher's connection is gone, this does nothing for QoS 1,
    /// and for QoS 2 makes its redelivery known as a duplicate.
    pub fn accept(mut self) {
        match std::mem::replace(&mut self.0, Decision::None) {
            Decision::None => {}
            Decision::AtLeastOnce { connection, sequence } => connection.complete(sequence),
            Decision::ExactlyOnce(decision) => decision.session.exact_accept(decision.packet_id, decision.attempt),
            Decision::Delivery(guard) => guard.acknowledged(),
        }
    }
}

impl Drop for AckToken {
    fn drop(&mut self) {
        if let Decision::ExactlyOnce(decision) = &self.0 {
            decision.session.exact_abandon(decision.packet_id, decision.attempt);
        }
    }
}

impl std::fmt::Debug for ExactDecision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ExactDecision").field("packet_id", &self.packet_id).finish_non_exhaustive()
    }
}

/// What the router knows of a link.
pub(crate) struct LinkShared {
    pub(crate) id: u64,
    pub(crate) client: Arc<Client>,
    messages_max: usize,
    bytes_max: usize,
    shortcut: Option<Shortcut>,
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    messages: VecDeque<Inbound>,
    bytes: usize,
    receiver: Option<Waker>,
    /// Connections that found the queue full, each once.
    waiting: Vec<Arc<ConnectionShared>>,
    closed: bool,
    filters: Vec<TopicFilter>,
}

/// Whether a link took a message.
pub(crate) enum Push {
    Taken,
    /// No room; the message is given back. `first` if the connection was not waiting for room already.
    Full {
        inbound: Inbound,
        first: bool,
    },
}

impl LinkShared {
    pub(crate) fn new(
        id: u64,
        client: Arc<Client>,
        messages_max: usize,
        bytes_max: usize,
        shortcut: Option<Shortcut>,
    ) -> Self {
        Self { id, client, messages_max, bytes_max, shortcut, queue: Mutex::default() }
    }

    /// Gives a message back that has to go through the queue.
    pub(crate) fn take_at_once(&self, inbound: Inbound) -> Option<Inbound> {
        if self.shortcut.as_ref().is_some_and(|shortcut| shortcut(&inbound)) {
            inbound.ack.accept();
            return None;
        }
        Some(inbound)
    }

    /// Takes a message; if there is no room, `connection` (if any) is woken when there is.
    pub(crate) fn push(&self, inbound: Inbound, connection: Option<&Arc<ConnectionShared>>) -> Push {
        let mut queue = self.queue.lock();
        if queue.closed {
            return Push::Taken;
        }
        if queue.messages.len() >= self.messages_max || queue.bytes >= self.bytes_max {
            let first = match connection {
                Some(connection) if connection.begin_waiting(self.id) => {
                    queue.waiting.push(Arc::clone(connection));
                    true
                }
                _ => false,
            };
            return Push::Full { inbound, first };
        }
        queue.bytes += inbound.topic.len() + inbound.payload.len();
        let receiver = if queue.messages.is_empty() { queue.receiver.take() } else { None };
        queue.messages.push_back(inbound);
        drop(queue);
        if let Some(receiver) = receiver {
            receiver.wake();
        }
        Push::Taken
    }

    fn poll_receive(&self, cx: &mut Context<'_>, into: &mut Vec<Inbound>, max: usize) -> Poll<usize> {
        let mut queue = self.queue.lock();
        if queue.messages.is_empty() {
            queue.receiver = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let count = max.min(queue.messages.len());
        let before = into.len();
        into.extend(queue.messages.drain(..count));
        let freed: usize = into[before..].iter().map(|inbound| inbound.topic.len() + inbound.payload.len()).sum();
        queue.bytes -= freed;
        // At half, so that connections are not woken for every single place.
        if !queue.waiting.is_empty()
            && queue.messages.len() <= self.messages_max / 2
            && queue.bytes <= self.bytes_max / 2
        {
            queue.wake_waiting(self.id);
        }
        Poll::Ready(count)
    }

    /// Takes nothing any more; gives the filters to remove and drops what waits.
    fn close(&self) -> Vec<TopicFilter> {
        let (filters, messages) = {
            let mut queue = self.queue.lock();
            queue.closed = true;
            queue.bytes = 0;
            queue.wake_waiting(self.id);
            (std::mem::take(&mut queue.filters), std::mem::take(&mut queue.messages))
        };
        // Their tokens reach for the locks of sessions, so not under ours.
        drop(messages);
        filters
    }
}

impl Queue {
    fn wake_waiting(&mut self, link: u64) {
        for connection in self.waiting.drain(..) {
            connection.end_waiting(link);
        }
    }
}

/// What became of a message published by a link, as far as it is known at once.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct PublishOutcome {
    /// Sessions and links with a matching subscription that took the message.
    pub matched: usize,
    /// Sessions and links with a matching subscription that could not take it: queue full, or QoS 0 and offline.
    pub refused: usize,
}

/// Why a link cannot publish a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PublishError {
    /// The topic is empty, longer than 65,535 bytes, or has a wildcard or NUL.
    #[error("not a topic name")]
    InvalidTopic,
    /// The packet would be longer than MQTT can express.
    #[error("message too large for MQTT")]
    TooLarge,
}

/// The sending half of a link. Clones are the same link.
#[derive(Clone)]
pub struct Link {
    core: Arc<Core>,
    shared: Arc<LinkShared>,
}

impl Link {
    pub(crate) fn new(core: Arc<Core>, shared: Arc<LinkShared>) -> Self {
        Self { core, shared }
    }

    /// Publishes a message without asking the policy. Never waits: receivers with full queues are reported.
    ///
    /// # Errors
    /// If it cannot be a PUBLISH at all.
    pub fn publish(&self, topic: &str, payload: Bytes, qos: QoS) -> Result<PublishOutcome, PublishError> {
        Ok(self.publish_to(&Self::message(topic, payload, None)?, qos, None))
    }

    /// As [`Link::publish`], and tells when the receivers have acknowledged the message.
    ///
    /// # Errors
    /// If it cannot be a PUBLISH at all.
    pub fn publish_tracked(
        &self,
        topic: &str,
        payload: Bytes,
        qos: QoS,
    ) -> Result<(PublishOutcome, DeliveryHandle), PublishError> {
        Ok(self.follow(&Self::message(topic, payload, None)?, qos))
    }

    /// As [`Link::publish_tracked`], for a message whose delivery to a client does not begin any more when `lifetime`
    /// is over. Clients of MQTT 5 are told what is left of it.
    ///
    /// # Errors
    /// If it cannot be a PUBLISH at all.
    pub fn publish_expiring(
        &self,
        topic: &str,
        payload: Bytes,
        qos: QoS,
        lifetime: Duration,
    ) -> Result<(PublishOutcome, DeliveryHandle), PublishError> {
        Ok(self.follow(&Self::message(topic, payload, self.core.clock.after(lifetime))?, qos))
    }

    fn follow(&self, message: &Message, qos: QoS) -> (PublishOutcome, DeliveryHandle) {
        let handle = DeliveryHandle::new();
        let outcome = self.publish_to(message, qos, Some(&handle));
        handle.routed();
        (outcome, handle)
    }

    fn message(topic: &str, payload: Bytes, expires: Option<SystemTime>) -> Result<Message, PublishError> {
        if topic.len() > usize::from(u16::MAX) || !is_topic_name(topic) {
            return Err(PublishError::InvalidTopic);
        }
        if payload.len() + topic.len() + 4 > REMAINING_LENGTH_MAX {
            return Err(PublishError::TooLarge);
        }
        Ok(Message { topic: topic.into(), payload, expires, properties: None })
    }

    fn publish_to(&self, message: &Message, qos: QoS, handle: Option<&DeliveryHandle>) -> PublishOutcome {
        self.core.publish_from_link(&self.shared, message, Published { qos, handle })
    }

    /// Whether somebody is subscribed to a topic whose client identifier is one of those.
    pub fn is_heard_by(&self, topic: &str, is_wanted: impl Fn(&str) -> bool) -> bool {
        self.core.router.with_matching(topic, self.shared.id, |subscribers| {
            subscribers.iter().any(|(_, subscriber)| match &subscriber.target {
                Target::Session(session) => is_wanted(&session.client_id),
                Target::Link(_) => false,
            })
        })
    }

    /// Adds a subscription; the link gets matching messages with the QoS of their publisher, but not its own.
    ///
    /// # Errors
    /// If `filter` is malformed, too long, or shared.
    pub fn subscribe(&self, filter: &str) -> Result<(), InvalidFilter> {
        let filter = self.core.parse_filter(filter)?;
        {
            let mut queue = self.shared.queue.lock();
            if queue.closed || queue.filters.contains(&filter) {
                return Ok(());
            }
            queue.filters.push(filter.clone());
        }
        self.core.router.subscribe_link(&self.shared, &filter);
        // The receiver may have gone in between and must leave no subscription behind.
        if self.shared.queue.lock().closed {
            self.core.router.remove(self.shared.id, &[filter]);
        }
        Ok(())
    }

    /// Removes a subscription; `false` if there was none.
    pub fn unsubscribe(&self, filter: &str) -> bool {
        let removed = {
            let mut queue = self.shared.queue.lock();
            let at = queue.filters.iter().position(|own| own.as_str() == filter);
            at.map(|at| queue.filters.swap_remove(at))
        };
        let Some(filter) = removed else {
            return false;
        };
        self.core.router.remove(self.shared.id, &[filter]);
        true
    }
}

/// The receiving half of a link. Dropping it ends the link's subscriptions.
pub struct LinkReceiver {
    core: Arc<Core>,
    shared: Arc<LinkShared>,
}

impl LinkReceiver {
    pub(crate) fn new(core: Arc<Core>, shared: Arc<LinkShared>) -> Self {
        Self { core, shared }
    }

    /// Waits for messages and appends up to `max` (at least one) of them to `into`, in the order of each publisher.
    /// Gives their number. Cancel safe.
    pub async fn receive(&mut self, into: &mut Vec<Inbound>, max: usize) -> usize {
        poll_fn(|cx| self.shared.poll_receive(cx, into, max.max(1))).await
    }
}

impl Drop for LinkReceiver {
    fn drop(&mut self) {
        let filters = self.shared.close();
        self.core.router.remove(self.shared.id, &filters);
    }
}
