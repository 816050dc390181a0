//! MQTT sessions in a SQLite file of their own, so that their commits and those of the resource tree do not wait for
//! each other.
//!
//! One connection writes; everything is read once, when the file is opened. The rows mean nothing here: their owner is
//! the MQTT broker.

mod load;
mod open;
mod write;

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use cse_core::ports::StoreError;
use sqlx::{Connection, SqliteConnection};

use super::open::{Durability, OpenError};
use super::{connection, database};

/// Where the sessions are and what a commit guarantees.
#[derive(Clone, Debug)]
pub struct SessionOptions {
    /// The database file. SQLite keeps two more beside it, `-wal` and `-shm`, and this store a `.lock`.
    pub path: PathBuf,
    /// What a commit guarantees.
    pub durability: Durability,
}

/// Sessions in one SQLite file.
pub struct SessionFile {
    options: SessionOptions,
    /// `None` after a failure, until the next commit.
    connection: Option<SqliteConnection>,
    /// Held as long as the file is open, so that no other process opens it.
    _lock_file: File,
}

/// A session.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SessionRow {
    /// Unique in the file.
    pub id: i64,
    /// MQTT client identifier.
    pub client_id: Arc<str>,
    /// Name of its owner.
    pub identity: Arc<str>,
    /// Seconds that it outlives its connection.
    pub expiry: i64,
    /// When it ends, in milliseconds since 1970; none while its client is connected.
    pub ends: Option<i64>,
    /// Messages below were sent.
    pub sent_below: i64,
}

/// A subscription of a session.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SubscriptionRow {
    /// [`SessionRow::id`].
    pub session: i64,
    /// Topic filter.
    pub filter: Arc<str>,
    /// 0 to 2.
    pub qos: u8,
    /// Not for the client's own messages.
    pub no_local: bool,
}

/// A message that waits in a session.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MessageRow {
    /// [`SessionRow::id`].
    pub session: i64,
    /// Its place, from 1.
    pub number: i64,
    /// 1 or 2.
    pub qos: u8,
    /// None if only its release has to be delivered.
    pub topic: Option<Arc<str>>,
    /// Payload.
    pub payload: Bytes,
    /// When it expires, in milliseconds since 1970.
    pub expires: Option<i64>,
    /// Encoded MQTT 5 properties.
    pub properties: Option<Bytes>,
}

/// What one commit writes and deletes, in the order of the fields.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct SessionChanges {
    /// Sessions, new or changed.
    pub sessions: Vec<SessionRow>,
    /// Subscriptions, new or changed.
    pub subscriptions: Vec<SubscriptionRow>,
    /// Messages, new or changed.
    pub messages: Vec<MessageRow>,
    /// Packet identifiers received, with their sessions.
    pub received: Vec<(i64, u16)>,
    /// Subscriptions to delete: sessions and filters.
    pub subscriptions_ended: Vec<(i64, Arc<str>)>,
    /// Messages to delete: sessions, first and last numbers.
    pub messages_done: Vec<(i64, i64, i64)>,
    /// Packet identifiers to delete, with their sessions.
    pub released: Vec<(i64, u16)>,
    /// Sessions to delete, with everything of theirs.
    pub sessions_ended: Vec<i64>,
}

/// A session with everything of its own.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SessionContent {
    /// The session.
    pub session: SessionRow,
    /// Its subscriptions, by filter.
    pub subscriptions: Vec<SubscriptionRow>,
    /// Its messages, by number.
    pub messages: Vec<MessageRow>,
    /// Its packet identifiers, growing.
    pub received: Vec<u16>,
}

impl SessionFile {
    /// Opens the file, creating it if there is none, and reads all sessions, by number.
    ///
    /// # Errors
    /// [`OpenError`] if the file cannot be used; it is left as it was.
    pub async fn open(options: SessionOptions) -> Result<(Self, Vec<SessionContent>), OpenError> {
        let (mut connection, lock_file) = open::open(&options).await?;
        let sessions = load::load(&mut connection, &options.path).await?;
        Ok((Self { options, connection: Some(connection), _lock_file: lock_file }, sessions))
    }

    /// Makes all of `changes` durable, or none. After a failure the next call begins with a new connection.
    ///
    /// # Errors
    /// [`StoreError::Database`] if it could not be done, or it is uncertain whether it was.
    pub async fn commit(&mut self, changes: &SessionChanges) -> Result<(), StoreError> {
        // Taken out: what fails, or is dropped half-way, is not used again.
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => connection::connect_sessions(&self.options.path, self.options.durability, false)
                .await
                .map_err(database)?,
        };
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.map_err(database)?;
        write::write(&mut transaction, changes).await?;
        transaction.commit().await.map_err(database)?;
        self.connection = Some(connection);
        Ok(())
    }

    /// Moves everything from the write-ahead log to the file and closes it.
    ///
    /// # Errors
    /// [`StoreError::Database`] if that fails. Nothing committed is lost by it.
    pub async fn close(mut self) -> Result<(), StoreError> {
        if let Some(mut connection) = self.connection.take() {
            sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").fetch_all(&mut connection).await.map_err(database)?;
            connection.close().await.map_err(database)?;
        }
        Ok(())
    }
}
