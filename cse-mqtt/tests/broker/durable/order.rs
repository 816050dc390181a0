//! Nothing is acknowledged before it is stored, and nothing waits that need not.

use cse_mqtt::broker::DeliveryStatus;
use rumqttc::QoS;
use rumqttc::mqttbytes::v4::{Packet, PubComp, PubRel, Subscribe, Unsubscribe};

use super::Durable;
use super::disk::{Disk, Mode};
use crate::harness::{receive_one, text, until, within};

#[tokio::test]
async fn a_subscription_is_granted_when_it_is_stored() {
    let disk = Disk::default();
    let broker = Durable::start(&disk).await;
    let (mut client, _) = broker.broker.kept("keeper").await;
    disk.set(Mode::Stuck);
    let mut subscribe = Subscribe::new("t", QoS::AtLeastOnce);
    subscribe.pkid = 1;
    client.packet(Packet::Subscribe(subscribe)).await;
    client.expect_nothing().await;
    assert!(disk.filters().is_empty());
    disk.set(Mode::Works);
    assert!(matches!(client.next().await, Some(Packet::SubAck(_))));
    assert_eq!(disk.filters(), ["t"]);

    disk.set(Mode::Stuck);
    let mut unsubscribe = Unsubscribe::new("t");
    unsubscribe.pkid = 2;
    client.packet(Packet::Unsubscribe(unsubscribe)).await;
    client.expect_nothing().await;
    disk.set(Mode::Works);
    assert!(matches!(client.next().await, Some(Packet::UnsubAck(_))));
    assert!(disk.filters().is_empty());
}

#[tokio::test]
async fn a_message_for_a_client_that_is_away_is_acknowledged_when_it_is_stored() {
    for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
        let disk = Disk::default();
        let broker = Durable::start(&disk).await;
        let (mut receiver, _) = broker.broker.kept("receiver").await;
        receiver.subscribe("t", QoS::AtLeastOnce).await;
        receiver.vanish(&broker.broker, "receiver").await;
        disk.set(Mode::Stuck);
        let mut sender = broker.broker.client("sender").await;
        sender.publish("t", "x", qos, 1).await;
        sender.expect_nothing().await;
        assert!(disk.payloads().is_empty());
        disk.set(Mode::Works);
        if qos == QoS::AtLeastOnce {
            sender.expect_puback(1).await
        } else {
            sender.expect_pubrec(1).await
        }
        assert_eq!(disk.payloads(), ["x"]);
    }
}

#[tokio::test]
async fn what_the_receiver_has_acknowledged_is_never_stored() {
    let disk = Disk::default();
    let broker = Durable::start(&disk).await;
    let (mut receiver, _) = broker.broker.kept("receiver").await;
    receiver.subscribe("t", QoS::AtLeastOnce).await;
    let (mut sender, _) = broker.broker.kept("sender").await;
    // One subscription more, so that a commit is under way from now on.
    disk.set(Mode::Stuck);
    let (mut other, _) = broker.broker.kept("other").await;
    let mut subscribe = Subscribe::new("o", QoS::AtLeastOnce);
    subscribe.pkid = 1;
    other.packet(Packet::Subscribe(subscribe)).await;
    other.expect_nothing().await;
    for number in 1..=50 {
        sender.publish("t", "x", QoS::AtLeastOnce, number).await;
        let message = receiver.message().await;
        sender.expect_nothing().await;
        receiver.puback(message.pkid).await;
        sender.expect_puback(number).await;
    }
    disk.set(Mode::Works);
    assert!(matches!(other.next().await, Some(Packet::SubAck(_))));
    broker.stop().await;
    assert_eq!(disk.messages_put(), 0);
}

#[tokio::test]
async fn what_the_receiver_does_not_acknowledge_is_stored_soon() {
    let disk = Disk::default();
    let broker = Durable::start(&disk).await;
    let (mut receiver, _) = broker.broker.kept("receiver").await;
    receiver.subscribe("t", QoS::AtLeastOnce).await;
    let mut sender = broker.broker.client("sender").await;
    sender.publish("t", "x", QoS::AtLeastOnce, 1).await;
    sender.expect_puback(1).await;
    assert_eq!(disk.payloads(), ["x"]);
    let message = receiver.message().await;
    receiver.puback(message.pkid).await;
    until(|| disk.payloads().is_empty()).await;
}

#[tokio::test]
async fn whoever_was_promised_nothing_holds_nothing_up() {
    let disk = Disk::default();
    let broker = Durable::start(&disk).await;
    let (mut careless, _) = broker.broker.kept("careless").await;
    careless.subscribe("t", QoS::AtMostOnce).await;
    disk.set(Mode::Stuck);
    let mut clean = broker.broker.client("clean").await;
    clean.subscribe("t", QoS::ExactlyOnce).await;
    let mut sender = broker.broker.client("sender").await;
    sender.publish("t", "once", QoS::AtLeastOnce, 1).await;
    sender.expect_puback(1).await;
    sender.publish("t", "exactly", QoS::ExactlyOnce, 2).await;
    sender.expect_pubrec(2).await;
    sender.pubrel(2).await;
    assert_eq!(sender.next().await, Some(Packet::PubComp(PubComp::new(2))));
    for _ in 0..2 {
        careless.message().await;
        clean.message().await;
    }
    clean.unsubscribe("t").await;
}

#[tokio::test]
async fn publishers_behind_a_link_are_told_when_it_is_safe() {
    let disk = Disk::default();
    let broker = Durable::start(&disk).await;
    let (link, _receiver) = broker.broker.broker.link("cse", &[]).expect("valid");
    let (mut client, _) = broker.broker.kept("client").await;
    client.subscribe("t", QoS::AtLeastOnce).await;
    client.vanish(&broker.broker, "client").await;
    disk.set(Mode::Stuck);
    let (outcome, delivery) = link.publish_tracked("t", "x".into(), QoS::AtLeastOnce).expect("valid");
    assert_eq!(outcome.matched, 1);
    let (told, mut called) = tokio::sync::oneshot::channel();
    delivery.when_safe(move || told.send(()).expect("waited for"));
    assert!(!delivery.is_safe());
    assert!(called.try_recv().is_err());
    disk.set(Mode::Works);
    within(delivery.safe()).await;
    within(called).await.expect("called");
    assert_eq!(delivery.status(), DeliveryStatus::Pending);
    assert_eq!(disk.payloads(), ["x"]);
    // With nobody there, it is as safe as it gets.
    let (_, delivery) = link.publish_tracked("nobody", "x".into(), QoS::AtLeastOnce).expect("valid");
    assert!(delivery.is_safe());
}

#[tokio::test]
async fn the_end_of_a_session_lets_everything_go() {
    let disk = Disk::default();
    let broker = Durable::start(&disk).await;
    let (mut receiver, _) = broker.broker.kept("receiver").await;
    receiver.subscribe("t", QoS::AtLeastOnce).await;
    receiver.vanish(&broker.broker, "receiver").await;
    disk.set(Mode::Stuck);
    let mut sender = broker.broker.client("sender").await;
    sender.publish("t", "x", QoS::AtLeastOnce, 1).await;
    sender.publish("t", "y", QoS::ExactlyOnce, 2).await;
    sender.expect_nothing().await;
    assert!(broker.broker.broker.expel("receiver"));
    sender.expect_puback(1).await;
    sender.expect_pubrec(2).await;
    disk.set(Mode::Works);
    until(|| disk.sessions() == 0 && disk.rows() == 0).await;
}

#[tokio::test]
async fn exactly_once_stores_each_step_before_it_is_confirmed() {
    let disk = Disk::default();
    let broker = Durable::start(&disk).await;
    let (link, mut link_receiver) = broker.broker.broker.link("cse", &["up"]).expect("valid");
    let (mut client, _) = broker.broker.kept("client").await;
    client.subscribe("down", QoS::ExactlyOnce).await;

    disk.set(Mode::Stuck);
    client.publish("up", "x", QoS::ExactlyOnce, 9).await;
    receive_one(&mut link_receiver).await.ack.accept();
    client.expect_nothing().await;
    disk.set(Mode::Works);
    client.expect_pubrec(9).await;
    assert_eq!(disk.load()[0].received, [9]);
    disk.set(Mode::Stuck);
    client.pubrel(9).await;
    client.expect_nothing().await;
    disk.set(Mode::Works);
    assert_eq!(client.next().await, Some(Packet::PubComp(PubComp::new(9))));
    assert_eq!(disk.rows(), 0);

    disk.set(Mode::Stuck);
    link.publish("down", "y".into(), QoS::ExactlyOnce).expect("valid");
    client.expect_nothing().await;
    disk.set(Mode::Works);
    let message = client.message().await;
    assert_eq!((text(&message.payload), disk.payloads()), ("y", vec!["y".to_owned()]));
    disk.set(Mode::Stuck);
    client.pubrec(message.pkid).await;
    client.expect_nothing().await;
    disk.set(Mode::Works);
    assert_eq!(client.next().await, Some(Packet::PubRel(PubRel::new(message.pkid))));
    assert_eq!((disk.payloads().len(), disk.rows()), (0, 1));
    client.pubcomp(message.pkid).await;
    until(|| disk.rows() == 0).await;
}
