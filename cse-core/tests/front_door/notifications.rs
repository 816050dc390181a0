//! Which events are notified, and what a notification says (TS-0004 §7.5.1.2.2).

use std::time::Duration;

use cse_core::error::Rsc;
use cse_core::primitive::{Operation, ResultContent};

use crate::harness::json;
use crate::notified::{LOG, Note, TARGET, contents, events, sensor_with_log};

#[tokio::test]
async fn without_criteria_updates_are_notified_and_nothing_else() {
    let (cse, sensor) = sensor_with_log().await;
    sensor.subscribe(LOG, &format!(r#""rn":"s","nu":["{TARGET}"]"#)).await;
    sensor.instance(LOG, "1").await.created();
    sensor.retrieve(LOG).await.ok();
    sensor.update(LOG, r#"{"m2m:cnt":{"lbl":["a"]}}"#).await.updated();
    let notes = cse.notes().await;
    assert_eq!(events(&notes), [1], "counters and new instances are no updates");
    let (root, attributes) = notes[0].representation();
    assert_eq!(root, "m2m:cnt");
    assert_eq!((attributes.texts("lbl").next(), attributes.int("cni")), (Some("a"), Some(1)));
    let sub = sensor.retrieve("cse-in/sensor/log/s").await.resource();
    assert_eq!(notes[0].sgn().text("sur"), Some(format!("/id-in/{}", sub.text("ri").unwrap()).as_str()));
    assert_eq!(notes[0].request.from.as_deref(), Some("/id-in"));
    assert_eq!(notes[0].request.operation, Operation::Notify);
}

#[tokio::test]
async fn the_notification_has_the_content_that_is_asked_for() {
    let (cse, sensor) = sensor_with_log().await;
    for (name, nct) in [("all", 1), ("modified", 2), ("id", 3)] {
        sensor.subscribe(LOG, &format!(r#""rn":"{name}","nct":{nct},"nu":["http://{name}.example/"]"#)).await;
    }
    sensor.update(LOG, r#"{"m2m:cnt":{"lbl":["a"],"mni":null}}"#).await.updated();
    let notes = cse.notes().await;
    let of = |name: &str| notes.iter().find(|note| note.destination.contains(name)).unwrap().representation();
    assert!(of("all").1.len() > 5);
    assert_eq!(of("modified"), ("m2m:cnt".into(), json(r#"{"lbl":["a"],"mni":null}"#)));
    let log = sensor.retrieve(LOG).await.resource();
    let id = format!("/id-in/{}", log.text("ri").unwrap());
    assert_eq!(of("id"), ("m2m:uri".into(), json(&format!(r#"{{"value":"{id}"}}"#))));
}

#[tokio::test]
async fn an_update_of_other_attributes_is_not_notified() {
    let (cse, sensor) = sensor_with_log().await;
    sensor.subscribe(LOG, &format!(r#""nu":["{TARGET}"],"enc":{{"net":[1],"atr":["lbl"]}}"#)).await;
    sensor.update(LOG, r#"{"m2m:cnt":{"mni":9}}"#).await.updated();
    assert_eq!(cse.notes().await.len(), 0);
    sensor.update(LOG, r#"{"m2m:cnt":{"mni":8,"lbl":["a"]}}"#).await.updated();
    assert_eq!(events(&cse.notes().await), [1]);
}

#[tokio::test]
async fn creation_and_deletion_of_children_are_notified_by_type() {
    let (cse, sensor) = sensor_with_log().await;
    let instances = format!(r#""rn":"i","nu":["{TARGET}"],"enc":{{"net":[3,4],"chty":[4]}}"#);
    sensor.subscribe(LOG, &instances).await;
    sensor.container(LOG, "inner").await.created();
    sensor.instance(LOG, "1").await.created();
    let notes = cse.notes().await;
    assert_eq!(events(&notes), [3], "containers are not asked for");
    let (root, attributes) = notes[0].representation();
    assert_eq!((root.as_str(), attributes.text("con")), ("m2m:cin", Some("1")));
    sensor.delete("cse-in/sensor/log/la").await.deleted();
    sensor.delete("cse-in/sensor/log/inner").await.deleted();
    let notes = cse.notes().await;
    assert_eq!(events(&notes), [4]);
    assert_eq!(notes[0].representation().1.text("con"), Some("1"), "what was deleted");
}

#[tokio::test]
async fn several_event_types_can_be_asked_for_together() {
    let (cse, sensor) = sensor_with_log().await;
    sensor.subscribe(LOG, &format!(r#""rn":"s","nu":["{TARGET}"],"enc":{{"net":[1,2,3,4]}}"#)).await;
    sensor.update(LOG, r#"{"m2m:cnt":{"lbl":["a"]}}"#).await.updated();
    sensor.instance(LOG, "1").await.created();
    sensor.delete("cse-in/sensor/log/ol").await.deleted();
    sensor.delete(LOG).await.deleted();
    assert_eq!(events(&cse.notes().await), [1, 3, 4, 2]);
}

#[tokio::test]
async fn the_deletion_of_a_tree_is_notified_for_each_subscribed_resource_in_it() {
    let (cse, sensor) = sensor_with_log().await;
    sensor.container(LOG, "inner").await.created();
    sensor.instance("cse-in/sensor/log/inner", "1").await.created();
    for path in [LOG, "cse-in/sensor/log/inner"] {
        sensor.subscribe(path, &format!(r#""nu":["{TARGET}"],"enc":{{"net":[2]}}"#)).await;
    }
    sensor.subscribe("cse-in/sensor", &format!(r#""nu":["{TARGET}"],"enc":{{"net":[4]}}"#)).await;
    sensor.delete(LOG).await.deleted();
    let notes = cse.notes().await;
    assert_eq!(events(&notes), [4, 2, 2]);
    let names: Vec<_> = notes.iter().map(|note| note.representation().1.text("rn").unwrap().to_owned()).collect();
    assert_eq!(names, ["log", "log", "inner"]);
}

#[tokio::test]
async fn what_expires_is_notified_as_deleted() {
    let (cse, sensor) = sensor_with_log().await;
    sensor.subscribe("cse-in/sensor", &format!(r#""nu":["{TARGET}"],"enc":{{"net":[4]}}"#)).await;
    sensor.update(LOG, r#"{"m2m:cnt":{"et":"20260101T120010"}}"#).await.updated();
    cse.network.clear();
    cse.pass(Duration::from_secs(11)).await;
    let notes = cse.notes_of(1).await;
    assert_eq!(notes[0].net(), 4);
    assert_eq!(notes[0].representation().1.text("rn"), Some("log"));
}

#[tokio::test]
async fn evictions_are_not_notified() {
    let (cse, sensor) = sensor_with_log().await;
    sensor.update(LOG, r#"{"m2m:cnt":{"mni":2}}"#).await.updated();
    sensor.subscribe(LOG, &format!(r#""nu":["{TARGET}"],"enc":{{"net":[1,3,4]}}"#)).await;
    for value in ["1", "2", "3", "4"] {
        sensor.instance(LOG, value).await.created();
    }
    assert_eq!(events(&cse.notes().await), [3, 3, 3, 3]);
}

#[tokio::test]
async fn the_retrieval_of_an_empty_container_is_notified() {
    let (cse, sensor) = sensor_with_log().await;
    sensor.subscribe(LOG, &format!(r#""nu":["{TARGET}"],"enc":{{"net":[5]}}"#)).await;
    let mut with_children = sensor.request(Operation::Retrieve, LOG);
    with_children.result_content = Some(ResultContent::ChildResources);
    sensor.retrieve(LOG).await.ok();
    assert_eq!(cse.notes().await.len(), 0, "instances were not asked for");
    cse.send(with_children.clone()).await;
    let notes = cse.notes().await;
    assert_eq!(events(&notes), [5]);
    assert_eq!(notes[0].representation().1.text("rn"), Some("log"));
    sensor.instance(LOG, "1").await.created();
    cse.send(with_children).await;
    assert_eq!(cse.notes().await.len(), 0, "there is an instance");
}

#[tokio::test]
async fn accesses_are_notified_whether_they_succeed_or_not() {
    let (cse, sensor) = sensor_with_log().await;
    let other = cse.register("Cother", "other").await;
    // RETRIEVE and UPDATE of Cother; DELETE of anybody.
    let monitors = r#"[{"ops":6,"or":"Cother"},{"ops":8}]"#;
    sensor.subscribe(LOG, &format!(r#""nu":["{TARGET}"],"enc":{{"om":{monitors}}}"#)).await;
    sensor.retrieve(LOG).await.ok();
    sensor.update(LOG, r#"{"m2m:cnt":{"lbl":["a"]}}"#).await.updated();
    assert_eq!(cse.notes().await.len(), 0, "only of Cother");
    other.retrieve(LOG).await.refused(Rsc::OriginatorHasNoPrivilege, "Cother");
    other.update(LOG, r#"{"m2m:cnt":{"lbl":["b"]}}"#).await.refused(Rsc::OriginatorHasNoPrivilege, "Cother");
    other.instance(LOG, "1").await.refused(Rsc::OriginatorHasNoPrivilege, "Cother");
    let notes = cse.notes().await;
    let attempts = |notes: &[Note]| -> Vec<(i64, String)> {
        let om = |note: &Note| {
            let om = note.nev().get("om").unwrap().as_map().unwrap().clone();
            (om.int("op").unwrap(), om.text("or").unwrap().to_owned())
        };
        notes.iter().map(om).collect()
    };
    assert_eq!(attempts(&notes), [(2, "Cother".into()), (3, "Cother".into())]);
    assert_eq!(notes[0].representation().1.text("rn"), Some("log"));
    sensor.delete(LOG).await.deleted();
    assert_eq!(attempts(&cse.notes().await), [(4, "Csensor".into())]);
}

#[tokio::test]
async fn conditions_bound_what_is_notified() {
    let (cse, sensor) = sensor_with_log().await;
    let both = r#"{"net":[3],"sza":3,"szb":5}"#;
    sensor.subscribe(LOG, &format!(r#""rn":"size","nu":["{TARGET}"],"enc":{both}"#)).await;
    for value in ["12", "123", "1234", "12345"] {
        sensor.instance(LOG, value).await.created();
    }
    assert_eq!(contents(&cse.notes().await), ["123", "1234"]);
    sensor.delete("cse-in/sensor/log/size").await.deleted();
    let either = r#"{"net":[3],"fo":2,"sza":5,"stb":7}"#;
    sensor.subscribe(LOG, &format!(r#""nu":["{TARGET}"],"enc":{either}"#)).await;
    for value in ["a", "abcde", "b", "c"] {
        sensor.instance(LOG, value).await.created();
    }
    assert_eq!(contents(&cse.notes().await), ["abcde", "b", "c"]);
}

#[tokio::test]
async fn conditions_on_times_and_expiration() {
    let (cse, sensor) = sensor_with_log().await;
    for (name, condition) in [
        ("past", r#""crb":"20260101T120000""#),
        ("now", r#""crb":"20260101T120001","cra":"20260101T120000""#),
        ("late", r#""exa":"20991231T000000""#),
        ("soon", r#""exb":"20991231T000000""#),
        ("changed", r#""ms":"20260101T120005""#),
        ("unchanged", r#""us":"20260101T120005""#),
    ] {
        let members = format!(r#""rn":"{name}","nu":["http://{name}.example/"],"enc":{{"net":[1],{condition}}}"#);
        sensor.subscribe(LOG, &members).await;
    }
    cse.notes().await;
    cse.clock.turn(Duration::from_secs(6));
    sensor.update(LOG, r#"{"m2m:cnt":{"lbl":["a"]}}"#).await.updated();
    let mut told: Vec<String> = cse.notes().await.into_iter().map(|note| note.destination).collect();
    told.sort();
    assert_eq!(told, ["http://changed.example/", "http://now.example/", "http://soon.example/"]);
}

#[tokio::test]
async fn a_subscription_does_not_tell_of_itself() {
    let (cse, sensor) = sensor_with_log().await;
    sensor.subscribe(LOG, &format!(r#""rn":"s","nu":["{TARGET}"],"enc":{{"net":[3,4]}}"#)).await;
    sensor.delete("cse-in/sensor/log/s").await.deleted();
    assert_eq!(cse.notes().await.len(), 0);
}

#[tokio::test]
async fn the_subscriber_learns_of_the_end_of_the_subscription() {
    let (cse, sensor) = sensor_with_log().await;
    let members = r#""rn":"s","nu":["http://other.example/"],"enc":{"net":[3]},"su":"Csensor""#;
    let sub = sensor.subscribe(LOG, members).await;
    let reference = format!("/id-in/{}", sub.text("ri").unwrap());
    sensor.delete("cse-in/sensor/log/s").await.deleted();
    let notes = cse.notes().await;
    assert_eq!(notes.len(), 1);
    assert_eq!(notes[0].destination, "Csensor");
    assert_eq!((notes[0].sgn().bool("sud"), notes[0].sgn().text("sur")), (Some(true), Some(reference.as_str())));

    sensor.subscribe(LOG, members).await;
    sensor.delete(LOG).await.deleted();
    let notes = cse.notes().await;
    assert_eq!(notes.len(), 1, "also when it goes with its parent");
    assert_eq!(notes[0].sgn().bool("sud"), Some(true));
}

#[tokio::test]
async fn an_expired_subscription_tells_nothing_but_its_end() {
    let (cse, sensor) = sensor_with_log().await;
    sensor.subscribe(LOG, &format!(r#""nu":["{TARGET}"],"su":"Csensor","et":"20260101T120010""#)).await;
    cse.network.clear();
    cse.clock.turn(Duration::from_secs(11));
    sensor.update(LOG, r#"{"m2m:cnt":{"lbl":["a"]}}"#).await.updated();
    let notes = cse.notes_of(1).await;
    assert_eq!(notes[0].sgn().bool("sud"), Some(true), "{notes:?}");
    assert_eq!(cse.notes().await.len(), 1);
}

#[tokio::test]
async fn a_notify_to_an_ae_is_passed_on_to_it() {
    let (cse, sensor) = sensor_with_log().await;
    let other = cse.register("Cother", "other").await;
    let content = json(r#"{"m2m:sgn":{"sur":"x"}}"#);
    let mut request = sensor.request(Operation::Notify, "cse-in/sensor");
    request.content = Some(content.clone());
    assert_eq!(cse.send(request).await.status, Rsc::Ok);
    let sent = cse.network.sent(1).await;
    assert_eq!(sent[0].0.as_str(), "Csensor");
    assert_eq!(sent[0].1.content, Some(content.clone()));
    assert_eq!(sent[0].1.to, "Csensor");

    let mut request = other.request(Operation::Notify, "Csensor");
    request.content = Some(content.clone());
    assert_eq!(cse.send(request).await.status, Rsc::OriginatorHasNoPrivilege);
    let mut request = sensor.request(Operation::Notify, LOG);
    request.content = Some(content);
    assert_eq!(cse.send(request).await.status, Rsc::OperationNotAllowed);
    assert_eq!(cse.network.count(), 1);
}

#[tokio::test]
async fn requests_passed_on_have_identifiers_of_this_cse() {
    let (cse, sensor) = sensor_with_log().await;
    let mut request = sensor.request(Operation::Notify, "Csensor");
    request.request_identifier = "mine".into();
    request.content = Some(json(r#"{"m2m:sgn":{"sur":"x"}}"#));
    assert_eq!(cse.send(request).await.request_identifier, "mine");
    assert_ne!(cse.network.sent(1).await[0].1.request_identifier, "mine");
}

#[tokio::test]
async fn instances_before_the_subscription_can_be_asked_for() {
    let (cse, sensor) = sensor_with_log().await;
    for value in ["1", "2", "3", "4", "5"] {
        sensor.instance(LOG, value).await.created();
    }
    sensor.subscribe_to_instances(LOG, r#","psn":2"#).await;
    assert_eq!(contents(&cse.notes().await), ["4", "5"]);
    sensor.instance(LOG, "6").await.created();
    assert_eq!(contents(&cse.notes().await), ["6"]);
    sensor.delete("cse-in/sensor/log/s").await.deleted();
    sensor.subscribe_to_instances(LOG, r#","psn":100"#).await;
    assert_eq!(contents(&cse.notes().await), ["1", "2", "3", "4", "5", "6"]);
}
