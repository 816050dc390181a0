//! A real client library against the broker.

use std::collections::BTreeSet;
use std::time::Duration;

use rumqttc::{AsyncClient, Event, Incoming, MqttOptions, QoS};
use tokio::task::JoinHandle;

use crate::harness::*;

fn options(broker: &TestBroker, id: &str) -> MqttOptions {
    let mut options = MqttOptions::new(id, "127.0.0.1", broker.address.port());
    options.set_clean_session(false).set_keep_alive(Duration::from_secs(30));
    options
}

/// A link that answers each `req/...` to `resp/ae`.
fn echo(broker: &TestBroker) -> JoinHandle<()> {
    let (link, mut receiver) = broker.broker.link("cse", &["req/+"]).expect("a filter");
    tokio::spawn(async move {
        let mut requests = Vec::new();
        loop {
            receiver.receive(&mut requests, 16).await;
            for request in requests.drain(..) {
                link.publish("resp/ae", request.payload, request.qos).expect("valid");
                request.ack.accept();
            }
        }
    })
}

/// Sends the numbers below `count`; gives the answers, and calls `halfway` when half of them are there.
async fn ask(broker: &TestBroker, qos: QoS, count: u32, halfway: impl AsyncFnOnce()) -> Vec<u32> {
    let (client, mut events) = AsyncClient::new(options(broker, "ae"), 100);
    client.subscribe("resp/ae", QoS::ExactlyOnce).await.expect("queued");
    let publishing = tokio::spawn(async move {
        for number in 0..count {
            client.publish("req/ae", qos, false, number.to_string()).await.expect("queued");
        }
        client
    });
    let mut halfway = Some(halfway);
    let (mut answers, mut distinct) = (Vec::new(), BTreeSet::new());
    within(async {
        while distinct.len() < count as usize {
            // An error here is an interruption; the next poll connects again.
            if let Ok(Event::Incoming(Incoming::Publish(publish))) = events.poll().await {
                let answer = text(&publish.payload).parse::<u32>().expect("a number");
                answers.push(answer);
                distinct.insert(answer);
            }
            if distinct.len() == count as usize / 2
                && let Some(halfway) = halfway.take()
            {
                halfway().await;
            }
        }
    })
    .await;
    publishing.await.expect("published");
    answers
}

#[tokio::test]
async fn at_least_once_survives_a_lost_connection() {
    let broker = TestBroker::start().await;
    let echo = echo(&broker);
    let answers = ask(&broker, QoS::AtLeastOnce, 300, async || {
        // Another connection with the same identifier, as a change of network brings it.
        let (_other, present) = broker.kept("ae").await;
        assert!(present);
    })
    .await;
    let distinct: BTreeSet<_> = answers.into_iter().collect();
    assert_eq!(distinct, (0..300).collect());
    assert_eq!(broker.broker.stats().takeovers.get(), 1);
    echo.abort();
}

#[tokio::test]
async fn exactly_once_comes_exactly_once_and_in_order() {
    let broker = TestBroker::start().await;
    let echo = echo(&broker);
    let answers = ask(&broker, QoS::ExactlyOnce, 300, async || {}).await;
    assert_eq!(answers, (0..300).collect::<Vec<_>>());
    echo.abort();
}
