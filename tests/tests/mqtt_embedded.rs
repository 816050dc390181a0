//! oneM2M over MQTT with nothing but the server: its own broker.

use cse_tests::mqtt::Entity;
use cse_tests::scenarios::World;
use serde_json::json;

cse_tests::mqtt_scenarios!(World::embedded());

/// The broker knows that the first answer has arrived, so the same words again are a new request.
#[tokio::test]
async fn the_same_request_again_is_new_once_it_is_answered() {
    let world = World::embedded();
    let mut sensor = world.ae("Csensor", "sensor").await;
    sensor.create("cse-in/sensor", 3, json!({"m2m:cnt": {"rn": "log"}})).await.expect(2001);
    let request = json!({"op": 1, "to": "cse-in/sensor/log", "ty": 4, "rqi": "same", "pc": {"m2m:cin": {"con": "1"}}});
    for _ in 0..3 {
        sensor.request(request.clone()).await.expect(2001);
        // A later answer that has arrived shows that the acknowledgement of the one before has, too.
        sensor.retrieve("cse-in/sensor").await.expect(2000);
        sensor.retrieve("cse-in/sensor").await.expect(2000);
    }
    assert_eq!(sensor.retrieve("cse-in/sensor/log").await.expect(2000).resource()["cni"], 3);
}

/// Sessions end with the process; entities come back by themselves and find everything as it was.
#[tokio::test]
async fn entities_find_everything_after_a_restart() {
    let world = World::embedded();
    let mut sensor = world.ae("Csensor", "sensor").await;
    sensor.create("cse-in/sensor", 3, json!({"m2m:cnt": {"rn": "log"}})).await.expect(2001);
    sensor.create("cse-in/sensor/log", 4, json!({"m2m:cin": {"con": "kept"}})).await.expect(2001);
    let server = world.server.restart();
    let mut sensor = Entity::connect(server.mqtt_port(), "Csensor").await;
    assert_eq!(sensor.retrieve("cse-in/sensor/log/la").await.expect(2000).resource()["con"], "kept");
}
