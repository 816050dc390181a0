//! Delivers what committed transactions left behind: at least once, in order per target, with back-off.
//!
//! New notifications come from the writer in the order of commits. When they come faster than they leave, they
//! stay in the store and are read again later, so memory is bounded. Each target has a lane: a window of
//! notifications under way and the rest behind them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use rustc_hash::FxHashMap;
use tokio::sync::{mpsc, watch};

use crate::cse::Cse;
use crate::id::Seq;
use crate::ports::{BoxFuture, OutboxEntry, SendError, Sent, Snapshot, Store, StoreError};
use crate::settings::Settings;
use crate::time::Timestamp;
use crate::value::Text;
use crate::writer::{Delivered, DeliveryResult, Job};

/// Handovers of the writer that wait; more make the outbox read the store.
const HANDOVERS_MAX: usize = 256;
/// Notifications in memory; more stay in the store until these are gone.
const WAITING_MAX: usize = 20_000;
/// Notifications read from the store in one step.
const PAGE: usize = 500;
/// Results that are told the writer at once.
const RESULTS_MAX: usize = 512;
/// Notifications under way, all targets together.
const UNDER_WAY_MAX: usize = 1_024;
/// `ec` of a notification of which only the newest counts.
const LATEST: u32 = 4;

/// Where the writer leaves notifications.
pub(crate) struct OutboxHandle {
    sender: mpsc::Sender<Vec<OutboxEntry>>,
    /// Set when a handover found no room: the store has to be read.
    behind: Arc<AtomicBool>,
    wake: Arc<tokio::sync::Notify>,
    waiting: Arc<AtomicUsize>,
}

/// What the outbox task reads from.
pub(crate) struct Inbox {
    receiver: mpsc::Receiver<Vec<OutboxEntry>>,
    behind: Arc<AtomicBool>,
    wake: Arc<tokio::sync::Notify>,
    waiting: Arc<AtomicUsize>,
}

/// Both ends.
pub(crate) fn handle(_settings: &Settings) -> (OutboxHandle, Inbox) {
    let (sender, receiver) = mpsc::channel(HANDOVERS_MAX);
    // What an earlier process left is in the store.
    let behind = Arc::new(AtomicBool::new(true));
    let wake = Arc::new(tokio::sync::Notify::new());
    let waiting = Arc::new(AtomicUsize::new(0));
    let handle =
        OutboxHandle { sender, behind: Arc::clone(&behind), wake: Arc::clone(&wake), waiting: Arc::clone(&waiting) };
    (handle, Inbox { receiver, behind, wake, waiting })
}

impl OutboxHandle {
    /// Hands committed notifications over.
    pub(crate) fn added(&self, entries: Vec<OutboxEntry>) {
        if entries.is_empty() {
            return;
        }
        // While the outbox reads the store, it finds these there.
        if self.behind.load(Ordering::Acquire) || self.sender.try_send(entries).is_err() {
            self.behind.store(true, Ordering::Release);
            self.wake.notify_one();
        }
    }

    /// Notifications in memory.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }
}

/// Notifications to one target.
#[derive(Default)]
struct Lane {
    queue: VecDeque<OutboxEntry>,
    under_way: usize,
    /// Not before then, after a failure.
    not_before: Option<Timestamp>,
    failures: u32,
}

struct Outbox<S: Store> {
    cse: Cse<S>,
    inbox: Inbox,
    lanes: FxHashMap<Text, Lane>,
    /// The newest that was taken in; the store has nothing older that is not here.
    last: Seq,
    count: usize,
    under_way: FuturesUnordered<BoxFuture<'static, (OutboxEntry, Result<Sent, SendError>)>>,
    results: Vec<Delivered>,
}

/// Runs until stopped; what is under way then is tried again after the next start.
pub(crate) async fn run<S: Store>(cse: Cse<S>, inbox: Inbox, mut stop: watch::Receiver<bool>) {
    let mut outbox = Outbox {
        cse,
        inbox,
        lanes: FxHashMap::default(),
        last: Seq::START,
        count: 0,
        under_way: FuturesUnordered::new(),
        results: Vec::new(),
    };
    loop {
        tokio::select! {
            running = outbox.step() => if !running { return },
            _ = stop.wait_for(|stop| *stop) => break,
        }
    }
    outbox.finish().await;
}

impl<S: Store> Outbox<S> {
    /// Waits for the next thing to do and does it; `false` when the writer is gone.
    async fn step(&mut self) -> bool {
        if self.inbox.behind.load(Ordering::Acquire) && self.count < WAITING_MAX / 2 {
            self.catch_up().await;
        }
        let next_try = self.start_due();
        if !self.report().await {
            return false;
        }
        self.inbox.waiting.store(self.count, Ordering::Relaxed);
        let pause = next_try.map(|time| time.since(self.cse.0.clock.now()));
        let clock = Arc::clone(&self.cse.0.clock);
        let sleep = async {
            match pause {
                Some(pause) => clock.sleep(pause.max(Duration::from_millis(1))).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            Some((entry, result)) = self.under_way.next(), if !self.under_way.is_empty() => {
                self.finished(entry, result);
                // Whatever else is there already.
                while self.results.len() < RESULTS_MAX {
                    match futures_util::FutureExt::now_or_never(self.under_way.next()) {
                        Some(Some((entry, result))) => self.finished(entry, result),
                        _ => break,
                    }
                }
            }
            entries = self.inbox.receiver.recv(), if self.count < WAITING_MAX => match entries {
                Some(entries) => self.take_in(entries),
                None => return false,
            },
            () = self.inbox.wake.notified() => {}
            () = sleep => {}
        }
        true
    }

    /// Reads the store until it has no more, or until there is enough in memory.
    async fn catch_up(&mut self) {
        loop {
            // What was handed over before is older than what is in the store only.
            while let Ok(entries) = self.inbox.receiver.try_recv() {
                self.take_in(entries);
            }
            if self.count >= WAITING_MAX {
                return;
            }
            match self.read_page().await {
                Ok(page) if page.is_empty() => {
                    self.inbox.behind.store(false, Ordering::Release);
                    // A commit in between saw the old flag and handed nothing over.
                    match self.read_page().await {
                        Ok(page) if page.is_empty() => return,
                        Ok(page) => {
                            self.inbox.behind.store(true, Ordering::Release);
                            self.take_in(page);
                        }
                        Err(error) => return self.reading_failed(&error),
                    }
                }
                Ok(page) => self.take_in(page),
                Err(error) => return self.reading_failed(&error),
            }
        }
    }

    fn reading_failed(&mut self, error: &StoreError) {
        tracing::error!(%error, "the outbox cannot be read");
        self.inbox.behind.store(true, Ordering::Release);
    }

    async fn read_page(&mut self) -> Result<Vec<OutboxEntry>, StoreError> {
        let mut snapshot = self.cse.0.store.snapshot().await?;
        snapshot.outbox(self.last, PAGE).await
    }

    fn take_in(&mut self, entries: Vec<OutboxEntry>) {
        for entry in entries {
            if entry.seq <= self.last {
                continue;
            }
            self.last = entry.seq;
            self.count += 1;
            let lane = self.lanes.entry(entry.target.clone()).or_default();
            lane.queue.push_back(entry);
        }
    }

    /// Starts what may start now; returns when to look again.
    fn start_due(&mut self) -> Option<Timestamp> {
        let now = self.cse.0.clock.now();
        let window = self.cse.0.settings.notification_window.max(1);
        let mut next: Option<Timestamp> = None;
        let mut given_up = Vec::new();
        for lane in self.lanes.values_mut() {
            given_up.extend(lane.shorten(&self.cse.0.settings, now));
            if let Some(not_before) = lane.not_before.filter(|time| *time > now) {
                if !lane.queue.is_empty() {
                    next = Some(next.map_or(not_before, |next| next.min(not_before)));
                }
                continue;
            }
            // After a failure one tries the way for all.
            let window = if lane.failures > 0 { 1 } else { window };
            while lane.under_way < window && self.under_way.len() < UNDER_WAY_MAX {
                let Some(entry) = lane.queue.pop_front() else { break };
                lane.under_way += 1;
                let cse = self.cse.clone();
                self.under_way.push(Box::pin(async move {
                    let result = deliver(&cse, &entry).await;
                    (entry, result)
                }));
            }
        }
        self.count -= given_up.len().min(self.count);
        self.cse.0.metrics.notifications_given_up.add(given_up.len() as u64);
        self.results.extend(given_up.iter().map(|entry| delivered(entry, DeliveryResult::GivenUp)));
        next
    }

    fn finished(&mut self, entry: OutboxEntry, result: Result<Sent, SendError>) {
        let metrics = &self.cse.0.metrics;
        let settings = &self.cse.0.settings;
        let now = self.cse.0.clock.now();
        let target = entry.target.clone();
        let Some(lane) = self.lanes.get_mut(&target) else {
            return;
        };
        lane.under_way -= 1;
        match result {
            Ok(sent) => {
                lane.failures = 0;
                lane.not_before = None;
                self.count -= 1;
                metrics.notifications_delivered.increment();
                let result = match sent {
                    Sent::Answered(_) => DeliveryResult::Answered,
                    Sent::Unanswered | Sent::Unanswerable => DeliveryResult::Unanswered,
                };
                self.results.push(delivered(&entry, result));
            }
            Err(SendError::Unreachable(problem)) if entry.created.plus(settings.notification_lifetime) > now => {
                tracing::debug!(target = %entry.target, problem, "a notification is tried again later");
                metrics.notifications_retried.increment();
                if lane.not_before.is_none_or(|time| time <= now) {
                    let factor = 2_u32.saturating_pow(lane.failures.min(16));
                    let pause = settings.notification_retry_first.saturating_mul(factor);
                    lane.failures += 1;
                    lane.not_before = Some(now.plus(pause.min(settings.notification_retry_max)));
                }
                let at = lane.not_before.unwrap_or(now);
                let attempts = entry.attempts + 1;
                self.results.push(delivered(&entry, DeliveryResult::Again(at, attempts)));
                lane.put_back(OutboxEntry { attempts, next_try: at, ..entry });
            }
            Err(problem) => {
                tracing::info!(target = %entry.target, %problem, "a notification is given up");
                metrics.notifications_given_up.increment();
                self.count -= 1;
                self.results.push(delivered(&entry, DeliveryResult::GivenUp));
            }
        }
        if lane.queue.is_empty() && lane.under_way == 0 && lane.failures == 0 {
            self.lanes.remove(&target);
        }
    }

    /// Tells the writer what became of notifications; `false` when it is gone.
    async fn report(&mut self) -> bool {
        if self.results.is_empty() {
            return true;
        }
        let results = std::mem::take(&mut self.results);
        self.cse.0.jobs.send(Job::Delivered(results)).await.is_ok()
    }

    /// Notes what has arrived; the rest is in the store.
    async fn finish(&mut self) {
        let mut timeout = self.cse.0.clock.sleep(FINISH_MAX);
        loop {
            tokio::select! {
                next = self.under_way.next() => match next {
                    Some((entry, result)) => self.finished(entry, result),
                    None => break,
                },
                () = &mut timeout => break,
            }
        }
        self.report().await;
    }
}

/// How long stopping waits for notifications under way.
const FINISH_MAX: Duration = Duration::from_secs(2);

impl Lane {
    /// Gives up what is too old, what a newer one replaces, and what exceeds the bound.
    fn shorten(&mut self, settings: &Settings, now: Timestamp) -> Vec<OutboxEntry> {
        let mut given_up = Vec::new();
        while let Some(oldest) = self.queue.front()
            && oldest.created.plus(settings.notification_lifetime) <= now
        {
            given_up.extend(self.queue.pop_front());
        }
        while self.queue.len() > settings.notifications_per_target_max {
            given_up.extend(self.queue.pop_front());
        }
        if self.failures > 0 && self.queue.iter().any(|entry| entry.event_category == Some(LATEST)) {
            // Of what could not be delivered, only the newest of each subscription counts.
            let mut newest: FxHashMap<Seq, Seq> = FxHashMap::default();
            for entry in &self.queue {
                newest.insert(entry.subscription, entry.seq);
            }
            let is_kept = |entry: &OutboxEntry| {
                entry.event_category != Some(LATEST) || newest.get(&entry.subscription) == Some(&entry.seq)
            };
            let (kept, replaced): (Vec<_>, Vec<_>) = self.queue.drain(..).partition(is_kept);
            self.queue = kept.into();
            given_up.extend(replaced);
        }
        given_up
    }

    /// Puts one back where it was in the order.
    fn put_back(&mut self, entry: OutboxEntry) {
        let at = self.queue.iter().position(|other| other.seq > entry.seq).unwrap_or(self.queue.len());
        self.queue.insert(at, entry);
    }
}

fn delivered(entry: &OutboxEntry, result: DeliveryResult) -> Delivered {
    Delivered { seq: entry.seq, subscription: entry.subscription, target: entry.target.clone(), result }
}

/// One attempt.
async fn deliver<S: Store>(cse: &Cse<S>, entry: &OutboxEntry) -> Result<Sent, SendError> {
    let route = match cse.route(&entry.target).await {
        Ok(Some(route)) => route,
        Ok(None) => return Err(SendError::Unreachable("no registered, reachable AE of that name".into())),
        Err(error) => return Err(SendError::Unreachable(error.to_string())),
    };
    let request = cse.notify_request((*entry.content).clone(), entry.event_category);
    cse.send_along(route, request, cse.0.settings.notification_timeout).await
}
