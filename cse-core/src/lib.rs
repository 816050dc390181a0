//! The oneM2M Common Services Entity: resource tree, access control and procedures.
//!
//! This crate knows no transport, no database, no system clock and no source of randomness; they come in
//! through [`ports`]. Bindings turn bytes into requests and call the CSE; stores implement the store traits.

pub mod codec;
pub mod error;
pub mod id;
pub mod memory;
pub mod ports;
pub mod primitive;
pub mod resource;
pub mod schema;
pub mod time;
pub mod value;
