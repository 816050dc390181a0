//! One client's session: what it still has to receive, and what it has received exactly once.
//!
//! A session outlives connections if the client asked for that. It does no I/O: the connection task takes bytes out of
//! it and feeds acknowledgements into it. A message accepted for a session stays until the client acknowledges it, so
//! a full queue refuses new messages and never drops old ones.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use parking_lot::Mutex;
use rumqttc::QoS;
use rustc_hash::FxHashMap;
use tokio::time::Instant;

mod exact;
mod kept;
mod restored;
mod sending;

pub(crate) use exact::Receipt;
pub(crate) use kept::{Part, Round};

use super::Core;
use super::clock::WallClock;
use super::connection::ConnectionShared;
use super::delivery::DeliveryGuard;
use super::filter::TopicFilter;
use super::hold::Hold;
use super::limits::Limits;
use super::policy::{Client, Identity, Proof};
use super::standing::Admitted;
use exact::Exact;
use kept::Kept;

/// What a message costs beside its topic and payload, roughly.
const MESSAGE_OVERHEAD_BYTES: usize = 128;

/// Longer than anything runs, and short enough to be added to any time.
const FOREVER: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

/// A message on its way to clients.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) topic: Arc<str>,
    pub(crate) payload: Bytes,
    /// From then on its delivery does not begin any more.
    pub(crate) expires: Option<SystemTime>,
    /// MQTT 5 properties to be passed on as they are, encoded, without their length: payload format, content type,
    /// response topic, correlation data, user properties.
    pub(crate) properties: Option<Bytes>,
}

impl Message {
    fn is_expired(&self, clock: &WallClock) -> bool {
        self.expires.is_some_and(|expires| expires <= clock.now())
    }

    fn cost(&self) -> usize {
        let properties = self.properties.as_ref().map_or(0, Bytes::len);
        self.topic.len() + self.payload.len() + properties + MESSAGE_OVERHEAD_BYTES
    }
}

/// What a client wants of the messages that match one of its filters.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Wish {
    /// Highest QoS.
    pub(crate) qos: QoS,
    /// MQTT 5: not those that it published itself.
    pub(crate) no_local: bool,
}

/// What a session did with a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Offer {
    Queued,
    /// QoS 0 and not connected.
    Offline,
    /// The session's own queue is full.
    QueueFull,
    /// All queues together are full.
    MemoryFull,
}

/// Bytes waiting in all sessions of a broker.
#[derive(Debug, Default)]
pub(crate) struct Memory(AtomicUsize);

impl Memory {
    fn add(&self, bytes: usize) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }

    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// A client's session.
pub(crate) struct Session {
    /// Unique among all sessions and links of the broker.
    pub(crate) id: u64,
    pub(crate) client_id: Arc<str>,
    /// Whether it survives the process.
    is_stored: bool,
    memory: Arc<Memory>,
    limits: Arc<Limits>,
    state: Mutex<State>,
}

struct State {
    client: Arc<Client>,
    /// What its client was let in for last.
    proof: Option<Proof>,
    connection: Option<Arc<ConnectionShared>>,
    /// How long it outlives its connection; zero: it ends with it.
    expiry: Duration,
    /// When it ends unless its client comes back; none while the client is connected.
    offline_until: Option<Instant>,
    /// Forgotten by the broker: takes nothing any more.
    removed: bool,
    subscriptions: FxHashMap<TopicFilter, Wish>,
    queue: VecDeque<Queued>,
    in_flight: VecDeque<InFlight>,
    /// Entries at the end of `in_flight` not sent on this connection yet.
    unsent: usize,
    /// Number of the last message with QoS 1 or 2.
    last_number: u64,
    /// No message in `queue` expires before this time; none if none expires at all.
    first_expiry: Option<SystemTime>,
    queued_bytes: usize,
    exact: FxHashMap<u16, Exact>,
    last_attempt: u64,
    /// Of sessions that survive the process.
    kept: Option<Box<Kept>>,
}

struct Queued {
    /// Its place in the order of the session; with QoS 0 that of the message before it.
    number: u64,
    message: Message,
    qos: QoS,
    guard: Option<DeliveryGuard>,
    /// Lets the acknowledgement to the publisher go.
    hold: Option<Hold>,
}

struct InFlight {
    number: u64,
    packet_id: u16,
    cost: usize,
    stage: Stage,
}

enum Stage {
    /// PUBLISH sent with QoS 1 or 2, waiting for PUBACK or PUBREC.
    Publish(Queued),
    /// QoS 2: PUBREC received, waiting for PUBCOMP.
    Release,
}

/// A resumed session's previous connection, or when it would have ended.
pub(crate) struct Displaced {
    pub(crate) connection: Option<Arc<ConnectionShared>>,
    pub(crate) offline_until: Option<Instant>,
}

impl InFlight {
    fn is_exactly_once(&self) -> bool {
        matches!(&self.stage, Stage::Publish(queued) if queued.qos == QoS::ExactlyOnce)
    }
}

/// What became of a session that a connection has left.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Detached {
    /// Another connection has it.
    NotMine,
    /// It is to end now.
    Ended,
    /// It waits for its client until then.
    Kept(Instant),
}

/// Numbers about one session, for metrics and administration.
#[derive(Clone, Debug)]
pub struct SessionSnapshot {
    /// The client as it connected last.
    pub client: Arc<Client>,
    /// Whether it is connected.
    pub connected: bool,
    /// Whether the session ends with the connection.
    pub clean: bool,
    /// Number of subscriptions.
    pub subscriptions: usize,
    /// Messages not sent yet.
    pub queued_messages: usize,
    /// Messages sent with QoS 1 or 2 and not acknowledged.
    pub in_flight: usize,
    /// Bytes of both.
    pub queued_bytes: usize,
}

impl Session {
    pub(crate) fn new(core: &Core, expiry: Duration, connection: Arc<ConnectionShared>) -> Arc<Self> {
        // One that ends with its connection ends with the process, too.
        let journal = core.journal.as_ref().filter(|_| !expiry.is_zero());
        let session = Self::make(core, core.next_id(), Arc::clone(&connection.client), expiry, |session| {
            journal.map(|journal| Box::new(Kept::new(Arc::clone(journal), session)))
        });
        {
            let mut state = session.state.lock();
            state.proof = connection.proof;
            state.connection = Some(connection);
            if let Some(kept) = &mut state.kept {
                kept.note();
            }
        }
        session
    }

    fn make(
        core: &Core,
        id: u64,
        client: Arc<Client>,
        expiry: Duration,
        kept: impl FnOnce(Weak<Self>) -> Option<Box<Kept>>,
    ) -> Arc<Self> {
        Arc::new_cyclic(|session| {
            let kept = kept(Weak::clone(session));
            Self {
                id,
                client_id: Arc::clone(&client.client_id),
                is_stored: kept.is_some(),
                memory: Arc::clone(&core.memory),
                limits: Arc::clone(&core.limits),
                state: Mutex::new(State {
                    client,
                    proof: None,
                    connection: None,
                    expiry,
                    offline_until: None,
                    removed: false,
                    subscriptions: FxHashMap::default(),
                    queue: VecDeque::new(),
                    in_flight: VecDeque::new(),
                    unsent: 0,
                    last_number: 0,
                    first_expiry: None,
                    queued_bytes: 0,
                    exact: FxHashMap::default(),
                    last_attempt: 0,
                    kept,
                }),
            }
        })
    }

    /// Whether a client of this identity may have the session: it is kept, and has not ended at `now`.
    pub(crate) fn may_be_resumed(&self, identity: &Identity, now: Instant) -> bool {
        let state = self.state.lock();
        let ended = state.offline_until.is_some_and(|until| until <= now);
        !state.expiry.is_zero() && !ended && state.client.identity == *identity
    }

    /// Gives the session to a new connection. What is in flight will be sent again.
    pub(crate) fn attach(&self, connection: Arc<ConnectionShared>, expiry: Duration) -> Displaced {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        state.expiry = expiry;
        state.unsent = state.in_flight.len();
        state.client = Arc::clone(&connection.client);
        state.proof = connection.proof;
        if let Some(kept) = &mut state.kept {
            kept.connection_changed();
            kept.bar(&state.queue);
        }
        Displaced { connection: state.connection.replace(connection), offline_until: state.offline_until.take() }
    }

    /// Takes the session from `connection`, if it still has it, and says what becomes of it. What has no promise of
    /// delivery is dropped.
    pub(crate) fn detach(&self, connection: &Arc<ConnectionShared>, now: Instant) -> Detached {
        let mut state = self.state.lock();
        if !state.is_of(connection) {
            return Detached::NotMine;
        }
        state.connection = None;
        if state.expiry.is_zero() {
            return Detached::Ended;
        }
        let until = now.checked_add(state.expiry).unwrap_or_else(|| now + FOREVER);
        state.offline_until = Some(until);
        if let Some(kept) = &mut state.kept {
            kept.connection_changed();
        }
        let mut freed = 0;
        state.queue.retain(|queued| {
            let keep = queued.qos != QoS::AtMostOnce;
            if !keep {
                freed += queued.message.cost();
            }
            keep
        });
        state.shrink();
        self.release(&mut state, freed);
        Detached::Kept(until)
    }

    /// When the session ends unless its client comes back; none while it is connected.
    pub(crate) fn offline_until(&self) -> Option<Instant> {
        self.state.lock().offline_until
    }

    /// How long the session outlives its connection.
    pub(crate) fn expiry(&self) -> Duration {
        self.state.lock().expiry
    }

    /// Changes it, as DISCONNECT of MQTT 5 may.
    pub(crate) fn set_expiry(&self, connection: &Arc<ConnectionShared>, expiry: Duration) {
        let mut state = self.state.lock();
        if state.is_of(connection) {
            state.expiry = expiry;
        }
    }

    /// Ends the session; gives the subscriptions to remove and the connection to close.
    pub(crate) fn remove(&self) -> (Vec<TopicFilter>, Option<Arc<ConnectionShared>>) {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        state.removed = true;
        let dropped = (std::mem::take(&mut state.queue), std::mem::take(&mut state.in_flight));
        state.unsent = 0;
        state.exact = FxHashMap::default();
        let freed = state.queued_bytes;
        self.release(state, freed);
        let filters = std::mem::take(&mut state.subscriptions).into_keys().collect();
        if let Some(kept) = &mut state.kept {
            kept.end();
        }
        let connection = state.connection.take();
        drop(guard);
        // What waits for these messages may want the lock.
        drop(dropped);
        (filters, connection)
    }

    // === subscriptions ===

    pub(crate) fn has_subscription(&self, filter: &TopicFilter) -> bool {
        self.state.lock().subscriptions.contains_key(filter)
    }

    /// Notes a subscription; `false` if there are too many, or the connection no longer has the session.
    pub(crate) fn subscribe(&self, connection: &Arc<ConnectionShared>, filter: &TopicFilter, wish: Wish) -> bool {
        let mut state = self.state.lock();
        let full = state.subscriptions.len() >= self.limits.subscriptions_per_client_max;
        if state.removed || !state.is_of(connection) || (full && !state.subscriptions.contains_key(filter)) {
            return false;
        }
        state.subscriptions.insert(filter.clone(), wish);
        if let Some(kept) = &mut state.kept {
            kept.subscription_changed(filter);
        }
        true
    }

    pub(crate) fn unsubscribe(&self, filter: &TopicFilter) -> bool {
        let mut state = self.state.lock();
        let existed = state.subscriptions.remove(filter).is_some();
        if existed && let Some(kept) = &mut state.kept {
            kept.subscription_changed(filter);
        }
        existed
    }

    /// The client as it connected last.
    pub(crate) fn client(&self) -> Arc<Client> {
        Arc::clone(&self.state.lock().client)
    }

    pub(crate) fn admitted(&self) -> Admitted {
        let state = self.state.lock();
        Admitted { identity: state.client.identity.clone(), proof: state.proof, connection: state.connection.clone() }
    }

    pub(crate) fn filters(&self) -> Vec<TopicFilter> {
        self.state.lock().subscriptions.keys().cloned().collect()
    }

    // === messages to the client ===

    /// Queues a message for the client, if there is room. `hold` stays until the message is stored, acknowledged, or
    /// gone.
    pub(crate) fn offer(
        &self,
        core: &Core,
        message: &Message,
        qos: QoS,
        guard: Option<DeliveryGuard>,
        hold: Option<Hold>,
    ) -> Offer {
        let cost = message.cost();
        let mut expired = Vec::new();
        let mut state = self.state.lock();
        if state.removed || (qos == QoS::AtMostOnce && state.connection.is_none()) {
            return Offer::Offline;
        }
        if self.is_full(&state, cost) {
            self.drop_expired(core, &mut state, &mut expired);
            if self.is_full(&state, cost) {
                return Offer::QueueFull;
            }
        }
        if self.memory.0.fetch_add(cost, Ordering::Relaxed) + cost > self.limits.queued_bytes_total_max {
            self.memory.0.fetch_sub(cost, Ordering::Relaxed);
            return Offer::MemoryFull;
        }
        state.queued_bytes += cost;
        if let Some(expires) = message.expires {
            state.first_expiry = Some(state.first_expiry.map_or(expires, |first| first.min(expires)));
        }
        let guard = match guard {
            Some(guard) if qos == QoS::AtMostOnce => {
                guard.unconfirmed();
                None
            }
            guard => guard,
        };
        // A connection with something in its queue is awake, or waits for the client and looks again afterwards.
        let wake = state.queue.is_empty();
        if qos != QoS::AtMostOnce {
            state.last_number += 1;
            let is_offline = state.connection.is_none();
            if let Some(kept) = &mut state.kept {
                // A connected client may be faster than the disk.
                if is_offline { kept.hurry() } else { kept.note() }
            }
        }
        let number = state.last_number;
        state.queue.push_back(Queued { number, message: message.clone(), qos, guard, hold });
        if wake && let Some(connection) = &state.connection {
            connection.wake();
        }
        Offer::Queued
    }

    fn is_full(&self, state: &State, cost: usize) -> bool {
        state.queue.len() + state.in_flight.len() >= self.limits.queued_messages_per_client_max
            || state.queued_bytes + cost > self.limits.queued_bytes_per_client_max
    }

    /// Moves what has expired in the queue to `expired`, to be dropped without the lock.
    fn drop_expired(&self, core: &Core, state: &mut State, expired: &mut Vec<Queued>) {
        let now = core.clock.now();
        if state.first_expiry.is_none_or(|first| first > now) {
            return;
        }
        let (mut freed, mut first_expiry) = (0, None);
        for queued in std::mem::take(&mut state.queue) {
            match queued.message.expires {
                Some(expires) if expires <= now => {
                    freed += queued.message.cost();
                    state.forget(&queued);
                    expired.push(queued);
                    continue;
                }
                Some(expires) => {
                    first_expiry = Some(first_expiry.map_or(expires, |first: SystemTime| first.min(expires)));
                }
                None => {}
            }
            state.queue.push_back(queued);
        }
        state.first_expiry = first_expiry;
        core.stats.dropped_expired.add(expired.len() as u64);
        self.release(state, freed);
    }

    fn release(&self, state: &mut State, bytes: usize) {
        state.queued_bytes -= bytes;
        self.memory.0.fetch_sub(bytes, Ordering::Relaxed);
    }

    // === metrics ===

    pub(crate) fn snapshot(&self) -> SessionSnapshot {
        let state = self.state.lock();
        SessionSnapshot {
            client: Arc::clone(&state.client),
            connected: state.connection.is_some(),
            clean: state.expiry.is_zero(),
            subscriptions: state.subscriptions.len(),
            queued_messages: state.queue.len(),
            in_flight: state.in_flight.len(),
            queued_bytes: state.queued_bytes,
        }
    }
}

impl State {
    fn is_of(&self, connection: &Arc<ConnectionShared>) -> bool {
        self.connection.as_ref().is_some_and(|own| Arc::ptr_eq(own, connection))
    }

    /// A message was taken out of the queue and will not be sent.
    fn forget(&mut self, queued: &Queued) {
        if queued.qos != QoS::AtMostOnce
            && let Some(kept) = &mut self.kept
        {
            kept.done(queued.number);
        }
    }

    /// An offline session may wait long; it should not keep the buffers of its busiest moment.
    fn shrink(&mut self) {
        self.queue.shrink_to_fit();
        self.in_flight.shrink_to_fit();
        self.exact.shrink_to_fit();
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let bytes = self.state.get_mut().queued_bytes;
        self.memory.0.fetch_sub(bytes, Ordering::Relaxed);
    }
}
