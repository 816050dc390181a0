//! A store that comes to a stop around a commit, for ever.

use std::future::pending;
use std::sync::Arc;

use cse_core::id::Seq;
use cse_core::ports::{
    ChangeSet, Deadline, Held, OutboxEntry, Reply, ReplyKey, Search, Snapshot, Store, StoreError, WriteTransaction,
};
use cse_core::resource::Resource;
use cse_core::schema::Ty;
use cse_core::time::Timestamp;
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

macro_rules! read_inner {
    ($($name:ident($($argument:ident: $ty:ty),*) -> $result:ty;)*) => {
        impl<W: WriteTransaction> Snapshot for StoppingWrite<W> {
            $(async fn $name(&mut self, $($argument: $ty),*) -> Result<$result, StoreError> {
                self.inner.$name($($argument),*).await
            })*
        }
    };
}

read_inner! {
    resource(seq: Seq) -> Option<Resource>;
    resources(seqs: &[Seq]) -> Vec<Resource>;
    by_id(id: &str) -> Option<Resource>;
    child(parent: Seq, name: &str) -> Option<Resource>;
    children(parent: Seq, types: &[Ty], after: Seq, limit: usize) -> Vec<Resource>;
    newest(parent: Seq, ty: Ty) -> Option<Resource>;
    oldest(parent: Seq, ty: Ty) -> Option<Resource>;
    oldest_sizes(parent: Seq, ty: Ty, limit: usize) -> Vec<(Seq, u64)>;
    count(parent: Seq, ty: Ty) -> (u64, u64);
    search(search: &Search) -> Vec<Seq>;
    expired(now: Timestamp, limit: usize) -> Vec<Seq>;
    next_expiration() -> Option<Timestamp>;
    reply(key: ReplyKey) -> Option<Reply>;
    reply_count() -> u64;
    outbox(after: Seq, limit: usize) -> Vec<OutboxEntry>;
    held(subscription: Seq, limit: usize) -> Vec<Held>;
    held_count(subscription: Seq) -> u64;
    deadlines(now: Timestamp, limit: usize) -> Vec<Deadline>;
    next_deadline() -> Option<Timestamp>;
}

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
