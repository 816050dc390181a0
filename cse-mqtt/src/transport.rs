//! What lies between the socket and MQTT: TLS and WebSocket, for the listeners of the embedded broker and for the
//! connections to external ones (TS-0010 §6.2, §7.2).
//!
//! TLS is rustls with *ring*, versions 1.2 and 1.3, in both directions. Private keys stay inside rustls: nothing here
//! prints one.

mod certificate;
mod client_tls;
mod listener;
mod pem;
mod server_tls;
mod websocket;

pub(crate) use client_tls::explained;
pub use client_tls::{ClientIdentity, ClientTls, Trust};
pub use listener::Listener;
pub(crate) use listener::{BoxedStream, Handshake};
pub use pem::CertificateProblem;
pub use server_tls::{ClientCertificates, ServerTls, ServerTlsFiles};
pub use websocket::WebSocketOptions;
pub(crate) use websocket::connect as connect_websocket;
