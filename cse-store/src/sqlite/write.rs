//! Writing a [`ChangeSet`]: one statement per table and kind of change, whatever the number of rows.

use std::sync::{Arc, LazyLock};

use cse_core::ports::{ChangeSet, Reply, StoreError};
use cse_core::resource::Resource;
use rustc_hash::FxHashSet;
use sqlx::SqliteConnection;

use super::batch::Batch;
use super::database;
use super::queries::list;
use super::row::{self, add_changeable, add_resource, json};

type Result<T> = std::result::Result<T, StoreError>;

static INSERT_RESOURCE: LazyLock<Batch> = LazyLock::new(|| Batch::insert("resource", &row::COLUMNS));

static UPDATE_RESOURCE: LazyLock<Batch> = LazyLock::new(|| {
    Batch::new(
        7,
        "UPDATE resource SET lt = column2, et = column3, st = column4, cs = column5, creator = column6,
         attributes = column7 FROM ",
        " WHERE resource.seq = column1",
    )
});

static INSERT_LABEL: LazyLock<Batch> = LazyLock::new(|| {
    Batch::new(2, "INSERT OR IGNORE INTO label (label, seq) SELECT * FROM ", " WHERE column1 IS NOT NULL")
});

static INSERT_REPLY: LazyLock<Batch> = LazyLock::new(|| Batch::insert("reply", &["number", "key", "at", "response"]));

static INSERT_OUTBOX: LazyLock<Batch> = LazyLock::new(|| {
    Batch::insert(
        "outbox",
        &["seq", "subscription", "target", "content", "event_category", "created", "next_try", "attempts"],
    )
});

static RETRY_OUTBOX: LazyLock<Batch> = LazyLock::new(|| {
    Batch::new(3, "UPDATE outbox SET next_try = column2, attempts = column3 FROM ", " WHERE outbox.seq = column1")
});

static INSERT_HELD: LazyLock<Batch> =
    LazyLock::new(|| Batch::insert("held", &["seq", "subscription", "notification", "at"]));

static SET_DEADLINE: LazyLock<Batch> = LazyLock::new(|| {
    Batch::new(
        3,
        "INSERT INTO deadline (resource, kind, at) SELECT * FROM ",
        " WHERE column1 IS NOT NULL ON CONFLICT DO UPDATE SET at = excluded.at",
    )
});

static CLEAR_DEADLINE: LazyLock<Batch> =
    LazyLock::new(|| Batch::new(2, "DELETE FROM deadline WHERE (resource, kind) IN (SELECT * FROM ", ")"));

/// Writes everything but replies, which the caller numbers.
pub(super) async fn write(connection: &mut SqliteConnection, changes: &ChangeSet) -> Result<()> {
    // Gone first: a name may be free again for a new resource.
    if !changes.delete.is_empty() {
        delete_where(connection, DELETE_RESOURCES, list(&changes.delete, |seq| seq.0)).await?;
    }
    insert_resources(connection, changes).await?;
    update_resources(connection, &changes.update).await?;
    write_outbox(connection, changes).await?;
    write_held(connection, changes).await?;
    write_deadlines(connection, changes).await?;
    if !changes.delete.is_empty() && (!changes.held_insert.is_empty() || !changes.deadlines_set.is_empty()) {
        // What the same changes hung on a resource that they delete.
        delete_where(connection, DELETE_SIDES, list(&changes.delete, |seq| seq.0)).await?;
    }
    Ok(())
}

const DELETE_RESOURCES: &str = "
    DELETE FROM resource WHERE seq IN (SELECT value FROM json_each(?1));
    DELETE FROM label WHERE seq IN (SELECT value FROM json_each(?1));
    DELETE FROM held WHERE subscription IN (SELECT value FROM json_each(?1));
    DELETE FROM deadline WHERE kind <> 3 AND resource IN (SELECT value FROM json_each(?1))";

const DELETE_SIDES: &str = "
    DELETE FROM held WHERE subscription IN (SELECT value FROM json_each(?1));
    DELETE FROM deadline WHERE kind <> 3 AND resource IN (SELECT value FROM json_each(?1))";

async fn delete_where(connection: &mut SqliteConnection, text: &'static str, numbers: String) -> Result<()> {
    sqlx::query(text).bind(numbers).execute(connection).await.map_err(database)?;
    Ok(())
}

async fn insert_resources(connection: &mut SqliteConnection, changes: &ChangeSet) -> Result<()> {
    let mut new: Vec<&Arc<Resource>> = changes.insert.iter().collect();
    if !new.is_empty() && !changes.delete.is_empty() {
        let gone: FxHashSet<_> = changes.delete.iter().collect();
        new.retain(|resource| !gone.contains(&resource.seq));
    }
    INSERT_RESOURCE.run(connection, &new, |values, resource| add_resource(values, resource)).await?;
    insert_labels(connection, new.into_iter()).await
}

async fn insert_labels(
    connection: &mut SqliteConnection,
    resources: impl Iterator<Item = &Arc<Resource>>,
) -> Result<()> {
    let labels: Vec<_> = resources.flat_map(|resource| resource.labels().map(|label| (label, resource.seq))).collect();
    INSERT_LABEL
        .run(connection, &labels, |values, (label, seq)| {
            values.add(*label)?;
            values.add(seq.0)
        })
        .await
}

async fn update_resources(connection: &mut SqliteConnection, changed: &[Arc<Resource>]) -> Result<()> {
    if changed.is_empty() {
        return Ok(());
    }
    UPDATE_RESOURCE
        .run(connection, changed, |values, resource| {
            values.add(resource.seq.0)?;
            add_changeable(values, resource)
        })
        .await?;
    // Counters change all the time, labels hardly ever: rows that stay are not written again.
    sqlx::query(
        "DELETE FROM label WHERE seq IN (SELECT value FROM json_each(?1)) AND NOT EXISTS (
            SELECT 1 FROM resource r, json_each(r.attributes, '$.lbl') l
            WHERE r.seq = label.seq AND l.value = label.label)",
    )
    .bind(list(changed, |resource| resource.seq.0))
    .execute(&mut *connection)
    .await
    .map_err(database)?;
    insert_labels(connection, changed.iter()).await
}

/// Writes answers to remember, numbered from `first`.
pub(super) async fn write_replies(connection: &mut SqliteConnection, first: i64, replies: &[Reply]) -> Result<()> {
    let mut number = first..;
    INSERT_REPLY
        .run(connection, replies, |values, reply| {
            values.add(number.next())?;
            values.add(reply.key.0.to_be_bytes().as_slice())?;
            values.add(reply.at.micros())?;
            values.add(json(&reply.response)?)
        })
        .await
}

/// Forgets the answers up to a number.
pub(super) async fn forget_replies(connection: &mut SqliteConnection, through: i64) -> Result<()> {
    let query = sqlx::query("DELETE FROM reply WHERE number <= ?1").bind(through);
    query.execute(connection).await.map_err(database)?;
    Ok(())
}

async fn write_outbox(connection: &mut SqliteConnection, changes: &ChangeSet) -> Result<()> {
    INSERT_OUTBOX
        .run(connection, &changes.outbox_insert, |values, entry| {
            values.add(entry.seq.0)?;
            values.add(entry.subscription.0)?;
            values.add(entry.target.as_str())?;
            values.add(json(&*entry.content)?)?;
            values.add(entry.event_category)?;
            values.add(entry.created.micros())?;
            values.add(entry.next_try.micros())?;
            values.add(entry.attempts)
        })
        .await?;
    RETRY_OUTBOX
        .run(connection, &changes.outbox_retry, |values, (seq, next_try, attempts)| {
            values.add(seq.0)?;
            values.add(next_try.micros())?;
            values.add(*attempts)
        })
        .await?;
    if !changes.outbox_delete.is_empty() {
        const DELETE: &str = "DELETE FROM outbox WHERE seq IN (SELECT value FROM json_each(?1))";
        delete_where(connection, DELETE, list(&changes.outbox_delete, |seq| seq.0)).await?;
    }
    Ok(())
}

async fn write_held(connection: &mut SqliteConnection, changes: &ChangeSet) -> Result<()> {
    INSERT_HELD
        .run(connection, &changes.held_insert, |values, held| {
            values.add(held.seq.0)?;
            values.add(held.subscription.0)?;
            values.add(json(&*held.notification)?)?;
            values.add(held.at.micros())
        })
        .await?;
    if !changes.held_delete.is_empty() {
        const DELETE: &str = "DELETE FROM held WHERE seq IN (SELECT value FROM json_each(?1))";
        delete_where(connection, DELETE, list(&changes.held_delete, |seq| seq.0)).await?;
    }
    Ok(())
}

async fn write_deadlines(connection: &mut SqliteConnection, changes: &ChangeSet) -> Result<()> {
    SET_DEADLINE
        .run(connection, &changes.deadlines_set, |values, deadline| {
            values.add(deadline.resource.0)?;
            values.add(deadline.kind as i64)?;
            values.add(deadline.at.micros())
        })
        .await?;
    CLEAR_DEADLINE
        .run(connection, &changes.deadlines_clear, |values, (kind, resource)| {
            values.add(resource.0)?;
            values.add(*kind as i64)
        })
        .await
}
