//! The MQTT binding, on the embedded broker or an external one.

use std::sync::Arc;

use cse_core::id::CseIdentity;
use cse_core::ports::Dispatch;
use cse_core::registrations::Registrations;
use cse_mqtt::broker::{Broker, Persister, PersisterStatus, Policy};
use cse_mqtt::security::Security;
use cse_mqtt::{
    BindingOptions, EarlyDraft, ExternalOptions, LinkStatus, Login, MqttBinding, MqttOutbound, Password, Transport,
};
use prometheus_client::registry::Registry;
use tracing::warn;
use url::Url;

use super::listeners::MqttListeners;
use super::sessions::{SessionWriter, Sessions};
use super::{StartError, security};
use crate::config::{ClientTlsConfig, Config, ExternalBroker, MqttVia};
use crate::health::{Health, Probe, Role};
use crate::lifecycle::{Lifecycle, Stage, stopped};
use crate::metrics;
use crate::poa::Listening;

/// The binding before it runs.
pub(super) struct Mqtt {
    binding: MqttBinding,
    broker: Option<(Broker, Arc<Security>)>,
    /// Stores the sessions of the broker, if they are to survive.
    persister: Option<(Persister, SessionWriter)>,
}

impl Mqtt {
    /// The binding that the configuration asks for, if any.
    pub(super) fn new(
        config: &Config,
        identity: &CseIdentity,
        listening: &Listening,
        sessions: Option<Sessions>,
    ) -> Result<Option<Self>, StartError> {
        let mqtt = &config.mqtt;
        let options = BindingOptions {
            own_points_of_access: own_points_of_access(config, listening),
            topic_prefix: mqtt.topic_prefix.to_string(),
            early_draft: EarlyDraft { served: mqtt.early_draft.served, entities: mqtt.early_draft.entities.clone() },
            concurrent_requests_max: mqtt.requests_max,
            waiting_requests_max: mqtt.waiting_requests_max,
            waiting_per_originator_max: mqtt.waiting_per_originator_max,
            waiting_bytes_max: mqtt.waiting_bytes_max.0,
            redelivery_window: mqtt.redelivery_window,
            followed_answers_max: mqtt.followed_answers_max,
            security: None,
            restricted: security::restricted(config),
            only_peer: None,
            acknowledge_after: (!mqtt.acknowledge_after.is_zero()).then_some(mqtt.acknowledge_after),
            pending_requests_max: mqtt.pending_requests_max,
            other_brokers_max: mqtt.other_brokers_max,
            other_brokers_idle: mqtt.other_brokers_idle,
            other_brokers_tls: mqtt.client_tls.other_brokers(),
            // Once for the requests, once for their answers.
            stop_grace: config.server.shutdown_timeout / 2,
        };
        Ok(match &config.mqtt.via {
            MqttVia::Off => None,
            MqttVia::Embedded(_) => {
                let security = security::security(config, identity)?;
                let (limits, policy) = (config.broker.limits.clone(), Arc::clone(&security) as Arc<dyn Policy>);
                let (broker, persister) = match sessions {
                    Some(Sessions { file, stored }) => {
                        let (broker, persister) = Broker::restored(limits, policy, stored);
                        (broker, Some((persister, file)))
                    }
                    None => (Broker::new(limits, policy), None),
                };
                let options = BindingOptions { security: Some(Arc::clone(&security)), ..options };
                let binding = MqttBinding::embedded(identity, options, &broker)?;
                Some(Self { binding, broker: Some((broker, security)), persister })
            }
            MqttVia::External(external) => {
                let binding = MqttBinding::external(identity, options, external_options(external, &mqtt.client_tls));
                Some(Self { binding, broker: None, persister: None })
            }
        })
    }

    /// Sends requests of the CSE over MQTT.
    pub(super) fn outbound(&self) -> Arc<MqttOutbound> {
        self.binding.outbound()
    }

    #[expect(clippy::too_many_arguments, reason = "each is another part of the server")]
    /// Takes requests, and serves the embedded broker on its listeners.
    pub(super) fn start(
        self,
        config: &Config,
        dispatch: impl Dispatch,
        registrations: Arc<Registrations>,
        listeners: MqttListeners,
        lifecycle: &mut Lifecycle,
        health: &mut Health,
        registry: &mut Registry,
    ) {
        let Self { binding, broker, persister } = self;
        health.part("mqtt", Role::Binding, probe(&binding, persister.as_ref().map(|(persister, _)| persister)));
        let stats = binding.stats();
        metrics::register(registry, move || metrics::mqtt_samples(&stats));
        let stop = lifecycle.stop_of(Stage::Bindings);
        lifecycle.spawn(Stage::Bindings, "mqtt", binding.run(dispatch, stopped(stop)));
        if let Some((persister, writer)) = persister {
            // Bindings and CSE leave work for it until they have ended.
            let stop = lifecycle.stop_of(Stage::Ground);
            lifecycle.spawn(Stage::Ground, "sessions", persister.run(writer, stopped(stop)));
        }
        let (Some((broker, security)), MqttVia::Embedded(listen)) = (broker, &config.mqtt.via) else {
            return;
        };
        security::start(config, security, registrations, broker.clone(), lifecycle, registry);
        let counted = broker.clone();
        metrics::register(registry, move || metrics::broker_samples(counted.stats()));
        // Together with the binding: what the broker reads after the binding has stopped would be acknowledged,
        // and nobody would have seen it.
        let drain = config.server.shutdown_timeout;
        for listener in listeners.into_listeners(listen) {
            let (broker, stop) = (broker.clone(), lifecycle.stop_of(Stage::Bindings));
            lifecycle.spawn(Stage::Bindings, "broker", async move { broker.serve(listener, stop, drain).await });
        }
    }
}

/// Points of access that lead to the binding's own broker, whichever address others know it by.
fn own_points_of_access(config: &Config, listening: &Listening) -> Vec<String> {
    let shown = config.cse.poa.iter().cloned();
    shown.chain(listening.points_of_access()).filter(|poa| poa.starts_with("mqtt")).map(|poa| poa.to_string()).collect()
}

/// How to be a client of an external broker.
pub(crate) fn external_options(broker: &ExternalBroker, tls: &ClientTlsConfig) -> ExternalOptions {
    let host = broker.url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let client = &broker.client;
    let login = client
        .username
        .as_ref()
        .map(|username| Login { username: username.to_string(), password: Password::new(client.password.reveal()) });
    ExternalOptions {
        login,
        version: client.version.0,
        session_expiry: (!client.session_expiry.is_zero()).then_some(client.session_expiry),
        client_id_prefix: client.client_id_prefix.to_string(),
        keep_alive: client.keep_alive,
        packet_bytes_max: client.packet_bytes_max.0,
        outbox_messages_max: client.outbox_messages_max,
        outbox_bytes_max: client.outbox_bytes_max.0,
        connect_timeout: client.connect_timeout,
        reconnect_max: client.reconnect_max,
        transport: transport(&broker.url, tls, "mqtt"),
        ..ExternalOptions::new(host, broker.port())
    }
}

/// How bytes get to a broker that a section of the configuration is about.
pub(super) fn transport(url: &Url, tls: &ClientTlsConfig, section: &str) -> Transport {
    // What the URL leaves out is what most brokers have.
    let path = if url.path().len() > 1 { url.path() } else { "/mqtt" }.to_owned();
    let transport = match url.scheme() {
        "mqtts" => Transport::Tls(tls.own_broker()),
        "ws" => Transport::WebSocket { path },
        "wss" => Transport::WebSocketTls { path, tls: tls.own_broker() },
        _ => Transport::Tcp,
    };
    if tls.any_host && matches!(transport, Transport::Tls(_) | Transport::WebSocketTls { .. }) {
        warn!(
            "{section}.tls-insecure-no-host-verification is on: whoever has a certificate of a trusted authority can \
             stand in for the broker"
        );
    }
    transport
}

fn probe(binding: &MqttBinding, persister: Option<&Persister>) -> Probe {
    let (link, problem) = (binding.status(), binding.problem());
    let sessions = persister.map(Persister::status);
    Box::new(move || {
        let sessions = sessions.as_ref().map(|status| status.borrow().clone()).unwrap_or_default();
        let state = match (*link.borrow(), sessions) {
            (LinkStatus::Up, PersisterStatus::Storing) => Ok(()),
            (LinkStatus::Up, PersisterStatus::Failing(problem)) => Err(format!("sessions cannot be stored: {problem}")),
            (LinkStatus::Down, _) => Err(problem().unwrap_or_else(|| "not connected to the broker".into())),
        };
        Box::pin(async move { state })
    })
}
