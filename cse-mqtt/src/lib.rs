//! MQTT binding of oneM2M primitives (TS-0010) and the embedded broker.
//!
//! The binding is one piece of code over two kinds of broker: `binding` takes requests, `outbound` sends them, and
//! `link` is all they know of a broker. Nothing here knows resources; nothing in the core knows MQTT.

mod binding;
pub mod broker;
mod correlation;
mod embedded;
mod expiry;
mod external;
mod form;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod hop;
mod lanes;
mod legacy;
mod link;
mod options;
mod outbound;
mod pool;
mod redelivery;
mod restricted;
mod salvage;
pub mod security;
mod service;
mod stats;
pub mod topic;
pub mod transport;

pub use external::{LeaveError, leave};
pub use link::LinkStatus;
pub use options::{BindingOptions, EarlyDraft, ExternalOptions, Login, Password, ProtocolVersion, Transport};
pub use outbound::MqttOutbound;
pub use restricted::RestrictedBroker;
pub use service::MqttBinding;
pub use stats::MqttStats;
