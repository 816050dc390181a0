//! Samples of the store.

use cse_store::sqlite::StoreMetrics;

use super::{Measure, Sample};

/// The samples of what was measured.
pub(crate) fn store_samples(metrics: StoreMetrics) -> Vec<Sample> {
    let seconds = Measure::CounterSeconds(metrics.commit_time.as_secs_f64());
    vec![
        Sample::counter("store_commits", "Commits of changes", metrics.commits),
        Sample { value: seconds, ..Sample::counter("store_commit_seconds", "Time that commits took in all", 0) },
    ]
}
