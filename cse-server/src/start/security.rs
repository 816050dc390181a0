//! The security of the embedded broker: made of the configuration, told who is registered, watched over.

use std::sync::Arc;

use cse_core::id::CseIdentity;
use cse_core::registrations::Registrations;
use cse_mqtt::RestrictedBroker;
use cse_mqtt::broker::Broker;
use cse_mqtt::security::{InvalidUsers, Mode, Security, SecurityOptions, Users};
use prometheus_client::registry::Registry;
use tracing::{info, warn};

use crate::config::{Config, MqttVia};
use crate::lifecycle::{Lifecycle, Stage, stopped};
use crate::metrics;

/// What the configuration says of clients of the embedded broker.
///
/// # Errors
/// If the list of users cannot be used.
pub(super) fn security(config: &Config, identity: &CseIdentity) -> Result<Arc<Security>, InvalidUsers> {
    let wanted = &config.mqtt.security;
    let users = match &wanted.users_file {
        Some(path) => Some(Arc::new(Users::load(path, identity)?)),
        None => None,
    };
    let certificates = match &config.mqtt.via {
        MqttVia::Embedded(listen) => listen.asks_for_certificates(),
        MqttVia::External(_) | MqttVia::Off => false,
    };
    let options = SecurityOptions {
        mode: wanted.mode,
        certificate_identity: wanted.certificate_identity,
        anonymous: wanted.anonymous,
        users,
        certificates,
        logins: wanted.logins,
        credentials: wanted.credentials.clone(),
    };
    let admin = config.cse.admin_of(identity);
    Ok(Arc::new(Security::new(identity.clone(), admin, &config.mqtt.topic_prefix, options)))
}

/// Keeps the rights of clients in step with what is registered, and their logins with the list of users.
pub(super) fn start(
    config: &Config,
    security: Arc<Security>,
    registrations: Arc<Registrations>,
    broker: Broker,
    lifecycle: &mut Lifecycle,
    registry: &mut Registry,
) {
    announce(config, security.users());
    security.attach(registrations);
    let counted = Arc::clone(&security);
    metrics::register(registry, move || metrics::security_samples(counted.stats()));
    let (follower, followed) = (Arc::clone(&security), broker.clone());
    let stop = lifecycle.stop_of(Stage::Bindings);
    lifecycle.spawn(Stage::Bindings, "mqtt-users", async move {
        tokio::select! {
            () = follower.follow_users(&followed) => {}
            () = stopped(stop) => {}
        }
    });
    let stop = lifecycle.stop_of(Stage::Bindings);
    lifecycle.spawn(Stage::Bindings, "mqtt-security", async move {
        tokio::select! {
            () = security.withdraw(&broker) => {}
            () = stopped(stop) => {}
        }
    });
}

/// What the configuration says of an external broker: whether it has the rules of `cse-server acl export`.
pub(super) fn restricted(config: &Config) -> Option<RestrictedBroker> {
    let security = &config.mqtt.security;
    let MqttVia::External(_) = &config.mqtt.via else { return None };
    if !security.mode_is_chosen || security.mode == Mode::Open {
        return None;
    }
    info!("MQTT policy: strict, on a broker that is expected to have the rules of `cse-server acl export`");
    let cses = config.registration.cse_originators.iter().filter(|pattern| tells_cses(pattern)).cloned();
    let registrar = config.settings(Vec::new()).ok().and_then(|settings| settings.registrar_id());
    Some(RestrictedBroker { cses: cses.chain(registrar.map(|registrar| registrar.text().clone())).collect() })
}

/// Whether a pattern tells CSEs from the AEs and users of a broker. One that every name fits would make CSEs of them
/// all, which may pass on requests of others.
fn tells_cses(pattern: &str) -> bool {
    pattern.chars().any(|c| !matches!(c, '/' | '*'))
}

fn announce(config: &Config, users: usize) {
    let security = &config.mqtt.security;
    match security.mode {
        Mode::Strict => info!(users, anonymous = security.anonymous, "MQTT policy: strict"),
        Mode::Open if security.mode_is_chosen => {
            warn!("MQTT policy: open, as configured: whoever connects may speak for every originator");
        }
        Mode::Open => info!(
            "MQTT policy: open, since only this machine reaches the broker and no credential is configured: whoever \
             connects may speak for every originator"
        ),
    }
    if security.mode == Mode::Strict && security.credentials.rules.is_empty() && !security.credentials.any_without_rules
    {
        info!("no mqtt.credentials: each credential registers only the identifier that it stands for");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_registrar_is_a_cse_whatever_may_register() {
        let of = |file: &str| {
            let (config, problems) = crate::config::tests::parsed(file, &[]);
            assert_eq!(problems, [""; 0]);
            restricted(&config).map(|broker| broker.cses)
        };
        let file = |policy: &str, registrar: &str| {
            format!(
                "[cse]\ntype = \"mn\"\nid = \"/id-mn\"\n[mqtt]\nbroker = \"mqtt://broker\"\n{policy}\n[registration]\n\
                 cse-originators = [\"/*\", \"/id-*\"]\n[registrar]\n{registrar}"
            )
        };
        let registrar = "cse-id = \"//cse.example/Site-0\"\npoa = [\"mqtt://broker\"]";
        let strict = "policy = \"strict\"";
        assert_eq!(of(&file(strict, registrar)), Some(vec!["/id-*".into(), "/Site-0".into()]));
        assert_eq!(of(&file(strict, "")), Some(vec!["/id-*".into()]));
        assert_eq!(of(&file("", registrar)), None, "nobody says that the broker has rules");
    }

    #[test]
    fn a_pattern_that_every_name_fits_tells_no_cses() {
        for (pattern, expected) in [
            ("/id-*", true),
            ("/id-mn", true),
            ("//other.example/*", true),
            ("/*", false),
            ("*", false),
            ("//*/*", false),
        ] {
            assert_eq!(tells_cses(pattern), expected, "{pattern}");
        }
    }
}
