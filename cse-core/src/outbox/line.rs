//! Lines to other CSEs that are back: what waits for them goes at once, not at the end of a pause.

use super::Outbox;
use crate::ports::Store;

impl<S: Store> Outbox<S> {
    /// Ends the pauses of lanes that lead to other CSEs.
    pub(super) fn resume_remote(&mut self) {
        let now = self.cse.0.clock.now();
        for (target, lane) in &mut self.lanes {
            if lane.is_remote && lane.paused_until.is_some_and(|until| until > now) {
                lane.pause_until(now, target, &mut self.pauses);
            }
        }
    }
}
