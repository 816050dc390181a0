//! The oneM2M Common Services Entity: resource tree, access control and procedures.
//!
//! This crate knows no transport, no database, no system clock and no source of randomness; they come in
//! through [`ports`]. Bindings turn bytes into requests and call the CSE; stores implement the store traits.

mod access;
mod address;
mod announce;
mod availability;
mod base;
mod behaviour;
mod cache;
pub mod codec;
mod content;
pub mod cse;
mod digest;
mod elsewhere;
pub mod error;
mod filter;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
pub mod id;
pub mod memory;
pub mod metrics;
mod node;
mod non_blocking;
mod notify;
mod op;
mod outbox;
mod overlay;
mod polling;
pub mod ports;
mod preference;
pub mod primitive;
mod record;
pub mod registrations;
pub mod resource;
#[cfg_attr(not(test), expect(dead_code, reason = "starts and ends are for schedules of subscriptions"))]
mod schedule;
pub mod schema;
pub mod settings;
pub mod time;
mod timers;
mod under_way;
pub mod uplink;
pub mod value;
mod view;
mod writer;
