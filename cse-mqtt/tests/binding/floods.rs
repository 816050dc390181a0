//! Requests of one originator pile up behind one that waits for an answer: the answer comes through, and so do others.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::VecDeque;
use std::sync::Arc;

use cse_core::ports::{Destination, Outbound, Sent};
use cse_mqtt::broker::Limits;
use cse_mqtt::{BindingOptions, ExternalOptions, MqttBinding};

use crate::embedded::Node;
use crate::faults::{Broker, CONNACK, Peer};
use crate::support::{Client, DEADLINE, Running, answer, identity, notification, retrieve, until};

const REQUEST: &str = "/oneM2M/req/Cx/id-in/json";
const RESPONSE: &str = "/oneM2M/resp/Cx/id-in/json";
const QUESTION: &str = "/oneM2M/req/id-in/Cz/json";
const ANSWER: &str = "/oneM2M/resp/id-in/Cz/json";

/// A request of Cx that others of Cx wait for.
fn update(to: &str, rqi: &str) -> String {
    format!(r#"{{"op":3,"to":"{to}","fr":"Cx","rqi":"{rqi}","rvi":"3","pc":{{"m2m:cnt":{{}}}}}}"#)
}

fn expected(code: i64, identifiers: impl IntoIterator<Item = u32>) -> Vec<(i64, String)> {
    identifiers.into_iter().map(|rqi| (code, rqi.to_string())).collect()
}

#[tokio::test]
async fn a_flood_behind_a_question_hinders_neither_its_answer_nor_others() {
    let options = BindingOptions { waiting_per_originator_max: 5, ..BindingOptions::default() };
    let node = Node::with(options, Limits::default()).await;
    let mut asked = Client::connect(node.port, "A::Cz", &["/oneM2M/req/id-in/Cz/#"]).await;
    let mut flooding = Client::connect(node.port, "A::Cx", &["/oneM2M/resp/Cx/id-in/#"]).await;
    let mut other = Client::connect(node.port, "A::Cy", &["/oneM2M/resp/Cy/id-in/#"]).await;
    flooding.publish(REQUEST, update("ask", "asks")).await;
    let (topic, payload) = asked.next().await;
    assert!(topic == QUESTION && payload.contains(r#""rqi":"asks?""#), "{topic} {payload}");

    for rqi in 1..=20 {
        flooding.publish(REQUEST, update("a", &rqi.to_string())).await;
    }
    let mut refused = Vec::new();
    for _ in 6..=20 {
        refused.push(answer(&flooding.next().await.1));
    }
    assert_eq!(refused, expected(5000, 6..=20), "one by one, and those before them wait");
    other.publish("/oneM2M/req/Cy/id-in/json", retrieve("Cy", "a", "1")).await;
    assert_eq!(answer(&other.next().await.1), (2000, "1".to_owned()));
    assert_eq!(node.running.cse.identifiers(), ["asks", "1"]);

    asked.publish(ANSWER, r#"{"rsc":2000,"rqi":"asks?"}"#).await;
    assert_eq!(answer(&flooding.next().await.1), (2000, "asks".to_owned()), "it has got its answer");
    let mut answered = Vec::new();
    for _ in 1..=5 {
        answered.push(answer(&flooding.next().await.1));
    }
    assert_eq!(answered, expected(2000, 1..=5), "in their order");
    until("all are acknowledged", || flooding.acknowledged.lock().len() == 21).await;
    assert_eq!(node.running.stats.refused_as_too_many.get(), 15);
    node.stop().await;
}

#[tokio::test]
async fn answers_come_in_when_no_request_does() {
    const COUNT: u64 = 90;
    let options = BindingOptions { concurrent_requests_max: 8, waiting_requests_max: 2, ..BindingOptions::default() };
    let node = Node::with(options, Limits { link_messages_max: 2, ..Limits::default() }).await;
    let mut asked = Client::connect(node.port, "A::Cz", &["/oneM2M/req/id-in/Cz/#"]).await;
    let mut gateway = Client::connect(node.port, "A::gateway", &["/oneM2M/resp/+/id-in/#"]).await;
    gateway.publish(REQUEST, update("ask", "asks")).await;
    assert_eq!(asked.next().await.0, QUESTION);
    // Of many originators, and each takes its time: there is no place any more, with the CSE or on the way to it.
    for number in 1..=COUNT {
        let from = format!("C{number}");
        gateway.publish(&format!("/oneM2M/req/{from}/id-in/json"), retrieve(&from, "wait", &from)).await;
    }
    until("the broker does not read on", || node.broker.stats().link_stalls.get() > 0).await;
    asked.publish(ANSWER, r#"{"rsc":2000,"rqi":"asks?"}"#).await;
    assert_eq!(answer(&gateway.next().await.1), (2000, "asks".to_owned()));

    node.running.cse.gate.add_permits(usize::try_from(COUNT).unwrap());
    for _ in 1..=COUNT {
        assert_eq!(answer(&gateway.next().await.1).0, 2000);
    }
    assert_eq!(node.running.stats.refused_as_too_many.get(), 0, "nobody is refused for what others do");
    node.stop().await;
}

#[tokio::test]
async fn stopping_lets_an_answer_through_that_a_request_waits_for() {
    let node = Node::with(BindingOptions::default(), Limits::default()).await;
    let mut asked = Client::connect(node.port, "A::Cz", &["/oneM2M/req/id-in/Cz/#"]).await;
    let mut asking = Client::connect(node.port, "A::Cx", &["/oneM2M/resp/Cx/id-in/#"]).await;
    asking.publish(REQUEST, update("ask", "asks")).await;
    assert_eq!(asked.next().await.0, QUESTION);
    let stats = Arc::clone(&node.running.stats);
    let Node { running, broker: _broker, .. } = node;
    let stopping = tokio::spawn(running.stop());
    asked.publish(ANSWER, r#"{"rsc":2000,"rqi":"asks?"}"#).await;
    assert_eq!(answer(&asking.next().await.1), (2000, "asks".to_owned()));
    stopping.await.unwrap();
    assert_eq!(stats.responses_matched.get(), 1);
}

impl Peer {
    /// Gives the CSE a message, as a broker of version 3.1.1 does.
    async fn give(&mut self, packet_id: u8, topic: &str, payload: &str) {
        let length = 2 + topic.len() + 2 + payload.len();
        let mut packet = vec![0x32, (length & 0x7f | 0x80) as u8, (length >> 7) as u8, 0, topic.len() as u8];
        packet.extend_from_slice(topic.as_bytes());
        packet.extend([0, packet_id]);
        packet.extend_from_slice(payload.as_bytes());
        self.send(&packet).await;
    }

    /// The next answer on that topic, and which messages have been acknowledged before it.
    async fn answer_on(&mut self, expected: &str) -> ((i64, String), Vec<u8>) {
        let mut acknowledged = Vec::new();
        loop {
            let (first, body) = self.next().await.expect("still connected");
            match first >> 4 {
                3 => {
                    let end = 2 + usize::from(u16::from_be_bytes([body[0], body[1]]));
                    assert_eq!(std::str::from_utf8(&body[2..end]).unwrap(), expected);
                    let payload = std::str::from_utf8(&body[end + 2..]).unwrap();
                    return (answer(payload), acknowledged);
                }
                4 => acknowledged.push(body[1]),
                12 => self.send(&[0xd0, 0]).await,
                _ => panic!("unexpected packet {first:#x} {body:?}"),
            }
        }
    }
}

async fn connected(options: BindingOptions, broker_options: impl Fn(&mut ExternalOptions)) -> (Running, Peer) {
    let broker = Broker::listen().await;
    let mut external = broker.options();
    broker_options(&mut external);
    let mut running = Running::start(MqttBinding::external(&identity(), options, external));
    let mut peer = broker.accept().await;
    peer.welcome(&CONNACK).await;
    running.up().await;
    (running, peer)
}

#[tokio::test]
async fn over_one_connection_a_flood_hinders_neither_answers_nor_others() {
    let options = BindingOptions { waiting_per_originator_max: 2, ..BindingOptions::default() };
    let (running, mut peer) = connected(options, |_| {}).await;
    peer.give(1, REQUEST, &update("ask", "1")).await;
    assert_eq!(peer.message().await.0, QUESTION);
    for rqi in 2..=6 {
        peer.give(rqi, REQUEST, &update("a", &rqi.to_string())).await;
    }
    for rqi in ["4", "5", "6"] {
        assert_eq!(peer.answer_on(RESPONSE).await, ((5000, rqi.to_owned()), vec![]));
    }
    peer.give(7, "/oneM2M/req/Cy/id-in/json", &retrieve("Cy", "a", "7")).await;
    assert_eq!(peer.answer_on("/oneM2M/resp/Cy/id-in/json").await, ((2000, "7".to_owned()), vec![]));
    peer.give(8, ANSWER, r#"{"rsc":2000,"rqi":"1?"}"#).await;
    // Each is acknowledged after its answer, and after all that came before it.
    let mut acknowledged = VecDeque::new();
    for rqi in ["1", "2", "3"] {
        let (answered, before) = peer.answer_on(RESPONSE).await;
        assert_eq!(answered, (2000, rqi.to_owned()));
        acknowledged.extend(before);
        assert!(acknowledged.len() < rqi.parse().unwrap(), "{rqi} is not acknowledged yet: {acknowledged:?}");
    }
    while acknowledged.len() < 8 {
        acknowledged.push_back(peer.expect(4).await[1]);
    }
    assert_eq!(acknowledged, (1..=8).collect::<VecDeque<_>>());
    assert_eq!(running.cse.identifiers(), ["1", "7", "2", "3"]);
}

#[tokio::test]
async fn over_one_connection_answers_come_in_when_no_request_does() {
    // Places for one request that runs and one that waits, and then a queue.
    let options = BindingOptions { concurrent_requests_max: 1, waiting_requests_max: 1, ..BindingOptions::default() };
    let (running, mut peer) = connected(options, |_| {}).await;
    peer.give(1, REQUEST, &update("ask", "1")).await;
    assert_eq!(peer.message().await.0, QUESTION);
    for rqi in 2..=100 {
        peer.give(rqi, REQUEST, &update("a", &rqi.to_string())).await;
    }
    peer.give(101, ANSWER, r#"{"rsc":2000,"rqi":"1?"}"#).await;
    for rqi in 1..=100 {
        assert_eq!(peer.answer_on(RESPONSE).await.0, (2000, rqi.to_string()));
    }
    assert_eq!(running.stats.refused_as_too_many.get(), 0);
}

#[tokio::test]
async fn an_answer_comes_in_though_nothing_goes_out() {
    let (running, mut peer) = connected(BindingOptions::default(), |options| options.outbox_messages_max = 1).await;
    let question = notification(Destination::MqttEntity("Cz".into()), "/id-in/Cz", "1", DEADLINE);
    let sending = tokio::spawn(running.outbound.send(question));
    assert_eq!(peer.message().await.0, QUESTION);
    // The broker has not acknowledged it, so no request is taken; but for one that the CSE was waiting for already.
    for packet_id in 1..=10 {
        peer.give(packet_id, REQUEST, &retrieve("Cx", "a", "2")).await;
    }
    peer.give(11, ANSWER, r#"{"rsc":2000,"rqi":"1"}"#).await;
    let sent = sending.await.unwrap();
    assert!(matches!(&sent, Ok(Sent::Answered(answer)) if answer.is_success()), "{sent:?}");
    assert!(running.cse.identifiers().len() <= 1, "{:?}", running.cse.identifiers());
}
