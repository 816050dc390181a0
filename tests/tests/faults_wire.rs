//! One packet is lost, and then the server, the broker or the connection: each request still has one effect, and its
//! sender gets one answer (the same one twice is what QoS 1 allows).
//!
//! Real processes; a proxy loses the packet and everything behind it, until the test has done its damage.

use cse_tests::device::Device;
use cse_tests::http::Http;
use cse_tests::mosquitto::Mosquitto;
use cse_tests::proxy::{Fate, Passing, Proxy, Way};
use cse_tests::server::{Launch, Server};
use cse_tests::wait::until_some;
use serde_json::{Value, json};

/// So that nothing in these tests waits for half a minute.
const SOON: &str = "[mqtt]\nreconnect-max = \"500ms\"\n";
const ANSWERS: &str = "/oneM2M/resp/Cdevice/";
const REQUESTS: &str = "/oneM2M/req/Cdevice/";

/// The packet that is lost, as seen from the CSE.
#[derive(Clone, Copy, Debug)]
enum Lost {
    /// The request on its way to it.
    Request,
    /// Its answer.
    Answer,
    /// Its acknowledgement of the request.
    Acknowledgement,
    /// The acknowledgement of its answer.
    AnswerAcknowledgement,
}

const ALL: [Lost; 4] = [Lost::Request, Lost::Answer, Lost::Acknowledgement, Lost::AnswerAcknowledgement];

impl Lost {
    /// Loses that packet of the request, on a proxy where packets from the CSE go `from_cse`.
    fn rule(self, from_cse: Way, identifier: &str) -> impl FnMut(&Passing) -> Fate + Send + 'static {
        let identifier = identifier.to_owned();
        let (mut is_sent, mut is_answered) = (false, false);
        move |packet| {
            let (out, own) = (packet.way == from_cse, packet.contains(&identifier));
            let answer = out && own && packet.is_publish(ANSWERS);
            let request = !out && own && packet.is_publish(REQUESTS);
            // The embedded broker acknowledges before the answer if that is safe in its memory of sessions.
            let may_be_acknowledged = is_answered || (is_sent && from_cse == Way::Down);
            let is_lost = match self {
                Self::Request => request,
                Self::Answer => answer,
                Self::Acknowledgement => may_be_acknowledged && out && packet.is_puback(),
                Self::AnswerAcknowledgement => is_answered && !out && packet.is_puback(),
            };
            is_answered |= answer;
            is_sent |= request;
            if is_lost { Fate::Freeze } else { Fate::Pass }
        }
    }
}

async fn prepare(device: &mut Device) {
    let ae = json!({"m2m:ae": {"rn": "device", "api": "N.test", "rr": true, "srv": ["3"]}});
    let container = json!({"m2m:cnt": {"rn": "log"}});
    for (to, ty, content) in [("cse-in", 2, ae), ("cse-in/device", 3, container)] {
        let identifier = device.send(json!({"op": 1, "to": to, "ty": ty, "pc": content})).await;
        assert_eq!(device.answer_to(&identifier).await["rsc"], 2001);
    }
    device.all_acknowledged().await;
}

/// The contents of the container, after everything that was to come has come.
async fn contents(device: &mut Device) -> Vec<Value> {
    device.all_acknowledged().await;
    let list = device.send(json!({"op": 2, "to": "cse-in/device/log", "rcn": 8})).await;
    let list = device.answer_to(&list).await;
    let instances = list["pc"]["m2m:cnt"]["m2m:cin"].as_array().cloned().unwrap_or_default();
    instances.into_iter().map(|instance| instance["con"].clone()).collect()
}

/// Waits until the server is subscribed.
async fn is_up(server: &Server) {
    let http = Http::new(server.http(), "CAdmin");
    let report = async || http.get("/readyz").await.json();
    until_some("the server is subscribed", async || (report().await["parts"]["mqtt"]["state"] == "up").then_some(()))
        .await;
}

fn one_answer(device: &Device, identifier: &str, lost: Lost) {
    let answers = device.distinct_answers(identifier);
    assert!(answers.len() == 1 && answers[0]["rsc"] == 2001, "{lost:?}: {answers:?}");
}

/// A server behind a proxy to mosquitto, and a device that talks to mosquitto.
struct External {
    broker: Mosquitto,
    proxy: Proxy,
    server: Option<Server>,
    device: Device,
    sent: Vec<Value>,
}

impl External {
    async fn start(version: u8) -> Self {
        let broker = Mosquitto::start();
        let proxy = Proxy::start(broker.port()).await;
        let file = format!("{SOON}version = {version}\n");
        let server = Launch::default().with_file(&file).external_broker(proxy.port()).start();
        is_up(&server).await;
        let mut device = Device::connect(broker.port(), "Cdevice").await;
        prepare(&mut device).await;
        Self { broker, proxy, server: Some(server), device, sent: Vec::new() }
    }

    /// Sends a request of which that packet is lost.
    async fn lose(&mut self, lost: Lost, count: usize) -> String {
        let content = format!("{lost:?}");
        self.proxy.rule(lost.rule(Way::Up, &content));
        // The request identifier is in all packets, so that the proxy finds them.
        let create = json!({
            "op": 1, "to": "cse-in/device/log", "ty": 4, "rqi": content, "pc": {"m2m:cin": {"con": content}}
        });
        let identifier = self.device.send(create).await;
        self.sent.push(json!(content));
        self.proxy.lost(count).await;
        identifier
    }

    async fn check(&mut self, lost: Lost, identifier: &str) {
        self.device.answer_to(identifier).await;
        assert_eq!(contents(&mut self.device).await, self.sent, "{lost:?}");
        one_answer(&self.device, identifier, lost);
    }

    fn kill_server(&mut self) {
        let server = self.server.take().expect("running");
        let launch = server.launch().clone();
        server.kill();
        self.proxy.reset();
        self.server = Some(launch.start());
    }
}

async fn the_server_is_killed(version: u8) {
    let mut world = External::start(version).await;
    for (lost, count) in ALL.into_iter().zip(1..) {
        let identifier = world.lose(lost, count).await;
        world.kill_server();
        world.check(lost, &identifier).await;
    }
}

async fn the_connection_is_lost(version: u8) {
    let mut world = External::start(version).await;
    for (lost, count) in ALL.into_iter().zip(1..) {
        let identifier = world.lose(lost, count).await;
        world.proxy.reset();
        world.check(lost, &identifier).await;
    }
}

async fn the_broker_restarts(version: u8) {
    let mut world = External::start(version).await;
    for (lost, count) in ALL.into_iter().zip(1..) {
        let identifier = world.lose(lost, count).await;
        // It keeps its sessions: that is what a broker's persistence is for.
        world.broker.stop();
        world.proxy.reset();
        world.broker.run();
        world.check(lost, &identifier).await;
    }
}

#[tokio::test]
async fn a_lost_packet_and_a_killed_server() {
    the_server_is_killed(3).await;
}

#[tokio::test]
async fn a_lost_packet_and_a_killed_server_in_version_5() {
    the_server_is_killed(5).await;
}

#[tokio::test]
async fn a_lost_packet_and_a_lost_connection() {
    the_connection_is_lost(3).await;
}

#[tokio::test]
async fn a_lost_packet_and_a_lost_connection_in_version_5() {
    the_connection_is_lost(5).await;
}

#[tokio::test]
async fn a_lost_packet_and_a_broker_that_restarts() {
    the_broker_restarts(3).await;
}

#[tokio::test]
async fn a_lost_packet_and_a_broker_that_restarts_in_version_5() {
    the_broker_restarts(5).await;
}

/// A broker that forgets its sessions: the device sends again what it has seen no acknowledgement of, the CSE
/// recognizes what it has carried out already, and is subscribed again without anybody's help.
#[tokio::test]
async fn a_broker_that_forgets_doubles_nothing() {
    let mut world = External::start(3).await;
    for (lost, count) in ALL.into_iter().zip(1..) {
        world.lose(lost, count).await;
        let before = world.proxy.connections();
        world.broker.kill();
        world.proxy.reset();
        world.broker.run();
        world.device.lead_to(world.broker.port());
        // Only then has it noticed that it was not up any more.
        until_some("the server connects again", async || (world.proxy.connections() > before).then_some(())).await;
        is_up(world.server.as_ref().expect("running")).await;
        let kept = contents(&mut world.device).await;
        assert_eq!(kept, world.sent, "{lost:?}");
    }
}

/// With the embedded broker the proxy is between the device and the server.
#[tokio::test]
async fn a_lost_packet_and_a_killed_server_with_the_embedded_broker() {
    let launch = Launch::default();
    let mut server = launch.start();
    let proxy = Proxy::start(server.mqtt_port()).await;
    let mut device = Device::connect(proxy.port(), "Cdevice").await;
    prepare(&mut device).await;
    let mut sent = Vec::new();
    for (lost, count) in ALL.into_iter().zip(1..) {
        let content = format!("{lost:?}");
        proxy.rule(lost.rule(Way::Down, &content));
        let create = json!({
            "op": 1, "to": "cse-in/device/log", "ty": 4, "rqi": content, "pc": {"m2m:cin": {"con": content}}
        });
        let identifier = device.send(create).await;
        sent.push(json!(content));
        if matches!(lost, Lost::AnswerAcknowledgement) {
            // It is the device that acknowledges an answer, and for that it has to take it.
            device.answer_to(&identifier).await;
        }
        proxy.lost(count).await;
        server.kill();
        server = launch.start();
        proxy.lead_to(server.mqtt_port());
        proxy.reset();
        device.answer_to(&identifier).await;
        assert_eq!(contents(&mut device).await, sent, "{lost:?}");
        one_answer(&device, &identifier, lost);
    }
}
