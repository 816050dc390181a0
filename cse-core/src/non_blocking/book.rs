//! Which `<request>` resources there are, whose they are, and which are to be carried out when: in memory, so that
//! neither accepting one nor looking for the next asks the store. Read at start, kept up to date at every commit.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use tokio::sync::Notify;

use crate::behaviour::request::{self, REQUEST};
use crate::cache::Committed;
use crate::id::Seq;
use crate::ports::{Snapshot, Store, StoreError};
use crate::resource::Resource;
use crate::schema::Ty;
use crate::time::{AbsRelTimestamp, Timestamp};
use crate::value::{Text, Value};

/// Requests read in one step at start.
const PAGE: usize = 100;

/// See the module.
#[derive(Default)]
pub(crate) struct Book {
    inner: Mutex<Inner>,
    /// How many there are; most commits concern none, and should not take the lock.
    count: AtomicUsize,
    has_more: Notify,
}

#[derive(Default)]
struct Inner {
    known: FxHashMap<Seq, Known>,
    /// The keys come from clients, hence the keyed default hasher.
    by_originator: HashMap<Text, usize>,
    bytes: usize,
    /// What is to be carried out, in order. What is being carried out is not in it.
    due: BTreeSet<(Timestamp, Seq)>,
}

struct Known {
    originator: Text,
    bytes: usize,
    /// Its place in `due`, if it has one.
    at: Option<Timestamp>,
    /// How often it was tried in vain.
    attempts: u32,
}

impl Book {
    /// Reads what there is.
    pub(crate) async fn load<S: Store>(store: &S) -> Result<Self, StoreError> {
        let book = Self::default();
        let mut snapshot = store.snapshot().await?;
        let mut after = Seq::START;
        loop {
            let page = snapshot.children(Seq::CSE_BASE, &[Ty::REQUEST], after, PAGE).await?;
            let Some(last) = page.last() else {
                return Ok(book);
            };
            after = last.seq;
            let mut inner = book.inner.lock();
            page.iter().for_each(|resource| inner.put(resource));
            book.count.store(inner.known.len(), Ordering::Release);
        }
    }

    /// Takes over what was committed.
    pub(crate) fn commit(&self, committed: &Committed) {
        let changed = || committed.changed.iter().filter(|node| node.ty == Ty::REQUEST);
        let may_delete = self.count.load(Ordering::Acquire) > 0 && !committed.deleted.is_empty();
        if !may_delete && changed().next().is_none() {
            return;
        }
        let mut inner = self.inner.lock();
        committed.deleted.iter().for_each(|seq| inner.remove(*seq));
        changed().for_each(|node| inner.put(node));
        self.count.store(inner.known.len(), Ordering::Release);
        drop(inner);
        self.has_more.notify_one();
    }

    /// How many an originator has; how many there are, and how many bytes they take, roughly.
    pub(super) fn taken(&self, originator: &str) -> (usize, usize, usize) {
        let inner = self.inner.lock();
        (inner.by_originator.get(originator).copied().unwrap_or(0), inner.known.len(), inner.bytes)
    }

    /// Whether it is committed.
    pub(super) fn knows(&self, seq: Seq) -> bool {
        self.inner.lock().known.contains_key(&seq)
    }

    /// The next one to be carried out now. It does not come again by itself.
    pub(super) fn take_due(&self, now: Timestamp) -> Option<Seq> {
        let mut inner = self.inner.lock();
        let first = inner.due.first().copied().filter(|(at, _)| *at <= now)?;
        inner.due.remove(&first);
        if let Some(known) = inner.known.get_mut(&first.1) {
            known.at = None;
        }
        Some(first.1)
    }

    /// When the next one is to be carried out.
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        self.inner.lock().due.first().map(|(at, _)| *at)
    }

    /// How often one was postponed; counts one more.
    pub(super) fn attempt(&self, seq: Seq) -> u32 {
        self.inner.lock().known.get_mut(&seq).map_or(0, |known| {
            known.attempts = known.attempts.saturating_add(1);
            known.attempts - 1
        })
    }

    /// One comes again later, if it is there then.
    pub(super) fn postpone(&self, seq: Seq, until: Timestamp) {
        let mut inner = self.inner.lock();
        let Some(known) = inner.known.get_mut(&seq).filter(|known| known.at.is_none()) else { return };
        known.at = Some(until);
        inner.due.insert((until, seq));
    }

    /// Waits until something was committed that may be due.
    pub(super) async fn changed(&self) {
        self.has_more.notified().await;
    }

    /// How many there are, and how many of them have to be carried out.
    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }
}

impl Inner {
    /// A new one waits to be carried out; of a changed one the size may be another.
    fn put(&mut self, resource: &Resource) {
        let bytes = resource.approximate_bytes();
        self.bytes += bytes;
        if let Some(known) = self.known.get_mut(&resource.seq) {
            self.bytes -= known.bytes;
            known.bytes = bytes;
            return;
        }
        let at = request::is_pending(resource).then(|| due_at(resource));
        self.due.extend(at.map(|at| (at, resource.seq)));
        let originator = resource.creator.text().clone();
        *self.by_originator.entry(originator.clone()).or_default() += 1;
        self.known.insert(resource.seq, Known { originator, bytes, at, attempts: 0 });
    }

    fn remove(&mut self, seq: Seq) {
        let Some(known) = self.known.remove(&seq) else { return };
        self.bytes -= known.bytes;
        if let Some(at) = known.at {
            self.due.remove(&(at, seq));
        }
        if let Some(count) = self.by_originator.get_mut(&known.originator) {
            *count -= 1;
            if *count == 0 {
                self.by_originator.remove(&known.originator);
            }
        }
    }
}

/// When a pending one is to be carried out (`oet`), else as soon as it was accepted.
fn due_at(resource: &Resource) -> Timestamp {
    let request = resource.attributes.get(REQUEST).and_then(Value::as_map);
    let time = request.and_then(|request| request.get("oet")).and_then(AbsRelTimestamp::from_value);
    time.map_or(resource.creation_time, |time| time.at(resource.creation_time))
}
