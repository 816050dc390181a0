//! The time of the system, which never goes back while the server runs.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use cse_core::ports::{BoxFuture, Clock};
use cse_core::time::Timestamp;

/// The system's clock. Where it is set back, time stands still here until it is reached again, so that
/// creation and expiration times stay in order.
#[derive(Debug, Default)]
pub(crate) struct SystemClock {
    latest_micros: AtomicI64,
}

impl SystemClock {
    fn at(&self, system_micros: i64) -> Timestamp {
        let latest = self.latest_micros.fetch_max(system_micros, Ordering::Relaxed);
        Timestamp::from_micros(latest.max(system_micros))
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        self.at(chrono::Utc::now().timestamp_micros())
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_stands_still_when_the_system_goes_back() {
        let clock = SystemClock::default();
        let micros = [5, 3, 4, 6].map(|system| clock.at(system).micros());
        assert_eq!(micros, [5, 5, 5, 6]);
    }

    #[test]
    fn it_is_the_time_of_the_system() {
        let clock = SystemClock::default();
        let (before, now) = (chrono::Utc::now().timestamp_micros(), clock.now().micros());
        assert!(now >= before && now - before < 60_000_000);
    }
}
