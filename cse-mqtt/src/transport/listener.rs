//! A bound socket, and what its connections go through before MQTT begins.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};

use super::server_tls::ServerTls;
use super::websocket::{self, Refusal, WebSocketOptions};
use crate::broker::PeerCertificate;

/// A bound socket for [`Broker::serve`](crate::broker::Broker::serve): plain TCP, TLS, WebSocket, or WebSocket over
/// TLS.
#[derive(Debug)]
pub struct Listener {
    pub(crate) socket: TcpListener,
    pub(crate) handshake: Handshake,
}

impl Listener {
    /// MQTT over plain TCP.
    pub fn new(socket: TcpListener) -> Self {
        Self { socket, handshake: Handshake::default() }
    }

    /// The same, with TLS under it.
    #[must_use]
    pub fn with_tls(mut self, tls: Arc<ServerTls>) -> Self {
        self.handshake.tls = Some(tls);
        self
    }

    /// The same, with WebSocket between TLS (if any) and MQTT.
    #[must_use]
    pub fn with_websocket(mut self, options: WebSocketOptions) -> Self {
        self.handshake.websocket = Some(Arc::new(options));
        self
    }

    /// Where it listens.
    ///
    /// # Errors
    /// If the system does not tell.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }
}

impl From<TcpListener> for Listener {
    fn from(socket: TcpListener) -> Self {
        Self::new(socket)
    }
}

/// A connection of any transport.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// One call through a table for each read and write, which TLS and WebSocket make unnoticeable; the connection's code
/// is there twice instead of five times.
pub(crate) type BoxedStream = Box<dyn Stream>;

/// What a connection goes through before MQTT.
#[derive(Clone, Debug, Default)]
pub(crate) struct Handshake {
    tls: Option<Arc<ServerTls>>,
    websocket: Option<Arc<WebSocketOptions>>,
}

/// Why a connection did not get to MQTT.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HandshakeFailure {
    #[error("TLS: {0}")]
    Tls(io::Error),
    #[error("WebSocket: {0}")]
    WebSocket(#[from] Refusal),
}

impl HandshakeFailure {
    /// Whether an operator can learn something from it; that somebody looked at the port and left is nothing.
    pub(crate) fn says_something(&self) -> bool {
        let (Self::Tls(error) | Self::WebSocket(Refusal::Network(error))) = self else {
            return true;
        };
        !matches!(
            error.kind(),
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe
        )
    }
}

impl Handshake {
    /// Whether MQTT begins at once.
    pub(crate) fn is_none(&self) -> bool {
        self.tls.is_none() && self.websocket.is_none()
    }

    /// Takes a connection through it. The caller limits the time.
    pub(crate) async fn run(
        &self,
        stream: TcpStream,
    ) -> Result<(BoxedStream, Option<Arc<PeerCertificate>>), HandshakeFailure> {
        let local = stream.local_addr().ok();
        let (stream, certificate): (BoxedStream, _) = match &self.tls {
            None => (Box::new(stream), None),
            Some(tls) => {
                let (stream, certificate) = tls.accept(stream).await.map_err(HandshakeFailure::Tls)?;
                (Box::new(stream), certificate)
            }
        };
        match &self.websocket {
            None => Ok((stream, certificate)),
            Some(options) => Ok((Box::new(websocket::accept(stream, options, local).await?), certificate)),
        }
    }
}

impl fmt::Display for Handshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (&self.tls, &self.websocket) {
            (None, None) => "TCP",
            (Some(_), None) => "TLS",
            (None, Some(_)) => "WebSocket",
            (Some(_), Some(_)) => "WebSocket over TLS",
        })
    }
}
