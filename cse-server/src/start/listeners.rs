//! Everything that is listened on, bound before anything else happens, so that a port in use changes nothing.

use std::net::SocketAddr;

use tokio::net::TcpListener;

use super::StartError;
use crate::config::{Config, MonitoringListen, MqttVia};
use crate::poa::Listening;

/// Bound and not yet served.
pub(super) struct Listeners {
    pub(super) http: Option<TcpListener>,
    pub(super) mqtt: Option<TcpListener>,
    pub(super) monitoring: Option<TcpListener>,
}

impl Listeners {
    /// Binds what the configuration asks for.
    pub(super) async fn bind(config: &Config) -> Result<Self, StartError> {
        let mqtt = match config.mqtt.via {
            MqttVia::Embedded(address) => Some(address),
            MqttVia::External(_) | MqttVia::Off => None,
        };
        let monitoring = match config.monitoring.listen {
            MonitoringListen::At(address) => Some(address),
            MonitoringListen::Http | MonitoringListen::Off => None,
        };
        Ok(Self {
            http: bind("--http", config.http.listen.address()).await?,
            mqtt: bind("--mqtt", mqtt).await?,
            monitoring: bind("monitoring.listen", monitoring).await?,
        })
    }

    /// What listens, with the ports that the system chose.
    pub(super) fn listening(&self, config: &Config) -> Listening {
        let address = |listener: &Option<TcpListener>| listener.as_ref().and_then(|bound| bound.local_addr().ok());
        Listening {
            http: address(&self.http),
            http_root_path: config.http.root_path.trim_end_matches('/').into(),
            embedded_broker: address(&self.mqtt),
            external_broker: match &config.mqtt.via {
                MqttVia::External(broker) => Some(broker.url.clone()),
                MqttVia::Embedded(_) | MqttVia::Off => None,
            },
            topic_prefix: config.mqtt.topic_prefix.trim_matches('/').into(),
            monitoring: address(&self.monitoring),
        }
    }
}

async fn bind(option: &'static str, address: Option<SocketAddr>) -> Result<Option<TcpListener>, StartError> {
    let Some(address) = address else {
        return Ok(None);
    };
    match TcpListener::bind(address).await {
        Ok(listener) => Ok(Some(listener)),
        Err(error) => Err(StartError::Listen { option, address, error }),
    }
}
