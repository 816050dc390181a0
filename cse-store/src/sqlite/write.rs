//! Writing a [`ChangeSet`]: one statement per table and kind of change, whatever the number of rows.

use std::sync::{Arc, LazyLock};

use cse_core::ports::{ChangeSet, Reply, StoreError};
use cse_core::resource::Resource;
use cse_core::time::Timestamp;
use rustc_hash::FxHashSet;
use sqlx::SqliteConnection;

use super::batch::{Batch, Part};
use super::database;
use super::queries::list;
use super::row::{self, add_resource, json, signed};
use super::search::is_instance;

type Result<T> = std::result::Result<T, StoreError>;

static INSERT_RESOURCE: LazyLock<Batch> = LazyLock::new(|| Batch::insert("resource", &row::COLUMNS));

/// Counters change all the time; what is in an index hardly ever does, and is not written again then: a page of each
/// index less per container and commit.
static UPDATE_RESOURCE: LazyLock<Batch> = LazyLock::new(|| {
    Batch::of_parts(&[
        Part {
            before: "UPDATE resource SET lt = column2, st = column3, creator = column4, attributes = column5 FROM "
                .into(),
            columns: 5,
            after: " WHERE resource.seq = column1",
        },
        Part {
            before: "UPDATE resource SET et = column2, cs = column3 FROM ".into(),
            columns: 3,
            after: " WHERE resource.seq = column1 AND (et IS NOT column2 OR cs IS NOT column3)",
        },
        Part {
            before: "DELETE FROM label WHERE seq IN ".into(),
            columns: 1,
            after: " AND NOT EXISTS (
                SELECT 1 FROM resource r, json_each(r.attributes, '$.lbl') l
                WHERE r.seq = label.seq AND l.value = label.label)",
        },
    ])
});

static INSERT_LABEL: LazyLock<Batch> = LazyLock::new(|| {
    Batch::new("INSERT OR IGNORE INTO label (label, seq) SELECT * FROM ", 2, " WHERE column1 IS NOT NULL")
});

static INSERT_REPLY: LazyLock<Batch> = LazyLock::new(|| Batch::insert("reply", &["number", "key", "at", "response"]));

static INSERT_OUTBOX: LazyLock<Batch> = LazyLock::new(|| {
    Batch::insert(
        "outbox",
        &["seq", "subscription", "target", "content", "event_category", "created", "next_try", "attempts"],
    )
});

static RETRY_OUTBOX: LazyLock<Batch> = LazyLock::new(|| {
    Batch::new("UPDATE outbox SET next_try = column2, attempts = column3 FROM ", 3, " WHERE outbox.seq = column1")
});

static INSERT_HELD: LazyLock<Batch> =
    LazyLock::new(|| Batch::insert("held", &["seq", "subscription", "notification", "at"]));

static SET_DEADLINE: LazyLock<Batch> = LazyLock::new(|| {
    Batch::new(
        "INSERT INTO deadline (resource, kind, at) SELECT * FROM ",
        3,
        " WHERE column1 IS NOT NULL ON CONFLICT DO UPDATE SET at = excluded.at",
    )
});

static CLEAR_DEADLINE: LazyLock<Batch> =
    LazyLock::new(|| Batch::new("DELETE FROM deadline WHERE (resource, kind) IN (SELECT * FROM ", 2, ")"));

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
    DELETE FROM below_instance WHERE seq IN (SELECT value FROM json_each(?1));
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
    let structure: Vec<_> = new.iter().filter(|resource| !is_instance(resource.ty)).map(|new| new.seq).collect();
    if !structure.is_empty() {
        sqlx::query(MARK_BELOW_INSTANCE)
            .bind(list(&structure, |seq| seq.0))
            .execute(&mut *connection)
            .await
            .map_err(database)?;
    }
    insert_labels(connection, new.into_iter()).await
}

const MARK_BELOW_INSTANCE: &str = "
    INSERT INTO below_instance SELECT r.seq FROM resource r CROSS JOIN resource p
    WHERE r.seq IN (SELECT value FROM json_each(?1)) AND p.seq = r.parent
        AND p.ty IN (4, 30, 58, 10004, 10030, 10058)";

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
        .run_parts(connection, changed, |values, resource, part| {
            values.add(resource.seq.0)?;
            match part {
                0 => {
                    values.add(resource.last_modified_time.micros())?;
                    values.add(signed(resource.state_tag, resource.seq)?)?;
                    values.add(resource.creator.as_str())?;
                    values.add(json(&resource.attributes)?)
                }
                1 => {
                    values.add(resource.expiration_time.map(Timestamp::micros))?;
                    values.add(signed(resource.content_size, resource.seq)?)
                }
                _ => Ok(()),
            }
        })
        .await?;
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
