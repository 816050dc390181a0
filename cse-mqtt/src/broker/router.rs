//! From a topic to those who get the message.
//!
//! Lock order: the registry, then the router, then sessions and links. A session's own list of subscriptions and the
//! router's trie change together, under the router's lock, so that a session that is being removed leaves nothing
//! behind.

use std::sync::Arc;

use parking_lot::RwLock;
use rumqttc::QoS;

use super::Core;
use super::connection::ConnectionShared;
use super::delivery::DeliveryHandle;
use super::filter::TopicFilter;
use super::hold::Hold;
use super::link::{AckToken, Inbound, LinkShared, PublishOutcome, Push};
use super::session::{Message, Offer, Session, Wish};
use super::trie::Trie;

/// Who gets messages.
pub(crate) enum Target {
    Session(Arc<Session>),
    Link(Arc<LinkShared>),
}

/// One subscription.
pub(crate) struct Subscriber {
    pub(crate) target: Target,
    pub(crate) wish: Wish,
}

/// All subscriptions.
pub(crate) struct Router {
    trie: RwLock<Trie<Subscriber>>,
    total_max: usize,
}

/// How a link publishes a message.
pub(crate) struct Published<'a> {
    pub(crate) qos: QoS,
    pub(crate) handle: Option<&'a DeliveryHandle>,
}

impl Router {
    pub(crate) fn new(total_max: usize) -> Self {
        Self { trie: RwLock::new(Trie::new()), total_max }
    }

    /// Number of subscriptions.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn subscriptions(&self) -> usize {
        self.trie.read().len()
    }

    /// Calls `deliver` with the subscribers of `topic`, each once with the highest QoS of its matching subscriptions.
    /// Those of `publisher` that want nothing local are left out.
    pub(crate) fn with_matching<T>(
        &self,
        topic: &str,
        publisher: u64,
        deliver: impl FnOnce(&[(u64, &Subscriber)]) -> T,
    ) -> T {
        let trie = self.trie.read();
        let mut found = Vec::new();
        trie.matching(topic, &mut found);
        found.retain(|(id, subscriber)| !subscriber.wish.no_local || *id != publisher);
        if found.len() > 1 {
            found.sort_unstable_by_key(|(id, subscriber)| (*id, std::cmp::Reverse(subscriber.wish.qos as u8)));
            found.dedup_by_key(|(id, _)| *id);
        }
        deliver(&found)
    }

    /// Subscribes a session; `false` if a limit forbids it or `connection` has lost the session.
    pub(crate) fn subscribe(
        &self,
        session: &Arc<Session>,
        connection: &Arc<ConnectionShared>,
        filter: &TopicFilter,
        wish: Wish,
    ) -> bool {
        let mut trie = self.trie.write();
        let full = trie.len() >= self.total_max && !session.has_subscription(filter);
        if full || !session.subscribe(connection, filter, wish) {
            return false;
        }
        let subscriber = Subscriber { target: Target::Session(Arc::clone(session)), wish };
        trie.insert(filter, session.id, subscriber);
        true
    }

    /// Gives a session from an earlier process a subscription that it had, whatever the limits are now.
    pub(crate) fn resubscribe(&self, session: &Arc<Session>, filter: &TopicFilter, wish: Wish) {
        let subscriber = Subscriber { target: Target::Session(Arc::clone(session)), wish };
        self.trie.write().insert(filter, session.id, subscriber);
    }

    /// Ends one subscription of a session; `false` if there was none.
    pub(crate) fn unsubscribe(&self, session: &Session, filter: &TopicFilter) -> bool {
        let mut trie = self.trie.write();
        let existed = session.unsubscribe(filter);
        if existed {
            trie.remove(filter, session.id);
        }
        existed
    }

    /// Links take whatever QoS the publisher used: the acknowledgement is theirs to give.
    pub(crate) fn subscribe_link(&self, link: &Arc<LinkShared>, filter: &TopicFilter) {
        // What it has published itself is no news, and must not look as if somebody had received it.
        let wish = Wish { qos: QoS::ExactlyOnce, no_local: true };
        let subscriber = Subscriber { target: Target::Link(Arc::clone(link)), wish };
        self.trie.write().insert(filter, link.id, subscriber);
    }

    /// Ends subscriptions of one subscriber.
    pub(crate) fn remove(&self, subscriber: u64, filters: &[TopicFilter]) {
        let mut trie = self.trie.write();
        for filter in filters {
            trie.remove(filter, subscriber);
        }
    }

    /// Ends a session and all its subscriptions.
    pub(crate) fn remove_session(&self, session: &Session) -> Option<Arc<ConnectionShared>> {
        let mut trie = self.trie.write();
        let (filters, connection) = session.remove();
        for filter in &filters {
            trie.remove(filter, session.id);
        }
        connection
    }
}

pub(crate) fn lower(one: QoS, other: QoS) -> QoS {
    if one < other { one } else { other }
}

impl Core {
    /// Gives a message to one session and counts what it could not take.
    pub(crate) fn offer(
        &self,
        session: &Session,
        message: &Message,
        qos: QoS,
        handle: Option<&DeliveryHandle>,
        hold: Option<Hold>,
    ) -> Offer {
        let offer = session.offer(self, message, qos, handle.map(DeliveryHandle::guard), hold);
        let counter = match offer {
            Offer::Queued => return offer,
            Offer::Offline => &self.stats.dropped_offline,
            Offer::QueueFull => &self.stats.dropped_queue_full,
            Offer::MemoryFull => &self.stats.dropped_memory_full,
        };
        counter.increment();
        offer
    }

    pub(crate) fn publish_from_link(
        &self,
        publisher: &LinkShared,
        message: &Message,
        published: Published<'_>,
    ) -> PublishOutcome {
        let Published { qos, handle } = published;
        self.router.with_matching(&message.topic, publisher.id, |subscribers| {
            let mut outcome = PublishOutcome::default();
            for (_, subscriber) in subscribers {
                let taken = match &subscriber.target {
                    Target::Session(session) => {
                        let qos = lower(qos, subscriber.wish.qos);
                        let hold = handle.filter(|_| session.promises(qos)).map(DeliveryHandle::hold);
                        self.offer(session, message, qos, handle, hold) == Offer::Queued
                    }
                    Target::Link(link) => {
                        let inbound = Inbound {
                            topic: Arc::clone(&message.topic),
                            payload: message.payload.clone(),
                            qos,
                            dup: false,
                            publisher: Arc::clone(&publisher.client),
                            ack: AckToken::delivery(handle.map(DeliveryHandle::guard)),
                        };
                        let taken = match link.take_at_once(inbound) {
                            Some(inbound) => matches!(link.push(inbound, None), Push::Taken),
                            None => true,
                        };
                        let counter = if taken { &self.stats.link_deliveries } else { &self.stats.dropped_link_full };
                        counter.increment();
                        taken
                    }
                };
                if taken {
                    outcome.matched += 1;
                } else {
                    outcome.refused += 1;
                }
            }
            outcome
        })
    }
}
