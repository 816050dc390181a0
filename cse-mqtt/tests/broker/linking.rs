//! The in-process link: acceptance, redelivery, back-pressure, tracking.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use cse_mqtt::broker::{DeliveryStatus, Inbound, InvalidFilter, Limits, OpenPolicy, PublishError};
use rumqttc::QoS;
use rumqttc::mqttbytes::v4::{Packet, PubRel};

use crate::harness::*;

#[tokio::test]
async fn a_message_says_all_about_itself() {
    let broker = TestBroker::with(Limits::default(), Strict).await;
    let (_link, mut receiver) = broker.broker.link("cse", &["/oneM2M/req/+/id-in/#"]).expect("a filter");
    let mut client = broker.raw().await;
    client.send(&login("C/1", true, "ae", "right")).await;
    client.connected().await;
    client.publish_with("/oneM2M/req/C1/id-in/json", "{}", QoS::AtLeastOnce, 3, true).await;
    let message = receive_one(&mut receiver).await;
    assert_eq!(&*message.topic, "/oneM2M/req/C1/id-in/json");
    assert_eq!(&message.payload[..], b"{}");
    assert_eq!((message.qos, message.dup), (QoS::AtLeastOnce, true));
    assert_eq!(&*message.publisher.client_id, "C/1");
    assert_eq!(message.publisher.identity.name(), "ae");
    client.expect_nothing().await;
    message.ack.accept();
    client.expect_puback(3).await;
}

#[tokio::test]
async fn other_receivers_do_not_wait_for_the_link_but_the_publisher_does() {
    let broker = TestBroker::start().await;
    let (_link, mut receiver) = broker.broker.link("cse", &["t"]).expect("a filter");
    let mut watcher = broker.client("watcher").await;
    watcher.subscribe("t", QoS::AtLeastOnce).await;
    let mut sender = broker.client("sender").await;
    sender.publish("t", "x", QoS::AtLeastOnce, 1).await;
    assert_eq!(text(&watcher.message().await.payload), "x");
    sender.expect_nothing().await;
    receive_one(&mut receiver).await.ack.accept();
    sender.expect_puback(1).await;
}

#[tokio::test]
async fn all_links_must_accept() {
    let broker = TestBroker::start().await;
    let (_one, mut first) = broker.broker.link("one", &["t"]).expect("a filter");
    let (_two, mut second) = broker.broker.link("two", &["#"]).expect("a filter");
    let mut sender = broker.client("sender").await;
    for (qos, pkid) in [(QoS::AtLeastOnce, 1), (QoS::ExactlyOnce, 2)] {
        sender.publish("t", "x", qos, pkid).await;
        receive_one(&mut second).await.ack.accept();
        sender.expect_nothing().await;
        receive_one(&mut first).await.ack.accept();
        match qos {
            QoS::AtLeastOnce => sender.expect_puback(pkid).await,
            _ => sender.expect_pubrec(pkid).await,
        }
    }
}

#[tokio::test]
async fn a_message_not_accepted_comes_again_on_the_next_connection() {
    let broker = TestBroker::start().await;
    let (_link, mut receiver) = broker.broker.link("cse", &["t"]).expect("a filter");
    let (mut sender, _) = broker.kept("sender").await;
    sender.publish("t", "kept", QoS::AtLeastOnce, 1).await;
    sender.publish("t", "dropped", QoS::AtLeastOnce, 2).await;
    let kept = receive_one(&mut receiver).await;
    drop(receive_one(&mut receiver).await);
    sender.expect_nothing().await;
    sender.vanish(&broker, "sender").await;
    let (mut sender, _) = broker.kept("sender").await;
    kept.ack.accept();
    sender.expect_nothing().await;
    sender.publish_with("t", "dropped", QoS::AtLeastOnce, 2, true).await;
    let again = receive_one(&mut receiver).await;
    assert!(again.dup);
    again.ack.accept();
    sender.expect_puback(2).await;
}

#[tokio::test]
async fn a_full_link_makes_publishers_wait_and_loses_nothing() {
    let limits = Limits { link_messages_max: 8, ..Limits::default() };
    let broker = TestBroker::with(limits, OpenPolicy).await;
    let (_link, mut receiver) = broker.broker.link("cse", &["t/#"]).expect("a filter");
    let senders = 3_u32;
    let each = 5_000_u32;
    let payload = "x".repeat(1000);
    let mut sending = tokio::task::JoinSet::new();
    for sender in 0..senders {
        let mut client = broker.client(&format!("sender-{sender}")).await;
        let payload = payload.clone();
        sending.spawn(async move {
            for number in 0..each {
                client.publish(&format!("t/{sender}/{number}"), &payload, QoS::AtMostOnce, 0).await;
            }
            client
        });
    }
    until(|| broker.broker.stats().link_stalls.get() >= u64::from(senders)).await;
    let stats = broker.broker.stats();
    assert!(stats.link_deliveries.get() <= 8, "the queue is bounded");
    let mut next = [0; 3];
    for _ in 0..senders * each {
        let message = receive_one(&mut receiver).await;
        let mut levels = message.topic.split('/').skip(1).map(|level| level.parse::<u32>().expect("a number"));
        let (sender, number) = (levels.next().expect("sender"), levels.next().expect("number"));
        assert_eq!(number, next[sender as usize], "in order");
        next[sender as usize] += 1;
    }
    assert_eq!(next, [each; 3]);
    while let Some(client) = within(sending.join_next()).await {
        client.expect("sent all").expect_nothing().await;
    }
}

#[tokio::test]
async fn a_shortcut_leads_past_a_full_queue() {
    let limits = Limits { link_messages_max: 1, ..Limits::default() };
    let broker = TestBroker::with(limits, OpenPolicy).await;
    let taken = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&taken);
    let shortcut = Arc::new(move |message: &Inbound| {
        let takes = message.topic.starts_with("answer");
        count.fetch_add(usize::from(takes), Ordering::SeqCst);
        takes
    });
    let filters = ["request", "answer/#"];
    let (_link, mut receiver) = broker.broker.link_with_shortcut("cse", &filters, shortcut).expect("filters");
    let mut full = broker.client("full").await;
    for pkid in 1..=3 {
        full.publish("request", "x", QoS::AtLeastOnce, pkid).await;
    }
    until(|| broker.broker.stats().link_stalls.get() == 1).await;
    // From whoever: clients, of which one has messages waiting that came before, and other links.
    full.publish("answer/1", "x", QoS::AtLeastOnce, 4).await;
    let mut other = broker.client("other").await;
    other.publish("answer/2", "x", QoS::AtLeastOnce, 1).await;
    other.expect_puback(1).await;
    other.publish("answer/3", "x", QoS::ExactlyOnce, 2).await;
    other.expect_pubrec(2).await;
    let (link, _receiver) = broker.broker.link("link", &[]).expect("no filters");
    let (outcome, delivery) = link.publish_tracked("answer/4", "x".into(), QoS::AtLeastOnce).expect("valid");
    assert_eq!((outcome.matched, delivery.status()), (1, DeliveryStatus::Acknowledged));
    until(|| taken.load(Ordering::SeqCst) == 4).await;
    // Acknowledgements keep the order of what they are for.
    full.expect_nothing().await;
    for pkid in 1..=3 {
        let message = receive_one(&mut receiver).await;
        assert_eq!(&*message.topic, "request");
        message.ack.accept();
        full.expect_puback(pkid).await;
    }
    full.expect_puback(4).await;
}

#[tokio::test]
async fn a_full_link_does_not_let_the_keep_alive_strike() {
    tokio::time::pause();
    let limits = Limits { link_messages_max: 1, ..Limits::default() };
    let broker = cse_mqtt::broker::Broker::new(limits, Arc::new(OpenPolicy));
    let (_link, mut receiver) = broker.link("cse", &["t"]).expect("a filter");
    let (mut client, _stop, _served) = in_memory(&broker);
    client.send(&connect_bytes("client", true, 10)).await;
    client.connected().await;
    for _ in 0..200 {
        client.publish("t", "x", QoS::AtMostOnce, 0).await;
    }
    client.packet(Packet::PingReq).await;
    tokio::time::sleep(Duration::from_secs(100)).await;
    let received = receive_exactly(&mut receiver, 200).await;
    assert_eq!(received.len(), 200);
    assert_eq!(client.next_unlimited().await, Some(Packet::PingResp));
}

#[tokio::test]
async fn unaccepted_messages_of_a_connection_are_bounded() {
    let limits = Limits { unacknowledged_max: 4, ..Limits::default() };
    let broker = TestBroker::with(limits, OpenPolicy).await;
    let (_link, mut receiver) = broker.broker.link("cse", &["t"]).expect("a filter");
    let mut client = broker.client("client").await;
    for pkid in 1..=10 {
        client.publish("t", &pkid.to_string(), QoS::AtLeastOnce, pkid).await;
    }
    let first = receive_exactly(&mut receiver, 4).await;
    let mut other = broker.client("other").await;
    other.publish("t", "other", QoS::AtMostOnce, 0).await;
    assert_eq!(text(&receive_one(&mut receiver).await.payload), "other", "nothing more of the first client");
    assert_eq!(broker.broker.stats().publishes_received.get(), 5);
    for message in first {
        message.ack.accept();
    }
    for pkid in 1..=4 {
        client.expect_puback(pkid).await;
    }
    for message in receive_exactly(&mut receiver, 4).await {
        message.ack.accept();
    }
    for message in receive_exactly(&mut receiver, 2).await {
        message.ack.accept();
    }
    for pkid in 5..=10 {
        client.expect_puback(pkid).await;
    }
}

#[tokio::test]
async fn a_tracked_message_is_followed_to_its_acknowledgement() {
    let broker = TestBroker::start().await;
    let (link, _receiver) = broker.broker.link("cse", &[]).expect("no filters");
    let mut client = broker.client("client").await;
    client.subscribe("one", QoS::AtLeastOnce).await;
    client.subscribe("two", QoS::ExactlyOnce).await;
    client.subscribe("zero", QoS::AtMostOnce).await;

    let (outcome, delivery) = link.publish_tracked("one", "x".into(), QoS::AtLeastOnce).expect("valid");
    assert_eq!((outcome.matched, outcome.refused), (1, 0));
    let message = client.message().await;
    assert_eq!(delivery.status(), DeliveryStatus::Pending);
    assert!(!delivery.is_acknowledged());
    client.puback(message.pkid).await;
    assert_eq!(within(delivery.wait()).await, DeliveryStatus::Acknowledged);

    let (_, delivery) = link.publish_tracked("two", "x".into(), QoS::ExactlyOnce).expect("valid");
    let message = client.message().await;
    client.pubrec(message.pkid).await;
    assert_eq!(within(delivery.wait()).await, DeliveryStatus::Acknowledged);
    assert_eq!(client.next().await, Some(Packet::PubRel(PubRel::new(message.pkid))));

    let (_, delivery) = link.publish_tracked("zero", "x".into(), QoS::AtLeastOnce).expect("valid");
    assert_eq!(delivery.status(), DeliveryStatus::Unconfirmed);
    client.message().await;

    let (outcome, delivery) = link.publish_tracked("nobody", "x".into(), QoS::AtLeastOnce).expect("valid");
    assert_eq!((outcome.matched, delivery.status()), (0, DeliveryStatus::Lost));

    let (_, delivery) = link.publish_tracked("one", "x".into(), QoS::AtLeastOnce).expect("valid");
    client.message().await;
    client.vanish(&broker, "client").await;
    assert_eq!(within(delivery.wait()).await, DeliveryStatus::Lost);
}

#[tokio::test]
async fn a_tracked_message_to_a_kept_session_stays_pending_while_the_client_is_away() {
    let broker = TestBroker::start().await;
    let (link, _receiver) = broker.broker.link("cse", &[]).expect("no filters");
    let (mut client, _) = broker.kept("client").await;
    client.subscribe("t", QoS::AtLeastOnce).await;
    let (_, delivery) = link.publish_tracked("t", "x".into(), QoS::AtLeastOnce).expect("valid");
    client.message().await;
    client.vanish(&broker, "client").await;
    assert_eq!(delivery.status(), DeliveryStatus::Pending);
    let (mut client, _) = broker.kept("client").await;
    let message = client.message().await;
    client.puback(message.pkid).await;
    assert_eq!(within(delivery.wait()).await, DeliveryStatus::Acknowledged);
}

#[tokio::test]
async fn links_reach_each_other() {
    let broker = TestBroker::with(Limits { link_messages_max: 1, ..Limits::default() }, OpenPolicy).await;
    let (one, _first) = broker.broker.link("one", &[]).expect("no filters");
    let (_two, mut second) = broker.broker.link("two", &["t"]).expect("a filter");
    let (_, delivery) = one.publish_tracked("t", "x".into(), QoS::AtLeastOnce).expect("valid");
    let refused = one.publish("t", "y".into(), QoS::AtLeastOnce).expect("valid");
    assert_eq!((refused.matched, refused.refused), (0, 1));
    let message = receive_one(&mut second).await;
    assert_eq!(&*message.publisher.client_id, "one");
    assert_eq!(delivery.status(), DeliveryStatus::Pending);
    message.ack.accept();
    assert_eq!(delivery.status(), DeliveryStatus::Acknowledged);
    assert_eq!(broker.broker.stats().dropped_link_full.get(), 1);
}

#[tokio::test]
async fn a_link_does_not_reach_itself() {
    let broker = TestBroker::start().await;
    let (link, mut receiver) = broker.broker.link("cse", &["#"]).expect("a filter");
    let outcome = link.publish("t", "own".into(), QoS::AtLeastOnce).expect("valid");
    assert_eq!((outcome.matched, outcome.refused), (0, 0));
    let (other, _receiver) = broker.broker.link("other", &[]).expect("no filters");
    other.publish("t", "of another".into(), QoS::AtLeastOnce).expect("valid");
    assert_eq!(&receive_one(&mut receiver).await.payload[..], b"of another");
}

#[tokio::test]
async fn filters_of_a_link_may_change() {
    let broker = TestBroker::start().await;
    let (link, mut receiver) = broker.broker.link("cse", &["a"]).expect("a filter");
    assert!(matches!(broker.broker.link("bad", &["#/a"]), Err(InvalidFilter::Malformed)));
    link.subscribe("b").expect("a filter");
    assert!(link.unsubscribe("a"));
    assert!(!link.unsubscribe("a"));
    let mut client = broker.client("client").await;
    client.publish("a", "x", QoS::AtLeastOnce, 1).await;
    client.publish("b", "y", QoS::AtLeastOnce, 2).await;
    client.expect_puback(1).await;
    let message = receive_one(&mut receiver).await;
    assert_eq!(&*message.topic, "b");
}

#[tokio::test]
async fn a_link_without_receiver_is_no_subscriber() {
    let broker = TestBroker::start().await;
    let (link, receiver) = broker.broker.link("cse", &["t"]).expect("a filter");
    drop(receiver);
    link.subscribe("u").expect("a filter");
    let mut client = broker.client("client").await;
    client.publish("t", "x", QoS::AtLeastOnce, 1).await;
    client.expect_puback(1).await;
    client.publish("u", "x", QoS::AtLeastOnce, 2).await;
    client.expect_puback(2).await;
    assert_eq!(broker.broker.stats().publishes_unmatched.get(), 2);
}

#[tokio::test]
async fn a_link_cannot_publish_what_is_no_message() {
    let broker = TestBroker::start().await;
    let (link, _receiver) = broker.broker.link("cse", &[]).expect("no filters");
    let long = "x".repeat(65_536);
    for topic in ["", "a/+", "#", "a\0", &long] {
        let outcome = link.publish(topic, "x".into(), QoS::AtLeastOnce);
        assert_eq!(outcome, Err(PublishError::InvalidTopic));
    }
}
