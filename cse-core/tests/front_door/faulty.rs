//! A store that fails, panics or waits where a test wants it to, on top of the one in memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use cse_core::id::Seq;
use cse_core::memory::{MemorySnapshot, MemoryStore, MemoryWrite};
use cse_core::ports::{ChangeSet, Store, StoreError, WriteTransaction};
use tokio::sync::watch;

/// Where something waits while it is shut.
pub struct Gate {
    open: watch::Sender<bool>,
    waiting: watch::Sender<usize>,
}

impl Gate {
    fn new() -> Self {
        Self { open: watch::channel(true).0, waiting: watch::channel(0).0 }
    }

    pub fn shut(&self) {
        self.open.send_replace(false);
    }

    pub fn open(&self) {
        self.open.send_replace(true);
    }

    /// Waits until something waits at the gate.
    pub async fn reached(&self) {
        self.waiting.subscribe().wait_for(|waiting| *waiting > 0).await.expect("there is a sender");
    }

    async fn pass(&self) {
        self.waiting.send_modify(|waiting| *waiting += 1);
        self.open.subscribe().wait_for(|open| *open).await.expect("there is a sender");
        self.waiting.send_modify(|waiting| *waiting -= 1);
    }
}

/// What goes wrong next. Counters say how often.
pub struct Faults {
    pub failing_begins: AtomicUsize,
    pub failing_writes: AtomicUsize,
    pub panicking_writes: AtomicUsize,
    pub failing_commits: AtomicUsize,
    /// Passed by each commit, before it is done.
    pub commits: Gate,
    /// Passed by each snapshot that reads, when it has its state and before its first answer.
    pub reads: Gate,
}

fn due(counter: &AtomicUsize) -> bool {
    counter.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
}

fn failed(what: &str) -> StoreError {
    StoreError::Database(format!("{what} failed because the test wants it"))
}

#[derive(Clone)]
pub struct FaultyStore {
    inner: MemoryStore,
    pub faults: Arc<Faults>,
}

impl FaultyStore {
    pub fn new() -> Self {
        let none = || AtomicUsize::new(0);
        let faults = Faults {
            failing_begins: none(),
            failing_writes: none(),
            panicking_writes: none(),
            failing_commits: none(),
            commits: Gate::new(),
            reads: Gate::new(),
        };
        Self { inner: MemoryStore::new(), faults: Arc::new(faults) }
    }
}

impl Store for FaultyStore {
    type Snapshot = FaultySnapshot;
    type Write = FaultyWrite;

    async fn snapshot(&self) -> Result<FaultySnapshot, StoreError> {
        let inner = self.inner.snapshot().await?;
        Ok(FaultySnapshot { inner, faults: Arc::clone(&self.faults), has_passed: false })
    }

    async fn begin(&self) -> Result<FaultyWrite, StoreError> {
        if due(&self.faults.failing_begins) {
            return Err(failed("begin"));
        }
        Ok(FaultyWrite { inner: self.inner.begin().await?, faults: Arc::clone(&self.faults) })
    }

    async fn reserve_numbers(&self, count: u32) -> Result<Seq, StoreError> {
        self.inner.reserve_numbers(count).await
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.inner.check().await
    }
}

pub struct FaultySnapshot {
    inner: MemorySnapshot,
    faults: Arc<Faults>,
    has_passed: bool,
}

pub struct FaultyWrite {
    inner: MemoryWrite,
    faults: Arc<Faults>,
}

impl FaultySnapshot {
    async fn reading(&mut self) -> &mut MemorySnapshot {
        if !std::mem::replace(&mut self.has_passed, true) {
            self.faults.reads.pass().await;
        }
        // Readers and the writer take turns at every question.
        tokio::task::yield_now().await;
        &mut self.inner
    }
}

impl FaultyWrite {
    async fn reading(&mut self) -> &mut MemoryWrite {
        tokio::task::yield_now().await;
        &mut self.inner
    }
}

cse_core::read_through!(impl [] FaultySnapshot, |own| own.reading().await);
cse_core::read_through!(impl [] FaultyWrite, |own| own.reading().await);

impl WriteTransaction for FaultyWrite {
    async fn write(&mut self, changes: &ChangeSet) -> Result<(), StoreError> {
        if due(&self.faults.failing_writes) {
            return Err(failed("write"));
        }
        assert!(!due(&self.faults.panicking_writes), "write panics because the test wants it");
        self.inner.write(changes).await
    }

    async fn commit(self) -> Result<(), StoreError> {
        self.faults.commits.pass().await;
        if due(&self.faults.failing_commits) {
            return Err(failed("commit"));
        }
        self.inner.commit().await?;
        // Committed, and nobody knows yet.
        tokio::task::yield_now().await;
        Ok(())
    }
}
