//! When a notification goes out: batches, rate limits, the expiration counter (TS-0001 §10.2.10.7 and after).

use std::sync::Arc;

use super::pacing::Admission;
use super::{LATEST, single};
use crate::behaviour::subscription::{self, Batch, RateLimit, Subscription};
use crate::error::Error;
use crate::id::Seq;
use crate::node::Node;
use crate::overlay::Effects;
use crate::ports::{Deadline, DeadlineKind, Held, Snapshot};
use crate::resource::Resource;
use crate::schema::keys;
use crate::value::{Map, Value};
use crate::view::{Source, View, failed};

/// Most events in one aggregated notification; a larger `num` has no further effect.
pub(super) const AGGREGATED_MAX: usize = 1_000;
/// Most events of one subscription that a rate limit holds back.
const HELD_MAX: usize = 10_000;

impl<Q: Source> View<'_, Q> {
    /// Counts an event and lets the policies of the subscription decide when it goes out: at once if it is the last.
    pub(super) async fn dispose(
        &mut self,
        node: &Arc<Node>,
        sgn: Map,
        is_last: bool,
        effects: &mut Effects,
    ) -> Result<(), Error> {
        let Some(subscription) = node.subscription().cloned() else {
            return Ok(());
        };
        if subscription.statistics {
            let mut resource = Resource::clone(&effects.current(node.seq).unwrap_or(node).resource);
            for target in &subscription.targets {
                subscription::count(&mut resource.attributes, target, keys::NOTIFICATION_EVENT_COUNT, 1);
            }
            effects.update(Arc::new(node.counted(resource)));
        }
        let window = self.notification_window(node, &subscription).await?;
        if !window.is_open() {
            return self.withhold(node, &subscription, window, sgn, is_last, effects).await;
        }
        if is_last {
            self.hold(node.seq, sgn, effects)?;
            return self.release_everything(node, &subscription, effects).await;
        }
        if let Some(batch) = subscription.batch {
            return self.add_to_batch(node, &subscription, batch, sgn, effects).await;
        }
        if let Some(limit) = subscription.rate_limit {
            // What is held already goes first.
            let held = self.held_count(node.seq, effects).await?;
            let admission = if held == 0 { self.admit(node.seq, limit) } else { Admission::Later(self.now) };
            if let Admission::Later(at) = admission {
                if held == 0 {
                    self.set_deadline(DeadlineKind::RateWindow, node.seq, at, effects);
                }
                return self.hold_within_bound(node.seq, sgn, held, effects).await;
            }
        }
        self.send(node, &subscription, single(sgn), subscription.event_category, effects).await
    }

    fn admit(&mut self, seq: Seq, limit: RateLimit) -> Admission {
        let now = self.now;
        self.source.pacing().map_or(Admission::Now, |pacing| pacing.admit(seq, limit, now))
    }

    pub(super) fn set_deadline(
        &mut self,
        kind: DeadlineKind,
        resource: Seq,
        at: crate::time::Timestamp,
        effects: &mut Effects,
    ) {
        effects.deadlines_clear.retain(|cleared| *cleared != (kind, resource));
        effects.deadlines_set.push(Deadline { kind, resource, at });
    }

    pub(super) fn clear_deadline(&mut self, kind: DeadlineKind, resource: Seq, effects: &mut Effects) {
        effects.deadlines_set.retain(|set| (set.kind, set.resource) != (kind, resource));
        effects.deadlines_clear.push((kind, resource));
    }

    async fn add_to_batch(
        &mut self,
        node: &Arc<Node>,
        subscription: &Subscription,
        batch: Batch,
        sgn: Map,
        effects: &mut Effects,
    ) -> Result<(), Error> {
        let held = self.held_count(node.seq, effects).await?;
        self.hold_within_bound(node.seq, sgn, held, effects).await?;
        let number = batch.number.unwrap_or(u64::MAX).min(AGGREGATED_MAX as u64);
        if held + 1 >= number {
            return self.send_batch(node, subscription, effects).await;
        }
        if held == 0 {
            let at = self.now.plus(batch.duration.unwrap_or(subscription::BATCH_DURATION_DEFAULT));
            self.set_deadline(DeadlineKind::Batch, node.seq, at, effects);
        }
        Ok(())
    }

    /// Holds an event back; of too many, the oldest are dropped.
    pub(super) async fn hold_within_bound(
        &mut self,
        seq: Seq,
        sgn: Map,
        held: u64,
        effects: &mut Effects,
    ) -> Result<(), Error> {
        let max = self.settings.notifications_per_target_max.clamp(AGGREGATED_MAX, HELD_MAX);
        if held >= max as u64 {
            // Several at once, so that not each event has to look for the oldest.
            let dropped = self.take_held(seq, max / 8, effects).await?;
            self.source.notifications_dropped(dropped.len());
        }
        self.hold(seq, sgn, effects)
    }

    pub(super) fn hold(&mut self, seq: Seq, sgn: Map, effects: &mut Effects) -> Result<(), Error> {
        let number = self.source.next_number()?;
        effects.held.push(Held { seq: number, subscription: seq, notification: Arc::new(sgn), at: self.now });
        if let Some(pacing) = self.source.pacing()
            && let Some(count) = pacing.held(seq)
        {
            pacing.set_held(seq, count + 1);
        }
        Ok(())
    }

    pub(super) async fn held_count(&mut self, seq: Seq, effects: &Effects) -> Result<u64, Error> {
        if let Some(known) = self.source.pacing().and_then(|pacing| pacing.held(seq)) {
            return Ok(known);
        }
        let stored = self.source.settled().await.map_err(failed)?.held_count(seq).await.map_err(failed)?;
        let count = stored + effects.held.iter().filter(|held| held.subscription == seq).count() as u64;
        if let Some(pacing) = self.source.pacing() {
            pacing.set_held(seq, count);
        }
        Ok(count)
    }

    /// Up to `limit` held events of a subscription or group, oldest first.
    pub(super) async fn held(&mut self, seq: Seq, limit: usize, effects: &Effects) -> Result<Vec<Held>, Error> {
        // What these effects take already is still in the store.
        let reading = limit + effects.held_delete.len();
        let stored = self.source.settled().await.map_err(failed)?.held(seq, reading).await.map_err(failed)?;
        let stored = stored.into_iter().filter(|held| !effects.held_delete.contains(&held.seq));
        let new = effects.held.iter().filter(|held| held.subscription == seq).cloned();
        Ok(stored.chain(new).take(limit).collect())
    }

    /// Takes held events out.
    pub(super) fn release(&mut self, seq: Seq, taken: &[Held], effects: &mut Effects) {
        let is_taken = |held: &Held| taken.iter().any(|taken| taken.seq == held.seq);
        let new_before = effects.held.len();
        effects.held.retain(|held| held.subscription != seq || !is_taken(held));
        if new_before - effects.held.len() < taken.len() {
            effects.held_delete.extend(taken.iter().map(|held| held.seq));
        }
        if let Some(pacing) = self.source.pacing()
            && let Some(count) = pacing.held(seq)
        {
            pacing.set_held(seq, count.saturating_sub(taken.len() as u64));
        }
    }

    pub(super) async fn take_held(
        &mut self,
        seq: Seq,
        limit: usize,
        effects: &mut Effects,
    ) -> Result<Vec<Held>, Error> {
        let taken = self.held(seq, limit, effects).await?;
        self.release(seq, &taken, effects);
        Ok(taken)
    }

    /// Sends what is held as one notification, when the rate limit admits it.
    pub(super) async fn send_batch(
        &mut self,
        node: &Arc<Node>,
        subscription: &Subscription,
        effects: &mut Effects,
    ) -> Result<(), Error> {
        let window = self.notification_window(node, subscription).await?;
        if !window.is_open() {
            self.clear_deadline(DeadlineKind::Batch, node.seq, effects);
            self.await_opening(node, window, effects);
            return Ok(());
        }
        if let Some(limit) = subscription.rate_limit
            && let Admission::Later(at) = self.admit(node.seq, limit)
        {
            self.clear_deadline(DeadlineKind::Batch, node.seq, effects);
            self.set_deadline(DeadlineKind::RateWindow, node.seq, at, effects);
            return Ok(());
        }
        self.send_held_together(node, subscription, effects).await
    }

    async fn send_held_together(
        &mut self,
        node: &Arc<Node>,
        subscription: &Subscription,
        effects: &mut Effects,
    ) -> Result<(), Error> {
        let mut taken = self.take_held(node.seq, AGGREGATED_MAX, effects).await?;
        self.clear_deadline(DeadlineKind::Batch, node.seq, effects);
        if subscription.latest_only {
            taken.drain(..taken.len().saturating_sub(1));
        }
        if taken.is_empty() {
            return Ok(());
        }
        let content = aggregated(taken.iter().map(|held| Map::clone(&held.notification)));
        self.send(node, subscription, content, subscription.event_category, effects).await
    }

    /// Sends all held events now, whatever the policies say.
    async fn release_everything(
        &mut self,
        node: &Arc<Node>,
        subscription: &Subscription,
        effects: &mut Effects,
    ) -> Result<(), Error> {
        if subscription.batch.is_some() {
            return self.send_held_together(node, subscription, effects).await;
        }
        for held in self.take_held(node.seq, AGGREGATED_MAX, effects).await? {
            let content = single(Map::clone(&held.notification));
            self.send(node, subscription, content, subscription.event_category, effects).await?;
        }
        Ok(())
    }

    /// The time of a batch is over.
    pub(crate) async fn batch_due(&mut self, node: &Arc<Node>, effects: &mut Effects) -> Result<(), Error> {
        self.clear_deadline(DeadlineKind::Batch, node.seq, effects);
        match node.subscription().cloned() {
            Some(subscription) if subscription.batch.is_some() => {
                self.send_batch(node, &subscription, effects).await?;
            }
            // An update took the policy away.
            Some(subscription) => self.release_everything(node, &subscription, effects).await?,
            None => self.collection_due(node, effects).await?,
        }
        self.remove_exhausted(effects).await
    }

    /// A rate window has ended: as many held events go out as the next one admits.
    pub(crate) async fn next_rate_window(&mut self, node: &Arc<Node>, effects: &mut Effects) -> Result<(), Error> {
        self.clear_deadline(DeadlineKind::RateWindow, node.seq, effects);
        let Some(subscription) = node.subscription().cloned() else {
            return Ok(());
        };
        let window = self.notification_window(node, &subscription).await?;
        if !window.is_open() {
            self.await_opening(node, window, effects);
            return Ok(());
        }
        match subscription.rate_limit {
            Some(limit) if subscription.batch.is_none() => {
                let mut held = self.held_count(node.seq, effects).await?;
                while held > 0 && !effects.exhausts(node.seq) {
                    if let Admission::Later(at) = self.admit(node.seq, limit) {
                        self.set_deadline(DeadlineKind::RateWindow, node.seq, at, effects);
                        break;
                    }
                    for event in self.take_held(node.seq, 1, effects).await? {
                        let content = single(Map::clone(&event.notification));
                        self.send(node, &subscription, content, subscription.event_category, effects).await?;
                    }
                    held -= 1;
                }
            }
            Some(_) => self.send_batch(node, &subscription, effects).await?,
            None => {
                self.release_everything(node, &subscription, effects).await?;
                if self.held_count(node.seq, effects).await? > 0 {
                    self.set_deadline(DeadlineKind::RateWindow, node.seq, self.now, effects);
                }
            }
        }
        self.remove_exhausted(effects).await
    }

    /// Sends to all targets, and counts that towards the end of the subscription (`exc`).
    pub(super) async fn send(
        &mut self,
        node: &Arc<Node>,
        subscription: &Subscription,
        content: Map,
        category: Option<u32>,
        effects: &mut Effects,
    ) -> Result<(), Error> {
        if effects.exhausts(node.seq) {
            return Ok(());
        }
        let category = if subscription.latest_only { Some(LATEST) } else { category };
        let content = Arc::new(content);
        for target in &subscription.targets {
            let collector = match subscription.forwarding {
                Some(_) => self.collecting_group(target).await?,
                None => None,
            };
            match collector {
                Some(group) => self.collect(&group, node, &content, effects).await?,
                None => self.enqueue(node.seq, target.clone(), Arc::clone(&content), category, effects),
            }
        }
        let current = Arc::clone(effects.current(node.seq).unwrap_or(node));
        if let Some(counter) = current.attributes.unsigned(keys::EXPIRATION_COUNTER) {
            let remaining = counter.saturating_sub(1);
            let mut resource = Resource::clone(&current.resource);
            resource.attributes.insert(keys::EXPIRATION_COUNTER, remaining);
            let counted = Arc::new(current.counted(resource));
            effects.update(Arc::clone(&counted));
            if remaining == 0 {
                effects.exhausted.push(counted);
            }
        }
        Ok(())
    }
}

/// The content of a NOTIFY with several notifications.
pub(super) fn aggregated(notifications: impl Iterator<Item = Map>) -> Map {
    Map::single("m2m:agn", Map::single("m2m:sgn", Value::List(notifications.map(Value::Map).collect())))
}
