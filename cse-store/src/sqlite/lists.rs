//! Reading the side tables: replies, outbox, held events, deadlines.

use std::sync::Arc;

use cse_core::id::Seq;
use cse_core::ports::{Deadline, DeadlineKind, Held, OutboxEntry, Reply, ReplyKey, StoreError};
use cse_core::time::Timestamp;
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;

use super::database;
use super::queries::{earliest, limit, non_negative};
use super::row::{column, inconsistent, map};

type Result<T> = std::result::Result<T, StoreError>;

fn small(row: &SqliteRow, index: usize, table: &'static str) -> Result<u32> {
    let value: i64 = column(row, index)?;
    u32::try_from(value).map_err(|error| inconsistent(table, value, error))
}

pub(super) async fn reply(connection: &mut SqliteConnection, number: i64, key: ReplyKey) -> Result<Option<Reply>> {
    let row = sqlx::query("SELECT number, at, response FROM reply WHERE number = ?1 AND key = ?2")
        .bind(number)
        .bind(key.0.to_be_bytes().as_slice())
        .fetch_optional(connection)
        .await
        .map_err(database)?;
    row.map(|row| Ok(Reply { key, at: Timestamp::from_micros(column(&row, 1)?), response: map(&row, 2, "reply")? }))
        .transpose()
}

/// Answers behind one number and up to another that are marked to last, with their numbers.
pub(super) async fn lasting_replies(
    connection: &mut SqliteConnection,
    after: i64,
    through: i64,
) -> Result<Vec<(i64, Reply)>> {
    let rows = sqlx::query(
        "SELECT number, at, response, key FROM reply
         WHERE number > ?1 AND number <= ?2 AND response LIKE '%\"@once\"%' ORDER BY number",
    )
    .bind(after)
    .bind(through)
    .fetch_all(connection)
    .await
    .map_err(database)?;
    let read = |row: &SqliteRow| {
        let key: Vec<u8> = column(row, 3)?;
        let key =
            <[u8; 16]>::try_from(key).map_err(|_| StoreError::Database("a reply has a key of another size".into()))?;
        let at = Timestamp::from_micros(column(row, 1)?);
        let reply = Reply { key: ReplyKey(u128::from_be_bytes(key)), at, response: map(row, 2, "reply")? };
        Ok((column(row, 0)?, reply))
    };
    rows.iter().map(read).collect()
}

pub(super) async fn outbox(
    connection: &mut SqliteConnection,
    after: Seq,
    limit_max: usize,
) -> Result<Vec<OutboxEntry>> {
    sqlx::query(
        "SELECT seq, subscription, target, content, event_category, created, next_try, attempts
         FROM outbox WHERE seq > ?1 ORDER BY seq LIMIT ?2",
    )
    .bind(after.0)
    .bind(limit(limit_max))
    .fetch_all(connection)
    .await
    .map_err(database)?
    .iter()
    .map(|row| {
        Ok(OutboxEntry {
            seq: Seq(column(row, 0)?),
            subscription: Seq(column(row, 1)?),
            target: column::<&str>(row, 2)?.into(),
            content: Arc::new(map(row, 3, "outbox")?),
            event_category: column::<Option<i64>>(row, 4)?.map(|_| small(row, 4, "outbox")).transpose()?,
            created: Timestamp::from_micros(column(row, 5)?),
            next_try: Timestamp::from_micros(column(row, 6)?),
            attempts: small(row, 7, "outbox")?,
        })
    })
    .collect()
}

pub(super) async fn held(connection: &mut SqliteConnection, subscription: Seq, limit_max: usize) -> Result<Vec<Held>> {
    sqlx::query("SELECT seq, notification, at FROM held WHERE subscription = ?1 ORDER BY seq LIMIT ?2")
        .bind(subscription.0)
        .bind(limit(limit_max))
        .fetch_all(connection)
        .await
        .map_err(database)?
        .iter()
        .map(|row| {
            Ok(Held {
                seq: Seq(column(row, 0)?),
                subscription,
                notification: Arc::new(map(row, 1, "held")?),
                at: Timestamp::from_micros(column(row, 2)?),
            })
        })
        .collect()
}

pub(super) async fn held_count(connection: &mut SqliteConnection, subscription: Seq) -> Result<u64> {
    let query = sqlx::query("SELECT count(*) FROM held WHERE subscription = ?1").bind(subscription.0);
    non_negative(&query.fetch_one(connection).await.map_err(database)?, 0)
}

pub(super) async fn deadlines(
    connection: &mut SqliteConnection,
    now: Timestamp,
    limit_max: usize,
) -> Result<Vec<Deadline>> {
    sqlx::query("SELECT resource, kind, at FROM deadline WHERE at <= ?1 ORDER BY at, resource, kind LIMIT ?2")
        .bind(now.micros())
        .bind(limit(limit_max))
        .fetch_all(connection)
        .await
        .map_err(database)?
        .iter()
        .map(|row| {
            let (resource, kind): (i64, i64) = (column(row, 0)?, column(row, 1)?);
            Ok(Deadline {
                kind: DeadlineKind::from_code(kind)
                    .ok_or_else(|| inconsistent("deadline", resource, "no such kind"))?,
                resource: Seq(resource),
                at: Timestamp::from_micros(column(row, 2)?),
            })
        })
        .collect()
}

pub(super) async fn next_deadline(connection: &mut SqliteConnection) -> Result<Option<Timestamp>> {
    earliest(connection, "SELECT min(at) FROM deadline WHERE ?1").await
}
