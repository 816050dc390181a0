//! A polite end: what was begun is finished, nothing new is begun.

use std::sync::Arc;

use cse_mqtt::broker::{Broker, Limits, OpenPolicy};
use rumqttc::QoS;
use tokio::time::Instant;

use crate::harness::*;

#[tokio::test]
async fn stopping_waits_for_acceptance_and_answers() {
    let broker = TestBroker::start().await;
    let (link, mut receiver) = broker.broker.link("cse", &["req"]).expect("a filter");
    let mut idle = broker.client("idle").await;
    let mut client = broker.client("client").await;
    client.subscribe("resp", QoS::AtLeastOnce).await;
    client.publish("req", "question", QoS::AtLeastOnce, 1).await;
    let request = receive_one(&mut receiver).await;

    broker.stop.send(true).expect("running");
    idle.expect_closed().await;
    client.publish("req", "too late", QoS::AtLeastOnce, 2).await;
    assert_eq!(link.publish("resp", "answer".into(), QoS::AtLeastOnce).expect("valid").matched, 1);
    request.ack.accept();
    let mut answer = None;
    let mut acknowledged = false;
    while answer.is_none() || !acknowledged {
        match client.next().await.expect("still open") {
            rumqttc::Packet::Publish(publish) => answer = Some(publish),
            rumqttc::Packet::PubAck(ack) => acknowledged = ack.pkid == 1,
            other => panic!("{other:?}"),
        }
    }
    let answer = answer.expect("received");
    assert_eq!(text(&answer.payload), "answer");
    drop(client);
    within(broker.server).await.expect("ended");
    assert_eq!(broker.broker.stats().publishes_received.get(), 1, "nothing new was taken");
}

#[tokio::test]
async fn a_drained_connection_ends_with_the_last_acknowledgement() {
    let broker = TestBroker::start().await;
    let (link, _receiver) = broker.broker.link("cse", &[]).expect("no filters");
    let mut client = broker.client("client").await;
    client.subscribe("t", QoS::AtLeastOnce).await;
    link.publish("t", "x".into(), QoS::AtLeastOnce).expect("valid");
    let message = client.message().await;
    broker.stop.send(true).expect("running");
    client.puback(message.pkid).await;
    client.expect_closed().await;
    within(broker.server).await.expect("ended");
}

#[tokio::test(start_paused = true)]
async fn stopping_does_not_wait_for_ever() {
    let broker = Broker::new(Limits::default(), Arc::new(OpenPolicy));
    let (_link, mut receiver) = broker.link("cse", &["req"]).expect("a filter");
    let (mut client, stop, served) = in_memory(&broker);
    client.connect("client", true).await;
    client.publish("req", "never accepted", QoS::AtLeastOnce, 1).await;
    let _request = receive_one(&mut receiver).await;
    let began = Instant::now();
    stop.send(true).expect("running");
    served.await.expect("ended");
    assert_eq!(began.elapsed().as_secs(), 60);
    assert!(broker.sessions().is_empty());
}
