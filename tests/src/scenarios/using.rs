//! Registration, the everyday operations, groups and discovery.

use serde_json::json;

use super::World;
use crate::mqtt::Entity;

/// TS-0010 §7.4.4: without AE-ID, the registration goes by a Credential-ID of the client's choice.
pub async fn an_ae_is_given_an_identifier(world: World) {
    for (credential, from) in [("1-aa", json!("C")), ("1-bb", json!("")), ("1-cc", json!(null)), ("1-dd", json!("S"))] {
        let mut entity = Entity::connect(world.port(), credential).await;
        let mut request = json!({
            "op": 1, "to": "cse-in", "rqi": credential, "rvi": "3", "ty": 2,
            "pc": {"m2m:ae": {"api": "N.test", "rr": true, "srv": ["3"]}}
        });
        if !from.is_null() {
            request["fr"] = from.clone();
        }
        entity.publish(&format!("/oneM2M/reg_req/{credential}/id-in/json"), request.to_string()).await;
        let answer = entity.next_answer().await;
        assert_eq!(answer.topic, format!("/oneM2M/reg_resp/{credential}/id-in/json"));
        let (answer, ae) = (&answer.primitive, &answer.primitive["pc"]["m2m:ae"]);
        assert_eq!((&answer["rsc"], &answer["rqi"]), (&json!(2001), &json!(credential)), "{answer}");
        let identifier = ae["aei"].as_str().expect("an AE-ID");
        let stem = from.as_str().filter(|from| !from.is_empty()).unwrap_or("C");
        assert!(identifier.starts_with(stem) && identifier.len() > 1, "{ae}");

        // Under the new identifier, it can read itself.
        let mut ae = Entity::connect(world.port(), identifier).await;
        let read = ae.retrieve(identifier).await.expect(2000);
        assert_eq!(read.resource()["aei"], identifier);
    }
}

/// An AE that knows its AE-ID uses it at once.
pub async fn an_ae_registers_under_its_own_identifier(world: World) {
    let mut sensor = world.ae("Csensor", "sensor").await;
    let ae = sensor.retrieve("cse-in/sensor").await.expect(2000);
    assert_eq!((&ae.resource()["aei"], &ae.resource()["ri"]), (&json!("Csensor"), &json!("Csensor")));
    let again = json!({"m2m:ae": {"rn": "other", "api": "N.test", "rr": true, "srv": ["3"]}});
    let again = sensor.create("cse-in", 2, again).await.expect(4117);
    assert!(again.explanation().contains("Csensor"), "{}", again.0);

    let mut stranger = Entity::connect(world.port(), "Xstranger").await;
    let refused = json!({"m2m:ae": {"api": "N.test", "rr": true, "srv": ["3"]}});
    let refused = stranger.create("cse-in", 2, refused).await.expect(4000);
    assert!(refused.explanation().contains("Xstranger"), "{}", refused.0);
    stranger.retrieve("cse-in/sensor").await.expect(4103);
}

/// CREATE, RETRIEVE, UPDATE and DELETE, with what each answers.
pub async fn resources_are_created_read_changed_and_deleted(world: World) {
    let mut sensor = world.ae("Csensor", "sensor").await;
    let created = sensor.create("cse-in/sensor", 3, json!({"m2m:cnt": {"rn": "log", "lbl": ["a"]}})).await.expect(2001);
    assert_eq!((&created.0["to"], &created.resource()["cni"]), (&serde_json::Value::Null, &json!(0)));
    assert_eq!(created.0["rvi"], "3");
    sensor.create("cse-in/sensor", 3, json!({"m2m:cnt": {"rn": "log"}})).await.expect(4105);

    for value in ["1", "zwei", "Γ3"] {
        sensor.create("cse-in/sensor/log", 4, json!({"m2m:cin": {"con": value}})).await.expect(2001);
    }
    assert_eq!(sensor.retrieve("cse-in/sensor/log/la").await.expect(2000).resource()["con"], "Γ3");
    assert_eq!(sensor.retrieve("/id-in/cse-in/sensor/log/ol").await.expect(2000).resource()["con"], "1");
    let log = sensor.retrieve("//cse.example/id-in/cse-in/sensor/log").await.expect(2000);
    assert_eq!((&log.resource()["cni"], &log.resource()["cbs"]), (&json!(3), &json!(1 + 4 + 3)));

    let updated = sensor.update("cse-in/sensor/log", json!({"m2m:cnt": {"mni": 2, "lbl": null}})).await.expect(2004);
    assert_eq!(updated.resource()["mni"], 2);
    let log = sensor.retrieve("cse-in/sensor/log").await.expect(2000);
    assert_eq!((&log.resource()["cni"], log.resource().get("lbl")), (&json!(2), None));

    sensor.delete("cse-in/sensor/log").await.expect(2002);
    let gone = sensor.retrieve("cse-in/sensor/log").await.expect(4004);
    assert!(gone.explanation().contains("cse-in/sensor/log"), "{}", gone.0);
}

/// A request to `fopt` is carried out on every member.
pub async fn a_group_reaches_its_members(world: World) {
    let mut sensor = world.ae("Csensor", "sensor").await;
    for name in ["a", "b"] {
        sensor.create("cse-in/sensor", 3, json!({"m2m:cnt": {"rn": name}})).await.expect(2001);
    }
    let members = ["cse-in/sensor/a", "cse-in/sensor/b"];
    let group = json!({"m2m:grp": {"rn": "both", "mnm": 5, "mt": 3, "mid": members}});
    sensor.create("cse-in/sensor", 9, group).await.expect(2001);
    let fanned = sensor.create("cse-in/sensor/both/fopt", 4, json!({"m2m:cin": {"con": "7"}})).await.expect(2000);
    let answers = fanned.0["pc"]["m2m:agr"]["m2m:rsp"].as_array().expect("answers");
    let statuses: Vec<_> = answers.iter().map(|answer| answer["rsc"].as_u64()).collect();
    assert_eq!(statuses, [Some(2001); 2], "{}", fanned.0);
    for member in members {
        assert_eq!(sensor.retrieve(&format!("{member}/la")).await.expect(2000).resource()["con"], "7");
    }
    let latest = sensor.retrieve("cse-in/sensor/both/fopt/la").await.expect(2000);
    let answers = latest.0["pc"]["m2m:agr"]["m2m:rsp"].as_array().expect("answers");
    assert!(answers.iter().all(|answer| answer["pc"]["m2m:cin"]["con"] == "7"), "{}", latest.0);
}

/// Discovery by type and label.
pub async fn discovery_lists_what_matches(world: World) {
    let mut sensor = world.ae("Csensor", "sensor").await;
    for (name, label) in [("a", "x"), ("b", "y"), ("c", "x")] {
        sensor.create("cse-in/sensor", 3, json!({"m2m:cnt": {"rn": name, "lbl": [label]}})).await.expect(2001);
    }
    for (criteria, expected) in [
        (json!({"fu": 1, "lbl": ["x"]}), &["cse-in/sensor/a", "cse-in/sensor/c"][..]),
        (json!({"fu": 1, "ty": [2]}), &["cse-in/sensor"]),
        (json!({"fu": 1, "ty": [3], "lim": 1}), &["cse-in/sensor/a"]),
        (json!({"fu": 1, "lbl": ["nowhere"]}), &[]),
    ] {
        let found = sensor.request(json!({"op": 2, "to": "cse-in", "fc": criteria})).await.expect(2000);
        let mut found: Vec<_> =
            found.0["pc"]["m2m:uril"].as_array().expect("a list").iter().filter_map(|uri| uri.as_str()).collect();
        found.sort_unstable();
        assert_eq!(found, expected, "{criteria}");
    }
}
