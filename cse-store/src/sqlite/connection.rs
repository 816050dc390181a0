//! How connections are set up: what is durable, how much memory they take, how long they wait.

use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, SqliteConnection};

use super::open::Durability;

/// Kibibytes of page cache of the writer: the hot right edges of all indexes and a few thousand containers.
const WRITER_CACHE_KIB: u32 = 4096;
/// Kibibytes of page cache of each reader; what is missing there is in the file cache of the system.
const READER_CACHE_KIB: u32 = 1024;
/// Pages in the write-ahead log at which a commit moves them to the database file: 4 MB, which takes one or two
/// milliseconds. Moving them on a connection of its own was measured: the slowest commits became a little faster,
/// the others slower.
const CHECKPOINT_PAGES: u32 = 1000;
/// Bytes to which the log is cut after it has grown beyond, for instance during a long read.
const LOG_BYTES_KEPT: u32 = 16 * 1024 * 1024;

/// Statements have a fixed text, so all of them fit; far fewer are in use.
const STATEMENTS_MAX: usize = 128;

fn common(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .foreign_keys(false)
        // Only a checkpoint can hold a lock that another connection wants, and not for long.
        .busy_timeout(Duration::from_secs(5))
        .statement_cache_capacity(STATEMENTS_MAX)
        // A reader that pages through rows should not wake its task for every few of them.
        .row_buffer_size(256)
        .pragma("trusted_schema", "OFF")
        // Statements show up in the log of the operator otherwise, at the cost of a lookup each.
        .disable_statement_logging()
}

/// A connection that changes nothing by being opened.
pub(super) async fn connect_to_inspect(path: &Path) -> Result<SqliteConnection, sqlx::Error> {
    common(path).connect().await
}

pub(super) async fn connect_writer(path: &Path, durability: Durability) -> Result<SqliteConnection, sqlx::Error> {
    common(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(synchronous(durability))
        .pragma("cache_size", format!("-{WRITER_CACHE_KIB}"))
        .pragma("wal_autocheckpoint", CHECKPOINT_PAGES.to_string())
        .pragma("journal_size_limit", LOG_BYTES_KEPT.to_string())
        .pragma("temp_store", "MEMORY")
        .thread_name(|_| "store-writer".into())
        .connect()
        .await
}

/// The connection of the file with MQTT sessions.
pub(super) async fn connect_sessions(
    path: &Path,
    durability: Durability,
    create: bool,
) -> Result<SqliteConnection, sqlx::Error> {
    common(path)
        // Nobody else has business with the file, and acknowledgements wait: better to say soon what is wrong.
        .busy_timeout(Duration::from_millis(500))
        .create_if_missing(create)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(synchronous(durability))
        .pragma("cache_size", format!("-{READER_CACHE_KIB}"))
        .pragma("wal_autocheckpoint", CHECKPOINT_PAGES.to_string())
        .pragma("journal_size_limit", LOG_BYTES_KEPT.to_string())
        .pragma("temp_store", "MEMORY")
        .thread_name(|_| "session-writer".into())
        .connect()
        .await
}

fn synchronous(durability: Durability) -> SqliteSynchronous {
    match durability {
        Durability::Full => SqliteSynchronous::Full,
        Durability::Relaxed => SqliteSynchronous::Normal,
    }
}

pub(super) async fn connect_reader(path: &Path) -> Result<SqliteConnection, sqlx::Error> {
    common(path)
        .pragma("query_only", "ON")
        .pragma("cache_size", format!("-{READER_CACHE_KIB}"))
        .pragma("temp_store", "MEMORY")
        .thread_name(|_| "store-reader".into())
        .connect()
        .await
}
