//! What an operator's tools read: probes, metrics and log.

use cse_tests::http::Http;
use cse_tests::metrics::sample_of;
use cse_tests::mqtt::Entity;
use cse_tests::packets::Packets;
use cse_tests::server::Launch;
use cse_tests::wait::{in_time, until_some};
use rumqttc::mqttbytes::v4::Packet;
use serde_json::{Value, json};

#[tokio::test]
async fn probes_say_what_is_up() {
    let server = Launch::default().start();
    let http = Http::new(server.http(), "");
    let alive = http.get("/livez").await;
    assert_eq!((alive.status, alive.body.as_str()), (200, "ok\n"));
    let report = until_some("everything is up", async || {
        let report = http.get("/readyz").await;
        let json = report.json();
        (["store", "http", "mqtt"].iter().all(|part| json["parts"][part]["state"] == "up")).then_some(report)
    })
    .await;
    assert_eq!((report.status, &report.json()["status"]), (200, &json!("ready")));
    assert_eq!(report.header("content-type"), Some("application/json"));
    assert_eq!(report.header("cache-control"), Some("no-store"));
}

#[tokio::test]
async fn metrics_count_what_happens() {
    let server = Launch::default().start();
    let http = Http::new(server.http(), "CAdmin");
    let page = http.get("/metrics").await;
    assert!(page.header("content-type").is_some_and(|text| text.starts_with("application/openmetrics-text")));
    assert!(page.body.ends_with("# EOF\n"), "{}", page.body);
    let before = |name: &str| sample_of(&page.body, name).unwrap_or_else(|| panic!("{name}\n{}", page.body));
    let names = [
        "cse_requests_total{operation=\"create\"}",
        "cse_requests_total{operation=\"retrieve\"}",
        "cse_requests_refused_total",
        "cse_redeliveries_total",
        "cse_mqtt_answered_total",
    ];
    let begin = names.map(before);

    http.create("/cse-in", 3, &json!({"m2m:cnt": {"rn": "log"}})).await.expect(2001);
    http.get("/cse-in/log").await.expect(2000);
    http.get("/cse-in/nothing").await.expect(4004);
    let filters = ["/oneM2M/resp/CAdmin/id-in/#".to_owned()];
    let mut packets = Packets::connect(server.mqtt_port(), "A::CAdmin", &filters).await.expect("connected");
    let request = json!({
        "op": 1, "fr": "CAdmin", "to": "cse-in/log", "ty": 4, "rqi": "1", "rvi": "3", "pc": {"m2m:cin": {"con": "1"}}
    });
    for dup in [false, true] {
        let payload = request.to_string();
        packets.publish("/oneM2M/req/CAdmin/id-in/json", 1, dup, payload.as_bytes()).await.expect("sent");
        in_time("an answer", async {
            while !matches!(packets.next().await.expect("connected"), Packet::Publish(_)) {}
        })
        .await;
    }

    let page = http.get("/metrics").await.body;
    let after = names.map(|name| sample_of(&page, name).expect("still there"));
    let grown: Vec<_> = begin.iter().zip(after).map(|(begin, after)| after - begin).collect();
    // The redelivery is a request, too.
    assert_eq!(grown, [3.0, 2.0, 1.0, 1.0, 2.0], "{names:?}\n{page}");
    for gauge in ["process_resident_memory_bytes", "process_open_fds", "cse_broker_clients_connected"] {
        assert!(sample_of(&page, gauge).is_some_and(|value| value > 0.0), "{gauge}\n{page}");
    }
}

#[tokio::test]
async fn probes_are_no_resources_and_can_be_elsewhere_or_off() {
    let own = Launch::default().with_file("[monitoring]\nlisten = \"127.0.0.1:0\"\n").start();
    let probes = Http::new(own.probes().expect("an address"), "");
    assert_eq!(probes.get("/readyz").await.status, 200);
    assert_eq!(probes.get("/cse-in").await.status, 404);
    assert_eq!(Http::new(own.http(), "CAdmin").get("/livez").await.rsc(), 4004);

    let off = Launch::default().with_file("[monitoring]\nlisten = \"off\"\n").start();
    for path in ["/livez", "/readyz", "/metrics"] {
        assert_eq!(Http::new(off.http(), "CAdmin").get(path).await.rsc(), 4004, "{path}");
    }
}

#[tokio::test]
async fn the_log_tells_of_requests_but_not_of_their_contents() {
    let server = Launch::default().with(&["--log", "debug", "--log-format", "json"]).start();
    let mut sensor = Entity::registered(server.mqtt_port(), "Csensor", "sensor", Value::Null).await;
    sensor.create("cse-in/sensor", 3, json!({"m2m:cnt": {"rn": "log"}})).await.expect(2001);
    sensor.create("cse-in/sensor/log", 4, json!({"m2m:cin": {"con": "my-secret-value"}})).await.expect(2001);
    let log = server.log().text();
    assert!(log.lines().all(|line| serde_json::from_str::<Value>(line).is_ok_and(|line| line["level"].is_string())));
    assert!(!log.contains("my-secret-value"), "{log}");
}
