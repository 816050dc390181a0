//! From an event to what is sent: which subscriptions it concerns, what their policies make of it, and what goes
//! to the outbox (TS-0004 §7.5.1.2).

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use lru::LruCache;

use crate::access::authorize::Requester;
use crate::access::policy::Access;
use crate::behaviour::subscription::{self, ContentType, EventType, RateLimit, Subscription};
use crate::content;
use crate::error::Error;
use crate::id::{CseIdentity, Seq};
use crate::node::Node;
use crate::overlay::{Effects, Gone};
use crate::ports::{Deadline, DeadlineKind, Held, OutboxEntry, Snapshot};
use crate::primitive::Operation;
use crate::resource::Resource;
use crate::schema::{Ty, keys};
use crate::time::Timestamp;
use crate::value::{Map, Name, Text, Value};
use crate::view::{Source, View, failed};

/// `ec` of a notification of which only the newest counts.
const LATEST: u32 = 4;
/// Held events that go out in one aggregated notification.
const HELD_MAX: usize = 1_000;

/// Something that happened to a resource.
pub(crate) struct Happening<'a> {
    pub(crate) event: EventType,
    /// The resource that the event is about: the one that has subscriptions, or its child.
    pub(crate) subject: &'a Arc<Node>,
    /// The attributes that an update named, with their new values.
    pub(crate) modified: Option<&'a Map>,
}

/// A single notification (the value of `m2m:sgn`).
pub(crate) fn notification(identity: &CseIdentity, subscription: &Node, event: EventType, representation: Map) -> Map {
    let mut nev = Map::with_capacity(2);
    nev.push(Name::new_static("rep"), representation);
    nev.push(Name::new_static("net"), i64::from(event.code()));
    with_event(identity, subscription, nev)
}

fn with_event(identity: &CseIdentity, subscription: &Node, nev: Map) -> Map {
    let mut sgn = Map::with_capacity(3);
    sgn.push(Name::new_static("nev"), nev);
    sgn.push(Name::new_static("sur"), identity.sp_relative(&subscription.id));
    if let Some(forwarding) = subscription.subscription().and_then(|sub| sub.forwarding.clone()) {
        sgn.push(Name::new_static("nfu"), forwarding);
    }
    sgn
}

/// The content of a NOTIFY with one notification.
pub(crate) fn single(notification: Map) -> Map {
    Map::single(Name::new_static("m2m:sgn"), notification)
}

impl<Q: Source> View<'_, Q> {
    /// Tells the subscriptions of a resource what happened.
    pub(crate) async fn notify(
        &mut self,
        subscribed: &Node,
        happening: &Happening<'_>,
        effects: &mut Effects,
    ) -> Result<(), Error> {
        let subscriptions = self.subscriptions(subscribed).await?;
        for node in subscriptions.iter() {
            let node = effects.current(node.seq).unwrap_or(node);
            let is_usable = !effects.deletes(node.seq) && !node.is_expired(self.now);
            let Some(subscription) = node.subscription().filter(|_| is_usable) else {
                continue;
            };
            if subscription.matches(happening.event, happening.subject, happening.modified) {
                let node = Arc::clone(node);
                let representation = self.representation(&node, happening);
                let sgn = notification(self.identity(), &node, happening.event, representation);
                self.dispose(&node, sgn, effects).await?;
            }
        }
        Ok(())
    }

    fn representation(&self, node: &Node, happening: &Happening<'_>) -> Map {
        let subject = happening.subject;
        let content_type = node.subscription().map_or(ContentType::AllAttributes, |sub| sub.content_type);
        match (content_type, happening.modified) {
            (ContentType::ModifiedAttributes, Some(modified)) => {
                Map::single(Name::new_static(content::root_of(subject)), modified.clone())
            }
            (ContentType::ResourceId, _) => {
                Map::single(Name::new_static("m2m:uri"), self.identity().sp_relative(&subject.id))
            }
            _ => content::representation(subject, self.now),
        }
    }

    /// Tells the subscriptions that monitor access that somebody tried.
    pub(crate) async fn notify_of_attempt(
        &mut self,
        node: &Arc<Node>,
        requester: &Requester,
        operation: Operation,
        effects: &mut Effects,
    ) -> Result<(), Error> {
        let access = Access::from(operation);
        let subscriptions = self.subscriptions(node).await?;
        for sub in subscriptions.iter() {
            let sub = effects.current(sub.seq).unwrap_or(sub);
            let is_usable = !effects.deletes(sub.seq) && !sub.is_expired(self.now);
            let Some(subscription) = sub.subscription().filter(|_| is_usable) else {
                continue;
            };
            if subscription.monitors(&requester.originator, access) {
                let sub = Arc::clone(sub);
                let mut om = Map::single("op", operation as i64);
                om.push("or", &requester.originator);
                let mut nev = Map::single("rep", content::representation(node, self.now));
                nev.push("om", om);
                let sgn = with_event(self.identity(), &sub, nev);
                self.dispose(&sub, sgn, effects).await?;
            }
        }
        Ok(())
    }

    /// A new subscription may ask for events before it (`psn`): the newest instances that are there.
    pub(crate) async fn notify_of_the_past(
        &mut self,
        subscribed: &Arc<Node>,
        node: &Arc<Node>,
        effects: &mut Effects,
    ) -> Result<(), Error> {
        let wanted = node.attributes.unsigned(keys::PRE_SUBSCRIPTION_NOTIFY).unwrap_or(0);
        let Some(subscription) = node.subscription() else {
            return Ok(());
        };
        if wanted == 0 || subscribed.ty != Ty::CONTAINER || !subscription.wants(EventType::CreateOfDirectChild) {
            return Ok(());
        }
        let wanted = usize::try_from(wanted).unwrap_or(usize::MAX).min(HELD_MAX);
        let mut past = std::collections::VecDeque::new();
        let mut after = Seq::START;
        loop {
            let page = self.children(subscribed, &[Ty::CONTENT_INSTANCE], after, HELD_MAX).await?;
            let Some(last) = page.last() else { break };
            after = last.seq;
            let full = page.len() == HELD_MAX;
            for instance in page {
                if past.len() == wanted {
                    past.pop_front();
                }
                past.push_back(instance);
            }
            if !full {
                break;
            }
        }
        for instance in past {
            let node = effects.current(node.seq).map_or_else(|| Arc::clone(node), Arc::clone);
            let event = EventType::CreateOfDirectChild;
            if !effects.deletes(node.seq) && subscription.matches(event, &instance, None) {
                let happening = Happening { event, subject: &instance, modified: None };
                let representation = self.representation(&node, &happening);
                let sgn = notification(self.identity(), &node, event, representation);
                self.dispose(&node, sgn, effects).await?;
            }
        }
        Ok(())
    }

    /// A subscription goes: its subscriber is told, held events are dropped.
    pub(crate) async fn notify_of_subscription_deletion(
        &mut self,
        node: &Node,
        effects: &mut Effects,
    ) -> Result<(), Error> {
        effects.deadlines_clear.push((DeadlineKind::Batch, node.seq));
        effects.deadlines_clear.push((DeadlineKind::RateWindow, node.seq));
        if let Some(subscriber) = node.subscription().and_then(|sub| sub.subscriber.clone()) {
            let mut sgn = Map::single(Name::new_static("sud"), true);
            sgn.push(Name::new_static("sur"), self.identity().sp_relative(&node.id));
            let content = Arc::new(single(sgn));
            self.enqueue(node.seq, subscriber, content, None, effects)?;
        }
        Ok(())
    }

    /// Counts an event and lets the policies of the subscription decide when it goes out.
    async fn dispose(&mut self, node: &Arc<Node>, sgn: Map, effects: &mut Effects) -> Result<(), Error> {
        let Some(subscription) = node.subscription() else {
            return Ok(());
        };
        let mut changed: Option<Resource> = None;
        let remaining = subscription.expiration_counter.map(|counter| counter.saturating_sub(1));
        if let Some(remaining) = remaining {
            let resource = changed.get_or_insert_with(|| Resource::clone(&node.resource));
            resource.attributes.insert(keys::EXPIRATION_COUNTER, remaining);
        }
        if subscription.statistics {
            let resource = changed.get_or_insert_with(|| Resource::clone(&node.resource));
            for target in &subscription.targets {
                subscription::count(&mut resource.attributes, target, keys::NOTIFICATION_EVENT_COUNT, 1);
            }
        }
        if let Some(resource) = changed {
            effects.update(Arc::new(node.changed(resource, self.identity())));
        }
        self.schedule(node.seq, subscription, sgn, effects).await?;
        if remaining == Some(0) {
            self.release_held(node, effects, usize::MAX).await?;
            effects.deleted.push(Gone::of(node));
            self.notify_of_subscription_deletion(node, effects).await?;
        }
        Ok(())
    }

    async fn schedule(
        &mut self,
        seq: Seq,
        subscription: &Subscription,
        sgn: Map,
        effects: &mut Effects,
    ) -> Result<(), Error> {
        if let Some(batch) = subscription.batch {
            let held = self.held_count(seq, effects).await?;
            self.hold(seq, sgn, effects)?;
            if batch.number.is_some_and(|number| held + 1 >= number) {
                return self.send_batch(seq, subscription, effects).await;
            }
            if held == 0
                && let Some(duration) = batch.duration
            {
                let at = self.now.plus(duration);
                effects.deadlines_set.push(Deadline { kind: DeadlineKind::Batch, resource: seq, at });
            }
            return Ok(());
        }
        if let Some(limit) = subscription.rate_limit {
            match self.source.admit(seq, limit, self.now) {
                Admission::Now => {}
                Admission::Later(at) => {
                    effects.deadlines_set.push(Deadline { kind: DeadlineKind::RateWindow, resource: seq, at });
                    return self.hold(seq, sgn, effects);
                }
            }
        }
        self.send(seq, subscription, single(sgn), subscription.event_category, effects)
    }

    fn hold(&mut self, seq: Seq, sgn: Map, effects: &mut Effects) -> Result<(), Error> {
        let number = self.source.next_number()?;
        let held = Held { seq: number, subscription: seq, notification: Arc::new(sgn), at: self.now };
        effects.held.push(held);
        Ok(())
    }

    async fn held_count(&mut self, seq: Seq, effects: &Effects) -> Result<u64, Error> {
        let stored = self.source.settled().await.map_err(failed)?.held_count(seq).await.map_err(failed)?;
        Ok(stored + effects.held.iter().filter(|held| held.subscription == seq).count() as u64)
    }

    /// Takes up to `limit` held events of a subscription, oldest first.
    async fn take_held(&mut self, seq: Seq, limit: usize, effects: &mut Effects) -> Result<Vec<Arc<Map>>, Error> {
        let limit = limit.min(HELD_MAX);
        let stored = self.source.settled().await.map_err(failed)?.held(seq, limit).await.map_err(failed)?;
        let mut taken = Vec::with_capacity(stored.len());
        for held in stored {
            if !effects.held_delete.contains(&held.seq) {
                effects.held_delete.push(held.seq);
                taken.push(held.notification);
            }
        }
        effects.held.retain(|held| {
            let take = held.subscription == seq && taken.len() < limit;
            if take {
                taken.push(Arc::clone(&held.notification));
            }
            !take
        });
        Ok(taken)
    }

    async fn send_batch(&mut self, seq: Seq, subscription: &Subscription, effects: &mut Effects) -> Result<(), Error> {
        let mut taken = self.take_held(seq, HELD_MAX, effects).await?;
        effects.deadlines_clear.push((DeadlineKind::Batch, seq));
        let mut category = subscription.event_category;
        if subscription.latest_only {
            taken.drain(..taken.len().saturating_sub(1));
            category = Some(LATEST);
        }
        if taken.is_empty() {
            return Ok(());
        }
        let list = taken.into_iter().map(|sgn| Value::Map(Map::clone(&sgn))).collect();
        let content = Map::single("m2m:agn", Map::single("m2m:sgn", Value::List(list)));
        self.send(seq, subscription, content, category, effects)
    }

    /// Sends held events: as a batch where the subscription wants batches, one by one else.
    pub(crate) async fn release_held(
        &mut self,
        node: &Arc<Node>,
        effects: &mut Effects,
        limit: usize,
    ) -> Result<(), Error> {
        let Some(subscription) = node.subscription() else {
            return Ok(());
        };
        if subscription.batch.is_some() {
            return self.send_batch(node.seq, subscription, effects).await;
        }
        for sgn in self.take_held(node.seq, limit, effects).await? {
            let content = single(Map::clone(&sgn));
            self.send(node.seq, subscription, content, subscription.event_category, effects)?;
        }
        Ok(())
    }

    /// A rate window has ended: as many held events go out as the next one admits.
    pub(crate) async fn next_rate_window(&mut self, node: &Arc<Node>, effects: &mut Effects) -> Result<(), Error> {
        effects.deadlines_clear.push((DeadlineKind::RateWindow, node.seq));
        let Some(subscription) = node.subscription() else {
            return Ok(());
        };
        let Some(limit) = subscription.rate_limit else {
            return self.release_held(node, effects, usize::MAX).await;
        };
        let held = self.held_count(node.seq, effects).await?;
        for _ in 0..held.min(HELD_MAX as u64) {
            match self.source.admit(node.seq, limit, self.now) {
                Admission::Now => self.release_held(node, effects, 1).await?,
                Admission::Later(at) => {
                    effects.deadlines_clear.pop();
                    effects.deadlines_set.push(Deadline { kind: DeadlineKind::RateWindow, resource: node.seq, at });
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn send(
        &mut self,
        seq: Seq,
        subscription: &Subscription,
        content: Map,
        category: Option<u32>,
        effects: &mut Effects,
    ) -> Result<(), Error> {
        let category = if subscription.latest_only { Some(LATEST) } else { category };
        let content = Arc::new(content);
        for target in &subscription.targets {
            self.enqueue(seq, target.clone(), Arc::clone(&content), category, effects)?;
        }
        Ok(())
    }

    fn enqueue(
        &mut self,
        subscription: Seq,
        target: Text,
        content: Arc<Map>,
        event_category: Option<u32>,
        effects: &mut Effects,
    ) -> Result<(), Error> {
        let seq = self.source.next_number()?;
        let (created, next_try) = (self.now, self.now);
        effects.outbox.push(OutboxEntry {
            seq,
            subscription,
            target,
            content,
            event_category,
            created,
            next_try,
            attempts: 0,
        });
        Ok(())
    }
}

/// Whether a notification fits in a rate window.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Admission {
    /// Yes.
    Now,
    /// No; the next window begins then.
    Later(Timestamp),
}

/// The current rate windows of subscriptions. After a restart each begins anew.
pub(crate) struct Rates(LruCache<Seq, (Timestamp, u64), rustc_hash::FxBuildHasher>);

/// Subscriptions whose rate window is remembered.
const RATES_MAX: usize = 10_000;

impl Rates {
    pub(crate) fn new() -> Self {
        let capacity = NonZeroUsize::new(RATES_MAX).unwrap_or(NonZeroUsize::MIN);
        Self(LruCache::with_hasher(capacity, rustc_hash::FxBuildHasher))
    }

    pub(crate) fn admit(&mut self, subscription: Seq, limit: RateLimit, now: Timestamp) -> Admission {
        // A window of no length would never end.
        let length = limit.window.max(Duration::from_millis(1));
        let entry = self.0.get_or_insert_mut(subscription, || (now, 0));
        if now >= entry.0.plus(length) {
            *entry = (now, 0);
        }
        if entry.1 < limit.number {
            entry.1 += 1;
            return Admission::Now;
        }
        Admission::Later(entry.0.plus(length))
    }
}
