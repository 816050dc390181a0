//! Exactly one effect: what counts as the same request again, and what it is answered.

use std::sync::Arc;
use std::time::Duration;

use cse_core::primitive::{Operation, Redelivery, Request};
use cse_core::schema::Ty;

use crate::harness::{Actor, Answer, TestClock, TestCse, json};

const WITHIN: Redelivery = Redelivery::PossibleWithin(Duration::from_secs(10));

/// A cse with a container of a sensor.
async fn with_log() -> (Arc<TestCse>, Actor) {
    let cse = TestCse::new().await;
    let sensor = cse.register("Csensor", "sensor").await;
    sensor.container("cse-in/sensor", "log").await.created();
    (cse, sensor)
}

/// A request to store a value, always with the same identifier.
fn store(from: &str, value: &str) -> Request {
    let mut request = Request::new(Operation::Create, "cse-in/sensor/log", from, "constant");
    request.resource_type = Some(Ty::CONTENT_INSTANCE);
    request.content = Some(json(&format!(r#"{{"m2m:cin":{{"con":"{value}"}}}}"#)));
    request
}

async fn send(cse: &TestCse, request: &Request, redelivery: Redelivery) -> Answer {
    let mut request = request.clone();
    request.context.redelivery = redelivery;
    Answer(cse.send(request).await)
}

async fn count(sensor: &Actor) -> Option<i64> {
    sensor.retrieve("cse-in/sensor/log").await.resource().int("cni")
}

#[tokio::test]
async fn a_redelivery_gets_the_first_answer_and_has_no_effect() {
    let (cse, sensor) = with_log().await;
    let request = store("Csensor", "1");
    let first = send(&cse, &request, Redelivery::New).await.created();
    for redelivery in [Redelivery::Possible, WITHIN, Redelivery::Possible] {
        assert_eq!(send(&cse, &request, redelivery).await.created(), first);
    }
    assert_eq!(count(&sensor).await, Some(1));
}

#[tokio::test]
async fn a_new_message_is_carried_out_whatever_its_identifier() {
    let (cse, sensor) = with_log().await;
    let request = store("Csensor", "1");
    let mut seen = Vec::new();
    for _ in 0..3 {
        seen.push(send(&cse, &request, Redelivery::New).await.created().text("ri").unwrap().to_owned());
    }
    assert_eq!(count(&sensor).await, Some(3));
    // A redelivery is one of the last.
    let again = send(&cse, &request, Redelivery::Possible).await.created();
    assert_eq!(again.text("ri"), seen.last().map(String::as_str));
    assert_eq!(count(&sensor).await, Some(3));
}

#[tokio::test]
async fn any_difference_makes_another_request() {
    let (cse, sensor) = with_log().await;
    let request = store("Csensor", "1");
    send(&cse, &request, Redelivery::Possible).await.created();
    send(&cse, &store("Csensor", "2"), Redelivery::Possible).await.created();
    send(&cse, &store("CAdmin", "1"), Redelivery::Possible).await.created();
    let mut other = request.clone();
    other.request_identifier = "other".into();
    send(&cse, &other, Redelivery::Possible).await.created();
    assert_eq!(count(&sensor).await, Some(4));
}

#[tokio::test]
async fn what_was_not_remembered_is_carried_out_again() {
    let (cse, sensor) = with_log().await;
    let request = store("Csensor", "1");
    send(&cse, &request, Redelivery::Never).await.created();
    send(&cse, &request, Redelivery::Possible).await.created();
    send(&cse, &request, Redelivery::Never).await.created();
    assert_eq!(count(&sensor).await, Some(3));
}

#[tokio::test]
async fn the_window_ends() {
    let (cse, sensor) = with_log().await;
    let request = store("Csensor", "1");
    send(&cse, &request, WITHIN).await.created();
    cse.clock.turn(Duration::from_secs(10));
    send(&cse, &request, WITHIN).await.created();
    assert_eq!(count(&sensor).await, Some(1));
    cse.clock.turn(Duration::from_millis(1));
    send(&cse, &request, WITHIN).await.created();
    assert_eq!(count(&sensor).await, Some(2));
    // A marked one counts as long as answers are remembered.
    cse.clock.turn(Duration::from_secs(600));
    send(&cse, &request, Redelivery::Possible).await.created();
    assert_eq!(count(&sensor).await, Some(2));
    cse.clock.turn(Duration::from_millis(1));
    send(&cse, &request, Redelivery::Possible).await.created();
    assert_eq!(count(&sensor).await, Some(3));
}

#[tokio::test]
async fn refusals_are_remembered_too() {
    let (cse, sensor) = with_log().await;
    let request = store("Cstranger", "1");
    let first = send(&cse, &request, Redelivery::New).await.0;
    assert_eq!(first.status.code(), 4103);
    sensor.delete("cse-in/sensor/log").await.deleted();
    let again = send(&cse, &request, Redelivery::Possible).await.0;
    assert_eq!((again.status, again.content), (first.status, first.content));
    assert_eq!(send(&cse, &request, Redelivery::New).await.0.status.code(), 4004);
}

#[tokio::test]
async fn updates_and_deletions_are_remembered() {
    let (cse, sensor) = with_log().await;
    let mut update = Request::new(Operation::Update, "cse-in/sensor/log", "Csensor", "1");
    update.content = Some(json(r#"{"m2m:cnt":{"lbl":["a"]}}"#));
    send(&cse, &update, Redelivery::New).await.updated();
    send(&cse, &update, Redelivery::Possible).await.updated();
    assert_eq!(sensor.retrieve("cse-in/sensor/log").await.resource().int("st"), Some(1));
    let delete = Request::new(Operation::Delete, "cse-in/sensor/log", "Csensor", "2");
    send(&cse, &delete, Redelivery::New).await.deleted();
    send(&cse, &delete, Redelivery::Possible).await.deleted();
    assert_eq!(send(&cse, &delete, Redelivery::New).await.0.status.code(), 4004);
}

#[tokio::test]
async fn the_record_survives_a_restart() {
    let (cse, sensor) = with_log().await;
    let request = store("Csensor", "1");
    let first = send(&cse, &request, Redelivery::New).await.created();
    assert_eq!(count(&sensor).await, Some(1));
    cse.cse.stop();
    let settings = TestCse::settings();
    let again = TestCse::on(cse.store.clone(), settings, Arc::clone(&cse.clock)).await;
    assert_eq!(send(&again, &request, Redelivery::Possible).await.created(), first);
    assert_eq!(count(&again.originator("Csensor")).await, Some(1));
}

#[tokio::test]
async fn a_group_request_reaches_each_member_once() {
    let (cse, sensor) = with_log().await;
    sensor.container("cse-in/sensor", "other").await.created();
    let group = |name: &str, members: &str| {
        let content = format!(r#"{{"m2m:grp":{{"rn":"{name}","mnm":5,"mid":[{members}]}}}}"#);
        let sensor = sensor.clone();
        async move { sensor.create("cse-in/sensor", Ty::GROUP, &content).await.created() }
    };
    group("inner", r#""cse-in/sensor/other""#).await;
    group("outer", r#""cse-in/sensor/log","cse-in/sensor/inner/fopt""#).await;
    for identifier in [None, Some("g1")] {
        let before = count(&sensor).await.unwrap();
        let mut request = store("Csensor", "1");
        request.to = "cse-in/sensor/outer/fopt".into();
        request.group_request_identifier = identifier.map(Into::into);
        let first = send(&cse, &request, Redelivery::New).await.ok();
        let again = send(&cse, &request, Redelivery::Possible).await.ok();
        assert_eq!(first, again);
        assert_eq!(count(&sensor).await, Some(before + 1));
        let other = sensor.retrieve("cse-in/sensor/other").await.resource();
        assert_eq!(other.int("cni"), Some(before + 1));
    }
    // A constant request identifier is nothing special for groups either.
    let mut request = store("Csensor", "1");
    request.to = "cse-in/sensor/outer/fopt".into();
    let before = count(&sensor).await.unwrap();
    for _ in 0..2 {
        send(&cse, &request, Redelivery::New).await.ok();
    }
    assert_eq!(count(&sensor).await, Some(before + 2));
}

#[tokio::test]
async fn two_devices_without_identity_do_not_become_one() {
    let cse = TestCse::new().await;
    let mut request = Request::new(Operation::Create, "cse-in", "C", "1");
    request.resource_type = Some(Ty::AE);
    request.content = Some(json(r#"{"m2m:ae":{"api":"Ntest","rr":true,"srv":["3"]}}"#));
    let first = send(&cse, &request, WITHIN).await.created();
    let second = send(&cse, &request, WITHIN).await.created();
    assert_ne!(first.text("aei"), second.text("aei"));
    let marked = send(&cse, &request, Redelivery::Possible).await.created();
    assert_eq!(marked.text("aei"), second.text("aei"));
}

#[tokio::test]
async fn a_credential_tells_registrants_apart() {
    let cse = TestCse::new().await;
    let mut request = Request::new(Operation::Create, "cse-in", "C", "1");
    request.resource_type = Some(Ty::AE);
    request.content = Some(json(r#"{"m2m:ae":{"api":"Ntest","rr":true,"srv":["3"]}}"#));
    let mut given = Vec::new();
    for credential in ["1-aa", "1-bb"] {
        request.context.registrant = Some(credential.into());
        let first = send(&cse, &request, WITHIN).await.created();
        for again in [WITHIN, Redelivery::Possible] {
            assert_eq!(send(&cse, &request, again).await.created(), first);
        }
        given.push(first.text("aei").unwrap().to_owned());
    }
    assert_ne!(given[0], given[1]);
}

#[tokio::test]
async fn the_record_is_bounded_in_time() {
    let clock = TestClock::new();
    let cse = TestCse::on(cse_core::memory::MemoryStore::new(), TestCse::settings(), Arc::clone(&clock)).await;
    cse.register("Csensor", "sensor").await;
    let mut request = Request::new(Operation::Delete, "cse-in/sensor/x", "Csensor", "1");
    for round in 0..3_000 {
        request.request_identifier = round.to_string().into();
        assert_eq!(send(&cse, &request, Redelivery::New).await.0.status.code(), 4004);
        if round % 100 == 0 {
            clock.turn(Duration::from_secs(300));
        }
    }
    use cse_core::ports::{Snapshot as _, Store as _};
    let remembered = cse.store.snapshot().await.unwrap().reply_count().await.unwrap();
    assert!((200..=1_300).contains(&remembered), "{remembered}");
}
