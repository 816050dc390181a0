//! The way to an external broker: from its address to a stream of bytes that MQTT can be spoken on.

use std::io;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::options::{ExternalOptions, Transport};

/// A connection, whatever is below it.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Connects to the broker. The caller limits the time.
pub(super) async fn dial(options: &ExternalOptions) -> io::Result<Box<dyn Stream>> {
    let stream = TcpStream::connect((options.host.as_str(), options.port)).await?;
    stream.set_nodelay(true)?;
    match options.transport {
        Transport::Tcp => Ok(Box::new(stream)),
    }
}
