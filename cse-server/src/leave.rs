//! `cse-server mqtt leave`: has the external broker forget the session of this CSE (TS-0010 §7.3.3).
//!
//! For a CSE that is taken out of service, or moves to another broker: without it the broker would collect
//! requests for a session whose owner never comes back.

use std::path::Path;

use cse_mqtt::LeaveError;
use cse_store::sqlite::SqliteStore;

use crate::config::{Config, MqttVia};
use crate::start;

/// Why the session may still be there. Each text is one line.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CannotLeave {
    #[error("mqtt.broker: is not given, so there is no session to leave; the embedded broker has none of this CSE")]
    NoBroker,
    #[error("{0} is in use by a server; stop it first, or it comes back to the session at once")]
    Running(String),
    #[error(transparent)]
    Identity(#[from] cse_core::id::InvalidId),
    #[error("cannot begin: {0}")]
    Runtime(#[from] std::io::Error),
    #[error(transparent)]
    Broker(#[from] LeaveError),
}

/// Leaves, and says what was left.
pub(crate) fn leave(config: &Config) -> Result<String, CannotLeave> {
    let MqttVia::External(broker) = &config.mqtt.via else {
        return Err(CannotLeave::NoBroker);
    };
    let database: &Path = &start::database(config);
    if SqliteStore::is_in_use(database) {
        return Err(CannotLeave::Running(database.display().to_string()));
    }
    let identity = config.cse.identity()?;
    let options = start::external_options(broker, &config.mqtt.client_tls);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(cse_mqtt::leave(&identity, &options))?;
    let client_id = format!("{}{}", options.client_id_prefix, identity.base_id());
    Ok(format!(
        "the broker {}:{} has forgotten the session '{client_id}' with its subscriptions and what waited there\n",
        options.host, options.port
    ))
}
