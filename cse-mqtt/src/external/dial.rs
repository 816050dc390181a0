//! The way to an external broker: from its address to a stream of bytes that MQTT can be spoken on.

use std::io;

use tokio::net::TcpStream;

use crate::options::{ExternalOptions, Transport};
use crate::transport::BoxedStream;

/// Connects to the broker. The caller limits the time.
pub(super) async fn dial(options: &ExternalOptions) -> io::Result<BoxedStream> {
    let stream = TcpStream::connect((options.host.as_str(), options.port)).await?;
    stream.set_nodelay(true)?;
    match options.transport {
        Transport::Tcp => Ok(Box::new(stream)),
    }
}
