//! The listeners of the embedded broker: TCP, TLS, WebSocket and WebSocket over TLS. What programs of others do with
//! them is in `interop/`.

use std::process::{Command, Output};

use cse_tests::certificates::Certificates;
use cse_tests::curl::run;
use cse_tests::mosquitto::Mosquitto;
use cse_tests::mqtt::Entity;
use cse_tests::process;
use cse_tests::server::{Launch, Server};
use cse_tests::wait::{in_time, until};
use rumqttc::mqttbytes::v4::Packet;
use rumqttc::{AsyncClient, Event, MqttOptions, QoS, Transport};
use serde_json::{Value, json};

/// All four listeners at once.
fn all_listeners(certificates: &Certificates) -> Launch {
    let launch = Launch::default().with(&[
        "--mqtt-tls",
        "127.0.0.1:0",
        "--mqtt-websocket",
        "127.0.0.1:0",
        "--mqtt-websocket-tls",
        "127.0.0.1:0",
    ]);
    launch.with_all(certificates.server_arguments())
}

/// Publishes with `mosquitto_pub` over TLS.
fn publish_over_tls(server: &Server, arguments: &[String]) -> Output {
    let mut command = Command::new("mosquitto_pub");
    command.args(["-h", "127.0.0.1", "-q", "1", "-t", "/oneM2M/req/Cx/id-in/json", "-m", "{}", "-p"]);
    command.arg(server.broker_port("mqtts").to_string()).args(arguments);
    command.output().expect("mosquitto_pub is installed")
}

fn as_client(certificates: &Certificates, stem: &str) -> Vec<String> {
    let (certificate, key) = (certificates.text(&format!("{stem}.pem")), certificates.text(&format!("{stem}.key")));
    vec!["--cafile".into(), certificates.text("ca.pem"), "--cert".into(), certificate, "--key".into(), key]
}

#[tokio::test]
async fn the_csebase_shows_both_schemes() {
    let certificates = Certificates::with_clients(&[]);
    let server = all_listeners(&certificates).start();
    let mut admin = Entity::connect(server.mqtt_port(), "CAdmin").await;
    let answer = admin.retrieve("cse-in").await.expect(2000);
    let shown = answer.resource()["poa"].as_array().expect("a list").clone();
    let (plain, tls) = (server.mqtt_port(), server.broker_port("mqtts"));
    assert!(shown.contains(&json!(format!("mqtt://127.0.0.1:{plain}"))), "{shown:?}");
    assert!(shown.contains(&json!(format!("mqtts://127.0.0.1:{tls}"))), "{shown:?}");
}

#[test]
fn client_certificates_are_asked_for_and_verified() {
    let certificates = Certificates::with_clients(&["Csensor"]);
    certificates.add(&["--client", "Cexpired", "--days", "0"]);
    let foreign = Certificates::with_clients(&["Csensor"]);
    // Anybody under any client identifier; identities are not what this is about.
    let launch = Launch::default().mqtt("off").with(&["--mqtt-tls", "127.0.0.1:0", "--mqtt-policy", "open"]);
    let launch = launch.with_all(certificates.server_arguments());
    for (mode, without) in [("required", false), ("optional", true)] {
        let server = launch.clone().with_all(certificates.client_arguments(mode)).start();
        let shown = publish_over_tls(&server, &as_client(&certificates, "Csensor"));
        assert!(shown.status.success(), "{mode}: {shown:?}\n{}", server.log().text());
        let nameless = publish_over_tls(&server, &["--cafile".into(), certificates.text("ca.pem")]);
        assert_eq!(nameless.status.success(), without, "{mode}: {nameless:?}");
        // One that cannot be verified is worse than none.
        for (whose, stem) in [(&certificates, "Cexpired"), (&foreign, "Csensor")] {
            let mut arguments = as_client(whose, stem);
            arguments[1] = certificates.text("ca.pem");
            let refused = publish_over_tls(&server, &arguments);
            assert!(!refused.status.success(), "{mode} {stem}: {refused:?}");
        }
        until("the log says why", || server.log().text().contains("a client cannot connect"));
    }
}

#[test]
fn the_certificate_is_read_again_on_sighup() {
    let certificates = Certificates::with_clients(&[]);
    let launch = Launch::default().mqtt("off").with(&["--mqtt-tls", "127.0.0.1:0"]);
    let server = launch.with_all(certificates.server_arguments()).start();
    let trusting = |certificates: &Certificates| vec!["--cafile".to_owned(), certificates.text("ca.pem")];
    assert!(publish_over_tls(&server, &trusting(&certificates)).status.success(), "{}", server.log().text());

    // What cannot be used changes nothing.
    std::fs::write(certificates.path("server.pem"), "nothing").expect("written");
    process::signal(server.process(), "HUP");
    until("the server says so", || server.log().text().contains("stays as it was"));
    assert!(publish_over_tls(&server, &trusting(&certificates)).status.success(), "{}", server.log().text());

    let new = Certificates::with_clients(&[]);
    for name in ["server.pem", "server.key"] {
        std::fs::write(certificates.path(name), new.read(name)).expect("written");
    }
    process::signal(server.process(), "HUP");
    until("the server says so", || server.log().text().contains("was read again"));
    assert!(publish_over_tls(&server, &trusting(&new)).status.success(), "{}", server.log().text());
    assert!(!publish_over_tls(&server, &trusting(&certificates)).status.success(), "the old authority is not believed");
}

#[test]
fn a_server_without_usable_certificate_does_not_start() {
    let certificates = Certificates::with_clients(&[]);
    let other = Certificates::with_clients(&[]);
    let launch = Launch::default().with(&["--mqtt-tls", "127.0.0.1:0"]);
    let (code, text) = launch.refused();
    assert!(code == Some(2) && text.contains("--mqtt-tls: needs mqtt.tls-certificate"), "{text}");
    let mismatched =
        ["--mqtt-tls-certificate", &certificates.text("server.pem"), "--mqtt-tls-key", &other.text("server.key")];
    let (code, text) = launch.clone().with(&mismatched).refused();
    assert!(code == Some(2) && text.contains("cannot be used together"), "{text}");
    let missing = ["--mqtt-tls-certificate", "no-such-file.pem", "--mqtt-tls-key", &certificates.text("server.key")];
    let (code, text) = launch.clone().with(&missing).refused();
    assert!(code == Some(2) && text.contains("cannot read no-such-file.pem"), "{text}");
    let asking = ["--mqtt-tls-client-certificates", "required"];
    let (code, text) = launch.with_all(certificates.server_arguments()).with(&asking).refused();
    assert!(code == Some(2) && text.contains("mqtt.tls-client-ca"), "{text}");
    assert!(!text.contains("PRIVATE"), "{text}");
}

#[tokio::test]
async fn rumqttc_connects_over_every_transport() {
    let certificates = Certificates::with_clients(&["Csensor"]);
    // Client certificates alone would make the policy strict, and this client is not registered.
    let launch = all_listeners(&certificates).with(&["--mqtt-policy", "open"]);
    let server = launch.with_all(certificates.client_arguments("optional")).start();
    let identity = || Some((certificates.read("Csensor.pem"), certificates.read("Csensor.key")));
    let ca = || certificates.read("ca.pem");
    let websocket = |scheme: &str| format!("{scheme}://localhost:{}/mqtt", server.broker_port(scheme));
    for (host, port, transport) in [
        ("localhost".to_owned(), server.broker_port("mqtts"), Transport::tls(ca(), None, None)),
        ("localhost".to_owned(), server.broker_port("mqtts"), Transport::tls(ca(), identity(), None)),
        (websocket("ws"), server.broker_port("ws"), Transport::ws()),
        (websocket("wss"), server.broker_port("wss"), Transport::wss(ca(), identity(), None)),
    ] {
        let mut options = MqttOptions::new("A::Csensor", host.clone(), port);
        options.set_transport(transport);
        let (client, mut events) = AsyncClient::new(options, 10);
        let topics = ("/oneM2M/req/Csensor/id-in/json", "/oneM2M/resp/Csensor/id-in/json");
        client.subscribe(topics.1, QoS::AtLeastOnce).await.expect("queued");
        let request = json!({"op": 2, "to": "cse-in", "fr": "Csensor", "rqi": "1", "rvi": "3"}).to_string();
        let answer = in_time("an answer", async {
            loop {
                match events.poll().await {
                    Ok(Event::Incoming(Packet::SubAck(_))) => {
                        client.publish(topics.0, QoS::AtLeastOnce, false, request.clone()).await.expect("queued");
                    }
                    Ok(Event::Incoming(Packet::Publish(publish))) => return publish.payload,
                    Ok(_) => {}
                    Err(error) => panic!("{host}: {error}"),
                }
            }
        })
        .await;
        let answer: Value = serde_json::from_slice(&answer).expect("JSON");
        assert_eq!(answer["rqi"], "1", "{answer}");
    }
}

#[test]
fn pages_of_others_cannot_connect() {
    let server = Launch::default().with(&["--mqtt-websocket", "127.0.0.1:0"]).start();
    let url = format!("http://127.0.0.1:{}/mqtt", server.broker_port("ws"));
    let upgrade = [
        "-sS",
        "-o",
        "/dev/null",
        "-w",
        "%{http_code}",
        "--max-time",
        "10",
        "-H",
        "Connection: Upgrade",
        "-H",
        "Upgrade: websocket",
        "-H",
        "Sec-WebSocket-Version: 13",
        "-H",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "-H",
        "Sec-WebSocket-Protocol: mqtt",
    ];
    let evil = [&upgrade[..], &["-H", "Origin: https://evil.example", &url]].concat();
    assert_eq!(run("curl", &evil), "403");
    assert_eq!(run("curl", &["-sS", "-o", "/dev/null", "-w", "%{http_code}", &url]), "400");
}

/// A notification whose target has a broker of its own, with TLS.
#[tokio::test]
async fn notifications_reach_other_brokers_over_tls() {
    let certificates = Certificates::with_clients(&[]);
    let listener =
        format!("certfile {}\nkeyfile {}\n", certificates.text("server.pem"), certificates.text("server.key"));
    let mut broker = Mosquitto::reserve().with_listener(&listener);
    broker.run();
    let file = format!("[mqtt]\ntrusted-certificates = '{}'\n", certificates.text("ca.pem"));
    let server = Launch::default().with_file(&file).start();
    let mut sensor = Entity::registered(server.mqtt_port(), "Csensor", "sensor", Value::Null).await;
    let mut target = Entity::connect_with(broker.port(), "Cx", &["free/topic".to_owned()]).await;
    let url = format!("mqtts://localhost:{}/free/topic", broker.second_port());
    let subscription = json!({"m2m:sub": {"rn": "s", "nu": [url], "enc": {"net": [3]}}});
    sensor.create("cse-in/sensor", 23, subscription).await.expect(2001);
    assert_eq!(target.next_other().await.primitive["pc"]["m2m:sgn"]["vrq"], true);
    sensor.create("cse-in/sensor", 3, json!({"m2m:cnt": {"rn": "log"}})).await.expect(2001);
    let notified = target.next_other().await.primitive;
    assert_eq!(notified["pc"]["m2m:sgn"]["nev"]["rep"]["m2m:cnt"]["rn"], "log", "{notified}");
}
