//! What is there after a restart: in order, marked, with the same packet identifiers, and for as long as was left.

use std::time::Duration;

use cse_mqtt::broker::Limits;
use rumqttc::QoS;
use rumqttc::mqttbytes::v4::{Packet, PubRel};

use super::Durable;
use super::disk::Disk;
use crate::harness::{receive_one, text, until};

#[tokio::test]
async fn messages_come_in_order_after_a_kill_and_those_sent_are_marked() {
    for kill in [true, false] {
        let disk = Disk::default();
        let limits = || Limits { in_flight_max: 3, ..Limits::default() };
        let broker = Durable::with(&disk, limits()).await;
        let (mut receiver, _) = broker.broker.kept("receiver").await;
        receiver.subscribe("t/#", QoS::AtLeastOnce).await;
        let mut sender = broker.broker.client("sender").await;
        for number in 1..=6 {
            sender.publish("t/a", &number.to_string(), QoS::AtLeastOnce, number).await;
            sender.expect_puback(number).await;
        }
        let mut ids = Vec::new();
        for _ in 1..=3 {
            ids.push(receiver.message().await.pkid);
        }
        receiver.puback(ids[1]).await;
        ids.push(receiver.message().await.pkid);
        receiver.vanish(&broker.broker, "receiver").await;
        // That the second is done, and that the client is away, gets around.
        until(|| disk.payloads() == ["1", "3", "4", "5", "6"] && disk.load()[0].record.ends.is_some()).await;
        if kill {
            broker.kill().await
        } else {
            broker.stop().await
        }

        let broker = Durable::with(&disk, limits()).await;
        let mut sender = broker.broker.client("sender").await;
        sender.publish("t/b", "7", QoS::AtLeastOnce, 7).await;
        sender.expect_puback(7).await;
        let (mut receiver, present) = broker.broker.kept("receiver").await;
        assert!(present);
        let sent = [(1, ids[0]), (3, ids[2]), (4, ids[3])];
        let mut last = 0;
        for number in [1, 3, 4, 5, 6, 7] {
            let message = receiver.message().await;
            assert_eq!(text(&message.payload), number.to_string());
            assert_eq!(message.topic, if number == 7 { "t/b" } else { "t/a" });
            let earlier = sent.iter().find(|(of, _)| *of == number);
            assert_eq!(message.dup, earlier.is_some(), "{number}");
            assert!(message.pkid > last, "packet identifiers go on");
            last = message.pkid;
            if let Some((_, pkid)) = earlier {
                assert_eq!(message.pkid, *pkid);
            }
            receiver.puback(message.pkid).await;
        }
        receiver.expect_nothing().await;
        broker.stop().await;
        assert_eq!(disk.rows(), 0);
    }
}

#[tokio::test]
async fn what_was_sent_just_before_a_kill_is_marked() {
    let disk = Disk::default();
    let broker = Durable::start(&disk).await;
    let (mut receiver, _) = broker.broker.kept("receiver").await;
    receiver.subscribe("t", QoS::AtLeastOnce).await;
    receiver.vanish(&broker.broker, "receiver").await;
    let mut sender = broker.broker.client("sender").await;
    for number in 1..=5 {
        sender.publish("t", &number.to_string(), QoS::AtLeastOnce, number).await;
        sender.expect_puback(number).await;
    }
    broker.stop().await;
    let broker = Durable::start(&disk).await;
    let (mut receiver, _) = broker.broker.kept("receiver").await;
    let mut ids = Vec::new();
    for _ in 1..=5 {
        let message = receiver.message().await;
        assert!(!message.dup, "never sent before");
        ids.push(message.pkid);
    }
    // At once: whatever is written lazily is not written any more.
    broker.kill().await;
    let broker = Durable::start(&disk).await;
    let (mut receiver, _) = broker.broker.kept("receiver").await;
    for id in ids {
        let message = receiver.message().await;
        assert_eq!((message.dup, message.pkid), (true, id));
    }
    receiver.expect_nothing().await;
}

#[tokio::test]
async fn exactly_once_goes_on_where_it_was() {
    let disk = Disk::default();
    let broker = Durable::start(&disk).await;
    let (link, mut link_receiver) = broker.broker.broker.link("cse", &["up"]).expect("valid");
    let (mut client, _) = broker.broker.kept("client").await;
    client.subscribe("down", QoS::ExactlyOnce).await;
    client.publish("up", "x", QoS::ExactlyOnce, 4).await;
    receive_one(&mut link_receiver).await.ack.accept();
    client.expect_pubrec(4).await;
    for payload in ["a", "b", "c"] {
        link.publish("down", payload.into(), QoS::ExactlyOnce).expect("valid");
    }
    let a = client.message().await.pkid;
    let b = client.message().await.pkid;
    client.message().await;
    client.pubrec(a).await;
    assert_eq!(client.next().await, Some(Packet::PubRel(PubRel::new(a))));
    broker.kill().await;

    let broker = Durable::start(&disk).await;
    let (link, mut link_receiver) = broker.broker.broker.link("cse", &["up"]).expect("valid");
    let (mut client, present) = broker.broker.kept("client").await;
    assert!(present);
    assert_eq!(client.next().await, Some(Packet::PubRel(PubRel::new(a))), "only the release is missing");
    let again = client.message().await;
    assert_eq!((text(&again.payload), again.pkid, again.dup), ("b", b, true));
    assert_eq!(text(&client.message().await.payload), "c");
    client.pubcomp(a).await;
    client.publish_with("up", "x", QoS::ExactlyOnce, 4, true).await;
    client.expect_pubrec(4).await;
    client.pubrel(4).await;
    assert!(matches!(client.next().await, Some(Packet::PubComp(_))));
    client.publish("up", "y", QoS::ExactlyOnce, 4).await;
    let received = receive_one(&mut link_receiver).await;
    assert_eq!(text(&received.payload), "y", "the first one was not delivered again");
    link.publish("down", "d".into(), QoS::ExactlyOnce).expect("valid");
    let fresh = client.message().await;
    assert!(text(&fresh.payload) == "d" && !fresh.dup && ![a, b].contains(&fresh.pkid));
}

#[tokio::test]
async fn sessions_that_have_ended_stay_away() {
    let disk = Disk::default();
    let limits = || Limits { offline_expiry: Duration::from_secs(3600), ..Limits::default() };
    let broker = Durable::with(&disk, limits()).await;
    for id in ["cleaned", "expelled", "kept"] {
        let (mut client, _) = broker.broker.kept(id).await;
        client.subscribe("t", QoS::AtLeastOnce).await;
        client.vanish(&broker.broker, id).await;
    }
    drop(broker.broker.client("cleaned").await);
    assert!(broker.broker.broker.expel("expelled"));
    broker.stop().await;
    assert_eq!(disk.sessions(), 1);
    let broker = Durable::with(&disk, limits()).await;
    let sessions = broker.broker.broker.sessions();
    assert_eq!(sessions.len(), 1);
    assert_eq!((&*sessions[0].client.client_id, sessions[0].subscriptions), ("kept", 1));
    broker.stop().await;

    // So far in the past that it is over, with what was promised for it.
    let broker = Durable::with(&disk, Limits { offline_expiry: Duration::ZERO, ..Limits::default() }).await;
    assert!(broker.broker.broker.sessions().is_empty());
    assert_eq!(broker.broker.broker.stats().sessions_expired.get(), 1);
    let mut sender = broker.broker.client("sender").await;
    sender.publish("t", "x", QoS::AtLeastOnce, 1).await;
    sender.expect_puback(1).await;
    broker.stop().await;
    assert_eq!((disk.sessions(), disk.filters().len()), (0, 0));
}

#[tokio::test]
async fn the_time_without_a_broker_counts() {
    let disk = Disk::default();
    let limits = || Limits { offline_expiry: Duration::from_secs(1), ..Limits::default() };
    let broker = Durable::with(&disk, limits()).await;
    let (client, _) = broker.broker.kept("client").await;
    client.vanish(&broker.broker, "client").await;
    broker.stop().await;
    let ends = disk.load()[0].record.ends.expect("away");
    until(|| std::time::SystemTime::now() >= ends).await;
    let broker = Durable::with(&disk, limits()).await;
    let (_client, present) = broker.broker.kept("client").await;
    assert!(!present);
}

#[tokio::test]
async fn bounds_hold_after_a_restart_and_promises_too() {
    let disk = Disk::default();
    let limits = |messages| Limits { queued_messages_per_client_max: messages, ..Limits::default() };
    let broker = Durable::with(&disk, limits(5)).await;
    let (mut receiver, _) = broker.broker.kept("receiver").await;
    receiver.subscribe("t", QoS::AtLeastOnce).await;
    receiver.vanish(&broker.broker, "receiver").await;
    let mut sender = broker.broker.client("sender").await;
    for number in 1..=5 {
        sender.publish("t", &number.to_string(), QoS::AtLeastOnce, number).await;
        sender.expect_puback(number).await;
    }
    let bytes = broker.broker.broker.sessions().iter().map(|session| session.queued_bytes).sum::<usize>();
    broker.kill().await;

    // Tighter than what was promised.
    let broker = Durable::with(&disk, limits(3)).await;
    let restored = broker.broker.broker.sessions();
    assert_eq!((restored[0].queued_messages, restored[0].queued_bytes), (5, bytes));
    let mut sender = broker.broker.client("sender").await;
    sender.publish("t", "one too many", QoS::AtLeastOnce, 6).await;
    sender.expect_puback(6).await;
    assert_eq!(broker.broker.broker.stats().dropped_queue_full.get(), 1);
    let (mut receiver, _) = broker.broker.kept("receiver").await;
    for number in 1..=5 {
        let message = receiver.message().await;
        assert_eq!(text(&message.payload), number.to_string());
        receiver.puback(message.pkid).await;
    }
    receiver.expect_nothing().await;
    sender.publish("t", "room again", QoS::AtLeastOnce, 7).await;
    assert_eq!(text(&receiver.message().await.payload), "room again");
}

#[tokio::test]
async fn too_many_stored_sessions_give_way() {
    let disk = Disk::default();
    let broker = Durable::start(&disk).await;
    for id in ["a", "b", "c", "d"] {
        let (client, _) = broker.broker.kept(id).await;
        client.vanish(&broker.broker, id).await;
    }
    broker.stop().await;
    let broker = Durable::with(&disk, Limits { offline_sessions_max: 2, ..Limits::default() }).await;
    let mut left: Vec<_> =
        broker.broker.broker.sessions().iter().map(|session| session.client.client_id.to_string()).collect();
    left.sort();
    assert_eq!(left, ["c", "d"], "those that end first go first");
    until(|| disk.sessions() == 2).await;
}
