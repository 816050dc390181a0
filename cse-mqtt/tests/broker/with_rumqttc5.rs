//! A real client library of version 5 against the broker.

use std::collections::BTreeSet;
use std::time::Duration;

use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{ConnectProperties, PubAckReason, PublishProperties};
use rumqttc::v5::{AsyncClient, Event, EventLoop, Incoming, MqttOptions};

use crate::harness::*;

fn client(broker: &TestBroker, id: &str, receive_maximum: u16) -> (AsyncClient, EventLoop) {
    let mut options = MqttOptions::new(id, "127.0.0.1", broker.address.port());
    options.set_clean_start(false).set_keep_alive(Duration::from_secs(30)).set_connect_properties(ConnectProperties {
        session_expiry_interval: Some(3600),
        receive_maximum: Some(receive_maximum),
        ..ConnectProperties::new()
    });
    AsyncClient::new(options, 100)
}

/// The next packet from the broker; interruptions are passed over, the next poll connects again.
async fn incoming(events: &mut EventLoop) -> Incoming {
    loop {
        if let Ok(Event::Incoming(packet)) = within(events.poll()).await {
            return packet;
        }
    }
}

#[tokio::test]
async fn requests_and_answers_survive_a_lost_connection() {
    const COUNT: u32 = 300;
    let broker = TestBroker::start().await;
    let (link, mut receiver) = broker.broker.link("cse", &["req/+"]).expect("a filter");
    let echo = tokio::spawn(async move {
        let mut requests = Vec::new();
        loop {
            receiver.receive(&mut requests, 16).await;
            for request in requests.drain(..) {
                link.publish("resp/ae", request.payload, request.qos).expect("valid");
                request.ack.accept();
            }
        }
    });
    let (ae, mut events) = client(&broker, "ae", 5);
    ae.subscribe("resp/ae", QoS::AtLeastOnce).await.expect("queued");
    let publishing = tokio::spawn(async move {
        for number in 0..COUNT {
            ae.publish("req/ae", QoS::AtLeastOnce, false, number.to_string()).await.expect("queued");
        }
        ae
    });
    let mut answers = BTreeSet::new();
    let mut interrupted = false;
    while answers.len() < COUNT as usize {
        if let Incoming::Publish(publish) = incoming(&mut events).await {
            answers.insert(text(&publish.payload).parse::<u32>().expect("a number"));
        }
        if answers.len() == COUNT as usize / 2 && !interrupted {
            interrupted = true;
            let (_other, present) = broker.kept("ae").await;
            assert!(present);
        }
    }
    publishing.await.expect("published");
    assert_eq!(broker.broker.stats().takeovers.get(), 1);
    echo.abort();
}

#[tokio::test]
async fn reasons_and_properties_arrive() {
    let broker = TestBroker::start().await;
    let (a, mut events) = client(&broker, "a", 10);
    let properties = PublishProperties {
        payload_format_indicator: Some(1),
        message_expiry_interval: Some(60),
        response_topic: Some("back".to_owned()),
        correlation_data: Some("data".into()),
        user_properties: vec![("k".to_owned(), "v".to_owned()), ("k".to_owned(), "w".to_owned())],
        content_type: Some("text/plain".to_owned()),
        ..PublishProperties::default()
    };
    a.publish_with_properties("t", QoS::AtLeastOnce, false, "1", properties.clone()).await.expect("queued");
    loop {
        if let Incoming::PubAck(puback) = incoming(&mut events).await {
            assert_eq!(puback.reason, PubAckReason::NoMatchingSubscribers);
            break;
        }
    }
    a.subscribe("t", QoS::ExactlyOnce).await.expect("queued");
    a.publish_with_properties("t", QoS::ExactlyOnce, false, "2", properties.clone()).await.expect("queued");
    loop {
        if let Incoming::Publish(publish) = incoming(&mut events).await {
            assert_eq!(publish.properties, Some(properties));
            break;
        }
    }
}
