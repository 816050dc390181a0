//! Samples of the security of the embedded broker.

use cse_mqtt::broker::Counter;
use cse_mqtt::security::SecurityStats;

use super::Sample;

type Row = (&'static str, &'static str, fn(&SecurityStats) -> &Counter);

const COUNTERS: &[Row] = &[
    ("mqtt_certificates_accepted", "Clients let in by certificate", |s| &s.certificates_accepted),
    ("mqtt_certificates_refused", "Clients whose certificate has no usable name", |s| &s.certificates_refused),
    ("mqtt_logins_accepted", "Clients let in by password", |s| &s.logins_accepted),
    ("mqtt_logins_failed", "Logins with a wrong user name or password", |s| &s.logins_failed),
    ("mqtt_logins_deferred", "Logins refused unseen: too many at once, or failed too often", |s| &s.logins_deferred),
    ("mqtt_anonymous_accepted", "Clients let in without credential", |s| &s.anonymous_accepted),
    ("mqtt_anonymous_refused", "Clients refused for want of a credential", |s| &s.anonymous_refused),
    ("mqtt_client_ids_refused", "Clients whose client identifier is not theirs", |s| &s.client_ids_refused),
];

/// The samples now.
pub(crate) fn security_samples(stats: &SecurityStats) -> Vec<Sample> {
    COUNTERS.iter().map(|(name, help, counter)| Sample::counter(name, help, counter(stats).get())).collect()
}
