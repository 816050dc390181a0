//! Reading resources, on the connection of a snapshot or of the write transaction.
//!
//! Texts of statements are constants, so each is prepared once per connection.

use cse_core::id::Seq;
use cse_core::ports::StoreError;
use cse_core::resource::{Resource, seq_of_generated_id};
use cse_core::schema::Ty;
use cse_core::time::Timestamp;
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;

use super::database;
use super::row::{self, column};

type Result<T> = std::result::Result<T, StoreError>;

/// The columns of a resource, as in `row::COLUMNS`, for a statement text.
macro_rules! columns {
    () => {
        "seq, parent, ty, id_prefix, id, name, parent_id, ct, lt, et, st, cs, creator, attributes"
    };
}

/// A `LIMIT`.
pub(super) fn limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// Numbers as a JSON list, which `json_each` makes a table of.
pub(super) fn list<T>(items: &[T], number: impl Fn(&T) -> i64) -> String {
    use std::fmt::Write;
    let mut text = String::with_capacity(2 + items.len() * 8);
    text.push('[');
    for (index, item) in items.iter().enumerate() {
        let separator = if index == 0 { "" } else { "," };
        // Writing to a string cannot fail.
        let _ = write!(text, "{separator}{}", number(item));
    }
    text.push(']');
    text
}

fn one(row: Option<SqliteRow>) -> Result<Option<Resource>> {
    row.as_ref().map(row::resource).transpose()
}

fn many(rows: Vec<SqliteRow>) -> Result<Vec<Resource>> {
    rows.iter().map(row::resource).collect()
}

pub(super) async fn resource(connection: &mut SqliteConnection, seq: Seq) -> Result<Option<Resource>> {
    let query = sqlx::query(concat!("SELECT ", columns!(), " FROM resource WHERE seq = ?1")).bind(seq.0);
    one(query.fetch_optional(connection).await.map_err(database)?)
}

pub(super) async fn resources(connection: &mut SqliteConnection, seqs: &[Seq]) -> Result<Vec<Resource>> {
    let query = sqlx::query(concat!(
        "SELECT ",
        columns!(),
        " FROM resource WHERE seq IN (SELECT value FROM json_each(?1)) ORDER BY seq"
    ));
    many(query.bind(list(seqs, |seq| seq.0)).fetch_all(connection).await.map_err(database)?)
}

/// The number and letters that an identifier has if it was generated.
fn generated(id: &str) -> (Option<i64>, Option<&str>) {
    let seq = seq_of_generated_id(id);
    (seq.map(|seq| seq.0), seq.and_then(|seq| row::generated_prefix(id, seq)))
}

pub(super) async fn by_id(connection: &mut SqliteConnection, id: &str) -> Result<Option<Resource>> {
    let (seq, prefix) = generated(id);
    let query = sqlx::query(concat!(
        "SELECT ",
        columns!(),
        " FROM resource WHERE seq = ?1 AND id_prefix = ?2 UNION ALL SELECT ",
        columns!(),
        " FROM resource WHERE id = ?3 LIMIT 1"
    ));
    one(query.bind(seq).bind(prefix).bind(id).fetch_optional(connection).await.map_err(database)?)
}

pub(super) async fn child(connection: &mut SqliteConnection, parent: Seq, name: &str) -> Result<Option<Resource>> {
    let (seq, prefix) = generated(name);
    let query = sqlx::query(concat!(
        "SELECT ",
        columns!(),
        " FROM resource WHERE parent = ?1 AND name = ?2 UNION ALL SELECT ",
        columns!(),
        " FROM resource WHERE seq = ?3 AND id_prefix = ?4 AND parent = ?1 AND name IS NULL UNION ALL SELECT ",
        columns!(),
        // The plus keeps the parent's other children out of the plan: the identifier alone finds the row.
        " FROM resource WHERE id = ?2 AND +parent = ?1 AND name IS NULL LIMIT 1"
    ));
    let query = query.bind(parent.0).bind(name).bind(seq).bind(prefix);
    one(query.fetch_optional(connection).await.map_err(database)?)
}

pub(super) async fn children(
    connection: &mut SqliteConnection,
    parent: Seq,
    types: &[Ty],
    after: Seq,
    limit_max: usize,
) -> Result<Vec<Resource>> {
    let rows = if let [ty] = types {
        sqlx::query(concat!(
            "SELECT ",
            columns!(),
            " FROM resource WHERE parent = ?1 AND ty = ?2 AND seq > ?3 ORDER BY seq LIMIT ?4"
        ))
        .bind(parent.0)
        .bind(ty.0)
        .bind(after.0)
        .bind(limit(limit_max))
        .fetch_all(connection)
        .await
    } else {
        // The index has children by type. So the first ones of each type are looked up and merged: as many rows
        // as types times limit, however many children there are.
        sqlx::query(concat!(
            "WITH RECURSIVE kind(ty) AS (
                SELECT min(ty) FROM resource WHERE parent = ?1
                UNION ALL
                SELECT (SELECT min(r.ty) FROM resource r WHERE r.parent = ?1 AND r.ty > kind.ty)
                FROM kind WHERE kind.ty IS NOT NULL
            ), first(seq) AS (
                SELECT r.seq FROM kind CROSS JOIN resource r
                WHERE kind.ty IS NOT NULL AND (?2 IS NULL OR kind.ty IN (SELECT value FROM json_each(?2)))
                    AND r.parent = ?1 AND r.ty = kind.ty AND r.seq > ?3
                    AND r.seq <= ifnull((
                        SELECT s.seq FROM resource s WHERE s.parent = ?1 AND s.ty = kind.ty AND s.seq > ?3
                        ORDER BY s.seq LIMIT 1 OFFSET ?4 - 1
                    ), 9223372036854775807)
                ORDER BY r.seq LIMIT ?4
            )
            SELECT ",
            columns!(),
            " FROM resource WHERE seq IN first ORDER BY seq"
        ))
        .bind(parent.0)
        .bind((!types.is_empty()).then(|| list(types, |ty| i64::from(ty.0))))
        .bind(after.0)
        .bind(limit(limit_max))
        .fetch_all(connection)
        .await
    };
    many(rows.map_err(database)?)
}

pub(super) async fn newest(connection: &mut SqliteConnection, parent: Seq, ty: Ty) -> Result<Option<Resource>> {
    let query = sqlx::query(concat!(
        "SELECT ",
        columns!(),
        " FROM resource WHERE parent = ?1 AND ty = ?2 ORDER BY seq DESC LIMIT 1"
    ));
    one(query.bind(parent.0).bind(ty.0).fetch_optional(connection).await.map_err(database)?)
}

pub(super) async fn oldest(connection: &mut SqliteConnection, parent: Seq, ty: Ty) -> Result<Option<Resource>> {
    let query = sqlx::query(concat!(
        "SELECT ",
        columns!(),
        " FROM resource WHERE parent = ?1 AND ty = ?2 ORDER BY seq LIMIT 1"
    ));
    one(query.bind(parent.0).bind(ty.0).fetch_optional(connection).await.map_err(database)?)
}

pub(super) async fn oldest_sizes(
    connection: &mut SqliteConnection,
    parent: Seq,
    ty: Ty,
    limit_max: usize,
) -> Result<Vec<(Seq, u64)>> {
    sqlx::query("SELECT seq, ifnull(cs, 0) FROM resource WHERE parent = ?1 AND ty = ?2 ORDER BY seq LIMIT ?3")
        .bind(parent.0)
        .bind(ty.0)
        .bind(limit(limit_max))
        .fetch_all(connection)
        .await
        .map_err(database)?
        .iter()
        .map(|row| Ok((Seq(column(row, 0)?), non_negative(row, 1)?)))
        .collect()
}

pub(super) async fn count(connection: &mut SqliteConnection, parent: Seq, ty: Ty) -> Result<(u64, u64)> {
    let row = sqlx::query("SELECT count(*), ifnull(sum(cs), 0) FROM resource WHERE parent = ?1 AND ty = ?2")
        .bind(parent.0)
        .bind(ty.0)
        .fetch_one(connection)
        .await
        .map_err(database)?;
    Ok((non_negative(&row, 0)?, non_negative(&row, 1)?))
}

pub(super) async fn expired(connection: &mut SqliteConnection, now: Timestamp, limit_max: usize) -> Result<Vec<Seq>> {
    sqlx::query("SELECT seq FROM resource WHERE et <= ?1 ORDER BY et, seq LIMIT ?2")
        .bind(now.micros())
        .bind(limit(limit_max))
        .fetch_all(connection)
        .await
        .map_err(database)?
        .iter()
        .map(|row| Ok(Seq(column(row, 0)?)))
        .collect()
}

pub(super) async fn next_expiration(connection: &mut SqliteConnection) -> Result<Option<Timestamp>> {
    earliest(connection, "SELECT min(et) FROM resource WHERE et IS NOT NULL AND ?1").await
}

/// The time that a statement gives; its parameter is 1 (sqlx keeps only statements with parameters prepared).
pub(super) async fn earliest(connection: &mut SqliteConnection, text: &'static str) -> Result<Option<Timestamp>> {
    let row = sqlx::query(text).bind(1).fetch_one(connection).await.map_err(database)?;
    Ok(column::<Option<i64>>(&row, 0)?.map(Timestamp::from_micros))
}

/// A count or a size.
pub(super) fn non_negative(row: &SqliteRow, index: usize) -> Result<u64> {
    u64::try_from(column::<i64>(row, index)?).map_err(|error| row::inconsistent("resource", "sum", error))
}
