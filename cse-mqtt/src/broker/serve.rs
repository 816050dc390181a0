//! Listening, owning the tasks of connections, and stopping politely.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tracing::{debug, error, info, warn};

use super::connect;
use super::policy::PeerCertificate;
use super::{Broker, Core};

/// Wait after an error of `accept`, which without it would come again at once (no free file descriptor).
const ACCEPT_RETRY: Duration = Duration::from_millis(200);
/// How often sessions are looked at for expiry.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(10);

/// Where a connection comes from, as far as its transport knows.
#[derive(Clone, Debug)]
pub struct Origin {
    /// Address of the peer.
    pub peer: SocketAddr,
    /// What the client certificate says, if the transport has verified one.
    pub certificate: Option<Arc<PeerCertificate>>,
}

impl Origin {
    /// Of a transport without certificates.
    pub fn of(peer: SocketAddr) -> Self {
        Self { peer, certificate: None }
    }
}

impl Broker {
    /// Accepts and serves connections of `listener` until `shutdown` becomes `true` or its sender is gone.
    ///
    /// Then nothing new is read, and each connection has up to `drain` time to send the acknowledgements that links
    /// still owe and the messages that wait for its client. Links should publish their answer to a message before
    /// they accept it: a connection that owes nothing any more is closed. Dropping the future closes all connections
    /// at once.
    pub async fn serve(&self, listener: TcpListener, shutdown: watch::Receiver<bool>, drain: Duration) {
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
                accepted = listener.accept() => match accepted {
                    Ok((stream, peer)) => self.admit(&mut connections, stream, peer, &shutdown, drain),
                    Err(failure) if is_of_connection(&failure) => {}
                    Err(failure) => {
                        self.core.stats.accept_errors.increment();
                        warn!(%failure, "cannot accept a connection");
                        sleep(ACCEPT_RETRY).await;
                    }
                },
            }
        }
        drop(listener);
        info!(connections = connections.len(), "the broker is stopping");
        // The connections stop by the same signal and have their own limit.
        while connections.join_next().await.is_some() {}
    }

    fn admit(
        &self,
        connections: &mut JoinSet<()>,
        stream: TcpStream,
        peer: SocketAddr,
        shutdown: &watch::Receiver<bool>,
        drain: Duration,
    ) {
        let stats = &self.core.stats;
        if connections.len() >= self.core.limits.connections_max {
            stats.connections_over_limit.increment();
            return;
        }
        if let Err(failure) = stream.set_nodelay(true) {
            debug!(%peer, %failure, "connection lost before it was served");
            return;
        }
        let broker = self.clone();
        let shutdown = shutdown.clone();
        connections.spawn(async move { broker.serve_connection(stream, Origin::of(peer), shutdown, drain).await });
    }

    /// Serves one connection over any stream until it ends; for transports that need a handshake of their own first.
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
