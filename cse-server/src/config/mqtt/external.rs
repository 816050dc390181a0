//! The part of `[mqtt]` that concerns an external broker.

use std::fs;
use std::time::Duration;

use cse_core::value::Text;
use url::Url;

use super::version::MqttVersion;
use crate::config::layers::Section;
use crate::config::text::{Raw, Secret, Setting, Size, quoted};

/// An external broker.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ExternalBroker {
    /// Its URL: `mqtt://host:1883`, `mqtts://host:8883`, `ws://host:80/mqtt` or `wss://host:443/mqtt`.
    pub(crate) url: Url,
    /// How to be its client.
    pub(crate) client: ExternalClient,
}

impl ExternalBroker {
    /// The port, given or the one registered for the scheme.
    pub(crate) fn port(&self) -> u16 {
        self.url.port_or_known_default().unwrap_or(if self.url.scheme() == "mqtts" { 8883 } else { 1883 })
    }
}

/// How to be a client of an external broker.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ExternalClient {
    /// Version of MQTT: 3 (3.1.1) or 5. Default: 3.
    pub(crate) version: MqttVersion,
    /// How long the broker keeps our session while we are away, in whole seconds (MQTT 5); 0 for ever. Default: for
    /// ever.
    pub(crate) session_expiry: Duration,
    /// User name there. Default: none.
    pub(crate) username: Option<Text>,
    /// Password there. Default: none.
    pub(crate) password: Secret,
    /// What stands before the CSE-ID in the client identifier. Default: `C::`.
    pub(crate) client_id_prefix: Text,
    /// Longest silence on the connection, in whole seconds; 0 for any. Default: 1 min.
    pub(crate) keep_alive: Duration,
    /// Largest packet in both directions; larger messages are refused or ignored. Default: 1 MiB.
    pub(crate) packet_bytes_max: Size,
    /// Messages that the broker has not acknowledged; beyond it nothing more is taken. Default: 10,000.
    pub(crate) outbox_messages_max: usize,
    /// The same in bytes. Default: 32 MiB.
    pub(crate) outbox_bytes_max: Size,
    /// Longest time for a connection to come about. Default: 5 s.
    pub(crate) connect_timeout: Duration,
    /// Longest pause before a new try to connect. Default: 30 s.
    pub(crate) reconnect_max: Duration,
}

impl ExternalClient {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let username: Text = section.value("username", Text::default());
        let password = read_password(section);
        if username.is_empty() && !password.reveal().is_empty() {
            section.problem("username", "is missing, but there is a password");
        }
        let client_id_prefix: Text = section.value("client-id-prefix", "C::".into());
        if client_id_prefix.contains(char::is_control) {
            section.problem("client-id-prefix", "must not have control characters");
        }
        Self {
            username: (!username.is_empty()).then_some(username),
            password,
            client_id_prefix,
            version: section.value("version", MqttVersion::default()),
            session_expiry: section.within(
                "session-expiry",
                Duration::ZERO,
                Duration::ZERO..=Duration::from_secs(u64::from(u32::MAX - 1)),
            ),
            keep_alive: section.within(
                "keep-alive",
                Duration::from_secs(60),
                Duration::ZERO..=Duration::from_secs(65_535),
            ),
            packet_bytes_max: section.within("packet-bytes-max", Size(1 << 20), Size(1 << 10)..=Size(256_000_000)),
            outbox_messages_max: section.within("outbox-messages-max", 10_000, 1..=10_000_000),
            outbox_bytes_max: section.within("outbox-bytes-max", Size(32 << 20), Size(64 << 10)..=Size(16 << 30)),
            connect_timeout: section.within(
                "connect-timeout",
                Duration::from_secs(5),
                Duration::from_secs(1)..=Duration::from_secs(600),
            ),
            reconnect_max: section.within(
                "reconnect-max",
                Duration::from_secs(30),
                Duration::from_millis(100)..=Duration::from_secs(3_600),
            ),
        }
    }
}

/// Over TCP, TLS, WebSocket, and WebSocket over TLS.
const SCHEMES: [&str; 4] = ["mqtt", "mqtts", "ws", "wss"];

/// The URL of an external broker; empty for none.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct BrokerUrl(pub(super) Option<Url>);

impl Setting for BrokerUrl {
    fn read(raw: &Raw) -> Result<Self, String> {
        let Raw::Text(text) = raw else {
            return Err(raw.is_no("URL"));
        };
        if text.trim().is_empty() {
            return Ok(Self(None));
        }
        let url = Url::parse(text.trim()).ok().filter(|url| SCHEMES.contains(&url.scheme()) && url.has_host());
        let only_host = |url: &Url| url.scheme().starts_with("ws") || matches!(url.path(), "" | "/");
        // Messages show what was given, and a URL may carry a password: so this one shows nothing of it.
        let Some(url) = url.filter(|url| only_host(url) && url.query().is_none() && url.fragment().is_none()) else {
            return Err(
                "no URL of a broker; write it like \"mqtt://broker.example:1883\", with mqtts for TLS, or ws or \
                        wss for WebSocket, which may have a path"
                    .into(),
            );
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err("credentials do not belong into the URL; use mqtt.username and mqtt.password-file".into());
        }
        Ok(Self(Some(url)))
    }

    fn write(&self) -> String {
        quoted(self.0.as_ref().map_or("", Url::as_str))
    }
}

/// The password of a user name: given, or in a file.
pub(in crate::config) fn read_password(section: &mut Section<'_>) -> Secret {
    let password = section.value("password", Secret::new(""));
    let file: Text = section.value("password-file", Text::default());
    if file.is_empty() {
        return password;
    }
    if !password.reveal().is_empty() {
        section.problem("password-file", format!("cannot be given together with {}", section.option("password")));
    }
    match fs::read_to_string(file.as_str()) {
        Ok(text) => Secret::new(text.trim_end_matches(['\r', '\n'])),
        Err(error) => {
            section.problem("password-file", format!("cannot read {file}: {error}"));
            password
        }
    }
}
