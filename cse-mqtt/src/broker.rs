//! A broker for MQTT 3.1.1 and 5 to embed: sessions, routing, limits, and a link by which the program takes part.
//!
//! It knows MQTT and asks a [`Policy`] who may do what; it knows nothing of what the messages mean.
//!
//! - QoS 0, 1 and 2; clean and kept sessions. Kept ones survive the process if the broker is made with
//!   [`Broker::restored`] and its [`Persister`] runs: what has been acknowledged is stored, see [`Persistence`].
//! - A QoS 1 or 2 message that a [`Link`] gets is acknowledged to its publisher when the link accepts it, not before.
//!   One that only other clients get is acknowledged when it is in their queues, stored where it has to be.
//! - A message accepted for a session stays until its client acknowledges it. A full queue refuses new messages; see
//!   [`Limits`] for every bound and [`Stats`] for what was refused.
//! - Overlapping subscriptions of one client give it one copy of a message, with the highest QoS among them.
//! - Clients of version 5 get reasons, and have a say in what they are sent: session and message expiry, receive
//!   maximum, packet size, no local. Properties of messages go from version 5 to version 5 unaltered. See
//!   `docs/mqtt-5.md`.
//!
//! Left out on purpose: retained messages are delivered but not kept, with RETAIN cleared (version 5 is told that there
//! are none, and may not send them), and wills are accepted in CONNECT and never published (oneM2M, TS-0010, forbids
//! both); shared subscriptions are refused in SUBACK, as are subscription identifiers; topic aliases and extended
//! authentication are not offered; there is no bridging and no clustering. TLS and WebSocket come with the [`Listener`](crate::transport::Listener);
//! what else there may be goes around it, by [`Broker::serve_connection`].
//!
//! ```no_run
//! # use std::{sync::Arc, time::Duration};
//! # use cse_mqtt::broker::{Broker, Limits, OpenPolicy};
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let broker = Broker::new(Limits::default(), Arc::new(OpenPolicy));
//! let (link, mut receiver) = broker.link("echo", &["request/#"])?;
//! let (_stop, shutdown) = tokio::sync::watch::channel(false);
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:1883").await?;
//! let echo = async {
//!     let mut requests = Vec::new();
//!     loop {
//!         receiver.receive(&mut requests, 64).await;
//!         for request in requests.drain(..) {
//!             let topic = format!("response/{}", request.publisher.client_id);
//!             if link.publish(&topic, request.payload, request.qos).is_ok() {
//!                 request.ack.accept();
//!             }
//!         }
//!     }
//! };
//! tokio::select! {
//!     () = echo => {}
//!     () = broker.serve(listener, shutdown, Duration::from_secs(5)) => {}
//! }
//! # Ok(())
//! # }
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

mod acks;
mod clock;
mod codec;
mod connect;
mod connection;
mod delivery;
mod filter;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod handle;
mod hold;
mod limits;
mod link;
mod offline;
mod persistence;
mod policy;
mod registry;
mod replies;
mod review;
mod router;
mod serve;
mod session;
mod standing;
mod stats;
mod terms;
mod trie;

pub use delivery::{DeliveryHandle, DeliveryStatus};
pub use filter::InvalidFilter;
pub use limits::Limits;
pub use link::{AckToken, Inbound, Link, LinkReceiver, PublishError, PublishOutcome, Shortcut};
pub use persistence::{
    Changes, MessageContent, MessageRange, MessageRecord, PacketKey, Persistence, PersistenceError, Persister,
    PersisterStatus, SessionRecord, StoredSession, SubscriptionKey, SubscriptionRecord,
};
pub use policy::{
    Admission, Client, ConnectInfo, ConnectRefusal, Identity, OpenPolicy, PeerCertificate, Policy, PolicyFuture, Proof,
    Standing,
};
pub use serve::Origin;
pub use session::SessionSnapshot;
pub use standing::Revoked;
pub use stats::{Counter, Stats};

use clock::WallClock;
use filter::TopicFilter;
use link::LinkShared;
use persistence::Journal;
use registry::Registry;
use router::Router;
use serve::Places;
use session::Memory;

/// The broker. Clones are the same broker.
#[derive(Clone)]
pub struct Broker {
    core: Arc<Core>,
}

/// What all connections and links share.
pub(crate) struct Core {
    limits: Arc<Limits>,
    policy: Arc<dyn Policy>,
    stats: Stats,
    router: Router,
    registry: Registry,
    memory: Arc<Memory>,
    clock: WallClock,
    places: Places,
    last_id: AtomicU64,
    /// None if sessions end with the process.
    journal: Option<Arc<Journal>>,
}

impl Broker {
    /// A broker without connections; see [`Broker::serve`] and [`Broker::link`].
    pub fn new(limits: Limits, policy: Arc<dyn Policy>) -> Self {
        Self { core: Arc::new(Core::new(limits, policy, None)) }
    }

    /// Attaches the program itself, which receives messages that match `filters` and may publish anything.
    ///
    /// `name` is the client identifier that receivers of its messages in other links see. It is not in the name space
    /// of clients.
    ///
    /// # Errors
    /// If one of `filters` is malformed, too long, or shared.
    pub fn link(&self, name: &str, filters: &[&str]) -> Result<(Link, LinkReceiver), InvalidFilter> {
        self.link_as(name, filters, None)
    }

    /// As [`Broker::link`], with a [`Shortcut`] past its queue.
    ///
    /// # Errors
    /// As [`Broker::link`].
    pub fn link_with_shortcut(
        &self,
        name: &str,
        filters: &[&str],
        shortcut: Shortcut,
    ) -> Result<(Link, LinkReceiver), InvalidFilter> {
        self.link_as(name, filters, Some(shortcut))
    }

    fn link_as(
        &self,
        name: &str,
        filters: &[&str],
        shortcut: Option<Shortcut>,
    ) -> Result<(Link, LinkReceiver), InvalidFilter> {
        let limits = &self.core.limits;
        let client = Client { client_id: name.into(), identity: Identity::new(name), peer: None };
        let shared = Arc::new(LinkShared::new(
            self.core.next_id(),
            Arc::new(client),
            limits.link_messages_max,
            limits.link_bytes_max,
            shortcut,
        ));
        let receiver = LinkReceiver::new(Arc::clone(&self.core), Arc::clone(&shared));
        let link = Link::new(Arc::clone(&self.core), shared);
        for filter in filters {
            link.subscribe(filter)?;
        }
        Ok((link, receiver))
    }

    /// Closes a client's connection and ends its session with everything that waits for it, as when the client is no
    /// longer registered. `false` if there is no such session.
    pub fn expel(&self, client_id: &str) -> bool {
        self.core.expel(client_id)
    }

    /// The counters.
    pub fn stats(&self) -> &Stats {
        &self.core.stats
    }

    /// All sessions now, each seen at its own instant.
    pub fn sessions(&self) -> Vec<SessionSnapshot> {
        self.core.snapshots()
    }
}

impl Core {
    fn new(limits: Limits, policy: Arc<dyn Policy>, journal: Option<Arc<Journal>>) -> Self {
        Self {
            router: Router::new(limits.subscriptions_total_max),
            places: Places::new(limits.connections_max),
            limits: Arc::new(limits),
            policy,
            stats: Stats::default(),
            registry: Registry::default(),
            memory: Arc::default(),
            clock: WallClock::start(),
            last_id: AtomicU64::new(0),
            journal,
        }
    }

    /// A number no session or link has.
    fn next_id(&self) -> u64 {
        self.last_id.fetch_add(1, Ordering::Relaxed) + 1
    }

    fn parse_filter(&self, text: &str) -> Result<TopicFilter, InvalidFilter> {
        TopicFilter::parse(text, self.limits.filter_bytes_max, self.limits.filter_levels_max)
    }
}
