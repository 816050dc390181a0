//! Log lines that strangers cause: some per second, and how many there would have been.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Lines in one second.
const LINES_MAX: u32 = 5;

/// Says which lines are written.
pub(crate) struct Quiet(Mutex<State>);

struct State {
    since: Instant,
    written: u32,
    suppressed: u64,
}

impl Default for Quiet {
    fn default() -> Self {
        Self(Mutex::new(State { since: Instant::now(), written: 0, suppressed: 0 }))
    }
}

impl Quiet {
    /// Whether to write a line now, and how many were left out since the last one.
    pub(crate) fn admit(&self) -> Option<u64> {
        self.admit_at(Instant::now())
    }

    fn admit_at(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock();
        if now.saturating_duration_since(state.since) >= Duration::from_secs(1) {
            state.since = now;
            state.written = 0;
        }
        if state.written >= LINES_MAX {
            state.suppressed += 1;
            return None;
        }
        state.written += 1;
        Some(std::mem::take(&mut state.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_counted() {
        let quiet = Quiet::default();
        let start = quiet.0.lock().since;
        let admitted: Vec<_> = (0..20).map(|_| quiet.admit_at(start)).collect();
        assert_eq!(admitted.iter().flatten().count(), 5);
        assert_eq!(quiet.admit_at(start + Duration::from_secs(1)), Some(15));
        assert_eq!(quiet.admit_at(start + Duration::from_secs(1)), Some(0));
    }
}
