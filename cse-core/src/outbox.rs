//! Delivers what committed transactions left behind: at least once, in order per target, with back-off.
//!
//! New notifications come from the writer in the order of commits. When they come faster than they are taken
//! in, they are read from the store instead. Each target has a [`Lane`]: notifications under way and those
//! that wait behind them. What waits for long is kept without its content, so that targets that cannot be
//! reached cost little memory and never keep others from being served. Work is done only for lanes in which
//! something can start (`ready`) or whose pause is over (`pauses`), however many lanes there are.

mod delivery;
mod handle;
mod hold;
mod intake;
mod lane;
mod line;
mod loss;
mod polled;
mod relief;
mod thinning;

pub(crate) use handle::{Inbox, Left, OutboxHandle, handle};
pub(crate) use hold::{Hold, Release};
pub(crate) use loss::Loss;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use rustc_hash::FxHashMap;
use tokio::sync::watch;

use crate::cse::Cse;
use crate::id::Seq;
use crate::op::route::Route;
use crate::ports::{BoxFuture, Destination, SendError, Sent, Store};
use crate::time::Timestamp;
use crate::value::Text;
use crate::writer::{Delivered, DeliveryResult, Job};
use delivery::{Attempt, by_other_cse, deliver, way};
use lane::{Lane, Waiting};

/// Notifications known in memory; more stay in the store until there are fewer.
const WAITING_MAX: usize = 1_000_000;
/// Notifications whose content is in memory; others are read from the store when their turn comes.
const LOADED_MAX: usize = 20_000;
/// Answers to those who cause notifications wait while so many are in memory, or in the lane of one of their targets.
const HELD_FROM: usize = LOADED_MAX / 2;
const HELD_FROM_IN_LANE: usize = 512;
/// Results that are told the writer at once.
const RESULTS_MAX: usize = 512;
/// Notifications under way, all targets together.
const UNDER_WAY_MAX: usize = 4_096;
/// How old what is told of the oldest notification may be while there is something to do.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// How long stopping waits for notifications under way.
const FINISH_MAX: Duration = Duration::from_secs(2);

struct Outbox<S: Store> {
    cse: Cse<S>,
    inbox: Inbox,
    lanes: FxHashMap<Text, Lane>,
    /// Lanes in which something can start, in turn.
    ready: VecDeque<Text>,
    /// When lanes may try again; entries of lanes that no longer pause are passed over.
    pauses: BinaryHeap<Reverse<(Timestamp, Text)>>,
    /// Lanes in which the policies for what waits have to be applied.
    to_thin: Vec<Text>,
    /// The newest that was taken in; the store has nothing older that is not here.
    last: Seq,
    /// Notifications in memory, and those of them with content that do not travel yet.
    count: usize,
    loaded: usize,
    /// Bytes of all that are in memory, as they are in the store.
    bytes: usize,
    /// Whether too much waits, and that has been said.
    is_losing: bool,
    /// When it was last looked what has waited longest.
    looked: Option<Timestamp>,
    under_way: FuturesUnordered<BoxFuture<'static, (Text, Waiting, Attempt)>>,
    results: Vec<Delivered>,
}

/// Runs until stopped; what is under way then is tried again after the next start.
pub(crate) async fn run<S: Store>(cse: Cse<S>, inbox: Inbox, mut stop: watch::Receiver<bool>) {
    let mut outbox = Outbox {
        cse,
        inbox,
        lanes: FxHashMap::default(),
        ready: VecDeque::new(),
        pauses: BinaryHeap::new(),
        to_thin: Vec::new(),
        last: Seq::START,
        count: 0,
        loaded: 0,
        bytes: 0,
        is_losing: false,
        looked: None,
        under_way: FuturesUnordered::new(),
        results: Vec::new(),
    };
    let mut line = outbox.cse.0.line.subscribe();
    loop {
        tokio::select! {
            running = outbox.step(&mut line) => if !running { return },
            _ = stop.wait_for(|stop| *stop) => break,
        }
    }
    outbox.finish().await;
}

impl<S: Store> Outbox<S> {
    /// Waits for the next thing to do and does it; `false` when the writer is gone.
    async fn step(&mut self, line: &mut watch::Receiver<u64>) -> bool {
        if self.inbox.behind.load(Ordering::Acquire) && self.count <= WAITING_MAX / 2 {
            self.catch_up().await;
        }
        self.resume_polled();
        self.end_pauses();
        while let Some(target) = self.to_thin.pop() {
            self.thin(&target).await;
        }
        self.relieve();
        self.start_ready().await;
        if !self.report().await {
            return false;
        }
        self.tell();
        let clock = Arc::clone(&self.cse.0.clock);
        let pause = self.pauses.peek().map(|Reverse((until, _))| until.since(clock.now()));
        let sleep = async {
            match pause {
                Some(pause) => clock.sleep(pause.max(Duration::from_millis(1))).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            Some((target, waiting, attempt)) = self.under_way.next(), if !self.under_way.is_empty() => {
                self.finished(&target, waiting, attempt);
                // Whatever else is there already.
                while self.results.len() < RESULTS_MAX {
                    match self.under_way.next().now_or_never() {
                        Some(Some((target, waiting, attempt))) => self.finished(&target, waiting, attempt),
                        _ => break,
                    }
                }
            }
            entries = self.inbox.receiver.recv(), if self.count < WAITING_MAX => match entries {
                Some(left) => self.take_in(left),
                None => return false,
            },
            () = self.inbox.wake.notified() => {}
            Ok(()) = line.changed() => self.resume_remote(),
            () = sleep => {}
        }
        true
    }

    /// Tells others what waits.
    fn tell(&mut self) {
        let backlog = &self.inbox.backlog;
        backlog.count.store(self.count, Ordering::Relaxed);
        backlog.bytes.store(self.bytes, Ordering::Relaxed);
        let now = self.cse.0.clock.now();
        // There may be many lanes, so it is not looked each time.
        if self.count == 0 {
            (self.looked, *backlog.oldest.lock()) = (None, None);
        } else if self.looked.is_none_or(|looked| now.since(looked) >= LOOK_AGAIN || now < looked) {
            (self.looked, *backlog.oldest.lock()) = (Some(now), self.oldest());
        }
    }

    /// Has lanes try again whose pause is over.
    fn end_pauses(&mut self) {
        let now = self.cse.0.clock.now();
        while let Some(Reverse((until, _))) = self.pauses.peek()
            && *until <= now
        {
            let Some(Reverse((_, target))) = self.pauses.pop() else { return };
            if let Some(lane) = self.lanes.get_mut(&target)
                && lane.paused_until.is_some_and(|until| until <= now)
            {
                lane.paused_until = None;
                // Much of what has piled up in the pause may be out of date.
                lane.is_to_thin = true;
                self.to_thin.push(target.clone());
                self.make_ready(&target);
            }
        }
    }

    fn make_ready(&mut self, target: &Text) {
        if let Some(lane) = self.lanes.get_mut(target)
            && !lane.is_ready
        {
            lane.is_ready = true;
            self.ready.push_back(target.clone());
        }
    }

    async fn start_ready(&mut self) {
        while self.under_way.len() < UNDER_WAY_MAX {
            let Some(target) = self.ready.pop_front() else { return };
            if let Some(lane) = self.lanes.get_mut(&target) {
                lane.is_ready = false;
            }
            self.start(&target).await;
        }
    }

    /// Starts what a lane can start now. What has to be read before is read here, once for all of them: by themselves
    /// they would overtake one another.
    async fn start(&mut self, target: &Text) {
        let settings = &self.cse.0.settings;
        let Some(lane) = self.lanes.get(target) else { return };
        if lane.is_resting() {
            return;
        }
        if lane.can_start(settings) {
            if let Some(first) = lane.first_unread() {
                self.read_contents(target, first).await;
            }
            match way(&self.cse, target).await {
                Ok(way) => match way.closed_until() {
                    Some(until) => self.rest(target, until),
                    None => self.start_along(target, &way),
                },
                Err(problem) => self.cannot_start(target, problem),
            }
        }
        let Some(lane) = self.lanes.get(target) else { return };
        if lane.can_start(&self.cse.0.settings) && !lane.is_resting() {
            self.make_ready(target);
        } else if lane.is_over() {
            self.lanes.remove(target);
        }
    }

    fn start_along(&mut self, target: &Text, way: &Arc<Route>) {
        let settings = &self.cse.0.settings;
        let Some(lane) = self.lanes.get_mut(target) else { return };
        lane.channel = way.channel.map(|channel| channel.seq);
        lane.keeps_order = way.destinations.iter().all(Destination::keeps_order);
        // Asked once for all of them: a poll that begins in between would be given the second before the first.
        if let Some(channel) = lane.channel.filter(|_| way.destinations.is_empty())
            && !self.cse.0.polling.is_polled(channel)
        {
            return self.cannot_start(target, "nobody fetches from its polling channel".into());
        }
        while !lane.is_resting() && lane.can_start(settings) && self.under_way.len() < UNDER_WAY_MAX {
            let Some((mut waiting, content)) = lane.take_first_read() else { return };
            self.loaded -= 1;
            lane.under_way += 1;
            let (patience, is_probe) = lane.patience();
            waiting.is_probe = is_probe;
            let (cse, way, target, is_remote) = (self.cse.clone(), Arc::clone(way), target.clone(), lane.is_remote);
            self.under_way.push(Box::pin(async move {
                let attempt = deliver(&cse, &way, &content, &waiting, patience).await;
                let attempt = if is_remote { by_other_cse(attempt) } else { attempt };
                (target, waiting, attempt)
            }));
        }
    }

    /// Lets a lane wait for the times in which its target can be reached. It looks again before, since schedules change.
    fn rest(&mut self, target: &Text, until: Timestamp) {
        let now = self.cse.0.clock.now();
        let until = until.min(now.plus(self.cse.0.settings.notification_retry_max));
        let Some(lane) = self.lanes.get_mut(target) else { return };
        lane.was_unreachable = true;
        self.loaded -= lane.unload();
        lane.pause_until(until, target, &mut self.pauses);
    }

    /// The first one fails for all of its lane.
    fn cannot_start(&mut self, target: &Text, problem: String) {
        let Some(lane) = self.lanes.get_mut(target) else { return };
        let Some(waiting) = lane.take_first() else { return };
        self.loaded -= usize::from(waiting.content.is_some());
        lane.under_way += 1;
        self.finished(target, waiting, Err(SendError::Unreachable(problem)));
    }

    fn finished(&mut self, target: &Text, mut waiting: Waiting, attempt: Attempt) {
        let metrics = &self.cse.0.metrics;
        let settings = &self.cse.0.settings;
        let now = self.cse.0.clock.now();
        let Some(lane) = self.lanes.get_mut(target) else {
            return;
        };
        lane.under_way -= 1;
        lane.is_probed &= !waiting.is_probe;
        match attempt {
            Ok(sent) => {
                if lane.recovered() {
                    lane.is_to_thin = true;
                    self.to_thin.push(target.clone());
                }
                self.count -= 1;
                self.bytes -= waiting.bytes;
                metrics.notifications_delivered.increment();
                let result = match sent {
                    Sent::Answered(_) => DeliveryResult::Answered,
                    Sent::Unanswered | Sent::Unanswerable => DeliveryResult::Unanswered,
                };
                lane.note_answer(result == DeliveryResult::Answered, settings);
                self.results.push(delivered(target, &waiting, result));
            }
            Err(SendError::Unreachable(problem) | SendError::Unconfirmed(problem))
                if waiting.created.plus(settings.notification_patience(lane.is_remote)) > now =>
            {
                tracing::debug!(%target, problem, "a notification is tried again later");
                metrics.notifications_retried.increment();
                let until = lane.failed(settings, now);
                lane.pause_until(until, target, &mut self.pauses);
                waiting.attempts += 1;
                waiting.content = None;
                self.results.push(delivered(target, &waiting, DeliveryResult::Again(until, waiting.attempts)));
                self.loaded -= lane.unload();
                if let Some(replaced) = lane.put(waiting) {
                    self.drop_waiting(target, &replaced);
                }
            }
            Err(problem) => {
                tracing::info!(%target, %problem, "a notification is given up");
                let is_late = matches!(problem, SendError::Unreachable(_) | SendError::Unconfirmed(_));
                let loss = if is_late { Loss::Age } else { Loss::Useless };
                loss.count(metrics, 1);
                self.count -= 1;
                self.bytes -= waiting.bytes;
                self.results.push(delivered(target, &waiting, DeliveryResult::GivenUp));
            }
        }
        self.make_ready(target);
    }

    /// Forgets a notification that waits no more in its lane.
    fn drop_waiting(&mut self, target: &Text, waiting: &Waiting) {
        self.count -= 1;
        self.bytes -= waiting.bytes;
        self.loaded -= usize::from(waiting.content.is_some());
        self.results.push(delivered(target, waiting, DeliveryResult::GivenUp));
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
                    Some((target, waiting, attempt)) => self.finished(&target, waiting, attempt),
                    None => break,
                },
                () = &mut timeout => break,
            }
        }
        self.report().await;
    }
}

fn delivered(target: &Text, waiting: &Waiting, result: DeliveryResult) -> Delivered {
    let Waiting { seq, subscription, bytes, .. } = *waiting;
    Delivered { seq, subscription, target: target.clone(), bytes, result }
}
