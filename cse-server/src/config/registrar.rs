//! `[registrar]`: the CSE that this one registers with.

use std::time::Duration;

use cse_core::codec::Serialization;
use cse_core::id::{CseIdentity, CseType};
use cse_core::primitive::ReleaseVersion;
use cse_core::settings::Registrar;
use cse_core::value::Text;
use url::Url;

use super::CseConfig;
use super::layers::Section;
use super::mqtt::{ClientTlsConfig, MqttVersion, read_password};
use super::text::Secret;

/// The CSE that this one registers with.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RegistrarConfig {
    /// Its CSE-ID, SP-relative or absolute. Default: empty, so there is none.
    pub(crate) cse_id: Text,
    /// Resource name of its CSEBase. Default: not known.
    pub(crate) cse_name: Text,
    /// Where it is reached, the preferred way first. Default: nowhere.
    pub(crate) poa: Vec<Text>,
    /// In what it is written to. Default: JSON.
    pub(crate) serialization: Serialization,
    /// Release that requests to it are made for. Default: 3.
    pub(crate) release: ReleaseVersion,
    /// How long a registration is asked to hold. Default: 1 h.
    pub(crate) lifetime: Duration,
    /// How often it is asked whether the registration is there; 0 for never. Default: 1 min.
    pub(crate) check_interval: Duration,
    /// Whether a stop deregisters. Default: no.
    pub(crate) deregister_on_shutdown: bool,
    /// How to be known to it, and a client of its broker.
    pub(crate) broker: RegistrarBroker,
}

/// How to be known to the registrar over HTTP and to its broker, and a client of the latter.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RegistrarBroker {
    /// User name there. Default: none.
    pub(crate) username: Option<Text>,
    /// Password there. Default: none.
    pub(crate) password: Secret,
    /// Whom to believe and who we are. Default: no certificate, and the authorities of the system; over HTTP those of
    /// `[http-client]`.
    pub(crate) tls: ClientTlsConfig,
    /// Version of MQTT: 3 (3.1.1) or 5. Default: 3.
    pub(crate) version: MqttVersion,
    /// Longest silence on the connection, in whole seconds; 0 for any. Default: 1 min.
    pub(crate) keep_alive: Duration,
}

const SERIALIZATIONS: &[(&str, Serialization)] =
    &[("json", Serialization::Json), ("xml", Serialization::Xml), ("cbor", Serialization::Cbor)];

const RELEASES: &[(&str, ReleaseVersion)] =
    &[("2a", ReleaseVersion::R2a), ("3", ReleaseVersion::R3), ("4", ReleaseVersion::R4), ("5", ReleaseVersion::R5)];

/// Schemes of the bindings that requests can be sent over.
const SCHEMES: [&str; 4] = ["mqtt", "mqtts", "http", "https"];
/// More ways to one CSE than anybody has; each over MQTT is a connection that is kept.
const POINTS_MAX: usize = 8;

impl RegistrarConfig {
    pub(super) fn read(mut section: Section<'_>) -> Self {
        let day = Duration::from_secs(86_400);
        let config = Self {
            cse_id: section.value("cse-id", Text::default()),
            cse_name: section.value("cse-name", Text::default()),
            poa: section.value("poa", Vec::new()),
            serialization: section.choice("serialization", Serialization::Json, SERIALIZATIONS),
            release: section.choice("release", ReleaseVersion::R3, RELEASES),
            lifetime: section.within("lifetime", Duration::from_secs(3_600), Duration::from_secs(2)..=day * 365),
            check_interval: section.within("check-interval", Duration::from_secs(60), Duration::ZERO..=day),
            deregister_on_shutdown: section.value("deregister-on-shutdown", false),
            broker: RegistrarBroker::read(&mut section),
        };
        for poa in &config.poa {
            if let Err(problem) = check_point_of_access(poa) {
                section.problem("poa", problem);
            }
        }
        let name = config.broker.username.as_deref().unwrap_or_default();
        if name.contains(':') && config.poa.iter().any(|poa| poa.starts_with("http")) {
            section.problem("username", "has a colon, which names over HTTP cannot have");
        }
        if config.poa.len() > POINTS_MAX {
            section.problem("poa", format!("has more than {POINTS_MAX} points of access"));
        }
        config
    }

    /// Checks it against who this CSE is.
    pub(super) fn check(&self, cse: &CseConfig, section: &mut Section<'_>) {
        if self.cse_id.is_empty() {
            if !self.poa.is_empty() {
                section.problem("cse-id", "is missing; there are points of access of a registrar");
            }
            return;
        }
        if self.poa.is_empty() {
            section.problem("poa", "is missing; write it like [\"mqtt://in.example:1883\"]");
        }
        if let Err(problem) = check_cse_id(&self.cse_id) {
            return section.problem("cse-id", problem);
        }
        if !self.cse_name.is_empty()
            && let Err(invalid) = CseIdentity::new("//valid", "/valid", &self.cse_name, CseType::In)
        {
            section.problem("cse-name", invalid.to_string());
        }
        let Ok(identity) = cse.identity() else { return };
        let own = identity.originator();
        let Some(registrar) = identity.canonical_cse_id(&self.cse_id) else { return };
        let is_foreign = registrar.as_str().starts_with("//");
        let problem = match identity.cse_type {
            _ if registrar == own.as_str() => "is this CSE itself",
            CseType::In if !is_foreign => "is of this service provider, and there an IN-CSE is above all others",
            CseType::Mn | CseType::Asn if is_foreign => {
                "is of another service provider; only an IN-CSE registers there"
            }
            _ => return,
        };
        section.problem("cse-id", format!("{} {problem}", self.cse_id));
    }

    /// The part that is the core's; without what only the listeners know, where this CSE is reached.
    pub(super) fn settings(&self, identity: &CseIdentity) -> Option<Registrar> {
        // There is none, or it was complained of.
        let cse_id = identity.canonical_cse_id(&self.cse_id)?;
        Some(Registrar {
            cse_name: (!self.cse_name.is_empty()).then(|| self.cse_name.clone()),
            serialization: self.serialization,
            release: self.release,
            lifetime: self.lifetime,
            check_interval: self.check_interval,
            deregister_on_shutdown: self.deregister_on_shutdown,
            ..Registrar::new(cse_id, self.poa.clone())
        })
    }
}

impl RegistrarBroker {
    fn read(section: &mut Section<'_>) -> Self {
        let username: Text = section.value("username", Text::default());
        let password = read_password(section);
        if username.is_empty() && !password.reveal().is_empty() {
            section.problem("username", "is missing, but there is a password");
        }
        Self {
            username: (!username.is_empty()).then_some(username),
            password,
            tls: ClientTlsConfig::read(section),
            version: section.value("mqtt-version", MqttVersion::default()),
            keep_alive: section.within(
                "keep-alive",
                Duration::from_secs(60),
                Duration::ZERO..=Duration::from_secs(65_535),
            ),
        }
    }
}

fn check_cse_id(text: &str) -> Result<(), String> {
    let checked = match text.strip_prefix("//").and_then(|rest| rest.split_once('/')) {
        Some((provider, cse)) => CseIdentity::new(&format!("//{provider}"), &format!("/{cse}"), "valid", CseType::In),
        None => CseIdentity::new("//valid", text, "valid", CseType::In),
    };
    checked.map(|_| ()).map_err(|invalid| invalid.to_string())
}

fn check_point_of_access(text: &str) -> Result<(), String> {
    let url = Url::parse(text).ok().filter(|url| SCHEMES.contains(&url.scheme()) && url.has_host());
    // Messages show what was given, and a URL may carry a password: so these show nothing of it.
    let Some(url) = url.filter(|url| url.query().is_none() && url.fragment().is_none()) else {
        return Err(format!("has something that is no URL which begins with {}://", SCHEMES.join("://, ")));
    };
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not have credentials in its URLs; use registrar.username and registrar.password-file".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::tests::{parsed, problems};
    use super::*;

    fn of(cse: &str, registrar: &str) -> Vec<String> {
        problems(&format!("[cse]\n{cse}\n[registrar]\n{registrar}"))
    }

    const MN: &str = "type = \"mn\"\nid = \"/id-mn\"\nname = \"cse-mn\"";

    #[test]
    fn a_registrar_is_a_cse_above_this_one() {
        let poa = "poa = [\"mqtt://in.example\"]";
        for (cse, registrar, hint) in [
            (MN, format!("cse-id = \"/id-in\"\n{poa}"), None),
            (MN, format!("cse-id = \"//cse.example/id-in\"\n{poa}"), None),
            ("", format!("cse-id = \"//other.example/id-in\"\n{poa}"), None),
            (MN, String::new(), None),
            (MN, "cse-id = \"/id-in\"".into(), Some("registrar.poa: is missing")),
            (MN, poa.into(), Some("registrar.cse-id: is missing")),
            (MN, format!("cse-id = \"id-in\"\n{poa}"), Some("is no CSE-ID")),
            (MN, format!("cse-id = \"//other\"\n{poa}"), Some("is no CSE-ID")),
            (MN, format!("cse-id = \"/id-mn\"\n{poa}"), Some("is this CSE itself")),
            (MN, format!("cse-id = \"//other.example/id-in\"\n{poa}"), Some("only an IN-CSE")),
            ("", format!("cse-id = \"/id-up\"\n{poa}"), Some("above all others")),
            (MN, format!("cse-id = \"/id-in\"\ncse-name = \"a/b\"\n{poa}"), Some("registrar.cse-name")),
        ] {
            let found = of(cse, &registrar);
            assert_eq!(found.len(), usize::from(hint.is_some()), "{registrar}: {found:?}");
            assert!(found.iter().all(|problem| hint.is_some_and(|hint| problem.contains(hint))), "{found:?}");
        }
    }

    #[test]
    fn points_of_access_are_urls_of_the_bindings_without_secrets() {
        let poa = |poa: &str| of(MN, &format!("cse-id = \"/id-in\"\npoa = [\"{poa}\"]"));
        for good in ["mqtt://in.example", "mqtts://in.example:8883/plant", "http://[::1]:8080/m2m", "https://in"] {
            assert_eq!(poa(good), [""; 0], "{good}");
        }
        for bad in ["in.example", "coap://in", "ws://in/mqtt", "mqtt://in?x=1", "mqtt://us:hunter2@in"] {
            let found = poa(bad);
            assert!(found.len() == 1 && found[0].contains("registrar.poa: "), "{bad}: {found:?}");
            assert!(!found[0].contains("hunter2"), "{found:?}");
        }
        let many = (0..9).map(|n| format!("\"mqtt://in{n}\"")).collect::<Vec<_>>().join(", ");
        assert_eq!(of(MN, &format!("cse-id = \"/id-in\"\npoa = [{many}]")).len(), 1);
    }

    #[test]
    fn problems_with_credentials_name_this_section() {
        let of = |text: &str| {
            let poa = if text.contains("poa") { "" } else { "poa = [\"mqtt://in\"]\n" };
            of(MN, &format!("cse-id = \"/id-in\"\n{poa}{text}"))
        };
        for (text, hint) in [
            ("password = \"x\"", "registrar.username: is missing"),
            ("username = \"a:b\"\npoa = [\"https://in\"]", "registrar.username: has a colon"),
            ("client-key = \"x\"", "needs registrar.client-certificate"),
            ("username = \"u\"\npassword = \"x\"\npassword-file = \"deploy\"", "together with registrar.password"),
        ] {
            let found = of(text);
            assert!(found.iter().any(|problem| problem.contains(hint)), "{text}: {found:?}");
        }
    }

    #[test]
    fn the_core_gets_what_was_chosen() {
        let text = format!(
            "[cse]\n{MN}\n[registrar]\ncse-id = \"//cse.example/id-in\"\ncse-name = \"cse-in\"\npoa = [\"mqtt://in\", \
             \"http://in\"]\nserialization = \"cbor\"\nrelease = \"4\"\nlifetime = \"10m\"\ncheck-interval = \"0s\"\n\
             deregister-on-shutdown = true"
        );
        let (config, problems) = parsed(&text, &[]);
        assert_eq!(problems, [""; 0]);
        let registrar = config.settings(Vec::new()).expect("valid").registrar.expect("one");
        let expected = Registrar {
            cse_name: Some("cse-in".into()),
            serialization: Serialization::Cbor,
            release: ReleaseVersion::R4,
            lifetime: Duration::from_secs(600),
            check_interval: Duration::ZERO,
            deregister_on_shutdown: true,
            ..Registrar::new("/id-in", vec!["mqtt://in".into(), "http://in".into()])
        };
        assert_eq!(registrar, expected);
    }
}
