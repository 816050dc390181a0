//! Wall-clock time that never jumps while the broker runs.
//!
//! Message expiry has to hold over a restart, so it is a point of wall-clock time. A device that sets its clock some
//! time after its start must not lose all messages at that moment, so the clock is read once and goes on from there
//! with the monotonic one.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

/// A wall clock that was read when it was made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WallClock {
    wall: SystemTime,
    instant: Instant,
}

impl WallClock {
    /// Reads the system's clock.
    pub(crate) fn start() -> Self {
        Self { wall: SystemTime::now(), instant: Instant::now() }
    }

    pub(crate) fn now(&self) -> SystemTime {
        self.wall + self.instant.elapsed()
    }

    /// The time `duration` from now; `None` if that is beyond all time.
    pub(crate) fn after(&self, duration: Duration) -> Option<SystemTime> {
        self.now().checked_add(duration)
    }
}
