//! Rights that change while clients are connected: subscriptions that are withdrawn, and clients that will not take no
//! for an answer.

use std::sync::Arc;

use tokio::time::Instant;

use super::limits::Limits;
use super::policy::Client;
use super::session::Session;
use super::{Broker, Core};

impl Broker {
    /// Asks the policy again about the subscriptions of clients, connected or not, as when rights have ended. Those it
    /// denies now are withdrawn; the clients are not told, and what waits for them stays.
    ///
    /// The policy must decide by the new rights already: what is subscribed to meanwhile is asked for twice.
    pub fn review(&self, concerned: impl Fn(&Client) -> bool) {
        for session in self.core.all_sessions() {
            if concerned(&session.client()) {
                self.core.review(&session);
            }
        }
    }
}

impl Core {
    /// Withdraws the subscriptions of a session that the policy denies now.
    pub(crate) fn review(&self, session: &Arc<Session>) {
        let client = session.client();
        for filter in session.filters() {
            if !self.policy.may_subscribe(&client, filter.as_str()) && self.router.unsubscribe(session, &filter) {
                self.stats.subscriptions_withdrawn.increment();
            }
        }
    }
}

/// How often a connection was denied to publish lately.
#[derive(Debug)]
pub(crate) struct Denials {
    since: Instant,
    count: usize,
}

impl Denials {
    pub(crate) fn new() -> Self {
        Self { since: Instant::now(), count: 0 }
    }

    /// Notes a denial; `true` if the connection is to be closed for it.
    pub(crate) fn note(&mut self, limits: &Limits, now: Instant) -> bool {
        if now.saturating_duration_since(self.since) >= limits.denied_publishes_window {
            *self = Self { since: now, count: 0 };
        }
        self.count += 1;
        limits.denied_publishes_max > 0 && self.count > limits.denied_publishes_max
    }
}
