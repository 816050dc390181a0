//! What the current group of requests has changed and not yet committed, on top of cache and database.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::num::NonZeroUsize;
use std::sync::Arc;

use lru::LruCache;
use rustc_hash::{FxHashMap, FxHashSet};

use crate::access::authorize::Permit;
use crate::cache::{Committed, newest_type};
use crate::id::Seq;
use crate::node::{Node, is_instance};
use crate::ports::{ChangeSet, Deadline, DeadlineKind, Held, OutboxEntry, Reply, ReplyKey};
use crate::resource::Resource;
use crate::schema::Ty;
use crate::time::Timestamp;
use crate::value::Text;

/// What one request does to the tree. Made by a decision, applied as a whole or not at all.
///
/// The only way into the store, and made with a [`Permit`] only: what nobody allowed cannot be written.
pub(crate) struct Effects {
    pub(crate) inserted: Vec<Arc<Node>>,
    pub(crate) updated: Vec<Arc<Node>>,
    pub(crate) deleted: Vec<Gone>,
    pub(crate) outbox: Vec<OutboxEntry>,
    pub(crate) outbox_retry: Vec<(Seq, Timestamp, u32)>,
    pub(crate) outbox_delete: Vec<Seq>,
    /// What is to be done for copies at other CSEs.
    pub(crate) announcements: Vec<OutboxEntry>,
    /// Resources whose policies are others now, so that what is below them may inherit others.
    pub(crate) policies_changed: Vec<Seq>,
    /// How many of those that waited are needed no more.
    pub(crate) announcements_settled: usize,
    pub(crate) held: Vec<Held>,
    pub(crate) held_delete: Vec<Seq>,
    pub(crate) deadlines_set: Vec<Deadline>,
    pub(crate) deadlines_clear: Vec<(DeadlineKind, Seq)>,
    pub(crate) forget_replies_before: Option<Timestamp>,
    /// Subscriptions whose expiration counter has come to its end.
    pub(crate) exhausted: Vec<Arc<Node>>,
    /// How many of these have been taken care of.
    pub(crate) exhausted_removed: usize,
    /// Whether they are being removed now.
    pub(crate) removes_exhausted: bool,
    /// Private, so that nothing but [`Effects::new`] makes one.
    _permit: Permit,
}

/// A resource that goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gone {
    pub(crate) seq: Seq,
    pub(crate) parent: Option<Seq>,
    pub(crate) ty: Ty,
}

impl Gone {
    pub(crate) fn of(resource: &Resource) -> Self {
        Self { seq: resource.seq, parent: resource.parent, ty: resource.ty }
    }
}

impl Effects {
    /// No effects yet, of something that is allowed.
    pub(crate) fn new(permit: Permit) -> Self {
        Self {
            inserted: Vec::new(),
            updated: Vec::new(),
            deleted: Vec::new(),
            outbox: Vec::new(),
            outbox_retry: Vec::new(),
            outbox_delete: Vec::new(),
            announcements: Vec::new(),
            policies_changed: Vec::new(),
            announcements_settled: 0,
            held: Vec::new(),
            held_delete: Vec::new(),
            deadlines_set: Vec::new(),
            deadlines_clear: Vec::new(),
            forget_replies_before: None,
            exhausted: Vec::new(),
            exhausted_removed: 0,
            removes_exhausted: false,
            _permit: permit,
        }
    }

    /// The version of a resource that these effects lead to, if they change it.
    pub(crate) fn current(&self, seq: Seq) -> Option<&Arc<Node>> {
        self.updated.iter().chain(&self.inserted).find(|node| node.seq == seq)
    }

    /// Adds a changed resource, replacing an earlier change of the same.
    pub(crate) fn update(&mut self, node: Arc<Node>) {
        match self.updated.iter_mut().chain(&mut self.inserted).find(|other| other.seq == node.seq) {
            Some(other) => *other = node,
            None => self.updated.push(node),
        }
    }

    /// Whether a resource goes.
    pub(crate) fn deletes(&self, seq: Seq) -> bool {
        self.deleted.iter().any(|gone| gone.seq == seq)
    }

    /// Whether the expiration counter of a subscription comes to its end.
    pub(crate) fn exhausts(&self, seq: Seq) -> bool {
        self.exhausted.iter().any(|node| node.seq == seq)
    }

    /// The earliest expiration time among what is inserted or changed.
    fn earliest_expiration(&self) -> Option<Timestamp> {
        self.inserted.iter().chain(&self.updated).filter_map(|node| node.expiration_time).min()
    }
}

/// The state of the current group.
#[derive(Default)]
pub(crate) struct Overlay {
    nodes: FxHashMap<Seq, Option<Arc<Node>>>,
    by_id: FxHashMap<Text, Seq>,
    by_path: FxHashMap<Text, Seq>,
    new_subscriptions: FxHashMap<Seq, Vec<Seq>>,
    newest: FxHashMap<Seq, Option<Arc<Node>>>,
    subscription_parents: FxHashSet<Seq>,
    /// Places in the replies of `rest`.
    replies: FxHashMap<ReplyKey, usize>,
    insert: BTreeMap<Seq, Arc<Resource>>,
    update: BTreeMap<Seq, Arc<Resource>>,
    delete: BTreeSet<Seq>,
    /// What became of deadlines, `None` for those that are done with: the last word counts.
    deadlines: FxHashMap<(DeadlineKind, Seq), Option<Timestamp>>,
    rest: ChangeSet,
    /// Whether changes were taken for the database, so that there is something to commit.
    was_taken: bool,
    /// Earliest expiration or deadline that the group adds.
    pub(crate) earliest_deadline: Option<Timestamp>,
    /// Notifications that the group adds.
    pub(crate) outbox: Vec<OutboxEntry>,
    /// Announcements that the group adds, and how many it is done with.
    pub(crate) announcements: Vec<OutboxEntry>,
    pub(crate) announcements_settled: usize,
}

impl Overlay {
    /// What the group made of a resource: `Some(None)` when it deleted it.
    pub(crate) fn node(&self, seq: Seq) -> Option<Option<Arc<Node>>> {
        self.nodes.get(&seq).cloned()
    }

    /// Resources of a type that the group made or changed.
    pub(crate) fn nodes_of(&self, ty: Ty) -> impl Iterator<Item = &Arc<Node>> {
        self.nodes.values().flatten().filter(move |node| node.ty == ty)
    }

    pub(crate) fn by_id(&self, id: &str) -> Option<Seq> {
        self.by_id.get(id).copied()
    }

    pub(crate) fn by_path(&self, path: &str) -> Option<Seq> {
        self.by_path.get(path).copied()
    }

    pub(crate) fn new_subscriptions(&self, parent: Seq) -> &[Seq] {
        self.new_subscriptions.get(&parent).map_or(&[], Vec::as_slice)
    }

    /// The newest instance: `Some(None)` when the group changed it and the database has to be asked.
    pub(crate) fn newest(&self, parent: Seq) -> Option<Option<Arc<Node>>> {
        self.newest.get(&parent).cloned()
    }

    /// The answer, unless the database has it already.
    pub(crate) fn reply(&self, key: ReplyKey) -> Option<&Reply> {
        self.replies.get(&key).and_then(|place| self.rest.replies.get(*place))
    }

    /// Whether there is anything to commit.
    pub(crate) fn is_empty(&self) -> bool {
        !self.was_taken && self.nodes.is_empty() && !self.has_unwritten_rest()
    }

    /// Whether the group adds, changes or deletes subscriptions of a resource.
    pub(crate) fn changes_subscriptions(&self, parent: Seq) -> bool {
        self.subscription_parents.contains(&parent)
    }

    /// Takes over what a request does.
    pub(crate) fn apply(&mut self, effects: Effects, windows: &mut Windows) {
        let mut note = |time: Option<Timestamp>| {
            if let Some(time) = time {
                self.earliest_deadline = Some(self.earliest_deadline.map_or(time, |earliest| earliest.min(time)));
            }
        };
        note(effects.earliest_expiration());
        note(effects.deadlines_set.iter().map(|deadline| deadline.at).min());
        for node in effects.inserted {
            self.insert(node, windows);
        }
        for node in effects.updated {
            if node.ty == Ty::SUBSCRIPTION
                && let Some(parent) = node.parent
            {
                self.subscription_parents.insert(parent);
            }
            match self.insert.get_mut(&node.seq) {
                Some(pending) => *pending = Arc::clone(&node.resource),
                None => drop(self.update.insert(node.seq, Arc::clone(&node.resource))),
            }
            if is_instance(node.ty)
                && let Some(parent) = node.parent
            {
                let newest = self.newest.entry(parent).or_insert(None);
                if newest.as_ref().is_some_and(|newest| newest.seq == node.seq) {
                    *newest = Some(Arc::clone(&node));
                }
            }
            self.nodes.insert(node.seq, Some(node));
        }
        self.outbox.extend(effects.outbox.iter().cloned());
        self.announcements.extend(effects.announcements.iter().cloned());
        self.announcements_settled += effects.announcements_settled;
        self.rest.outbox_insert.extend(effects.outbox);
        self.rest.outbox_insert.extend(effects.announcements);
        self.rest.outbox_retry.extend(effects.outbox_retry);
        self.rest.outbox_delete.extend(effects.outbox_delete);
        self.rest.held_insert.extend(effects.held);
        self.rest.held_delete.extend(effects.held_delete);
        let set = effects.deadlines_set.into_iter();
        self.deadlines.extend(set.map(|deadline| ((deadline.kind, deadline.resource), Some(deadline.at))));
        self.deadlines.extend(effects.deadlines_clear.into_iter().map(|done| (done, None)));
        self.rest.forget_replies_before = self.rest.forget_replies_before.max(effects.forget_replies_before);
        for gone in effects.deleted {
            self.remove(gone, windows);
        }
    }

    /// What is to be remembered, in order.
    pub(crate) fn replies(&self) -> &[Reply] {
        &self.rest.replies
    }

    /// Remembers an answer.
    pub(crate) fn remember(&mut self, reply: Reply) {
        self.replies.insert(reply.key, self.rest.replies.len());
        self.rest.replies.push(reply);
    }

    fn insert(&mut self, node: Arc<Node>, windows: &mut Windows) {
        if let Some(parent) = node.parent {
            if node.ty == Ty::SUBSCRIPTION {
                self.new_subscriptions.entry(parent).or_default().push(node.seq);
                self.subscription_parents.insert(parent);
            }
            if is_instance(node.ty) {
                self.newest.insert(parent, Some(Arc::clone(&node)));
                windows.pushed(parent, node.seq, node.content_size.unwrap_or(0));
            }
        }
        self.by_id.insert(node.id.clone(), node.seq);
        self.by_path.insert(node.path.clone(), node.seq);
        self.insert.insert(node.seq, Arc::clone(&node.resource));
        self.nodes.insert(node.seq, Some(node));
    }

    fn remove(&mut self, gone: Gone, windows: &mut Windows) {
        if let Some(parent) = gone.parent {
            if gone.ty == Ty::SUBSCRIPTION {
                self.subscription_parents.insert(parent);
            }
            if is_instance(gone.ty) {
                windows.removed(parent, gone.seq);
                let is_known_older = matches!(self.newest.get(&parent), Some(Some(newest)) if newest.seq != gone.seq);
                if !is_known_older {
                    self.newest.insert(parent, None);
                }
            }
        }
        if newest_type(gone.ty).is_some() {
            windows.forget(gone.seq);
        }
        // What was never written needs no deletion, and nothing that hangs on it must be written.
        if self.insert.remove(&gone.seq).is_none() {
            self.delete.insert(gone.seq);
        } else if gone.ty == Ty::SUBSCRIPTION {
            self.rest.held_insert.retain(|held| held.subscription != gone.seq);
        }
        self.update.remove(&gone.seq);
        self.nodes.insert(gone.seq, None);
    }

    /// What has to be written now; afterwards the database, seen through the transaction, knows as much as this.
    pub(crate) fn take_changes(&mut self) -> ChangeSet {
        self.was_taken = true;
        let mut changes = std::mem::take(&mut self.rest);
        self.replies.clear();
        for ((kind, resource), at) in self.deadlines.drain() {
            match at {
                Some(at) => changes.deadlines_set.push(Deadline { kind, resource, at }),
                None => changes.deadlines_clear.push((kind, resource)),
            }
        }
        changes.insert = std::mem::take(&mut self.insert).into_values().collect();
        changes.update = std::mem::take(&mut self.update).into_values().collect();
        changes.delete = std::mem::take(&mut self.delete).into_iter().collect();
        changes
    }

    /// Whether the database lacks changes of resources.
    pub(crate) fn has_unwritten_resources(&self) -> bool {
        !(self.insert.is_empty() && self.update.is_empty() && self.delete.is_empty())
    }

    /// Whether the database lacks changes of side tables.
    pub(crate) fn has_unwritten_rest(&self) -> bool {
        !(self.rest.is_empty() && self.deadlines.is_empty())
    }

    /// What the cache has to know after the commit.
    pub(crate) fn committed(&mut self) -> Committed {
        let mut committed = Committed::default();
        for (seq, node) in self.nodes.drain() {
            match node {
                Some(node) if is_instance(node.ty) => {}
                Some(node) => committed.changed.push(node),
                None => committed.deleted.push(seq),
            }
        }
        committed.newest = self.newest.drain().collect();
        committed.subscriptions = self.subscription_parents.drain().collect();
        committed
    }
}

/// Oldest instances of busy containers, so that keeping a full container full asks no database.
///
/// Right because only the writer adds and removes instances.
pub(crate) struct Windows(LruCache<Seq, Window, rustc_hash::FxBuildHasher>);

struct Window {
    oldest: VecDeque<(Seq, u64)>,
    /// Whether all instances are in it, so that a new one is the next.
    complete: bool,
}

/// Containers with a window, and instances in one.
const WINDOWS_MAX: usize = 1024;
pub(crate) const WINDOW_LENGTH: usize = 64;

impl Windows {
    pub(crate) fn new() -> Self {
        let capacity = NonZeroUsize::new(WINDOWS_MAX).unwrap_or(NonZeroUsize::MIN);
        Self(LruCache::with_hasher(capacity, rustc_hash::FxBuildHasher))
    }

    /// The oldest instances, if at least `count` or all of them are known.
    pub(crate) fn oldest(&mut self, parent: Seq, count: usize) -> Option<Vec<(Seq, u64)>> {
        let window = self.0.get(&parent)?;
        (window.complete || window.oldest.len() >= count).then(|| window.oldest.iter().take(count).copied().collect())
    }

    pub(crate) fn set(&mut self, parent: Seq, oldest: &[(Seq, u64)], complete: bool) {
        let kept = oldest.len().min(WINDOW_LENGTH);
        let window =
            Window { oldest: oldest[..kept].iter().copied().collect(), complete: complete && kept == oldest.len() };
        self.0.put(parent, window);
    }

    fn pushed(&mut self, parent: Seq, seq: Seq, size: u64) {
        if let Some(window) = self.0.peek_mut(&parent)
            && window.complete
        {
            if window.oldest.len() < WINDOW_LENGTH {
                window.oldest.push_back((seq, size));
            } else {
                window.complete = false;
            }
        }
    }

    fn removed(&mut self, parent: Seq, seq: Seq) {
        if let Some(window) = self.0.peek_mut(&parent) {
            if window.oldest.front().is_some_and(|(oldest, _)| *oldest == seq) {
                window.oldest.pop_front();
            } else {
                window.oldest.retain(|(other, _)| *other != seq);
            }
        }
    }

    fn forget(&mut self, parent: Seq) {
        self.0.pop(&parent);
    }

    /// Forgets everything, after a commit that failed.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}
