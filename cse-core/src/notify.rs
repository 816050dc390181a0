//! From an event to what is sent: which subscriptions it concerns and what they are told (TS-0004 §7.5.1.2).
//!
//! What their policies make of it is decided in [`policies`], what their schedules make of it in [`scheduled`]; groups
//! that collect for their members are in [`collect`].

mod abroad;
mod collect;
mod pacing;
mod policies;
mod scheduled;

pub(crate) use abroad::as_seen_by;
pub(crate) use pacing::Pacing;

use std::collections::VecDeque;
use std::sync::Arc;

use crate::access::authorize::Requester;
use crate::access::policy::Access;
use crate::behaviour::subscription::{ContentType, EventType};
use crate::content;
use crate::error::Error;
use crate::id::{CseIdentity, Seq};
use crate::node::Node;
use crate::op;
use crate::overlay::Effects;
use crate::ports::{BoxFuture, Clause, DeadlineKind, OutboxEntry, Search};
use crate::primitive::Operation;
use crate::schema::{Ty, keys};
use crate::value::{Map, Name, Text};
use crate::view::{Source, View};

/// `ec` of a notification of which only the newest counts.
pub(crate) const LATEST: u32 = 4;
/// Events before a subscription that it can ask for.
const PAST_MAX: u64 = 1_000;

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
            let node = Arc::clone(effects.current(node.seq).unwrap_or(node));
            // A subscription does not tell of its own end; its subscriber learns of that otherwise.
            let is_usable = node.seq != happening.subject.seq
                && !effects.deletes(node.seq)
                && !effects.exhausts(node.seq)
                && !node.is_expired(self.now);
            let Some(subscription) = node.subscription().filter(|_| is_usable) else {
                continue;
            };
            if subscription.matches(happening.event, happening.subject, happening.modified) {
                let representation = self.representation(subscription.content_type, happening);
                let sgn = notification(self.identity(), &node, happening.event, representation);
                // Nothing can be sent later when the subscription goes together with the resource.
                let is_last = happening.event == EventType::DeleteOfResource;
                self.dispose(&node, sgn, is_last, effects).await?;
            }
        }
        self.remove_exhausted(effects).await
    }

    fn representation(&self, content_type: ContentType, happening: &Happening<'_>) -> Map {
        let subject = happening.subject;
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
        access: Access,
        effects: &mut Effects,
    ) -> Result<(), Error> {
        let subscriptions = self.subscriptions(node).await?;
        for sub in subscriptions.iter() {
            let sub = Arc::clone(effects.current(sub.seq).unwrap_or(sub));
            // The attempt may have been one to delete the resource, with its subscriptions.
            let is_usable = (!effects.deletes(sub.seq) || effects.deletes(node.seq))
                && !effects.exhausts(sub.seq)
                && !sub.is_expired(self.now);
            let Some(subscription) = sub.subscription().filter(|_| is_usable) else {
                continue;
            };
            if subscription.monitors(&requester.originator, access) {
                let mut om = Map::single("op", operation as i64);
                om.push("or", &requester.originator);
                let event = EventType::UpdateOfResource;
                let happening = Happening { event, subject: node, modified: None };
                let mut nev = Map::single("rep", self.representation(subscription.content_type, &happening));
                nev.push("om", om);
                let sgn = with_event(self.identity(), &sub, nev);
                let is_last = effects.deletes(sub.seq);
                self.dispose(&sub, sgn, is_last, effects).await?;
            }
        }
        self.remove_exhausted(effects).await
    }

    /// A new subscription may ask for events before it (`psn`): the newest instances that are there.
    pub(crate) async fn notify_of_the_past(
        &mut self,
        subscribed: &Arc<Node>,
        node: &Arc<Node>,
        effects: &mut Effects,
    ) -> Result<(), Error> {
        let wanted = node.attributes.unsigned(keys::PRE_SUBSCRIPTION_NOTIFY).unwrap_or(0).min(PAST_MAX);
        let Some(subscription) = node.subscription() else {
            return Ok(());
        };
        let event = EventType::CreateOfDirectChild;
        if wanted == 0 || subscribed.ty != Ty::CONTAINER || !subscription.wants(event) {
            return Ok(());
        }
        for instance in self.newest_instances(subscribed, usize::try_from(wanted).unwrap_or(usize::MAX)).await? {
            let node = Arc::clone(effects.current(node.seq).unwrap_or(node));
            if !effects.exhausts(node.seq) && subscription.matches(event, &instance, None) {
                let happening = Happening { event, subject: &instance, modified: None };
                let representation = self.representation(subscription.content_type, &happening);
                let sgn = notification(self.identity(), &node, event, representation);
                self.dispose(&node, sgn, false, effects).await?;
            }
        }
        self.remove_exhausted(effects).await
    }

    /// The newest instances of a container, oldest of them first, without reading those before.
    async fn newest_instances(&mut self, container: &Arc<Node>, wanted: usize) -> Result<VecDeque<Arc<Node>>, Error> {
        let Some(newest) = self.newest(container).await? else {
            return Ok(VecDeque::new());
        };
        let mut search = Search {
            root: container.seq,
            levels: Some(1),
            clauses: vec![Clause::Types(vec![Ty::CONTENT_INSTANCE])],
            after: Seq::START,
            limit: wanted,
        };
        // Between two numbers: after the first there are at least as many as wanted, after the second fewer.
        let (mut enough, mut too_few) = (container.seq.0, newest.seq.0);
        while too_few - enough > 1 {
            search.after = Seq(enough + (too_few - enough) / 2);
            if self.search(&search).await?.len() >= wanted {
                enough = search.after.0;
            } else {
                too_few = search.after.0;
            }
        }
        search.after = Seq(enough);
        let found = self.search(&search).await?;
        Ok(self.nodes(&found).await?.into())
    }

    /// A subscription goes: its subscriber is told, held events are dropped.
    pub(crate) async fn notify_of_subscription_deletion(
        &mut self,
        node: &Node,
        effects: &mut Effects,
    ) -> Result<(), Error> {
        effects.deadlines_clear.push((DeadlineKind::Batch, node.seq));
        effects.deadlines_clear.push((DeadlineKind::RateWindow, node.seq));
        effects.deadlines_clear.push((DeadlineKind::Schedule, node.seq));
        let Some(subscription) = node.subscription() else {
            return Ok(());
        };
        if subscription.deletion_targets.is_empty() {
            return Ok(());
        }
        let mut sgn = Map::single(Name::new_static("sud"), true);
        sgn.push(Name::new_static("sur"), self.identity().sp_relative(&node.id));
        let content = Arc::new(single(sgn));
        for target in &subscription.deletion_targets {
            self.enqueue(node.seq, target.clone(), Arc::clone(&content), None, effects);
        }
        Ok(())
    }

    /// Deletes the subscriptions whose expiration counter came to its end.
    pub(crate) fn remove_exhausted<'v>(&'v mut self, effects: &'v mut Effects) -> BoxFuture<'v, Result<(), Error>> {
        // Boxed, because their deletion is an event, too, and leads here again; what that exhausts is removed by
        // the loop that runs already, or a thousand of them would nest as deep.
        Box::pin(async move {
            if effects.removes_exhausted {
                return Ok(());
            }
            effects.removes_exhausted = true;
            while let Some(node) = effects.exhausted.get(effects.exhausted_removed).cloned() {
                effects.exhausted_removed += 1;
                op::delete::remove(self, &node, effects).await?;
            }
            effects.removes_exhausted = false;
            Ok(())
        })
    }

    /// Leaves a notification for one target, if there is room; of a subscription, or of a `<request>` with its result.
    pub(crate) fn enqueue(
        &mut self,
        subscription: Seq,
        target: Text,
        content: Arc<Map>,
        event_category: Option<u32>,
        effects: &mut Effects,
    ) {
        if !self.source.admits_notification(effects.outbox.len()) {
            return;
        }
        // The change itself must not fail because so many are to be told of it.
        let Ok(seq) = self.source.next_number() else {
            tracing::warn!(%target, "a notification is dropped; too many events at once");
            return;
        };
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
    }
}
