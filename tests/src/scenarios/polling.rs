//! An entity that fetches requests by its polling channel.

use serde_json::{Value, json};

use super::World;
use crate::mqtt::Entity;

/// Over MQTT, too: a poll waits while its originator goes on with other things.
pub async fn a_poll_waits_beside_other_requests(world: World) {
    let mut meter = Entity::registered(world.port(), "Cmeter", "meter", json!({"rr": false})).await;
    meter.create("cse-in/meter", 15, json!({"m2m:pch": {"rn": "pch"}})).await.expect(2001);
    meter.create("cse-in/meter", 3, json!({"m2m:cnt": {"rn": "log"}})).await.expect(2001);
    let subscription = json!({"m2m:sub": {"rn": "s", "nu": ["Cmeter"], "enc": {"net": [3]}, "nct": 1}});
    meter.create("cse-in/meter/log", 23, subscription).await.expect(2001);
    for value in ["1", "2", "3"] {
        let poll = meter.send(json!({"op": 2, "to": "cse-in/meter/pch/pcu", "rqet": "50000"})).await;
        meter.retrieve("cse-in/meter").await.expect(2000);
        let instance = json!({"m2m:cin": {"con": value}});
        let create = meter.send(json!({"op": 1, "to": "cse-in/meter/log", "ty": 4, "pc": instance})).await;
        let answers = [meter.next_answer().await.primitive, meter.next_answer().await.primitive];
        let answer_to = |identifier: &str| -> &Value {
            let found = answers.iter().find(|answer| answer["rqi"] == identifier);
            found.unwrap_or_else(|| panic!("no answer to {identifier}: {answers:?}"))
        };
        assert_eq!(answer_to(&create)["rsc"], 2001);
        let fetched = answer_to(&poll);
        assert_eq!(fetched["rsc"], 2000, "{fetched}");
        let request = &fetched["pc"]["m2m:rqp"];
        assert_eq!(request["pc"]["m2m:sgn"]["nev"]["rep"]["m2m:cin"]["con"], value, "{fetched}");
        let response = json!({"m2m:rsp": {"rsc": 2000, "rqi": request["rqi"]}});
        meter.request(json!({"op": 5, "to": "cse-in/meter/pch/pcu", "pc": response})).await.expect(2000);
    }
    assert_eq!(meter.requests_waiting(), 0, "nothing came otherwise");
}
