//! Messages whose time is over, and sessions that end.

use std::sync::Arc;
use std::time::Duration;

use cse_mqtt::broker::{Broker, DeliveryStatus, Limits, Link, OpenPolicy};
use rumqttc::QoS;

use crate::harness::*;

fn broker_with_link(limits: Limits) -> (Broker, Link) {
    let broker = Broker::new(limits, Arc::new(OpenPolicy));
    let (link, _receiver) = broker.link("cse", &[]).expect("no filters");
    (broker, link)
}

/// A client `away` that has subscribed to `t` and left.
async fn subscribed_and_left(broker: &Broker) {
    let (mut client, _stop, served) = in_memory(broker);
    client.connect("away", false).await;
    client.subscribe("t", QoS::AtLeastOnce).await;
    drop(client);
    served.await.expect("ended");
}

#[tokio::test(start_paused = true)]
async fn an_expired_message_is_not_delivered() {
    let (broker, link) = broker_with_link(Limits::default());
    subscribed_and_left(&broker).await;
    let lifetime = Duration::from_secs(60);
    let (_, short) = link.publish_expiring("t", "short".into(), QoS::AtLeastOnce, lifetime).expect("valid");
    link.publish_expiring("t", "long".into(), QoS::AtLeastOnce, 2 * lifetime).expect("valid");
    link.publish("t", "for ever".into(), QoS::AtLeastOnce).expect("valid");
    tokio::time::advance(lifetime).await;
    assert_eq!(short.status(), DeliveryStatus::Pending);
    let (mut client, _stop, _served) = in_memory(&broker);
    assert!(client.connect("away", false).await);
    assert_eq!(text(&client.message().await.payload), "long");
    assert_eq!(text(&client.message().await.payload), "for ever");
    assert_eq!(short.status(), DeliveryStatus::Lost);
    assert_eq!(broker.stats().dropped_expired.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn expired_messages_make_room_in_a_full_queue() {
    let (broker, link) = broker_with_link(Limits { queued_messages_per_client_max: 3, ..Limits::default() });
    subscribed_and_left(&broker).await;
    let publish = |lifetime| {
        let lifetime = Duration::from_secs(lifetime);
        link.publish_expiring("t", "m".into(), QoS::AtLeastOnce, lifetime).expect("valid").0.matched
    };
    assert_eq!([publish(20), publish(10), publish(30), publish(40)], [1, 1, 1, 0]);
    tokio::time::advance(Duration::from_secs(10)).await;
    assert_eq!([publish(40), publish(40)], [1, 0]);
    tokio::time::advance(Duration::from_secs(10)).await;
    assert_eq!([publish(40), publish(40)], [1, 0]);
    assert_eq!(broker.stats().dropped_expired.get(), 2);
    assert_eq!(broker.sessions()[0].queued_messages, 3);
}

#[tokio::test(start_paused = true)]
async fn what_was_sent_before_it_expired_is_sent_again() {
    let (broker, link) = broker_with_link(Limits::default());
    subscribed_and_left(&broker).await;
    link.publish_expiring("t", "m".into(), QoS::AtLeastOnce, Duration::from_secs(5)).expect("valid");
    let (mut client, _stop, served) = in_memory(&broker);
    client.connect("away", false).await;
    assert!(!client.message().await.dup);
    drop(client);
    served.await.expect("ended");
    tokio::time::advance(Duration::from_secs(5)).await;
    let (mut client, _stop, _served) = in_memory(&broker);
    client.connect("away", false).await;
    assert!(client.message().await.dup, "its delivery had begun");
}

#[tokio::test(start_paused = true)]
async fn a_session_is_not_resumed_after_its_end() {
    let (broker, _link) = broker_with_link(Limits { offline_expiry: Duration::from_secs(3), ..Limits::default() });
    subscribed_and_left(&broker).await;
    tokio::time::advance(Duration::from_secs(3)).await;
    let (mut client, _stop, _served) = in_memory(&broker);
    assert!(!client.connect("away", false).await, "though nothing has cleared it away yet");
}
