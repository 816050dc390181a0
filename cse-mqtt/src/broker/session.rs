//! One client's session: what it still has to receive, and what it has received exactly once.
//!
//! A session outlives connections if the client asked for that. It does no I/O: the connection task takes bytes out of
//! it and feeds acknowledgements into it. A message accepted for a session stays until the client acknowledges it, so
//! a full queue refuses new messages and never drops old ones.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use rumqttc::QoS;
use rustc_hash::FxHashMap;
use tokio::time::Instant;

mod exact;

pub(crate) use exact::Receipt;

use super::Core;
use super::clock::WallClock;
use super::codec::{self, Quality, Reason};
use super::connection::ConnectionShared;
use super::delivery::DeliveryGuard;
use super::filter::TopicFilter;
use super::limits::Limits;
use super::policy::{Client, Identity};
use super::terms::Terms;
use exact::Exact;

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

/// A client's session.
pub(crate) struct Session {
    /// Unique among all sessions and links of the broker.
    pub(crate) id: u64,
    pub(crate) client_id: Arc<str>,
    memory: Arc<Memory>,
    limits: Arc<Limits>,
    state: Mutex<State>,
}

struct State {
    client: Arc<Client>,
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
    last_packet_id: u16,
    /// No message in `queue` expires before this time; none if none expires at all.
    first_expiry: Option<SystemTime>,
    queued_bytes: usize,
    exact: FxHashMap<u16, Exact>,
    last_attempt: u64,
}

struct Queued {
    message: Message,
    qos: QoS,
    guard: Option<DeliveryGuard>,
}

struct InFlight {
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
    pub(crate) fn new(
        id: u64,
        expiry: Duration,
        connection: Arc<ConnectionShared>,
        memory: Arc<Memory>,
        limits: Arc<Limits>,
    ) -> Self {
        let client = Arc::clone(&connection.client);
        Self {
            id,
            client_id: Arc::clone(&client.client_id),
            memory,
            limits,
            state: Mutex::new(State {
                client,
                connection: Some(connection),
                expiry,
                offline_until: None,
                removed: false,
                subscriptions: FxHashMap::default(),
                queue: VecDeque::new(),
                in_flight: VecDeque::new(),
                unsent: 0,
                last_packet_id: 0,
                first_expiry: None,
                queued_bytes: 0,
                exact: FxHashMap::default(),
                last_attempt: 0,
            }),
        }
    }

    /// Whether a client of this identity may have the session: it is kept, and has not ended at `now`.
    pub(crate) fn may_be_resumed(&self, identity: &Identity, now: Instant) -> bool {
        let state = self.state.lock();
        let ended = state.offline_until.is_some_and(|until| until <= now);
        !state.expiry.is_zero() && !ended && state.client.identity == *identity
    }

    /// Gives the session to a new connection. What is in flight will be sent again.
    pub(crate) fn attach(&self, connection: Arc<ConnectionShared>, expiry: Duration) -> Displaced {
        let mut state = self.state.lock();
        state.expiry = expiry;
        state.unsent = state.in_flight.len();
        state.client = Arc::clone(&connection.client);
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
        let mut state = self.state.lock();
        state.removed = true;
        state.queue = VecDeque::new();
        state.in_flight = VecDeque::new();
        state.unsent = 0;
        state.exact = FxHashMap::default();
        let freed = state.queued_bytes;
        self.release(&mut state, freed);
        let filters = std::mem::take(&mut state.subscriptions).into_keys().collect();
        (filters, state.connection.take())
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
        true
    }

    pub(crate) fn unsubscribe(&self, filter: &TopicFilter) -> bool {
        self.state.lock().subscriptions.remove(filter).is_some()
    }

    pub(crate) fn filters(&self) -> Vec<TopicFilter> {
        self.state.lock().subscriptions.keys().cloned().collect()
    }

    // === messages to the client ===

    /// Queues a message for the client, if there is room.
    pub(crate) fn offer(&self, core: &Core, message: &Message, qos: QoS, guard: Option<DeliveryGuard>) -> Offer {
        let cost = message.cost();
        let mut state = self.state.lock();
        if state.removed || (qos == QoS::AtMostOnce && state.connection.is_none()) {
            return Offer::Offline;
        }
        if self.is_full(&state, cost) {
            self.drop_expired(core, &mut state);
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
        state.queue.push_back(Queued { message: message.clone(), qos, guard });
        if wake && let Some(connection) = &state.connection {
            connection.wake();
        }
        Offer::Queued
    }

    fn is_full(&self, state: &State, cost: usize) -> bool {
        state.queue.len() + state.in_flight.len() >= self.limits.queued_messages_per_client_max
            || state.queued_bytes + cost > self.limits.queued_bytes_per_client_max
    }

    /// Drops what has expired in the queue.
    fn drop_expired(&self, core: &Core, state: &mut State) {
        let now = core.clock.now();
        if state.first_expiry.is_none_or(|first| first > now) {
            return;
        }
        let (mut freed, before) = (0, state.queue.len());
        let mut first_expiry = None;
        state.queue.retain(|Queued { message, .. }| match message.expires {
            Some(expires) if expires <= now => {
                freed += message.cost();
                false
            }
            Some(expires) => {
                first_expiry = Some(first_expiry.map_or(expires, |first: SystemTime| first.min(expires)));
                true
            }
            None => true,
        });
        state.first_expiry = first_expiry;
        let dropped = before - state.queue.len();
        core.stats.dropped_expired.add(dropped as u64);
        self.release(state, freed);
    }

    /// Writes what may be sent now, until `out` has `enough` bytes.
    pub(crate) fn take_output(
        &self,
        core: &Core,
        connection: &Arc<ConnectionShared>,
        out: &mut BytesMut,
        enough: usize,
    ) {
        let mut state = self.state.lock();
        if !state.is_of(connection) {
            return;
        }
        let terms = &connection.terms;
        let mut packets = 0;
        while out.len() < enough && self.send_again(core, &mut state, terms, out) {}
        while out.len() < enough && state.unsent == 0 {
            let window_open = state.in_flight.len() < terms.in_flight_max;
            let Some(queued) = state.queue.pop_front_if(|queued| window_open || queued.qos == QoS::AtMostOnce) else {
                break;
            };
            let cost = queued.message.cost();
            if queued.message.is_expired(&core.clock) {
                core.stats.dropped_expired.increment();
                self.release(&mut state, cost);
                continue;
            }
            let quality = match queued.qos {
                QoS::AtMostOnce => Quality::AtMostOnce,
                qos => Quality::Acknowledged { qos, packet_id: state.next_packet_id(), dup: false },
            };
            let fits = terms.write(&queued.message, quality, &core.clock, out);
            if fits {
                packets += 1;
            } else {
                core.stats.dropped_too_large.increment();
            }
            match quality {
                Quality::Acknowledged { packet_id, .. } if fits => {
                    state.in_flight.push_back(InFlight { packet_id, cost, stage: Stage::Publish(queued) });
                }
                _ => self.release(&mut state, cost),
            }
        }
        if packets > 0 {
            core.stats.publishes_sent.add(packets);
        }
    }

    /// Sends the first unsent message in flight again, PUBLISH or PUBREL. `false` if there is none that may be sent.
    fn send_again(&self, core: &Core, state: &mut State, terms: &Terms, out: &mut BytesMut) -> bool {
        let at = state.in_flight.len() - state.unsent;
        let Some(entry) = state.in_flight.get(at) else {
            return false;
        };
        let packet_id = entry.packet_id;
        let sent = match &entry.stage {
            Stage::Publish(_) if at >= terms.in_flight_max => return false,
            Stage::Publish(Queued { message, qos, .. }) => {
                let quality = Quality::Acknowledged { qos: *qos, packet_id, dup: true };
                terms.write(message, quality, &core.clock, out)
            }
            Stage::Release => {
                codec::write_pubrel(out, terms.version, packet_id, Reason::Success);
                true
            }
        };
        if sent {
            core.stats.publishes_sent.increment();
            state.unsent -= 1;
        } else {
            core.stats.dropped_too_large.increment();
            self.take_in_flight(state, |entry| entry.packet_id == packet_id);
        }
        true
    }

    /// Whether nothing waits for the client.
    pub(crate) fn is_drained(&self) -> bool {
        let state = self.state.lock();
        state.queue.is_empty() && state.in_flight.is_empty()
    }

    /// PUBACK: a QoS 1 message has arrived, and may have been `refused` then. Unknown packet identifiers are ignored,
    /// as after a lost session.
    pub(crate) fn acknowledge(&self, connection: &Arc<ConnectionShared>, packet_id: u16, refused: bool) {
        let done = {
            let mut state = self.state.lock();
            if !state.is_of(connection) {
                return;
            }
            let is_meant = |entry: &InFlight| {
                entry.packet_id == packet_id
                    && matches!(&entry.stage, Stage::Publish(queued) if queued.qos == QoS::AtLeastOnce)
            };
            self.take_in_flight(&mut state, is_meant)
        };
        if let Some(InFlight { stage: Stage::Publish(Queued { guard: Some(guard), .. }), .. }) = done
            && !refused
        {
            guard.acknowledged();
        }
    }

    /// PUBREC: a QoS 2 message has arrived; PUBREL is to follow. `false` if there is no such message.
    pub(crate) fn received(&self, connection: &Arc<ConnectionShared>, packet_id: u16) -> bool {
        let mut state = self.state.lock();
        if !state.is_of(connection) {
            return false;
        }
        let Some(entry) = state.in_flight.iter_mut().find(|entry| entry.packet_id == packet_id) else {
            return false;
        };
        match &entry.stage {
            Stage::Publish(queued) if queued.qos == QoS::ExactlyOnce => {}
            Stage::Publish(_) => return false,
            Stage::Release => return true,
        }
        let stage = std::mem::replace(&mut entry.stage, Stage::Release);
        let freed = std::mem::replace(&mut entry.cost, MESSAGE_OVERHEAD_BYTES);
        self.release(&mut state, freed.saturating_sub(MESSAGE_OVERHEAD_BYTES));
        if let Stage::Publish(Queued { guard: Some(guard), .. }) = stage {
            guard.acknowledged();
        }
        true
    }

    /// PUBREC with the reason that the client could not take the message: that is the end of it.
    pub(crate) fn refused(&self, connection: &Arc<ConnectionShared>, packet_id: u16) {
        let mut state = self.state.lock();
        if state.is_of(connection) {
            self.take_in_flight(&mut state, |entry| entry.packet_id == packet_id && entry.is_exactly_once());
        }
    }

    /// PUBCOMP: the end of a QoS 2 delivery.
    pub(crate) fn completed(&self, connection: &Arc<ConnectionShared>, packet_id: u16) {
        let mut state = self.state.lock();
        if state.is_of(connection) {
            self.take_in_flight(&mut state, |entry| {
                entry.packet_id == packet_id && matches!(entry.stage, Stage::Release)
            });
        }
    }

    fn take_in_flight(&self, state: &mut State, is_meant: impl Fn(&InFlight) -> bool) -> Option<InFlight> {
        let at = state.in_flight.iter().position(is_meant)?;
        if at >= state.in_flight.len() - state.unsent {
            state.unsent -= 1;
        }
        let entry = state.in_flight.remove(at)?;
        self.release(state, entry.cost);
        Some(entry)
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

    /// The next packet identifier not in flight. Fewer than 65,535 are, since the window is bounded.
    fn next_packet_id(&mut self) -> u16 {
        loop {
            self.last_packet_id = self.last_packet_id.checked_add(1).unwrap_or(1);
            let candidate = self.last_packet_id;
            if !self.in_flight.iter().any(|entry| entry.packet_id == candidate) {
                return candidate;
            }
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
