//! The link to an external broker: a rumqttc client, and around it what that client leaves to its user.
//!
//! One task polls the client and never waits for anything else for long; everybody else only puts messages
//! into the [`Outbox`]. The task hands them over, follows each from packet identifier to PUBACK, connects again with
//! growing pauses, subscribes on every connection, and gives everything again to a broker that has lost the session.

mod driver;
mod leave;
mod outbox;
mod subscriptions;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cse_core::id::CseIdentity;
use cse_core::ports::BoxFuture;
use parking_lot::Mutex;
use rumqttc::MqttOptions;
use tokio::sync::{Notify, mpsc, oneshot, watch};

use crate::link::{Acknowledgement, Inbound, Link, LinkStatus, Progress, Publisher, Receipt, Refused, Subscription};
use crate::options::ExternalOptions;
use crate::stats::MqttStats;
use crate::topic::is_publishable;
pub(crate) use driver::Driver;
use driver::Pauses;
pub use leave::{LeaveError, leave};
use outbox::{Message, Outbox, PACKET_IDS};
use subscriptions::Subscriptions;

/// Messages received and not yet taken by the binding.
const INBOUND_MAX: usize = 256;
/// Fixed header, packet identifier and topic length of a PUBLISH, at most.
const PUBLISH_HEADER_BYTES_MAX: usize = 9;
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
    fn listen(&self, filters: &[String]) -> Result<(), Refused> {
        self.0.subscriptions.lock().add(filters)?;
        self.0.work.notify_one();
        Ok(())
    }

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

/// Makes a link to an external broker, with those subscriptions. Does not wait for the broker.
pub(crate) fn link(
    identity: &CseIdentity,
    options: &ExternalOptions,
    subscriptions: Vec<Subscription>,
    stats: Arc<MqttStats>,
) -> (ExternalPublisher, ExternalLink, Driver) {
    let packet_bytes_max = options.packet_bytes_max.min(REMAINING_LENGTH_MAX);
    let shared = Arc::new(Shared {
        outbox: Mutex::new(Outbox::new()),
        subscriptions: Mutex::new(Subscriptions::new(subscriptions)),
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
