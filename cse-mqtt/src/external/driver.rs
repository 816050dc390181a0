//! The task that keeps the connection to an external broker, and what it does with each packet.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use cse_core::id::Peer;
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::connection::{Client, Connection, Failure, Welcome};
use super::outbox::{Next, Outbox};
use super::wire::{Arriving, Packet, Reason};
use super::{Closing, ExternalAcknowledgement, Shared};
use crate::link::{Acknowledgement, AnswerTaker, Inbound, LinkStatus, Progress};
use crate::stats::MqttStats;

/// Longest that nothing is read because the binding takes no messages. Longer, and the connection is given up
/// instead: what was not acknowledged comes again.
const INBOUND_WAIT_MAX: Duration = Duration::from_secs(5);
/// A connection that lasted so long, and twice as long as the last pause, was a good one: the next pause is short.
const STABLE_AFTER: Duration = Duration::from_secs(10);
/// Connections in a row that were not good, after which the log says what may be behind it.
const UNSTABLE_MAX: u32 = 5;

/// The task behind a link; has to be run for anything to happen, and ends when the link is closed.
pub(crate) struct Driver {
    pub(super) shared: Arc<Shared>,
    pub(super) client: Client,
    pub(super) pauses: Pauses,
    pub(super) inbound: mpsc::Sender<Inbound>,
    pub(super) take_answer: AnswerTaker,
    pub(super) stats: Arc<MqttStats>,
    pub(super) broker: String,
    /// Connections in a row that ended soon.
    pub(super) unstable: u32,
}

/// Whether and when to ask for our topics.
enum Subscription {
    /// Asked; the answer has to come until then.
    Asked(Instant),
    Granted,
    /// Refused; asked again then.
    Refused(Instant),
}

/// What serving a connection keeps in mind.
struct Serving {
    connection: Connection,
    subscription: Subscription,
    /// Grow while the broker refuses the subscription.
    subscribe_pauses: Pauses,
    /// Came when the binding had no room; nothing is read meanwhile.
    held: Option<(Inbound, Instant)>,
}

/// How it goes on without a connection.
enum Then {
    ConnectAgain,
    End,
}

impl Driver {
    /// Connects, and stays connected until the link is closed and everything is with the broker.
    pub(crate) async fn run(mut self) {
        loop {
            let opened = tokio::select! {
                opened = Connection::open(&self.client, false) => opened,
                () = finished(&self.shared) => return,
            };
            match opened {
                Ok((connection, welcome)) => {
                    let since = Instant::now();
                    match self.serve(connection, &welcome).await {
                        Ok(connection) => {
                            self.leave(connection).await;
                            return;
                        }
                        Err(failure) => self.on_disconnected(&failure, since),
                    }
                }
                Err(failure) => self.on_failure(&failure),
            }
            self.shared.room.notify_waiters();
            if matches!(self.pause().await, Then::End) {
                return;
            }
        }
    }

    fn on_failure(&self, failure: &Failure) {
        self.stats.connection_failures.increment();
        self.shared.report(Some(format!("no connection to {}: {failure}", self.broker)));
        tracing::warn!(broker = self.broker, error = %failure, "no connection to the MQTT broker");
    }

    /// Serves a connection; gives it back when the link is closed and nothing is left to do.
    async fn serve(&mut self, connection: Connection, welcome: &Welcome) -> Result<Connection, Failure> {
        let mut serving = Serving {
            connection,
            subscription: Subscription::Refused(Instant::now()),
            subscribe_pauses: self.pauses.restarted(),
            held: None,
        };
        self.on_connected(welcome);
        loop {
            self.take_packets(&mut serving)?;
            self.subscribe(&mut serving)?;
            // What is to be listened to for an answer has to be asked for before its request goes out.
            if !serving.has_to_wait(&self.shared) {
                self.write(&mut serving.connection);
            }
            if serving.connection.is_flushed() && self.shared.is_finished() {
                return Ok(serving.connection);
            }
            serving.connection.keep_alive(serving.held.is_none())?;
            let look_again = serving.look_again();
            let held_since = serving.held.as_ref().map(|(_, since)| *since);
            tokio::select! {
                exchanged = serving.connection.exchange(held_since.is_none()) => exchanged?,
                () = self.shared.work.notified() => {}
                permit = self.inbound.reserve(), if held_since.is_some() => {
                    if let (Ok(permit), Some((inbound, _))) = (permit, serving.held.take()) {
                        permit.send(inbound);
                    }
                }
                () = sleep_until(look_again) => {}
            }
            if held_since.is_some_and(|since| serving.held.is_some() && since.elapsed() >= INBOUND_WAIT_MAX) {
                return Err(Failure::NotTaken);
            }
            self.shared.room.notify_waiters();
        }
    }

    fn on_connected(&self, welcome: &Welcome) {
        self.stats.connections.increment();
        let terms = welcome.terms;
        let packet_bytes_max = terms.packet_bytes_max.and_then(|bytes| usize::try_from(bytes).ok());
        self.shared.limit_packets(packet_bytes_max);
        let again =
            self.shared.outbox.lock().connected(welcome.session_present, terms.receive_maximum, packet_bytes_max);
        self.stats.republished.add(again as u64);
        let session_present = welcome.session_present;
        tracing::info!(broker = self.broker, session_present, messages = again, "connected to the MQTT broker");
    }

    /// Asks for our topics when it is time: on every connection, since a broker that lost the session does not always
    /// say so, and again and again when they are refused.
    fn subscribe(&self, serving: &mut Serving) -> Result<(), Failure> {
        let now = Instant::now();
        match serving.subscription {
            Subscription::Asked(until) if now >= until => return Err(Failure::NotSubscribed),
            Subscription::Refused(until) if now >= until => {
                self.shared.subscriptions.lock().start_over();
                self.ask(serving, now)?;
            }
            Subscription::Granted => self.ask(serving, now)?,
            Subscription::Asked(_) | Subscription::Refused(_) => {}
        }
        Ok(())
    }

    /// Asks for what the broker has not been asked for on this connection. One question at a time.
    fn ask(&self, serving: &mut Serving, now: Instant) -> Result<(), Failure> {
        let mut subscriptions = self.shared.subscriptions.lock();
        let filters = subscriptions.ask();
        if filters.is_empty() {
            drop(subscriptions);
            self.granted(serving);
            return Ok(());
        }
        serving.connection.subscribe(&filters)?;
        serving.subscription = Subscription::Asked(now + self.client.options.connect_timeout);
        Ok(())
    }

    fn granted(&self, serving: &mut Serving) {
        if !matches!(serving.subscription, Subscription::Granted) {
            serving.subscription = Subscription::Granted;
            self.shared.report(None);
        }
    }

    fn on_subscribed(&self, serving: &mut Serving, codes: &[u8], text: &str) {
        let refused = self.shared.subscriptions.lock().answered(codes);
        if codes.contains(&0) {
            let text = "the MQTT broker grants QoS 0 only: requests may be lost";
            tracing::warn!(broker = self.broker, "{text}");
        }
        let (needed, wanted): (Vec<_>, Vec<_>) = refused.into_iter().partition(|(subscription, _)| subscription.needed);
        for (subscription, code) in wanted {
            let reason = Reason { code, text: text.to_owned() };
            let (broker, filter) = (&self.broker, subscription.filter);
            tracing::warn!(broker, filter, %reason, "the MQTT broker refuses a subscription that we can do without");
        }
        if needed.is_empty() {
            self.granted(serving);
            return;
        }
        self.stats.subscriptions_refused.increment();
        for (subscription, code) in needed {
            let reason = Reason { code, text: text.to_owned() };
            let filter = subscription.filter;
            tracing::error!(broker = self.broker, filter, %reason, "the MQTT broker refuses a subscription");
            self.shared.report(Some(format!("{} refuses the subscription to {filter}: {reason}", self.broker)));
        }
        serving.subscription = Subscription::Refused(Instant::now() + serving.subscribe_pauses.next());
    }

    /// Takes all packets that have come, as long as the binding takes messages.
    fn take_packets(&self, serving: &mut Serving) -> Result<(), Failure> {
        while serving.held.is_none()
            && let Some(packet) = serving.connection.packet()?
        {
            match packet {
                Packet::Message(arriving) => serving.held = self.on_message(arriving),
                Packet::TooLarge { topic, packet_id, bytes } => {
                    self.stats.oversized.increment();
                    tracing::warn!(topic = &*topic, bytes, "message ignored: it is too large");
                    self.acknowledgement(packet_id).into_iter().for_each(|ignored| ignored.acknowledge());
                }
                Packet::Acknowledged { packet_id, reason } => self.on_acknowledged(packet_id, &reason),
                Packet::Subscribed { codes, text } => self.on_subscribed(serving, &codes, &text),
                Packet::Alive => {}
                Packet::Leaving(reason) => return Err(Failure::Ended(reason)),
                Packet::Welcome { .. } | Packet::Unwelcome(_) => return Err(Failure::Closed),
            }
        }
        Ok(())
    }

    fn acknowledgement(&self, packet_id: Option<u16>) -> Option<Box<dyn Acknowledgement>> {
        let (generation, sequence) = self.shared.outbox.lock().arrived(packet_id?);
        Some(Box::new(ExternalAcknowledgement { shared: Arc::clone(&self.shared), generation, sequence }))
    }

    /// Gives a message to the binding, or back if that has no room.
    fn on_message(&self, arriving: Arriving) -> Option<(Inbound, Instant)> {
        let acknowledgement = self.acknowledgement(arriving.packet_id);
        if arriving.retained {
            // A retained request would be carried out again with every subscription; TS-0010 §6.1 has none.
            self.stats.retained.increment();
            tracing::warn!(topic = &*arriving.topic, "retained message ignored");
            acknowledgement.into_iter().for_each(|ignored| ignored.acknowledge());
            return None;
        }
        let Arriving { topic, payload, duplicate, .. } = arriving;
        if (self.take_answer)(&topic, &payload) {
            acknowledgement.into_iter().for_each(|taken| taken.acknowledge());
            return None;
        }
        let inbound = Inbound { topic, payload, duplicate, peer: Peer::default(), vouched: None, acknowledgement };
        match self.inbound.try_send(inbound) {
            Err(TrySendError::Full(inbound)) => Some((inbound, Instant::now())),
            // If the binding is stopping, the message comes again some day.
            Ok(()) | Err(TrySendError::Closed(_)) => None,
        }
    }

    fn on_acknowledged(&self, packet_id: u16, reason: &Reason) {
        let progress = match reason.code {
            0x10 => Progress::NoReceiver,
            code if code < 0x80 => Progress::TakenOver,
            _ => Progress::Lost,
        };
        let topic = self.shared.outbox.lock().acknowledged(packet_id, progress);
        match topic {
            Some(topic) if progress == Progress::Lost => {
                self.stats.refused_by_broker.increment();
                tracing::warn!(broker = self.broker, topic, %reason, "the MQTT broker refuses a message");
            }
            Some(_) => {}
            None => tracing::debug!(broker = self.broker, packet_id, "acknowledgement of nothing that was sent"),
        }
    }

    /// Encodes as much as may wait in the connection.
    fn write(&self, connection: &mut Connection) {
        let now = Instant::now();
        let mut outbox = self.shared.outbox.lock();
        while let Some((wire, output)) = connection.writer() {
            match outbox.take_next(now) {
                None => return,
                Some(Next::Acknowledgement { packet_id }) => wire.acknowledge(packet_id, output),
                Some(Next::Message { message, packet_id, duplicate }) => {
                    // Whole seconds; 0 would be "never".
                    let left = |then: Instant| then.saturating_duration_since(now).as_secs_f64().ceil().max(1.0) as u32;
                    let expiry = message.expires.map(left);
                    wire.publish(&message.topic, &message.payload, packet_id, duplicate, expiry, output);
                }
            }
        }
    }

    /// Brings everything into the state between two connections.
    fn on_disconnected(&mut self, failure: &Failure, since: Instant) {
        self.on_failure(failure);
        self.shared.limit_packets(None);
        let given_up = self.shared.outbox.lock().disconnected();
        if let Some((topic, bytes)) = given_up {
            self.stats.given_up.increment();
            tracing::error!(broker = self.broker, topic, bytes, "message given up: connections keep ending with it");
        }
        if since.elapsed() >= STABLE_AFTER.max(self.pauses.last() * 2) {
            self.pauses.reset();
            self.unstable = 0;
            return;
        }
        self.unstable += 1;
        if failure.is_taken_over() || self.unstable.is_multiple_of(UNSTABLE_MAX) {
            let (broker, client_id) = (&self.broker, &self.client.client_id);
            tracing::error!(broker, client_id, "connections keep ending; is another client using this identifier?");
        }
    }

    /// Waits before the next try. Ends early if there is nothing left to try for.
    async fn pause(&mut self) -> Then {
        let pause = self.pauses.next();
        tokio::select! {
            () = sleep(pause) => Then::ConnectAgain,
            () = finished(&self.shared) => Then::End,
        }
    }

    /// Takes leave politely.
    async fn leave(&self, connection: Connection) {
        if !matches!(timeout(self.client.options.connect_timeout, connection.leave()).await, Ok(Ok(()))) {
            tracing::debug!(broker = self.broker, "the MQTT broker did not take the DISCONNECT");
        }
    }
}

impl Serving {
    /// Whether nothing more goes out before the broker has answered to a subscription.
    fn has_to_wait(&self, shared: &Shared) -> bool {
        let asks_later = !matches!(self.subscription, Subscription::Refused(_));
        asks_later && shared.subscriptions.lock().has_more()
    }

    /// When something has to be looked at though nothing has moved.
    fn look_again(&self) -> Instant {
        let subscription = match self.subscription {
            Subscription::Asked(until) | Subscription::Refused(until) => Some(until),
            Subscription::Granted => None,
        };
        let held = self.held.as_ref().map(|(_, since)| *since + INBOUND_WAIT_MAX);
        let times = [subscription, held, self.connection.look_again()];
        // Without any, once an hour does no harm.
        times.into_iter().flatten().min().unwrap_or_else(|| Instant::now() + Duration::from_secs(3_600))
    }
}

/// Ends when the link is to be closed and nothing is left that has to reach the broker.
async fn finished(shared: &Shared) {
    loop {
        let mut work = pin!(shared.work.notified());
        work.as_mut().enable();
        if shared.is_finished() {
            return;
        }
        work.await;
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.shared.closing.send_replace(Closing::Closed);
        self.shared.status.send_replace(LinkStatus::Down);
        // Whoever follows a message that is still here learns that it is lost.
        *self.shared.outbox.lock() = Outbox::default();
        self.shared.room.notify_waiters();
    }
}

/// Growing pauses between tries, each shortened by a random part.
pub(super) struct Pauses {
    min: Duration,
    max: Duration,
    current: Duration,
    last: Duration,
}

impl Pauses {
    pub(super) fn new(min: Duration, max: Duration) -> Self {
        let min = min.max(Duration::from_millis(10));
        Self { min, max: max.max(min), current: min, last: Duration::ZERO }
    }

    fn restarted(&self) -> Self {
        Self::new(self.min, self.max)
    }

    fn reset(&mut self) {
        self.current = self.min;
    }

    fn last(&self) -> Duration {
        self.last
    }

    fn next(&mut self) -> Duration {
        let pause = self.current;
        self.current = (pause * 2).min(self.max);
        // Between a half and all of it, so that many clients do not come back at the same moment.
        let random = RandomState::new().build_hasher().finish() % 1024;
        self.last = pause / 2 + pause.mul_f64(random as f64 / 2048.0);
        self.last
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
