//! The schema of a file: a list of migrations, only ever added to, and the number of the last one in `user_version`.

use std::path::Path;

use cse_core::id::CseIdentity;
use sqlx::{Connection, Row, Sqlite, SqliteConnection, Transaction};

use super::connection;
use super::open::{OpenError, database_error};

/// Of which kind a file is, and how it becomes that.
pub(super) struct Schema {
    /// Marks the file as ours (`PRAGMA application_id`).
    pub(super) application_id: i64,
    pub(super) migrations: &'static [&'static str],
}

/// The file of the resources: "CSE1".
pub(super) const RESOURCES: Schema =
    Schema { application_id: 0x4353_4531, migrations: &[include_str!("../../../migrations/sqlite/0001_tree.sql")] };

impl Schema {
    /// The schema version that this program writes.
    fn version(&self) -> i64 {
        self.migrations.len() as i64
    }

    /// Asks an existing database whose it is, on a connection that changes nothing. `None` if it is still empty,
    /// because a crash came before the first migration.
    pub(super) async fn inspect(&self, path: &Path) -> Result<Option<SqliteConnection>, OpenError> {
        let failed = |error| database_error(path, error);
        let mut connection = connection::connect_to_inspect(path).await.map_err(failed)?;
        let tables = pragma(&mut connection, "SELECT count(*) FROM sqlite_schema").await.map_err(failed)?;
        let version = pragma(&mut connection, "PRAGMA user_version").await.map_err(failed)?;
        let application = pragma(&mut connection, "PRAGMA application_id").await.map_err(failed)?;
        if tables == 0 && version == 0 && application == 0 {
            connection.close().await.map_err(failed)?;
            return Ok(None);
        }
        if application != self.application_id {
            return Err(OpenError::Foreign { path: path.into() });
        }
        if version > self.version() {
            return Err(OpenError::Newer { path: path.into(), found: version, known: self.version() });
        }
        Ok(Some(connection))
    }

    /// Applies what is missing, all in one transaction, which the caller may add to and commits: an interrupted
    /// migration leaves the file as it was. `None` if nothing is missing.
    pub(super) async fn migrate<'c>(
        &self,
        connection: &'c mut SqliteConnection,
    ) -> Result<Option<Migration<'c>>, sqlx::Error> {
        let applied = usize::try_from(pragma(connection, "PRAGMA user_version").await?).unwrap_or(0);
        if applied >= self.migrations.len() {
            return Ok(None);
        }
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
        for migration in &self.migrations[applied..] {
            sqlx::raw_sql(*migration).execute(&mut *transaction).await?;
        }
        // A pragma takes no parameters; the numbers are our own constants.
        let (application_id, version) = (self.application_id, self.version());
        let marks = format!("PRAGMA application_id = {application_id}; PRAGMA user_version = {version}");
        sqlx::raw_sql(sqlx::AssertSqlSafe(marks)).execute(&mut *transaction).await?;
        Ok(Some(Migration { transaction, is_first: applied == 0 }))
    }
}

/// A migration that is not committed yet.
pub(super) struct Migration<'c> {
    pub(super) transaction: Transaction<'c, Sqlite>,
    /// Whether the file was empty.
    is_first: bool,
}

async fn pragma(connection: &mut SqliteConnection, pragma: &'static str) -> Result<i64, sqlx::Error> {
    sqlx::query(pragma).fetch_one(connection).await?.try_get(0)
}

/// Brings the file of the resources up to date; a new one becomes that CSE's.
pub(super) async fn migrate(connection: &mut SqliteConnection, identity: &CseIdentity) -> Result<(), sqlx::Error> {
    let Some(Migration { mut transaction, is_first }) = RESOURCES.migrate(connection).await? else {
        return Ok(());
    };
    if is_first {
        sqlx::query("INSERT INTO meta (key, value) VALUES ('cse_id', ?1), ('sp_id', ?2), ('next_number', ?3)")
            .bind(identity.cse_id.as_str())
            .bind(identity.sp_id.as_str())
            .bind(cse_core::id::Seq::CSE_BASE.0 + 1)
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await
}
