//! MQTT over WebSocket (MQTT 3.1.1 §6, RFC 6455).
//!
//! The bytes of binary frames are the MQTT byte stream, whatever the frames' boundaries. A library that hands out
//! whole messages would collect them first, in buffers that each idle connection keeps and that a stranger fills; here
//! frames are taken apart in the buffer of the reader, and written from that of the writer. So a connection costs a
//! few dozen bytes, and the bounds of MQTT packets are all the bounds there need to be.

mod frames;
mod handshake;
mod request;
mod stream;

pub(super) use handshake::{Refusal, accept};
pub(crate) use request::connect;

/// The subprotocol (MQTT 3.1.1 §6.0).
const SUBPROTOCOL: &str = "mqtt";

/// What WebSocket clients have to get right.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct WebSocketOptions {
    /// Path they ask for, as in `/mqtt`; empty: any. Whatever follows a `?` is ignored.
    pub path: String,
    /// Origins of web pages that may connect, as in `https://dashboard.example`; `*`: all.
    ///
    /// A page from the host and port of the listener itself may connect without being named. On a loopback listener
    /// that holds only for `localhost` and addresses: any other name may be one that somebody has pointed here to get
    /// at it through a browser.
    pub origins: Vec<String>,
}

impl Default for WebSocketOptions {
    fn default() -> Self {
        Self { path: "/mqtt".to_owned(), origins: Vec::new() }
    }
}
