//! The seams of the core: what it needs from the world and what bindings need from it.

mod store;

pub use store::{
    ChangeSet, Clause, Deadline, DeadlineKind, Held, OutboxEntry, Reply, ReplyKey, Search, Snapshot, Store, StoreError,
    WriteTransaction,
};

use std::future::Future;
use std::pin::{Pin, pin};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::task::unconstrained;

use crate::codec::Serialization;
use crate::primitive::{Request, Response};
use crate::time::Timestamp;
use crate::value::Text;

/// A future behind a pointer, for seams that are crossed at network speed.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What a binding needs from the CSE.
pub trait Dispatch: Clone + Send + Sync + 'static {
    /// Carries a request out. Never fails: an error is a response.
    ///
    /// A request that changes something takes its place among all changes when the future is first polled,
    /// so polling in the order of arrival keeps the order of arrival.
    fn dispatch(&self, request: Request) -> impl Future<Output = Response> + Send;

    /// The serialization that an originator registered here prefers (`csz`), for bindings whose requests may leave open
    /// how the answer is to be written (TS-0009 §6.4.2). `None` for one that says nothing or is not known.
    fn preferred_serialization(&self, originator: &str) -> impl Future<Output = Option<Serialization>> + Send {
        let _ = originator;
        std::future::ready(None)
    }
}

/// Polls once while it is this one's turn, which is when requests take their places ([`Dispatch::dispatch`],
/// [`Outbound::send`]), then lets the next one have its turn, and waits for the rest.
pub async fn begin_in_turn<Turn, Work: Future>(turn: Turn, work: Work) -> Work::Output {
    let mut work = pin!(work);
    // Not to be put off for fairness to other tasks.
    let done = unconstrained(work.as_mut()).now_or_never();
    drop(turn);
    match done {
        Some(output) => output,
        None => work.await,
    }
}

/// Time. The system's in the server, a turned one in tests.
pub trait Clock: Send + Sync + 'static {
    /// The time now.
    fn now(&self) -> Timestamp;
    /// Ends when that long has passed.
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()>;
}

/// Where a request of the CSE goes.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Destination {
    /// A notification URI: a request goes to exactly that place.
    Url(Text),
    /// A point of access of an entity: where it can be found, but not the whole address of a request to it.
    PointOfAccess {
        /// The URL in the entity's `poa`.
        url: Text,
        /// Whose: an AE-ID stem, or the SP-relative or absolute CSE-ID of a CSE, to which the `to` of a request says what
        /// is meant behind it.
        entity: Text,
    },
    /// An entity that is reached over our own broker by its identifier: an AE-ID stem or an SP-relative ID.
    MqttEntity(Text),
}

impl Destination {
    /// The text, for messages and logs.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Url(text) | Self::PointOfAccess { url: text, .. } | Self::MqttEntity(text) => text,
        }
    }

    /// Whether what is under way there arrives in the order in which it was sent: over MQTT there is one connection for
    /// all, over HTTP there are several.
    pub(crate) fn keeps_order(&self) -> bool {
        self.url().is_none_or(|url| url.starts_with("mqtt"))
    }

    /// The URL, if it has one.
    pub fn url(&self) -> Option<&str> {
        match self {
            Self::Url(url) | Self::PointOfAccess { url, .. } => Some(url),
            Self::MqttEntity(_) => None,
        }
    }
}

/// A request of the CSE to another entity.
#[derive(Clone, Debug)]
pub struct OutgoingRequest {
    /// Where to.
    pub destination: Destination,
    /// The request; `rqi` is unique among all of this CSE.
    pub request: Request,
    /// How to write it.
    pub serialization: Serialization,
    /// How long to wait for the answer.
    pub timeout: Duration,
    /// Whether less than an answer will do.
    pub patience: Patience,
    /// Whether it has to arrive after those of the same originator to the same target that were sent before it: they
    /// came in that order.
    pub in_order: bool,
}

/// How long an answer is awaited when the peer's side has taken the message over, where that is known (MQTT).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Patience {
    /// For the whole timeout.
    #[default]
    UntilTimeout,
    /// No longer than that.
    AtMost(Duration),
    /// No longer than that, and not once the receiver has acknowledged the message.
    UntilReceived(Duration),
}

/// What became of a request that was sent.
#[derive(Clone, Debug)]
pub enum Sent {
    /// The receiver answered.
    Answered(Box<Response>),
    /// The message was taken over by the peer's side (acknowledged by the broker), but no answer came in time.
    Unanswered,
    /// The message was taken over by the peer's side, and no answer to it is possible or wanted: a topic of free
    /// form leads nowhere back.
    Unanswerable,
}

/// Why a request could not be sent.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SendError {
    /// Nobody there now; a later try may succeed.
    #[error("cannot be reached: {0}")]
    Unreachable(String),
    /// Nobody said in time whether it arrived: it may have, or may still. A later try may succeed.
    #[error("gave no sign in time: {0}")]
    Unconfirmed(String),
    /// No binding can reach such a destination; no later try will.
    #[error("no binding reaches it: {0}")]
    Unsupported(String),
    /// What it says is of no more use; no later try will make it.
    #[error("its time is over")]
    OutOfDate,
}

/// Sends requests of the CSE: its own, and those of others that it passes on.
pub trait Outbound: Send + Sync + 'static {
    /// Whether destinations of this form can be reached at all.
    fn reaches(&self, destination: &Destination) -> bool;
    /// Sends and waits for the answer, no longer than the request's timeout. What has to arrive in order takes its
    /// place when the future is first polled.
    fn send(&self, request: OutgoingRequest) -> BoxFuture<'static, Result<Sent, SendError>>;
}
