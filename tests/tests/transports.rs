//! The listeners of the embedded broker: TCP, TLS, WebSocket and WebSocket over TLS, with clients that are not ours.

use std::process::{Command, Output};

use cse_tests::certificates::Certificates;
use cse_tests::mqtt::Entity;
use cse_tests::process;
use cse_tests::server::{Launch, Server};
use cse_tests::wait::until;
use serde_json::json;

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
    let launch = Launch::default().mqtt("off").with(&["--mqtt-tls", "127.0.0.1:0"]);
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
