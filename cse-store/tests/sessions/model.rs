//! Random changes lead to the same sessions as in the simplest model, however often the file is opened in between.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use cse_store::sqlite::sessions::{MessageRow, SessionChanges, SessionContent, SessionRow, SubscriptionRow};
use proptest::prelude::*;

use crate::open;

#[derive(Clone, Debug, Default)]
struct Model {
    sessions: BTreeMap<i64, SessionRow>,
    subscriptions: BTreeMap<(i64, String), SubscriptionRow>,
    messages: BTreeMap<(i64, i64), MessageRow>,
    received: BTreeSet<(i64, u16)>,
}

impl Model {
    fn apply(&mut self, changes: &SessionChanges) {
        for row in &changes.sessions {
            self.sessions.insert(row.id, row.clone());
        }
        for row in &changes.subscriptions {
            self.subscriptions.insert((row.session, row.filter.to_string()), row.clone());
        }
        for row in &changes.messages {
            self.messages.insert((row.session, row.number), row.clone());
        }
        self.received.extend(&changes.received);
        for (session, filter) in &changes.subscriptions_ended {
            self.subscriptions.remove(&(*session, filter.to_string()));
        }
        for (session, first, last) in &changes.messages_done {
            self.messages.retain(|(of, number), _| of != session || !(first..=last).contains(&number));
        }
        for key in &changes.released {
            self.received.remove(key);
        }
        for ended in &changes.sessions_ended {
            self.sessions.remove(ended);
            self.subscriptions.retain(|(session, _), _| session != ended);
            self.messages.retain(|(session, _), _| session != ended);
            self.received.retain(|(session, _)| session != ended);
        }
    }

    fn contents(&self) -> Vec<SessionContent> {
        let of = |id: i64, session: &SessionRow| SessionContent {
            session: session.clone(),
            subscriptions: self.subscriptions.values().filter(|row| row.session == id).cloned().collect(),
            messages: self.messages.values().filter(|row| row.session == id).cloned().collect(),
            received: self.received.iter().filter(|(session, _)| *session == id).map(|(_, packet)| *packet).collect(),
        };
        self.sessions.iter().map(|(id, session)| of(*id, session)).collect()
    }
}

fn session() -> impl Strategy<Value = SessionRow> {
    (1_i64..5, "[a-z/:]{0,8}", "[a-z]{0,3}", 0..=i64::MAX, any::<Option<i64>>(), 0_i64..100).prop_map(
        |(id, client_id, identity, expiry, ends, sent_below)| SessionRow {
            id,
            client_id: client_id.into(),
            identity: identity.into(),
            expiry,
            ends,
            sent_below,
        },
    )
}

fn subscription() -> impl Strategy<Value = SubscriptionRow> {
    (1_i64..5, "[ab/+#]{1,3}", 0_u8..3, any::<bool>()).prop_map(|(session, filter, qos, no_local)| SubscriptionRow {
        session,
        filter: filter.into(),
        qos,
        no_local,
    })
}

fn message() -> impl Strategy<Value = MessageRow> {
    let content = (prop::option::of("[a-zä/]{1,9}"), prop::collection::vec(any::<u8>(), 0..40));
    let rest = (any::<Option<i64>>(), prop::option::of(prop::collection::vec(any::<u8>(), 0..9)));
    (1_i64..5, 1_i64..40, 1_u8..3, content, rest).prop_map(
        |(session, number, qos, (topic, payload), (expires, properties))| MessageRow {
            session,
            number,
            qos,
            topic: topic.map(Into::into),
            payload: Bytes::from(payload),
            expires,
            properties: properties.map(Bytes::from),
        },
    )
}

fn several<T: std::fmt::Debug>(of: impl Strategy<Value = T>, max: usize) -> impl Strategy<Value = Vec<T>> {
    prop::collection::vec(of, 0..max)
}

fn changes() -> impl Strategy<Value = SessionChanges> {
    let put =
        (several(session(), 4), several(subscription(), 6), several(message(), 90), several((1_i64..5, 1_u16..9), 4));
    let filters = (1_i64..5, "[ab/+#]{1,3}").prop_map(|(session, filter)| (session, filter.into()));
    let ranges = (1_i64..5, 1_i64..40, 0_i64..9).prop_map(|(session, first, more)| (session, first, first + more));
    let removed = (several(filters, 6), several(ranges, 6), several((1_i64..5, 1_u16..9), 4), several(1_i64..5, 2));
    (put, removed).prop_map(
        |(
            (sessions, subscriptions, messages, received),
            (subscriptions_ended, messages_done, released, sessions_ended),
        )| {
            SessionChanges {
                sessions,
                subscriptions,
                messages,
                received,
                subscriptions_ended,
                messages_done,
                released,
                sessions_ended,
            }
        },
    )
}

/// What becomes of the file after some changes.
#[derive(Clone, Copy, Debug)]
enum Then {
    GoOn,
    Close,
    /// The process is gone without a word.
    Kill,
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn the_file_holds_what_was_committed(
        steps in prop::collection::vec(
            (changes(), prop::sample::select(vec![Then::GoOn, Then::Close, Then::Kill])), 1..12)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let directory = tempfile::tempdir().unwrap();
            let mut model = Model::default();
            let (mut file, sessions) = open(directory.path()).await;
            prop_assert!(sessions.is_empty());
            for (changes, then) in steps {
                file.commit(&changes).await.unwrap();
                model.apply(&changes);
                match then {
                    Then::GoOn => continue,
                    Then::Close => file.close().await.unwrap(),
                    Then::Kill => drop(file),
                }
                let (again, sessions) = open(directory.path()).await;
                // What belongs to no session is not given to anybody.
                prop_assert_eq!(sessions, model.contents());
                file = again;
            }
            Ok(())
        })?;
    }
}
