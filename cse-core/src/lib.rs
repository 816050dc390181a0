//! The oneM2M Common Services Entity: resource tree, access control and procedures.
//!
//! This crate knows no transport, no database, no system clock and no source of randomness; they come in
//! through [`ports`]. Bindings turn bytes into requests and call the CSE; stores implement the store traits.

#[cfg_attr(not(test), expect(dead_code, reason = "complete before the operations that ask it"))]
mod access;
pub mod codec;
pub mod error;
#[cfg_attr(not(test), expect(dead_code, unused_imports, reason = "complete before the operations that ask it"))]
mod filter;
pub mod id;
pub mod ports;
pub mod primitive;
pub mod resource;
#[cfg_attr(not(test), expect(dead_code, reason = "complete before the operations that ask it"))]
mod schedule;
pub mod schema;
pub mod settings;
pub mod time;
pub mod value;
