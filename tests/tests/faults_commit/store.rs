//! A store that comes to a stop around a commit, for ever.

use std::future::pending;
use std::sync::Arc;

use cse_core::id::Seq;
use cse_core::ports::{ChangeSet, Store, StoreError, WriteTransaction};
use tokio::sync::watch;

/// Where the next commit stops.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Step {
    /// Nowhere.
    Nowhere,
    /// Everything is written, and not committed.
    BeforeCommit,
    /// It is committed, and nobody has been told.
    AfterCommit,
}

/// The test's end of it.
#[derive(Clone)]
pub(crate) struct Stops {
    step: watch::Sender<Step>,
    reached: watch::Sender<bool>,
}

impl Stops {
    pub(crate) fn new() -> Self {
        Self { step: watch::Sender::new(Step::Nowhere), reached: watch::Sender::new(false) }
    }

    /// The next commit stops there.
    pub(crate) fn stop_at(&self, step: Step) {
        self.step.send_replace(step);
    }

    /// Waits until a commit has stopped.
    pub(crate) async fn reached(&self) {
        self.reached.subscribe().wait_for(|reached| *reached).await.expect("there is a sender");
    }

    async fn pass(&self, step: Step) {
        if *self.step.borrow() == step {
            self.reached.send_replace(true);
            pending::<()>().await;
        }
    }
}

#[derive(Clone)]
pub(crate) struct StoppingStore<S> {
    pub(crate) inner: S,
    pub(crate) stops: Arc<Stops>,
}

impl<S: Store> Store for StoppingStore<S> {
    type Snapshot = S::Snapshot;
    type Write = StoppingWrite<S::Write>;

    async fn snapshot(&self) -> Result<S::Snapshot, StoreError> {
        self.inner.snapshot().await
    }

    async fn begin(&self) -> Result<Self::Write, StoreError> {
        Ok(StoppingWrite { inner: self.inner.begin().await?, stops: Arc::clone(&self.stops) })
    }

    async fn reserve_numbers(&self, count: u32) -> Result<Seq, StoreError> {
        self.inner.reserve_numbers(count).await
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.inner.check().await
    }
}

pub(crate) struct StoppingWrite<W> {
    inner: W,
    stops: Arc<Stops>,
}

cse_core::read_through!(impl [W: WriteTransaction] StoppingWrite<W>, |own| own.inner);

impl<W: WriteTransaction> WriteTransaction for StoppingWrite<W> {
    async fn write(&mut self, changes: &ChangeSet) -> Result<(), StoreError> {
        self.inner.write(changes).await
    }

    async fn commit(self) -> Result<(), StoreError> {
        self.stops.pass(Step::BeforeCommit).await;
        self.inner.commit().await?;
        self.stops.pass(Step::AfterCommit).await;
        Ok(())
    }
}
