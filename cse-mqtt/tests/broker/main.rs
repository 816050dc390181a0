//! The embedded broker, seen by clients over sockets and by links.

mod harness;

mod any_bytes;
mod connecting;
mod expiry;
mod limits;
mod linking;
mod quality;
mod sessions;
mod stopping;
mod subscribing;
mod with_rumqttc;
