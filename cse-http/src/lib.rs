//! The HTTP binding (TS-0009): HTTP messages to request primitives and back.
//!
//! [`router`] answers requests by asking a [`Dispatch`](cse_core::ports::Dispatch); [`serve`] runs it on a
//! listener within [`HttpLimits`]; [`HttpOutbound`] sends the CSE's own requests. Nothing here knows what a
//! resource is: only what travels differently in HTTP is checked here, everything else by
//! [`Request::from_map`](cse_core::primitive::Request::from_map).
//!
//! Choices where TS-0009 is silent:
//! - A body above the limit is refused with HTTP 413, one that comes too slowly with HTTP 408; X-M2M-RSC is
//!   4000 and 4008. When all places for requests are taken the answer is HTTP 503 with `Retry-After` and
//!   X-M2M-RSC 5000.
//! - A GET, HEAD or DELETE with a non-empty body is refused (4000), because ignoring the body could ignore
//!   what the originator meant. Its `Content-Type` is ignored.
//! - HEAD is a RETRIEVE whose content stays behind. Other methods are refused with 405, X-M2M-RSC 4005.
//! - No `ETag` is sent, so `If-Match` and `If-None-Match` are ignored.
//! - What is no HTTP/1.1 at all (a blank, `"`, `<` or `>` in the request target, a header section above the
//!   limit) is answered by the HTTP parser, hence without X-M2M headers. Other characters that should be
//!   escaped in a query, such as `[ ] { } | ^ \` and those beyond ASCII, are accepted as they are.

mod address;
mod answer;
mod cors;
mod decode;
mod encode;
mod header;
mod media;
mod negotiation;
mod options;
mod order;
mod outbound;
mod query;
mod server;
mod service;
mod socket;
mod timed;

pub use options::{CorsOptions, HttpLimits, HttpOptions, InvalidRootPath, RootPath};
pub use outbound::{HttpOutbound, HttpOutboundOptions, InvalidTrust, Trust, basic, target_url};
pub use server::serve;
pub use service::router;
