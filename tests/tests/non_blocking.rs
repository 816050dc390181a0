//! Non-blocking requests against the real server: over both bindings, in all serializations, and over kills.

use std::collections::BTreeMap;

use cse_tests::form::{Form, text};
use cse_tests::http::Http;
use cse_tests::mqtt::Entity;
use cse_tests::receiver::Receiver;
use cse_tests::server::{Launch, Server};
use cse_tests::wait::until_some;
use serde_json::{Value, json};

/// Requests that are acknowledged before a kill, of each response type.
const BEFORE_KILL: usize = 40;
/// Kills, each after another number of acknowledgements.
const KILLS: usize = 8;

/// An AE over MQTT with a container.
async fn sensor(server: &Server, requests: bool) -> Entity {
    let mut sensor = Entity::registered(server.mqtt_port(), "Csensor", "sensor", json!({"rr": requests})).await;
    sensor.create("cse-in/sensor", 3, json!({"m2m:cnt": {"rn": "log"}})).await.expect(2001);
    sensor
}

fn store(value: &str, rt: Value) -> Value {
    json!({"op": 1, "to": "cse-in/sensor/log", "ty": 4, "rt": rt, "pc": {"m2m:cin": {"con": value}}})
}

/// The `<request>` of that address, once it has a result.
async fn polled(entity: &mut Entity, uri: &str) -> Value {
    until_some("a result", async || {
        let request = Value::Object(entity.retrieve(uri).await.expect(2000).resource().clone());
        (text(&request["rs"]) != "3").then_some(request)
    })
    .await
}

#[tokio::test]
async fn over_mqtt_the_result_is_polled_in_every_serialization() {
    let server = Launch::default().start();
    let mut sensor = sensor(&server, false).await;
    for form in [Form::Json, Form::Xml, Form::Cbor] {
        sensor.speak(form);
        let accepted = sensor.request(store("7", json!({"rtv": 1}))).await.expect(1001);
        let uri = text(&accepted.0["pc"]["m2m:uri"]);
        assert!(uri.starts_with("/id-in/req"), "{}", accepted.0);
        let request = polled(&mut sensor, &uri).await;
        assert_eq!((text(&request["rs"]), text(&request["op"])), ("1".to_owned(), "1".to_owned()), "{request}");
        assert_eq!(text(&request["rid"]), text(&accepted.0["rqi"]));
        assert_eq!(text(&request["ors"]["rsc"]), "2001", "{request}");
        assert_eq!(text(&request["ors"]["pc"]["m2m:cin"]["con"]), "7", "{request}");
        sensor.delete(&uri).await.expect(2002);
    }
    let log = sensor.retrieve("cse-in/sensor/log").await;
    assert_eq!(text(&log.resource()["cni"]), "3");
}

#[tokio::test]
async fn over_mqtt_the_result_is_notified_to_the_request_topic_of_the_ae() {
    let server = Launch::default().start();
    let mut sensor = sensor(&server, true).await;
    let accepted = sensor.request(store("7", json!({"rtv": 2}))).await.expect(1002);
    let notify = sensor.next_request().await;
    assert_eq!(notify.topic, "/oneM2M/req/id-in/Csensor/json");
    let result = &notify.primitive["pc"]["m2m:rsp"];
    assert_eq!((&notify.primitive["op"], &result["rsc"]), (&json!(5), &json!(2001)), "{}", notify.primitive);
    assert_eq!((&result["rqi"], &result["pc"]["m2m:cin"]["con"]), (&accepted.0["rqi"], &json!("7")));
    sensor.respond(&notify, 2000).await;

    let refused = json!({"op": 2, "to": "cse-in/sensor/nothing", "rt": {"rtv": 2}});
    let accepted = sensor.request(refused).await.expect(1002);
    let notify = sensor.next_request().await;
    let result = &notify.primitive["pc"]["m2m:rsp"];
    assert_eq!((&result["rsc"], &result["rqi"]), (&json!(4004), &accepted.0["rqi"]));
    sensor.respond(&notify, 2000).await;
    assert_eq!(sensor.requests_waiting(), 0);
}

#[tokio::test]
async fn over_http_it_is_polled_or_goes_to_another_server() {
    let server = Launch::default().start();
    let http = Http::new(server.http(), "Csensor");
    let ae = json!({"m2m:ae": {"rn": "sensor", "api": "N.test", "rr": false, "srv": ["3"]}});
    http.create("/cse-in", 2, &ae).await.expect(2001);
    http.create("/cse-in/sensor", 3, &json!({"m2m:cnt": {"rn": "log"}})).await.expect(2001);
    let instance = json!({"m2m:cin": {"con": "7"}});
    let accepted = http.create("/cse-in/sensor/log?rt=1", 4, &instance).await.expect(1001);
    assert_eq!(accepted.status, 202);
    let uri = format!("/~{}", accepted.json()["m2m:uri"].as_str().expect("an address"));
    let request = until_some("a result", async || {
        let request = http.get(&uri).await.expect(2000).json()["m2m:req"].clone();
        (request["rs"] != 3).then_some(request)
    })
    .await;
    assert_eq!((&request["rs"], &request["ors"]["pc"]["m2m:cin"]["con"]), (&json!(1), &json!("7")), "{request}");
    let updated = http.update(&uri, &json!({"m2m:req": {"lbl": ["a"]}})).await.expect(4005);
    assert_eq!(updated.status, 405);
    assert_eq!(http.delete(&format!("{uri}?rt=1")).await.expect(4000).status, 400);
    http.delete(&uri).await.expect(2002);

    let (mut first, mut second) = (Receiver::start().await, Receiver::start().await);
    let targets = format!("{}&{}", first.url(), second.url());
    let more = [("Content-Type", "application/json;ty=4"), ("X-M2M-RTU", targets.as_str())];
    let body = instance.to_string();
    let accepted = http.request_with("POST", "/cse-in/sensor/log?rt=2", &more, &body).await.expect(1002);
    assert_eq!(accepted.status, 202);
    for receiver in [&mut first, &mut second] {
        let (parts, content) = receiver.next().await;
        assert_eq!(parts.headers.get("x-m2m-origin").expect("an originator"), "/id-in");
        let result = &content["m2m:rsp"];
        assert_eq!((&result["rsc"], &result["pc"]["m2m:cin"]["con"]), (&json!(2001), &json!("7")), "{content}");
        assert_eq!(result["rqi"], accepted.header("x-m2m-ri").expect("an identifier"));
    }
}

#[tokio::test]
async fn what_was_acknowledged_is_carried_out_once_over_kills() {
    let mut receiver = Receiver::start().await;
    let mut server = Launch::default().start();
    let mut http = Http::new(server.http(), "Csensor");
    let ae = json!({"m2m:ae": {"rn": "sensor", "api": "N.test", "rr": false, "srv": ["3"]}});
    http.create("/cse-in", 2, &ae).await.expect(2001);
    http.create("/cse-in/sensor", 3, &json!({"m2m:cnt": {"rn": "log"}})).await.expect(2001);
    // What was acknowledged, and where its result will be.
    let mut uris: BTreeMap<String, String> = BTreeMap::new();
    for kill in 0..KILLS {
        for number in 0..=(BEFORE_KILL * kill / KILLS) {
            let value = format!("{kill}-{number}");
            let body = json!({"m2m:cin": {"con": value}}).to_string();
            let url = receiver.url();
            let more = [("Content-Type", "application/json;ty=4"), ("X-M2M-RTU", url.as_str())];
            let answer = match number % 2 {
                0 => http.request_with("POST", "/cse-in/sensor/log?rt=1", &more[..1], &body).await.expect(1001),
                _ => http.request_with("POST", "/cse-in/sensor/log?rt=2", &more, &body).await.expect(1002),
            };
            uris.insert(value, answer.json()["m2m:uri"].as_str().expect("an address").to_owned());
        }
        let launch = server.launch().clone();
        server.kill();
        server = launch.start();
        http = Http::new(server.http(), "Csensor");
    }
    for (value, uri) in &uris {
        let request = until_some("a result", async || {
            let request = http.get(&format!("/~{uri}")).await.expect(2000).json()["m2m:req"].clone();
            (request["rs"] != 3).then_some(request)
        })
        .await;
        let result = &request["ors"];
        assert_eq!((&result["rsc"], &result["pc"]["m2m:cin"]["con"]), (&json!(2001), &json!(value)), "{request}");
    }
    let log = http.get("/cse-in/sensor/log").await.expect(2000).json();
    assert_eq!(log["m2m:cnt"]["cni"], json!(uris.len()), "lost or doubled");
    // Each result of type 2 has arrived; one whose confirmation was cut off may have come again.
    let is_told = |value: &str| value.ends_with(['1', '3', '5', '7', '9']);
    let mut awaited: Vec<&String> = uris.keys().filter(|value| is_told(value)).collect();
    while !awaited.is_empty() {
        let (_, content) = receiver.next().await;
        let value = content["m2m:rsp"]["pc"]["m2m:cin"]["con"].clone();
        awaited.retain(|awaited| value != json!(awaited));
    }
}
