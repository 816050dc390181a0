//! In which serialization the CSE writes what it sends: `csz` of the receiver, `ct` of a notification URI, else JSON.

use std::sync::Arc;

use cse_core::codec::Serialization::{self, Cbor, Json, Xml};
use cse_core::ports::Dispatch;
use cse_core::primitive::Operation;
use cse_core::schema::Ty;

use crate::harness::{Actor, TestCse, json};
use crate::notified::{LOG, Note, sensor_with_log};

/// Registers an AE with these serializations, as JSON items.
async fn register_with(cse: &Arc<TestCse>, stem: &str, csz: &str) -> Actor {
    let ae = cse.originator(stem);
    let content = format!(r#"{{"m2m:ae":{{"rn":"{stem}","api":"Ntest","rr":true,"srv":["3"],"csz":[{csz}]}}}}"#);
    ae.create("cse-in", Ty::AE, &content).await.created();
    ae
}

#[tokio::test]
async fn an_entity_is_written_to_as_it_prefers() {
    let (cse, sensor) = sensor_with_log().await;
    for (stem, csz, expected) in [
        ("Cjson", r#""application/json""#, Json),
        ("Cxml", r#""application/xml","application/json""#, Xml),
        ("Ccbor", r#""cbor","json""#, Cbor),
        ("Cnewer", r#""application/vnd.onem2m-ntfy+cbor""#, Cbor),
    ] {
        register_with(&cse, stem, csz).await;
        sensor.subscribe(LOG, &format!(r#""rn":"{stem}","nu":["{stem}"],"enc":{{"net":[3],"chty":[4]}}"#)).await;
        assert_eq!(cse.network.written(stem), [expected], "the verification for {stem}");
    }
    sensor.instance(LOG, "1").await.created();
    cse.notes().await;
    for (stem, expected) in [("Cjson", Json), ("Cxml", Xml), ("Ccbor", Cbor), ("Cnewer", Cbor)] {
        assert_eq!(cse.network.written(stem), [expected; 2], "the notification for {stem}");
    }
}

#[tokio::test]
async fn who_says_nothing_is_written_to_in_json() {
    let (cse, sensor) = sensor_with_log().await;
    sensor.subscribe(LOG, r#""nu":["Csensor","http://target.example/n"],"enc":{"net":[3]}"#).await;
    sensor.instance(LOG, "1").await.created();
    cse.notes().await;
    assert_eq!(cse.network.written("http://target.example/n"), [Json; 2]);
    // The AE itself subscribes, so it need not agree.
    assert_eq!(cse.network.written("Csensor"), [Json]);
}

#[tokio::test]
async fn a_url_may_say_how_it_wants_its_notifications() {
    let (cse, sensor) = sensor_with_log().await;
    let urls = [
        ("http://a.example/n?ct=xml", "http://a.example/n", Xml),
        ("http://b.example/n?x=1&ct=cbor&y=2", "http://b.example/n?x=1&y=2", Cbor),
        ("http://c.example/n?ct=json", "http://c.example/n", Json),
        ("http://d.example/n?ct=yaml", "http://d.example/n?ct=yaml", Json),
        ("mqtt://e.example/topic?ct=cbor", "mqtt://e.example/topic", Cbor),
    ];
    let targets = urls.map(|(url, ..)| format!("\"{url}\"")).join(",");
    sensor.subscribe(LOG, &format!(r#""nu":[{targets}],"enc":{{"net":[3]}}"#)).await;
    sensor.instance(LOG, "1").await.created();
    let notes = cse.notes().await;
    for (url, sent_to, expected) in urls {
        assert_eq!(cse.network.written(sent_to), [expected; 2], "{url}");
        let note = notes.iter().find(|note| note.destination == sent_to).expect("notified");
        assert_eq!(note.request.to, sent_to);
    }
}

#[tokio::test]
async fn aggregated_notifications_follow_the_preference() {
    let (cse, sensor) = sensor_with_log().await;
    register_with(&cse, "Clistener", r#""cbor""#).await;
    sensor.subscribe_to_instances(LOG, r#","bn":{"num":2,"dur":"PT10S"}"#).await;
    sensor.subscribe(LOG, r#""rn":"t","nu":["Clistener"],"enc":{"net":[3]},"bn":{"num":2,"dur":"PT10S"}"#).await;
    for value in ["1", "2"] {
        sensor.instance(LOG, value).await.created();
    }
    let notes = cse.notes().await;
    assert!(notes.iter().all(Note::is_aggregated) && notes.len() == 2, "{notes:?}");
    assert_eq!(cse.network.written("Clistener"), [Cbor; 2]);
}

#[tokio::test]
async fn a_blocking_update_is_asked_for_as_the_target_prefers() {
    let (cse, sensor) = sensor_with_log().await;
    register_with(&cse, "Cguard", r#""xml""#).await;
    sensor.subscribe(LOG, r#""nu":["Cguard"],"enc":{"net":[7]}"#).await;
    sensor.update(LOG, r#"{"m2m:cnt":{"lbl":["a"]}}"#).await.updated();
    assert_eq!(cse.network.written("Cguard"), [Xml; 2], "the verification and the question");
}

#[tokio::test]
async fn a_notify_is_passed_on_as_the_target_prefers() {
    let (cse, _) = sensor_with_log().await;
    register_with(&cse, "Clistener", r#""cbor""#).await;
    let mut request = cse.admin().request(Operation::Notify, "cse-in/Clistener");
    request.content = Some(json(r#"{"m2m:sgn":{"sur":"x"}}"#));
    assert!(cse.send(request).await.is_success());
    assert_eq!(cse.network.written("Clistener"), [Cbor]);
}

/// The preference counts when the notification is sent, not when the subscription was made.
#[tokio::test]
async fn a_changed_preference_counts_at_once() {
    let (cse, sensor) = sensor_with_log().await;
    let listener = register_with(&cse, "Clistener", r#""cbor""#).await;
    sensor.subscribe(LOG, r#""nu":["Clistener"],"enc":{"net":[3]}"#).await;
    listener.update("Clistener", r#"{"m2m:ae":{"csz":["xml"]}}"#).await.updated();
    sensor.instance(LOG, "1").await.created();
    cse.notes().await;
    listener.update("Clistener", r#"{"m2m:ae":{"csz":null}}"#).await.updated();
    sensor.instance(LOG, "2").await.created();
    cse.notes().await;
    assert_eq!(cse.network.written("Clistener"), [Cbor, Xml, Json]);
}

#[tokio::test]
async fn bindings_learn_what_an_originator_prefers() {
    let (cse, _) = sensor_with_log().await;
    register_with(&cse, "Ccbor", r#""application/cbor","json""#).await;
    for (originator, expected) in [
        ("Ccbor", Some(Cbor)),
        ("/id-in/Ccbor", Some(Cbor)),
        ("//cse.example/id-in/Ccbor", Some(Cbor)),
        ("Csensor", None),
        ("Cnobody", None),
        ("/id-mn", None),
        // The CSE itself is no AE, whatever it can read.
        ("/id-in", None),
        ("cse-in/sensor/log", None),
        ("", None),
    ] {
        assert_eq!(cse.cse.preferred_serialization(originator).await, expected, "{originator}");
    }
}

#[tokio::test]
async fn the_cse_says_what_it_reads() {
    let cse = TestCse::new().await;
    let base = cse.admin().retrieve("cse-in").await.resource();
    let named: Vec<_> = base.texts("csz").filter_map(Serialization::parse).collect();
    assert_eq!(named, [Json, Xml, Cbor]);
}
