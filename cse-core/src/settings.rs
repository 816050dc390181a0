//! What an operator can decide about the CSE. Parsed and checked by the server; plain values here.

mod registrar;

use std::time::Duration;

pub use registrar::Registrar;

use crate::id::{CseIdentity, Originator, matches_wildcard};
use crate::value::Text;

/// Which identifiers may be registered under which credential (TS-0010 §8.2, TS-0003 on Credential-IDs).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CredentialRules {
    /// The rules; one that allows it is enough.
    pub rules: Vec<CredentialRule>,
    /// Whether anything may be registered under any credential while there are no rules.
    pub any_without_rules: bool,
}

/// One rule of [`CredentialRules`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CredentialRule {
    /// Credential-IDs, with `*`.
    pub credential: Text,
    /// AE-ID stems and SP-relative CSE-IDs (`/id-mn`) that may be registered under them, with `*`.
    pub identifiers: Vec<Text>,
}

impl Default for CredentialRules {
    /// No rules, so anything goes.
    fn default() -> Self {
        Self { rules: Vec::new(), any_without_rules: true }
    }
}

impl CredentialRules {
    /// Whether a credential may register an AE-ID stem or an SP-relative CSE-ID.
    pub fn allow(&self, credential: &str, identifier: &str) -> bool {
        if self.rules.is_empty() {
            return self.any_without_rules;
        }
        self.matching(credential).any(|pattern| matches_wildcard(pattern, identifier))
    }

    /// Whether a rule names that identifier for the credential, letter by letter.
    pub fn name(&self, credential: &str, identifier: &str) -> bool {
        self.matching(credential).any(|pattern| pattern == identifier)
    }

    fn matching(&self, credential: &str) -> impl Iterator<Item = &Text> {
        let rules = self.rules.iter().filter(move |rule| matches_wildcard(&rule.credential, credential));
        rules.flat_map(|rule| &rule.identifiers)
    }
}

/// Settings of a CSE. Every bound says what happens when it is reached.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Who this CSE is.
    pub identity: CseIdentity,
    /// Where this CSE is registered; `None` if nowhere.
    pub registrar: Option<Registrar>,
    /// The originator that may do everything, besides the CSE itself.
    pub admin: Originator,
    /// `poa` of the CSEBase: how others reach this CSE.
    pub points_of_access: Vec<Text>,
    /// Life of resources that are created without expiration time.
    pub default_lifetime: Duration,
    /// Longest life; later expiration times are lowered to it.
    pub maximum_lifetime: Duration,
    /// How long a request without expiration may take before it is answered 4008.
    pub request_timeout: Duration,
    /// How far ahead a request's operation execution time may be; later ones are answered 5001.
    pub execution_delay_max: Duration,
    /// How long the result of a non-blocking request is kept, and how long it is tried to reach a target of this CSE that
    /// cannot be reached, unless the request says otherwise (`rp`, `rqet`, `rset`).
    pub non_blocking_persistence: Duration,
    /// Longest life of a `<request>`; later times of a request are lowered to it, a later `oet` is answered 5001.
    pub non_blocking_lifetime_max: Duration,
    /// Most `<request>` resources of one originator; more are answered 5207.
    pub non_blocking_per_originator_max: usize,
    /// Most `<request>` resources in all; more are answered 5207.
    pub non_blocking_max: usize,
    /// Bytes of all `<request>` resources, roughly; when there are so many, further ones are answered 5207.
    pub non_blocking_bytes_max: usize,
    /// Bytes of the content of one result that is kept, roughly. A larger one of a RETRIEVE becomes 5207; of a change
    /// that was made, the content is left out.
    pub non_blocking_result_bytes_max: usize,
    /// Accepted requests that are carried out at the same time.
    pub non_blocking_width: usize,
    /// How long answers are remembered for redeliveries.
    pub reply_lifetime: Duration,
    /// Shortest time between two looks for expired resources; expired ones are gone at most this late.
    pub expiration_interval: Duration,
    /// AE-ID stems that may register, with `*`.
    pub allowed_ae_originators: Vec<Text>,
    /// CSE-IDs that may register, with `*`. CSEs of other service providers need a pattern that begins with `//` or
    /// `*`.
    pub allowed_cse_originators: Vec<Text>,
    /// What may be registered under which credential. Asked for registrations whose binding knows a Credential-ID;
    /// the two lists above hold besides.
    pub credentials: CredentialRules,
    /// Whether registered AEs may create access control policies under the CSEBase.
    pub ae_may_create_policies: bool,
    /// How long an access control policy of another CSE is used before it is read again.
    pub policy_lifetime: Duration,
    /// How long it is used beyond that while its CSE cannot be reached.
    pub policy_grace: Duration,
    /// Most changes carried out in one commit.
    pub group_size_max: usize,
    /// Most changes that wait for the writer; further ones wait before the queue, and are answered 5000 with a text
    /// that says so when their time is up.
    pub write_queue_max: usize,
    /// Bytes of structure (everything but instances) that are kept in memory, roughly.
    pub cache_bytes_max: usize,
    /// Most resources in one result; a longer one is cut and marked partial.
    pub result_resources_max: usize,
    /// Bytes of one result, roughly; a longer one is cut and marked partial.
    pub result_bytes_max: usize,
    /// Members of a group that are asked at the same time.
    pub fan_out_width: usize,
    /// Most members of a group; more are answered 6010.
    pub group_members_max: usize,
    /// How long the notification target may take to confirm a subscription or a blocking update.
    pub verification_timeout: Duration,
    /// How long one attempt to notify waits for the answer.
    pub notification_timeout: Duration,
    /// First pause after a notification that could not be delivered; doubles up to the maximum.
    pub notification_retry_first: Duration,
    /// Longest pause between attempts.
    pub notification_retry_max: Duration,
    /// Undeliverable notifications are given up after this time, unless they are for another CSE.
    pub notification_lifetime: Duration,
    /// Most notifications that wait for one target; the oldest is given up.
    pub notifications_per_target_max: usize,
    /// Most notifications that wait in all; the target for which most wait loses its oldest.
    pub notifications_max: usize,
    /// Most bytes of notifications that wait in all, roughly; as above.
    pub notification_bytes_max: usize,
    /// How long what is meant for another CSE waits while that cannot be reached: notifications, and non-blocking
    /// requests that do not say by themselves (`rqet`, `rset`). Then it is given up.
    pub outage_lifetime: Duration,
    /// Notifications under way to one target at the same time.
    pub notification_window: usize,
    /// Most requests that wait in one polling channel; the way by the channel is shut to further ones.
    pub polling_requests_per_channel_max: usize,
    /// Most requests that wait in all polling channels; as above.
    pub polling_requests_max: usize,
    /// Most bytes of requests that wait in polling channels, roughly; as above.
    pub polling_bytes_max: usize,
    /// Most who wait for requests at polling channels at the same time; further ones are answered 5000.
    pub polls_max: usize,
    /// Longest time that somebody waits for a request at a polling channel, whatever the expiration says; then 4008.
    pub poll_time_max: Duration,
    /// How long the answer to a change may be held back while its notifications pile up before their targets; half of
    /// the time that the request has left if that is less. Zero: not at all.
    pub notification_hold_max: Duration,
}

impl Settings {
    /// The defaults, for an identity.
    pub fn new(identity: CseIdentity, admin: &str) -> Self {
        let admin = identity.canonical_originator(admin);
        Self {
            identity,
            admin,
            registrar: None,
            points_of_access: Vec::new(),
            default_lifetime: Duration::from_secs(5 * 365 * 86_400),
            maximum_lifetime: Duration::from_secs(20 * 365 * 86_400),
            request_timeout: Duration::from_secs(10),
            execution_delay_max: Duration::from_secs(3_600),
            non_blocking_persistence: Duration::from_secs(3_600),
            non_blocking_lifetime_max: Duration::from_secs(7 * 86_400),
            non_blocking_per_originator_max: 1_000,
            non_blocking_max: 10_000,
            non_blocking_bytes_max: 64 * 1024 * 1024,
            non_blocking_result_bytes_max: 1024 * 1024,
            non_blocking_width: 64,
            reply_lifetime: Duration::from_secs(600),
            expiration_interval: Duration::from_millis(500),
            allowed_ae_originators: vec!["C*".into(), "S*".into()],
            allowed_cse_originators: vec!["/*".into()],
            credentials: CredentialRules::default(),
            ae_may_create_policies: true,
            policy_lifetime: Duration::from_secs(60),
            policy_grace: Duration::from_secs(3_600),
            group_size_max: 512,
            write_queue_max: 8_192,
            cache_bytes_max: 16 * 1024 * 1024,
            result_resources_max: 10_000,
            result_bytes_max: 8 * 1024 * 1024,
            fan_out_width: 32,
            group_members_max: 10_000,
            verification_timeout: Duration::from_secs(5),
            notification_timeout: Duration::from_secs(5),
            notification_retry_first: Duration::from_millis(500),
            notification_retry_max: Duration::from_secs(60),
            notification_lifetime: Duration::from_secs(3_600),
            notifications_per_target_max: 100_000,
            notifications_max: 250_000,
            notification_bytes_max: 256 * 1024 * 1024,
            outage_lifetime: Duration::from_secs(2 * 86_400),
            notification_window: 32,
            polling_requests_per_channel_max: 1_000,
            polling_requests_max: 10_000,
            polling_bytes_max: 64 * 1024 * 1024,
            polls_max: 1_000,
            poll_time_max: Duration::from_secs(300),
            notification_hold_max: Duration::from_secs(2),
        }
    }

    /// The registrar as an originator.
    pub fn registrar_id(&self) -> Option<Originator> {
        let cse_id = &self.registrar.as_ref()?.cse_id;
        Some(Originator::from_canonical(self.identity.canonical_cse_id(cse_id).unwrap_or_else(|| cse_id.clone())))
    }

    /// How long to wait after so many failures before this one: what cannot be delivered is tried again ever more rarely.
    pub(crate) fn retry_pause(&self, failures: u32) -> Duration {
        let factor = 2_u32.saturating_pow(failures.min(16));
        self.notification_retry_first.saturating_mul(factor).min(self.notification_retry_max)
    }

    /// How long it is tried to deliver a notification.
    pub(crate) fn notification_patience(&self, is_remote: bool) -> Duration {
        if is_remote { self.outage_lifetime } else { self.notification_lifetime }
    }

    /// How long it is tried to carry out a non-blocking request.
    pub(crate) fn non_blocking_patience(&self, is_remote: bool) -> Duration {
        if is_remote { self.outage_lifetime } else { self.non_blocking_persistence }
    }

    /// Whether an AE with that stem may register.
    pub fn allows_ae(&self, stem: &str) -> bool {
        self.allowed_ae_originators.iter().any(|pattern| matches_wildcard(pattern, stem))
    }

    /// Whether a CSE with that SP-relative or absolute CSE-ID may register.
    pub fn allows_cse(&self, cse_id: &str) -> bool {
        let is_absolute = cse_id.starts_with("//");
        let may_mean = |pattern: &str| !is_absolute || pattern.starts_with("//") || pattern.starts_with('*');
        let mut patterns = self.allowed_cse_originators.iter();
        patterns.any(|pattern| may_mean(pattern) && matches_wildcard(pattern, cse_id))
    }
}
