//! Accepting connections and holding them within [`HttpLimits`].
//!
//! One task for each connection, all owned by [`serve`]: it ends when the last of them has ended.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tracing::{debug, error, info, warn};

use crate::options::HttpLimits;
use crate::socket::{Sender, Socket};
use crate::timed::{Activity, Patience, Timed};

/// Most refused connections that are still being told so.
const REFUSALS_MAX: usize = 64;
/// How long a refused peer may take to read that it is refused.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(2);
/// Smallest read buffer that hyper allows.
const BUFFER_BYTES_MIN: usize = 8192;
/// First and longest pause after an error of `accept`.
const ACCEPT_PAUSES: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));

const REFUSAL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nx-m2m-rsc: 5000\r\n\
content-type: application/json\r\ncontent-length: 57\r\nconnection: close\r\n\r\n\
{\"m2m:dbg\":\"this CSE is busy: too many open connections\"}";

/// Serves connections until `shutdown` says `true` or its sender is gone, then lets requests that have begun
/// finish for no longer than [`HttpLimits::grace`].
///
/// Returns how many connections were cut off at the end of that time.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    limits: HttpLimits,
    mut shutdown: watch::Receiver<bool>,
) -> usize {
    let mut server = Server::new(router, limits, shutdown.clone());
    let mut pause = ACCEPT_PAUSES.0;
    let mut stop = pin!(stopped(&mut shutdown));
    loop {
        let failed = tokio::select! {
            biased;
            () = stop.as_mut() => break,
            Some(ended) = server.connections.join_next() => {
                log_panic(ended);
                continue;
            }
            Some(ended) = server.refusals.join_next() => {
                log_panic(ended);
                continue;
            }
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    pause = ACCEPT_PAUSES.0;
                    server.accepted(stream, peer);
                    continue;
                }
                Err(error) => error,
            },
        };
        if concerns_one_connection(&failed) {
            debug!(error = %failed, "a connection was lost");
            continue;
        }
        // Out of descriptors or memory: only time, or a connection that ends, helps.
        error!(error = %failed, pause_ms = pause.as_millis() as u64, "cannot accept connections");
        tokio::select! {
            () = stop.as_mut() => break,
            () = tokio::time::sleep(pause) => {}
        }
        pause = (pause * 2).min(ACCEPT_PAUSES.1);
    }
    drop(listener);
    server.finish().await
}

/// Ends when the server is to stop.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error means that nobody is left who could say so.
    let _ = stop.wait_for(|stop| *stop).await;
}

fn concerns_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

fn log_panic(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        error!(%error, "an HTTP connection's task panicked");
    }
}

struct Server {
    router: Router,
    http: http1::Builder,
    limits: HttpLimits,
    stop: watch::Receiver<bool>,
    connections: JoinSet<()>,
    refusals: JoinSet<()>,
}

impl Server {
    fn new(router: Router, limits: HttpLimits, stop: watch::Receiver<bool>) -> Self {
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            // `Timed` keeps this deadline, and apart from the one for an idle connection.
            .header_read_timeout(None)
            // A request that was received is answered, even if its sender has ended its half of the stream.
            .half_close(true)
            .max_header_size(limits.header_bytes_max)
            .max_buf_size(limits.header_bytes_max.saturating_mul(2).max(BUFFER_BYTES_MIN));
        if limits.headers_max != HttpLimits::default().headers_max {
            // Only if asked for: hyper then puts headers on the heap.
            http.max_headers(limits.headers_max);
        }
        Self { router, http, limits, stop, connections: JoinSet::new(), refusals: JoinSet::new() }
    }

    fn accepted(&mut self, stream: TcpStream, peer: SocketAddr) {
        if let Err(error) = stream.set_nodelay(true) {
            debug!(%error, %peer, "cannot set TCP_NODELAY");
        }
        if self.connections.len() < self.limits.connections_max {
            self.connections.spawn(self.connection(stream, peer));
        } else if self.refusals.len() < REFUSALS_MAX {
            warn!(%peer, connections_max = self.limits.connections_max, "connection refused: too many");
            self.refusals.spawn(refuse(stream));
        }
    }

    fn connection(&self, stream: TcpStream, peer: SocketAddr) -> impl Future<Output = ()> + Send + 'static {
        let activity = Arc::new(Activity::default());
        let patience = Patience {
            header: self.limits.header_timeout,
            idle: self.limits.idle_timeout,
            write: self.limits.write_timeout,
        };
        let socket = Socket::new(stream);
        let sender = socket.sender();
        let stream = TokioIo::new(Timed::new(socket, Arc::clone(&activity), patience));
        let service = Routed { router: self.router.clone(), peer, sender, activity: Arc::clone(&activity) };
        let connection = self.http.serve_connection(stream, service);
        let mut stop = self.stop.clone();
        async move {
            let mut connection = pin!(connection);
            let ended = tokio::select! {
                ended = connection.as_mut() => ended,
                () = stopped(&mut stop) => {
                    activity.stop();
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if let Err(error) = ended {
                debug!(%peer, %error, "HTTP connection ended");
            }
        }
    }

    /// Waits for the connections, not for ever.
    async fn finish(mut self) -> usize {
        self.refusals.shutdown().await;
        let all_ended = async {
            while let Some(ended) = self.connections.join_next().await {
                log_panic(ended);
            }
        };
        if tokio::time::timeout(self.limits.grace, all_ended).await.is_ok() {
            return 0;
        }
        let cut_off = self.connections.len();
        info!(cut_off, "HTTP connections cut off");
        self.connections.shutdown().await;
        cut_off
    }
}

/// Tells a peer that there is no place for it.
async fn refuse(mut stream: TcpStream) {
    let told = async {
        stream.write_all(REFUSAL).await?;
        stream.shutdown().await?;
        // To close with unread data would reset the connection and lose the answer on its way.
        let mut rest = [0; 1024];
        for _ in 0..64 {
            if stream.read(&mut rest).await? == 0 {
                break;
            }
        }
        Ok::<(), io::Error>(())
    };
    // A peer that does not read the answer has no use for it.
    let _ = tokio::time::timeout(REFUSAL_TIMEOUT, told).await;
}

/// The router as one connection's service.
struct Routed {
    router: Router,
    peer: SocketAddr,
    sender: Sender,
    activity: Arc<Activity>,
}

impl hyper::service::Service<Request<Incoming>> for Routed {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        self.activity.begin();
        let activity = Arc::clone(&self.activity);
        request.extensions_mut().insert(ConnectInfo(self.peer));
        request.extensions_mut().insert(self.sender.clone());
        let answer = tower::Service::call(&mut self.router.clone(), request);
        Box::pin(async move {
            let answer = answer.await;
            activity.end();
            answer
        })
    }
}
