//! What waits in all is bounded, in number and bytes: when it is too much, whoever most is waiting for loses the oldest,
//! so that no target that cannot be reached takes the room of the others.

use super::{Loss, Outbox};
use crate::ports::Store;
use crate::time::Timestamp;
use crate::value::Text;

/// What is left free when room is made, as a part of a bound, so that it is seldom made.
const SPARE: usize = 16;

/// What waits.
#[derive(Clone, Copy, Debug, Default)]
struct Backlog {
    count: usize,
    bytes: usize,
}

impl<S: Store> Outbox<S> {
    /// Makes room if too much waits.
    pub(super) fn relieve(&mut self) {
        let settings = &self.cse.0.settings;
        let max = Backlog { count: settings.notifications_max, bytes: settings.notification_bytes_max };
        if self.count <= max.count && self.bytes <= max.bytes {
            // Room for a while: the next loss is worth a line again.
            self.is_losing &= self.count > max.count / 2 || self.bytes > max.bytes / 2;
            return;
        }
        if !std::mem::replace(&mut self.is_losing, true) {
            let (count, bytes) = (self.count, self.bytes);
            tracing::warn!(count, bytes, "too many notifications wait; where most do, the oldest are given up");
        }
        let room = Backlog { count: max.count - max.count / SPARE, bytes: max.bytes - max.bytes / SPARE };
        let mut lanes: Vec<(Text, Backlog)> = self
            .lanes
            .iter()
            .map(|(target, lane)| {
                let bytes = lane.waiting().map(|waiting| waiting.bytes).sum();
                (target.clone(), Backlog { count: lane.len(), bytes })
            })
            .collect();
        // As a part of what may wait, whatever is scarce.
        let share = |backlog: &Backlog| {
            let part = |of: usize, all: usize| of as f64 / all.max(1) as f64;
            part(backlog.count, max.count).max(part(backlog.bytes, max.bytes))
        };
        while (self.count > room.count || self.bytes > room.bytes)
            && let Some((target, backlog)) = lanes.iter_mut().max_by(|a, b| share(&a.1).total_cmp(&share(&b.1)))
            && backlog.count > 0
        {
            let excess = Backlog {
                count: self.count.saturating_sub(room.count).min(backlog.count.div_ceil(2)),
                bytes: self.bytes.saturating_sub(room.bytes).min(backlog.bytes.div_ceil(2)),
            };
            let target = target.clone();
            let lost = self.lose_oldest(&target, excess);
            backlog.count -= lost.count;
            backlog.bytes -= lost.bytes;
        }
    }

    /// Gives up the oldest that wait for a target, at least so many and so many bytes of them.
    fn lose_oldest(&mut self, target: &Text, excess: Backlog) -> Backlog {
        let mut lost = Backlog::default();
        while lost.count < excess.count || lost.bytes < excess.bytes {
            let Some(waiting) = self.lanes.get_mut(target).and_then(|lane| lane.take_first()) else { break };
            lost.count += 1;
            lost.bytes += waiting.bytes;
            self.drop_waiting(target, &waiting);
        }
        Loss::Total.count(&self.cse.0.metrics, lost.count);
        lost
    }

    /// When what has waited longest came to be.
    pub(super) fn oldest(&self) -> Option<Timestamp> {
        let firsts = self.lanes.values().filter_map(|lane| lane.waiting().next());
        firsts.map(|waiting| waiting.created).min()
    }
}
