//! Opening the file of the sessions, or refusing to; see [`crate::sqlite::open`].

use std::fs::File;

use sqlx::{Connection, SqliteConnection};

use super::SessionOptions;
use crate::sqlite::connection;
use crate::sqlite::migrate::Schema;
use crate::sqlite::open::{OpenError, database_error, prepare};

/// "CSM1".
const SESSIONS: Schema = Schema {
    application_id: 0x4353_4d31,
    migrations: &[include_str!("../../../../migrations/sqlite-mqtt/0001_sessions.sql")],
};

pub(super) async fn open(options: &SessionOptions) -> Result<(SqliteConnection, File), OpenError> {
    let failed = |error| database_error(&options.path, error);
    let (lock_file, is_new) = prepare(&options.path).await?;
    if !is_new && let Some(inspected) = SESSIONS.inspect(&options.path).await? {
        inspected.close().await.map_err(failed)?;
    }
    let mut connection = connection::connect_sessions(&options.path, options.durability, true).await.map_err(failed)?;
    if let Some(migration) = SESSIONS.migrate(&mut connection).await.map_err(failed)? {
        migration.transaction.commit().await.map_err(failed)?;
    }
    Ok((connection, lock_file))
}
