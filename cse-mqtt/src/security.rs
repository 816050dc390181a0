//! Security by the embedded broker (TS-0010 clause 8): who a client is, under which client identifier it may connect,
//! and which topics are its own.
//!
//! - `identity`: what a client was found to be, and how that is carried through the broker, which knows no oneM2M.
//! - `naming`: from the names in certificates and lists of users to that.
//! - `client_id`: the client identifiers that fit (§8.2).
//! - `rights`: the topics (§8.4), as pure functions of identity, registrations and topic.
//! - `users`, `logins`: user names and passwords, and what keeps a flood of logins from starving the server.
//! - `standing`: clients that are here when their user goes.
//! - `export`: the same topics as rules for an external broker.
//! - `policy`: all of it together, as the broker asks for it.

mod client_id;
mod export;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod identity;
mod leaving;
mod logins;
mod naming;
mod policy;
mod quiet;
mod rights;
mod standing;
mod users;

pub(crate) use client_id::names_entity;
pub use export::{InvalidRules, KnownBy, NamedUser, StaticRules};
pub(crate) use identity::spells_cse;
pub use identity::{Entity, Who};
pub(crate) use leaving::Deletion;
pub use logins::LoginLimits;
pub use naming::{CertificateIdentity, identifier_of};
pub use policy::{Mode, Security, SecurityOptions, SecurityStats};
pub use users::{InvalidUsers, User, UserName, Users, hash_password};
