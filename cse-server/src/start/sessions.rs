//! The sessions of the embedded broker, in a file beside the database.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cse_mqtt::broker::{
    Changes, MessageContent, MessageRecord, Persistence, PersistenceError, SessionRecord, StoredSession,
    SubscriptionKey, SubscriptionRecord,
};
use cse_store::sqlite::OpenError;
use cse_store::sqlite::sessions::{
    MessageRow, SessionChanges, SessionContent, SessionFile, SessionOptions, SessionRow, SubscriptionRow,
};
use rumqttc::QoS;
use tracing::info;

use super::durability;
use crate::config::{Config, MqttVia};

/// Name of the file in the data directory.
const FILE: &str = "mqtt.db";

/// The file, and what is in it.
pub(super) struct Sessions {
    pub(super) file: SessionWriter,
    pub(super) stored: Vec<StoredSession>,
}

/// Opens the file, if the embedded broker is to keep its sessions.
pub(super) async fn open(config: &Config) -> Result<Option<Sessions>, OpenError> {
    if !config.mqtt.persistence || !matches!(config.mqtt.via, MqttVia::Embedded(_)) {
        return Ok(None);
    }
    let options =
        SessionOptions { path: config.store.data_dir.join(FILE), durability: durability(config.store.durability) };
    let (file, contents) = SessionFile::open(options).await?;
    let stored: Vec<_> = contents.into_iter().map(session_of).collect();
    if !stored.is_empty() {
        let messages: usize = stored.iter().map(|session| session.messages.len()).sum();
        info!(sessions = stored.len(), messages, "MQTT sessions of the last run are kept");
    }
    Ok(Some(Sessions { file: SessionWriter(file), stored }))
}

/// Writes what the broker stores.
pub(super) struct SessionWriter(SessionFile);

impl Persistence for SessionWriter {
    async fn commit(&mut self, changes: &Changes) -> Result<(), PersistenceError> {
        self.0.commit(&rows_of(changes)).await.map_err(|error| PersistenceError(error.to_string()))
    }

    async fn close(self) -> Result<(), PersistenceError> {
        self.0.close().await.map_err(|error| PersistenceError(error.to_string()))
    }
}

/// Numbers of the broker count up from 1, one by one: none comes near the end of either type.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

fn millis_of(time: SystemTime) -> i64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// None for a time beyond all time, which is as good as never.
fn time_of(millis: i64) -> Option<SystemTime> {
    UNIX_EPOCH.checked_add(Duration::from_millis(unsigned(millis)))
}

fn qos_of(number: u8) -> QoS {
    match number {
        0 => QoS::AtMostOnce,
        1 => QoS::AtLeastOnce,
        _ => QoS::ExactlyOnce,
    }
}

fn rows_of(changes: &Changes) -> SessionChanges {
    let key = |key: &SubscriptionKey| (signed(key.session), std::sync::Arc::clone(&key.filter));
    let packet = |key: &cse_mqtt::broker::PacketKey| (signed(key.session), key.packet_id);
    SessionChanges {
        sessions: changes.sessions.iter().map(session_row).collect(),
        subscriptions: changes.subscriptions.iter().map(subscription_row).collect(),
        messages: changes.messages.iter().map(message_row).collect(),
        received: changes.received.iter().map(packet).collect(),
        subscriptions_ended: changes.subscriptions_ended.iter().map(key).collect(),
        messages_done: changes
            .messages_done
            .iter()
            .map(|range| (signed(range.session), signed(range.first), signed(range.last)))
            .collect(),
        released: changes.released.iter().map(packet).collect(),
        sessions_ended: changes.sessions_ended.iter().copied().map(signed).collect(),
    }
}

fn session_row(record: &SessionRecord) -> SessionRow {
    SessionRow {
        id: signed(record.id),
        client_id: record.client_id.clone(),
        identity: record.identity.clone(),
        expiry: signed(record.expiry.as_secs()),
        ends: record.ends.map(millis_of),
        sent_below: signed(record.sent_below),
    }
}

fn subscription_row(record: &SubscriptionRecord) -> SubscriptionRow {
    SubscriptionRow {
        session: signed(record.key.session),
        filter: record.key.filter.clone(),
        qos: record.qos as u8,
        no_local: record.no_local,
    }
}

fn message_row(record: &MessageRecord) -> MessageRow {
    let content = record.content.as_ref();
    MessageRow {
        session: signed(record.session),
        number: signed(record.number),
        qos: record.qos as u8,
        topic: content.map(|content| content.topic.clone()),
        payload: content.map(|content| content.payload.clone()).unwrap_or_default(),
        expires: content.and_then(|content| content.expires).map(millis_of),
        properties: content.and_then(|content| content.properties.clone()),
    }
}

fn session_of(content: SessionContent) -> StoredSession {
    let SessionContent { session, subscriptions, messages, received } = content;
    StoredSession {
        record: SessionRecord {
            id: unsigned(session.id),
            client_id: session.client_id,
            identity: session.identity,
            expiry: Duration::from_secs(unsigned(session.expiry)),
            ends: session.ends.and_then(time_of),
            sent_below: unsigned(session.sent_below),
        },
        subscriptions: subscriptions.into_iter().map(subscription_of).collect(),
        messages: messages.into_iter().map(message_of).collect(),
        received,
    }
}

fn subscription_of(row: SubscriptionRow) -> SubscriptionRecord {
    SubscriptionRecord {
        key: SubscriptionKey { session: unsigned(row.session), filter: row.filter },
        qos: qos_of(row.qos),
        no_local: row.no_local,
    }
}

fn message_of(row: MessageRow) -> MessageRecord {
    let MessageRow { session, number, qos, topic, payload, expires, properties } = row;
    let content = topic.map(|topic| MessageContent { topic, payload, expires: expires.and_then(time_of), properties });
    MessageRecord { session: unsigned(session), number: unsigned(number), qos: qos_of(qos), content }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_comes_back() {
        let time = UNIX_EPOCH + Duration::from_millis(1_700_000_000_123);
        let record = SessionRecord {
            id: 7,
            client_id: "C".into(),
            identity: "i".into(),
            expiry: Duration::from_secs(60),
            ends: Some(time),
            sent_below: 3,
        };
        let key = SubscriptionKey { session: 7, filter: "a/#".into() };
        let subscription = SubscriptionRecord { key, qos: QoS::ExactlyOnce, no_local: true };
        let content = |expires| MessageContent {
            topic: "a/b".into(),
            payload: vec![0, 1].into(),
            expires,
            properties: Some(vec![1].into()),
        };
        let message = |number, content| MessageRecord { session: 7, number, qos: QoS::ExactlyOnce, content };
        let messages = vec![message(1, None), message(2, Some(content(Some(time)))), message(3, Some(content(None)))];
        let changes = Changes {
            sessions: vec![record.clone()],
            subscriptions: vec![subscription.clone()],
            messages: messages.clone(),
            ..Changes::default()
        };
        let SessionChanges { mut sessions, subscriptions, messages: rows, .. } = rows_of(&changes);
        let session = sessions.pop().expect("one");
        let stored = session_of(SessionContent { session, subscriptions, messages: rows, received: vec![5] });
        let expected = StoredSession { record, subscriptions: vec![subscription], messages, received: vec![5] };
        assert_eq!(stored, expected);
    }
}
