//! Between the writer, which commits what is to be announced, and the task that does it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use tokio::sync::{Notify, mpsc};

use super::is_announcement;
use crate::id::Seq;
use crate::ports::{OutboxEntry, Snapshot, Store, StoreError};
use crate::value::Text;

/// Handovers of the writer that wait; more make the task read the store.
const HANDOVERS_MAX: usize = 256;
/// Announcements that wait, all CSEs together.
const WAITING_MAX: usize = 1_000_000;
/// Entries read in one step.
pub(super) const PAGE: usize = 500;

/// Where the writer leaves announcements.
pub(crate) struct AnnounceHandle {
    sender: mpsc::Sender<Vec<OutboxEntry>>,
    /// Set when a handover found no room: the store has to be read.
    pub(super) behind: AtomicBool,
    pub(super) wake: Notify,
    waiting: AtomicUsize,
    /// The newest entry that an earlier process left, which may have begun it.
    inherited: Seq,
    /// By host, the newest entry that was begun.
    begun: Mutex<FxHashMap<Text, Seq>>,
}

/// Both ends, for a store in which an earlier process may have left announcements.
pub(crate) async fn handle<S: Store>(
    store: &S,
) -> Result<(Arc<AnnounceHandle>, mpsc::Receiver<Vec<OutboxEntry>>), StoreError> {
    let (sender, receiver) = mpsc::channel(HANDOVERS_MAX);
    let (mut count, mut last) = (0, Seq::START);
    let mut snapshot = store.snapshot().await?;
    loop {
        let page = snapshot.outbox(last, PAGE).await?;
        count += page.iter().filter(|entry| is_announcement(entry)).count();
        match page.last() {
            Some(entry) => last = entry.seq,
            None => break,
        }
    }
    let handle = AnnounceHandle {
        sender,
        behind: AtomicBool::new(count > 0),
        wake: Notify::new(),
        waiting: AtomicUsize::new(count),
        inherited: last,
        begun: Mutex::new(FxHashMap::default()),
    };
    Ok((Arc::new(handle), receiver))
}

impl AnnounceHandle {
    /// Whether so many more may be left.
    pub(crate) fn admits(&self, more: usize) -> bool {
        self.waiting.load(Ordering::Relaxed) + more <= WAITING_MAX
    }

    /// Hands committed announcements over.
    pub(crate) fn added(&self, entries: Vec<OutboxEntry>) {
        if entries.is_empty() {
            return;
        }
        self.waiting.fetch_add(entries.len(), Ordering::Relaxed);
        // While the task reads the store, it finds these there.
        if self.behind.load(Ordering::Acquire) || self.sender.try_send(entries).is_err() {
            self.behind.store(true, Ordering::Release);
            self.wake.notify_one();
        }
    }

    /// So many are done with, and that is committed.
    pub(crate) fn settled(&self, count: usize) {
        let less = |waiting: usize| Some(waiting.saturating_sub(count));
        let _previous = self.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }

    /// Announcements that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Whether an entry may have had an effect at its host.
    pub(crate) fn may_exist(&self, host: &str, entry: Seq) -> bool {
        entry <= self.inherited || self.begun.lock().get(host).is_some_and(|begun| entry <= *begun)
    }

    /// The entry is about to be sent.
    pub(super) fn begin(&self, host: &Text, entry: Seq) {
        let mut begun = self.begun.lock();
        let newest = begun.entry(host.clone()).or_insert(entry);
        *newest = entry.max(*newest);
    }
}
