//! How long a message is of use, for brokers that throw away what has expired (MQTT 5).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cse_core::time::{AbsRelTimestamp, Timestamp};

/// What is left until then; zero if it is over. A relative time counts from now.
pub(crate) fn time_left(until: AbsRelTimestamp) -> Duration {
    match until {
        AbsRelTimestamp::Relative(duration) => duration,
        AbsRelTimestamp::Absolute(time) => left(time, now()),
    }
}

fn left(until: Timestamp, now: Timestamp) -> Duration {
    Duration::from_micros(u64::try_from(until.micros().saturating_sub(now.micros())).unwrap_or(0))
}

fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_over_has_nothing_left() {
        let now = Timestamp::from_micros(5_000_000);
        assert_eq!(left(Timestamp::from_micros(6_500_000), now), Duration::from_millis(1500));
        assert_eq!(left(Timestamp::from_micros(4_999_999), now), Duration::ZERO);
        assert_eq!(left(Timestamp::from_micros(i64::MIN), Timestamp::from_micros(i64::MAX)), Duration::ZERO);
        assert_eq!(time_left(AbsRelTimestamp::Absolute(Timestamp::from_micros(0))), Duration::ZERO);
        assert_eq!(time_left(AbsRelTimestamp::Relative(Duration::from_secs(3))), Duration::from_secs(3));
    }
}
