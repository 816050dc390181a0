//! An external broker over TLS, mutual TLS, WebSocket and WebSocket over TLS, and what happens while a certificate is
//! wrong.

use cse_tests::certificates::Certificates;
use cse_tests::mosquitto::Mosquitto;
use cse_tests::scenarios::{self, World};
use cse_tests::server::Launch;
use cse_tests::wait::until;

/// What mosquitto is told about its certificate.
fn tls_listener(certificates: &Certificates) -> String {
    format!("certfile {}\nkeyfile {}\n", certificates.text("server.pem"), certificates.text("server.key"))
}

/// The same, with client certificates required.
fn mutual_listener(certificates: &Certificates) -> String {
    let ca = certificates.text("ca.pem");
    format!("{}cafile {ca}\nrequire_certificate true\n", tls_listener(certificates))
}

fn trusting(certificates: &Certificates) -> String {
    format!("reconnect-max = \"500ms\"\ntrusted-certificates = '{}'\n", certificates.text("ca.pem"))
}

fn known_as(certificates: &Certificates, stem: &str) -> String {
    let (certificate, key) = (certificates.text(&format!("{stem}.pem")), certificates.text(&format!("{stem}.key")));
    format!("{}client-certificate = '{certificate}'\nclient-key = '{key}'\n", trusting(certificates))
}

mod over_tls {
    use super::*;

    async fn world() -> World {
        // The files are read when they are needed, so that those who use them may be gone afterwards.
        let certificates = Certificates::with_clients(&["in-cse"]);
        World::external_over("mqtts", &mutual_listener(&certificates), &known_as(&certificates, "in-cse")).await
    }

    cse_tests::mqtt_scenarios!(world().await);
}

#[tokio::test]
async fn over_tls_without_client_certificate() {
    let certificates = Certificates::with_clients(&[]);
    let world = World::external_over("mqtts", &tls_listener(&certificates), &trusting(&certificates)).await;
    let url = format!("mqtts://localhost:{}", world.broker.as_ref().expect("there").second_port());
    let shown = world.http("CAdmin").get("/cse-in").await.expect(2000);
    assert!(shown.body.contains(&url), "{}", shown.body);
    scenarios::resources_are_created_read_changed_and_deleted(world).await;
}

#[tokio::test]
async fn over_websocket() {
    let mqtt = "reconnect-max = \"500ms\"\n";
    let world = World::external_over("ws", "protocol websockets\n", mqtt).await;
    scenarios::resources_are_created_read_changed_and_deleted(world).await;
    let world = World::external_over("ws", "protocol websockets\n", mqtt).await;
    scenarios::a_subscriber_is_notified_under_its_identifier(world).await;
}

#[tokio::test]
async fn over_websocket_and_tls() {
    let certificates = Certificates::with_clients(&[]);
    let listener = format!("protocol websockets\n{}", tls_listener(&certificates));
    let world = World::external_over("wss", &listener, &trusting(&certificates)).await;
    scenarios::resources_are_created_read_changed_and_deleted(world).await;
}

/// A server whose broker cannot be trusted, or does not trust it, says why; `repair` puts it right.
async fn says_why_and_recovers(listener: &str, host: &str, mqtt: &str, why: &str, repair: impl FnOnce(&mut Mosquitto)) {
    let mut broker = Mosquitto::reserve().with_listener(listener);
    broker.run();
    let url = format!("mqtts://{host}:{}", broker.second_port());
    let server = Launch::default().with_file(&format!("[mqtt]\n{mqtt}")).external_url(&url).start();
    until(&format!("the log says '{why}'"), || server.log().text().contains(why));
    let mut world = World { server, broker: Some(broker) };
    let report = world.http("CAdmin").get("/readyz").await;
    assert_eq!(report.json()["parts"]["mqtt"]["state"], "down", "{}", report.body);
    repair(world.broker.as_mut().expect("there"));
    world.until_mqtt_is("up").await;
}

#[tokio::test]
async fn an_authority_that_is_not_trusted() {
    let (certificates, foreign) = (Certificates::with_clients(&[]), Certificates::with_clients(&[]));
    let ca = certificates.read("ca.pem");
    // The server is given the wrong authority, and the right one later.
    certificates.write("ca.pem", &foreign.read("ca.pem"));
    let why = "nobody we trust has issued the broker's certificate";
    says_why_and_recovers(&tls_listener(&certificates), "localhost", &trusting(&certificates), why, |_| {
        certificates.write("ca.pem", &ca);
    })
    .await;
}

#[tokio::test]
async fn the_system_does_not_trust_everybody() {
    let certificates = Certificates::with_clients(&[]);
    let broker = {
        let mut broker = Mosquitto::reserve().with_listener(&tls_listener(&certificates));
        broker.run();
        broker
    };
    let url = format!("mqtts://localhost:{}", broker.second_port());
    let server = Launch::default().external_url(&url).start();
    // Or has no authorities at all, as small containers have none.
    until("the log says so", || {
        let log = server.log().text();
        log.contains("nobody we trust") || log.contains("the system's certificates")
    });
}

#[tokio::test]
async fn a_certificate_for_another_host() {
    let certificates = Certificates::with_clients(&[]);
    let right = ["server.pem", "server.key"].map(|name| (name, certificates.read(name)));
    certificates.serve_only("elsewhere.example");
    let why = "the broker's certificate is for another host name";
    says_why_and_recovers(&tls_listener(&certificates), "localhost", &trusting(&certificates), why, |broker| {
        for (name, content) in &right {
            certificates.write(name, content);
        }
        broker.stop();
        broker.run();
    })
    .await;
}

#[tokio::test]
async fn host_names_count_unless_the_operator_says_otherwise() {
    let certificates = Certificates::with_clients(&[]);
    certificates.serve_only("elsewhere.example");
    let mqtt = format!("{}tls-insecure-no-host-verification = true\n", trusting(&certificates));
    let world = World::external_over("mqtts", &tls_listener(&certificates), &mqtt).await;
    until("the log warns", || {
        let log = world.server.log().text();
        log.contains("WARN") && log.contains("tls-insecure-no-host-verification is on")
    });

    // A name is all that it lets pass.
    let (ca, foreign) = (certificates.read("ca.pem"), Certificates::with_clients(&[]));
    certificates.write("ca.pem", &foreign.read("ca.pem"));
    let why = "nobody we trust has issued the broker's certificate";
    says_why_and_recovers(&tls_listener(&certificates), "localhost", &mqtt, why, |_| certificates.write("ca.pem", &ca))
        .await;
}

#[tokio::test]
async fn an_expired_certificate() {
    let certificates = Certificates::with(&["--days", "0"]);
    let why = "the broker's certificate has expired";
    says_why_and_recovers(&tls_listener(&certificates), "localhost", &trusting(&certificates), why, |broker| {
        for name in ["server.pem", "server.key"] {
            std::fs::remove_file(certificates.path(name)).expect("removed");
        }
        certificates.add(&[]);
        broker.stop();
        broker.run();
    })
    .await;
}

#[tokio::test]
async fn a_client_certificate_that_is_missing_or_refused() {
    let certificates = Certificates::with_clients(&["in-cse"]);
    let foreign = Certificates::with_clients(&["in-cse"]);
    // Without one there is nothing to repair but the configuration.
    let mut broker = Mosquitto::reserve().with_listener(&mutual_listener(&certificates));
    broker.run();
    let url = format!("mqtts://localhost:{}", broker.second_port());
    let file = format!("[mqtt]\n{}", trusting(&certificates));
    let server = Launch::default().with_file(&file).external_url(&url).start();
    until("the log says so", || server.log().text().contains("wants a client certificate"));

    let (right, wrong) = (["in-cse.pem", "in-cse.key"], &foreign);
    let kept = right.map(|name| certificates.read(name));
    for name in right {
        certificates.write(name, &wrong.read(name));
    }
    let mqtt = known_as(&certificates, "in-cse");
    let why = "the broker does not accept our client certificate";
    says_why_and_recovers(&mutual_listener(&certificates), "localhost", &mqtt, why, |_| {
        for (name, content) in right.iter().zip(kept) {
            certificates.write(name, &content);
        }
    })
    .await;
}

#[tokio::test]
async fn tls_to_a_port_that_has_none() {
    let broker = Mosquitto::start();
    let url = format!("mqtts://localhost:{}", broker.port());
    let certificates = Certificates::with_clients(&[]);
    let file = format!("[mqtt]\n{}", trusting(&certificates));
    let server = Launch::default().with_file(&file).external_url(&url).start();
    until("the log says so", || server.log().text().contains("no connection to the MQTT broker"));
}
