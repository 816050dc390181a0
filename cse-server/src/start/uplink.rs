//! The way to the registrar: a link to its broker for each of its MQTT points of access, and the task that keeps this CSE
//! registered.
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
use cse_mqtt::{BindingOptions, ExternalOptions, LinkStatus, Login, MqttBinding, MqttOutbound, Password};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::watch;
use url::{Host, Url};

use super::mqtt::transport;
use crate::config::{Config, MqttVia, RegistrarBroker};
use crate::health::{Health, Probe, Role};
use crate::lifecycle::{Lifecycle, Stage, stopped};
use crate::outbound::RegistrarLinks;

/// Behind the client identifier where our own broker is an external one: should that be the registrar's, too, by
/// another name, the same identifier twice would end one connection after the other.
const SUFFIX: &str = "@uplink";

/// The links, and what they are for.
pub(super) struct Uplink {
    registrar: Text,
    links: Vec<(Text, MqttBinding)>,
}

impl Uplink {
    /// The links that are needed, if there is a registrar; tells the settings where it reaches this CSE.
    pub(super) fn new(config: &Config, settings: &mut Settings, own: Option<&MqttOutbound>) -> Option<Self> {
        let Settings { identity, registrar, points_of_access, .. } = settings;
        let registrar = registrar.as_mut()?;
        let is_elsewhere = |url: &Text| url.starts_with("mqtt") && !own.is_some_and(|own| own.is_at_own_broker(url));
        let mut brokers: Vec<Text> =
            registrar.points_of_access.iter().filter(|url| is_elsewhere(url)).cloned().collect();
        let mut seen = std::collections::HashSet::new();
        brokers.retain(|url| seen.insert(url.clone()));
        registrar.own_points_of_access = own_points_of_access(config, registrar, &brokers, points_of_access);
        let options = options(config, &registrar.cse_id);
        let link = |point: Text| {
            let url = Url::parse(&point).ok()?;
            let options = BindingOptions { topic_prefix: topic_prefix(&url), ..options.clone() };
            let binding = MqttBinding::external(identity, options, external_options(config, identity, &url));
            Some((point, binding))
        };
        let links = brokers.into_iter().filter_map(link).collect();
        Some(Self { registrar: registrar.cse_id.clone(), links })
    }

    /// Sends requests to the registrar over the links.
    pub(super) fn outbound(&self) -> RegistrarLinks {
        let links = self.links.iter().map(|(url, link)| (url.clone(), link.outbound() as Arc<dyn Outbound>));
        RegistrarLinks { registrar: self.registrar.clone(), links: links.collect() }
    }

    /// Takes requests of the registrar and keeps this CSE registered.
    pub(super) fn start<S: Store>(self, cse: &Cse<S>, lifecycle: &mut Lifecycle, health: &mut Health) {
        health.part("uplink", Role::Told, probe(cse, &self.links));
        let states: Vec<_> = self.links.iter().map(|(_, link)| link.status()).collect();
        for (_, link) in self.links {
            let stop = lifecycle.stop_of(Stage::Bindings);
            lifecycle.spawn(Stage::Bindings, "registrar-link", link.run(cse.clone(), stopped(stop)));
        }
        let (cse, stop) = (cse.clone(), lifecycle.stop_of(Stage::Farewell));
        lifecycle.spawn(Stage::Farewell, "uplink", async move {
            tokio::select! {
                () = cse.run_uplink(stopped(stop)) => {}
                () = look_after_reconnections(&cse, states) => {}
            }
        });
    }
}

/// Has the registration looked after whenever a connection to the registrar's broker is back. Never ends.
async fn look_after_reconnections<S: Store>(cse: &Cse<S>, states: Vec<watch::Receiver<LinkStatus>>) {
    let followed = states.into_iter().map(|mut state| async move {
        while state.wait_for(|status| *status == LinkStatus::Up).await.is_ok() {
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

/// Where the registrar reaches this CSE: over the links, and where we listen. What is preferred for the way there is
/// preferred for the way back.
fn own_points_of_access(config: &Config, registrar: &Registrar, brokers: &[Text], shown: &[Text]) -> Vec<Text> {
    // An address of this machine leads a registrar elsewhere to itself.
    let is_near = registrar.points_of_access.iter().any(|url| is_loopback(url));
    let is_of_use = |url: &&Text| !config.cse.poa.is_empty() || is_near || !is_loopback(url);
    let listening = shown.iter().filter(is_of_use).cloned();
    let prefers_mqtt = registrar.points_of_access.first().is_some_and(|url| url.starts_with("mqtt"));
    if prefers_mqtt {
        brokers.iter().cloned().chain(listening).collect()
    } else {
        listening.chain(brokers.iter().cloned()).collect()
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
