//! oneM2M over MQTT with a mosquitto, which may be late, go away and come back.

use cse_tests::http::Http;
use cse_tests::mosquitto::Mosquitto;
use cse_tests::mqtt::Entity;
use cse_tests::scenarios::World;
use cse_tests::server::Launch;
use serde_json::json;

cse_tests::mqtt_scenarios!(World::external().await);

/// So that nothing in these tests waits for half a minute.
const SOON: &str = "[mqtt]\nreconnect-max = \"500ms\"\n";

#[tokio::test]
async fn the_broker_may_come_after_the_server() {
    let broker = Mosquitto::reserve();
    let server = Launch::default().with_file(SOON).external_broker(broker.port()).start();
    let mut world = World { server, broker: Some(broker) };
    world.until_mqtt_is("down").await;
    // One way in is enough to be ready.
    let http = world.http("CAdmin");
    let report = http.get("/readyz").await;
    assert_eq!((report.status, &report.json()["status"]), (200, &json!("ready")), "{}", report.body);
    http.get("/cse-in").await.expect(2000);

    world.broker.as_mut().expect("there").run();
    world.until_mqtt_is("up").await;
    let mut sensor = world.ae("Csensor", "sensor").await;
    sensor.retrieve("cse-in/sensor").await.expect(2000);
}

#[tokio::test]
async fn without_http_a_server_without_broker_is_not_ready() {
    let broker = Mosquitto::reserve();
    let file = format!("{SOON}[monitoring]\nlisten = \"127.0.0.1:0\"\n");
    let server = Launch::default().with_file(&file).http("off").external_broker(broker.port()).start();
    let probes = Http::new(server.probes().expect("an address"), "");
    let report = probes.get("/readyz").await;
    assert_eq!((report.status, &report.json()["status"]), (503, &json!("unavailable")), "{}", report.body);
    assert_eq!(probes.get("/livez").await.status, 200);
}

#[tokio::test]
async fn the_server_outlives_its_broker() {
    let broker = Mosquitto::start();
    let server = Launch::default().with_file(SOON).external_broker(broker.port()).start();
    let mut world = World { server, broker: Some(broker) };
    world.until_mqtt_is("up").await;
    let mut sensor = world.ae("Csensor", "sensor").await;
    sensor.create("cse-in/sensor", 3, json!({"m2m:cnt": {"rn": "log"}})).await.expect(2001);
    let mut listener = world.ae("Clistener", "listener").await;
    let subscription = json!({"m2m:sub": {"rn": "s", "nu": ["/id-in/Clistener"], "enc": {"net": [3]}}});
    let subscribed = json!({"op": 1, "to": "cse-in/sensor/log", "ty": 23, "pc": subscription});
    let identifier = sensor.send(subscribed).await;
    let question = listener.next_request().await;
    listener.respond(&question, 2000).await;
    sensor.answer_to(&identifier).await.expect(2001);

    world.broker.as_mut().expect("there").stop();
    world.until_mqtt_is("down").await;
    let http = world.http("Csensor");
    let created = http.create("/cse-in/sensor/log", 4, &json!({"m2m:cin": {"con": "in the dark"}})).await;
    assert_eq!(created.expect(2001).status, 201);
    assert_eq!(http.get("/readyz").await.status, 200, "HTTP is enough");

    world.broker.as_mut().expect("there").run();
    world.until_mqtt_is("up").await;
    // What happened meanwhile is told late, but it is told.
    let notification = listener.next_request().await;
    let told = &notification.primitive["pc"]["m2m:sgn"]["nev"]["rep"]["m2m:cin"]["con"];
    assert_eq!(told, "in the dark", "{}", notification.primitive);
    listener.respond(&notification, 2000).await;
    // Another client: the library of the first may still be looking for the broker.
    drop(sensor);
    let mut sensor = Entity::connect(world.port(), "Csensor").await;
    assert_eq!(sensor.retrieve("cse-in/sensor/log/la").await.expect(2000).resource()["con"], "in the dark");
}

#[tokio::test]
async fn what_was_sent_while_the_server_was_away_is_carried_out_once() {
    let world = World::external().await;
    let mut sensor = world.ae("Csensor", "sensor").await;
    sensor.create("cse-in/sensor", 3, json!({"m2m:cnt": {"rn": "log"}})).await.expect(2001);
    let World { server, broker: _broker } = world;
    let launch = server.launch().clone();
    server.kill();
    let mut identifiers = Vec::new();
    for value in 0..20 {
        let content = json!({"m2m:cin": {"con": value.to_string()}});
        identifiers.push(sensor.send(json!({"op": 1, "to": "cse-in/sensor/log", "ty": 4, "pc": content})).await);
    }
    let _server = launch.start();
    for identifier in &identifiers {
        sensor.answer_to(identifier).await.expect(2001);
    }
    assert_eq!(sensor.retrieve("cse-in/sensor/log").await.expect(2000).resource()["cni"], 20);
}
