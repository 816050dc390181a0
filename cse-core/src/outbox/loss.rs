//! Why notifications are given up, and how that is told: counted each, logged once for each time of losses.

use crate::metrics::Metrics;

/// Why a notification is given up.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Loss {
    /// It has waited for as long as notifications may.
    Age,
    /// As many wait for its target as may.
    Target,
    /// As many wait in all as may, in number or bytes, and most of them for its target.
    Total,
    /// There is no way for such a notification, or it is of no use any more.
    Useless,
}

impl Loss {
    /// How the reasons are called on the metrics page, in the order of their counters.
    pub(crate) const NAMES: [&str; 4] = ["age", "target", "total", "useless"];

    /// Counts so many.
    pub(super) fn count(self, metrics: &Metrics, count: usize) {
        metrics.notifications_given_up.add(count as u64);
        metrics.notifications_lost[self as usize].add(count as u64);
    }

    pub(super) fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }
}
