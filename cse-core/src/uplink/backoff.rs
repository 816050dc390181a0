//! Pauses between attempts: from a second to a minute, and not in step with those of other CSEs.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

/// First pause, before a part is taken off.
const FIRST: Duration = Duration::from_secs(1);
/// Longest pause.
const LONGEST: Duration = Duration::from_secs(60);

/// The pauses of one CSE.
#[derive(Clone, Debug)]
pub(super) struct Backoff {
    /// What sets this CSE apart from those that have lost the same registrar.
    seed: u64,
    failures: u32,
}

impl Backoff {
    pub(super) fn new(seed: impl Hash) -> Self {
        Self { seed: hash(seed), failures: 0 }
    }

    /// Failures since the last success.
    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    pub(super) fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// Notes a failure; how long to pause: up to half is taken off, by the seed.
    pub(super) fn failed(&mut self) -> Duration {
        let full = FIRST.saturating_mul(1 << self.failures.min(10)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        let thousandths = u32::try_from(hash((self.seed, self.failures)) % 500).unwrap_or_default();
        full - full * thousandths / 1_000
    }
}

/// Equal on every machine and in every run, as no source of randomness would be.
fn hash(value: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_minute_and_begin_anew_after_a_success() {
        let mut backoff = Backoff::new("/id-mn");
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60, 60] {
            let full = Duration::from_secs(seconds);
            let pause = backoff.failed();
            assert!(pause > full / 2 && pause <= full, "{pause:?} of {full:?}");
        }
        assert_eq!(backoff.failures(), 9);
        backoff.succeeded();
        assert!(backoff.failed() <= FIRST);
    }

    #[test]
    fn pauses_of_different_cses_differ() {
        let pauses = |seed: &str| -> Vec<Duration> {
            let mut backoff = Backoff::new(seed);
            (0..9).map(|_| backoff.failed()).collect()
        };
        assert_eq!(pauses("/id-mn1"), pauses("/id-mn1"));
        assert_ne!(pauses("/id-mn1"), pauses("/id-mn2"));
    }

    #[test]
    fn any_number_of_failures_is_survived() {
        let mut backoff = Backoff { seed: 0, failures: u32::MAX - 1 };
        for _ in 0..3 {
            assert!(backoff.failed() <= LONGEST);
        }
    }
}
