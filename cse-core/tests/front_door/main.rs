//! The CSE through its front door: requests in, responses and notifications out, on the in-memory store.
#![expect(unreachable_pub, clippy::unwrap_used, reason = "a test program")]

mod access;
mod addressing;
mod announcement;
mod announcing;
mod attributes;
mod basics;
mod consistency;
mod containers;
mod credentials;
mod cse_registration;
mod discovery;
mod faulty;
mod filters;
mod forwarding;
mod forwarding_once;
mod groups;
mod harness;
mod held;
mod in_doubt;
mod model;
mod non_blocking;
mod non_blocking_afar;
mod notifications;
mod notified;
mod outbox;
mod policies_of_subscriptions;
mod polling;
mod redelivery;
mod registration;
mod results;
mod serializations;
mod subscriptions;
mod time;
mod tree;
mod uplink;
