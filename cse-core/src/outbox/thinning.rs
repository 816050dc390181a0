//! Of what waits, gives up what is too old, what a newer one stands for (`pn`), and what exceeds the bound, by
//! the priorities of the subscriptions (`nsp`).

use rustc_hash::FxHashMap;

use super::{Loss, Outbox};
use crate::behaviour::subscription::Pending;
use crate::id::Seq;
use crate::notify::LATEST;
use crate::ports::Store;
use crate::value::Text;

/// What a subscription says of its notifications that wait.
#[derive(Clone, Copy, Default)]
struct Policy {
    priority: u64,
    latest_only: bool,
}

impl<S: Store> Outbox<S> {
    /// Applies the policies in one lane.
    pub(super) async fn thin(&mut self, target: &Text) {
        let policies = self.policies(target).await;
        let policy = |subscription: Seq| policies.get(&subscription).copied().unwrap_or_default();
        let settings = &self.cse.0.settings;
        let now = self.cse.0.clock.now();
        let Some(lane) = self.lanes.get_mut(target) else { return };
        lane.is_to_thin = false;
        let was_unreachable = std::mem::replace(&mut lane.was_unreachable, lane.failures > 0);
        let mut newest: FxHashMap<Seq, Seq> = FxHashMap::default();
        for waiting in lane.waiting() {
            newest.insert(waiting.subscription, waiting.seq);
        }
        let lifetime = settings.notification_patience(lane.is_remote);
        let too_old = lane.take_where(|waiting| waiting.created.plus(lifetime) <= now);
        let replaced = lane.take_where(|waiting| {
            if !(was_unreachable && policy(waiting.subscription).latest_only) {
                return false;
            }
            waiting.event_category = Some(LATEST);
            newest.get(&waiting.subscription) != Some(&waiting.seq)
        });
        let mut order: Vec<(u64, Seq)> =
            lane.waiting().map(|waiting| (policy(waiting.subscription).priority, waiting.seq)).collect();
        let excess = order.len().saturating_sub(settings.notifications_per_target_max);
        let mut too_many = Vec::new();
        if excess > 0 {
            order.select_nth_unstable(excess - 1);
            order.truncate(excess);
            order.sort_unstable_by_key(|(_, seq)| *seq);
            too_many = lane.take_where(|waiting| order.binary_search_by_key(&waiting.seq, |(_, seq)| *seq).is_ok());
        }
        for (loss, lost) in [(Loss::Age, &too_old), (Loss::Target, &too_many)] {
            loss.count(&self.cse.0.metrics, lost.len());
            // A line for each time of losses: there may be a day of them.
            if !lost.is_empty() && !std::mem::replace(&mut lane.is_losing, true) {
                tracing::warn!(%target, count = lost.len(), reason = loss.name(), "notifications are given up");
            }
        }
        for waiting in too_old.iter().chain(&too_many).chain(&replaced) {
            self.drop_waiting(target, waiting);
        }
        self.make_ready(target);
    }

    async fn policies(&mut self, target: &Text) -> FxHashMap<Seq, Policy> {
        let mut policies = FxHashMap::default();
        let Some(lane) = self.lanes.get(target) else {
            return policies;
        };
        for waiting in lane.waiting() {
            policies.entry(waiting.subscription).or_insert_with(Policy::default);
        }
        let mut view = self.cse.0.view();
        for (subscription, policy) in &mut policies {
            // What cannot be read now has no say now.
            if let Ok(Some(node)) = view.node(*subscription).await
                && let Some(subscription) = node.subscription()
            {
                let (priority, latest_only) = (subscription.storage_priority, subscription.pending == Pending::Latest);
                *policy = Policy { priority, latest_only };
            }
        }
        policies
    }
}
