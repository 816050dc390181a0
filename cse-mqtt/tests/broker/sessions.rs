//! Kept sessions: takeover, resumption in order, ownership and expiry.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cse_mqtt::broker::{
    Broker, Client, ConnectInfo, DeliveryStatus, Identity, Limits, OpenPolicy, Policy, PolicyFuture,
};
use rumqttc::QoS;
use rumqttc::mqttbytes::v4::{Packet, PubRel};

use crate::harness::{DRAIN, Strict, TestBroker, in_memory, login, text, until};

#[tokio::test]
async fn a_second_connection_takes_over_the_client_id() {
    let broker = TestBroker::start().await;
    let mut first = broker.client("same").await;
    let mut second = broker.client("same").await;
    first.expect_closed().await;
    second.expect_nothing().await;
    assert_eq!(broker.broker.stats().takeovers.get(), 1);
    until(|| broker.broker.stats().clients_connected.get() == 1).await;
    assert_eq!(broker.broker.sessions().len(), 1);
}

#[tokio::test]
async fn session_present_says_whether_there_was_one() {
    let broker = TestBroker::start().await;
    let (client, present) = broker.kept("keeper").await;
    assert!(!present, "the first time");
    client.vanish(&broker, "keeper").await;
    let (client, present) = broker.kept("keeper").await;
    assert!(present, "kept");
    client.vanish(&broker, "keeper").await;
    broker.client("keeper").await.vanish(&broker, "keeper").await;
    let (_client, present) = broker.kept("keeper").await;
    assert!(!present, "a clean session in between ended it");
}

#[tokio::test]
async fn a_takeover_keeps_a_kept_session() {
    let broker = TestBroker::start().await;
    let (mut first, _) = broker.kept("keeper").await;
    first.subscribe("t", QoS::AtLeastOnce).await;
    let (mut second, present) = broker.kept("keeper").await;
    assert!(present);
    first.expect_closed().await;
    second.publish("t", "x", QoS::AtMostOnce, 0).await;
    assert_eq!(text(&second.message().await.payload), "x");
}

#[tokio::test]
async fn what_was_not_acknowledged_comes_again_in_order_and_marked() {
    let limits = Limits { in_flight_max: 3, ..Limits::default() };
    let broker = TestBroker::with(limits, OpenPolicy).await;
    let (mut receiver, _) = broker.kept("receiver").await;
    receiver.subscribe("t/#", QoS::AtLeastOnce).await;
    let mut sender = broker.client("sender").await;
    for number in 1..=5 {
        sender.publish("t/a", &number.to_string(), QoS::AtLeastOnce, number).await;
        sender.expect_puback(number).await;
    }
    let mut ids = Vec::new();
    for number in 1..=3 {
        let message = receiver.message().await;
        assert_eq!(text(&message.payload), number.to_string());
        assert!(!message.dup);
        ids.push(message.pkid);
    }
    receiver.expect_nothing().await;
    receiver.puback(ids[1]).await;
    assert_eq!(text(&receiver.message().await.payload), "4");
    receiver.vanish(&broker, "receiver").await;
    for number in 6..=7 {
        sender.publish("t/a", &number.to_string(), QoS::AtLeastOnce, number).await;
        sender.expect_puback(number).await;
    }
    sender.publish("t/a", "not kept", QoS::AtMostOnce, 0).await;
    sender.expect_nothing().await;

    let (mut receiver, present) = broker.kept("receiver").await;
    assert!(present);
    let mut open = Vec::new();
    for number in [1, 3, 4] {
        let message = receiver.message().await;
        assert_eq!((text(&message.payload), message.dup), (number.to_string().as_str(), true));
        open.push(message.pkid);
    }
    assert_eq!(open[..2], [ids[0], ids[2]], "packet identifiers stay");
    receiver.expect_nothing().await;
    for pkid in open {
        receiver.puback(pkid).await;
    }
    for number in 5..=7 {
        let message = receiver.message().await;
        assert_eq!((text(&message.payload), message.dup), (number.to_string().as_str(), false));
        receiver.puback(message.pkid).await;
    }
    receiver.expect_nothing().await;
    assert_eq!(broker.broker.stats().dropped_offline.get(), 1);
    let session = broker.broker.sessions().into_iter().find(|session| &*session.client.client_id == "receiver");
    let session = session.expect("connected");
    assert_eq!((session.queued_bytes, session.queued_messages, session.in_flight), (0, 0, 0));
}

#[tokio::test]
async fn an_exactly_once_delivery_goes_on_where_it_was() {
    let broker = TestBroker::start().await;
    let (mut receiver, _) = broker.kept("receiver").await;
    receiver.subscribe("t", QoS::ExactlyOnce).await;
    let (link, _link_receiver) = broker.broker.link("cse", &[]).expect("no filters");
    link.publish("t", "a".into(), QoS::ExactlyOnce).expect("valid");
    link.publish("t", "b".into(), QoS::ExactlyOnce).expect("valid");
    let (first, second) = (receiver.message().await, receiver.message().await);
    receiver.pubrec(first.pkid).await;
    assert_eq!(receiver.next().await, Some(Packet::PubRel(PubRel::new(first.pkid))));
    receiver.vanish(&broker, "receiver").await;

    let (mut receiver, _) = broker.kept("receiver").await;
    assert_eq!(receiver.next().await, Some(Packet::PubRel(PubRel::new(first.pkid))), "not the message again");
    let again = receiver.message().await;
    assert_eq!((again.pkid, again.dup, text(&again.payload)), (second.pkid, true, "b"));
    receiver.pubcomp(first.pkid).await;
    receiver.pubrec(second.pkid).await;
    assert_eq!(receiver.next().await, Some(Packet::PubRel(PubRel::new(second.pkid))));
    receiver.pubcomp(second.pkid).await;
    receiver.expect_nothing().await;
    assert!(broker.broker.sessions().iter().all(|session| session.queued_bytes == 0 && session.in_flight == 0));
}

#[tokio::test]
async fn a_clean_session_leaves_nothing_behind() {
    let broker = TestBroker::start().await;
    let mut client = broker.client("clean").await;
    client.subscribe("t", QoS::AtLeastOnce).await;
    client.packet(Packet::Disconnect).await;
    client.expect_closed().await;
    until(|| broker.broker.sessions().is_empty()).await;
    let (link, _receiver) = broker.broker.link("cse", &[]).expect("no filters");
    let outcome = link.publish("t", "x".into(), QoS::AtLeastOnce).expect("valid");
    assert_eq!((outcome.matched, outcome.refused), (0, 0));
}

#[tokio::test]
async fn another_identity_never_gets_the_session() {
    let broker = TestBroker::with(Limits::default(), Strict).await;
    let mut owner = broker.raw().await;
    owner.send(&login("shared", false, "owner", "right")).await;
    owner.connected().await;
    owner.subscribe("private", QoS::AtLeastOnce).await;
    owner.vanish(&broker, "shared").await;
    let (link, _receiver) = broker.broker.link("cse", &[]).expect("no filters");
    assert_eq!(link.publish("private", "x".into(), QoS::AtLeastOnce).expect("valid").matched, 1);

    let mut other = broker.raw().await;
    other.send(&login("shared", false, "other", "right")).await;
    assert!(!other.connected().await);
    other.expect_nothing().await;
}

#[tokio::test]
async fn rights_lost_while_offline_end_the_subscription() {
    #[derive(Clone)]
    struct Fickle(Arc<AtomicBool>);
    impl Policy for Fickle {
        fn authenticate<'a>(&'a self, _: &'a ConnectInfo) -> PolicyFuture<'a> {
            Box::pin(async { Ok(Identity::new("same").into()) })
        }
        fn may_subscribe(&self, _: &Client, filter: &str) -> bool {
            filter == "open" || self.0.load(Ordering::SeqCst)
        }
        fn may_publish(&self, _: &Client, _: &str) -> bool {
            true
        }
    }
    let policy = Fickle(Arc::new(true.into()));
    let broker = TestBroker::with(Limits::default(), policy.clone()).await;
    let (mut client, _) = broker.kept("client").await;
    client.subscribe("open", QoS::AtLeastOnce).await;
    client.subscribe("closed", QoS::AtLeastOnce).await;
    client.vanish(&broker, "client").await;
    policy.0.store(false, Ordering::SeqCst);
    let (mut client, present) = broker.kept("client").await;
    assert!(present);
    client.publish("closed", "x", QoS::AtMostOnce, 0).await;
    client.publish("open", "y", QoS::AtMostOnce, 0).await;
    assert_eq!(text(&client.message().await.payload), "y");
    client.expect_nothing().await;
}

#[tokio::test]
async fn the_session_offline_longest_gives_way() {
    let limits = Limits { offline_sessions_max: 2, ..Limits::default() };
    let broker = TestBroker::with(limits, OpenPolicy).await;
    for id in ["first", "second", "third"] {
        let (client, _) = broker.kept(id).await;
        client.vanish(&broker, id).await;
    }
    until(|| broker.broker.stats().sessions_displaced.get() == 1).await;
    let mut left: Vec<_> =
        broker.broker.sessions().into_iter().map(|session| session.client.client_id.clone()).collect();
    left.sort();
    assert_eq!(left.iter().map(|id| &**id).collect::<Vec<_>>(), ["second", "third"]);
}

#[tokio::test(start_paused = true)]
async fn offline_sessions_expire() {
    let limits = Limits { offline_expiry: Duration::from_secs(100), ..Limits::default() };
    let broker = Broker::new(limits, Arc::new(OpenPolicy));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let (_stop, shutdown) = tokio::sync::watch::channel(false);
    let serving = broker.clone();
    let _server = tokio::spawn(async move { serving.serve(listener, shutdown, DRAIN).await });
    let (link, _receiver) = broker.link("cse", &[]).expect("no filters");
    let (mut client, _stop_client, served) = in_memory(&broker);
    client.connect("sleeper", false).await;
    client.subscribe("t", QoS::AtLeastOnce).await;
    drop(client);
    served.await.expect("ended");
    let (outcome, delivery) = link.publish_tracked("t", "x".into(), QoS::AtLeastOnce).expect("valid");
    assert_eq!(outcome.matched, 1);
    tokio::time::sleep(Duration::from_secs(80)).await;
    assert_eq!(broker.sessions().len(), 1);
    assert_eq!(delivery.wait().await, DeliveryStatus::Lost);
    assert!(broker.sessions().is_empty());
    assert_eq!(link.publish("t", "x".into(), QoS::AtLeastOnce).expect("valid").matched, 0);
}

#[tokio::test]
async fn an_expelled_client_loses_connection_and_session() {
    let broker = TestBroker::start().await;
    let (mut client, _) = broker.kept("gone").await;
    client.subscribe("t", QoS::AtLeastOnce).await;
    assert!(broker.broker.expel("gone"));
    client.expect_closed().await;
    assert!(!broker.broker.expel("gone"));
    let (_client, present) = broker.kept("gone").await;
    assert!(!present);
}
