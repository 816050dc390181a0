//! Requests for other CSEs through the real binary: CSEs that are played register over MQTT, and are asked by AEs here
//! and by one another, over HTTP and MQTT, also after a kill.

use cse_tests::device::Device;
use cse_tests::http::Http;
use cse_tests::mqtt::{Entity, Message};
use cse_tests::server::{Launch, Server};
use serde_json::{Value, json};

/// Connects as the CSE with that CSE-ID, without slash.
async fn cse(server: &Server, id: &str) -> Entity {
    let filters = [format!("/oneM2M/resp/{id}/id-in/#"), format!("/oneM2M/req/+/{id}/#")];
    Entity::connect_with(server.mqtt_port(), id, &filters).await
}

/// The same, and registers it.
async fn registered(server: &Server, id: &str, descendants: &[&str]) -> Entity {
    let mut entity = cse(server, id).await;
    let attributes = json!({"cb": format!("/{id}/-"), "rr": true, "srv": ["3"], "dcse": descendants});
    let request = json!({"op": 1, "to": "cse-in", "fr": format!("/{id}"), "ty": 16, "pc": {"m2m:csr": attributes}});
    entity.request(request).await.expect(2001);
    entity
}

async fn ae(server: &Server, stem: &str) -> Http {
    let http = Http::new(server.http(), stem);
    http.create("/cse-in", 2, &json!({"m2m:ae": {"api": "Ntest", "rr": false, "srv": ["3"]}})).await.expect(2001);
    http
}

/// Answers a request that the CSE passed on.
async fn answer(entity: &Entity, request: &Message, status: u16, content: Value) {
    let topic = request.topic.replacen("/req/", "/resp/", 1);
    let response = json!({"rsc": status, "rqi": request.primitive["rqi"], "rvi": "3", "pc": content});
    entity.publish(&topic, response.to_string()).await;
}

#[tokio::test]
async fn an_ae_asks_over_http_and_a_cse_answers_over_mqtt() {
    let server = Launch::default().start();
    let mut low = registered(&server, "id-low", &["/id-deep"]).await;
    let app = ae(&server, "Capp").await;
    let instance = json!({"m2m:cin": {"con": "21"}});
    for target in ["/id-low/cse-low/log", "/id-deep/cse-deep/log"] {
        let path = format!("/~{target}");
        let asked = async {
            let request = low.next_request().await;
            assert_eq!(request.topic, "/oneM2M/req/id-in/id-low/json");
            let primitive = &request.primitive;
            assert_eq!((&primitive["op"], &primitive["ty"]), (&json!(1), &json!(4)), "{primitive}");
            assert_eq!((&primitive["to"], &primitive["fr"]), (&json!(target), &json!("/id-in/Capp")), "{primitive}");
            assert_eq!(primitive["pc"], instance, "{primitive}");
            answer(&low, &request, 2001, json!({"m2m:cin": {"ri": "cin7", "con": "21"}})).await;
        };
        let (created, ()) = tokio::join!(app.create(&path, 4, &instance), asked);
        assert_eq!(created.expect(2001).json()["m2m:cin"]["ri"], "cin7");
    }
    let refusing = async {
        let request = low.next_request().await;
        answer(&low, &request, 4103, json!({"m2m:dbg": "not for you"})).await;
    };
    let (refused, ()) = tokio::join!(app.get("/~/id-low/cse-low/log/la"), refusing);
    assert_eq!(refused.expect(4103).explanation(), "not for you");
    app.get("/~/id-other/x").await.expect(4004);
}

#[tokio::test]
async fn two_cses_ask_each_other_through_the_one_above() {
    let server = Launch::default().start();
    let mut low = registered(&server, "id-low", &[]).await;
    let mut other = registered(&server, "id-other", &[]).await;
    let from = "/id-low/Csensor";
    let identifier = low.send(json!({"op": 2, "to": "/id-other/cse-other/x", "fr": from})).await;
    let request = other.next_request().await;
    assert_eq!((&request.primitive["to"], &request.primitive["fr"]), (&json!("/id-other/cse-other/x"), &json!(from)));
    assert_ne!(request.primitive["rqi"], identifier.as_str());
    answer(&other, &request, 2000, json!({"m2m:cnt": {"rn": "x"}})).await;
    let answered = low.answer_to(&identifier).await.expect(2000);
    assert_eq!(answered.0["pc"]["m2m:cnt"]["rn"], "x");
    // What is nowhere below is not asked of whoever asks.
    low.request(json!({"op": 2, "to": "/id-deep/x", "fr": from})).await.expect(4004);
    // Of those that nobody vouches for, nothing is passed on.
    Http::new(server.http(), "Cstranger").get("/~/id-low/x").await.expect(4106);
}

#[tokio::test]
async fn a_request_passed_on_before_a_kill_is_repeated_under_the_same_identifier() {
    let launch = Launch::default();
    let server = launch.start();
    let mut low = registered(&server, "id-low", &[]).await;
    ae(&server, "Capp").await;
    let mut app = Device::connect(server.mqtt_port(), "Capp").await;
    let identifier = app.create_instance("/id-low/cse-low/log", "1").await;
    let first = low.next_request().await;
    server.kill();
    drop(low);
    let server = launch.start();
    app.lead_to(server.mqtt_port());
    let mut low = cse(&server, "id-low").await;
    // Perhaps twice: from the session of the CSE, where the answer to the first may find nobody who waits for it yet.
    let answering = async {
        loop {
            let again = low.next_request().await;
            assert_eq!(again.primitive, first.primitive);
            answer(&low, &again, 2001, json!({"m2m:cin": {"con": "1"}})).await;
        }
    };
    let answered = tokio::select! {
        answered = app.answer_to(&identifier) => answered,
        () = answering => return,
    };
    assert_eq!(answered["rsc"], 2001, "{answered}");
    app.all_acknowledged().await;
    // A new one is another one, though it says the same.
    let next = app.create_instance("/id-low/cse-low/log", "1").await;
    let fresh = loop {
        let request = low.next_request().await;
        if request.primitive["rqi"] != first.primitive["rqi"] {
            break request;
        }
    };
    answer(&low, &fresh, 2001, json!({"m2m:cin": {"con": "1"}})).await;
    assert_eq!(app.answer_to(&next).await["rsc"], 2001);
}
