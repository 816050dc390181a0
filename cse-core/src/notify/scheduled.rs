//! Notifications outside the schedule of their subscription (TS-0001 §9.6.9, `pn` in §9.6.8): they wait for the next time
//! that is inside, only the newest waits, or none does, as the subscription says.

use std::sync::Arc;

use super::policies::AGGREGATED_MAX;
use super::{LATEST, single};
use crate::behaviour::schedule::Window;
use crate::behaviour::subscription::{Pending, Subscription};
use crate::error::Error;
use crate::node::Node;
use crate::overlay::Effects;
use crate::ports::DeadlineKind;
use crate::value::Map;
use crate::view::{Source, View};

impl<Q: Source> View<'_, Q> {
    /// What the schedule of a subscription says of this moment. Notifications that it wants at once have none.
    pub(super) async fn notification_window(
        &mut self,
        node: &Node,
        subscription: &Subscription,
    ) -> Result<Window, Error> {
        if subscription.is_immediate() { Ok(Window::Open) } else { self.window_of(node).await }
    }

    /// Keeps an event for later, as far as the subscription wants that. Of one whose resource goes nothing can be sent
    /// later.
    pub(super) async fn withhold(
        &mut self,
        node: &Arc<Node>,
        subscription: &Subscription,
        window: Window,
        sgn: Map,
        is_last: bool,
        effects: &mut Effects,
    ) -> Result<(), Error> {
        if is_last || subscription.pending == Pending::Discard {
            return Ok(());
        }
        let mut held = self.held_count(node.seq, effects).await?;
        while held > 0 && subscription.pending == Pending::Latest {
            let taken = self.take_held(node.seq, AGGREGATED_MAX, effects).await?.len() as u64;
            held = if taken == 0 { 0 } else { held.saturating_sub(taken) };
        }
        self.hold_within_bound(node.seq, sgn, held, effects).await?;
        self.await_opening(node, window, effects);
        Ok(())
    }

    /// Has the writer come back when the schedule lets notifications out again.
    pub(super) fn await_opening(&mut self, node: &Node, window: Window, effects: &mut Effects) {
        if let Window::Closed { until: Some(until) } = window {
            self.set_deadline(DeadlineKind::Schedule, node.seq, until, effects);
        }
    }

    /// The schedule may let out what waits.
    pub(crate) async fn schedule_due(&mut self, node: &Arc<Node>, effects: &mut Effects) -> Result<(), Error> {
        self.clear_deadline(DeadlineKind::Schedule, node.seq, effects);
        let Some(subscription) = node.subscription().cloned() else {
            return Ok(());
        };
        let window = self.notification_window(node, &subscription).await?;
        if !window.is_open() {
            if self.held_count(node.seq, effects).await? > 0 {
                self.await_opening(node, window, effects);
            }
            return Ok(());
        }
        if subscription.batch.is_some() {
            self.send_batch(node, &subscription, effects).await?;
            return self.remove_exhausted(effects).await;
        }
        if subscription.pending == Pending::Latest && self.held_count(node.seq, effects).await? == 1 {
            for held in self.take_held(node.seq, 1, effects).await? {
                let content = single(Map::clone(&held.notification));
                self.send(node, &subscription, content, Some(LATEST), effects).await?;
            }
            return self.remove_exhausted(effects).await;
        }
        self.next_rate_window(node, effects).await
    }
}
