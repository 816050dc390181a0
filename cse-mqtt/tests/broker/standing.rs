//! What let clients in ends while they are connected or away.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cse_mqtt::broker::{
    Admission, Client as Who, ConnectInfo, Identity, Limits, Policy, PolicyFuture, Proof, Revoked, Standing,
};
use parking_lot::Mutex;
use rumqttc::QoS;
use tokio::net::TcpStream;

use crate::harness::*;

/// The user name is the identity. Users of the list have a proof that holds while their number stays.
#[derive(Clone, Default)]
struct Listed {
    numbers: Arc<Mutex<HashMap<String, u64>>>,
    /// Added to the number of whoever logs in, when that is decided: the list changes in that moment.
    changes_at_login: Arc<AtomicU64>,
}

impl Listed {
    fn of(users: &[&str]) -> Self {
        let listed = Self::default();
        listed.numbers.lock().extend(users.iter().map(|user| ((*user).to_owned(), 1)));
        listed
    }
}

impl Policy for Listed {
    fn authenticate<'a>(&'a self, connect: &'a ConnectInfo) -> PolicyFuture<'a> {
        let name = connect.username.clone().unwrap_or_default();
        let mut numbers = self.numbers.lock();
        let number = numbers.get_mut(&name);
        let proof = number.as_deref().copied().map(Proof::new);
        if let Some(number) = number {
            *number += self.changes_at_login.load(Ordering::SeqCst);
        }
        Box::pin(std::future::ready(Ok(Admission { identity: Identity::new(name), proof })))
    }

    fn may_subscribe(&self, _: &Who, _: &str) -> bool {
        true
    }

    fn may_publish(&self, _: &Who, _: &str) -> bool {
        true
    }

    fn standing(&self, identity: &Identity, proof: Option<Proof>) -> Standing {
        let number = self.numbers.lock().get(identity.name()).copied();
        match (proof, number) {
            (None, _) => Standing::Good,
            (Some(_), None) => Standing::Gone,
            (Some(proof), Some(number)) if proof == Proof::new(number) => Standing::Good,
            (Some(_), Some(_)) => Standing::Stale,
        }
    }
}

async fn kept(broker: &TestBroker, user: &str, id: &str) -> (Client<TcpStream>, bool) {
    let mut client = broker.raw().await;
    client.send(&login(id, false, user, "any")).await;
    let present = client.connected().await;
    (client, present)
}

fn ids(broker: &TestBroker) -> Vec<String> {
    let mut ids: Vec<_> = broker.broker.sessions().iter().map(|session| session.client.client_id.to_string()).collect();
    ids.sort();
    ids
}

#[tokio::test]
async fn who_has_to_log_in_again_finds_its_session() {
    let listed = Listed::of(&["lamp", "door"]);
    let broker = TestBroker::with(Limits::default(), listed.clone()).await;
    let (mut lamp, _) = kept(&broker, "lamp", "lamp").await;
    lamp.subscribe("t", QoS::AtLeastOnce).await;
    let (mut door, _) = kept(&broker, "door", "door").await;
    assert_eq!(broker.broker.review_standing(), Revoked::default());

    listed.numbers.lock().insert("lamp".to_owned(), 2);
    assert_eq!(broker.broker.review_standing(), Revoked { connections: 1, sessions: 0 });
    lamp.expect_closed().await;
    broker.until_offline("lamp").await;
    // It is told once.
    assert_eq!(broker.broker.review_standing(), Revoked::default());
    door.publish("t", "missed", QoS::AtLeastOnce, 1).await;
    door.expect_puback(1).await;
    let (mut lamp, present) = kept(&broker, "lamp", "lamp").await;
    assert!(present);
    assert_eq!(text(&lamp.message().await.payload), "missed");
    assert_eq!(broker.broker.review_standing(), Revoked::default());
    assert_eq!(broker.broker.stats().clients_revoked.get(), 1);
}

#[tokio::test]
async fn who_is_gone_loses_connection_and_session() {
    let listed = Listed::of(&["lamp", "door"]);
    let broker = TestBroker::with(Limits::default(), listed.clone()).await;
    let (mut here, _) = kept(&broker, "lamp", "here").await;
    for id in ["away", "late"] {
        let (mut away, _) = kept(&broker, "lamp", id).await;
        away.subscribe("t", QoS::AtLeastOnce).await;
        away.vanish(&broker, id).await;
    }
    // Has no proof that could end.
    let (mut other, _) = kept(&broker, "certificate", "other").await;
    let (mut door, _) = kept(&broker, "door", "door").await;

    listed.numbers.lock().remove("lamp");
    assert_eq!(broker.broker.review_standing(), Revoked { connections: 1, sessions: 3 });
    here.expect_closed().await;
    other.expect_nothing().await;
    door.expect_nothing().await;
    assert_eq!(ids(&broker), ["door", "other"]);
    let (link, _receiver) = broker.broker.link("cse", &[]).expect("no filters");
    assert_eq!(link.publish("t", "x".into(), QoS::AtLeastOnce).expect("valid").matched, 0);
    assert_eq!(broker.broker.stats().sessions_revoked.get(), 3);
}

#[tokio::test]
async fn version_5_is_told() {
    let listed = Listed::of(&["lamp"]);
    let broker = TestBroker::with(Limits::default(), listed.clone()).await;
    let mut lamp = broker.raw().await;
    lamp.send(&connect5_with(0x82, 0, b"", &[b"lamp", b"lamp"])).await;
    assert_eq!(lamp.frame().await.expect("CONNACK")[3], 0);
    listed.numbers.lock().clear();
    assert_eq!(broker.broker.review_standing().connections, 1);
    let rest = lamp.rest().await;
    assert_eq!((rest[0], rest[2]), (0xe0, 0x87), "{rest:02x?}");
}

#[tokio::test]
async fn a_change_during_the_login_is_not_missed() {
    let listed = Listed::of(&["lamp"]);
    listed.changes_at_login.store(1, Ordering::SeqCst);
    let broker = TestBroker::with(Limits::default(), listed.clone()).await;
    let mut lamp = broker.raw().await;
    lamp.send(&login("lamp", false, "lamp", "any")).await;
    lamp.expect_closed().await;
    until(|| broker.broker.stats().clients_revoked.get() == 1).await;
    listed.changes_at_login.store(0, Ordering::SeqCst);
    let (mut lamp, _) = kept(&broker, "lamp", "lamp").await;
    lamp.expect_nothing().await;
}
