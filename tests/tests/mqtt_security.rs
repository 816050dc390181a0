//! Clause 8 of TS-0010 with the real binary: who gets in, under which client identifier, and on which topics.

use std::path::PathBuf;

use cse_tests::certificates::Certificates;
use cse_tests::guarded::{Guarded, USERS, launch, passwd, registration, retrieve};
use cse_tests::http::Http;
use cse_tests::metrics::sample;
use cse_tests::secured::{Connecting, Secured};
use cse_tests::server::{Launch, Server};
use cse_tests::spoofing;
use cse_tests::wait::{until, until_some};
use rumqttc::ConnectReturnCode;
use serde_json::json;

fn user(server: &Server, name: &str, client_id: &str) -> Connecting {
    let (_, password, _) = USERS.iter().find(|(known, ..)| *known == name).expect("a user");
    Connecting::new(server.mqtt_port(), client_id).login(name, password)
}

async fn connected(server: &Server, name: &str, client_id: &str) -> Secured {
    user(server, name, client_id).connect().await.unwrap_or_else(|code| panic!("{name} as {client_id}: {code:?}"))
}

/// Registers an AE under a credential; the client, subscribed to the answers of both.
async fn registered(server: &Server, name: &str, client_id: &str, stem: &str) -> Secured {
    let mut client = connected(server, name, client_id).await;
    assert!(client.subscribe(&format!("/oneM2M/reg_resp/{name}/#")).await);
    let answer = client.request(&format!("/oneM2M/reg_req/{name}/id-in/json"), registration(stem)).await;
    assert_eq!(answer["rsc"], 2001, "{answer}");
    assert!(client.subscribe(&format!("/oneM2M/resp/{stem}/#")).await);
    client
}

#[tokio::test]
async fn a_device_registers_under_its_credential_and_then_has_its_identifier() {
    let server = launch("").start();
    let mut lamp = connected(&server, "lamp-7", "lamp-7").await;
    let own = "/oneM2M/req/Clamp/id-in/json";
    for denied in ["/oneM2M/resp/Clamp/#", "/oneM2M/req/+/Clamp/#", "/oneM2M/reg_resp/lamp-8/#", "#"] {
        assert!(!lamp.subscribe(denied).await, "{denied}");
    }
    assert!(lamp.subscribe("/oneM2M/reg_resp/lamp-7/+/+").await);
    // Not its topic yet: acknowledged and dropped.
    lamp.publish(own, &registration("Clamp").to_string()).await;

    let answer = lamp.request("/oneM2M/reg_req/lamp-7/id-in/json", registration("Clamp")).await;
    assert_eq!((&answer["rsc"], &answer["pc"]["m2m:ae"]["aei"]), (&json!(2001), &json!("Clamp")), "{answer}");
    assert!(!answer.to_string().contains("lamp-7"), "{answer}");
    // At once.
    for granted in ["/oneM2M/resp/Clamp/+/+", "/oneM2M/req/+/Clamp/#", "/oneM2M/resp/id-in:Clamp/id-in"] {
        assert!(lamp.subscribe(granted).await, "{granted}");
    }
    assert_eq!(lamp.request(own, retrieve("Clamp", "Clamp")).await["rsc"], 2000);
    lamp.disconnect().await;

    // And after a restart, as the AE that it is by now.
    let server = server.restart();
    let kept = user(&server, "lamp-7", "A::Clamp").kept();
    let mut lamp = kept.connect().await.expect("let in");
    assert!(lamp.subscribe("/oneM2M/resp/Clamp/#").await);
    assert_eq!(lamp.request(own, retrieve("Clamp", "Clamp")).await["rsc"], 2000);

    // Until it is deregistered: then connected or not, it is no longer Clamp.
    let admin = Http::new(server.http(), "CAdmin");
    assert_eq!(admin.delete("/Clamp").await.rsc(), 2002);
    until_some("the subscription is withdrawn", async || {
        (sample(&server, "cse_broker_subscriptions_withdrawn_total").await == 1.0).then_some(())
    })
    .await;
    let denied = sample(&server, "cse_broker_publishes_denied_total").await;
    lamp.publish(own, &retrieve("Clamp", "cse-in").to_string()).await;
    assert_eq!(sample(&server, "cse_broker_publishes_denied_total").await, denied + 1.0);
    assert!(!lamp.subscribe("/oneM2M/resp/Clamp/#").await);
    // It can come back, and nobody has to reconnect for that.
    assert!(lamp.subscribe("/oneM2M/reg_resp/lamp-7/#").await);
    let answer = lamp.request("/oneM2M/reg_req/lamp-7/id-in/json", registration("Clamp")).await;
    assert_eq!(answer["rsc"], 2001, "{answer}");
    assert!(lamp.subscribe("/oneM2M/resp/Clamp/#").await);
    assert_eq!(lamp.request(own, retrieve("Clamp", "Clamp")).await["rsc"], 2000);
}

#[tokio::test]
async fn nobody_speaks_for_another() {
    spoofing::nobody_speaks_for_another(Guarded::embedded()).await;
}

#[tokio::test]
async fn topic_originator_and_credential_agree() {
    spoofing::topic_originator_and_credential_agree(Guarded::embedded()).await;
}

#[tokio::test]
async fn nobody_reads_what_is_for_another() {
    let server = launch("").start();
    let _other = registered(&server, "lamp-8", "A::Cother", "Cother").await;
    let mut lamp = registered(&server, "lamp-7", "A::Clamp", "Clamp").await;
    for (filter, granted) in [
        ("#", false),
        ("/#", false),
        ("/oneM2M/#", false),
        ("/oneM2M/req/#", false),
        ("/oneM2M/req/+/id-in/#", false),
        ("/oneM2M/req/+/+/#", false),
        ("/oneM2M/req/+/Cother/#", false),
        ("/oneM2M/req/id-in/Cother/json", false),
        ("/oneM2M/resp/#", false),
        ("/oneM2M/resp/+/id-in/#", false),
        ("/oneM2M/resp/Cother/#", false),
        ("/oneM2M/resp/Cother/id-in/json", false),
        ("/oneM2M/resp/id-in:Cother/#", false),
        ("/oneM2M/resp/id-in/#", false),
        ("/oneM2M/reg_req/#", false),
        ("/oneM2M/reg_req/+/id-in/#", false),
        ("/oneM2M/reg_resp/#", false),
        ("/oneM2M/reg_resp/+/id-in/#", false),
        ("/oneM2M/reg_resp/lamp-8/#", false),
        ("/oneM2M/+/Clamp/id-in/json", false),
        ("alarms", false),
        ("$share/mine//oneM2M/resp/Cother/#", false),
        ("/oneM2M/resp/Clamp/id-in", true),
        ("/oneM2M/resp/Clamp/id-in/json", true),
        ("/oneM2M/resp/Clamp/+", true),
        ("/oneM2M/resp/Clamp/+/+", true),
        ("/oneM2M/resp/id-in:Clamp/#", true),
        ("/oneM2M/req/id-in/Clamp", true),
        ("/oneM2M/req/+/Clamp/#", true),
        ("/oneM2M/req/+/id-in:Clamp/+", true),
        ("/oneM2M/reg_resp/lamp-7/id-in/json", true),
        ("/oneM2M/reg_resp/lamp-7/+", true),
    ] {
        assert_eq!(lamp.subscribe(filter).await, granted, "{filter}");
    }
}

#[tokio::test]
async fn the_client_identifier_has_to_fit() {
    use ConnectReturnCode::{BadClientId, BadUserNamePassword, NotAuthorized};
    let rules = "[[mqtt.credentials]]\ncredential = \"lamp-*\"\nidentifiers = [\"Clamp*\", \"Cother\"]\n";
    let server = launch(rules).start();
    let _other = registered(&server, "lamp-8", "A::Cother", "Cother").await;
    for (name, client_id, expected) in [
        ("lamp-7", "lamp-7", None),
        ("lamp-7", "A::Clamp", None),
        ("lamp-7", "A:Clamp", None),
        ("lamp-7", "A::/id-in/Clamp@1", None),
        ("lamp-7", "A::Cother", Some(BadClientId)),
        ("lamp-7", "lamp-8", Some(BadClientId)),
        ("lamp-7", "A::Sdoor", Some(BadClientId)),
        ("lamp-7", "C::/id-in", Some(BadClientId)),
        ("lamp-7", "A::CAdmin", Some(BadClientId)),
        ("lamp-7", "anything", Some(BadClientId)),
        ("lamp-7", "", Some(BadClientId)),
        ("door", "A::Sdoor", None),
        ("door", "A::Clamp", Some(BadClientId)),
        ("middle", "C::/id-mn", None),
        ("middle", "C::id-mn@2", None),
        ("middle", "C::/id-in", Some(BadClientId)),
    ] {
        let refused = user(&server, name, client_id).connect().await.err();
        assert_eq!(refused, expected, "{name} as '{client_id}'");
    }
    let port = server.mqtt_port();
    for (connecting, expected) in [
        (Connecting::new(port, "A::Clamp"), NotAuthorized),
        (Connecting::new(port, "lamp-7").login("lamp-7", "wrong"), BadUserNamePassword),
        (Connecting::new(port, "lamp-7").login("lamp-7", ""), BadUserNamePassword),
        (Connecting::new(port, "lamp-7").login("nobody", "seven"), BadUserNamePassword),
    ] {
        assert_eq!(connecting.connect().await.err(), Some(expected), "{connecting:?}");
    }
    // What may be registered under a credential is what the rules say.
    let mut lamp = connected(&server, "lamp-7", "lamp-7").await;
    assert!(lamp.subscribe("/oneM2M/reg_resp/lamp-7/#").await);
    let topic = "/oneM2M/reg_req/lamp-7/id-in/json";
    for (from, status) in [("Cdoor", 4126), ("C", 4126), ("Cother", 4117), ("Clamp", 2001)] {
        let answer = lamp.request(topic, registration(from)).await;
        assert_eq!(answer["rsc"], status, "{from}: {answer}");
    }
    for secret in USERS.map(|(_, password, _)| password).into_iter().chain(["argon2"]) {
        assert!(!server.log().text().contains(secret), "{secret}\n{}", server.log().text());
    }
}

#[tokio::test]
async fn a_session_cannot_be_taken_by_another() {
    let server = launch("").start();
    let lamp = user(&server, "lamp-7", "lamp-7").kept();
    let mut client = lamp.connect().await.expect("let in");
    assert!(client.subscribe("/oneM2M/reg_resp/lamp-7/#").await);
    for other in ["lamp-8", "door", "middle", "operator"] {
        let refused = user(&server, other, "lamp-7").connect().await.err();
        assert_eq!(refused, Some(ConnectReturnCode::BadClientId), "{other}");
    }
    // Neither the connection nor the session has suffered.
    let answer = client.request("/oneM2M/reg_req/lamp-7/id-in/json", registration("Clamp")).await;
    assert_eq!(answer["rsc"], 2001, "{answer}");
    // The same one may take over.
    let mut second = lamp.connect().await.expect("let in");
    client.closed().await;
    let answer = second.request("/oneM2M/reg_req/lamp-7/id-in/json", registration("Clamp2")).await;
    assert_eq!(answer["rsc"], 2001, "{answer}");
}

#[tokio::test]
async fn who_keeps_publishing_what_is_denied_is_disconnected() {
    let server = launch("[broker]\ndenied-publishes-max = 5\n").start();
    let mut lamp = connected(&server, "lamp-9", "lamp-9").await;
    assert_eq!(lamp.publish_until_closed("/oneM2M/req/Cother/id-in/json").await, 5);
    assert_eq!(sample(&server, "cse_broker_denied_disconnects_total").await, 1.0);
    assert_eq!(sample(&server, "cse_broker_publishes_denied_total").await, 6.0);
    until("the log says so", || server.log().text().contains("message denied"));
    // It may come back and do better.
    let mut lamp = registered(&server, "lamp-9", "lamp-9", "Clamp").await;
    let answer = lamp.request("/oneM2M/req/Clamp/id-in/json", retrieve("Clamp", "Clamp")).await;
    assert_eq!(answer["rsc"], 2000, "{answer}");
}

#[tokio::test]
async fn a_user_that_speaks_for_an_entity_is_that_entity() {
    let server = launch("").start();
    // The AE gets the identifier that its credential stands for.
    let mut door = connected(&server, "door", "A::Sdoor").await;
    assert!(!door.subscribe("/oneM2M/resp/Sdoor/#").await);
    assert!(door.subscribe("/oneM2M/reg_resp/door/#").await);
    let topic = "/oneM2M/reg_req/door/id-in/json";
    let answer = door.request(topic, registration("Cdoor")).await;
    assert_eq!(answer["rsc"], 4126, "{answer}");
    let answer = door.request(topic, registration("S")).await;
    assert_eq!((&answer["rsc"], &answer["pc"]["m2m:ae"]["aei"]), (&json!(2001), &json!("Sdoor")), "{answer}");
    assert!(door.subscribe("/oneM2M/resp/Sdoor/#").await);
    let answer = door.request("/oneM2M/req/Sdoor/id-in/json", retrieve("Sdoor", "Sdoor")).await;
    assert_eq!(answer["rsc"], 2000, "{answer}");

    // The administrator may do everything without being registered.
    let mut admin = connected(&server, "operator", "A::CAdmin").await;
    assert!(admin.subscribe("/oneM2M/resp/CAdmin/#").await);
    let answer = admin.request("/oneM2M/req/CAdmin/id-in/json", retrieve("CAdmin", "Sdoor")).await;
    assert_eq!(answer["rsc"], 2000, "{answer}");
}

#[tokio::test]
async fn what_is_proven_counts_in_policies() {
    // A policy that admits those whose identity was proven only: over MQTT it was, over HTTP it was not.
    let server = launch("").start();
    let mut lamp = registered(&server, "lamp-7", "A::Clamp", "Clamp").await;
    let admin = Http::new(server.http(), "CAdmin");
    let rules = json!({"acr": [{"acor": ["Clamp"], "acop": 63, "acaf": true}]});
    let policy = json!({"m2m:acp": {"rn": "proven", "pv": rules, "pvs": {"acr": [{"acor": ["CAdmin"], "acop": 63}]}}});
    assert_eq!(admin.create("/cse-in", 1, &policy).await.rsc(), 2001);
    let container = json!({"m2m:cnt": {"rn": "safe", "acpi": ["cse-in/proven"]}});
    assert_eq!(admin.create("/cse-in", 3, &container).await.rsc(), 2001);
    let answer = lamp.request("/oneM2M/req/Clamp/id-in/json", retrieve("Clamp", "cse-in/safe")).await;
    assert_eq!(answer["rsc"], 2000, "{answer}");
    assert_eq!(Http::new(server.http(), "Clamp").get("/cse-in/safe").await.rsc(), 4103);
}

#[tokio::test]
async fn a_client_certificate_says_who_the_client_is() {
    let clients = ["m2m://cse.example/id-in/Ccert", "m2m://cse.example/id-mn", "sensor-17", "m2m://cse.example/id-in"];
    let certificates = Certificates::with_clients(&clients);
    let server = Launch::default()
        .mqtt("off")
        .with(&["--mqtt-tls", "127.0.0.1:0"])
        .with_all(certificates.server_arguments())
        .with_all(certificates.client_arguments("optional"))
        .start();
    let port = server.broker_port("mqtts");
    let connecting = |stem: &str, client_id: &str| {
        let path = |extension: &str| -> PathBuf { certificates.path(&format!("{stem}.{extension}")) };
        Connecting::new(port, client_id).certificate(certificates.path("ca.pem"), path("pem"), path("key"))
    };
    let (ae, cse) = ("m2m-cse-example-id-in-Ccert", "m2m-cse-example-id-mn");
    for (stem, client_id, expected) in [
        (ae, "A::Ccert", None),
        (ae, "33-Ccert", None),
        (ae, "A::Cother", Some(ConnectReturnCode::BadClientId)),
        (ae, "sensor-17", Some(ConnectReturnCode::BadClientId)),
        (cse, "C::/id-mn", None),
        (cse, "A::Ccert", Some(ConnectReturnCode::BadClientId)),
        ("sensor-17", "sensor-17", None),
        // Without rules, and on this machine only, it may register any CSE as well as any AE.
        ("sensor-17", "C::/id-mn", None),
        ("sensor-17", "A::Cfree", None),
        // Nobody else is this CSE.
        ("m2m-cse-example-id-in", "C::/id-in", Some(ConnectReturnCode::NotAuthorized)),
    ] {
        let refused = connecting(stem, client_id).connect().await.err();
        assert_eq!(refused, expected, "{stem} as {client_id}");
    }
    let mut client = connecting(ae, "A::Ccert").connect().await.expect("let in");
    assert!(client.subscribe("/oneM2M/reg_resp/33-Ccert/#").await);
    assert!(!client.subscribe("/oneM2M/reg_resp/sensor-17/#").await);
    let answer = client.request("/oneM2M/reg_req/33-Ccert/id-in/json", registration("")).await;
    assert_eq!((&answer["rsc"], &answer["pc"]["m2m:ae"]["aei"]), (&json!(2001), &json!("Ccert")), "{answer}");
    assert!(client.subscribe("/oneM2M/resp/Ccert/#").await);
    let answer = client.request("/oneM2M/req/Ccert/id-in/json", retrieve("Ccert", "Ccert")).await;
    assert_eq!(answer["rsc"], 2000, "{answer}");
    let answer = client.request("/oneM2M/req/Ccert/id-in/json", retrieve("/id-mn", "Ccert")).await;
    assert_eq!(answer["rsc"], 4103, "{answer}");
}

#[tokio::test]
async fn the_policy_is_open_for_this_machine_alone_and_says_so() {
    let server = Launch::default().start();
    until("the log says so", || server.log().text().contains("MQTT policy: open"));
    let mut anybody = Connecting::new(server.mqtt_port(), "some tool").connect().await.expect("let in");
    assert!(anybody.subscribe("#").await);
    drop(server);

    let server = Launch::default().with(&["--mqtt-policy", "strict"]).start();
    until("the log says so", || server.log().text().contains("MQTT policy: strict"));
    let refused = Connecting::new(server.mqtt_port(), "some tool").connect().await.err();
    assert_eq!(refused, Some(ConnectReturnCode::NotAuthorized));
}

#[test]
fn passwd_makes_lines_that_the_server_takes() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("users");
    let file = path.display().to_string();
    let (done, line) = passwd(&["lamp", "--identifier", "Clamp"], "secret");
    assert!(done && line.starts_with("lamp:$argon2id$") && line.ends_with(":Clamp\n"), "{line}");
    assert!(!line.contains("secret"));
    for (arguments, expected) in [
        (&["lamp", "--file", &file][..], "added 'lamp'"),
        (&["door", "--file", &file, "--identifier", "Sdoor"], "added 'door'"),
        (&["lamp", "--file", &file], "changed 'lamp'"),
        (&["lamp", "--file", &file, "--remove"], "removed 'lamp'"),
    ] {
        let (done, text) = passwd(arguments, "secret");
        assert!(done && text.contains(expected), "{text}");
    }
    let text = std::fs::read_to_string(&path).expect("written");
    assert!(text.starts_with("door:$argon2id$") && text.lines().count() == 1, "{text}");
    for (arguments, password, part) in [
        (&["lamp", "--file", &file, "--remove"][..], "", "no user 'lamp'"),
        (&["a:b"], "secret", "no ':'"),
        (&["32-x"], "secret", "32-"),
        (&["lamp", "--identifier", "lamp"], "secret", "no AE-ID"),
        (&["lamp"], "", "1 to 1024 bytes"),
    ] {
        let (done, text) = passwd(arguments, password);
        assert!(!done && text.contains(part), "{arguments:?}: {text}");
    }
}
