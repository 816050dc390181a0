//! Does what is to be done at other CSEs: for each host one entry after another, with back-off.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use rustc_hash::FxHashMap;
use tokio::sync::{mpsc, oneshot, watch};

use super::handle::PAGE;
use super::send::{Again, Attempt};
use super::{AnnounceHandle, Announced, Outcome, Task, host_of, is_announcement, task_of, until};
use crate::cse::Cse;
use crate::id::Seq;
use crate::ports::{BoxFuture, OutboxEntry, Snapshot, Store, StoreError};
use crate::settings::Settings;
use crate::time::Timestamp;
use crate::value::Text;
use crate::writer::Job;

/// Entries in memory; more stay in the store until there are fewer.
const IN_MEMORY_MAX: usize = 100_000;
/// Hosts that something is sent to at the same time.
const UNDER_WAY_MAX: usize = 64;

/// What is to be done at one CSE.
#[derive(Default)]
struct Lane {
    waiting: VecDeque<OutboxEntry>,
    is_under_way: bool,
    /// Attempts in a row that came to nothing.
    failures: u32,
    /// How often the host has answered to the first entry.
    round: u32,
    /// Nothing starts before.
    next: Option<Timestamp>,
    /// Since when the host has not known this CSE, or nobody the host.
    strange_since: Option<Timestamp>,
}

type Finished = (Text, OutboxEntry, Result<Outcome, Again>);

struct Announcer<S: Store> {
    cse: Cse<S>,
    handle: Arc<AnnounceHandle>,
    lanes: FxHashMap<Text, Lane>,
    /// Lanes in which the next entry can start, and from when on.
    agenda: BTreeSet<(Timestamp, Text)>,
    count: usize,
    /// The newest entry that was taken in.
    last: Seq,
    under_way: FuturesUnordered<BoxFuture<'static, Finished>>,
}

/// Runs until stopped; what is under way then is done again after the next start.
pub(crate) async fn run<S: Store>(
    cse: Cse<S>,
    handle: Arc<AnnounceHandle>,
    mut inbox: mpsc::Receiver<Vec<OutboxEntry>>,
    mut stop: watch::Receiver<bool>,
) {
    let mut announcer = Announcer {
        cse,
        handle,
        lanes: FxHashMap::default(),
        agenda: BTreeSet::new(),
        count: 0,
        last: Seq::START,
        under_way: FuturesUnordered::new(),
    };
    let mut line = announcer.cse.0.line.subscribe();
    let work = async { while announcer.step(&mut inbox, &mut line).await {} };
    tokio::select! {
        () = work => {}
        _ = stop.wait_for(|stop| *stop) => {}
    }
}

impl<S: Store> Announcer<S> {
    /// Waits for the next thing to do and does it; `false` when the writer is gone.
    async fn step(&mut self, inbox: &mut mpsc::Receiver<Vec<OutboxEntry>>, line: &mut watch::Receiver<u64>) -> bool {
        if self.handle.behind.load(Ordering::Acquire) && self.count <= IN_MEMORY_MAX / 2 {
            self.catch_up(inbox).await;
        }
        let clock = Arc::clone(&self.cse.0.clock);
        self.start(clock.now());
        let pause = self.agenda.first().map(|(at, _)| at.since(clock.now()));
        let can_start = self.under_way.len() < UNDER_WAY_MAX;
        let sleep = async {
            match pause {
                Some(pause) if can_start => clock.sleep(pause.max(Duration::from_millis(1))).await,
                _ => std::future::pending().await,
            }
        };
        tokio::select! {
            Some(finished) = self.under_way.next(), if !self.under_way.is_empty() => self.finished(finished).await,
            entries = inbox.recv(), if self.count < IN_MEMORY_MAX => match entries {
                Some(entries) => {
                    self.take_in(entries);
                    true
                }
                None => false,
            },
            () = self.handle.wake.notified() => true,
            Ok(()) = line.changed() => {
                self.resume(clock.now());
                true
            }
            () = sleep => true,
        }
    }

    /// Reads the store until it has no more, or there is enough in memory.
    async fn catch_up(&mut self, inbox: &mut mpsc::Receiver<Vec<OutboxEntry>>) {
        while let Ok(entries) = inbox.try_recv() {
            self.take_in(entries);
        }
        while self.count < IN_MEMORY_MAX {
            // What is committed from here on is handed over, or sets the flag again.
            self.handle.behind.store(false, Ordering::Release);
            match read_page(&self.cse, self.last).await {
                Ok(page) if page.is_empty() => return,
                Ok(page) => {
                    self.handle.behind.store(true, Ordering::Release);
                    self.take_in(page);
                }
                Err(error) => {
                    tracing::error!(%error, "announcements cannot be read");
                    self.handle.behind.store(true, Ordering::Release);
                    self.cse.0.clock.sleep(Duration::from_secs(1)).await;
                    return;
                }
            }
        }
    }

    fn take_in(&mut self, entries: Vec<OutboxEntry>) {
        let now = self.cse.0.clock.now();
        for entry in entries {
            if entry.seq <= self.last {
                continue;
            }
            self.last = entry.seq;
            if !is_announcement(&entry) {
                continue;
            }
            let host = host_of(&entry);
            let lane = self.lanes.entry(host.clone()).or_default();
            if lane.waiting.is_empty() && !lane.is_under_way {
                self.agenda.insert((lane.start(now), host));
            }
            lane.waiting.push_back(entry);
            self.count += 1;
        }
    }

    fn start(&mut self, now: Timestamp) {
        while self.under_way.len() < UNDER_WAY_MAX
            && self.agenda.first().is_some_and(|(at, _)| *at <= now)
            && let Some((_, host)) = self.agenda.pop_first()
        {
            let Some(lane) = self.lanes.get_mut(&host) else { continue };
            let Some(entry) = lane.waiting.pop_front() else { continue };
            lane.is_under_way = true;
            let (cse, handle, round) = (self.cse.clone(), Arc::clone(&self.handle), lane.round);
            self.under_way.push(Box::pin(async move {
                let outcome = Attempt::new(&cse, &entry, round, &handle).make().await;
                (host, entry, outcome)
            }));
        }
    }

    /// Ends all pauses: there is reason to believe that hosts are reached again.
    fn resume(&mut self, now: Timestamp) {
        for (_, host) in std::mem::take(&mut self.agenda) {
            if let Some(lane) = self.lanes.get_mut(&host) {
                lane.next = None;
                self.agenda.insert((now, host));
            }
        }
    }

    /// Tells the writer what came of an entry, so that what comes after builds on it; `false` when the writer is gone.
    async fn finished(&mut self, (host, entry, attempt): Finished) -> bool {
        let shared = Arc::clone(&self.cse.0);
        let now = shared.clock.now();
        let strange_since = self.lanes.get_mut(&host).and_then(|lane| lane.note_strangeness(&attempt, now));
        let outcome = match attempt {
            Ok(outcome) => outcome,
            Err(again) => match given_up(&entry, strange_since, &shared.settings, now) {
                Some(outcome) => {
                    tracing::warn!(%host, problem = again.problem, "an announcement is given up");
                    outcome
                }
                None => {
                    tracing::debug!(%host, problem = again.problem, "an announcement is tried again later");
                    shared.metrics.announcements_retried.increment();
                    self.again(&host, entry, true, now);
                    return true;
                }
            },
        };
        let goes_on = matches!(outcome, Outcome::BaseCreated { .. } | Outcome::BaseVanished | Outcome::Vanished);
        let is_setback = matches!(outcome, Outcome::BaseVanished | Outcome::Vanished | Outcome::ParentVanished);
        let (done, is_done) = oneshot::channel();
        let announced = Announced {
            entry: entry.seq,
            original: entry.subscription,
            host: host.clone(),
            synchronizes: task_of(&entry) == Task::Synchronize,
            outcome,
        };
        if shared.jobs.send(Job::Announced(Box::new(announced), done)).await.is_err() {
            return false;
        }
        if is_done.await.is_err() {
            // The commit failed. Nothing was noted, so it is done again.
            self.again(&host, entry, true, now);
            return true;
        }
        if let Some(lane) = self.lanes.get_mut(&host) {
            lane.round = if goes_on { lane.round + 1 } else { 0 };
        }
        if goes_on {
            self.again(&host, entry, is_setback, now);
            return true;
        }
        shared.metrics.announced.increment();
        self.count -= 1;
        if let Some(lane) = self.lanes.get_mut(&host) {
            lane.is_under_way = false;
            if is_setback {
                lane.pause(&shared.settings, now);
            } else {
                lane.failures = 0;
            }
            if lane.waiting.is_empty() && !is_setback {
                self.lanes.remove(&host);
            } else if !lane.waiting.is_empty() {
                self.agenda.insert((lane.start(now), host));
            }
        }
        true
    }

    fn again(&mut self, host: &Text, entry: OutboxEntry, is_failure: bool, now: Timestamp) {
        let Some(lane) = self.lanes.get_mut(host) else { return };
        lane.is_under_way = false;
        lane.waiting.push_front(entry);
        if is_failure {
            lane.pause(&self.cse.0.settings, now);
        }
        self.agenda.insert((lane.start(now), host.clone()));
    }
}

async fn read_page<S: Store>(cse: &Cse<S>, after: Seq) -> Result<Vec<OutboxEntry>, StoreError> {
    cse.0.store.snapshot().await?.outbox(after, PAGE).await
}

impl Lane {
    fn pause(&mut self, settings: &Settings, now: Timestamp) {
        let pause = settings.retry_pause(self.failures);
        self.failures = self.failures.saturating_add(1);
        self.next = Some(now.plus(pause));
    }

    /// Notes whether the host knows this CSE; returns since when not.
    fn note_strangeness(&mut self, attempt: &Result<Outcome, Again>, now: Timestamp) -> Option<Timestamp> {
        let is_stranger = attempt.as_ref().is_err_and(|again| again.is_stranger);
        self.strange_since = is_stranger.then(|| self.strange_since.unwrap_or(now));
        self.strange_since
    }

    /// When the next entry can start.
    fn start(&self, now: Timestamp) -> Timestamp {
        self.next.map_or(now, |next| next.max(now))
    }
}

/// What becomes of an entry that failed, if it is tried no more: copies that have expired by now need not be deleted, and
/// a host that nobody knows for so long is taken for a mistake.
fn given_up(
    entry: &OutboxEntry,
    strange_since: Option<Timestamp>,
    settings: &Settings,
    now: Timestamp,
) -> Option<Outcome> {
    if until(entry).is_some_and(|until| until <= now) {
        return Some(Outcome::Done);
    }
    // Not since the entry was made: it may have waited for the line for days.
    let is_late = strange_since.is_some_and(|since| since.plus(settings.notification_lifetime) <= now);
    is_late.then(|| match task_of(entry) {
        Task::Synchronize => Outcome::Refused,
        Task::Remove(_) | Task::Find { .. } | Task::Below(_) | Task::Record(_) => Outcome::Done,
    })
}
