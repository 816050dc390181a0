//! The task that polls the client of an external broker, and what it does with each event.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use cse_core::id::Peer;
use futures_util::FutureExt;
use rumqttc::mqttbytes::v4::{ConnAck, Packet, Publish, SubAck, SubscribeFilter, SubscribeReasonCode};
use rumqttc::{AsyncClient, ConnectionError, Event, EventLoop, MqttOptions, Outgoing, QoS, Request, StateError};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

use super::outbox::{Message, Next, Outbox, PACKET_IDS};
use super::{Closing, ExternalAcknowledgement, REMAINING_LENGTH_MAX, Shared};
use crate::link::{Acknowledgement, Inbound, LinkStatus};
use crate::stats::MqttStats;

/// Longest that the client is not polled because the binding takes no messages. Longer, and the connection is given
/// up instead: what was not acknowledged comes again.
const INBOUND_WAIT_MAX: Duration = Duration::from_secs(5);
/// A connection that lasted so long was a good one: the next pause is short again.
const STABLE_AFTER: Duration = Duration::from_secs(10);
/// The task behind a link; has to be run for anything to happen, and ends when the link is closed.
pub(crate) struct Driver {
    pub(super) shared: Arc<Shared>,
    pub(super) options: MqttOptions,
    pub(super) connect_timeout: Duration,
    pub(super) pauses: Pauses,
    pub(super) inbound: mpsc::Sender<Inbound>,
    pub(super) stats: Arc<MqttStats>,
    pub(super) broker: String,
    pub(super) connected_at: Option<Instant>,
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
            self.stats.client_rebuilds.increment();
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
        self.subscribe(client);
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
        self.shared.subscriptions.lock().connected();
        self.subscribe(client);
    }

    /// Asks for the subscriptions that the broker has not been asked for on this connection.
    fn subscribe(&self, client: &AsyncClient) {
        let mut subscriptions = self.shared.subscriptions.lock();
        let asked = subscriptions.next();
        let filters = asked.iter().map(|asked| SubscribeFilter::new(asked.filter.clone(), QoS::AtLeastOnce));
        if asked.is_empty() {
            return;
        }
        match client.try_subscribe_many(filters.collect::<Vec<_>>()) {
            Ok(()) => subscriptions.asked(),
            // There is room as soon as the client has written something.
            Err(error) => tracing::debug!(broker = self.broker, %error, "cannot subscribe now"),
        }
    }

    fn on_subscribed(&self, suback: &SubAck) -> Then {
        let refused = suback.return_codes.iter().map(|code| *code == SubscribeReasonCode::Failure);
        let (mut useless, mut lines) = (false, Vec::new());
        for subscription in self.shared.subscriptions.lock().answered(refused) {
            useless |= subscription.needed;
            lines.push(subscription.filter);
        }
        let filters = lines.join(" ");
        if useless {
            tracing::error!(broker = self.broker, filters, "the MQTT broker refuses a subscription");
            return Then::Reconnect;
        }
        if !lines.is_empty() {
            tracing::warn!(broker = self.broker, filters, "the MQTT broker refuses a subscription that is not needed");
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
        self.shared.subscriptions.lock().disconnected();
        // They are asked for anew, and what the broker answers is told apart by its order.
        events.pending.retain(|request| !matches!(request, Request::Subscribe(_)));
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

/// Growing pauses between tries to connect, each shortened by a random part.
pub(super) struct Pauses {
    min: Duration,
    max: Duration,
    current: Duration,
}

impl Pauses {
    pub(super) fn new(min: Duration, max: Duration) -> Self {
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
