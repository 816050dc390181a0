//! Requests that expire (`rqet`) while they wait for a server that is away are answered 4008 and not carried out.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cse_core::time::Timestamp;
use cse_tests::device::Device;
use cse_tests::mosquitto::Mosquitto;
use cse_tests::port::ReservedPort;
use cse_tests::server::Launch;
use cse_tests::wait::until_some;
use serde_json::json;

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    Timestamp::from_micros(i64::try_from(since.as_micros()).expect("not that far"))
}

/// Registers, sends while the server is away, and looks when it is back.
async fn what_expired_meanwhile_is_refused(launch: Launch, port: u16) {
    let server = launch.start();
    let mut device = Device::connect(port, "Cdevice").await;
    let ae = json!({"m2m:ae": {"rn": "device", "api": "N.test", "rr": true, "srv": ["3"]}});
    let container = json!({"m2m:cnt": {"rn": "log"}});
    for (to, ty, content) in [("cse-in", 2, ae), ("cse-in/device", 3, container)] {
        // Over an external broker, the server may not be subscribed yet.
        let mut create = json!({"op": 1, "to": to, "ty": ty, "pc": content});
        let http = cse_tests::http::Http::new(server.http(), "CAdmin");
        until_some("the server is subscribed", async || {
            (http.get("/readyz").await.json()["parts"]["mqtt"]["state"] == "up").then_some(())
        })
        .await;
        create["rqi"] = json!(to);
        let identifier = device.send(create).await;
        assert_eq!(device.answer_to(&identifier).await["rsc"], 2001);
    }
    device.all_acknowledged().await;
    server.kill();

    let soon = now().plus(Duration::from_millis(300));
    let later = now().plus(Duration::from_secs(3_600));
    let mut sent = Vec::new();
    for (value, expires) in [("a", Some(soon)), ("b", Some(later)), ("c", None), ("d", Some(soon))] {
        let mut create = json!({
            "op": 1, "to": "cse-in/device/log", "ty": 4, "pc": {"m2m:cin": {"con": value}}
        });
        if let Some(expires) = expires {
            create["rqet"] = json!(expires.to_string());
        }
        sent.push((device.send(create).await, if expires == Some(soon) { 4008 } else { 2001 }));
    }
    until_some("it is too late for two of them", async || (now() > soon).then_some(())).await;
    let _server = launch.start();
    for (identifier, expected) in &sent {
        let answer = device.answer_to(identifier).await;
        assert_eq!(answer["rsc"], *expected, "{answer}");
    }
    let list = device.send(json!({"op": 2, "to": "cse-in/device/log", "rcn": 8})).await;
    let list = device.answer_to(&list).await;
    let instances = list["pc"]["m2m:cnt"]["m2m:cin"].as_array().expect("instances");
    let kept: Vec<_> = instances.iter().map(|instance| instance["con"].as_str().expect("text")).collect();
    assert_eq!(kept, ["b", "c"]);
}

#[tokio::test]
async fn requests_that_expire_in_an_external_broker_are_answered_4008() {
    let broker = Mosquitto::start();
    let launch = Launch::default().external_broker(broker.port());
    what_expired_meanwhile_is_refused(launch, broker.port()).await;
}

#[tokio::test]
async fn requests_that_expire_before_the_embedded_broker_is_back_are_answered_4008() {
    let port = ReservedPort::take();
    let launch = Launch::default().mqtt(&format!("127.0.0.1:{}", port.number()));
    what_expired_meanwhile_is_refused(launch, port.number()).await;
}
