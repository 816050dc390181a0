//! Sessions of the embedded broker over restarts and kills of the server: tools and libraries that are not ours
//! subscribe, go away, and find what they were promised.

use std::process::{Command, Stdio};

use cse_tests::http::Http;
use cse_tests::metrics::sample;
use cse_tests::mosquitto::Mosquitto;
use cse_tests::packets::Packets;
use cse_tests::port::ReservedPort;
use cse_tests::server::{Launch, Server};
use cse_tests::wait::{in_time, until, until_some};
use rumqttc::mqttbytes::v4::{Packet, Publish};
use serde_json::{Value, json};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};

fn again(server: Server, kill: bool) -> Server {
    if !kill {
        return server.restart();
    }
    let launch = server.launch().clone();
    server.kill();
    launch.start()
}

async fn puback(packets: &mut Packets, packet_id: u16) {
    loop {
        match in_time("PUBACK", packets.next()).await.expect("connected") {
            Packet::PubAck(acknowledgement) => break assert_eq!(acknowledgement.pkid, packet_id),
            _ => continue,
        }
    }
}

async fn message(packets: &mut Packets) -> Publish {
    loop {
        if let Packet::Publish(publish) = in_time("a message", packets.next()).await.expect("connected") {
            break publish;
        }
    }
}

#[tokio::test]
async fn messages_wait_for_their_subscriber_over_restart_and_kill() {
    for kill in [false, true] {
        let server = Launch::default().start();
        let topic = ["t/1".to_owned()];
        drop(Packets::connect(server.mqtt_port(), "subscriber", &topic).await.expect("connected"));
        let server = again(server, kill);
        let mut publisher = Packets::connect(server.mqtt_port(), "publisher", &[]).await.expect("connected");
        for number in 1..=200_u16 {
            publisher.publish("t/1", number, false, number.to_string().as_bytes()).await.expect("sent");
            puback(&mut publisher, number).await;
        }
        let server = again(server, kill);
        // Not subscribed again: the session knows.
        let mut subscriber = Packets::connect(server.mqtt_port(), "subscriber", &[]).await.expect("connected");
        for number in 1..=200_u16 {
            let publish = message(&mut subscriber).await;
            assert_eq!((publish.payload, publish.dup), (number.to_string().into(), false), "kill: {kill}");
        }
        drop(subscriber);
        let server = again(server, false);
        let mut subscriber = Packets::connect(server.mqtt_port(), "subscriber", &[]).await.expect("connected");
        subscriber.publish("t/1", 1, false, b"new").await.expect("sent");
        assert_eq!(message(&mut subscriber).await.payload, "new", "nothing comes twice");
        assert!(server.stop().success());
    }
}

#[tokio::test]
async fn mosquitto_sub_gets_what_came_while_both_were_away() {
    for version in ["311", "5"] {
        let server = Launch::default().start();
        let subscribe = |server: &Server, arguments: &[&str]| {
            let mut command = Command::new("mosquitto_sub");
            command.args(["-h", "127.0.0.1", "-p", &server.mqtt_port().to_string(), "-V", version]);
            command.args(["-i", "tool", "-c", "-q", "1", "-t", "a/#"]).args(arguments);
            if version == "5" {
                command.args(["-x", "3600"]);
            }
            let output = command.stderr(Stdio::inherit()).output().expect("mosquitto_sub is installed");
            assert!(output.status.success(), "{}", output.status);
            String::from_utf8(output.stdout).expect("text")
        };
        subscribe(&server, &["-E"]);
        let launch = server.launch().clone();
        server.kill();
        let server = launch.start();
        for number in 1..=20 {
            let mut command = Command::new("mosquitto_pub");
            command.args(["-h", "127.0.0.1", "-p", &server.mqtt_port().to_string(), "-V", version]);
            let published = command.args(["-q", "1", "-t", "a/b", "-m", &number.to_string()]).status();
            assert!(published.expect("mosquitto_pub is installed").success());
        }
        server.kill();
        let server = launch.start();
        let received = subscribe(&server, &["-C", "20", "-W", "60"]);
        let expected: String = (1..=20).map(|number| format!("{number}\n")).collect();
        assert_eq!(received, expected, "version {version}");
    }
}

#[tokio::test]
async fn answers_wait_for_their_client() {
    let server = Launch::default().start();
    let filters = ["/oneM2M/resp/CAdmin/id-in/#".to_owned()];
    drop(Packets::connect(server.mqtt_port(), "A::CAdmin", &filters).await.expect("connected"));
    // Another connection asks in its name, so that the answer has to wait.
    let mut asker = Packets::connect(server.mqtt_port(), "asker", &[]).await.expect("connected");
    for number in 1..=20_u16 {
        let request = json!({
            "op": 1, "fr": "CAdmin", "to": "cse-in", "ty": 3, "rqi": number.to_string(), "rvi": "3",
            "pc": {"m2m:cnt": {"rn": format!("c{number}")}}
        });
        let payload = request.to_string();
        asker.publish("/oneM2M/req/CAdmin/id-in/json", number, false, payload.as_bytes()).await.expect("sent");
        puback(&mut asker, number).await;
    }
    let server = again(server, true);
    let mut client = Packets::connect(server.mqtt_port(), "A::CAdmin", &[]).await.expect("connected");
    for number in 1..=20 {
        let answer: Value = serde_json::from_slice(&message(&mut client).await.payload).expect("JSON");
        assert_eq!((&answer["rqi"], &answer["rsc"]), (&json!(number.to_string()), &json!(2001)));
    }
}

#[tokio::test]
async fn notifications_wait_for_their_subscriber() {
    // It is in the subscription, so it has to be the same after the restart.
    let port = ReservedPort::take();
    let server = Launch::default().mqtt(&format!("127.0.0.1:{}", port.number())).start();
    let http = Http::new(server.http(), "CAdmin");
    http.create("/cse-in", 3, &json!({"m2m:cnt": {"rn": "log"}})).await.expect(2001);
    let filters = ["notify/here".to_owned()];
    drop(Packets::connect(server.mqtt_port(), "dashboard", &filters).await.expect("connected"));
    let url = format!("mqtt://127.0.0.1:{}/notify/here", server.mqtt_port());
    let subscription = json!({"m2m:sub": {"rn": "s", "nu": [url], "enc": {"net": [3]}, "nct": 1}});
    http.create("/cse-in/log", 23, &subscription).await.expect(2001);
    for number in 1..=20 {
        http.create("/cse-in/log", 4, &json!({"m2m:cin": {"con": number.to_string()}})).await.expect(2001);
    }
    // The broker has them all, and with them the duty to keep them.
    until_some("all are stored", async || {
        (sample(&server, "cse_broker_messages_stored_total").await >= 20.0).then_some(())
    })
    .await;
    let server = again(server, true);
    let mut dashboard = Packets::connect(server.mqtt_port(), "dashboard", &[]).await.expect("connected");
    let mut contents = Vec::new();
    while contents.len() < 20 {
        let primitive: Value = serde_json::from_slice(&message(&mut dashboard).await.payload).expect("JSON");
        if let Some(content) = primitive["pc"]["m2m:sgn"]["nev"]["rep"]["m2m:cin"]["con"].as_str() {
            let number: usize = content.parse().expect("a number");
            if !contents.contains(&number) {
                contents.push(number);
            }
        }
    }
    assert_eq!(contents, (1..=20).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_a_session_was_to_forget_stays_forgotten() {
    let server = Launch::default().start();
    let topic = ["t".to_owned()];
    drop(Packets::connect(server.mqtt_port(), "leaver", &topic).await.expect("connected"));
    // Clause 7.3: a clean session ends the kept one.
    let port = server.mqtt_port().to_string();
    let arguments = ["-h", "127.0.0.1", "-p", &port, "-i", "leaver", "-q", "1", "-t", "else", "-E"];
    assert!(Command::new("mosquitto_sub").args(arguments).status().expect("installed").success());
    let server = server.restart();
    let mut publisher = Packets::connect(server.mqtt_port(), "publisher", &[]).await.expect("connected");
    publisher.publish("t", 1, false, b"to nobody").await.expect("sent");
    puback(&mut publisher, 1).await;
    assert_eq!(sample(&server, "cse_broker_publishes_unmatched_total").await, 1.0);
}

#[tokio::test]
async fn without_persistence_nothing_is_written_and_nothing_kept() {
    let server = Launch::default().with_file("[mqtt]\npersistence = false\n").start();
    assert!(!server.launch().data_dir().join("mqtt.db").exists());
    let topic = ["t".to_owned()];
    drop(Packets::connect(server.mqtt_port(), "subscriber", &topic).await.expect("connected"));
    let server = server.restart();
    let mut publisher = Packets::connect(server.mqtt_port(), "publisher", &[]).await.expect("connected");
    publisher.publish("t", 1, false, b"to nobody").await.expect("sent");
    puback(&mut publisher, 1).await;
    assert_eq!(sample(&server, "cse_broker_publishes_unmatched_total").await, 1.0);
    assert!(!server.launch().data_dir().join("mqtt.db").exists());
}

#[tokio::test]
async fn an_external_broker_keeps_its_sessions_itself() {
    let broker = Mosquitto::start();
    let server = Launch::default().external_broker(broker.port()).start();
    assert!(!server.launch().data_dir().join("mqtt.db").exists());
}

#[test]
fn a_file_that_cannot_be_used_is_refused_and_left_alone() {
    for (content, says) in [
        (
            &b"certainly not a database, but long enough to be taken for one: no header of it is to be found in here"[..],
            "damaged",
        ),
        (b"short", "damaged"),
    ] {
        let launch = Launch::default();
        assert!(launch.start().stop().success());
        let path = launch.data_dir().join("mqtt.db");
        std::fs::write(&path, content).expect("written");
        let (code, error) = launch.refused();
        assert_eq!(code, Some(1), "{error}");
        assert!(error.contains("mqtt.db") && error.contains(says), "{error}");
        assert_eq!(std::fs::read(&path).expect("there"), content);
    }
    let launch = Launch::default();
    assert!(launch.start().stop().success());
    std::fs::copy(launch.data_dir().join("cse.db"), launch.data_dir().join("mqtt.db")).expect("copied");
    let (code, error) = launch.refused();
    assert_eq!(code, Some(1), "{error}");
    assert!(error.contains("another program"), "{error}");
}

#[tokio::test]
async fn while_the_file_cannot_be_written_nothing_is_acknowledged() {
    let server = Launch::default().start();
    let topic = ["t".to_owned()];
    drop(Packets::connect(server.mqtt_port(), "subscriber", &topic).await.expect("connected"));
    let path = server.launch().data_dir().join("mqtt.db");
    let mut intruder = SqliteConnectOptions::new().filename(&path).connect().await.expect("connected");
    sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut intruder).await.expect("locked");

    let mut publisher = Packets::connect(server.mqtt_port(), "publisher", &[]).await.expect("connected");
    publisher.publish("t", 1, false, b"x").await.expect("sent");
    let http = Http::new(server.http(), "");
    let report = until_some("readiness says so", async || {
        let report = http.get("/readyz").await;
        (report.json()["parts"]["mqtt"]["state"] == "down").then_some(report)
    })
    .await;
    assert_eq!(report.status, 200, "HTTP is served");
    let problem = report.json()["parts"]["mqtt"]["problem"].as_str().expect("a problem").to_owned();
    assert!(problem.starts_with("sessions cannot be stored: "), "{problem}");
    assert!(sample(&server, "cse_broker_session_commit_failures_total").await >= 1.0);
    until("the log says so", || server.log().text().contains("cannot be stored"));
    // An answer to something else comes, the acknowledgement does not.
    let mut other = Packets::connect(server.mqtt_port(), "other", &[]).await.expect("connected");
    other.publish("elsewhere", 7, false, b"x").await.expect("sent");
    puback(&mut other, 7).await;
    let none = tokio::time::timeout(std::time::Duration::from_millis(300), publisher.next()).await;
    assert!(none.is_err(), "{none:?}");

    sqlx::raw_sql("ROLLBACK").execute(&mut intruder).await.expect("free again");
    intruder.close().await.expect("closed");
    puback(&mut publisher, 1).await;
    until_some("readiness says so", async || {
        (http.get("/readyz").await.json()["parts"]["mqtt"]["state"] == "up").then_some(())
    })
    .await;
    until("the log says so", || server.log().text().contains("stored again"));
    let server = again(server, true);
    let mut subscriber = Packets::connect(server.mqtt_port(), "subscriber", &[]).await.expect("connected");
    assert_eq!(message(&mut subscriber).await.payload, "x");
}
