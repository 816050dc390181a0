//! The way to the registrar: a link to its broker for each of its MQTT points of access, a sender of its own for those over
//! HTTP where it has to know us, and the task that keeps this CSE registered.
//!
//! The registrar's requests come over these links as well, so that a CSE behind a NAT needs outgoing connections only
//! (TS-0010 §6.2.3). A point of access that leads to our own broker needs no link.

use std::sync::Arc;

use cse_core::cse::Cse;
use cse_core::id::CseIdentity;
use cse_core::ports::{Outbound, Store};
use cse_core::settings::{Registrar, Settings};
use cse_core::uplink::UplinkState;
use cse_core::value::Text;
use cse_http::{HttpOutbound, HttpOutboundOptions, InvalidTrust};
use cse_mqtt::{BindingOptions, ExternalOptions, LinkStatus, Login, MqttBinding, MqttOutbound, Password};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use prometheus_client::registry::Registry;
use tokio::sync::{Notify, watch};
use url::{Host, Url};

use super::mqtt::transport;
use crate::config::{ClientTlsConfig, Config, MqttVia, RegistrarBroker};
use crate::health::{Health, Probe, Role};
use crate::lifecycle::{Lifecycle, Stage, stopped};
use crate::metrics::{self, RegistrarLink};
use crate::outbound::{RegistrarHttp, RegistrarLinks};

/// Behind the client identifier where our own broker is an external one: should that be the registrar's, too, by
/// another name, the same identifier twice would end one connection after the other.
const SUFFIX: &str = "@uplink";

/// The links, and what they are for.
pub(super) struct Uplink {
    registrar: Text,
    links: Vec<(Text, MqttBinding)>,
    over_http: Vec<(Text, Arc<dyn Outbound>)>,
    own_points: OwnPoints,
}

impl Uplink {
    /// The ways that are needed, if there is a registrar; tells the settings where it reaches this CSE.
    ///
    /// # Errors
    /// If the authorities that HTTP trusts cannot be used.
    pub(super) fn new(
        config: &Config,
        settings: &mut Settings,
        own: Option<&MqttOutbound>,
    ) -> Result<Option<Self>, InvalidTrust> {
        let Settings { identity, registrar, points_of_access, .. } = settings;
        let Some(registrar) = registrar.as_mut() else { return Ok(None) };
        let is_elsewhere = |url: &Text| url.starts_with("mqtt") && !own.is_some_and(|own| own.is_at_own_broker(url));
        let mut brokers: Vec<Text> =
            registrar.points_of_access.iter().filter(|url| is_elsewhere(url)).cloned().collect();
        let mut seen = std::collections::HashSet::new();
        brokers.retain(|url| seen.insert(url.clone()));
        let own_points = OwnPoints::new(config, registrar, brokers.clone());
        registrar.own_points_of_access = own_points.with(points_of_access);
        let http_sender = http_sender(config)?;
        let over_http = registrar.points_of_access.iter().filter(|url| url.starts_with("http"));
        let over_http = over_http.filter_map(|url| Some((url.clone(), Arc::clone(http_sender.as_ref()?)))).collect();
        let options = options(config, &registrar.cse_id);
        let link = |point: Text| {
            let url = Url::parse(&point).ok()?;
            let options = BindingOptions { topic_prefix: topic_prefix(&url), ..options.clone() };
            let binding = MqttBinding::external(identity, options, external_options(config, identity, &url));
            Some((point, binding))
        };
        let links = brokers.into_iter().filter_map(link).collect();
        Ok(Some(Self { registrar: registrar.cse_id.clone(), links, over_http, own_points }))
    }

    /// Sends requests to the registrar on these ways.
    pub(super) fn outbound(&self) -> RegistrarLinks {
        let links = self.links.iter().map(|(url, link)| (url.clone(), link.outbound() as Arc<dyn Outbound>));
        let links = links.chain(self.over_http.iter().cloned()).collect();
        RegistrarLinks { registrar: self.registrar.clone(), links }
    }

    /// Where the registrar reaches this CSE.
    pub(super) fn own_points(&self) -> &OwnPoints {
        &self.own_points
    }

    /// Takes requests of the registrar and keeps this CSE registered. When a connection has come back the machine may
    /// have another address, so that is looked at, too.
    pub(super) fn start<S: Store>(
        self,
        cse: &Cse<S>,
        look_at_addresses: Option<Arc<Notify>>,
        lifecycle: &mut Lifecycle,
        health: &mut Health,
        registry: &mut Registry,
    ) {
        health.part("uplink", Role::Told, probe(cse, &self.links));
        let counted = self.links.iter().map(|(point, link)| RegistrarLink {
            point: point.clone(),
            status: link.status(),
            stats: link.stats(),
        });
        let counted: Vec<_> = counted.collect();
        metrics::register(registry, move || metrics::registrar_samples(&counted));
        let states: Vec<_> = self.links.iter().map(|(_, link)| link.status()).collect();
        for (_, link) in self.links {
            let stop = lifecycle.stop_of(Stage::Bindings);
            lifecycle.spawn(Stage::Bindings, "registrar-link", link.run(cse.clone(), stopped(stop)));
        }
        let (cse, stop) = (cse.clone(), lifecycle.stop_of(Stage::Farewell));
        lifecycle.spawn(Stage::Farewell, "uplink", async move {
            tokio::select! {
                () = cse.run_uplink(stopped(stop)) => {}
                () = look_after_reconnections(&cse, states, look_at_addresses.as_deref()) => {}
            }
        });
    }
}

/// Has the registration looked after whenever a connection to the registrar's broker is back. Never ends.
async fn look_after_reconnections<S: Store>(
    cse: &Cse<S>,
    states: Vec<watch::Receiver<LinkStatus>>,
    look_at_addresses: Option<&Notify>,
) {
    let followed = states.into_iter().map(|mut state| async move {
        while state.wait_for(|status| *status == LinkStatus::Up).await.is_ok() {
            look_at_addresses.inspect(|look| look.notify_one());
            cse.check_uplink();
            if state.wait_for(|status| *status == LinkStatus::Down).await.is_err() {
                break;
            }
        }
    });
    let mut followed: FuturesUnordered<_> = followed.collect();
    while followed.next().await.is_some() {}
    std::future::pending().await
}

fn probe<S: Store>(cse: &Cse<S>, links: &[(Text, MqttBinding)]) -> Probe {
    let (state, cse) = (cse.uplink(), cse.clone());
    let problems: Vec<_> = links.iter().map(|(url, link)| (url.clone(), link.problem())).collect();
    Box::new(move || {
        let state = match &*state.borrow() {
            UplinkState::Off | UplinkState::Registered { .. } => Ok(()),
            UplinkState::Registering { problem } => {
                let problem = problem.as_deref().unwrap_or("not registered yet");
                let links = problems.iter().filter_map(|(url, problem)| Some(format!("; {url}: {}", problem()?)));
                Err(format!("{problem}{}; {}", links.collect::<String>(), backlog(&cse)))
            }
        };
        Box::pin(async move { state })
    })
}

/// What waits, part of it for the registrar.
fn backlog<S: Store>(cse: &Cse<S>) -> String {
    let (bytes, oldest) = cse.notifications_backlog();
    format!(
        "waiting: {} notifications ({bytes} bytes, the oldest for {} s), {} non-blocking requests, {} announcements",
        cse.notifications_waiting(),
        oldest.as_secs(),
        cse.non_blocking_waiting(),
        cse.announcements_waiting(),
    )
}

/// As the binding to our own broker, but for one peer.
fn options(config: &Config, registrar: &Text) -> BindingOptions {
    let mqtt = &config.mqtt;
    BindingOptions {
        only_peer: Some(registrar.clone()),
        concurrent_requests_max: mqtt.requests_max,
        waiting_requests_max: mqtt.waiting_requests_max,
        waiting_per_originator_max: mqtt.waiting_per_originator_max,
        waiting_bytes_max: mqtt.waiting_bytes_max.0,
        redelivery_window: mqtt.redelivery_window,
        acknowledge_after: (!mqtt.acknowledge_after.is_zero()).then_some(mqtt.acknowledge_after),
        pending_requests_max: mqtt.pending_requests_max,
        // Nothing else is sent over this binding.
        other_brokers_max: 1,
        stop_grace: config.server.shutdown_timeout / 2,
        ..BindingOptions::default()
    }
}

fn external_options(config: &Config, identity: &CseIdentity, url: &Url) -> ExternalOptions {
    let RegistrarBroker { username, password, tls, version, keep_alive } = &config.registrar.broker;
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let default_port = if url.scheme() == "mqtts" { 8883 } else { 1883 };
    let login = username
        .as_ref()
        .map(|username| Login { username: username.to_string(), password: Password::new(password.reveal()) });
    let suffix = if matches!(config.mqtt.via, MqttVia::External(_)) { SUFFIX } else { "" };
    tracing::debug!(cse_id = identity.cse_id.as_str(), broker = %url, "linked to the broker of the registrar");
    ExternalOptions {
        transport: transport(url, tls, "registrar"),
        version: version.0,
        login,
        keep_alive: *keep_alive,
        client_id_suffix: suffix.into(),
        ..ExternalOptions::new(host, url.port().unwrap_or(default_port))
    }
}

/// The path of a point of access stands before the topics (TS-0010 §7.6).
fn topic_prefix(url: &Url) -> String {
    let path = percent_encoding::percent_decode_str(url.path().trim_matches('/'));
    path.decode_utf8_lossy().into_owned()
}

/// Sends to the registrar over HTTP with what makes us known there; `None` if that is nothing, so that the sender for
/// everybody will do.
fn http_sender(config: &Config) -> Result<Option<Arc<dyn Outbound>>, InvalidTrust> {
    let RegistrarBroker { username, password, tls, .. } = &config.registrar.broker;
    let authorization = username.as_ref().map(|username| cse_http::basic(username, password.reveal()));
    let has_own_tls = *tls != ClientTlsConfig::default();
    if authorization.is_none() && !has_own_tls {
        return Ok(None);
    }
    let options = HttpOutboundOptions { authorization, ..config.http_client.options() };
    Ok(Some(match has_own_tls {
        true => Arc::new(RegistrarHttp::new(tls.own_broker(), options)),
        false => Arc::new(HttpOutbound::new(&options)?),
    }))
}

/// Where the registrar reaches this CSE: over the links, and where we listen. What is preferred for the way there is
/// preferred for the way back.
#[derive(Clone)]
pub(super) struct OwnPoints {
    brokers: Vec<Text>,
    prefers_mqtt: bool,
    /// Whether an address of this machine only is of use to it.
    takes_loopback: bool,
}

impl OwnPoints {
    fn new(config: &Config, registrar: &Registrar, brokers: Vec<Text>) -> Self {
        // An address of this machine leads a registrar elsewhere to itself.
        let is_near = registrar.points_of_access.iter().any(|url| is_loopback(url));
        Self {
            brokers,
            prefers_mqtt: registrar.points_of_access.first().is_some_and(|url| url.starts_with("mqtt")),
            takes_loopback: is_near || !config.cse.poa.is_empty(),
        }
    }

    /// Together with what the CSEBase shows.
    pub(super) fn with(&self, shown: &[Text]) -> Vec<Text> {
        let is_of_use = |url: &&Text| self.takes_loopback || !is_loopback(url);
        let mut listening: Vec<Text> = shown.iter().filter(is_of_use).cloned().collect();
        // Its broker may be our own, so that there is no link to it.
        listening.sort_by_key(|url| url.starts_with("mqtt") != self.prefers_mqtt);
        let brokers = self.brokers.iter().cloned();
        if self.prefers_mqtt {
            brokers.chain(listening).collect()
        } else {
            listening.into_iter().chain(brokers).collect()
        }
    }
}

fn is_loopback(url: &str) -> bool {
    let url = Url::parse(url).ok();
    // Of schemes that `url` does not know the host is always a name.
    let host = url.as_ref().and_then(Url::host).map(|host| match host {
        Host::Domain(name) => name.parse().map_or_else(|_| Host::Domain(name), Host::Ipv4),
        other => other,
    });
    match host {
        Some(Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_this_machine_are_known() {
        for (url, expected) in [
            ("mqtt://127.0.0.1:1883", true),
            ("http://127.1.2.3", true),
            ("mqtts://localhost", true),
            ("mqtt://[::1]:1883/plant", true),
            ("http://[::1]", true),
            ("mqtt://192.0.2.1", false),
            ("http://in.example", false),
            ("mqtt://[2001:db8::1]", false),
            ("nonsense", false),
        ] {
            assert_eq!(is_loopback(url), expected, "{url}");
        }
    }

    #[test]
    fn the_path_is_the_topic_prefix() {
        for (url, expected) in [("mqtt://in", ""), ("mqtt://in/", ""), ("mqtt://in/plant%207/a/", "plant 7/a")] {
            assert_eq!(topic_prefix(&Url::parse(url).expect("a URL")), expected, "{url}");
        }
    }
}
