//! Opening the file of the sessions, or refusing to; see [`crate::sqlite::open`].

use std::fs::File;
use std::io;

use sqlx::{Connection, SqliteConnection};

use super::SessionOptions;
use crate::sqlite::connection;
use crate::sqlite::migrate::pragma;
use crate::sqlite::open::{OpenError, database_error, prepare_files};

/// Marks the file as ours (`PRAGMA application_id`): "CSM1".
const APPLICATION_ID: i64 = 0x4353_4d31;

const MIGRATIONS: &[&str] = &[include_str!("../../../../migrations/sqlite-mqtt/0001_sessions.sql")];

/// The schema version that this program writes.
const VERSION: i64 = MIGRATIONS.len() as i64;

pub(super) async fn open(options: &SessionOptions) -> Result<(SqliteConnection, File), OpenError> {
    let path = options.path.clone();
    let (lock_file, is_new) =
        tokio::task::spawn_blocking(move || prepare_files(&path)).await.unwrap_or_else(|error| {
            Err(OpenError::Directory { path: options.path.clone(), error: io::Error::other(error) })
        })?;
    if !is_new {
        inspect(options).await?;
    }
    let failed = |error| database_error(&options.path, error);
    let mut connection = connection::connect_sessions(&options.path, options.durability, true).await.map_err(failed)?;
    migrate(&mut connection).await.map_err(failed)?;
    Ok((connection, lock_file))
}

/// Asks an existing database whose it is, on a connection that changes nothing.
async fn inspect(options: &SessionOptions) -> Result<(), OpenError> {
    let path = &options.path;
    let failed = |error| database_error(path, error);
    let mut connection = connection::connect_to_inspect(path).await.map_err(failed)?;
    let tables = pragma(&mut connection, "SELECT count(*) FROM sqlite_schema").await.map_err(failed)?;
    let version = pragma(&mut connection, "PRAGMA user_version").await.map_err(failed)?;
    let application = pragma(&mut connection, "PRAGMA application_id").await.map_err(failed)?;
    connection.close().await.map_err(failed)?;
    // Without anything in it, a crash came before the first migration.
    let is_empty = tables == 0 && version == 0 && application == 0;
    if !is_empty && application != APPLICATION_ID {
        return Err(OpenError::Foreign { path: path.clone() });
    }
    if version > VERSION {
        return Err(OpenError::Newer { path: path.clone(), found: version, known: VERSION });
    }
    Ok(())
}

/// Applies what is missing, all in one transaction: an interrupted migration leaves the file as it was.
async fn migrate(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    let applied = usize::try_from(pragma(connection, "PRAGMA user_version").await?).unwrap_or(0);
    if applied >= MIGRATIONS.len() {
        return Ok(());
    }
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    for migration in &MIGRATIONS[applied..] {
        sqlx::raw_sql(*migration).execute(&mut *transaction).await?;
    }
    // A pragma takes no parameters; the numbers are our own constants.
    let marks = format!("PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {VERSION}");
    sqlx::raw_sql(sqlx::AssertSqlSafe(marks)).execute(&mut *transaction).await?;
    transaction.commit().await
}
