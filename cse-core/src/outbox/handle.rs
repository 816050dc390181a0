//! Between the writer, which commits notifications, and the outbox task, which sends them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::sync::mpsc;

use super::hold::Hold;
use super::polled::Polled;
use crate::announce::is_announcement;
use crate::id::{Originator, Seq};
use crate::ports::{OutboxEntry, Snapshot, Store, StoreError};

/// Handovers of the writer that wait; more make the outbox read the store.
const HANDOVERS_MAX: usize = 256;
/// Notifications counted in one step.
const PAGE: usize = 500;
/// With so many outstanding, it is looked whether answers have to be held.
const HELD_FROM: usize = 256;

/// A committed notification on its way to the outbox, and the hold on the answer to the request that caused it.
pub(crate) struct Left {
    pub(crate) entry: OutboxEntry,
    pub(crate) hold: Option<Hold>,
}

/// Where the writer leaves notifications.
pub(crate) struct OutboxHandle {
    sender: mpsc::Sender<Vec<Left>>,
    /// Set when a handover found no room: the store has to be read.
    behind: Arc<AtomicBool>,
    wake: Arc<tokio::sync::Notify>,
    waiting: Arc<AtomicUsize>,
    polled: Arc<Polled>,
    /// Notifications that are committed and neither delivered nor given up.
    outstanding: AtomicUsize,
    outstanding_max: usize,
}

/// What the outbox task reads from.
pub(crate) struct Inbox {
    pub(super) receiver: mpsc::Receiver<Vec<Left>>,
    pub(super) behind: Arc<AtomicBool>,
    pub(super) wake: Arc<tokio::sync::Notify>,
    pub(super) waiting: Arc<AtomicUsize>,
    pub(super) polled: Arc<Polled>,
}

/// Both ends, for a store in which an earlier process may have left notifications.
pub(crate) async fn handle<S: Store>(outstanding_max: usize, store: &S) -> Result<(OutboxHandle, Inbox), StoreError> {
    let (sender, receiver) = mpsc::channel(HANDOVERS_MAX);
    let behind = Arc::new(AtomicBool::new(true));
    let wake = Arc::new(tokio::sync::Notify::new());
    let waiting = Arc::new(AtomicUsize::new(0));
    let polled = Arc::new(Polled::default());
    let left = count_left(store).await?;
    let handle = OutboxHandle {
        sender,
        behind: Arc::clone(&behind),
        wake: Arc::clone(&wake),
        waiting: Arc::clone(&waiting),
        polled: Arc::clone(&polled),
        outstanding: AtomicUsize::new(left),
        outstanding_max,
    };
    Ok((handle, Inbox { receiver, behind, wake, waiting, polled }))
}

async fn count_left<S: Store>(store: &S) -> Result<usize, StoreError> {
    let mut snapshot = store.snapshot().await?;
    let mut count = 0;
    let mut after = Seq::START;
    loop {
        let page = snapshot.outbox(after, PAGE).await?;
        count += page.iter().filter(|entry| !is_announcement(entry)).count();
        match page.last() {
            Some(last) if page.len() == PAGE => after = last.seq,
            _ => return Ok(count),
        }
    }
}

impl OutboxHandle {
    /// Whether one more notification may be left, besides so many that are not committed yet.
    pub(crate) fn admits(&self, uncommitted: usize) -> bool {
        self.outstanding.load(Ordering::Relaxed) + uncommitted < self.outstanding_max
    }

    /// Whether those who leave so many more may have to wait for their answers. Without a hold, answers need not take
    /// the way through the outbox.
    pub(crate) fn is_pressed(&self, more: usize) -> bool {
        self.outstanding.load(Ordering::Relaxed) + more > HELD_FROM
    }

    /// Hands committed notifications over.
    pub(crate) fn added(&self, left: Vec<Left>) {
        if left.is_empty() {
            return;
        }
        self.outstanding.fetch_add(left.len(), Ordering::Relaxed);
        // While the outbox reads the store, it finds these there.
        if self.behind.load(Ordering::Acquire) || self.sender.try_send(left).is_err() {
            self.behind.store(true, Ordering::Release);
            self.wake.notify_one();
        }
    }

    /// So many were delivered or given up, and that is committed.
    pub(crate) fn settled(&self, count: usize) {
        self.outstanding.fetch_sub(count, Ordering::Relaxed);
    }

    /// Somebody fetches from a polling channel by which notifications could not be delivered.
    pub(crate) fn polled(&self, channel: Seq, owner: &Originator) {
        self.polled.add(channel, owner);
        self.wake.notify_one();
    }

    /// Notifications in memory.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }
}
