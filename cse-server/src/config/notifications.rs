//! `[notifications]`: how patiently notifications are delivered.

use std::time::Duration;

use super::layers::Section;

/// How patiently notifications are delivered.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct NotificationsConfig {
    /// How long a target may take to confirm a subscription or a blocking update. Default: 5 s.
    pub(crate) verification_timeout: Duration,
    /// How long one attempt waits for the answer. Default: 5 s.
    pub(crate) timeout: Duration,
    /// First pause after a failed attempt; doubles up to `retry-max`. Default: 500 ms.
    pub(crate) retry_first: Duration,
    /// Longest pause between attempts. Default: 1 min.
    pub(crate) retry_max: Duration,
    /// Undeliverable notifications are given up after this time, those for other CSEs after `outage.lifetime`.
    /// Default: 1 h.
    pub(crate) lifetime: Duration,
    /// Most notifications that wait for one target; the oldest of the lowest priority is given up. Default: 100,000.
    pub(crate) per_target_max: usize,
    /// Most notifications that wait in all; the target for which most wait loses its oldest. Default: 250,000.
    pub(crate) total_max: usize,
    /// Notifications under way to one target at the same time. Default: 32.
    pub(crate) window: usize,
    /// How long the answer to a change may be held back while its notifications pile up. 0: not at all. Default: 2 s.
    pub(crate) hold_max: Duration,
}

impl NotificationsConfig {
    pub(super) fn read(mut section: Section<'_>) -> Self {
        let pauses = Duration::from_millis(10)..=Duration::from_secs(86_400);
        let answers = Duration::from_millis(100)..=Duration::from_secs(600);
        let config = Self {
            verification_timeout: section.within("verification-timeout", Duration::from_secs(5), answers.clone()),
            timeout: section.within("timeout", Duration::from_secs(5), answers),
            retry_first: section.within("retry-first", Duration::from_millis(500), pauses.clone()),
            retry_max: section.within("retry-max", Duration::from_secs(60), pauses),
            lifetime: section.within(
                "lifetime",
                Duration::from_secs(3_600),
                Duration::from_secs(1)..=Duration::from_secs(365 * 86_400),
            ),
            per_target_max: section.within("per-target-max", 100_000, 1..=10_000_000),
            total_max: section.within("total-max", 250_000, 1..=100_000_000),
            window: section.within("window", 32, 1..=10_000),
            hold_max: section.within("hold-max", Duration::from_secs(2), Duration::ZERO..=Duration::from_secs(60)),
        };
        if config.retry_first > config.retry_max {
            section.problem("retry-first", "must not be longer than notifications.retry-max");
        }
        if config.per_target_max > config.total_max {
            section.problem("per-target-max", "must not be more than notifications.total-max");
        }
        config
    }
}
