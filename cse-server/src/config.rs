//! What the operator decides: read once at start into typed values, all problems reported together.
//!
//! An option is one documented field with a default in the section it belongs to, one line where that section
//! is read, and one line in `deploy/cse.toml`; a test holds the three together.

mod access;
mod broker;
mod cse;
mod file;
mod http;
mod http_client;
mod layers;
mod log;
mod monitoring;
mod mqtt;
mod non_blocking;
mod notifications;
mod outage;
mod polling;
mod registrar;
mod registration;
mod requests;
mod resources;
mod server;
mod store;
mod text;

use std::net::SocketAddr;
use std::path::PathBuf;

use ::cse_core::id::{CseIdentity, InvalidId};
use ::cse_core::settings::Settings;
use ::cse_core::value::Text;
use cse_mqtt::security::{Mode, Users};

pub(crate) use access::AccessConfig;
pub(crate) use broker::BrokerConfig;
pub(crate) use cse::CseConfig;
pub(crate) use http::HttpConfig;
pub(crate) use http_client::HttpClientConfig;
pub(crate) use layers::{Declared, Problem, Source};
pub(crate) use log::{LogConfig, LogFormat};
pub(crate) use monitoring::{MonitoringConfig, MonitoringListen};
pub(crate) use mqtt::{ClientTlsConfig, EmbeddedListen, ExternalBroker, MqttConfig, MqttVia};
pub(crate) use non_blocking::NonBlockingConfig;
pub(crate) use notifications::NotificationsConfig;
pub(crate) use outage::OutageConfig;
pub(crate) use polling::PollingConfig;
pub(crate) use registrar::{RegistrarBroker, RegistrarConfig};
pub(crate) use registration::RegistrationConfig;
pub(crate) use requests::RequestsConfig;
pub(crate) use resources::ResourcesConfig;
pub(crate) use server::ServerConfig;
pub(crate) use store::{Durability, StoreConfig};

use layers::Layers;
use text::{Listen, Raw};

/// An address that is not safe where it listens.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Exposure {
    pub(crate) section: &'static str,
    pub(crate) key: &'static str,
    pub(crate) address: SocketAddr,
    /// As the end of a sentence.
    pub(crate) why: &'static str,
}

/// Everything the operator can decide.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Config {
    pub(crate) server: ServerConfig,
    pub(crate) cse: CseConfig,
    pub(crate) registrar: RegistrarConfig,
    pub(crate) registration: RegistrationConfig,
    pub(crate) access: AccessConfig,
    pub(crate) resources: ResourcesConfig,
    pub(crate) requests: RequestsConfig,
    pub(crate) non_blocking: NonBlockingConfig,
    pub(crate) notifications: NotificationsConfig,
    pub(crate) outage: OutageConfig,
    /// `[polling]`
    pub(crate) polling: PollingConfig,
    pub(crate) store: StoreConfig,
    pub(crate) http: HttpConfig,
    pub(crate) http_client: HttpClientConfig,
    pub(crate) mqtt: MqttConfig,
    pub(crate) broker: BrokerConfig,
    pub(crate) log: LogConfig,
    pub(crate) monitoring: MonitoringConfig,
}

/// One value from outside the file.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Override {
    /// `section.key`.
    pub(crate) key: &'static str,
    /// The flag or variable.
    pub(crate) source: Source,
    /// What it says.
    pub(crate) value: String,
}

/// Where the configuration comes from.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Given {
    /// The file, and what named it.
    pub(crate) file: Option<(PathBuf, Source)>,
    /// Flags and variables.
    pub(crate) overrides: Vec<Override>,
}

impl Config {
    /// Reads everything that was given.
    ///
    /// # Errors
    /// Every problem there is, not only the first.
    pub(crate) fn load(given: Given) -> Result<Self, Vec<Problem>> {
        let mut layers = Layers::default();
        if let Some((path, source)) = given.file {
            file::load(&path, source, &mut layers);
        }
        for Override { key, source, value } in given.overrides {
            layers.give(key, source, Raw::Text(value));
        }
        let (config, _, problems) = Self::read(layers);
        if problems.is_empty() { Ok(config) } else { Err(problems) }
    }

    /// Every option with its default.
    pub(crate) fn declared() -> Vec<Declared> {
        Self::read(Layers::default()).1
    }

    fn read(mut layers: Layers) -> (Self, Vec<Declared>, Vec<Problem>) {
        let config = Self {
            server: ServerConfig::read(layers.section("server")),
            cse: CseConfig::read(layers.section("cse")),
            registrar: RegistrarConfig::read(layers.section("registrar")),
            registration: RegistrationConfig::read(layers.section("registration")),
            access: AccessConfig::read(layers.section("access")),
            resources: ResourcesConfig::read(layers.section("resources")),
            requests: RequestsConfig::read(layers.section("requests")),
            non_blocking: NonBlockingConfig::read(layers.section("non-blocking")),
            notifications: NotificationsConfig::read(layers.section("notifications")),
            outage: OutageConfig::read(layers.section("outage")),
            polling: PollingConfig::read(layers.section("polling")),
            store: StoreConfig::read(layers.section("store")),
            http: HttpConfig::read(layers.section("http")),
            http_client: HttpClientConfig::read(layers.section("http-client")),
            mqtt: MqttConfig::read(layers.section("mqtt")),
            broker: BrokerConfig::read(layers.section("broker")),
            log: LogConfig::read(layers.section("log")),
            monitoring: MonitoringConfig::read(layers.section("monitoring")),
        };
        config.check_addresses(&mut layers);
        config.check_users(&mut layers);
        config.registrar.check(&config.cse, &mut layers.section("registrar"));
        mqtt::check_points_of_access(&config.cse, &config.mqtt.topic_prefix, layers.section("mqtt"));
        let (declared, problems) = layers.finish();
        (config, declared, problems)
    }

    /// Every address that is listened on, by the section and the option that have it.
    fn addresses(&self) -> Vec<(&'static str, &'static str, SocketAddr)> {
        let mqtt = match &self.mqtt.via {
            MqttVia::Embedded(listen) => Some(listen.addresses()),
            MqttVia::Off | MqttVia::External(_) => None,
        };
        let monitoring = match self.monitoring.listen {
            MonitoringListen::At(address) => Some(address),
            MonitoringListen::Http | MonitoringListen::Off => None,
        };
        let http = self.http.listen.address().map(|address| ("http", "listen", address));
        let mqtt = mqtt.into_iter().flatten().map(|(key, address)| ("mqtt", key, address));
        let monitoring = monitoring.map(|address| ("monitoring", "listen", address));
        http.into_iter().chain(mqtt).chain(monitoring).collect()
    }

    /// Addresses that others can reach and that are not safe there.
    pub(crate) fn exposures(&self) -> Vec<Exposure> {
        let addresses = self.addresses().into_iter().filter(|(_, _, address)| !address.ip().is_loopback());
        addresses
            .filter_map(|(section, key, address)| {
                Some(Exposure { section, key, address, why: self.why_unsafe(section, key)? })
            })
            .collect()
    }

    fn why_unsafe(&self, section: &str, key: &str) -> Option<&'static str> {
        let security = &self.mqtt.security;
        if section != "mqtt" || security.mode == Mode::Open || security.anonymous {
            return Some("and nobody is authenticated");
        }
        (!key.contains("tls")).then_some("and passwords and data are not encrypted")
    }

    fn check_addresses(&self, layers: &mut Layers) {
        if !self.server.insecure {
            for Exposure { section, key, address, why } in self.exposures() {
                let text = format!(
                    "{address} can be reached by others, {why}; listen on a loopback address, or accept that with \
                     --insecure"
                );
                layers.section(section).problem(key, text);
            }
        }
        let addresses = self.addresses();
        for (index, (name, key, address)) in addresses.iter().enumerate() {
            let same = addresses[..index].iter().find(|(_, _, other)| other == address && other.port() != 0);
            if let Some((other, other_key, _)) = same {
                layers.section(name).problem(key, format!("{address} is the address of {other}.{other_key}, too"));
            }
        }
        if self.http.listen == Listen::Off && self.mqtt.via == MqttVia::Off {
            layers.section("http").problem("listen", "is off, and so is MQTT: nobody could reach the CSE");
        }
    }

    /// Reads the list of users, so that a wrong line is a problem of the configuration.
    fn check_users(&self, layers: &mut Layers) {
        if let (Some(path), Ok(identity)) = (&self.mqtt.security.users_file, self.cse.identity())
            && let Err(problem) = Users::load(path, &identity)
        {
            layers.section("mqtt").problem("users-file", problem.to_string());
        }
    }

    /// The part that is the core's.
    ///
    /// # Errors
    /// [`InvalidId`] as in [`CseConfig::identity`].
    pub(crate) fn settings(&self, points_of_access: Vec<Text>) -> Result<Settings, InvalidId> {
        let identity: CseIdentity = self.cse.identity()?;
        let (requests, notifications) = (&self.requests, &self.notifications);
        Ok(Settings {
            admin: self.cse.admin_of(&identity),
            registrar: self.registrar.settings(&identity),
            identity,
            points_of_access,
            default_lifetime: self.resources.default_lifetime,
            maximum_lifetime: self.resources.maximum_lifetime,
            request_timeout: requests.timeout,
            execution_delay_max: requests.execution_delay_max,
            reply_lifetime: requests.reply_lifetime,
            non_blocking_persistence: self.non_blocking.persistence,
            non_blocking_lifetime_max: self.non_blocking.lifetime_max,
            non_blocking_per_originator_max: self.non_blocking.per_originator_max,
            non_blocking_max: self.non_blocking.total_max,
            non_blocking_bytes_max: self.non_blocking.bytes_max.0,
            non_blocking_result_bytes_max: self.non_blocking.result_bytes_max.0,
            non_blocking_width: self.non_blocking.width,
            expiration_interval: self.resources.expiration_interval,
            allowed_ae_originators: self.registration.ae_originators.clone(),
            allowed_cse_originators: self.registration.cse_originators.clone(),
            credentials: self.mqtt.security.credentials.clone(),
            ae_may_create_policies: self.registration.ae_may_create_policies,
            policy_lifetime: self.access.policy_lifetime,
            policy_grace: self.access.policy_grace,
            group_size_max: self.store.commit_changes_max,
            write_queue_max: self.store.write_queue_max,
            cache_bytes_max: self.store.cache_bytes_max.0,
            result_resources_max: requests.result_resources_max,
            result_bytes_max: requests.result_bytes_max.0,
            fan_out_width: requests.fan_out_width,
            group_members_max: requests.group_members_max,
            verification_timeout: notifications.verification_timeout,
            notification_timeout: notifications.timeout,
            notification_retry_first: notifications.retry_first,
            notification_retry_max: notifications.retry_max,
            notification_lifetime: notifications.lifetime,
            notifications_per_target_max: notifications.per_target_max,
            notifications_max: notifications.total_max,
            notification_bytes_max: self.outage.notification_bytes_max.0,
            outage_lifetime: self.outage.lifetime,
            notification_window: notifications.window,
            notification_hold_max: notifications.hold_max,
            polling_requests_per_channel_max: self.polling.requests_per_channel_max,
            polling_requests_max: self.polling.requests_max,
            polling_bytes_max: self.polling.requests_bytes_max.0,
            polls_max: self.polling.polls_max,
            poll_time_max: self.polling.time_max,
        })
    }
}

#[cfg(test)]
pub(crate) mod tests;
