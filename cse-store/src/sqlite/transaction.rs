//! Snapshots and the write transaction: who holds which connection for how long.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use cse_core::id::Seq;
use cse_core::ports::{
    ChangeSet, Deadline, Held, OutboxEntry, Reply, ReplyKey, Search, Snapshot, StoreError, WriteTransaction,
};
use cse_core::resource::Resource;
use cse_core::schema::Ty;
use cse_core::time::Timestamp;
use sqlx::sqlite::SqliteTransactionManager;
use sqlx::{SqlSafeStr, SqliteConnection};
use sqlx_core::transaction::TransactionManager;
use tokio::sync::{OwnedMutexGuard, OwnedSemaphorePermit};

use super::replies::{ReplyChanges, ReplyIndex};
use super::{Shared, Writer, closed, database, lists, queries, search, write};

/// A consistent view of what was committed when it was first read from.
///
/// Of remembered answers it sees those that the store still has: one that is forgotten meanwhile is gone here, too.
pub struct SqliteSnapshot {
    shared: Arc<Shared>,
    /// Taken out when the snapshot ends.
    connection: Option<SqliteConnection>,
    begun: bool,
    /// Given back after the connection.
    _permit: OwnedSemaphorePermit,
}

impl SqliteSnapshot {
    pub(super) async fn new(shared: Arc<Shared>) -> Result<Self, StoreError> {
        let permit = Arc::clone(&shared.readers.permits).acquire_owned().await.map_err(|_| closed())?;
        let connection = shared.readers.idle.lock().pop();
        Ok(Self { connection: Some(connection.ok_or_else(closed)?), shared, begun: false, _permit: permit })
    }

    /// The connection, in its read transaction.
    pub(super) async fn connection(&mut self) -> Result<&mut SqliteConnection, StoreError> {
        let connection = self.connection.as_mut().ok_or_else(closed)?;
        if !self.begun {
            SqliteTransactionManager::begin(connection, None).await.map_err(database)?;
            self.begun = true;
        }
        Ok(connection)
    }

    fn reply_number(&self, key: ReplyKey) -> Option<i64> {
        self.shared.replies.lock().number(key)
    }

    fn replies(&self) -> usize {
        self.shared.replies.lock().len()
    }
}

impl Drop for SqliteSnapshot {
    fn drop(&mut self) {
        if let Some(mut connection) = self.connection.take() {
            if self.begun {
                // Only puts the command into the connection's queue, before whatever the next owner does.
                SqliteTransactionManager::start_rollback(&mut connection);
            }
            self.shared.readers.idle.lock().push(connection);
        }
    }
}

/// The write transaction. Dropped without commit, it is rolled back; after a write that failed, it cannot be committed.
pub struct SqliteWrite {
    shared: Arc<Shared>,
    writer: OwnedMutexGuard<Writer>,
    replies: ReplyChanges,
    /// A write was begun and did not end well: what is there is not what was to be written.
    incomplete: bool,
    open: bool,
}

impl SqliteWrite {
    pub(super) async fn begin(shared: Arc<Shared>) -> Result<Self, StoreError> {
        let mut writer = Arc::clone(&shared.writer).lock_owned().await;
        let reload = writer.replies_uncertain;
        let connection = writer.connection.as_mut().ok_or_else(closed)?;
        SqliteTransactionManager::begin(connection, Some("BEGIN IMMEDIATE".into_sql_str())).await.map_err(database)?;
        let mut transaction = Self { shared, writer, replies: ReplyChanges::default(), incomplete: false, open: true };
        if reload {
            let replies_max = transaction.shared.replies.lock().replies_max();
            let index = ReplyIndex::load(transaction.connection().await?, replies_max).await.map_err(database)?;
            *transaction.shared.replies.lock() = index;
            transaction.writer.replies_uncertain = false;
        }
        Ok(transaction)
    }

    /// The connection, in the transaction.
    async fn connection(&mut self) -> Result<&mut SqliteConnection, StoreError> {
        self.writer.connection.as_mut().ok_or_else(closed)
    }

    fn reply_number(&self, key: ReplyKey) -> Option<i64> {
        self.replies.number(&self.shared.replies.lock(), key)
    }

    fn replies(&self) -> usize {
        self.replies.len(&self.shared.replies.lock())
    }
}

impl Drop for SqliteWrite {
    fn drop(&mut self) {
        if self.open
            && let Some(connection) = self.writer.connection.as_mut()
        {
            SqliteTransactionManager::start_rollback(connection);
        }
    }
}

impl WriteTransaction for SqliteWrite {
    async fn write(&mut self, changes: &ChangeSet) -> Result<(), StoreError> {
        self.incomplete = true;
        write::write(self.connection().await?, changes).await?;
        if !changes.replies.is_empty() {
            let first = self.replies.add(&self.shared.replies.lock(), &changes.replies);
            write::write_replies(self.connection().await?, first, &changes.replies).await?;
        }
        let last = self.replies.forget(&self.shared.replies.lock(), changes.forget_replies_before);
        if let Some(last) = last {
            write::forget_replies(self.connection().await?, last).await?;
        }
        self.incomplete = false;
        Ok(())
    }

    async fn commit(mut self) -> Result<(), StoreError> {
        if self.incomplete {
            return Err(StoreError::Database("a write of this transaction failed, so it is rolled back".into()));
        }
        let began = Instant::now();
        // If this future is dropped while the commit is under way, its end is not seen.
        self.writer.replies_uncertain = true;
        SqliteTransactionManager::commit(self.connection().await?).await.map_err(database)?;
        self.open = false;
        self.writer.replies_uncertain = false;
        self.shared.replies.lock().apply(std::mem::take(&mut self.replies));
        let micros = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.shared.metrics.commits.fetch_add(1, Ordering::Relaxed);
        self.shared.metrics.commit_micros.fetch_add(micros, Ordering::Relaxed);
        Ok(())
    }
}

/// Both read in the same way, each on its connection.
macro_rules! read_on_connection {
    ($($module:ident::$name:ident($($argument:ident: $ty:ty),*) -> $result:ty;)*) => {
        read_on_connection!(@impl SqliteSnapshot; $($module::$name($($argument: $ty),*) -> $result;)*);
        read_on_connection!(@impl SqliteWrite; $($module::$name($($argument: $ty),*) -> $result;)*);
    };
    (@impl $reader:ty; $($module:ident::$name:ident($($argument:ident: $ty:ty),*) -> $result:ty;)*) => {
        impl Snapshot for $reader {
            $(async fn $name(&mut self, $($argument: $ty),*) -> Result<$result, StoreError> {
                $module::$name(self.connection().await?, $($argument),*).await
            })*

            async fn reply(&mut self, key: ReplyKey) -> Result<Option<Reply>, StoreError> {
                match self.reply_number(key) {
                    Some(number) => lists::reply(self.connection().await?, number, key).await,
                    None => Ok(None),
                }
            }

            async fn fading_replies(
                &mut self,
                after: u64,
                before: Timestamp,
            ) -> Result<(Vec<Reply>, u64), StoreError> {
                let after = i64::try_from(after).unwrap_or(i64::MAX);
                let through = self.shared.replies.lock().fading_through(before).max(after);
                let found = match through == after {
                    true => Vec::new(),
                    false => lists::lasting_replies(self.connection().await?, after, through).await?,
                };
                let index = self.shared.replies.lock();
                let is_latest = |(number, reply): &(i64, Reply)| {
                    index.number(reply.key) == Some(*number) && reply.response.contains("@once")
                };
                let lasting = found.into_iter().filter(is_latest).map(|(_, reply)| reply).collect();
                Ok((lasting, through.unsigned_abs()))
            }

            async fn reply_count(&mut self) -> Result<u64, StoreError> {
                Ok(self.replies() as u64)
            }
        }
    };
}

read_on_connection! {
    queries::resource(seq: Seq) -> Option<Resource>;
    queries::resources(seqs: &[Seq]) -> Vec<Resource>;
    queries::by_id(id: &str) -> Option<Resource>;
    queries::child(parent: Seq, name: &str) -> Option<Resource>;
    queries::children(parent: Seq, types: &[Ty], after: Seq, limit: usize) -> Vec<Resource>;
    queries::newest(parent: Seq, ty: Ty) -> Option<Resource>;
    queries::oldest(parent: Seq, ty: Ty) -> Option<Resource>;
    queries::oldest_sizes(parent: Seq, ty: Ty, limit: usize) -> Vec<(Seq, u64)>;
    queries::count(parent: Seq, ty: Ty) -> (u64, u64);
    search::search(search: &Search) -> Vec<Seq>;
    queries::expired(now: Timestamp, limit: usize) -> Vec<Seq>;
    queries::next_expiration() -> Option<Timestamp>;
    lists::outbox(after: Seq, limit: usize) -> Vec<OutboxEntry>;
    lists::held(subscription: Seq, limit: usize) -> Vec<Held>;
    lists::held_count(subscription: Seq) -> u64;
    lists::deadlines(now: Timestamp, limit: usize) -> Vec<Deadline>;
    lists::next_deadline() -> Option<Timestamp>;
}
