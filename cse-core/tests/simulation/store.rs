//! The store of one life of a CSE: what is committed outlives it, and nothing is committed after its end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cse_core::id::Seq;
use cse_core::memory::{MemorySnapshot, MemoryStore, MemoryWrite};
use cse_core::ports::{ChangeSet, Store, StoreError, WriteTransaction};

/// How long a commit takes, before and after it is durable: time for a crash to come in between.
const COMMIT: Duration = Duration::from_millis(1);

/// See the module.
#[derive(Clone)]
pub struct LifeStore {
    disk: MemoryStore,
    is_over: Arc<AtomicBool>,
}

impl LifeStore {
    pub fn new(disk: MemoryStore) -> Self {
        Self { disk, is_over: Arc::default() }
    }

    /// The process is gone.
    pub fn end(&self) {
        self.is_over.store(true, Ordering::Relaxed);
    }

    fn lives(&self) -> Result<(), StoreError> {
        match self.is_over.load(Ordering::Relaxed) {
            true => Err(StoreError::Database("the process is gone".into())),
            false => Ok(()),
        }
    }
}

impl Store for LifeStore {
    type Snapshot = MemorySnapshot;
    type Write = LifeWrite;

    async fn snapshot(&self) -> Result<MemorySnapshot, StoreError> {
        self.disk.snapshot().await
    }

    async fn begin(&self) -> Result<LifeWrite, StoreError> {
        self.lives()?;
        Ok(LifeWrite { inner: self.disk.begin().await?, store: self.clone() })
    }

    async fn reserve_numbers(&self, count: u32) -> Result<Seq, StoreError> {
        self.lives()?;
        self.disk.reserve_numbers(count).await
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.lives()
    }
}

/// A transaction of a [`LifeStore`].
pub struct LifeWrite {
    inner: MemoryWrite,
    store: LifeStore,
}

impl LifeWrite {
    fn reading(&mut self) -> &mut MemoryWrite {
        &mut self.inner
    }
}

cse_core::read_through!(impl [] LifeWrite, |own| own.reading());

impl WriteTransaction for LifeWrite {
    async fn write(&mut self, changes: &ChangeSet) -> Result<(), StoreError> {
        self.inner.write(changes).await
    }

    async fn commit(self) -> Result<(), StoreError> {
        tokio::time::sleep(COMMIT).await;
        self.store.lives()?;
        self.inner.commit().await?;
        tokio::time::sleep(COMMIT).await;
        Ok(())
    }
}
