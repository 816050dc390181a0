//! The schema: a list of migrations, only ever added to, and the number of the last one in `user_version`.

use cse_core::id::CseIdentity;
use sqlx::{Connection, Row, SqliteConnection};

/// Marks the file as ours (`PRAGMA application_id`): "CSE1".
pub(super) const APPLICATION_ID: i64 = 0x4353_4531;

const MIGRATIONS: &[&str] = &[include_str!("../../../migrations/sqlite/0001_tree.sql")];

/// The schema version that this program writes.
pub(super) const VERSION: i64 = MIGRATIONS.len() as i64;

pub(super) async fn pragma(connection: &mut SqliteConnection, pragma: &'static str) -> Result<i64, sqlx::Error> {
    sqlx::query(pragma).fetch_one(connection).await?.try_get(0)
}

/// Applies what is missing, all in one transaction: an interrupted migration leaves the file as it was.
pub(super) async fn migrate(connection: &mut SqliteConnection, identity: &CseIdentity) -> Result<(), sqlx::Error> {
    let applied = pragma(connection, "PRAGMA user_version").await?;
    let applied = usize::try_from(applied).unwrap_or(0);
    if applied >= MIGRATIONS.len() {
        return Ok(());
    }
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    for migration in &MIGRATIONS[applied..] {
        sqlx::raw_sql(*migration).execute(&mut *transaction).await?;
    }
    if applied == 0 {
        sqlx::query("INSERT INTO meta (key, value) VALUES ('cse_id', ?1), ('sp_id', ?2), ('next_number', ?3)")
            .bind(identity.cse_id.as_str())
            .bind(identity.sp_id.as_str())
            .bind(cse_core::id::Seq::CSE_BASE.0 + 1)
            .execute(&mut *transaction)
            .await?;
        sqlx::raw_sql("PRAGMA application_id = 0x43534531").execute(&mut *transaction).await?;
    }
    set_version(&mut transaction).await?;
    transaction.commit().await
}

async fn set_version(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    // A pragma takes no parameters; the number is our own constant.
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!("PRAGMA user_version = {VERSION}"))).execute(connection).await?;
    Ok(())
}
