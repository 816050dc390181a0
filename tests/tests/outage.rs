//! A gateway whose registrar is away, as processes: its devices work on, it is killed meanwhile, and when the registrar is
//! back everything arrives, in order and once.

use cse_tests::gateways::{Over, Place, contents, gateway, registered, uplink};
use cse_tests::http::Http;
use cse_tests::receiver::Receiver;
use cse_tests::server::Server;
use cse_tests::wait::until_some;
use serde_json::{Value, json};

/// What is made of each kind while the registrar is away; in the middle of it the gateway is killed.
const COUNT: usize = 30;

fn ae(name: &str, more: Value) -> Value {
    let mut ae = json!({"rn": name, "api": "Ntest", "rr": true, "srv": ["3"]});
    let more = more.as_object().cloned().unwrap_or_default();
    ae.as_object_mut().expect("an object").extend(more);
    json!({"m2m:ae": ae})
}

fn policy(name: &str, who: &[&str], operations: u32) -> Value {
    let admin = json!({"acr": [{"acor": ["CAdmin"], "acop": 63}]});
    json!({"m2m:acp": {"rn": name, "pv": {"acr": [{"acor": who, "acop": operations}]}, "pvs": admin}})
}

/// What the log of the IN-CSE has, oldest first.
async fn log(infrastructure: &Server) -> Vec<String> {
    contents(infrastructure, "/cse-in/log").await
}

/// One of each kind: data of which somebody above is told, a request for the IN-CSE, an announced container.
async fn work(sensor: &Http, value: usize) {
    let instance = json!({"m2m:cin": {"con": value.to_string()}});
    sensor.create("/cse-mn/sensor/data", 4, &instance).await.expect(2001);
    sensor.create("/~/id-in/cse-in/log?rt=1", 4, &instance).await.expect(1001);
    let container = json!({"m2m:cnt": {"rn": format!("c{value}"), "at": ["/id-in"]}});
    sensor.create("/cse-mn/sensor", 3, &container).await.expect(2001);
    assert_eq!(sensor.get("/cse-mn/sensor/data/la").await.expect(2000).json()["m2m:cin"]["con"], value.to_string());
}

async fn survives(over: Over) {
    let place = Place::reserve();
    let infrastructure = place.infrastructure().start();
    let mut viewer = Receiver::start().await;
    let admin = Http::new(infrastructure.http(), "CAdmin");
    admin.create("/cse-in", 1, &policy("told", &["/id-mn"], 16)).await.expect(2001);
    admin.create("/cse-in", 1, &policy("writes", &["/id-mn/Csensor"], 63)).await.expect(2001);
    admin.create("/cse-in", 3, &json!({"m2m:cnt": {"rn": "log", "acpi": ["cse-in/writes"]}})).await.expect(2001);
    let attributes = json!({"poa": [viewer.url()], "acpi": ["cse-in/told"]});
    Http::new(infrastructure.http(), "Cviewer").create("/cse-in", 2, &ae("viewer", attributes)).await.expect(2001);

    let mn = gateway("mn", "in", &place.point_of_access(over), "").start();
    registered(&mn).await;
    let sensor = Http::new(mn.http(), "Csensor");
    sensor.create("/cse-mn", 2, &ae("sensor", json!({}))).await.expect(2001);
    sensor.create("/cse-mn/sensor", 3, &json!({"m2m:cnt": {"rn": "data"}})).await.expect(2001);
    let subscription = json!({"m2m:sub": {"nu": ["/id-in/Cviewer"], "enc": {"net": [3]}, "nct": 1}});
    sensor.create("/cse-mn/sensor/data", 23, &subscription).await.expect(2001);
    let (_, verification) = viewer.next().await;
    assert_eq!(verification["m2m:sgn"]["vrq"], true, "{over:?}: {verification}");

    let launch = infrastructure.launch().clone();
    infrastructure.kill();
    for value in 0..COUNT / 2 {
        work(&sensor, value).await;
    }
    let mn_launch = mn.launch().clone();
    mn.kill();
    let mn = mn_launch.start();
    let sensor = Http::new(mn.http(), "Csensor");
    for value in COUNT / 2..COUNT {
        work(&sensor, value).await;
    }
    let waiting = format!("{COUNT} non-blocking requests, {COUNT} announcements");
    until_some("the backlog", async || {
        let (status, uplink) = uplink(&mn).await;
        assert_eq!(status, 200);
        let problem = uplink["problem"].as_str().unwrap_or_default();
        (problem.contains(&waiting) && problem.contains(&format!("waiting: {COUNT} notifications"))).then_some(())
    })
    .await;

    let infrastructure = launch.start();
    registered(&mn).await;
    let expected: Vec<String> = (0..COUNT).map(|value| value.to_string()).collect();
    let mut told = Vec::new();
    for _ in 0..COUNT {
        let (_, content) = viewer.next().await;
        told.push(content["m2m:sgn"]["nev"]["rep"]["m2m:cin"]["con"].as_str().expect("content").to_owned());
    }
    assert_eq!(told, expected, "{over:?}");
    let admin = Http::new(infrastructure.http(), "CAdmin");
    until_some("requests and copies", async || {
        let copies = admin.get("/cse-in?fu=1&ty=10003").await.expect(2000).json();
        let count = copies["m2m:uril"].as_array().map_or(0, Vec::len);
        (count == COUNT && log(&infrastructure).await.len() == COUNT).then_some(())
    })
    .await;
    assert_eq!(log(&infrastructure).await, expected, "{over:?}");
    let page = until_some("nothing that waits", async || {
        let page = Http::new(mn.http(), "").get("/metrics").await.body;
        let empty = ["notifications", "non_blocking", "announcements"].map(|kind| format!("\ncse_{kind}_waiting 0\n"));
        empty.iter().all(|line| page.contains(line)).then_some(page)
    })
    .await;
    for lost in ["notifications_given_up", "non_blocking_given_up", "announcements_dropped"] {
        assert!(page.contains(&format!("\ncse_{lost}_total 0\n")), "{over:?}: {page}");
    }
    assert_eq!(viewer.waiting(), 0, "{over:?}: told of something twice");
}

#[tokio::test]
async fn what_waited_goes_in_order_and_once_over_mqtt() {
    survives(Over::Mqtt).await;
}

#[tokio::test]
async fn what_waited_goes_in_order_and_once_over_http() {
    survives(Over::Http).await;
}
