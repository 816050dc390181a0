//! What the outbox takes in: from the writer, and from the store.

use std::sync::atomic::Ordering;

use super::handle::Left;
use super::lane::{Lane, Waiting};
use super::{HELD_FROM, HELD_FROM_IN_LANE, LOADED_MAX, Outbox, WAITING_MAX};
use crate::address::Target;
use crate::announce::is_announcement;
use crate::id::Seq;
use crate::ports::{OutboxEntry, Snapshot, Store, StoreError};
use crate::value::Text;

/// Notifications read from the store in one step.
const PAGE: usize = 500;
/// Steps before notifications are sent again.
const PAGES_AT_ONCE: usize = 8;

impl<S: Store> Outbox<S> {
    /// Reads the store until it has no more, or until there is enough in memory, or to do.
    pub(super) async fn catch_up(&mut self) {
        for _ in 0..PAGES_AT_ONCE {
            // What was handed over before is older than what is in the store only.
            while let Ok(left) = self.inbox.receiver.try_recv() {
                self.take_in(left);
            }
            if self.count >= WAITING_MAX {
                return;
            }
            match self.read_page(self.last, PAGE).await {
                Ok(page) if page.is_empty() => {
                    self.inbox.behind.store(false, Ordering::Release);
                    // A commit in between saw the old flag and handed nothing over.
                    match self.read_page(self.last, PAGE).await {
                        Ok(page) if page.is_empty() => return,
                        Ok(page) => {
                            self.inbox.behind.store(true, Ordering::Release);
                            self.take_in_page(page);
                        }
                        Err(error) => return self.reading_failed(&error),
                    }
                }
                Ok(page) => self.take_in_page(page),
                Err(error) => return self.reading_failed(&error),
            }
        }
        // To be gone on with after a look at what can be sent.
        self.inbox.wake.notify_one();
    }

    fn reading_failed(&mut self, error: &StoreError) {
        tracing::error!(%error, "the outbox cannot be read");
        self.inbox.behind.store(true, Ordering::Release);
    }

    async fn read_page(&mut self, after: Seq, limit: usize) -> Result<Vec<OutboxEntry>, StoreError> {
        let mut snapshot = self.cse.0.store.snapshot().await?;
        snapshot.outbox(after, limit).await
    }

    pub(super) fn take_in(&mut self, left: Vec<Left>) {
        for each in left {
            self.take_in_one(each);
        }
    }

    fn take_in_page(&mut self, page: Vec<OutboxEntry>) {
        for entry in page {
            self.take_in_one(Left { entry, hold: None });
        }
    }

    fn take_in_one(&mut self, Left { entry, hold }: Left) {
        if entry.seq <= self.last {
            return;
        }
        self.last = entry.seq;
        if is_announcement(&entry) {
            return;
        }
        let now = self.cse.0.clock.now();
        let bound = self.cse.0.settings.notifications_per_target_max;
        let target = entry.target.clone();
        let identity = &self.cse.0.settings.identity;
        let lane = self.lanes.entry(target.clone()).or_insert_with(|| {
            let is_remote = !target.contains("://") && Target::of(&target, identity) == Target::Remote;
            Lane::new(is_remote)
        });
        if entry.attempts > 0 && entry.next_try > now && lane.failures == 0 {
            // It was failing before the restart.
            lane.failures = entry.attempts;
            lane.pause_until(entry.next_try, &target, &mut self.pauses);
        }
        let mut waiting = Waiting::new(entry, lane.is_remote);
        // It would wait for nobody knows how long where nothing arrives.
        let is_piling_up = self.loaded >= HELD_FROM || lane.len() >= HELD_FROM_IN_LANE;
        waiting.hold = hold.filter(|_| is_piling_up && !lane.is_failing());
        if self.loaded >= LOADED_MAX || lane.failures > 0 {
            waiting.content = None;
        }
        self.count += 1;
        self.bytes += waiting.bytes;
        self.loaded += usize::from(waiting.content.is_some());
        let replaced = lane.put(waiting);
        if lane.is_too_long(bound) && !lane.is_to_thin {
            lane.is_to_thin = true;
            self.to_thin.push(target.clone());
        }
        let can_start = !lane.is_resting();
        if let Some(replaced) = replaced {
            self.drop_waiting(&target, &replaced);
        }
        if can_start {
            self.make_ready(&target);
        }
    }

    /// Reads the content of the first notification of a lane, and of others beside it in the store.
    pub(super) async fn read_contents(&mut self, target: &Text, first: Seq) {
        let settings = &self.cse.0.settings;
        let Some(lane) = self.lanes.get(target) else { return };
        let limit = match self.loaded < LOADED_MAX {
            _ if lane.is_failing() => 1,
            true => PAGE,
            false => settings.notification_window.clamp(1, PAGE),
        };
        let page = match self.read_page(Seq(first.0 - 1), limit).await {
            Ok(page) => page,
            Err(error) => return self.cannot_start(target, format!("the notification cannot be read: {error}")),
        };
        if page.first().is_none_or(|entry| entry.seq != first)
            && let Some(gone) = self.lanes.get_mut(target).and_then(|lane| lane.take_first())
        {
            self.drop_waiting(target, &gone);
        }
        for entry in page {
            let is_own = entry.target == *target;
            let lane = self.lanes.get_mut(&entry.target).filter(|lane| is_own || !lane.is_failing());
            if let Some(lane) = lane.filter(|_| is_own || self.loaded < LOADED_MAX) {
                self.loaded += usize::from(lane.fill(entry.seq, entry.content));
            }
        }
    }
}
