//! A crash right before and right after the commit, over both kinds of broker: each request has one effect, and its
//! sender gets one answer.
//!
//! The CSE runs in this process with its real database; its store stops where the test wants it, and then its runtime is
//! dropped. What is left is what a crash leaves: the file, and a broken connection.

mod node;
mod store;

use cse_tests::device::Device;
use cse_tests::mosquitto::Mosquitto;
use cse_tests::port::ReservedPort;
use cse_tests::wait::in_time;
use serde_json::json;

use node::{Node, Via};
use store::Step;

/// Requests under way when it happens.
const BURST: usize = 5;

async fn prepare(device: &mut Device) {
    let ae = json!({"m2m:ae": {"rn": "device", "api": "N.test", "rr": true, "srv": ["3"]}});
    let container = json!({"m2m:cnt": {"rn": "log"}});
    for (to, ty, content) in [("cse-in", 2, ae), ("cse-in/device", 3, container)] {
        let identifier = device.send(json!({"op": 1, "to": to, "ty": ty, "pc": content})).await;
        let answer = device.answer_to(&identifier).await;
        assert_eq!(answer["rsc"], 2001, "{answer}");
    }
    device.all_acknowledged().await;
}

async fn one_effect_and_one_answer(via: Via, step: Step) {
    let directory = tempfile::tempdir().expect("a directory");
    let node = Node::start(directory.path(), via).await;
    let (Via::External(port) | Via::Embedded(port)) = via;
    let mut device = Device::connect(port, "Cdevice").await;
    prepare(&mut device).await;

    node.stops.stop_at(step);
    let mut identifiers = Vec::new();
    for number in 0..BURST {
        identifiers.push(device.create_instance("cse-in/device/log", &number.to_string()).await);
    }
    in_time("a commit stops", node.stops.reached()).await;
    node.kill().await;
    let node = Node::start(directory.path(), via).await;

    for (number, identifier) in identifiers.iter().enumerate() {
        let answer = device.answer_to(identifier).await;
        assert_eq!(answer["rsc"], 2001, "{answer}");
        assert_eq!(answer["pc"]["m2m:cin"]["con"], number.to_string(), "{answer}");
    }
    device.all_acknowledged().await;
    // Whatever else comes, comes before the answer to this.
    let list = device.send(json!({"op": 2, "to": "cse-in/device/log", "rcn": 8})).await;
    let list = device.answer_to(&list).await;
    let instances = list["pc"]["m2m:cnt"]["m2m:cin"].as_array().expect("instances");
    let mut answered = Vec::new();
    for identifier in &identifiers {
        let answers = device.distinct_answers(identifier);
        assert_eq!(answers.len(), 1, "{answers:?}");
        answered.push(answers[0]["pc"]["m2m:cin"]["ri"].clone());
    }
    let kept: Vec<_> = instances.iter().map(|instance| instance["ri"].clone()).collect();
    assert_eq!(kept, answered, "each once, in their order, and as answered");
    node.kill().await;
}

#[tokio::test]
async fn before_the_commit_with_an_external_broker() {
    let broker = Mosquitto::start();
    one_effect_and_one_answer(Via::External(broker.port()), Step::BeforeCommit).await;
}

#[tokio::test]
async fn after_the_commit_with_an_external_broker() {
    let broker = Mosquitto::start();
    one_effect_and_one_answer(Via::External(broker.port()), Step::AfterCommit).await;
}

#[tokio::test]
async fn before_the_commit_with_the_embedded_broker() {
    let port = ReservedPort::take();
    one_effect_and_one_answer(Via::Embedded(port.number()), Step::BeforeCommit).await;
}

#[tokio::test]
async fn after_the_commit_with_the_embedded_broker() {
    let port = ReservedPort::take();
    one_effect_and_one_answer(Via::Embedded(port.number()), Step::AfterCommit).await;
}
