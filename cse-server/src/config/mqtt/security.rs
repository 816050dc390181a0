//! The part of `[mqtt]` that says who may connect to the embedded broker, and what its clients may do there.

use std::path::PathBuf;
use std::time::Duration;

use cse_core::settings::{CredentialRule, CredentialRules};
use cse_core::value::Text;
use cse_mqtt::security::{CertificateIdentity, LoginLimits, Mode};

use super::{MqttVia, listen::EmbeddedListen};
use crate::config::layers::Section;
use crate::config::text::{Raw, Setting, quoted};

/// Whether topics are restricted by identity.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Policy {
    /// Open while only this machine can reach the broker and no credential is configured, otherwise strict.
    Auto,
    Open,
    Strict,
}

const POLICIES: &[(&str, Policy)] = &[("auto", Policy::Auto), ("open", Policy::Open), ("strict", Policy::Strict)];

/// Whether clients without credential are let in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Anonymous {
    /// While the policy is open.
    Auto,
    Yes,
    No,
}

const ANONYMOUS: &[(&str, Anonymous)] = &[("auto", Anonymous::Auto), ("yes", Anonymous::Yes), ("no", Anonymous::No)];

const CERTIFICATE_IDENTITIES: &[(&str, CertificateIdentity)] = &[
    ("uri", CertificateIdentity::Uri),
    ("common-name", CertificateIdentity::CommonName),
    ("uri-or-common-name", CertificateIdentity::UriOrCommonName),
];

/// Who may connect to the embedded broker, and what clients may do there.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct MqttSecurity {
    /// Whether topics are restricted by identity. Default: not while only this machine can reach the broker and no
    /// credential is configured.
    pub(crate) mode: Mode,
    /// Whether the operator has chosen it.
    pub(crate) mode_is_chosen: bool,
    /// Whether clients without credential are let in. Default: while the policy is open.
    pub(crate) anonymous: bool,
    /// Which name of a client certificate counts. Default: a URI, or without one the common name.
    pub(crate) certificate_identity: CertificateIdentity,
    /// File with users and hashes of their passwords. Default: none.
    pub(crate) users_file: Option<PathBuf>,
    /// What may be registered under which credential. Default: nothing is said; then anything may, unless others can
    /// reach a broker with strict policy.
    pub(crate) credentials: CredentialRules,
    /// Bounds of logins with password.
    pub(crate) logins: LoginLimits,
}

impl MqttSecurity {
    pub(super) fn read(section: &mut Section<'_>, via: &MqttVia) -> Self {
        let policy = section.choice("policy", Policy::Auto, POLICIES);
        let anonymous = section.choice("anonymous", Anonymous::Auto, ANONYMOUS);
        let certificate_identity =
            section.choice("certificate-identity", CertificateIdentity::default(), CERTIFICATE_IDENTITIES);
        let users_file: Text = section.value("users-file", Text::default());
        let users_file = (!users_file.is_empty()).then(|| PathBuf::from(users_file.as_str()));
        let rules = section.value("credentials", Rules::default()).0;
        check(section, &rules);
        let defaults = LoginLimits::default();
        let logins = LoginLimits {
            concurrent_max: section.within("logins-max", defaults.concurrent_max, 1..=64),
            waiting_max: section.within("logins-waiting-max", defaults.waiting_max, 0..=100_000),
            failures_max: u32::try_from(section.within(
                "failed-logins-max",
                defaults.failures_max as usize,
                0..=1_000_000,
            ))
            .unwrap_or(u32::MAX),
            failure_window: section.within(
                "failed-logins-window",
                defaults.failure_window,
                Duration::from_secs(1)..=Duration::from_secs(86_400),
            ),
        };

        let embedded = match via {
            MqttVia::Embedded(listen) => Some(listen.as_ref()),
            MqttVia::External(_) | MqttVia::Off => None,
        };
        let is_exposed = embedded.is_some_and(is_exposed);
        let has_credentials =
            users_file.is_some() || !rules.is_empty() || embedded.is_some_and(EmbeddedListen::asks_for_certificates);
        let mode = match policy {
            Policy::Open => Mode::Open,
            Policy::Strict => Mode::Strict,
            Policy::Auto if is_exposed || has_credentials => Mode::Strict,
            Policy::Auto => Mode::Open,
        };
        let anonymous = match anonymous {
            Anonymous::Yes => true,
            Anonymous::No => false,
            Anonymous::Auto => mode == Mode::Open,
        };
        let is_shared = is_exposed || policy == Policy::Strict && matches!(via, MqttVia::External(_));
        let credentials = CredentialRules { rules, any_without_rules: mode == Mode::Open || !is_shared };
        Self {
            mode,
            mode_is_chosen: policy != Policy::Auto,
            anonymous,
            certificate_identity,
            users_file,
            credentials,
            logins,
        }
    }
}

fn is_exposed(listen: &EmbeddedListen) -> bool {
    listen.addresses().any(|(_, address)| !address.ip().is_loopback())
}

fn check(section: &mut Section<'_>, rules: &[CredentialRule]) {
    for CredentialRule { credential, identifiers } in rules {
        if credential.is_empty() || identifiers.is_empty() {
            section.problem("credentials", "each needs a credential and at least one identifier");
        }
        for identifier in identifiers {
            let stem = identifier.trim_start_matches('/');
            let is_usable = identifier == "*" || identifier.starts_with(['C', 'S', '/']) && !stem.is_empty();
            if !is_usable || identifier.contains(char::is_whitespace) {
                let text = format!(
                    "'{identifier}' stands for no AE-ID stem, which begins with C or S, and no CSE-ID, which begins with '/'"
                );
                section.problem("credentials", text);
            }
        }
    }
}

/// The rules as the file has them: `[[mqtt.credentials]]` with `credential` and `identifiers`.
#[derive(Clone, Debug, Default, PartialEq)]
struct Rules(Vec<CredentialRule>);

const RULES: &str =
    "list of tables; write [[mqtt.credentials]] with credential = \"sensor-*\" and identifiers = [\"Csensor*\"]";

impl Setting for Rules {
    fn read(raw: &Raw) -> Result<Self, String> {
        let Raw::List(items) = raw else { return Err(raw.is_no(RULES)) };
        items.iter().map(rule).collect::<Result<_, _>>().map(Self)
    }

    fn write(&self) -> String {
        let rules = self.0.iter().map(|rule| {
            format!("{{ credential = {}, identifiers = {} }}", quoted(&rule.credential), rule.identifiers.write())
        });
        format!("[{}]", rules.collect::<Vec<_>>().join(", "))
    }
}

fn rule(raw: &Raw) -> Result<CredentialRule, String> {
    let Raw::Table(members) = raw else { return Err(raw.is_no(RULES)) };
    let mut rule = CredentialRule { credential: Text::default(), identifiers: Vec::new() };
    for (name, value) in members {
        match name.as_str() {
            "credential" => rule.credential = Text::read(value)?,
            "identifiers" => rule.identifiers = Vec::read(value)?,
            other => return Err(format!("unknown key '{other}'; a credential has credential and identifiers")),
        }
    }
    Ok(rule)
}
