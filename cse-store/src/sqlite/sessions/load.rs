//! Reading all sessions, once.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use rustc_hash::FxHashMap;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use super::{MessageRow, SessionContent, SessionRow, SubscriptionRow};
use crate::sqlite::open::{OpenError, database_error};

type Result<T, E = sqlx::Error> = std::result::Result<T, E>;

/// Messages read at a time, so that they are in memory once.
const PAGE: i64 = 256;

pub(super) async fn load(connection: &mut SqliteConnection, path: &Path) -> Result<Vec<SessionContent>, OpenError> {
    let failed = |error: sqlx::Error| match error {
        // A value that is not of its type: not what this program wrote.
        sqlx::Error::ColumnDecode { .. } => OpenError::Damaged { path: path.into(), problem: error.to_string() },
        error => database_error(path, error),
    };
    let sessions = load_sessions(connection).await.map_err(failed)?;
    let mut contents = Contents {
        places: sessions.iter().enumerate().map(|(place, row)| (row.id, place)).collect(),
        sessions: sessions
            .into_iter()
            .map(|session| SessionContent {
                session,
                subscriptions: Vec::new(),
                messages: Vec::new(),
                received: Vec::new(),
            })
            .collect(),
    };
    load_subscriptions(connection, &mut contents).await.map_err(failed)?;
    load_messages(connection, &mut contents).await.map_err(failed)?;
    load_received(connection, &mut contents).await.map_err(failed)?;
    Ok(contents.sessions)
}

struct Contents {
    sessions: Vec<SessionContent>,
    places: FxHashMap<i64, usize>,
}

impl Contents {
    /// What belongs to no session is of no use to anybody.
    fn of(&mut self, session: i64) -> Option<&mut SessionContent> {
        self.places.get(&session).and_then(|place| self.sessions.get_mut(*place))
    }
}

async fn load_sessions(connection: &mut SqliteConnection) -> Result<Vec<SessionRow>> {
    sqlx::query("SELECT id, client_id, identity, expiry, ends, sent_below FROM session ORDER BY id")
        .fetch_all(connection)
        .await?
        .iter()
        .map(|row| {
            Ok(SessionRow {
                id: row.try_get(0)?,
                client_id: text(row, 1)?,
                identity: text(row, 2)?,
                expiry: row.try_get(3)?,
                ends: row.try_get(4)?,
                sent_below: row.try_get(5)?,
            })
        })
        .collect()
}

async fn load_subscriptions(connection: &mut SqliteConnection, contents: &mut Contents) -> Result<()> {
    let rows = sqlx::query("SELECT session, filter, qos, no_local FROM subscription ORDER BY session, filter")
        .fetch_all(connection)
        .await?;
    for row in &rows {
        let session = row.try_get(0)?;
        let subscription =
            SubscriptionRow { session, filter: text(row, 1)?, qos: row.try_get(2)?, no_local: row.try_get(3)? };
        if let Some(content) = contents.of(session) {
            content.subscriptions.push(subscription);
        }
    }
    Ok(())
}

async fn load_messages(connection: &mut SqliteConnection, contents: &mut Contents) -> Result<()> {
    let (mut last_session, mut last_number) = (i64::MIN, 0_i64);
    loop {
        let rows = sqlx::query(
            "SELECT session, number, qos, topic, payload, expires, properties FROM message
             WHERE (session, number) > (?1, ?2) ORDER BY session, number LIMIT ?3",
        )
        .bind(last_session)
        .bind(last_number)
        .bind(PAGE)
        .fetch_all(&mut *connection)
        .await?;
        for row in &rows {
            (last_session, last_number) = (row.try_get(0)?, row.try_get(1)?);
            let message = MessageRow {
                session: last_session,
                number: last_number,
                qos: row.try_get(2)?,
                topic: row.try_get::<Option<&str>, _>(3)?.map(Arc::from),
                payload: Bytes::copy_from_slice(row.try_get(4)?),
                expires: row.try_get(5)?,
                properties: row.try_get::<Option<&[u8]>, _>(6)?.map(Bytes::copy_from_slice),
            };
            if let Some(content) = contents.of(last_session) {
                content.messages.push(message);
            }
        }
        if rows.is_empty() {
            return Ok(());
        }
    }
}

async fn load_received(connection: &mut SqliteConnection, contents: &mut Contents) -> Result<()> {
    let rows = sqlx::query("SELECT session, packet_id FROM received ORDER BY session, packet_id")
        .fetch_all(connection)
        .await?;
    for row in &rows {
        let packet_id = row.try_get(1)?;
        if let Some(content) = contents.of(row.try_get(0)?) {
            content.received.push(packet_id);
        }
    }
    Ok(())
}

fn text(row: &SqliteRow, index: usize) -> Result<Arc<str>> {
    row.try_get::<&str, _>(index).map(Arc::from)
}
