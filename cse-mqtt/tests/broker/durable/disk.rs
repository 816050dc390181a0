//! Storage in memory that is slow, stuck or broken on demand, and survives the broker.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cse_mqtt::broker::{
    Changes, MessageRecord, Persistence, PersistenceError, SessionRecord, StoredSession, SubscriptionRecord,
};
use parking_lot::Mutex;
use tokio::sync::watch;

#[derive(Clone, Default)]
pub(crate) struct Disk {
    content: Arc<Mutex<Content>>,
    mode: Arc<watch::Sender<Mode>>,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Mode {
    #[default]
    Works,
    /// Commits wait.
    Stuck,
    /// Commits fail and change nothing.
    Broken,
    /// Commits fail, but all of it is there.
    Uncertain,
}

#[derive(Default)]
struct Content {
    sessions: BTreeMap<u64, SessionRecord>,
    subscriptions: BTreeMap<(u64, String), SubscriptionRecord>,
    messages: BTreeMap<(u64, u64), MessageRecord>,
    received: BTreeSet<(u64, u16)>,
    commits: usize,
    messages_put: usize,
}

/// What the persister gets of a disk.
pub(crate) struct Writer(Disk);

impl Disk {
    pub(crate) fn open(&self) -> Writer {
        Writer(self.clone())
    }

    pub(crate) fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }

    pub(crate) fn load(&self) -> Vec<StoredSession> {
        let content = self.content.lock();
        let of = |id: u64, record: &SessionRecord| StoredSession {
            record: record.clone(),
            subscriptions: content.subscriptions.values().filter(|row| row.key.session == id).cloned().collect(),
            messages: content.messages.values().filter(|row| row.session == id).cloned().collect(),
            received: content.received.iter().filter(|(session, _)| *session == id).map(|(_, id)| *id).collect(),
        };
        content.sessions.iter().map(|(id, record)| of(*id, record)).collect()
    }

    /// Payloads of the messages of all sessions.
    pub(crate) fn payloads(&self) -> Vec<String> {
        let content = self.content.lock();
        let contents = content.messages.values().filter_map(|message| message.content.as_ref());
        contents.map(|content| String::from_utf8_lossy(&content.payload).into_owned()).collect()
    }

    pub(crate) fn filters(&self) -> Vec<String> {
        self.content.lock().subscriptions.keys().map(|(_, filter)| filter.clone()).collect()
    }

    pub(crate) fn sessions(&self) -> usize {
        self.content.lock().sessions.len()
    }

    pub(crate) fn rows(&self) -> usize {
        let content = self.content.lock();
        content.messages.len() + content.received.len()
    }

    /// Messages ever written.
    pub(crate) fn messages_put(&self) -> usize {
        self.content.lock().messages_put
    }
}

impl Content {
    fn apply(&mut self, changes: &Changes) {
        self.commits += 1;
        self.messages_put += changes.messages.len();
        for record in &changes.sessions {
            self.sessions.insert(record.id, record.clone());
        }
        for record in &changes.subscriptions {
            self.subscriptions.insert((record.key.session, record.key.filter.to_string()), record.clone());
        }
        for record in &changes.messages {
            assert!(self.sessions.contains_key(&record.session), "a message of an unknown session");
            self.messages.insert((record.session, record.number), record.clone());
        }
        self.received.extend(changes.received.iter().map(|key| (key.session, key.packet_id)));
        for key in &changes.subscriptions_ended {
            self.subscriptions.remove(&(key.session, key.filter.to_string()));
        }
        for range in &changes.messages_done {
            self.messages.retain(|(session, number), _| {
                *session != range.session || !(range.first..=range.last).contains(number)
            });
        }
        for key in &changes.released {
            self.received.remove(&(key.session, key.packet_id));
        }
        for id in &changes.sessions_ended {
            self.sessions.remove(id);
            self.subscriptions.retain(|(session, _), _| session != id);
            self.messages.retain(|(session, _), _| session != id);
            self.received.retain(|(session, _)| session != id);
        }
    }
}

impl Persistence for Writer {
    async fn commit(&mut self, changes: &Changes) -> Result<(), PersistenceError> {
        let Disk { content, mode } = &self.0;
        let mut seen = mode.subscribe();
        let now = *seen.wait_for(|mode| *mode != Mode::Stuck).await.expect("we have the sender");
        match now {
            Mode::Works | Mode::Stuck => content.lock().apply(changes),
            Mode::Broken => return Err(PersistenceError("the disk is full".into())),
            Mode::Uncertain => {
                content.lock().apply(changes);
                return Err(PersistenceError("nobody knows".into()));
            }
        }
        // Commits take their time, so that there is something between them.
        tokio::task::yield_now().await;
        Ok(())
    }

    async fn close(self) -> Result<(), PersistenceError> {
        Ok(())
    }
}
