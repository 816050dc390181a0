//! Samples of the CSE itself.

use cse_core::cse::Cse;
use cse_core::ports::Store;
use cse_core::uplink::UplinkState;

use super::{Measure, Sample};

/// The samples now.
pub(crate) fn core_samples<S: Store>(cse: &Cse<S>) -> Vec<Sample> {
    let counters = cse.metrics().snapshot().into_iter();
    let uplink = match *cse.uplink().borrow() {
        UplinkState::Off => None,
        UplinkState::Registering { .. } => Some(0),
        UplinkState::Registered { .. } => Some(1),
    };
    let uplink = uplink.map(|value| Sample::gauge("uplink_registered", "1 while registered with the registrar", value));
    let (cached, cached_bytes) = cse.cache_size();
    let (backlog_bytes, oldest) = cse.notifications_backlog();
    let (polls, polled) = cse.polling_waiting();
    counters
        .map(|(name, help, label, value)| {
            let label = label.map(|(name, value)| (name, value.into()));
            Sample { label, ..Sample::counter(name, help, value) }
        })
        .chain([
            Sample::gauge("cache_resources", "Resources in the cache", cached as u64),
            Sample::gauge("registrations", "AEs and CSEs that are registered", cse.registrations().count() as u64),
            Sample::gauge("cache_bytes", "Memory of the cache, roughly", cached_bytes as u64),
            Sample::gauge(
                "non_blocking_requests",
                "Non-blocking requests that wait or whose result is kept",
                cse.non_blocking_requests() as u64,
            ),
            Sample::gauge(
                "notifications_waiting",
                "Notifications that wait in memory",
                cse.notifications_waiting() as u64,
            ),
            Sample::gauge("notifications_bytes", "Bytes of notifications that wait, roughly", backlog_bytes as u64),
            Sample {
                value: Measure::GaugeSeconds(oldest.as_secs_f64()),
                ..Sample::gauge("notifications_oldest_seconds", "How long the oldest notification has waited", 0)
            },
            Sample::gauge(
                "non_blocking_waiting",
                "Non-blocking requests that wait for other CSEs",
                cse.non_blocking_waiting() as u64,
            ),
            Sample::gauge("polls_waiting", "Polls that wait at polling channels", polls as u64),
            Sample::gauge("polling_requests_waiting", "Requests that wait in polling channels", polled as u64),
            Sample::gauge(
                "announcements_waiting",
                "Copies at other CSEs for which something is to be done",
                cse.announcements_waiting() as u64,
            ),
            Sample::gauge(
                "forwarded_waiting",
                "Requests passed on to other CSEs that are not answered yet",
                cse.forwarded_waiting() as u64,
            ),
        ])
        .chain(uplink)
        .collect()
}
