//! Stores for the resource tree: the implementations of the store traits of `cse-core`.
//!
//! This crate knows SQL and nothing of the protocol, except which resource types are instances: those are
//! almost all rows, and the tables are laid out for that.
//! [`sqlite::sessions`] keeps what an MQTT broker must not forget, in a file of its own.

pub mod sqlite;
