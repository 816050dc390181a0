//! Sessions of clients that are away: whose make room when there are too many.

use std::collections::BTreeSet;

use cse_mqtt::broker::{Limits, OpenPolicy};
use rumqttc::QoS;

use crate::durable::Durable;
use crate::durable::disk::Disk;
use crate::harness::{TestBroker, login, until};

/// The user connects with a session that is kept, subscribes, and vanishes.
async fn leaves(broker: &TestBroker, user: &str, id: &str) {
    let mut client = broker.raw().await;
    client.send(&login(id, false, user, "right")).await;
    client.connected().await;
    client.subscribe("t", QoS::AtLeastOnce).await;
    client.vanish(broker, id).await;
}

fn known(broker: &TestBroker) -> BTreeSet<String> {
    broker.broker.sessions().iter().map(|session| session.client.client_id.to_string()).collect()
}

fn ids(expected: &[&str]) -> BTreeSet<String> {
    expected.iter().map(|id| (*id).to_owned()).collect()
}

#[tokio::test]
async fn an_identity_with_many_client_identifiers_pushes_out_its_own_sessions_only() {
    let limits = Limits { offline_sessions_per_identity_max: 3, ..Limits::default() };
    let broker = TestBroker::with(limits, OpenPolicy).await;
    leaves(&broker, "lamp", "lamp").await;
    for number in 0..10 {
        leaves(&broker, "greedy", &format!("greedy@{number}")).await;
    }
    let expected = ids(&["lamp", "greedy@7", "greedy@8", "greedy@9"]);
    until(|| known(&broker) == expected).await;
    let stats = broker.broker.stats();
    assert_eq!((stats.sessions_displaced.get(), stats.sessions_expired.get()), (7, 0));

    // What is gone is begun anew, what is left goes on.
    let mut connected = Vec::new();
    for (id, present) in [("greedy@0", false), ("greedy@9", true)] {
        let mut client = broker.raw().await;
        client.send(&login(id, false, "greedy", "right")).await;
        assert_eq!(client.connected().await, present, "{id}");
        connected.push(client);
    }
    // Nor does anything go there any more.
    let (link, _receiver) = broker.broker.link("cse", &[]).expect("no filters");
    assert_eq!(link.publish("t", "x".into(), QoS::AtLeastOnce).expect("valid").matched, 4);
}

#[tokio::test]
async fn clients_without_identity_are_bounded_together_only() {
    let limits = Limits { offline_sessions_per_identity_max: 1, offline_sessions_max: 3, ..Limits::default() };
    let broker = TestBroker::with(limits, OpenPolicy).await;
    leaves(&broker, "lamp", "lamp").await;
    for id in ["a", "b", "c"] {
        let (client, _) = broker.kept(id).await;
        client.vanish(&broker, id).await;
    }
    // Although that of the lamp would end before.
    let expected = ids(&["lamp", "b", "c"]);
    until(|| known(&broker) == expected).await;
}

#[tokio::test]
async fn the_bound_of_an_identity_holds_for_sessions_of_an_earlier_process() {
    let disk = Disk::default();
    let broker = Durable::start(&disk).await;
    for (user, id) in [("greedy", "g1"), ("lamp", "l1"), ("greedy", "g2"), ("greedy", "g3"), ("lamp", "l2")] {
        leaves(&broker.broker, user, id).await;
    }
    broker.stop().await;
    let limits = || Limits { offline_sessions_per_identity_max: 2, ..Limits::default() };
    let broker = Durable::with(&disk, limits()).await;
    assert_eq!(known(&broker.broker), ids(&["g2", "g3", "l1", "l2"]));
    until(|| disk.sessions() == 4).await;
    // One that comes to it later is counted with them.
    leaves(&broker.broker, "greedy", "g4").await;
    until(|| known(&broker.broker) == ids(&["g3", "g4", "l1", "l2"])).await;
    broker.stop().await;
    let broker = Durable::with(&disk, limits()).await;
    assert_eq!(known(&broker.broker), ids(&["g3", "g4", "l1", "l2"]));
}
