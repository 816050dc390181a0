//! The CSE through its front door: requests in, responses and notifications out, on the in-memory store.
#![expect(missing_docs, unreachable_pub, clippy::unwrap_used, reason = "a test program")]

mod basics;
mod consistency;
mod discovery;
mod faulty;
mod filters;
mod harness;
mod redelivery;
