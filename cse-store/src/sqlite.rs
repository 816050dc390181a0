//! The store on SQLite: one file, one writing connection, a few reading ones.
//!
//! The file is in WAL mode, so readers see the last commit and never wait for the writer. Each connection has a
//! thread of its own (sqlx), so nothing here blocks the runtime. A lock file keeps other processes out.

mod batch;
mod connection;
mod lists;
mod migrate;
mod open;
mod queries;
mod remember;
mod replies;
mod row;
mod search;
pub mod sessions;
mod transaction;
mod write;

pub use open::{Durability, OpenError, SqliteOptions};
pub use transaction::{SqliteSnapshot, SqliteWrite};

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cse_core::id::{CseIdentity, Seq};
use cse_core::ports::{ChangeSet, Store, StoreError, WriteTransaction};
use parking_lot::Mutex;
use sqlx::{Connection, Row, SqliteConnection};
use tokio::sync::Semaphore;

use replies::ReplyIndex;

/// A store in one SQLite file. Clones share it.
#[derive(Clone)]
pub struct SqliteStore {
    shared: Arc<Shared>,
}

struct Shared {
    writer: Arc<tokio::sync::Mutex<Writer>>,
    readers: Readers,
    replies: Mutex<ReplyIndex>,
    metrics: Metrics,
    /// Held as long as the store is open, so that no other process opens the same file.
    lock_file: Mutex<Option<File>>,
}

struct Writer {
    /// `None` once the store is closed.
    connection: Option<SqliteConnection>,
    /// A commit was begun whose end nobody saw: what is remembered of the replies may be wrong.
    replies_uncertain: bool,
}

/// The reading connections; whoever holds a permit finds one of them idle.
struct Readers {
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<SqliteConnection>>,
    count: u32,
}

#[derive(Default)]
struct Metrics {
    commits: AtomicU64,
    commit_micros: AtomicU64,
}

/// What the store has done since it was opened.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct StoreMetrics {
    /// Commits of write transactions.
    pub commits: u64,
    /// How long they took in all, from COMMIT to its end.
    pub commit_time: Duration,
}

/// A store error from one of sqlx.
fn database(error: sqlx::Error) -> StoreError {
    StoreError::Database(error.to_string())
}

fn closed() -> StoreError {
    StoreError::Database("the store is closed".into())
}

impl SqliteStore {
    /// Whether another process on this machine has that database open. Changes nothing; may wait for the file system.
    pub fn is_in_use(path: &Path) -> bool {
        open::is_in_use(path)
    }

    /// Opens the file, creating it and its directory if there is none, and brings its schema up to date.
    ///
    /// # Errors
    /// [`OpenError`] if the file cannot be used as the store of this CSE; it is left as it was.
    pub async fn open(options: SqliteOptions, identity: &CseIdentity) -> Result<Self, OpenError> {
        let opened = open::open(&options, identity).await?;
        let count = u32::try_from(opened.readers.len()).unwrap_or(u32::MAX);
        Ok(Self {
            shared: Arc::new(Shared {
                writer: Arc::new(tokio::sync::Mutex::new(Writer {
                    connection: Some(opened.writer),
                    replies_uncertain: false,
                })),
                readers: Readers {
                    permits: Arc::new(Semaphore::new(opened.readers.len())),
                    idle: Mutex::new(opened.readers),
                    count,
                },
                replies: Mutex::new(opened.replies),
                metrics: Metrics::default(),
                lock_file: Mutex::new(Some(opened.lock_file)),
            }),
        })
    }

    /// What the store has done since it was opened.
    pub fn metrics(&self) -> StoreMetrics {
        StoreMetrics {
            commits: self.shared.metrics.commits.load(Ordering::Relaxed),
            commit_time: Duration::from_micros(self.shared.metrics.commit_micros.load(Ordering::Relaxed)),
        }
    }

    /// Waits for snapshots and the write transaction to end, moves everything from the write-ahead log to the
    /// database file and closes both. Later calls on the store fail.
    ///
    /// # Errors
    /// [`StoreError::Database`] if the last writing to the file fails. Nothing committed is lost by that.
    pub async fn close(&self) -> Result<(), StoreError> {
        let readers = &self.shared.readers;
        if let Ok(all) = readers.permits.acquire_many(readers.count).await {
            readers.permits.close();
            all.forget();
        }
        let idle = std::mem::take(&mut *readers.idle.lock());
        for connection in idle {
            connection.close().await.map_err(database)?;
        }
        if let Some(mut connection) = self.shared.writer.lock().await.connection.take() {
            sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").fetch_all(&mut connection).await.map_err(database)?;
            connection.close().await.map_err(database)?;
        }
        self.shared.lock_file.lock().take();
        Ok(())
    }
}

impl Store for SqliteStore {
    type Snapshot = SqliteSnapshot;
    type Write = SqliteWrite;

    async fn snapshot(&self) -> Result<SqliteSnapshot, StoreError> {
        SqliteSnapshot::new(Arc::clone(&self.shared)).await
    }

    async fn begin(&self) -> Result<SqliteWrite, StoreError> {
        SqliteWrite::begin(Arc::clone(&self.shared)).await
    }

    async fn commit(&self, changes: &ChangeSet) -> Result<(), StoreError> {
        if remember::commit(&self.shared, changes).await? {
            return Ok(());
        }
        let mut transaction = self.begin().await?;
        transaction.write(changes).await?;
        transaction.commit().await
    }

    async fn reserve_numbers(&self, count: u32) -> Result<Seq, StoreError> {
        let mut writer = self.shared.writer.lock().await;
        let connection = writer.connection.as_mut().ok_or_else(closed)?;
        // All rows are fetched, which runs the statement to its end: that is where it commits and may fail.
        let rows = sqlx::query(
            "UPDATE meta SET value = value + ?1 WHERE key = 'next_number' RETURNING CAST(value AS INTEGER) - ?1",
        )
        .bind(i64::from(count))
        .fetch_all(connection)
        .await
        .map_err(database)?;
        let first = rows.first().ok_or_else(|| StoreError::Inconsistent {
            table: "meta",
            row: "next_number".into(),
            problem: "missing".into(),
        })?;
        Ok(Seq(first.try_get(0).map_err(database)?))
    }

    async fn check(&self) -> Result<(), StoreError> {
        let mut snapshot = self.snapshot().await?;
        sqlx::query("SELECT value FROM meta WHERE key = ?1")
            .bind("next_number")
            .fetch_one(snapshot.connection().await?)
            .await
            .map_err(database)?;
        Ok(())
    }
}
