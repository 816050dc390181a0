//! Leaving a broker for good (TS-0010 §7.3.3): connect with a clean session, and disconnect.

use cse_core::id::CseIdentity;
use rumqttc::mqttbytes::v4::Packet;
use rumqttc::{AsyncClient, ConnectionError, Event, Outgoing};
use tokio::time::timeout;

use super::client_options;
use crate::options::ExternalOptions;

/// Why the broker may still keep a session.
#[derive(Debug, thiserror::Error)]
pub enum LeaveError {
    /// No connection, or one that ended early.
    #[error("no connection to the MQTT broker {broker}: {error}")]
    Connection {
        /// Host and port.
        broker: String,
        /// What the client says.
        error: ConnectionError,
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
    let mut client_options = client_options(identity, options, options.packet_bytes_max);
    client_options.set_clean_session(true);
    let (client, mut events) = AsyncClient::new(client_options, 4);
    events.network_options.set_connection_timeout(options.connect_timeout.as_secs().max(1));
    let broker = format!("{}:{}", options.host, options.port);
    let leaving = async {
        loop {
            match events.poll().await {
                // There is room for it: it is the first that the client is asked to send.
                Ok(Event::Incoming(Packet::ConnAck(_))) => drop(client.try_disconnect()),
                Ok(Event::Outgoing(Outgoing::Disconnect)) => return Ok(()),
                Ok(_) => {}
                Err(error) => return Err(error),
            }
        }
    };
    match timeout(options.connect_timeout * 2, leaving).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(LeaveError::Connection { broker, error }),
        Err(_) => Err(LeaveError::Timeout { broker }),
    }
}
