//! Listening, owning the tasks of connections, and stopping politely.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rustc_hash::FxHashSet;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout, timeout_at};
use tracing::{debug, error, info, warn};

use super::connect;
use super::policy::PeerCertificate;
use super::{Broker, Core};
use crate::transport::{BoxedStream, Handshake, Listener};

/// Wait after an error of `accept`, which without it would come again at once (no free file descriptor).
const ACCEPT_RETRY: Duration = Duration::from_millis(200);
/// How often sessions are looked at for expiry.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(10);

/// Peers whose first failed handshake is worth a warning. Later ones are not: a log that strangers can fill hides more
/// than it shows.
const PEERS_WARNED_MAX: usize = 1_000;

/// Where a connection comes from, as far as its transport knows.
#[derive(Clone, Debug)]
pub struct Origin {
    /// Address of the peer.
    pub peer: SocketAddr,
    /// What the client certificate says, if the transport has verified one.
    pub certificate: Option<Arc<PeerCertificate>>,
    /// When it was accepted: [`Limits::connect_timeout`](super::Limits::connect_timeout) counts from here.
    pub since: Instant,
}

impl Origin {
    /// Of a transport without certificates, now.
    pub fn of(peer: SocketAddr) -> Self {
        Self { peer, certificate: None, since: Instant::now() }
    }
}

/// Room for connections, the same for all listeners.
pub(crate) struct Places {
    connections: Arc<Semaphore>,
    /// Peers that were warned about.
    warned: Mutex<FxHashSet<IpAddr>>,
}

impl Places {
    pub(crate) fn new(connections_max: usize) -> Self {
        let connections = Arc::new(Semaphore::new(connections_max.min(Semaphore::MAX_PERMITS)));
        Self { connections, warned: Mutex::default() }
    }

    fn is_first_failure(&self, peer: IpAddr) -> bool {
        let mut warned = self.warned.lock();
        warned.len() < PEERS_WARNED_MAX && warned.insert(peer)
    }
}

impl Broker {
    /// Accepts and serves connections of `listener` until `shutdown` becomes `true` or its sender is gone. May run for
    /// several listeners at a time.
    ///
    /// Then nothing new is read, and each connection has up to `drain` time to send the acknowledgements that links
    /// still owe and the messages that wait for its client. Links should publish their answer to a message before
    /// they accept it: a connection that owes nothing any more is closed. Dropping the future closes all connections
    /// at once.
    pub async fn serve(&self, listener: impl Into<Listener>, shutdown: watch::Receiver<bool>, drain: Duration) {
        let Listener { socket, handshake } = listener.into();
        let mut connections = JoinSet::new();
        let mut expiry = interval(EXPIRY_INTERVAL);
        expiry.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut stop = shutdown.clone();
        let mut stopping = pin!(stopped(&mut stop));
        loop {
            tokio::select! {
                biased;
                () = &mut stopping => break,
                Some(ended) = connections.join_next() => {
                    if let Err(failure) = ended {
                        error!(%failure, "the task of a connection failed");
                    }
                }
                now = expiry.tick() => self.core.expire_sessions(now),
                accepted = socket.accept() => match accepted {
                    Ok((stream, peer)) => self.admit(&mut connections, stream, peer, &handshake, &shutdown, drain),
                    Err(failure) if is_of_connection(&failure) => {}
                    Err(failure) => {
                        self.core.stats.accept_errors.increment();
                        warn!(%failure, "cannot accept a connection");
                        sleep(ACCEPT_RETRY).await;
                    }
                },
            }
        }
        drop(socket);
        info!(transport = %handshake, connections = connections.len(), "the broker is stopping");
        // The connections stop by the same signal and have their own limit.
        while connections.join_next().await.is_some() {}
    }

    fn admit(
        &self,
        connections: &mut JoinSet<()>,
        stream: TcpStream,
        peer: SocketAddr,
        handshake: &Handshake,
        shutdown: &watch::Receiver<bool>,
        drain: Duration,
    ) {
        let Ok(place) = Arc::clone(&self.core.places.connections).try_acquire_owned() else {
            self.core.stats.connections_over_limit.increment();
            return;
        };
        if let Err(failure) = stream.set_nodelay(true) {
            debug!(%peer, %failure, "connection lost before it was served");
            return;
        }
        let (broker, shutdown, origin) = (self.clone(), shutdown.clone(), Origin::of(peer));
        if handshake.is_none() {
            connections.spawn(async move {
                let _place = place;
                broker.serve_connection(stream, origin, shutdown, drain).await;
            });
            return;
        }
        let handshake = handshake.clone();
        connections.spawn(async move {
            let _place = place;
            let Some((stream, certificate)) = broker.shake_hands(&handshake, stream, &origin, &shutdown).await else {
                return;
            };
            broker.serve_connection(stream, Origin { certificate, ..origin }, shutdown, drain).await;
        });
    }

    /// What comes before MQTT, on the heap and within the time for it.
    async fn shake_hands(
        &self,
        handshake: &Handshake,
        stream: TcpStream,
        origin: &Origin,
        shutdown: &watch::Receiver<bool>,
    ) -> Option<(BoxedStream, Option<Arc<PeerCertificate>>)> {
        let peer = origin.peer;
        let stats = &self.core.stats;
        let mut shutdown = shutdown.clone();
        // Needed for a moment, and large: kept in the task it would be kept for the life of the connection.
        let shaking = Box::pin(timeout_at(origin.since + self.core.limits.connect_timeout, handshake.run(stream)));
        let outcome = tokio::select! {
            outcome = shaking => outcome,
            () = stopped(&mut shutdown) => return None,
        };
        match outcome {
            Ok(Ok(ready)) => Some(ready),
            Ok(Err(failure)) => {
                stats.handshakes_failed.increment();
                if failure.says_something() && self.core.places.is_first_failure(peer.ip()) {
                    warn!(%peer, transport = %handshake, %failure, "a client cannot connect; told once for each address");
                } else {
                    debug!(%peer, transport = %handshake, %failure, "a client cannot connect");
                }
                None
            }
            Err(_) => {
                stats.connect_timeouts.increment();
                debug!(%peer, transport = %handshake, "no handshake in time");
                None
            }
        }
    }

    /// Serves one connection over any stream until it ends; for transports of one's own.
    ///
    /// `shutdown` and `drain` are as for [`Broker::serve`].
    pub async fn serve_connection<S>(
        &self,
        stream: S,
        origin: Origin,
        mut shutdown: watch::Receiver<bool>,
        drain: Duration,
    ) where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        self.core.stats.connections_accepted.increment();
        let peer = origin.peer;
        let connection = tokio::select! {
            connection = connect::accept(&self.core, stream, origin) => connection,
            () = stopped(&mut shutdown) => return,
        };
        let Some(connection) = connection else {
            return;
        };
        let shared = Arc::clone(&connection.attachment.shared);
        let mut running = pin!(connection.run());
        let closed = tokio::select! {
            closed = &mut running => Some(closed),
            () = stopped(&mut shutdown) => {
                shared.drain();
                timeout(drain, running).await.ok()
            }
        };
        let client_id = &shared.client.client_id;
        match closed {
            Some(reason) => debug!(%client_id, %peer, %reason, "connection closed"),
            None => debug!(%client_id, %peer, "connection closed with messages unsent"),
        }
    }
}

impl Core {
    /// A client identifier that no session has.
    pub(crate) fn unused_client_id(&self) -> Arc<str> {
        loop {
            let candidate = format!("anonymous-{}", self.next_id());
            if !self.is_known(&candidate) {
                return candidate.into();
            }
        }
    }
}

async fn stopped(shutdown: &mut watch::Receiver<bool>) {
    // An error means that the sender is gone, and with it whoever could stop the broker later.
    let _ = shutdown.wait_for(|stop| *stop).await;
}

/// Errors of `accept` that belong to one connection and say nothing about the next.
fn is_of_connection(failure: &io::Error) -> bool {
    matches!(
        failure.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
    )
}
