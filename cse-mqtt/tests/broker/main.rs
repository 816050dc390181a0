//! The embedded broker, seen by clients over sockets and by links.

mod harness;

mod any_bytes;
mod away;
mod connecting;
mod durable;
mod expiry;
mod limits;
mod linking;
mod quality;
mod sessions;
mod standing;
mod stopping;
mod subscribing;
mod tls;
mod transports;
mod version5;
mod websocket;
mod with_rumqttc;
mod with_rumqttc5;
