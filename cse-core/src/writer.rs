//! The one task that changes the tree: takes what is waiting, decides one after another, commits once.

mod answered;
mod change;
mod delivered;
mod due;
mod observed;
mod passage;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use tokio::sync::{mpsc, oneshot, watch};
use tracing::Instrument;

use self::answered::Answered;
use self::change::Waiting;
pub(crate) use self::change::{Change, Outcome};
pub(crate) use self::delivered::{Delivered, DeliveryResult};
pub(crate) use self::observed::Observed;
pub(crate) use self::passage::{PassOn, Passage, PassedOn, Under};
use crate::access::authorize::Permit;
use crate::announce::{self, Announced};
use crate::base;
use crate::cse::Shared;
use crate::error::Error;
use crate::id::Seq;
use crate::non_blocking;
use crate::notify::Pacing;
use crate::outbox::{Hold, Left, Release};
use crate::overlay::{Effects, Overlay, Windows};
use crate::ports::{Reply, Snapshot as _, Store, WriteTransaction};
use crate::primitive::Response;
use crate::record::Recent;
use crate::schema::Ty;
use crate::time::Timestamp;
use crate::value::Map;
use crate::view::{View, WriteSource};

/// Numbers that are reserved at once, how many must be left before a group begins, and before a further change of
/// the group: more than one change may need.
const NUMBERS_RESERVED: u32 = 65_536;
const NUMBERS_LEFT_MIN: i64 = 32_768;
const NUMBERS_PER_CHANGE_MAX: i64 = 16_384;
/// Requests that wait for the writer before it has to begin.
pub(crate) type Jobs = mpsc::Receiver<Job>;

/// Something to be done by the writer.
pub(crate) enum Job {
    /// A request that changes something.
    Change(Box<Change>),
    /// A request that is about to be passed on.
    PassOn(PassOn),
    /// What came of one that was.
    PassedOn(PassedOn),
    /// A read that somebody wants to be told of.
    Observed(Observed),
    /// Something may be due; dropped when it has been looked at.
    Due(oneshot::Sender<()>),
    /// What became of notifications.
    Delivered(Vec<Delivered>),
    /// How far a non-blocking request has come.
    NonBlocking(non_blocking::Step),
    /// The CSE has changed in a way that the CSEBase shows: these attributes.
    Base(Map),
    /// What came of an announcement; told when it is committed.
    Announced(Box<Announced>, oneshot::Sender<()>),
}

/// Numbers that no other resource has had.
pub(crate) struct Numbers {
    next: i64,
    end: i64,
}

impl Numbers {
    fn left(&self) -> i64 {
        self.end - self.next
    }

    /// The next one.
    ///
    /// # Errors
    /// [`Error::Busy`] when one change needs more than there are for it.
    pub(crate) fn take(&mut self) -> Result<Seq, Error> {
        if self.next >= self.end {
            return Err(Error::Busy("too many changes at once"));
        }
        self.next += 1;
        Ok(Seq(self.next - 1))
    }
}

/// The writer's memory between groups.
struct Writer<S: Store> {
    shared: Arc<Shared<S>>,
    windows: Windows,
    pacing: Pacing,
    numbers: Numbers,
    answered: Answered,
    /// Answers known to be stored, so that forgetting them is asked for now and then only.
    replies_since_pruning: u32,
    /// Which of them are kept for longer.
    recent: Recent,
    /// Old answers up to there have been looked at: those that are not kept now never are, and those that are come anew.
    faded_through: u64,
}

/// Runs until stopped, and then until what waits is done.
pub(crate) async fn run<S: Store>(shared: Arc<Shared<S>>, mut jobs: Jobs, mut stop: watch::Receiver<bool>) {
    let numbers = Numbers { next: 0, end: 0 };
    let mut writer = Writer {
        shared,
        windows: Windows::new(),
        pacing: Pacing::new(),
        numbers,
        answered: Answered::new(),
        replies_since_pruning: 0,
        recent: Recent::default(),
        faded_through: 0,
    };
    let mut group = Vec::new();
    let size_max = writer.shared.settings.group_size_max.max(1);
    let mut stopping = false;
    loop {
        let received = if !group.is_empty() {
            // What the group before left.
            group.len()
        } else if stopping {
            jobs.recv_many(&mut group, size_max).await
        } else {
            let received = tokio::select! {
                biased;
                received = jobs.recv_many(&mut group, size_max) => Some(received),
                _ = stop.wait_for(|stop| *stop) => {
                    stopping = true;
                    jobs.close();
                    continue;
                }
                () = writer.answered.due() => None,
            };
            match received {
                Some(received) => received,
                None => {
                    writer.run_group(&mut group).await;
                    continue;
                }
            }
        };
        if received == 0 {
            if !writer.answered.is_empty() {
                writer.run_group(&mut group).await;
            }
            return;
        }
        // Requests come in bursts, and this task wakes with the first. The rest of the burst gets the chance to be
        // part of the commit; under light load nobody else is ready, and nothing is waited for.
        tokio::task::yield_now().await;
        while group.len() < size_max
            && let Ok(job) = jobs.try_recv()
        {
            group.push(job);
        }
        writer.put_off_answers(&mut group);
        if !group.is_empty() || writer.answered.is_full() {
            writer.run_group(&mut group).await;
        }
    }
}

impl<S: Store> Writer<S> {
    /// Takes the answers to passed-on requests out of a group: alone they are no reason for a commit.
    fn put_off_answers(&mut self, group: &mut Vec<Job>) {
        if group.iter().any(|job| matches!(job, Job::PassedOn(_))) {
            for job in std::mem::take(group) {
                match job {
                    Job::PassedOn(answer) => self.answered.add(answer, &*self.shared.clock),
                    other => group.push(other),
                }
            }
        }
    }

    /// Carries out a group in one commit, with the answers that wait for one; leaves those jobs in it that must wait for the next.
    async fn run_group(&mut self, group: &mut Vec<Job>) {
        let shared = Arc::clone(&self.shared);
        if let Err(error) = self.reserve_numbers().await {
            tracing::error!(%error, "the store failed; {} changes are refused", group.len());
            refuse_all(group.drain(..));
            drop(self.answered.take());
            return;
        }
        let mut overlay = Overlay::default();
        let mut transaction: Option<S::Write> = None;
        let mut broken = false;
        let mut waiting: Vec<Waiting> = Vec::with_capacity(group.len());
        let mut passages = Vec::new();
        let mut dues = Vec::new();
        let mut noted = Vec::new();
        // Notifications that the outbox needs no more, and their bytes.
        let mut settled = (0, 0);
        let answers = self.answered.take().into_iter().map(Job::PassedOn);
        let mut jobs = answers.chain(std::mem::take(group));
        for job in jobs.by_ref() {
            let now = shared.clock.now();
            let source = WriteSource {
                store: &shared.store,
                cache: &shared.cache,
                transaction: &mut transaction,
                overlay: &mut overlay,
                windows: &mut self.windows,
                pacing: &mut self.pacing,
                outbox: &shared.outbox,
                announce: &shared.announce,
                metrics: &shared.metrics,
                numbers: &mut self.numbers,
                broken: &mut broken,
            };
            let mut view = View::new(&shared.settings, &shared.cache, &shared.elsewhere, source, now);
            // A decision has no effect before it is applied, so one that panics leaves nothing behind.
            let work = async {
                match job {
                    Job::Change(change) => {
                        let span = change.span.clone();
                        let (metrics, book) = (&shared.metrics, &shared.non_blocking);
                        change.run(&mut view, metrics, book, &mut waiting).instrument(span).await;
                    }
                    Job::PassOn(request) => {
                        let answered = &mut self.answered;
                        report(request.run(&mut view, &shared.metrics, answered, &mut passages).await);
                    }
                    Job::PassedOn(passed_on) => report(passed_on.run(&mut view, &mut self.answered).await),
                    Job::Due(done) => {
                        dues.push(done);
                        report(due::serve(&mut view, &shared).await);
                    }
                    Job::Announced(announced, done) => match announce::settle::note(&mut view, *announced).await {
                        Ok(()) => noted.push(done),
                        Err(error) => report(Err(error)),
                    },
                    Job::Base(attributes) => report(base::change(&mut view, attributes).await),
                    Job::Observed(observed) => report(observed.run(&mut view).await),
                    Job::NonBlocking(non_blocking::Step { of, what, done }) => {
                        dues.push(done);
                        let noted = non_blocking::note(&mut view, of, &what).await;
                        report(noted.map(|effects| view.source.apply(effects)));
                    }
                    Job::Delivered(results) => {
                        let ended = results.iter().filter(|delivered| delivered.result.is_final());
                        let (count, bytes) = ended.fold((0, 0), |(count, bytes), one| (count + 1, bytes + one.bytes));
                        settled = (settled.0 + count, settled.1 + bytes);
                        report(delivered::note(&mut view, results).await);
                    }
                }
            };
            if AssertUnwindSafe(work).catch_unwind().await.is_err() {
                tracing::error!("a change made the CSE panic");
            }
            if self.numbers.left() < NUMBERS_PER_CHANGE_MAX {
                break;
            }
        }
        group.extend(jobs);
        self.prune_replies(&mut overlay).await;
        if !broken && !overlay.is_empty() {
            match commit(&shared.store, transaction, &mut overlay).await {
                Ok(()) => shared.metrics.commits.increment(),
                Err(error) => {
                    tracing::error!(%error, "the commit failed; {} changes are refused", waiting.len());
                    broken = true;
                }
            }
        }
        if broken {
            self.windows.clear();
            self.pacing.clear();
            self.answered.forget_given();
            self.faded_through = 0;
            for Waiting { reply, response, .. } in waiting {
                let failed = Response::error(response.request_identifier, &Error::Internal);
                drop(reply.send(Outcome::Done(failed, None)));
            }
            return;
        }
        let outbox = std::mem::take(&mut overlay.outbox);
        let mut left: Vec<Left> = outbox.into_iter().map(|entry| Left { entry, hold: None }).collect();
        let is_pressed = shared.outbox.is_pressed(left.len());
        let announcements = std::mem::take(&mut overlay.announcements);
        let announcements_settled = overlay.announcements_settled;
        let deadline = overlay.earliest_deadline;
        let committed = overlay.committed();
        shared.registrations.commit(&committed);
        shared.availability.commit(&committed);
        shared.non_blocking.commit(&committed);
        let deleted = committed.deleted.clone();
        let copies_changed = committed.changed.iter().any(|node| node.ty.is_announced());
        // A CSE has registered, or told where it is now.
        let cse_came = committed.changed.iter().any(|node| node.ty == Ty::REMOTE_CSE);
        shared.cache.commit(committed);
        shared.polling.deleted(&deleted);
        if copies_changed {
            shared.copies_changed.tell();
        }
        for Waiting { reply, response, left: own } in waiting {
            let release = left.get_mut(own).filter(|own| is_pressed && !own.is_empty()).map(hold);
            // Whoever asked may be gone; the change stands.
            drop(reply.send(Outcome::Done(response, release)));
        }
        for (reply, passage) in passages {
            drop(reply.send(passage));
        }
        shared.outbox.settled(settled.0, settled.1);
        shared.outbox.added(left);
        // In this order, because the group may have replaced what it added.
        shared.announce.added(announcements);
        shared.announce.settled(announcements_settled);
        if cse_came {
            shared.line_is_back();
        }
        for done in noted {
            // It may have stopped; the entry is done again after the next start.
            let _told = done.send(());
        }
        if let Some(deadline) = deadline {
            shared.deadline_added(deadline);
        }
    }

    async fn reserve_numbers(&mut self) -> Result<(), crate::ports::StoreError> {
        if self.numbers.left() < NUMBERS_LEFT_MIN {
            let first = self.shared.store.reserve_numbers(NUMBERS_RESERVED).await?.0;
            self.numbers = Numbers { next: first, end: first + i64::from(NUMBERS_RESERVED) };
        }
        Ok(())
    }

    /// Forgets old answers now and then.
    async fn prune_replies(&mut self, overlay: &mut Overlay) {
        const PRUNE_AFTER: u32 = 1_000;
        overlay.replies().iter().for_each(|reply| self.recent.note(reply));
        self.replies_since_pruning += overlay.replies().len() as u32;
        if self.replies_since_pruning < PRUNE_AFTER {
            return;
        }
        let now = self.shared.clock.now();
        let lifetime = self.shared.settings.reply_lifetime;
        let micros = i64::try_from(lifetime.as_micros()).unwrap_or(i64::MAX);
        let before = Timestamp::from_micros(now.micros().saturating_sub(micros));
        match fading_replies(&self.shared.store, self.faded_through, before).await {
            Ok((fading, through)) => {
                self.faded_through = through;
                for reply in fading {
                    if self.recent.keeps(&reply, now) && overlay.reply(reply.key).is_none() {
                        overlay.remember(Reply { at: now, ..reply });
                    }
                }
            }
            // What is not known cannot be kept, so nothing is forgotten.
            Err(error) => return tracing::error!(%error, "old answers cannot be read"),
        }
        self.replies_since_pruning = 0;
        let mut effects = Effects::new(Permit::internal("forgetting old answers"));
        effects.forget_replies_before = Some(before);
        overlay.apply(effects, &mut self.windows);
    }
}

async fn fading_replies<S: Store>(
    store: &S,
    after: u64,
    before: Timestamp,
) -> Result<(Vec<Reply>, u64), crate::ports::StoreError> {
    store.snapshot().await?.fading_replies(after, before).await
}

async fn commit<S: Store>(
    store: &S,
    transaction: Option<S::Write>,
    overlay: &mut Overlay,
) -> Result<(), crate::ports::StoreError> {
    let changes = overlay.take_changes();
    let Some(mut transaction) = transaction else {
        return store.commit(&changes).await;
    };
    if !changes.is_empty() {
        transaction.write(&changes).await?;
    }
    transaction.commit().await
}

/// Has the outbox decide when the answer to the request that left these may go.
fn hold(left: &mut [Left]) -> Release {
    let (hold, release) = Hold::new();
    for each in left {
        each.hold = Some(hold.clone());
    }
    release
}

fn refuse_all(jobs: impl Iterator<Item = Job>) {
    for job in jobs {
        if let Job::Change(change) = job {
            let response = Response::error(change.request.request_identifier, &Error::Internal);
            drop(change.reply.send(Outcome::Done(response, None)));
        }
    }
}

fn report(result: Result<(), Error>) {
    if let Err(error) = result {
        tracing::warn!(%error, "the CSE's own change failed");
    }
}
