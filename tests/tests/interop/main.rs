//! Programs that others would write, with clients that are not ours, against the embedded broker: the mosquitto tools,
//! Paho and MQTT.js, over every transport they have, in MQTT 3.1.1 and 5.
//!
//! Each program registers, stores, reads, is refused, is asked whether it wants notifications, is notified and answers,
//! goes away with a kept session, and comes back to what happened meanwhile.

use std::process::{Command, Output};

use cse_tests::certificates::Certificates;
use cse_tests::http::Http;
use cse_tests::server::{Launch, Server};
use cse_tests::{mqttjs, paho};
use serde_json::{Value, json};

mod mosquitto_tools;

/// A server with all four listeners, without further credentials.
pub(crate) fn server(certificates: &Certificates) -> Server {
    let listeners = ["--mqtt-tls", "--mqtt-websocket", "--mqtt-websocket-tls"];
    let launch = Launch::default().with(&listeners.map(|flag| [flag, "127.0.0.1:0"]).concat());
    launch.with_all(certificates.server_arguments()).start()
}

/// A library, and how to run the program that uses it.
type Program = fn() -> Command;

fn with_paho() -> Command {
    let mut command = Command::new(paho::python());
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/interop/client.py"));
    command
}

fn with_mqttjs() -> Command {
    let mut command = Command::new("node");
    command.env("NODE_PATH", mqttjs::modules());
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/interop/client.mjs"));
    command
}

/// What the program wrote, one value for each step.
fn run(program: Program, setup: &Value) -> Vec<Value> {
    let ran = program().arg(setup.to_string()).output();
    let Output { status, stdout, stderr } = ran.expect("the program runs");
    let (out, err) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{setup}: {status}\nsteps:\n{out}\nerrors:\n{err}");
    let lines = out.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}")));
    lines.collect()
}

/// Whether the steps were these, each with its topic and status, or with the question it was asked.
fn check_story(setup: &Value, steps: &[Value]) {
    let name = setup["name"].as_str().expect("a name");
    let listener = format!("{name}L");
    let asking = |originator: &str, rsc: u64| (format!("/oneM2M/resp/{originator}/id-in/json"), rsc);
    let asked = || (format!("/oneM2M/req/id-in/{listener}/json"), 0);
    let expected = [
        (format!("register {name}"), asking(name, 2001)),
        (format!("register {listener}"), asking(&listener, 2001)),
        ("container".into(), asking(name, 2001)),
        ("again".into(), asking(name, 4105)),
        ("instance".into(), asking(name, 2001)),
        ("read".into(), asking(name, 2000)),
        ("missing".into(), asking(name, 4004)),
        ("spoof".into(), asking(name, 4103)),
        ("broken".into(), asking(name, 4000)),
        ("asked, refused".into(), asked()),
        ("refused".into(), asking(name, 5204)),
        ("asked, granted".into(), asked()),
        ("granted".into(), asking(name, 2001)),
        ("trigger".into(), asking(name, 2001)),
        ("notified".into(), asked()),
    ];
    assert_eq!(steps[0], json!({"step": "connect", "session": false}), "{setup}");
    assert_eq!(steps[1], json!({"step": "subscribe", "granted": [1, 1, 1]}), "{setup}");
    for (step, (name, (topic, rsc))) in steps[2..].iter().zip(&expected) {
        assert_eq!(step["step"], name.as_str(), "{setup}: {step}");
        assert_eq!(step["topic"], topic.as_str(), "{setup}: {step}");
        if *rsc > 0 {
            assert_eq!(step["answer"]["rsc"], *rsc, "{setup}: {step}");
        }
    }
    assert_eq!(steps.len(), 2 + expected.len(), "{setup}: {steps:?}");

    let step = |name: &str| steps.iter().find(|step| step["step"] == name).expect("it was there");
    assert_eq!(step("read")["answer"]["pc"]["m2m:cin"]["con"], "21.5 °C", "{setup}");
    for question in ["asked, refused", "asked, granted"] {
        assert_eq!(step(question)["question"]["pc"]["m2m:sgn"]["vrq"], true, "{setup}: {}", step(question));
    }
    check_notification(setup, step("notified"), "22");
}

fn check_notification(setup: &Value, step: &Value, value: &str) {
    let notification = &step["question"];
    assert_eq!((&notification["op"], &notification["fr"]), (&json!(5), &json!("/id-in")), "{setup}: {step}");
    let representation = &notification["pc"]["m2m:sgn"]["nev"]["rep"];
    assert_eq!(representation["m2m:cin"]["con"], value, "{setup}: {step}");
}

/// The whole story over one transport in both versions.
async fn is_served(program: Program, transport: &str, scheme: &str) {
    let certificates = Certificates::with_clients(&[]);
    let server = server(&certificates);
    let port = if scheme == "mqtt" { server.mqtt_port() } else { server.broker_port(scheme) };
    let ca = ["mqtts", "wss"].contains(&scheme).then(|| certificates.text("ca.pem"));
    for (version, name) in [("3.1.1", "C311"), ("5", "C5")] {
        let mut setup = json!({
            "transport": transport, "port": port, "ca": ca, "version": version, "name": name, "phase": "story"
        });
        check_story(&setup, &run(program, &setup));
        let admin = Http::new(server.http(), "CAdmin");
        let instance = json!({"m2m:cin": {"con": "while away"}});
        admin.create(&format!("/cse-in/{name}/log"), 4, &instance).await.expect(2001);
        setup["phase"] = json!("return");
        let steps = run(program, &setup);
        assert_eq!(steps[0], json!({"step": "connect", "session": true}), "{setup}");
        check_notification(&setup, &steps[1], "while away");
    }
}

#[tokio::test]
async fn paho_over_tcp() {
    is_served(with_paho, "tcp", "mqtt").await;
}

#[tokio::test]
async fn paho_over_tls() {
    is_served(with_paho, "tcp", "mqtts").await;
}

#[tokio::test]
async fn paho_over_websocket() {
    is_served(with_paho, "websockets", "ws").await;
}

#[tokio::test]
async fn paho_over_websocket_and_tls() {
    is_served(with_paho, "websockets", "wss").await;
}

#[tokio::test]
async fn mqttjs_over_tcp() {
    is_served(with_mqttjs, "tcp", "mqtt").await;
}

#[tokio::test]
async fn mqttjs_over_tls() {
    is_served(with_mqttjs, "tcp", "mqtts").await;
}

#[tokio::test]
async fn mqttjs_over_websocket() {
    is_served(with_mqttjs, "websockets", "ws").await;
}

#[tokio::test]
async fn mqttjs_over_websocket_and_tls() {
    is_served(with_mqttjs, "websockets", "wss").await;
}
