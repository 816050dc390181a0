//! Polling channels from which somebody fetches again: what could not be delivered by them goes at once, not at the end
//! of a pause.

use parking_lot::Mutex;
use rustc_hash::{FxHashMap, FxHashSet};

use super::Outbox;
use crate::id::{Originator, Seq};
use crate::ports::Store;

/// Channels that are remembered; what waits for further ones goes at the end of its pause.
const CHANNELS_MAX: usize = 10_000;

/// Channels from which somebody has begun to fetch, with their owners.
#[derive(Default)]
pub(super) struct Polled(Mutex<FxHashMap<Seq, Originator>>);

impl Polled {
    pub(super) fn add(&self, channel: Seq, owner: &Originator) {
        let mut channels = self.0.lock();
        if channels.len() < CHANNELS_MAX {
            channels.insert(channel, owner.clone());
        }
    }

    fn take(&self) -> FxHashMap<Seq, Originator> {
        std::mem::take(&mut *self.0.lock())
    }
}

impl<S: Store> Outbox<S> {
    /// Ends the pauses of lanes that lead to channels which are polled.
    pub(super) fn resume_polled(&mut self) {
        let channels = self.inbox.polled.take();
        if channels.is_empty() {
            return;
        }
        let now = self.cse.0.clock.now();
        let identity = &self.cse.0.settings.identity;
        let owners: FxHashSet<&Originator> = channels.values().collect();
        for (target, lane) in &mut self.lanes {
            if lane.paused_until.is_none_or(|until| until <= now) {
                continue;
            }
            let is_polled = match lane.channel {
                Some(channel) => channels.contains_key(&channel),
                // It paused before this process began, and the way has not been looked for since.
                None => owners.contains(&identity.canonical_originator(target)),
            };
            if is_polled {
                lane.pause_until(now, target, &mut self.pauses);
            }
        }
    }
}
