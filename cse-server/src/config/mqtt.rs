//! `[mqtt]`: the MQTT binding, on the embedded broker or an external one.

mod client_tls;
mod external;
mod listen;
mod modes;
mod security;
mod version;

use std::time::Duration;

use cse_core::value::Text;

use super::layers::{Section, Source};
use super::text::Size;

pub(crate) use client_tls::ClientTlsConfig;
pub(in crate::config) use external::read_password;
pub(crate) use external::{ExternalBroker, ExternalClient};
pub(crate) use listen::EmbeddedListen;
pub(crate) use modes::{EarlyDraftConfig, check_points_of_access};
pub(crate) use security::MqttSecurity;
pub(crate) use version::MqttVersion;

use external::BrokerUrl;

/// Which broker carries the messages.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum MqttVia {
    /// None: the binding is off.
    Off,
    /// The embedded one, which listens there: at one address or more.
    Embedded(Box<EmbeddedListen>),
    /// An external one.
    External(Box<ExternalBroker>),
}

/// The MQTT binding.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct MqttConfig {
    /// Which broker. Default: the embedded one at `127.0.0.1:1883`.
    pub(crate) via: MqttVia,
    /// Who may connect to the embedded broker, and what clients may do there.
    pub(crate) security: MqttSecurity,
    /// Sessions of the embedded broker survive a restart. Default: yes.
    pub(crate) persistence: bool,
    /// Put before each topic, as in the point of access; without slashes around it. Default: nothing.
    pub(crate) topic_prefix: Text,
    /// Clients that speak the early draft. Default: they are not served.
    pub(crate) early_draft: EarlyDraftConfig,
    /// Longest time after which an equal message may still be a redelivery, on an external broker that does
    /// not tell; 0 for never. Default: 10 s.
    pub(crate) redelivery_window: Duration,
    /// Answers whose receipt is followed, to tell redeliveries (embedded broker). Default: 100,000.
    pub(crate) followed_answers_max: usize,
    /// A request that takes longer is acknowledged before it is complete; 0 for never. Default: never.
    pub(crate) acknowledge_after: Duration,
    /// Requests at the same time, a quarter of them of one originator; further ones wait. Default: 1,024.
    pub(crate) requests_max: usize,
    /// Requests that wait; beyond it no more are taken from the broker. Default: 4,096.
    pub(crate) waiting_requests_max: usize,
    /// Requests of one originator that wait; further ones are refused. Default: a quarter of all that may wait.
    pub(crate) waiting_per_originator_max: usize,
    /// The same in bytes. Default: 32 MiB.
    pub(crate) waiting_bytes_max: Size,
    /// Requests of this CSE that wait for an answer; further ones fail. Default: 10,000.
    pub(crate) pending_requests_max: usize,
    /// Connections to other brokers, for notifications. Default: 64.
    pub(crate) other_brokers_max: usize,
    /// How long an unused connection to another broker is kept. Default: 5 min.
    pub(crate) other_brokers_idle: Duration,
    /// TLS towards an external broker and other brokers.
    pub(crate) client_tls: ClientTlsConfig,
}

impl MqttConfig {
    pub(super) fn read(mut section: Section<'_>) -> Self {
        let listen = EmbeddedListen::read(&mut section);
        let url = section.value("broker", BrokerUrl::default()).0;
        let client = ExternalClient::read(&mut section);
        let via = match url {
            Some(url) if external_wins(&mut section) => MqttVia::External(Box::new(ExternalBroker { url, client })),
            _ if listen.addresses().next().is_some() => MqttVia::Embedded(Box::new(listen)),
            _ => MqttVia::Off,
        };
        let security = MqttSecurity::read(&mut section, &via);
        let waiting_requests_max = section.within("waiting-requests-max", 4_096, 1..=1_000_000);
        Self {
            via,
            security,
            persistence: section.value("persistence", true),
            topic_prefix: modes::read_topic_prefix(&mut section),
            early_draft: EarlyDraftConfig::read(&mut section),
            redelivery_window: section.within(
                "redelivery-window",
                Duration::from_secs(10),
                Duration::ZERO..=Duration::from_secs(3_600),
            ),
            followed_answers_max: section.within("followed-answers-max", 100_000, 1..=10_000_000),
            acknowledge_after: section.within(
                "acknowledge-after",
                Duration::ZERO,
                Duration::ZERO..=Duration::from_secs(3_600),
            ),
            requests_max: section.within("requests-max", 1_024, 1..=1_000_000),
            waiting_requests_max,
            waiting_per_originator_max: section.within(
                "waiting-per-originator-max",
                waiting_requests_max.div_ceil(4),
                1..=1_000_000,
            ),
            waiting_bytes_max: section.within("waiting-bytes-max", Size(32 << 20), Size(64 << 10)..=Size(16 << 30)),
            pending_requests_max: section.within("pending-requests-max", 10_000, 1..=10_000_000),
            other_brokers_max: section.within("other-brokers-max", 64, 1..=10_000),
            other_brokers_idle: section.within(
                "other-brokers-idle",
                Duration::from_secs(300),
                Duration::from_secs(1)..=Duration::from_secs(86_400),
            ),
            client_tls: ClientTlsConfig::read(&mut section),
        }
    }
}

/// Whether the external broker was asked for more strongly than the embedded one; equally is a problem.
fn external_wins(section: &mut Section<'_>) -> bool {
    let ((embedded, key), external) = (listen::strongest(section), section.source("broker"));
    if embedded.strength() == external.strength() {
        let other = match embedded {
            Source::Flag(name) => format!("--{name}"),
            Source::Env(name) => name.into(),
            Source::File { .. } | Source::Default => format!("mqtt.{key}"),
        };
        section.problem("broker", format!("cannot be given together with {other}: the broker is external or embedded"));
    }
    external.strength() >= embedded.strength()
}
