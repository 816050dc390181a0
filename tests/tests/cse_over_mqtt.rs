//! A CSE that registers over the embedded broker with strict policy: under its credential it gets its topics, is asked
//! there, and loses them with its registration (TS-0010 §8.2, §8.4).

use cse_tests::guarded::{launch, retrieve};
use cse_tests::http::Http;
use cse_tests::metrics::sample;
use cse_tests::secured::{Connecting, Secured};
use cse_tests::server::Server;
use cse_tests::wait::until_some;
use rumqttc::ConnectReturnCode;
use serde_json::{Value, json};

/// What may be registered under which credential; the passwords are those of `guarded::USERS`.
const RULES: &str = "[[mqtt.credentials]]\ncredential = \"lamp-*\"\nidentifiers = [\"/id-low\", \"C*\"]\n\
                     [broker]\ndenied-publishes-max = 0\n";

fn user(server: &Server, name: &str, password: &str, client_id: &str) -> Connecting {
    Connecting::new(server.mqtt_port(), client_id).login(name, password)
}

fn registration(cse_id: &str) -> Value {
    let attributes = json!({"cb": format!("{cse_id}/cse-low"), "rr": true, "srv": ["3"], "dcse": ["/id-deep"]});
    json!({"op": 1, "to": "cse-in", "fr": cse_id, "ty": 16, "pc": {"m2m:csr": attributes}})
}

/// The next request that the CSE sends to the client, answered with success.
async fn answered(client: &mut Secured) -> Value {
    let (topic, request) = client.next().await;
    assert_eq!(topic, "/oneM2M/req/id-in/id-low/json", "{request}");
    let answer = json!({"rsc": 2000, "rqi": request["rqi"], "rvi": "3"});
    client.publish("/oneM2M/resp/id-in/id-low/json", &answer.to_string()).await;
    request
}

#[tokio::test]
async fn a_cse_registers_under_its_credential_and_then_has_its_topics() {
    let server = launch(RULES).start();
    let admin = Http::new(server.http(), "CAdmin");
    let mut low = user(&server, "lamp-7", "seven", "C::/id-low").connect().await.expect("let in");
    let own = "/oneM2M/req/id-low/id-in/json";
    assert!(low.subscribe("/oneM2M/reg_resp/lamp-7/#").await);
    for before in ["/oneM2M/resp/id-low/#", "/oneM2M/req/+/id-low/#"] {
        assert!(!low.subscribe(before).await, "{before}");
    }
    let reg_req = "/oneM2M/reg_req/lamp-7/id-in/json";
    let refused = low.request(reg_req, registration("/id-other")).await;
    assert_eq!(refused["rsc"], 4107, "{refused}");
    let answer = low.request(reg_req, registration("/id-low")).await;
    assert_eq!((&answer["rsc"], &answer["pc"]["m2m:csr"]["ri"]), (&json!(2001), &json!("id-low")), "{answer}");
    assert!(!answer.to_string().contains("lamp-7"), "{answer}");
    for granted in ["/oneM2M/resp/id-low/#", "/oneM2M/req/+/id-low/#"] {
        assert!(low.subscribe(granted).await, "{granted}");
    }

    // It asks for itself and, as a CSE, for those behind it, and for nobody here.
    assert_eq!(low.request(own, retrieve("/id-low", "/id-in")).await["rsc"], 2000);
    let behind = low.request(own, retrieve("/id-low/Cx", "id-low")).await;
    assert!(behind["pc"].to_string().contains("/id-low/Cx"), "{behind}");
    assert_eq!(low.request(own, retrieve("CAdmin", "/id-in")).await["rsc"], 4103);

    // What is for its AEs, and for the CSEs below it, comes to it.
    admin.create("/cse-in", 3, &json!({"m2m:cnt": {"rn": "log"}})).await.expect(2001);
    for target in ["/id-low/Cx", "/id-deep/Cy"] {
        let subscription = json!({"m2m:sub": {"nu": [target], "enc": {"net": [3]}}});
        let (created, request) = tokio::join!(admin.create("/cse-in/log", 23, &subscription), answered(&mut low));
        created.expect(2001);
        assert_eq!((&request["to"], &request["fr"]), (&json!(target), &json!("/id-in")), "{request}");
        assert_eq!(request["pc"]["m2m:sgn"]["vrq"], true, "{request}");
        let subscription = request["pc"]["m2m:sgn"]["sur"].as_str().and_then(|address| address.strip_prefix("/id-in"));
        admin.delete(subscription.expect("an address here")).await.expect(2002);
    }

    // Another credential that might register it is kept out while it is registered.
    let taken = user(&server, "lamp-8", "eight", "C::/id-low").connect().await.map(|_| ());
    assert_eq!(taken, Err(ConnectReturnCode::BadClientId));
    let mut other = user(&server, "lamp-8", "eight", "lamp-8").connect().await.expect("let in");
    assert!(other.subscribe("/oneM2M/reg_resp/lamp-8/#").await);
    let again = other.request("/oneM2M/reg_req/lamp-8/id-in/json", registration("/id-low")).await;
    assert_eq!(again["rsc"], 4117, "{again}");
    assert!(!other.subscribe("/oneM2M/resp/id-low/#").await);
    let denied = sample(&server, "cse_broker_publishes_denied_total").await;
    other.publish(own, &retrieve("/id-low", "/id-in").to_string()).await;
    assert_eq!(sample(&server, "cse_broker_publishes_denied_total").await, denied + 1.0);

    // With the registration its topics go, perhaps before the answer to the deregistration could come on one.
    let deregistration = json!({"op": 4, "to": "/id-in/id-low", "fr": "/id-low", "rqi": "last", "rvi": "3"});
    low.publish(own, &deregistration.to_string()).await;
    until_some("the subscriptions are withdrawn", async || {
        (sample(&server, "cse_broker_subscriptions_withdrawn_total").await == 2.0).then_some(())
    })
    .await;
    low.publish(own, &retrieve("/id-low", "/id-in").to_string()).await;
    assert_eq!(sample(&server, "cse_broker_publishes_denied_total").await, denied + 2.0);
}
