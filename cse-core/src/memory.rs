//! The smallest correct store: everything in ordered maps, nothing survives the process.
//!
//! It is the model that the database stores are tested against, and the store of the core's own tests. It has
//! no indexes and no caches on purpose: every answer is read off the maps by the words of the port.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use parking_lot::Mutex;
use tokio::sync::OwnedMutexGuard;

use crate::id::Seq;
use crate::ports::{
    ChangeSet, Clause, Deadline, DeadlineKind, Held, OutboxEntry, Reply, ReplyKey, Search, Snapshot, Store, StoreError,
    WriteTransaction,
};
use crate::resource::Resource;
use crate::schema::Ty;
use crate::time::Timestamp;

/// A store that lives in memory.
#[derive(Clone, Default)]
pub struct MemoryStore {
    shared: Arc<Shared>,
}

struct Shared {
    committed: Mutex<Arc<State>>,
    /// Held by the one write transaction.
    writer: Arc<tokio::sync::Mutex<()>>,
    next_number: AtomicI64,
}

impl Default for Shared {
    fn default() -> Self {
        Self { committed: Mutex::default(), writer: Arc::default(), next_number: AtomicI64::new(Seq::CSE_BASE.0 + 1) }
    }
}

#[derive(Clone, Default)]
struct State {
    resources: BTreeMap<Seq, Arc<Resource>>,
    /// In the order in which they were remembered.
    replies: Vec<Reply>,
    outbox: BTreeMap<Seq, OutboxEntry>,
    held: BTreeMap<Seq, Held>,
    deadlines: BTreeMap<(Seq, DeadlineKind), Timestamp>,
}

/// A view of a [`MemoryStore`].
pub struct MemorySnapshot(Arc<State>);

/// The write transaction of a [`MemoryStore`].
pub struct MemoryWrite {
    view: MemorySnapshot,
    shared: Arc<Shared>,
    _one_at_a_time: OwnedMutexGuard<()>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Store for MemoryStore {
    type Snapshot = MemorySnapshot;
    type Write = MemoryWrite;

    async fn snapshot(&self) -> Result<MemorySnapshot, StoreError> {
        Ok(MemorySnapshot(Arc::clone(&self.shared.committed.lock())))
    }

    async fn begin(&self) -> Result<MemoryWrite, StoreError> {
        let guard = Arc::clone(&self.shared.writer).lock_owned().await;
        let view = self.snapshot().await?;
        Ok(MemoryWrite { view, shared: Arc::clone(&self.shared), _one_at_a_time: guard })
    }

    async fn reserve_numbers(&self, count: u32) -> Result<Seq, StoreError> {
        Ok(Seq(self.shared.next_number.fetch_add(i64::from(count), Ordering::Relaxed)))
    }

    async fn check(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

impl State {
    fn resources(&self) -> impl DoubleEndedIterator<Item = &Resource> {
        self.resources.values().map(Arc::as_ref)
    }

    fn children(&self, parent: Seq) -> impl DoubleEndedIterator<Item = &Resource> {
        self.resources().filter(move |resource| resource.parent == Some(parent))
    }

    fn children_of_type(&self, parent: Seq, ty: Ty) -> impl DoubleEndedIterator<Item = &Resource> {
        self.children(parent).filter(move |resource| resource.ty == ty)
    }

    /// How many levels `resource` is below `root`.
    fn levels_below(&self, resource: &Resource, root: Seq) -> Option<u32> {
        let mut levels = 1;
        let mut parent = resource.parent?;
        while parent != root {
            parent = self.resources.get(&parent)?.parent?;
            levels += 1;
        }
        Some(levels)
    }

    fn apply(&mut self, changes: &ChangeSet) {
        for resource in &changes.insert {
            self.resources.insert(resource.seq, Arc::clone(resource));
        }
        for resource in &changes.update {
            if let Some(slot) = self.resources.get_mut(&resource.seq) {
                *slot = Arc::clone(resource);
            }
        }
        for reply in &changes.replies {
            self.replies.retain(|other| other.key != reply.key);
            self.replies.push(reply.clone());
        }
        if let Some(before) = changes.forget_replies_before {
            self.replies.retain(|reply| reply.at >= before);
        }
        self.outbox.extend(changes.outbox_insert.iter().map(|entry| (entry.seq, entry.clone())));
        for (seq, next_try, attempts) in &changes.outbox_retry {
            if let Some(entry) = self.outbox.get_mut(seq) {
                (entry.next_try, entry.attempts) = (*next_try, *attempts);
            }
        }
        for seq in &changes.outbox_delete {
            self.outbox.remove(seq);
        }
        self.held.extend(changes.held_insert.iter().map(|held| (held.seq, held.clone())));
        for seq in &changes.held_delete {
            self.held.remove(seq);
        }
        for deadline in &changes.deadlines_set {
            self.deadlines.insert((deadline.resource, deadline.kind), deadline.at);
        }
        for (kind, resource) in &changes.deadlines_clear {
            self.deadlines.remove(&(*resource, *kind));
        }
        for seq in &changes.delete {
            self.resources.remove(seq);
        }
        if !changes.delete.is_empty() {
            self.held.retain(|_, held| !changes.delete.contains(&held.subscription));
            self.deadlines
                .retain(|(resource, kind), _| *kind == DeadlineKind::Purge || !changes.delete.contains(resource));
        }
    }
}

impl Clause {
    /// Whether the condition holds for the resource. An attribute that is absent is in no range that has a bound.
    pub fn holds_for(&self, resource: &Resource) -> bool {
        fn within<T: PartialOrd>(value: Option<T>, from: &Option<T>, before: &Option<T>) -> bool {
            match value {
                Some(value) => {
                    from.as_ref().is_none_or(|from| value >= *from)
                        && before.as_ref().is_none_or(|before| value < *before)
                }
                None => from.is_none() && before.is_none(),
            }
        }
        match self {
            Self::Types(types) => types.contains(&resource.ty),
            Self::Labels(labels) => resource.labels().any(|label| labels.iter().any(|wanted| wanted == label)),
            Self::Created(from, before) => within(Some(resource.creation_time), from, before),
            Self::Modified(from, before) => within(Some(resource.last_modified_time), from, before),
            Self::Expires(from, before) => within(resource.expiration_time, from, before),
            Self::StateTag(from, below) => within(resource.state_tag, from, below),
            Self::ContentSize(from, below) => within(resource.content_size, from, below),
        }
    }
}

impl Snapshot for MemorySnapshot {
    async fn resource(&mut self, seq: Seq) -> Result<Option<Resource>, StoreError> {
        Ok(self.0.resources.get(&seq).map(|resource| Resource::clone(resource)))
    }

    async fn resources(&mut self, seqs: &[Seq]) -> Result<Vec<Resource>, StoreError> {
        Ok(self.0.resources().filter(|resource| seqs.contains(&resource.seq)).cloned().collect())
    }

    async fn by_id(&mut self, id: &str) -> Result<Option<Resource>, StoreError> {
        Ok(self.0.resources().find(|resource| resource.id == id).cloned())
    }

    async fn child(&mut self, parent: Seq, name: &str) -> Result<Option<Resource>, StoreError> {
        Ok(self.0.children(parent).find(|resource| resource.name == name).cloned())
    }

    async fn children(
        &mut self,
        parent: Seq,
        types: &[Ty],
        after: Seq,
        limit: usize,
    ) -> Result<Vec<Resource>, StoreError> {
        let wanted = |resource: &&Resource| resource.seq > after && (types.is_empty() || types.contains(&resource.ty));
        Ok(self.0.children(parent).filter(wanted).take(limit).cloned().collect())
    }

    async fn newest(&mut self, parent: Seq, ty: Ty) -> Result<Option<Resource>, StoreError> {
        Ok(self.0.children_of_type(parent, ty).next_back().cloned())
    }

    async fn oldest(&mut self, parent: Seq, ty: Ty) -> Result<Option<Resource>, StoreError> {
        Ok(self.0.children_of_type(parent, ty).next().cloned())
    }

    async fn oldest_sizes(&mut self, parent: Seq, ty: Ty, limit: usize) -> Result<Vec<(Seq, u64)>, StoreError> {
        let size = |resource: &Resource| (resource.seq, resource.content_size.unwrap_or(0));
        Ok(self.0.children_of_type(parent, ty).take(limit).map(size).collect())
    }

    async fn count(&mut self, parent: Seq, ty: Ty) -> Result<(u64, u64), StoreError> {
        Ok(self
            .0
            .children_of_type(parent, ty)
            .fold((0, 0), |(count, bytes), resource| (count + 1, bytes + resource.content_size.unwrap_or(0))))
    }

    async fn search(&mut self, search: &Search) -> Result<Vec<Seq>, StoreError> {
        let below_root = |resource: &Resource| {
            self.0
                .levels_below(resource, search.root)
                .is_some_and(|levels| search.levels.is_none_or(|levels_max| levels <= levels_max))
        };
        Ok(self
            .0
            .resources()
            .filter(|resource| resource.seq > search.after)
            .filter(|resource| search.clauses.iter().all(|clause| clause.holds_for(resource)))
            .filter(|resource| below_root(resource))
            .map(|resource| resource.seq)
            .take(search.limit)
            .collect())
    }

    async fn expired(&mut self, now: Timestamp, limit: usize) -> Result<Vec<Seq>, StoreError> {
        let mut expired: Vec<(Option<Timestamp>, Seq)> = self
            .0
            .resources()
            .filter(|resource| resource.is_expired(now))
            .map(|resource| (resource.expiration_time, resource.seq))
            .collect();
        expired.sort_unstable();
        Ok(expired.into_iter().map(|(_, seq)| seq).take(limit).collect())
    }

    async fn next_expiration(&mut self) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.0.resources().filter_map(|resource| resource.expiration_time).min())
    }

    async fn reply(&mut self, key: ReplyKey) -> Result<Option<Reply>, StoreError> {
        Ok(self.0.replies.iter().find(|reply| reply.key == key).cloned())
    }

    /// Answers have no places here that would last, so all are looked at each time.
    async fn fading_replies(&mut self, _after: u64, before: Timestamp) -> Result<(Vec<Reply>, u64), StoreError> {
        let fading = |reply: &&Reply| reply.at < before && reply.response.contains("@once");
        Ok((self.0.replies.iter().filter(fading).cloned().collect(), 0))
    }

    async fn reply_count(&mut self) -> Result<u64, StoreError> {
        Ok(self.0.replies.len() as u64)
    }

    async fn outbox(&mut self, after: Seq, limit: usize) -> Result<Vec<OutboxEntry>, StoreError> {
        Ok(self.0.outbox.range(Seq(after.0 + 1)..).map(|(_, entry)| entry.clone()).take(limit).collect())
    }

    async fn held(&mut self, subscription: Seq, limit: usize) -> Result<Vec<Held>, StoreError> {
        Ok(self.0.held.values().filter(|held| held.subscription == subscription).take(limit).cloned().collect())
    }

    async fn held_count(&mut self, subscription: Seq) -> Result<u64, StoreError> {
        Ok(self.0.held.values().filter(|held| held.subscription == subscription).count() as u64)
    }

    async fn deadlines(&mut self, now: Timestamp, limit: usize) -> Result<Vec<Deadline>, StoreError> {
        let mut due: Vec<Deadline> = self
            .0
            .deadlines
            .iter()
            .filter(|(_, at)| **at <= now)
            .map(|((resource, kind), at)| Deadline { kind: *kind, resource: *resource, at: *at })
            .collect();
        due.sort_unstable_by_key(|deadline| (deadline.at, deadline.resource, deadline.kind));
        due.truncate(limit);
        Ok(due)
    }

    async fn next_deadline(&mut self) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.0.deadlines.values().min().copied())
    }
}

// A write transaction reads its own state.
crate::read_through!(impl [] MemoryWrite, |own| own.view);

impl WriteTransaction for MemoryWrite {
    async fn write(&mut self, changes: &ChangeSet) -> Result<(), StoreError> {
        Arc::make_mut(&mut self.view.0).apply(changes);
        Ok(())
    }

    async fn commit(self) -> Result<(), StoreError> {
        *self.shared.committed.lock() = self.view.0;
        Ok(())
    }
}
