//! What happens at the bounds.

use cse_mqtt::broker::{Limits, OpenPolicy};
use rumqttc::QoS;

use crate::harness::*;

#[tokio::test]
async fn one_connection_too_many_is_closed() {
    let broker = TestBroker::with(Limits { connections_max: 2, ..Limits::default() }, OpenPolicy).await;
    let _first = broker.client("first").await;
    let second = broker.client("second").await;
    let mut third = broker.raw().await;
    third.expect_closed().await;
    assert_eq!(broker.broker.stats().connections_over_limit.get(), 1);
    second.vanish(&broker, "second").await;
    within(async {
        loop {
            let mut client = broker.raw().await;
            client.try_send(&connect_bytes("fourth", true, 0)).await;
            if client.next().await.is_some() {
                return;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_packet_too_large_closes_before_it_is_complete() {
    let broker = TestBroker::with(Limits { packet_bytes_max: 1000, ..Limits::default() }, OpenPolicy).await;
    let mut client = broker.client("client").await;
    client.subscribe("t", QoS::AtMostOnce).await;
    client.publish("t", &"x".repeat(997), QoS::AtMostOnce, 0).await;
    assert_eq!(client.message().await.payload.len(), 997);
    client.send(b"\x30\xe9\x07\x00").await;
    client.expect_closed().await;
}

#[tokio::test]
async fn large_packets_pass_whole() {
    let broker = TestBroker::start().await;
    let mut client = broker.client("client").await;
    client.subscribe("t", QoS::AtLeastOnce).await;
    let payload: String = (0..1_000_000_u32).map(|number| char::from(b'a' + (number % 23) as u8)).collect();
    client.publish("t", &payload, QoS::AtLeastOnce, 1).await;
    client.expect_puback(1).await;
    assert_eq!(text(&client.message().await.payload), payload);
}

#[tokio::test]
async fn a_full_queue_refuses_new_messages_and_keeps_old_ones() {
    let limits = Limits { queued_messages_per_client_max: 3, ..Limits::default() };
    let broker = TestBroker::with(limits, OpenPolicy).await;
    let (link, _receiver) = broker.broker.link("cse", &[]).expect("no filters");
    let (mut client, _) = broker.kept("client").await;
    client.subscribe("t", QoS::AtLeastOnce).await;
    client.vanish(&broker, "client").await;
    for number in 0..5 {
        let outcome = link.publish("t", number.to_string().into(), QoS::AtLeastOnce).expect("valid");
        assert_eq!((outcome.matched, outcome.refused), if number < 3 { (1, 0) } else { (0, 1) });
    }
    assert_eq!(broker.broker.stats().dropped_queue_full.get(), 2);
    let (mut client, _) = broker.kept("client").await;
    for number in 0..3 {
        assert_eq!(text(&client.message().await.payload), number.to_string());
    }
    client.expect_nothing().await;
}

#[tokio::test]
async fn bytes_waiting_for_one_client_and_for_all_are_bounded() {
    let limits = Limits { queued_bytes_per_client_max: 10_000, queued_bytes_total_max: 15_000, ..Limits::default() };
    let broker = TestBroker::with(limits, OpenPolicy).await;
    let (link, _receiver) = broker.broker.link("cse", &[]).expect("no filters");
    for id in ["one", "two"] {
        let (mut client, _) = broker.kept(id).await;
        client.subscribe(id, QoS::AtLeastOnce).await;
        client.vanish(&broker, id).await;
    }
    let publish = |topic| link.publish(topic, vec![0; 4000].into(), QoS::AtLeastOnce).expect("valid").matched;
    assert_eq!([publish("one"), publish("one"), publish("one")], [1, 1, 0]);
    assert_eq!(broker.broker.stats().dropped_queue_full.get(), 1);
    assert_eq!([publish("two"), publish("two")], [1, 0]);
    assert_eq!(broker.broker.stats().dropped_memory_full.get(), 1);
    assert!(broker.broker.expel("one"));
    assert_eq!(publish("two"), 1, "what was freed is available");
}

#[tokio::test]
async fn a_client_that_does_not_read_costs_bounded_memory_and_hurts_nobody() {
    let limits = Limits { queued_messages_per_client_max: 100, ..Limits::default() };
    let broker = TestBroker::with(limits, OpenPolicy).await;
    let (link, _receiver) = broker.broker.link("cse", &[]).expect("no filters");
    let mut slow = broker.client("slow").await;
    slow.subscribe("t", QoS::AtMostOnce).await;
    let mut fast = broker.client("fast").await;
    fast.subscribe("t", QoS::AtMostOnce).await;
    let payload = bytes::Bytes::from(vec![0; 100_000]);
    let mut sent = 0;
    within(async {
        while broker.broker.stats().dropped_queue_full.get() < 10 {
            link.publish("t", payload.clone(), QoS::AtMostOnce).expect("valid");
            fast.message().await;
            sent += 1;
        }
    })
    .await;
    let mut received = 0;
    while received + broker.broker.stats().dropped_queue_full.get() < sent {
        slow.message().await;
        received += 1;
    }
    slow.expect_nothing().await;
}

#[tokio::test]
async fn unreleased_exactly_once_messages_are_bounded() {
    let broker = TestBroker::with(Limits { unacknowledged_max: 4, ..Limits::default() }, OpenPolicy).await;
    let mut client = broker.client("client").await;
    for pkid in 1..=4 {
        client.publish("t", "x", QoS::ExactlyOnce, pkid).await;
        client.expect_pubrec(pkid).await;
    }
    client.publish("t", "x", QoS::ExactlyOnce, 5).await;
    client.expect_closed().await;
}
