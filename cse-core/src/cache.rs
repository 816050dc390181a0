//! The structure of the tree in memory: everything but instances, and the newest instance of busy containers.
//!
//! The writer keeps it right at commit. Readers add what they load, unless a commit has changed it since
//! their snapshot began; so a reader can never bring back what is gone.

use std::sync::Arc;

use lru::LruCache;
use parking_lot::Mutex;
use rustc_hash::FxHashMap;

use crate::id::Seq;
use crate::node::{Node, is_instance};
use crate::schema::Ty;
use crate::value::Text;

/// Counts commits.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Epoch(u64);

/// Changes that are remembered to refuse late additions by readers.
const RECENT_MAX: usize = 20_000;

pub(crate) struct Cache {
    inner: Mutex<Inner>,
    bytes_max: usize,
}

struct Inner {
    entries: LruCache<Seq, Entry, rustc_hash::FxBuildHasher>,
    by_id: FxHashMap<Text, Seq>,
    by_path: FxHashMap<Text, Seq>,
    bytes: usize,
    epoch: u64,
    /// Epoch of the last change, for what has changed since `floor`.
    recent: FxHashMap<Seq, u64>,
    floor: u64,
}

struct Entry {
    node: Arc<Node>,
    /// Of the node and of what is known of its children.
    bytes: usize,
    subscriptions: Option<Arc<[Arc<Node>]>>,
    /// The newest instance; `None` when not known.
    newest: Option<Arc<Node>>,
}

/// What a commit did, as far as the cache is concerned.
#[derive(Default)]
pub(crate) struct Committed {
    /// New and changed nodes.
    pub(crate) changed: Vec<Arc<Node>>,
    /// Deleted nodes.
    pub(crate) deleted: Vec<Seq>,
    /// Newest instance by container; `None` when it has to be looked up again.
    pub(crate) newest: Vec<(Seq, Option<Arc<Node>>)>,
    /// Parents whose subscriptions changed.
    pub(crate) subscriptions: Vec<Seq>,
}

impl Cache {
    pub(crate) fn new(bytes_max: usize) -> Self {
        let inner = Inner {
            entries: LruCache::unbounded_with_hasher(rustc_hash::FxBuildHasher),
            by_id: FxHashMap::default(),
            by_path: FxHashMap::default(),
            bytes: 0,
            epoch: 0,
            recent: FxHashMap::default(),
            floor: 0,
        };
        Self { inner: Mutex::new(inner), bytes_max }
    }

    /// The epoch now; to be taken before a snapshot begins.
    pub(crate) fn epoch(&self) -> Epoch {
        Epoch(self.inner.lock().epoch)
    }

    pub(crate) fn get(&self, seq: Seq) -> Option<Arc<Node>> {
        self.inner.lock().entries.get(&seq).map(|entry| Arc::clone(&entry.node))
    }

    /// The nodes of those numbers, under one lock.
    pub(crate) fn get_all(&self, seqs: &[Seq]) -> Vec<Option<Arc<Node>>> {
        let mut inner = self.inner.lock();
        seqs.iter().map(|seq| inner.entries.get(seq).map(|entry| Arc::clone(&entry.node))).collect()
    }

    pub(crate) fn by_id(&self, id: &str) -> Option<Arc<Node>> {
        let mut inner = self.inner.lock();
        let seq = *inner.by_id.get(id)?;
        inner.entries.get(&seq).map(|entry| Arc::clone(&entry.node))
    }

    pub(crate) fn by_path(&self, path: &str) -> Option<Arc<Node>> {
        let mut inner = self.inner.lock();
        let seq = *inner.by_path.get(path)?;
        inner.entries.get(&seq).map(|entry| Arc::clone(&entry.node))
    }

    pub(crate) fn subscriptions(&self, parent: Seq) -> Option<Arc<[Arc<Node>]>> {
        self.inner.lock().entries.get(&parent).and_then(|entry| entry.subscriptions.clone())
    }

    pub(crate) fn newest(&self, parent: Seq) -> Option<Arc<Node>> {
        self.inner.lock().entries.get(&parent).and_then(|entry| entry.newest.clone())
    }

    /// Entries and bytes held, for metrics.
    pub(crate) fn size(&self) -> (usize, usize) {
        let inner = self.inner.lock();
        (inner.entries.len(), inner.bytes)
    }

    /// Adds what was loaded from a snapshot that began at `epoch` or later.
    pub(crate) fn add(&self, node: &Arc<Node>, epoch: Epoch) {
        if is_instance(node.ty) {
            return;
        }
        let mut inner = self.inner.lock();
        if inner.is_current(node.seq, epoch) && !inner.entries.contains(&node.seq) {
            inner.put(Arc::clone(node));
            inner.shrink(self.bytes_max);
        }
    }

    /// Notes the subscriptions of a resource, loaded from a snapshot that began at `epoch` or later.
    pub(crate) fn add_subscriptions(&self, parent: Seq, list: &Arc<[Arc<Node>]>, epoch: Epoch) {
        let mut inner = self.inner.lock();
        if inner.is_current(parent, epoch)
            && let Some(entry) = inner.entries.peek_mut(&parent)
            && entry.subscriptions.is_none()
        {
            let bytes = bytes_of(Some(list));
            entry.subscriptions = Some(Arc::clone(list));
            entry.bytes += bytes;
            inner.bytes += bytes;
            inner.shrink(self.bytes_max);
        }
    }

    /// Notes the newest instance, loaded from a snapshot that began at `epoch` or later.
    pub(crate) fn add_newest(&self, parent: Seq, node: &Arc<Node>, epoch: Epoch) {
        let mut inner = self.inner.lock();
        if inner.is_current(parent, epoch)
            && let Some(entry) = inner.entries.peek_mut(&parent)
            && entry.newest.is_none()
        {
            let bytes = node.resource.approximate_bytes();
            entry.newest = Some(Arc::clone(node));
            entry.bytes += bytes;
            inner.bytes += bytes;
            inner.shrink(self.bytes_max);
        }
    }

    /// Takes over what was committed.
    pub(crate) fn commit(&self, committed: Committed) {
        let mut inner = self.inner.lock();
        inner.epoch += 1;
        let epoch = inner.epoch;
        if inner.recent.len() > RECENT_MAX {
            inner.recent.clear();
            inner.floor = epoch;
        }
        for seq in committed.deleted {
            inner.recent.insert(seq, epoch);
            inner.remove(seq);
        }
        for node in committed.changed {
            inner.recent.insert(node.seq, epoch);
            inner.put(node);
        }
        for parent in committed.subscriptions {
            inner.recent.insert(parent, epoch);
            if let Some(entry) = inner.entries.peek_mut(&parent) {
                let bytes = bytes_of(entry.subscriptions.take().as_ref());
                entry.bytes -= bytes.min(entry.bytes);
                inner.bytes -= bytes.min(inner.bytes);
            }
        }
        for (parent, newest) in committed.newest {
            inner.recent.insert(parent, epoch);
            if let Some(entry) = inner.entries.peek_mut(&parent) {
                let before = entry.newest.as_ref().map_or(0, |node| node.resource.approximate_bytes());
                let after = newest.as_ref().map_or(0, |node| node.resource.approximate_bytes());
                entry.newest = newest;
                entry.bytes = entry.bytes + after - before.min(entry.bytes);
                inner.bytes = inner.bytes + after - before.min(inner.bytes);
            }
        }
        inner.shrink(self.bytes_max);
    }
}

impl Inner {
    fn is_current(&self, seq: Seq, epoch: Epoch) -> bool {
        epoch.0 >= self.floor && self.recent.get(&seq).is_none_or(|changed| *changed <= epoch.0)
    }

    /// Adds or replaces a node; what is known of its children stays.
    fn put(&mut self, node: Arc<Node>) {
        let bytes = node.resource.approximate_bytes() + 2 * node.path.len() + 128;
        if let Some(entry) = self.entries.get_mut(&node.seq) {
            let newest = entry.newest.as_ref().map_or(0, |node| node.resource.approximate_bytes());
            let bytes = bytes + newest + bytes_of(entry.subscriptions.as_ref());
            self.bytes = self.bytes + bytes - entry.bytes.min(self.bytes);
            entry.bytes = bytes;
            entry.node = node;
            return;
        }
        self.by_id.insert(node.id.clone(), node.seq);
        self.by_path.insert(node.path.clone(), node.seq);
        self.bytes += bytes;
        self.entries.put(node.seq, Entry { node, bytes, subscriptions: None, newest: None });
    }

    fn remove(&mut self, seq: Seq) {
        if let Some(entry) = self.entries.pop(&seq) {
            self.forget(&entry);
        }
    }

    fn forget(&mut self, entry: &Entry) {
        self.bytes -= entry.bytes.min(self.bytes);
        if self.by_id.get(&entry.node.id) == Some(&entry.node.seq) {
            self.by_id.remove(&entry.node.id);
        }
        if self.by_path.get(&entry.node.path) == Some(&entry.node.seq) {
            self.by_path.remove(&entry.node.path);
        }
    }

    fn shrink(&mut self, bytes_max: usize) {
        while self.bytes > bytes_max {
            let Some((_, entry)) = self.entries.pop_lru() else {
                return;
            };
            self.forget(&entry);
        }
    }
}

/// Bytes that a list of subscriptions holds, roughly: what they are compiled to takes about as much as themselves.
fn bytes_of(list: Option<&Arc<[Arc<Node>]>>) -> usize {
    list.map_or(0, |list| list.iter().map(|node| 2 * node.resource.approximate_bytes()).sum())
}

/// Whether a type's newest child is kept with its parent.
pub(crate) fn newest_type(parent: Ty) -> Option<Ty> {
    match parent {
        Ty::CONTAINER => Some(Ty::CONTENT_INSTANCE),
        Ty::TIME_SERIES => Some(Ty::TIME_SERIES_INSTANCE),
        Ty::FLEX_CONTAINER => Some(Ty::FLEX_CONTAINER_INSTANCE),
        _ => None,
    }
}
