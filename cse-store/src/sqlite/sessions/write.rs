//! Writing [`SessionChanges`]: one statement per table and kind of change.

use std::sync::LazyLock;

use cse_core::ports::StoreError;
use sqlx::SqliteConnection;

use super::SessionChanges;
use crate::sqlite::batch::Batch;
use crate::sqlite::database;

type Result<T> = std::result::Result<T, StoreError>;

fn put(into: &str, columns: usize) -> Batch {
    Batch::new(&format!("INSERT OR REPLACE INTO {into} SELECT * FROM "), columns, " WHERE column1 IS NOT NULL")
}

static PUT_SESSION: LazyLock<Batch> =
    LazyLock::new(|| put("session (id, client_id, identity, expiry, ends, sent_below)", 6));
static PUT_SUBSCRIPTION: LazyLock<Batch> = LazyLock::new(|| put("subscription (session, filter, qos, no_local)", 4));
static PUT_MESSAGE: LazyLock<Batch> =
    LazyLock::new(|| put("message (session, number, qos, topic, payload, expires, properties)", 7));
static PUT_RECEIVED: LazyLock<Batch> = LazyLock::new(|| put("received (session, packet_id)", 2));
static DELETE_SUBSCRIPTION: LazyLock<Batch> =
    LazyLock::new(|| Batch::new("DELETE FROM subscription WHERE (session, filter) IN (SELECT * FROM ", 2, ")"));
static DELETE_MESSAGES: LazyLock<Batch> = LazyLock::new(|| {
    // CROSS JOIN keeps the order: for each range, its messages.
    Batch::new(
        "DELETE FROM message WHERE (session, number) IN (SELECT m.session, m.number FROM (SELECT * FROM ",
        3,
        ") AS done CROSS JOIN message AS m
         ON m.session = done.column1 AND m.number BETWEEN done.column2 AND done.column3)",
    )
});
static DELETE_RECEIVED: LazyLock<Batch> =
    LazyLock::new(|| Batch::new("DELETE FROM received WHERE (session, packet_id) IN (SELECT * FROM ", 2, ")"));

const DELETE_SESSIONS: &str = "
    DELETE FROM subscription WHERE session IN (SELECT value FROM json_each(?1));
    DELETE FROM message WHERE session IN (SELECT value FROM json_each(?1));
    DELETE FROM received WHERE session IN (SELECT value FROM json_each(?1));
    DELETE FROM session WHERE id IN (SELECT value FROM json_each(?1))";

pub(super) async fn write(connection: &mut SqliteConnection, changes: &SessionChanges) -> Result<()> {
    PUT_SESSION
        .run(connection, &changes.sessions, |values, row| {
            values.add(row.id)?;
            values.add(&*row.client_id)?;
            values.add(&*row.identity)?;
            values.add(row.expiry)?;
            values.add(row.ends)?;
            values.add(row.sent_below)
        })
        .await?;
    PUT_SUBSCRIPTION
        .run(connection, &changes.subscriptions, |values, row| {
            values.add(row.session)?;
            values.add(&*row.filter)?;
            values.add(i64::from(row.qos))?;
            values.add(row.no_local)
        })
        .await?;
    PUT_MESSAGE
        .run(connection, &changes.messages, |values, row| {
            values.add(row.session)?;
            values.add(row.number)?;
            values.add(i64::from(row.qos))?;
            values.add(row.topic.as_deref())?;
            values.add(&*row.payload)?;
            values.add(row.expires)?;
            values.add(row.properties.as_deref())
        })
        .await?;
    PUT_RECEIVED
        .run(connection, &changes.received, |values, (session, packet_id)| {
            values.add(*session)?;
            values.add(i64::from(*packet_id))
        })
        .await?;
    DELETE_SUBSCRIPTION
        .run(connection, &changes.subscriptions_ended, |values, (session, filter)| {
            values.add(*session)?;
            values.add(&**filter)
        })
        .await?;
    DELETE_MESSAGES
        .run(connection, &changes.messages_done, |values, (session, first, last)| {
            values.add(*session)?;
            values.add(*first)?;
            values.add(*last)
        })
        .await?;
    DELETE_RECEIVED
        .run(connection, &changes.released, |values, (session, packet_id)| {
            values.add(*session)?;
            values.add(i64::from(*packet_id))
        })
        .await?;
    if !changes.sessions_ended.is_empty() {
        let ids =
            serde_json::to_string(&changes.sessions_ended).map_err(|error| StoreError::Database(error.to_string()))?;
        sqlx::query(DELETE_SESSIONS).bind(ids).execute(connection).await.map_err(database)?;
    }
    Ok(())
}
