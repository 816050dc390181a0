//! `[mqtt]`: the MQTT binding, on the embedded broker or an external one.

use std::fs;
use std::time::Duration;

use cse_core::value::Text;
use url::Url;

use super::layers::{Section, Source};
use super::text::{Listen, Raw, Secret, Setting, quoted};

/// Which broker carries the messages.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum MqttVia {
    /// None: the binding is off.
    Off,
    /// The embedded one, which listens there.
    Embedded(std::net::SocketAddr),
    /// An external one.
    External(ExternalBroker),
}

/// An external broker.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ExternalBroker {
    /// Its URL, `mqtt://host:1883` or `mqtts://host:8883`.
    pub(crate) url: Url,
    /// User name there, if any.
    pub(crate) username: Option<Text>,
    /// Password there.
    pub(crate) password: Secret,
}

/// The MQTT binding.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct MqttConfig {
    /// Which broker. Default: the embedded one at `127.0.0.1:1883`.
    pub(crate) via: MqttVia,
    /// Longest time after which an equal message may still be a redelivery, on an external broker that does
    /// not tell; 0 for never. Default: 10 s.
    pub(crate) redelivery_window: Duration,
}

/// The URL of an external broker; empty for none.
#[derive(Clone, Debug, Default, PartialEq)]
struct BrokerUrl(Option<Url>);

impl Setting for BrokerUrl {
    fn read(raw: &Raw) -> Result<Self, String> {
        let Raw::Text(text) = raw else {
            return Err(raw.is_no("URL"));
        };
        if text.trim().is_empty() {
            return Ok(Self(None));
        }
        let url = Url::parse(text.trim()).ok().filter(|url| matches!(url.scheme(), "mqtt" | "mqtts") && url.has_host());
        // Messages show what was given, and a URL may carry a password: so this one shows nothing of it.
        let Some(url) = url.filter(|url| matches!(url.path(), "" | "/") && url.query().is_none()) else {
            return Err("no URL of a broker; write it like \"mqtt://broker.example:1883\"".into());
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

impl MqttConfig {
    pub(super) fn read(mut section: Section<'_>) -> Self {
        let listen = section.value("listen", Listen::local(1883));
        let url = section.value("broker", BrokerUrl::default()).0;
        let username: Text = section.value("username", Text::default());
        let password = read_password(&mut section);
        let via = match (url, listen) {
            (Some(url), _) if external_wins(&mut section) => {
                let username = (!username.is_empty()).then_some(username);
                if username.is_none() && !password.reveal().is_empty() {
                    section.problem("username", "is missing, but there is a password");
                }
                MqttVia::External(ExternalBroker { url, username, password })
            }
            (_, Listen::At(address)) => MqttVia::Embedded(address),
            (_, Listen::Off) => MqttVia::Off,
        };
        Self {
            via,
            redelivery_window: section.within(
                "redelivery-window",
                Duration::from_secs(10),
                Duration::ZERO..=Duration::from_secs(3_600),
            ),
        }
    }
}

/// Whether the external broker was asked for more strongly than the embedded one; equally is a problem.
fn external_wins(section: &mut Section<'_>) -> bool {
    let strength = |source: Source| match source {
        Source::Default => 0,
        Source::File { .. } => 1,
        Source::Env(_) => 2,
        Source::Flag(_) => 3,
    };
    let (embedded, external) = (strength(section.source("listen")), strength(section.source("broker")));
    if embedded == external {
        let other = match section.source("listen") {
            Source::Flag(name) => format!("--{name}"),
            Source::Env(name) => name.into(),
            Source::File { .. } | Source::Default => "mqtt.listen".into(),
        };
        section.problem("broker", format!("cannot be given together with {other}: the broker is external or embedded"));
    }
    external >= embedded
}

fn read_password(section: &mut Section<'_>) -> Secret {
    let password = section.value("password", Secret::new(""));
    let file: Text = section.value("password-file", Text::default());
    if file.is_empty() {
        return password;
    }
    if !password.reveal().is_empty() {
        section.problem("password-file", "cannot be given together with mqtt.password");
    }
    match fs::read_to_string(file.as_str()) {
        Ok(text) => Secret::new(text.trim_end_matches(['\r', '\n'])),
        Err(error) => {
            section.problem("password-file", format!("cannot read {file}: {error}"));
            password
        }
    }
}
