//! Who registers as a CSE, as what, and what it is then: through the real binary.

use cse_tests::certificates::Certificates;
use cse_tests::gateways::{Over, Place, registered, resource};
use cse_tests::guarded::{Guarded, launch, passwd, registration, retrieve};
use cse_tests::http::Http;
use cse_tests::mqtt::Entity;
use cse_tests::secured::{Connecting, Secured};
use cse_tests::server::Launch;
use serde_json::{Value, json};

/// A gateway with any CSE-ID below `/id-in`.
fn gateway(cse_id: &str, point: &str, options: &str) -> Launch {
    Launch::default().with_file(&format!(
        "[cse]\nid = \"{cse_id}\"\nname = \"cse-mn\"\ntype = \"mn\"\n\
         [registrar]\ncse-id = \"/id-in\"\ncse-name = \"cse-in\"\npoa = [\"{point}\"]\n{options}\n"
    ))
}

fn ae(name: &str) -> Value {
    json!({"m2m:ae": {"rn": name, "api": "Napp", "rr": false, "srv": ["3"]}})
}

/// CREATE of a `<remoteCSE>`.
fn csr(from: &str) -> Value {
    json!({"op": 1, "to": "cse-in", "fr": from, "ty": 16, "pc": {"m2m:csr": {"cb": format!("{from}/b"), "rr": true, "srv": ["3"]}}})
}

#[tokio::test]
async fn a_cse_id_may_look_like_an_ae_id() {
    for over in Over::BOTH {
        let place = Place::reserve();
        let infrastructure = place.infrastructure().start();
        let above = Http::new(infrastructure.http(), "CAdmin");
        for cse_id in ["/Site-1", "/Cabinet", "/S1"] {
            let mn = gateway(cse_id, &place.point_of_access(over), "deregister-on-shutdown = true");
            // Over MQTT it is reached by its own connection, and by nothing else.
            let mn = if over == Over::Mqtt { mn.mqtt("off").start() } else { mn.start() };
            registered(&mn).await;
            let there = resource(&infrastructure, &format!("/cse-in{cse_id}")).await;
            assert_eq!((&there["csi"], &there["cb"]), (&json!(cse_id), &json!(format!("{cse_id}/cse-mn"))), "{over:?}");

            // Requests pass up and down.
            let below = Http::new(mn.http(), "Cbelow");
            below.create("/cse-mn", 2, &ae("below")).await.expect(2001);
            let policy = json!({"m2m:acp": {"rn": "p", "pv": {"acr": [{"acor": ["all"], "acop": 63}]},
                "pvs": {"acr": [{"acor": ["CAdmin"], "acop": 63}]}}});
            Http::new(mn.http(), "CAdmin").create("/cse-mn", 1, &policy).await.expect(2001);
            let log = json!({"m2m:cnt": {"rn": "log", "acpi": ["cse-mn/p"]}});
            below.create("/cse-mn/below", 3, &log).await.expect(2001);
            let shown = above.get(&format!("/~{cse_id}/cse-mn/below/log")).await.expect(2000).json();
            assert_eq!(shown["m2m:cnt"]["rn"], "log");
            let up = below.get("/~/id-in/cse-in/nothing").await;
            assert_eq!(up.rsc(), 4004, "it came to where nothing is: {}", up.body);
            assert!(mn.stop().success());
            above.get(&format!("/cse-in{cse_id}")).await.expect(4004);
        }
    }
}

#[tokio::test]
async fn a_cse_that_looks_like_an_ae_passes_on_what_is_behind_it() {
    let server = Launch::default().start();
    for id in ["S1", "Cabinet"] {
        let filters = [format!("/oneM2M/resp/{id}/id-in/#"), format!("/oneM2M/req/+/{id}/#")];
        let mut entity = Entity::connect_with(server.mqtt_port(), id, &filters).await;
        let behind = json!({"op": 2, "to": "/id-in/cse-in/x", "fr": "/id-deep/Cx"});
        // Before it is known its level is that of an AE, which speaks for itself only.
        entity.request(behind.clone()).await.expect(4103);
        let mut request = csr(&format!("/{id}"));
        request["pc"]["m2m:csr"]["dcse"] = json!(["/id-deep"]);
        entity.request(request.clone()).await.expect(2001);
        entity.request(request).await.expect(4117);
        entity.request(behind).await.expect(4004);
        let own = json!({"op": 4, "to": format!("cse-in/{id}"), "fr": format!("/{id}")});
        entity.request(own).await.expect(2002);
    }
}

#[tokio::test]
async fn a_credential_for_such_a_cse_is_one_for_no_ae() {
    let infrastructure = launch("");
    let users = infrastructure.directory().join("users").display().to_string();
    let (done, text) = passwd(&["site", "--file", &users, "--identifier", "32-/Site-1"], "four");
    assert!(done, "{text}");
    let infrastructure = infrastructure.start();
    let point = format!("mqtt://127.0.0.1:{}", infrastructure.mqtt_port());
    let mn = gateway("/Site-1", &point, "username = \"site\"\npassword = \"four\"\nlifetime = \"2s\"").start();
    registered(&mn).await;
    let there = resource(&infrastructure, "/cse-in/Site-1").await;
    assert_eq!(there["csi"], "/Site-1");
    // Also when the registrar has forgotten it: by then the word is an AE's again, and the credential is not.
    Http::new(infrastructure.http(), "CAdmin").delete("/cse-in/Site-1").await.expect(2002);
    let again = resource(&infrastructure, "/cse-in/Site-1").await;
    assert_ne!(again["ct"], there["ct"]);
    drop(mn);
    let connecting = Connecting::new(infrastructure.mqtt_port(), "C::Site-1").login("site", "four");
    let mut site = connecting.connect().await.expect("let in");
    assert!(site.subscribe("/oneM2M/reg_resp/site/#").await);
    let answer = site.request("/oneM2M/reg_req/site/id-in/json", registration("Site-1")).await;
    assert_eq!(answer["rsc"], 4117, "the CSE is registered under that identifier: {answer}");
    let answer = site.request("/oneM2M/reg_req/site/id-in/json", registration("Sdoor")).await;
    assert_eq!(answer["rsc"], 4126, "{answer}");
}

/// Registers CSEs by a client whose credential is good for `/id-mn` only.
async fn registers_only_itself(client: &mut Secured, credential: &str) {
    assert!(client.subscribe(&format!("/oneM2M/reg_resp/{credential}/#")).await);
    assert!(client.subscribe("/oneM2M/resp/id-mn/#").await);
    let by_credential = format!("/oneM2M/reg_req/{credential}/id-in/json");
    for other in ["/id-other", "/id-mn2", "/id-in", "//cse.example/id-other"] {
        let answer = client.request(&by_credential, csr(other)).await;
        assert_eq!(answer["rsc"], 4107, "{other}: {answer}");
        let answer = client.request("/oneM2M/req/id-mn/id-in/json", csr(other)).await;
        assert!([4103, 4107].contains(&answer["rsc"].as_u64().expect("a code")), "{other}: {answer}");
    }
    let answer = client.request(&by_credential, registration("Cx")).await;
    assert_eq!(answer["rsc"], 4126, "{answer}");
    let answer = client.request(&by_credential, csr("/id-mn")).await;
    assert_eq!(answer["rsc"], 2001, "{answer}");
    let answer = client.request(&by_credential, csr("/id-mn")).await;
    assert_eq!(answer["rsc"], 4117, "{answer}");
}

#[tokio::test]
async fn a_credential_registers_its_own_cse_and_no_other() {
    let guarded = Guarded::embedded();
    let mut middle = guarded.connected("middle", "C::id-mn").await;
    registers_only_itself(&mut middle, "middle").await;
    for id in ["id-other", "id-mn2"] {
        guarded.http("CAdmin").get(&format!("/cse-in/{id}")).await.expect(4004);
    }
}

#[tokio::test]
async fn a_certificate_registers_its_own_cse_and_no_other() {
    let certificates = Certificates::with_clients(&["m2m://cse.example/id-mn"]);
    let server = Launch::default()
        .mqtt("off")
        .with(&["--mqtt-tls", "127.0.0.1:0"])
        .with_all(certificates.server_arguments())
        .with_all(certificates.client_arguments("required"))
        .start();
    let path = |name: &str| certificates.path(name);
    let connecting = Connecting::new(server.broker_port("mqtts"), "C::id-mn").certificate(
        path("ca.pem"),
        path("m2m-cse-example-id-mn.pem"),
        path("m2m-cse-example-id-mn.key"),
    );
    let mut client = connecting.connect().await.expect("let in");
    registers_only_itself(&mut client, "32-:id-mn").await;
}

#[tokio::test]
async fn who_deregisters_hears_that_it_did() {
    let guarded = Guarded::embedded();
    // The answer and the withdrawal of the topics come about at the same time, so not once.
    for _ in 0..20 {
        let mut lamp = guarded.registered("lamp-7", "A::Clamp", "Clamp").await;
        let deletion = json!({"op": 4, "to": "Clamp", "fr": "Clamp"});
        let answer = lamp.request("/oneM2M/req/Clamp/id-in/json", deletion).await;
        assert_eq!(answer["rsc"], 2002, "{answer}");
        let denied = guarded.denied().await;
        lamp.publish("/oneM2M/req/Clamp/id-in/json", &retrieve("Clamp", "cse-in").to_string()).await;
        guarded.until_denied(denied + 1, "it is Clamp no more").await;
        lamp.disconnect().await;
    }
}
