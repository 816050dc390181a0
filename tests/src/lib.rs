//! What the behaviour tests share: the real binary, real brokers and clients over real sockets.
//!
//! Each test starts what it needs on ports of its own and ends it when it is dropped, so all of them may run at the
//! same time. Nothing here sleeps in the hope that something has happened: [`wait`] looks until it has.

pub mod binary;
pub mod certificates;
pub mod curl;
pub mod device;
mod environment;
pub mod form;
pub mod gateways;
pub mod guarded;
pub mod http;
pub mod line;
pub mod metrics;
pub mod mosquitto;
pub mod mqtt;
pub mod mqttjs;
pub mod packets;
pub mod paho;
pub mod party;
pub mod port;
pub mod process;
pub mod proxy;
pub mod random;
pub mod receiver;
pub mod sample;
pub mod scenarios;
pub mod secured;
pub mod server;
pub mod spoofing;
pub mod typed;
pub mod wait;
pub mod way;
