//! Leaving a broker for good (TS-0010 §7.3.3): connect with a clean session, and disconnect.

use cse_core::id::CseIdentity;
use tokio::time::timeout;

use super::connection::Connection;
use super::{REMAINING_LENGTH_MAX, client};
use crate::options::ExternalOptions;

/// Why the broker may still keep a session.
#[derive(Debug, thiserror::Error)]
pub enum LeaveError {
    /// No connection, or one that ended early.
    #[error("no connection to the MQTT broker {broker}: {problem}")]
    Connection {
        /// Host and port.
        broker: String,
        /// What went wrong.
        problem: String,
    },
    /// The broker was too slow.
    #[error("the MQTT broker {broker} did not answer in time")]
    Timeout {
        /// Host and port.
        broker: String,
    },
}

/// Has the broker forget the session of this CSE, with its subscriptions and everything that waits there.
///
/// A connected client with the same client identifier is disconnected by the broker.
///
/// # Errors
/// [`LeaveError`] if that is not certain.
pub async fn leave(identity: &CseIdentity, options: &ExternalOptions) -> Result<(), LeaveError> {
    let client = client(identity, options, options.packet_bytes_max.min(REMAINING_LENGTH_MAX));
    let broker = format!("{}:{}", options.host, options.port);
    let leaving = async { Connection::open(&client, true).await?.0.leave().await };
    match timeout(options.connect_timeout * 2, leaving).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(failure)) => Err(LeaveError::Connection { broker, problem: failure.to_string() }),
        Err(_) => Err(LeaveError::Timeout { broker }),
    }
}
