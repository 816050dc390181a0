//! QoS 2 from clients, and the order of acknowledgements.

use rumqttc::QoS;
use rumqttc::mqttbytes::v4::{Packet, PubComp};

use crate::harness::*;

#[tokio::test]
async fn a_repeated_exactly_once_message_is_delivered_once() {
    let broker = TestBroker::start().await;
    let mut watcher = broker.client("watcher").await;
    watcher.subscribe("t", QoS::AtMostOnce).await;
    let (mut sender, _) = broker.kept("sender").await;
    sender.publish("t", "x", QoS::ExactlyOnce, 5).await;
    sender.expect_pubrec(5).await;
    assert_eq!(text(&watcher.message().await.payload), "x");
    sender.publish_with("t", "x", QoS::ExactlyOnce, 5, true).await;
    sender.expect_pubrec(5).await;
    sender.vanish(&broker, "sender").await;
    let (mut sender, _) = broker.kept("sender").await;
    sender.publish_with("t", "x", QoS::ExactlyOnce, 5, true).await;
    sender.expect_pubrec(5).await;
    watcher.expect_nothing().await;

    for _ in 0..2 {
        sender.pubrel(5).await;
        assert_eq!(sender.next().await, Some(Packet::PubComp(PubComp::new(5))));
    }
    sender.publish("t", "y", QoS::ExactlyOnce, 5).await;
    sender.expect_pubrec(5).await;
    assert_eq!(text(&watcher.message().await.payload), "y");
}

#[tokio::test]
async fn a_link_that_decides_late_still_gets_an_exactly_once_message_once() {
    let broker = TestBroker::start().await;
    let (_link, mut receiver) = broker.broker.link("cse", &["t"]).expect("a filter");
    let (mut sender, _) = broker.kept("sender").await;
    sender.publish("t", "x", QoS::ExactlyOnce, 5).await;
    let message = receive_one(&mut receiver).await;
    sender.vanish(&broker, "sender").await;

    let (mut sender, _) = broker.kept("sender").await;
    sender.publish_with("t", "x", QoS::ExactlyOnce, 5, true).await;
    sender.publish("t", "next", QoS::ExactlyOnce, 6).await;
    let next = receive_one(&mut receiver).await;
    assert_eq!(text(&next.payload), "next", "the first was not delivered again");
    next.ack.accept();
    sender.expect_nothing().await;
    message.ack.accept();
    sender.expect_pubrec(5).await;
    sender.expect_pubrec(6).await;
    sender.publish_with("t", "x", QoS::ExactlyOnce, 5, true).await;
    sender.expect_pubrec(5).await;
    sender.pubrel(5).await;
    assert_eq!(sender.next().await, Some(Packet::PubComp(PubComp::new(5))));
}

#[tokio::test]
async fn a_pubrel_before_its_pubrec_holds_nothing_back() {
    let broker = TestBroker::start().await;
    let (_link, mut receiver) = broker.broker.link("cse", &["t"]).expect("a filter");
    let mut sender = broker.client("sender").await;
    sender.publish("t", "x", QoS::ExactlyOnce, 5).await;
    let message = receive_one(&mut receiver).await;
    sender.pubrel(5).await;
    assert_eq!(sender.next().await, Some(Packet::PubComp(PubComp::new(5))));
    sender.publish("other", "y", QoS::AtLeastOnce, 6).await;
    sender.expect_nothing().await;
    message.ack.accept();
    sender.expect_pubrec(5).await;
    sender.expect_puback(6).await;
}

#[tokio::test]
async fn an_exactly_once_message_accepted_while_its_client_is_away_is_not_delivered_again() {
    let broker = TestBroker::start().await;
    let (_link, mut receiver) = broker.broker.link("cse", &["t"]).expect("a filter");
    let (mut sender, _) = broker.kept("sender").await;
    sender.publish("t", "x", QoS::ExactlyOnce, 5).await;
    let message = receive_one(&mut receiver).await;
    sender.vanish(&broker, "sender").await;
    message.ack.accept();
    let (mut sender, _) = broker.kept("sender").await;
    sender.publish_with("t", "x", QoS::ExactlyOnce, 5, true).await;
    sender.expect_pubrec(5).await;
    sender.publish("t", "end", QoS::AtMostOnce, 0).await;
    assert_eq!(text(&receive_one(&mut receiver).await.payload), "end");
}

#[tokio::test]
async fn an_impatient_repetition_on_the_same_connection_changes_nothing() {
    let broker = TestBroker::start().await;
    let (_link, mut receiver) = broker.broker.link("cse", &["t"]).expect("a filter");
    let mut sender = broker.client("sender").await;
    sender.publish("t", "x", QoS::ExactlyOnce, 5).await;
    let message = receive_one(&mut receiver).await;
    sender.publish_with("t", "x", QoS::ExactlyOnce, 5, true).await;
    sender.expect_nothing().await;
    message.ack.accept();
    sender.expect_pubrec(5).await;
    sender.publish("t", "next", QoS::AtLeastOnce, 6).await;
    let next = receive_one(&mut receiver).await;
    assert_eq!(text(&next.payload), "next");
    next.ack.accept();
    sender.expect_puback(6).await;
}

#[tokio::test]
async fn an_abandoned_exactly_once_message_is_delivered_again() {
    let broker = TestBroker::start().await;
    let (_link, mut receiver) = broker.broker.link("cse", &["t"]).expect("a filter");
    let (mut sender, _) = broker.kept("sender").await;
    sender.publish("t", "x", QoS::ExactlyOnce, 5).await;
    drop(receive_one(&mut receiver).await);
    sender.expect_nothing().await;
    sender.vanish(&broker, "sender").await;
    let (mut sender, _) = broker.kept("sender").await;
    sender.publish_with("t", "x", QoS::ExactlyOnce, 5, true).await;
    let again = receive_one(&mut receiver).await;
    assert!(again.dup);
    again.ack.accept();
    sender.expect_pubrec(5).await;
}

#[tokio::test]
async fn acknowledgements_keep_the_order_of_receipt() {
    let broker = TestBroker::start().await;
    let (_link, mut receiver) = broker.broker.link("cse", &["slow/#"]).expect("a filter");
    let mut sender = broker.client("sender").await;
    sender.publish("slow/1", "x", QoS::AtLeastOnce, 11).await;
    sender.publish("nobody", "x", QoS::AtLeastOnce, 12).await;
    sender.publish("slow/2", "x", QoS::ExactlyOnce, 13).await;
    sender.publish("slow/3", "x", QoS::AtLeastOnce, 14).await;
    let mut messages = receive_exactly(&mut receiver, 3).await;
    messages.pop().expect("the third").ack.accept();
    messages.pop().expect("the second").ack.accept();
    sender.expect_nothing().await;
    messages.pop().expect("the first").ack.accept();
    sender.expect_puback(11).await;
    sender.expect_puback(12).await;
    sender.expect_pubrec(13).await;
    sender.expect_puback(14).await;
}
