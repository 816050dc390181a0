//! Everything that is listened on, bound before anything else happens, so that a port in use changes nothing.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;

use cse_mqtt::security::Mode;
use cse_mqtt::transport::{ClientIdentity, Listener, ServerTls};
use tokio::net::TcpListener;

use super::StartError;
use crate::config::{ClientTlsConfig, Config, EmbeddedListen, MonitoringListen, MqttVia};
use crate::poa::{EmbeddedBroker, Listening};

/// Bound and not yet served.
pub(super) struct Listeners {
    pub(super) http: Option<TcpListener>,
    pub(super) mqtt: MqttListeners,
    pub(super) monitoring: Option<TcpListener>,
}

/// The listeners of the embedded broker.
#[derive(Default)]
pub(super) struct MqttListeners {
    tcp: Option<TcpListener>,
    tls: Option<TcpListener>,
    websocket: Option<TcpListener>,
    websocket_tls: Option<TcpListener>,
    /// Of both listeners with TLS.
    pub(super) server_tls: Option<Arc<ServerTls>>,
}

impl Listeners {
    /// Binds what the configuration asks for.
    pub(super) async fn bind(config: &Config) -> Result<Self, StartError> {
        let mqtt = match &config.mqtt.via {
            MqttVia::Embedded(listen) => MqttListeners::bind(listen).await?,
            MqttVia::External(_) | MqttVia::Off => MqttListeners::default(),
        };
        let monitoring = match config.monitoring.listen {
            MonitoringListen::At(address) => Some(address),
            MonitoringListen::Http | MonitoringListen::Off => None,
        };
        Ok(Self {
            http: bind("--http", config.http.listen.address()).await?,
            mqtt,
            monitoring: bind("monitoring.listen", monitoring).await?,
        })
    }

    /// What listens, with the ports that the system chose.
    pub(super) fn listening(&self, config: &Config) -> Listening {
        let (websocket_path, external_broker) = match &config.mqtt.via {
            MqttVia::External(broker) => (String::new(), Some(broker.url.clone())),
            MqttVia::Embedded(listen) => (listen.websocket_options.path.clone(), None),
            MqttVia::Off => (String::new(), None),
        };
        Listening {
            http: address(self.http.as_ref()),
            http_root_path: config.http.root_path.trim_end_matches('/').into(),
            embedded_broker: EmbeddedBroker {
                tcp: address(self.mqtt.tcp.as_ref()),
                tls: address(self.mqtt.tls.as_ref()),
                websocket: address(self.mqtt.websocket.as_ref()),
                websocket_tls: address(self.mqtt.websocket_tls.as_ref()),
                websocket_path,
                strict: config.mqtt.security.mode == Mode::Strict,
            },
            external_broker,
            topic_prefix: config.mqtt.topic_prefix.trim_matches('/').into(),
            external_tls: mosquitto_tls(&config.mqtt.client_tls),
            monitoring: address(self.monitoring.as_ref()),
        }
    }
}

impl MqttListeners {
    async fn bind(listen: &EmbeddedListen) -> Result<Self, StartError> {
        let server_tls = match &listen.tls_files {
            Some(files) => Some(Arc::new(ServerTls::load(files.clone())?)),
            None => None,
        };
        Ok(Self {
            tcp: bind("--mqtt", listen.tcp).await?,
            tls: bind("--mqtt-tls", listen.tls).await?,
            websocket: bind("--mqtt-websocket", listen.websocket).await?,
            websocket_tls: bind("--mqtt-websocket-tls", listen.websocket_tls).await?,
            server_tls,
        })
    }

    /// As the broker serves them.
    pub(super) fn into_listeners(self, listen: &EmbeddedListen) -> Vec<Listener> {
        let websocket = &listen.websocket_options;
        let mut listeners: Vec<Listener> = self.tcp.into_iter().map(Listener::new).collect();
        listeners.extend(self.websocket.map(|socket| Listener::new(socket).with_websocket(websocket.clone())));
        // The configuration gives TLS to whoever listens with it.
        if let Some(tls) = self.server_tls {
            listeners.extend(self.tls.map(|socket| Listener::new(socket).with_tls(Arc::clone(&tls))));
            let both = |socket| Listener::new(socket).with_tls(tls).with_websocket(websocket.clone());
            listeners.extend(self.websocket_tls.map(both));
        }
        listeners
    }
}

/// How `mosquitto_pub` is told what we know about TLS.
fn mosquitto_tls(tls: &ClientTlsConfig) -> String {
    let mut options = match &tls.trusted_certificates {
        Some(file) => format!("--cafile {}", file.display()),
        None => "--tls-use-os-certs".to_owned(),
    };
    if let Some(ClientIdentity { certificate, key }) = &tls.identity {
        let _ = write!(options, " --cert {} --key {}", certificate.display(), key.display());
    }
    options
}

fn address(listener: Option<&TcpListener>) -> Option<SocketAddr> {
    listener.and_then(|bound| bound.local_addr().ok())
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
