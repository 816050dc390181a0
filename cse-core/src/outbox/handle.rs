//! Between the writer, which commits notifications, and the outbox task, which sends them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::hold::Hold;
use super::lane::stored_bytes;
use super::polled::Polled;
use crate::announce::is_announcement;
use crate::id::{Originator, Seq};
use crate::ports::{OutboxEntry, Snapshot, Store, StoreError};
use crate::settings::Settings;
use crate::time::Timestamp;

/// Handovers of the writer that wait; more make the outbox read the store.
const HANDOVERS_MAX: usize = 256;
/// Notifications counted in one step.
const PAGE: usize = 500;
/// Notifications and bytes that the writer may leave beyond bounds that are small.
const SLACK: usize = 64;
/// With so many outstanding, it is looked whether answers have to be held.
const HELD_FROM: usize = 256;

/// A committed notification on its way to the outbox, and the hold on the answer to the request that caused it.
pub(crate) struct Left {
    pub(crate) entry: OutboxEntry,
    pub(crate) hold: Option<Hold>,
}

/// What waits, as the outbox last said.
#[derive(Default)]
pub(crate) struct Backlog {
    pub(super) count: AtomicUsize,
    pub(super) bytes: AtomicUsize,
    /// When what has waited longest came to be.
    pub(super) oldest: Mutex<Option<Timestamp>>,
}

/// Where the writer leaves notifications.
pub(crate) struct OutboxHandle {
    sender: mpsc::Sender<Vec<Left>>,
    /// Set when a handover found no room: the store has to be read.
    behind: Arc<AtomicBool>,
    wake: Arc<tokio::sync::Notify>,
    backlog: Arc<Backlog>,
    polled: Arc<Polled>,
    /// Notifications that are committed and neither delivered nor given up.
    outstanding: AtomicUsize,
    outstanding_bytes: AtomicUsize,
    count_max: usize,
    bytes_max: usize,
}

/// What the outbox task reads from.
pub(crate) struct Inbox {
    pub(super) receiver: mpsc::Receiver<Vec<Left>>,
    pub(super) behind: Arc<AtomicBool>,
    pub(super) wake: Arc<tokio::sync::Notify>,
    pub(super) backlog: Arc<Backlog>,
    pub(super) polled: Arc<Polled>,
}

/// Both ends, for a store in which an earlier process may have left notifications.
pub(crate) async fn handle<S: Store>(settings: &Settings, store: &S) -> Result<(OutboxHandle, Inbox), StoreError> {
    let (sender, receiver) = mpsc::channel(HANDOVERS_MAX);
    let behind = Arc::new(AtomicBool::new(true));
    let wake = Arc::new(tokio::sync::Notify::new());
    let backlog = Arc::new(Backlog::default());
    let polled = Arc::new(Polled::default());
    let (count, bytes) = count_left(store).await?;
    let handle = OutboxHandle {
        sender,
        behind: Arc::clone(&behind),
        wake: Arc::clone(&wake),
        backlog: Arc::clone(&backlog),
        polled: Arc::clone(&polled),
        outstanding: AtomicUsize::new(count),
        outstanding_bytes: AtomicUsize::new(bytes),
        count_max: above(settings.notifications_max),
        bytes_max: above(settings.notification_bytes_max),
    };
    Ok((handle, Inbox { receiver, behind, wake, backlog, polled }))
}

/// The outbox makes room at its bounds a little later; what the writer may leave until then.
fn above(bound: usize) -> usize {
    bound.saturating_add(bound / 8).saturating_add(SLACK)
}

/// How many notifications an earlier process left, and their bytes.
async fn count_left<S: Store>(store: &S) -> Result<(usize, usize), StoreError> {
    let mut snapshot = store.snapshot().await?;
    let (mut count, mut bytes) = (0, 0);
    let mut after = Seq::START;
    loop {
        let page = snapshot.outbox(after, PAGE).await?;
        for entry in page.iter().filter(|entry| !is_announcement(entry)) {
            count += 1;
            bytes += stored_bytes(entry);
        }
        match page.last() {
            Some(last) if page.len() == PAGE => after = last.seq,
            _ => return Ok((count, bytes)),
        }
    }
}

impl OutboxHandle {
    /// Whether one more notification may be left, besides so many that are not committed yet.
    pub(crate) fn admits(&self, uncommitted: usize) -> bool {
        self.outstanding.load(Ordering::Relaxed) + uncommitted < self.count_max
            && self.outstanding_bytes.load(Ordering::Relaxed) < self.bytes_max
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
        let bytes = left.iter().map(|left| stored_bytes(&left.entry)).sum();
        self.outstanding_bytes.fetch_add(bytes, Ordering::Relaxed);
        // While the outbox reads the store, it finds these there.
        if self.behind.load(Ordering::Acquire) || self.sender.try_send(left).is_err() {
            self.behind.store(true, Ordering::Release);
            self.wake.notify_one();
        }
    }

    /// So many were delivered or given up, of so many bytes, and that is committed.
    pub(crate) fn settled(&self, count: usize, bytes: usize) {
        self.outstanding.fetch_sub(count, Ordering::Relaxed);
        self.outstanding_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Somebody fetches from a polling channel by which notifications could not be delivered.
    pub(crate) fn polled(&self, channel: Seq, owner: &Originator) {
        self.polled.add(channel, owner);
        self.wake.notify_one();
    }

    /// Notifications in memory.
    pub(crate) fn waiting(&self) -> usize {
        self.backlog.count.load(Ordering::Relaxed)
    }

    /// Bytes of these in the store, roughly, and when the oldest came to be.
    pub(crate) fn backlog(&self) -> (usize, Option<Timestamp>) {
        (self.backlog.bytes.load(Ordering::Relaxed), *self.backlog.oldest.lock())
    }
}
