//! The link to an external broker: a client of MQTT 3.1.1 or 5 that never loses what it was given.
//!
//! One task keeps the connection and never waits for anything else for long; everybody else only puts messages into
//! the [`Outbox`]. The task writes them, follows each to its PUBACK, connects again with growing pauses, subscribes on
//! every connection, and gives everything again to a broker that has lost the session.

mod connection;
mod dial;
mod driver;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod leave;
mod outbox;
mod subscriptions;
mod wire;

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use cse_core::id::CseIdentity;
use cse_core::ports::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::Instant;

use crate::link::{
    Acknowledgement, AnswerTaker, Inbound, Link, LinkStatus, Progress, Publisher, Receipt, Refused, Subscription,
};
use crate::options::ExternalOptions;
use crate::stats::MqttStats;
use crate::topic::is_publishable;
use connection::Client;
pub(crate) use driver::Driver;
use driver::Pauses;
pub use leave::{LeaveError, leave};
use outbox::{Message, Outbox, PUBLISH_HEADER_BYTES_MAX, Waiter};
use subscriptions::Subscriptions;

/// Messages received and not yet taken by the binding, answers to requests of this CSE not among them; with MQTT 5 the
/// broker is told so.
const INBOUND_MAX: u16 = 256;
/// Bytes that fit into MQTT's remaining length.
const REMAINING_LENGTH_MAX: usize = 268_435_455;

struct Shared {
    outbox: Mutex<Outbox>,
    subscriptions: Mutex<Subscriptions>,
    /// There is something to hand over, or the link is to close.
    work: Notify,
    /// The outbox has become smaller.
    room: Notify,
    closing: watch::Sender<Closing>,
    status: watch::Sender<LinkStatus>,
    /// Why the link is down, for people.
    problem: Mutex<Option<String>>,
    messages_max: usize,
    bytes_max: usize,
    /// Largest packet that we send or take.
    packet_bytes_max: usize,
    /// Largest packet that we and the broker we are connected to take.
    publish_bytes_max: AtomicUsize,
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

    fn is_finished(&self) -> bool {
        *self.closing.borrow() != Closing::No && self.outbox.lock().is_drained()
    }

    /// Takes note of the largest packet that the broker takes, if it has said so.
    fn limit_packets(&self, packet_bytes_max: Option<usize>) {
        let bytes = packet_bytes_max.unwrap_or(usize::MAX).min(self.packet_bytes_max);
        self.publish_bytes_max.store(bytes, Ordering::Relaxed);
    }

    /// The link is up, or down for that reason.
    fn report(&self, problem: Option<String>) {
        let status = if problem.is_none() { LinkStatus::Up } else { LinkStatus::Down };
        *self.problem.lock() = problem;
        self.status.send_if_modified(|current| std::mem::replace(current, status) != status);
    }
}

/// The sending half, shared.
#[derive(Clone)]
pub(crate) struct ExternalPublisher(Arc<Shared>);

impl ExternalPublisher {
    fn push(&self, message: Message) -> Result<(), Refused> {
        let bytes = message.topic.len() + message.payload.len() + PUBLISH_HEADER_BYTES_MAX;
        if !is_publishable(&message.topic) {
            return Err(Refused::InvalidTopic);
        }
        if bytes > self.0.publish_bytes_max.load(Ordering::Relaxed) {
            return Err(Refused::TooLarge(bytes));
        }
        if *self.0.closing.borrow() == Closing::Closed {
            return Err(Refused::Closed);
        }
        self.0.outbox.lock().push(message);
        self.0.work.notify_one();
        Ok(())
    }

    /// Connected or not, to watch.
    pub(crate) fn status(&self) -> watch::Receiver<LinkStatus> {
        self.0.status.subscribe()
    }

    /// Why the link is not up, as far as known.
    pub(crate) fn problem(&self) -> Option<String> {
        self.0.problem.lock().clone()
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
    fn listen(&self, filters: &[String]) -> Result<(), Refused> {
        self.0.subscriptions.lock().add(filters)?;
        self.0.work.notify_one();
        Ok(())
    }

    fn publish_answer(
        &self,
        topic: String,
        payload: Bytes,
        expiry: Option<Duration>,
    ) -> Result<Option<Box<dyn Receipt>>, Refused> {
        let expires = expiry.and_then(|expiry| Instant::now().checked_add(expiry));
        self.push(Message { topic, payload, expires, receipt: None }).map(|()| None)
    }

    fn publish_request(
        &self,
        topic: String,
        payload: Bytes,
        expiry: Option<Duration>,
    ) -> Result<Box<dyn Receipt>, Refused> {
        if !self.0.has_room() {
            self.0.outbox.lock().purge();
        }
        if !self.0.has_room() {
            return Err(Refused::Full);
        }
        let (progress, receiver) = oneshot::channel();
        let left = Arc::new(AtomicBool::new(false));
        let expires = expiry.and_then(|expiry| Instant::now().checked_add(expiry));
        let receipt = Some(Waiter { progress, left: Arc::clone(&left) });
        self.push(Message { topic, payload, expires, receipt })?;
        Ok(Box::new(ExternalReceipt { receiver, left, progress: Progress::Waiting }))
    }
}

struct ExternalReceipt {
    receiver: oneshot::Receiver<Progress>,
    left: Arc<AtomicBool>,
    progress: Progress,
}

impl Receipt for ExternalReceipt {
    fn progress(&mut self) -> Progress {
        if self.progress == Progress::Waiting {
            self.progress = match self.receiver.try_recv() {
                Ok(progress) => progress,
                Err(oneshot::error::TryRecvError::Empty) => Progress::Waiting,
                Err(oneshot::error::TryRecvError::Closed) => Progress::Lost,
            };
        }
        self.progress
    }

    fn may_arrive(&self) -> bool {
        self.left.load(Ordering::Acquire)
    }

    fn settled(&mut self) -> BoxFuture<'_, Progress> {
        Box::pin(async move {
            if self.progress == Progress::Waiting {
                self.progress = (&mut self.receiver).await.unwrap_or(Progress::Lost);
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
        // A request needs an answer, and an answer needs a place.
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

/// Makes a link to an external broker, with those subscriptions. Does not wait for the broker. The driver gives answers
/// to `take_answer`.
pub(crate) fn link(
    identity: &CseIdentity,
    options: &ExternalOptions,
    subscriptions: Vec<Subscription>,
    take_answer: AnswerTaker,
    stats: Arc<MqttStats>,
) -> (ExternalPublisher, ExternalLink, Driver) {
    let packet_bytes_max = options.packet_bytes_max.min(REMAINING_LENGTH_MAX);
    let shared = Arc::new(Shared {
        outbox: Mutex::default(),
        subscriptions: Mutex::new(Subscriptions::new(subscriptions)),
        work: Notify::new(),
        room: Notify::new(),
        closing: watch::Sender::new(Closing::No),
        status: watch::Sender::new(LinkStatus::Down),
        problem: Mutex::new(Some("not connected to the broker yet".to_owned())),
        messages_max: options.outbox_messages_max.max(1),
        bytes_max: options.outbox_bytes_max.max(1),
        packet_bytes_max,
        publish_bytes_max: AtomicUsize::new(packet_bytes_max),
    });
    let (sender, inbound) = mpsc::channel(usize::from(INBOUND_MAX));
    let driver = Driver {
        shared: Arc::clone(&shared),
        client: client(identity, options, packet_bytes_max),
        pauses: Pauses::new(options.reconnect_min, options.reconnect_max),
        inbound: sender,
        take_answer,
        stats,
        broker: format!("{}:{}", options.host, options.port),
        unstable: 0,
    };
    (ExternalPublisher(Arc::clone(&shared)), ExternalLink { shared, inbound }, driver)
}

/// TS-0010 §7.3.3: one client identifier, a persistent session, no will.
fn client(identity: &CseIdentity, options: &ExternalOptions, packet_bytes_max: usize) -> Client {
    let client_id = format!("{}{}{}", options.client_id_prefix, identity.base_id(), options.client_id_suffix);
    Client { options: options.clone(), client_id, receive_maximum: INBOUND_MAX, packet_bytes_max }
}
