//! The task that keeps what is stored up with the sessions.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};
use tracing::{error, info, warn};

use super::{Budget, Changes, Collected, Journal, Persistence, PersistenceError};
use crate::broker::Core;
use crate::broker::session::Round;

/// How long a connected client has to acknowledge a message before it is stored; up to twice that, since messages are
/// looked at in rounds. Long enough for clients in the same building, short against a round trip to anywhere else.
const PATIENCE: Duration = Duration::from_millis(3);
/// Messages in one commit, and bytes of their payloads, at most; the last message may go beyond.
const COMMIT: Budget = Budget { messages: 4096, bytes: 8 * 1024 * 1024 };
/// The same while commits fail: each is only a try.
const TRY: Budget = Budget { messages: 64, bytes: 64 * 1024 };
/// First and longest pause after a failure.
const RETRY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
/// A commit that takes longer is reported, and goes on.
const SLOW: Duration = Duration::from_secs(2);
/// How often the last commit is tried when the broker stops.
const LAST_TRIES: u32 = 3;

/// Stores what the sessions of one broker have to keep. Nothing that waits for being stored is acknowledged unless it
/// runs.
pub struct Persister {
    core: Arc<Core>,
    journal: Arc<Journal>,
    status: watch::Sender<PersisterStatus>,
    /// Counts the times [`PATIENCE`] was over.
    generation: u64,
    patient_until: Instant,
}

/// Whether sessions are being stored.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum PersisterStatus {
    /// As far as is known.
    #[default]
    Storing,
    /// Not now, and why. Messages for kept sessions are not acknowledged; it is tried again.
    Failing(String),
}

impl Persister {
    pub(crate) fn new(core: Arc<Core>, journal: Arc<Journal>) -> Self {
        let status = watch::Sender::default();
        Self { core, journal, status, generation: 1, patient_until: Instant::now() }
    }

    /// Whether it works, for readiness probes.
    pub fn status(&self) -> watch::Receiver<PersisterStatus> {
        self.status.subscribe()
    }

    /// Stores until `stop` ends, then stores the rest and closes. Links and connections have to be done by then.
    pub async fn run(mut self, mut persistence: impl Persistence, stop: impl Future<Output = ()> + Send) {
        let mut stop = pin!(stop);
        let mut failures = 0;
        loop {
            let stopping = tokio::select! {
                biased;
                () = &mut stop => true,
                () = self.until_due() => false,
            };
            if stopping {
                break;
            }
            self.pass_time();
            match self.store(&mut persistence, if failures > 0 { TRY } else { COMMIT }, false).await {
                Ok(_) => failures = 0,
                Err(_) => {
                    failures += 1;
                    let pause = RETRY.0.saturating_mul(1 << failures.min(5)).min(RETRY.1);
                    tokio::select! {
                        biased;
                        () = &mut stop => break,
                        () = sleep(pause) => {}
                    }
                }
            }
        }
        self.finish(persistence).await;
    }

    /// Stores what is left and closes.
    async fn finish(&mut self, mut persistence: impl Persistence) {
        let mut tries = 0;
        while !self.journal.is_empty() && tries < LAST_TRIES {
            if self.store(&mut persistence, COMMIT, true).await.is_err() {
                tries += 1;
                sleep(RETRY.0).await;
            }
        }
        if !self.journal.is_empty() {
            // Nothing of it was promised to anybody.
            warn!("the last changes of MQTT sessions could not be stored");
        }
        if let Err(failure) = persistence.close().await {
            warn!(%failure, "the store of MQTT sessions could not be closed; it will be in order when it is opened");
        }
    }

    /// Waits until somebody waits for a commit, or what has changed has had its time.
    async fn until_due(&self) {
        let journal = &self.journal;
        while journal.is_empty() {
            journal.changed().await;
        }
        let due = Instant::now() + PATIENCE;
        while !journal.is_urgent() {
            tokio::select! {
                () = sleep_until(due) => return,
                () = journal.changed() => {}
            }
        }
    }

    fn pass_time(&mut self) {
        let now = Instant::now();
        if now >= self.patient_until {
            self.generation += 1;
            self.patient_until = now + PATIENCE;
        }
    }

    /// One commit of what the listed sessions have noted, if anything.
    async fn store(
        &self,
        persistence: &mut impl Persistence,
        budget: Budget,
        everything: bool,
    ) -> Result<(), PersistenceError> {
        let (changes, collected) = self.collect(budget, everything);
        let outcome = if changes.is_empty() { Ok(()) } else { self.commit(persistence, &changes).await };
        let stats = &self.core.stats;
        match &outcome {
            Ok(()) => {
                for Collected { session, part } in collected {
                    session.stored(part);
                }
                if !changes.is_empty() {
                    stats.session_commits.increment();
                    stats.messages_stored.add(changes.messages.len() as u64);
                    if self.status.send_if_modified(|status| std::mem::take(status) != PersisterStatus::Storing) {
                        info!("MQTT sessions are stored again");
                    }
                }
            }
            Err(failure) => {
                stats.session_commit_failures.increment();
                for Collected { session, part } in collected {
                    session.not_stored(part);
                }
                self.fail(failure.to_string());
            }
        }
        outcome
    }

    fn collect(&self, mut budget: Budget, everything: bool) -> (Changes, Vec<Collected>) {
        let mut changes = Changes::default();
        let mut collected = Vec::new();
        let mut listed = self.journal.take().into_iter();
        for session in listed.by_ref() {
            let round = Round { generation: self.generation, everything, clock: &self.core.clock };
            if let Some(part) = session.collect(&round, &mut budget, &mut changes) {
                collected.push(Collected { session, part });
            }
            if budget.is_spent() {
                break;
            }
        }
        if listed.len() > 0 {
            for session in listed {
                self.journal.list(session);
            }
            self.journal.hurry();
        }
        (changes, collected)
    }

    async fn commit(&self, persistence: &mut impl Persistence, changes: &Changes) -> Result<(), PersistenceError> {
        let mut commit = pin!(persistence.commit(changes));
        tokio::select! {
            outcome = &mut commit => return outcome,
            () = sleep(SLOW) => self.fail("a commit takes very long".into()),
        }
        commit.await
    }

    fn fail(&self, problem: String) {
        let first = matches!(*self.status.borrow(), PersisterStatus::Storing);
        if first {
            error!(
                problem,
                "MQTT sessions cannot be stored; messages for kept sessions are not acknowledged meanwhile"
            );
        }
        self.status.send_replace(PersisterStatus::Failing(problem));
    }
}
