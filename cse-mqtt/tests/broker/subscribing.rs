//! SUBSCRIBE, UNSUBSCRIBE and who gets which message.

use cse_mqtt::broker::{Limits, OpenPolicy};
use rumqttc::QoS;
use rumqttc::mqttbytes::v4::SubscribeReasonCode::{Failure, Success};
use rumqttc::mqttbytes::v4::{Packet, UnsubAck, Unsubscribe};

use crate::harness::*;

#[tokio::test]
async fn overlapping_subscriptions_give_one_copy_with_the_highest_qos() {
    let broker = TestBroker::start().await;
    let mut client = broker.client("client").await;
    client.subscribe("a/#", QoS::AtMostOnce).await;
    client.subscribe("a/+", QoS::ExactlyOnce).await;
    client.subscribe("a/b", QoS::AtLeastOnce).await;
    client.publish("a/b", "x", QoS::ExactlyOnce, 9).await;
    let mut packets = [client.next().await, client.next().await];
    packets.sort_by_key(|packet| matches!(packet, Some(Packet::Publish(_))));
    assert!(matches!(&packets[0], Some(Packet::PubRec(rec)) if rec.pkid == 9));
    assert!(matches!(&packets[1], Some(Packet::Publish(publish)) if publish.qos == QoS::ExactlyOnce));
    client.expect_nothing().await;
}

#[tokio::test]
async fn messages_come_with_the_lower_qos_of_publisher_and_subscriber() {
    let broker = TestBroker::start().await;
    let mut client = broker.client("client").await;
    client.subscribe("zero", QoS::AtMostOnce).await;
    client.subscribe("one", QoS::AtLeastOnce).await;
    let mut sender = broker.client("sender").await;
    let cases = [
        ("zero", QoS::ExactlyOnce, QoS::AtMostOnce),
        ("one", QoS::ExactlyOnce, QoS::AtLeastOnce),
        ("one", QoS::AtMostOnce, QoS::AtMostOnce),
    ];
    for (pkid, (topic, sent, expected)) in (1..).zip(cases) {
        sender.publish(topic, "x", sent, pkid).await;
        assert_eq!(client.message().await.qos, expected);
    }
}

#[tokio::test]
async fn suback_says_what_was_granted() {
    let limits = Limits { subscriptions_per_client_max: 3, filter_levels_max: 4, ..Limits::default() };
    let broker = TestBroker::with(limits, Strict).await;
    let mut client = broker.raw().await;
    client.send(&login("client", true, "user", "right")).await;
    client.connected().await;
    let wanted = [
        ("a", QoS::AtMostOnce),
        ("secret/a", QoS::AtLeastOnce),
        ("$share/g/a", QoS::AtLeastOnce),
        ("1/2/3/4/5", QoS::AtLeastOnce),
        ("b/#", QoS::AtLeastOnce),
        ("c", QoS::ExactlyOnce),
        ("d", QoS::AtMostOnce),
        ("a", QoS::AtLeastOnce),
    ];
    let codes = client.subscribe_all(&wanted).await;
    let granted = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce].map(Success);
    let [zero, one, two] = granted;
    assert_eq!(codes, [zero, Failure, Failure, Failure, one, two, Failure, one]);
    let stats = broker.broker.stats();
    assert_eq!((stats.subscriptions_denied.get(), stats.subscriptions_refused.get()), (1, 3));
}

#[tokio::test]
async fn the_total_of_subscriptions_is_bounded() {
    let limits = Limits { subscriptions_total_max: 2, ..Limits::default() };
    let broker = TestBroker::with(limits, OpenPolicy).await;
    let mut first = broker.client("first").await;
    first.subscribe("a", QoS::AtMostOnce).await;
    first.subscribe("b", QoS::AtMostOnce).await;
    let mut second = broker.client("second").await;
    assert_eq!(second.subscribe_all(&[("a", QoS::AtMostOnce)]).await, [Failure]);
    first.subscribe("a", QoS::AtLeastOnce).await;
    first.vanish(&broker, "first").await;
    until(|| broker.broker.sessions().len() == 1).await;
    second.subscribe("a", QoS::AtMostOnce).await;
}

#[tokio::test]
async fn unsubscribe_ends_delivery() {
    let broker = TestBroker::start().await;
    let mut client = broker.client("client").await;
    client.subscribe("a/#", QoS::AtMostOnce).await;
    client.subscribe("b", QoS::AtMostOnce).await;
    let unsubscribe = Unsubscribe { pkid: 4, topics: vec!["a/#".into(), "never/had".into()] };
    client.packet(Packet::Unsubscribe(unsubscribe)).await;
    assert_eq!(client.next().await, Some(Packet::UnsubAck(UnsubAck { pkid: 4 })));
    client.publish("a/b", "x", QoS::AtMostOnce, 0).await;
    client.expect_nothing().await;
    client.publish("b", "y", QoS::AtMostOnce, 0).await;
    assert_eq!(client.message().await.topic, "b");
}

#[tokio::test]
async fn wildcards_do_not_see_dollar_topics() {
    let broker = TestBroker::start().await;
    let mut client = broker.client("client").await;
    client.subscribe("#", QoS::AtMostOnce).await;
    client.subscribe("+/x", QoS::AtMostOnce).await;
    client.publish("$SYS/x", "x", QoS::AtMostOnce, 0).await;
    client.expect_nothing().await;
    client.subscribe("$SYS/#", QoS::AtMostOnce).await;
    client.publish("$SYS/x", "x", QoS::AtMostOnce, 0).await;
    assert_eq!(client.message().await.topic, "$SYS/x");
}

#[tokio::test]
async fn retain_is_cleared_and_nothing_is_kept() {
    let broker = TestBroker::start().await;
    let mut client = broker.client("client").await;
    client.subscribe("t", QoS::AtMostOnce).await;
    client.send(b"\x31\x05\x00\x01tok").await;
    let message = client.message().await;
    assert_eq!((text(&message.payload), message.retain), ("ok", false));
    let mut late = broker.client("late").await;
    late.subscribe("t", QoS::AtMostOnce).await;
    late.expect_nothing().await;
    assert_eq!(broker.broker.stats().publishes_retained.get(), 1);
}

#[tokio::test]
async fn wills_are_not_published() {
    let broker = TestBroker::start().await;
    let mut watcher = broker.client("watcher").await;
    watcher.subscribe("#", QoS::AtMostOnce).await;
    let mut dying = broker.raw().await;
    dying.send(&connect_with(4, 0x06, 0, &[b"dying", b"will/topic", b"farewell"])).await;
    dying.connected().await;
    dying.vanish(&broker, "dying").await;
    watcher.expect_nothing().await;
}

#[tokio::test]
async fn a_denied_publish_is_acknowledged_and_dropped() {
    let broker = TestBroker::with(Limits::default(), Strict).await;
    let mut boss = broker.raw().await;
    boss.send(&login("boss", true, "boss", "right")).await;
    boss.connected().await;
    boss.subscribe("#", QoS::AtLeastOnce).await;
    let mut client = broker.raw().await;
    client.send(&login("client", true, "user", "right")).await;
    client.connected().await;
    client.publish("secret", "x", QoS::AtMostOnce, 0).await;
    client.publish("secret", "x", QoS::AtLeastOnce, 1).await;
    client.publish("secret", "x", QoS::ExactlyOnce, 2).await;
    client.expect_puback(1).await;
    client.expect_pubrec(2).await;
    boss.expect_nothing().await;
    assert_eq!(broker.broker.stats().publishes_denied.get(), 3);
}
