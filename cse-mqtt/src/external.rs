//! The link to an external broker: a rumqttc client, and around it what that client leaves to its user.
//!
//! One task polls the client and never waits for anything else for long; everybody else only puts messages
//! into the [`Outbox`]. The task hands them over, follows each from packet identifier to PUBACK, connects again with
//! growing pauses, subscribes on every connection, and gives everything again to a broker that has lost the session.

mod outbox;

use std::hash::{BuildHasher, Hasher, RandomState};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cse_core::id::{CseIdentity, Peer};
use cse_core::ports::BoxFuture;
use futures_util::FutureExt;
use parking_lot::Mutex;
use rumqttc::mqttbytes::v4::{ConnAck, Packet, Publish, SubAck, SubscribeFilter, SubscribeReasonCode};
use rumqttc::{AsyncClient, ConnectionError, Event, EventLoop, MqttOptions, Outgoing, QoS, Request, StateError};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::{Instant, sleep, timeout};

use crate::link::{Acknowledgement, Inbound, Link, LinkStatus, Progress, Publisher, Receipt, Refused};
use crate::options::ExternalOptions;
use crate::stats::MqttStats;
use crate::topic::is_publishable;
use outbox::{Message, Next, Outbox, PACKET_IDS};

/// Messages received and not yet taken by the binding.
const INBOUND_MAX: usize = 256;
/// Longest that the client is not polled because the binding takes no messages. Longer, and the connection is given
/// up instead: what was not acknowledged comes again.
const INBOUND_WAIT_MAX: Duration = Duration::from_secs(5);
/// A connection that lasted so long was a good one: the next pause is short again.
const STABLE_AFTER: Duration = Duration::from_secs(10);
/// Fixed header, packet identifier and topic length of a PUBLISH, at most.
const PUBLISH_HEADER_BYTES_MAX: usize = 9;
/// Bytes that fit into MQTT's remaining length.
const REMAINING_LENGTH_MAX: usize = 268_435_455;

struct Shared {
    outbox: Mutex<Outbox>,
    /// There is something to hand over, or the link is to close.
    work: Notify,
    /// The outbox has become smaller.
    room: Notify,
    closing: watch::Sender<Closing>,
    status: watch::Sender<LinkStatus>,
    messages_max: usize,
    bytes_max: usize,
    packet_bytes_max: usize,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Closing {
    No,
    /// Everything in the outbox first.
    WhenDrained,
    Closed,
}

impl Shared {
    fn has_room(&self) -> bool {
        let (messages, bytes) = self.outbox.lock().load();
        messages < self.messages_max && bytes < self.bytes_max
    }
}

/// The sending half, shared.
#[derive(Clone)]
pub(crate) struct ExternalPublisher(Arc<Shared>);

impl ExternalPublisher {
    fn push(&self, topic: String, payload: Bytes, receipt: Option<oneshot::Sender<()>>) -> Result<(), Refused> {
        let bytes = topic.len() + payload.len() + PUBLISH_HEADER_BYTES_MAX;
        if !is_publishable(&topic) {
            return Err(Refused::InvalidTopic);
        }
        if bytes > self.0.packet_bytes_max {
            return Err(Refused::TooLarge(bytes));
        }
        if *self.0.closing.borrow() == Closing::Closed {
            return Err(Refused::Closed);
        }
        self.0.outbox.lock().push(Message { topic, payload, receipt });
        self.0.work.notify_one();
        Ok(())
    }

    /// Connected or not, to watch.
    pub(crate) fn status(&self) -> watch::Receiver<LinkStatus> {
        self.0.status.subscribe()
    }

    /// Ends the link as soon as the broker has everything.
    pub(crate) fn begin_close(&self) {
        self.0.closing.send_if_modified(|closing| {
            let modified = *closing == Closing::No;
            if modified {
                *closing = Closing::WhenDrained;
            }
            modified
        });
        self.0.work.notify_one();
    }
}

impl Publisher for ExternalPublisher {
    fn publish_answer(&self, topic: String, payload: Bytes) -> Result<Option<Box<dyn Receipt>>, Refused> {
        self.push(topic, payload, None).map(|()| None)
    }

    fn publish_request(&self, topic: String, payload: Bytes) -> Result<Box<dyn Receipt>, Refused> {
        if !self.0.has_room() {
            self.0.outbox.lock().purge();
        }
        if !self.0.has_room() {
            return Err(Refused::Full);
        }
        let (sender, receiver) = oneshot::channel();
        self.push(topic, payload, Some(sender))?;
        Ok(Box::new(ExternalReceipt { receiver, progress: Progress::Waiting }))
    }
}

struct ExternalReceipt {
    receiver: oneshot::Receiver<()>,
    progress: Progress,
}

impl Receipt for ExternalReceipt {
    fn progress(&mut self) -> Progress {
        if self.progress == Progress::Waiting {
            self.progress = match self.receiver.try_recv() {
                Ok(()) => Progress::TakenOver,
                Err(oneshot::error::TryRecvError::Empty) => Progress::Waiting,
                Err(oneshot::error::TryRecvError::Closed) => Progress::Lost,
            };
        }
        self.progress
    }

    fn settled(&mut self) -> BoxFuture<'_, Progress> {
        Box::pin(async move {
            if self.progress == Progress::Waiting {
                let taken_over = (&mut self.receiver).await.is_ok();
                self.progress = if taken_over { Progress::TakenOver } else { Progress::Lost };
            }
            self.progress
        })
    }
}

struct ExternalAcknowledgement {
    shared: Arc<Shared>,
    generation: u64,
    sequence: u64,
}

impl Acknowledgement for ExternalAcknowledgement {
    fn acknowledge(self: Box<Self>) {
        self.shared.outbox.lock().acknowledge(self.generation, self.sequence);
        self.shared.work.notify_one();
    }
}

/// The receiving half.
pub(crate) struct ExternalLink {
    shared: Arc<Shared>,
    inbound: mpsc::Receiver<Inbound>,
}

impl Link for ExternalLink {
    async fn receive(&mut self) -> Option<Inbound> {
        // Whatever is received may need an answer, and an answer needs a place.
        loop {
            let mut room = pin!(self.shared.room.notified());
            room.as_mut().enable();
            if self.shared.has_room() {
                break;
            }
            room.await;
        }
        self.inbound.recv().await
    }

    async fn close(mut self) {
        let publisher = ExternalPublisher(Arc::clone(&self.shared));
        publisher.begin_close();
        // The driver must not wait for us to take what will come again.
        self.inbound.close();
        let mut closing = self.shared.closing.subscribe();
        let _ = closing.wait_for(|closing| *closing == Closing::Closed).await;
    }
}

/// The task behind a link; has to be run for anything to happen, and ends when the link is closed.
pub(crate) struct Driver {
    shared: Arc<Shared>,
    options: MqttOptions,
    connect_timeout: Duration,
    pauses: Pauses,
    filters: Vec<String>,
    inbound: mpsc::Sender<Inbound>,
    stats: Arc<MqttStats>,
    broker: String,
    connected_at: Option<Instant>,
}

/// Makes a link to an external broker, with those subscriptions. Does not wait for the broker.
pub(crate) fn link(
    identity: &CseIdentity,
    options: &ExternalOptions,
    filters: Vec<String>,
    stats: Arc<MqttStats>,
) -> (ExternalPublisher, ExternalLink, Driver) {
    let packet_bytes_max = options.packet_bytes_max.min(REMAINING_LENGTH_MAX);
    let shared = Arc::new(Shared {
        outbox: Mutex::new(Outbox::new()),
        work: Notify::new(),
        room: Notify::new(),
        closing: watch::Sender::new(Closing::No),
        status: watch::Sender::new(LinkStatus::Down),
        messages_max: options.outbox_messages_max.max(1),
        bytes_max: options.outbox_bytes_max.max(1),
        packet_bytes_max,
    });
    let (sender, inbound) = mpsc::channel(INBOUND_MAX);
    let driver = Driver {
        shared: Arc::clone(&shared),
        options: client_options(identity, options, packet_bytes_max),
        connect_timeout: options.connect_timeout,
        pauses: Pauses::new(options.reconnect_min, options.reconnect_max),
        filters,
        inbound: sender,
        stats,
        broker: format!("{}:{}", options.host, options.port),
        connected_at: None,
    };
    (ExternalPublisher(Arc::clone(&shared)), ExternalLink { shared, inbound }, driver)
}

fn client_options(identity: &CseIdentity, options: &ExternalOptions, packet_bytes_max: usize) -> MqttOptions {
    let client_id = format!("{}{}{}", options.client_id_prefix, identity.base_id(), options.client_id_suffix);
    // TS-0010 §7.3.3: a persistent session, no will.
    let mut client = MqttOptions::new(client_id, options.host.clone(), options.port);
    client.set_clean_session(false);
    client.set_manual_acks(true);
    let keep_alive = options.keep_alive.as_secs().min(u64::from(u16::MAX));
    client.set_keep_alive(Duration::from_secs(keep_alive));
    client.set_max_packet_size(packet_bytes_max, packet_bytes_max);
    client.set_inflight(PACKET_IDS);
    if let Some(login) = &options.login {
        client.set_credentials(login.username.clone(), login.password.reveal());
    }
    client
}

/// How it goes on after an event.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Then {
    GoOn,
    /// Give the connection up and connect again.
    Reconnect,
    /// As [`Then::Reconnect`], with a new client: the old one is stuck.
    Rebuild,
    End,
}

impl Driver {
    /// Connects, and stays connected until the link is closed and everything is with the broker.
    pub(crate) async fn run(mut self) {
        loop {
            let (client, mut events) = AsyncClient::new(self.options.clone(), usize::from(PACKET_IDS) * 2);
            events.network_options.set_tcp_nodelay(true);
            events.network_options.set_connection_timeout(self.connect_timeout.as_secs().max(1));
            if self.run_client(&client, &mut events).await == Then::End {
                return;
            }
            let again = self.shared.outbox.lock().start_over();
            tracing::warn!(broker = self.broker, messages = again, "MQTT client rebuilt");
        }
    }

    /// Runs one client over as many connections as it lives.
    async fn run_client(&mut self, client: &AsyncClient, events: &mut EventLoop) -> Then {
        loop {
            let polled = {
                // Polling is never cancelled: the client would lose what it was about to write.
                let mut poll = pin!(events.poll());
                loop {
                    self.hand_over(client);
                    if self.is_finished() {
                        break None;
                    }
                    tokio::select! {
                        polled = &mut poll => break Some(polled),
                        () = self.shared.work.notified() => {}
                    }
                }
            };
            let then = match polled {
                None => {
                    self.disconnect(client, events).await;
                    Then::End
                }
                Some(Ok(event)) => self.on_event(client, event).await,
                Some(Err(error)) => self.on_error(events, &error),
            };
            self.shared.room.notify_waiters();
            if then != Then::GoOn {
                self.on_disconnected(events);
            }
            match then {
                Then::GoOn => {}
                Then::End => return Then::End,
                Then::Reconnect | Then::Rebuild if self.pause().await == Then::End => return Then::End,
                Then::Reconnect => {}
                Then::Rebuild => return Then::Rebuild,
            }
        }
    }

    /// Gives the client as much as it takes.
    fn hand_over(&self, client: &AsyncClient) {
        let mut outbox = self.shared.outbox.lock();
        while let Some(next) = outbox.next() {
            let taken = match next {
                Next::Message(Message { topic, payload, .. }) => {
                    let sent = client.publish_bytes(topic.clone(), QoS::AtLeastOnce, false, payload.clone());
                    matches!(sent.now_or_never(), Some(Ok(())))
                }
                Next::Acknowledgement { packet_id } => {
                    let mut publish = Publish::new("", QoS::AtLeastOnce, Vec::new());
                    publish.pkid = packet_id;
                    client.try_ack(&publish).is_ok()
                }
            };
            if !taken {
                return;
            }
            outbox.handed_over();
        }
    }

    fn is_finished(&self) -> bool {
        *self.shared.closing.borrow() != Closing::No && self.shared.outbox.lock().is_drained()
    }

    async fn on_event(&mut self, client: &AsyncClient, event: Event) -> Then {
        match event {
            Event::Incoming(Packet::ConnAck(connack)) => self.on_connected(client, &connack),
            Event::Incoming(Packet::SubAck(suback)) => return self.on_subscribed(&suback),
            Event::Incoming(Packet::Publish(publish)) => return self.on_publish(publish).await,
            other => self.on_progress(&other),
        }
        Then::GoOn
    }

    /// Events that tell how far our own messages are.
    fn on_progress(&self, event: &Event) {
        match event {
            Event::Outgoing(Outgoing::Publish(packet_id)) => self.shared.outbox.lock().written(*packet_id),
            Event::Incoming(Packet::PubAck(puback)) => self.shared.outbox.lock().acknowledged(puback.pkid),
            _ => {}
        }
    }

    fn on_connected(&mut self, client: &AsyncClient, connack: &ConnAck) {
        self.stats.connections.increment();
        self.connected_at = Some(Instant::now());
        let again = {
            let mut outbox = self.shared.outbox.lock();
            outbox.connected();
            if connack.session_present { 0 } else { outbox.start_over() }
        };
        self.stats.republished.add(again as u64);
        let session_present = connack.session_present;
        tracing::info!(broker = self.broker, session_present, messages = again, "connected to the MQTT broker");
        // On every connection: a broker that lost the session does not always say so.
        let filters = self.filters.iter().map(|filter| SubscribeFilter::new(filter.clone(), QoS::AtLeastOnce));
        if let Err(error) = client.try_subscribe_many(filters) {
            tracing::error!(broker = self.broker, %error, "cannot subscribe");
        }
    }

    fn on_subscribed(&self, suback: &SubAck) -> Then {
        let refused = |code: &SubscribeReasonCode| *code == SubscribeReasonCode::Failure;
        if suback.return_codes.iter().any(refused) {
            let filters = self.filters.join(" ");
            tracing::error!(broker = self.broker, filters, "the MQTT broker refuses a subscription");
            return Then::Reconnect;
        }
        self.shared.status.send_replace(LinkStatus::Up);
        Then::GoOn
    }

    async fn on_publish(&self, publish: Publish) -> Then {
        let acknowledgement = (publish.qos != QoS::AtMostOnce).then(|| {
            let (generation, sequence) = self.shared.outbox.lock().arrived(publish.pkid);
            let shared = Arc::clone(&self.shared);
            Box::new(ExternalAcknowledgement { shared, generation, sequence }) as Box<dyn Acknowledgement>
        });
        let oversized = publish.payload.len() > self.shared.packet_bytes_max;
        if publish.retain || oversized {
            // A retained request would be carried out again with every subscription; TS-0010 §6.1 has none.
            let count = if oversized { &self.stats.oversized } else { &self.stats.retained };
            count.increment();
            tracing::warn!(topic = publish.topic, retained = publish.retain, oversized, "message ignored");
            if let Some(acknowledgement) = acknowledgement {
                acknowledgement.acknowledge();
            }
            return Then::GoOn;
        }
        let inbound = Inbound {
            topic: publish.topic.into(),
            payload: publish.payload,
            duplicate: publish.dup,
            peer: Peer::default(),
            acknowledgement,
        };
        match timeout(INBOUND_WAIT_MAX, self.inbound.send(inbound)).await {
            // If the binding is stopping, the message comes again some day.
            Ok(Ok(()) | Err(_)) => Then::GoOn,
            Err(_) => {
                tracing::warn!(broker = self.broker, "too many requests are waiting; connecting anew");
                Then::Reconnect
            }
        }
    }

    fn on_error(&self, events: &mut EventLoop, error: &ConnectionError) -> Then {
        self.stats.connection_failures.increment();
        tracing::warn!(broker = self.broker, %error, "no connection to the MQTT broker");
        match error {
            ConnectionError::MqttState(StateError::Deserialization(
                rumqttc::mqttbytes::Error::PayloadSizeLimitExceeded(_),
            )) => {
                // The broker would send the same message again and again: let it through once, to acknowledge it.
                events.mqtt_options.set_max_packet_size(REMAINING_LENGTH_MAX, self.shared.packet_bytes_max);
                Then::Reconnect
            }
            ConnectionError::MqttState(
                StateError::CollisionTimeout
                | StateError::Unsolicited(_)
                | StateError::InvalidState
                | StateError::WrongPacket,
            ) => Then::Rebuild,
            _ => Then::Reconnect,
        }
    }

    /// Brings the client and the outbox into the state between two connections.
    fn on_disconnected(&mut self, events: &mut EventLoop) {
        if events.network.is_some() {
            events.clean();
        }
        // What the client has read and not told yet. Messages among it come again, unless they had QoS 0.
        for event in std::mem::take(&mut events.state.events) {
            self.on_progress(&event);
        }
        let mut outbox = self.shared.outbox.lock();
        outbox.disconnected();
        // The client neither sets DUP nor keeps the order when a connection ends while it is sending again.
        events.pending.make_contiguous().sort_by_key(|request| match request {
            Request::Publish(publish) => outbox.sequence_of(publish.pkid).unwrap_or(u64::MAX),
            _ => u64::MAX,
        });
        for request in &mut events.pending {
            if let Request::Publish(publish) = request {
                publish.dup = publish.pkid != 0;
            }
        }
        drop(outbox);
        self.shared.status.send_replace(LinkStatus::Down);
    }

    /// Waits before the next try. Ends early if there is nothing left to try for.
    async fn pause(&mut self) -> Then {
        if self.connected_at.take().is_some_and(|since| since.elapsed() >= STABLE_AFTER) {
            self.pauses.reset();
        }
        let mut pause = pin!(sleep(self.pauses.next()));
        loop {
            if self.is_finished() {
                return Then::End;
            }
            tokio::select! {
                () = &mut pause => return Then::GoOn,
                () = self.shared.work.notified() => {}
            }
        }
    }

    /// Takes leave politely if there is a connection.
    async fn disconnect(&self, client: &AsyncClient, events: &mut EventLoop) {
        if events.network.is_none() || client.try_disconnect().is_err() {
            return;
        }
        let leave =
            async { while !matches!(events.poll().await, Ok(Event::Outgoing(Outgoing::Disconnect)) | Err(_)) {} };
        if timeout(self.connect_timeout, leave).await.is_err() {
            tracing::debug!(broker = self.broker, "the MQTT broker did not take the DISCONNECT");
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.shared.closing.send_replace(Closing::Closed);
        self.shared.status.send_replace(LinkStatus::Down);
        // Whoever follows a message that is still here learns that it is lost.
        *self.shared.outbox.lock() = Outbox::new();
        self.shared.room.notify_waiters();
    }
}

/// Tells the broker to forget the session of this CSE (TS-0010 §7.3.3): connect with a clean session, and leave.
pub(crate) async fn forget_session(identity: &CseIdentity, options: &ExternalOptions) {
    let mut client_options = client_options(identity, options, options.packet_bytes_max);
    client_options.set_clean_session(true);
    let (client, mut events) = AsyncClient::new(client_options, 4);
    let leave = async {
        while let Ok(event) = events.poll().await {
            match event {
                Event::Incoming(Packet::ConnAck(_)) if client.try_disconnect().is_err() => return,
                Event::Outgoing(Outgoing::Disconnect) => return,
                _ => {}
            }
        }
    };
    // If it fails, the broker forgets by its own rules.
    let _ = timeout(options.connect_timeout, leave).await;
}

/// Growing pauses between tries to connect, each shortened by a random part.
struct Pauses {
    min: Duration,
    max: Duration,
    current: Duration,
}

impl Pauses {
    fn new(min: Duration, max: Duration) -> Self {
        let min = min.max(Duration::from_millis(10));
        Self { min, max: max.max(min), current: min }
    }

    fn reset(&mut self) {
        self.current = self.min;
    }

    fn next(&mut self) -> Duration {
        let pause = self.current;
        self.current = (pause * 2).min(self.max);
        // Between a half and all of it, so that many clients do not come back at the same moment.
        let random = RandomState::new().build_hasher().finish() % 1024;
        pause / 2 + pause.mul_f64(random as f64 / 2048.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound() {
        let mut pauses = Pauses::new(Duration::from_millis(100), Duration::from_secs(1));
        for expected in [100, 200, 400, 800, 1000, 1000] {
            let pause = pauses.next().as_millis();
            assert!((expected / 2..=expected).contains(&pause), "{pause} of {expected}");
        }
        pauses.reset();
        assert!(pauses.next().as_millis() <= 100);
    }
}
