//! The way to an external broker: from its address to a stream of bytes that MQTT can be spoken on.

use std::io;

use tokio::net::TcpStream;

use crate::options::{ExternalOptions, Transport};
use crate::transport::{BoxedStream, connect_websocket};

/// Connects to the broker. The caller limits the time.
pub(super) async fn dial(options: &ExternalOptions) -> io::Result<BoxedStream> {
    let ExternalOptions { host, port, transport, .. } = options;
    let stream = TcpStream::connect((host.as_str(), *port)).await?;
    stream.set_nodelay(true)?;
    let stream: BoxedStream = match transport {
        Transport::Tcp | Transport::WebSocket { .. } => Box::new(stream),
        Transport::Tls(tls) | Transport::WebSocketTls { tls, .. } => Box::new(tls.connect(host, stream).await?),
    };
    match transport {
        Transport::Tcp | Transport::Tls(_) => Ok(stream),
        Transport::WebSocket { path } | Transport::WebSocketTls { path, .. } => {
            let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
            Ok(Box::new(connect_websocket(stream, &format!("{host}:{port}"), path).await?))
        }
    }
}
