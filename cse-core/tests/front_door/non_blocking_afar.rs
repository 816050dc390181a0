//! Non-blocking requests for other CSEs: accepted by the first CSE on the way, which does the waiting.

use std::sync::Arc;
use std::time::Duration;

use cse_core::error::Rsc;
use cse_core::primitive::{Operation, Request, Response, ResponseType};
use cse_core::schema::Ty;
use cse_core::value::{Map, Value};

use crate::harness::{Actor, Play, TestCse, json};
use crate::tree::{Pair, Plan, from_anywhere, from_cse, shared_container, wire};

/// A pair with a container on the IN that an AE of the MN may use.
async fn with_log() -> (Pair, Actor) {
    let pair = Pair::new().await;
    let sensor = pair.middle.originator("Csensor");
    let content = r#"{"m2m:ae":{"rn":"sensor","api":"Ntest","rr":true,"srv":["3"]}}"#;
    sensor.create("cse-mn", Ty::AE, content).await.created();
    shared_container(&pair.infrastructure, "cse-in", "log", r#"["/id-mn/Csensor"]"#).await;
    (pair, sensor)
}

fn store(value: &str, response_type: ResponseType) -> Request {
    let mut request = Request::new(Operation::Create, "/id-in/cse-in/log", "Csensor", "constant");
    request.resource_type = Some(Ty::CONTENT_INSTANCE);
    request.content = Some(json(&format!(r#"{{"m2m:cin":{{"con":"{value}"}}}}"#)));
    request.response_type = response_type;
    request.context = from_anywhere();
    request
}

fn accepted(answer: &Response, status: Rsc) -> String {
    assert_eq!(answer.status, status, "{:?}", answer.debug_text());
    answer.content.as_ref().unwrap().text("m2m:uri").unwrap().to_owned()
}

async fn count(cse: &Arc<TestCse>) -> Option<i64> {
    cse.admin().retrieve("cse-in/log").await.resource().int("cni")
}

async fn status(actor: &Actor, uri: &str) -> Option<i64> {
    actor.retrieve(uri).await.resource().int("rs")
}

/// Whether it is neither pending nor with the next CSE.
async fn is_settled(actor: &Actor, uri: &str) -> bool {
    !matches!(status(actor, uri).await, Some(3 | 4))
}

async fn result(actor: &Actor, uri: &str) -> (Option<i64>, Option<i64>) {
    actor.cse.until(async || is_settled(actor, uri).await).await;
    let request = actor.retrieve(uri).await.resource();
    (request.int("rs"), request.get("ors").and_then(Value::as_map).and_then(|ors| ors.int("rsc")))
}

#[tokio::test]
async fn it_is_accepted_while_the_line_is_down_and_goes_when_it_is_back() {
    let (Pair { infrastructure, middle, .. }, sensor) = with_log().await;
    middle.network.cut("mqtt://host/id-in");
    let answers = [store("1", ResponseType::NonBlockingSynch), store("1", ResponseType::NonBlockingSynch)];
    let mut uris = Vec::new();
    for request in answers {
        let uri = accepted(&middle.send(request).await, Rsc::AcceptedNonBlockingSynch);
        assert!(uri.starts_with("/id-mn/req"), "{uri}");
        uris.push(uri);
    }
    middle.until(async || middle.network.tried().len() > 3).await;
    assert_eq!(sensor.retrieve(&uris[0]).await.resource().int("rs"), Some(3));
    middle.network.mend();
    for uri in &uris {
        assert_eq!(result(&sensor, uri).await, (Some(1), Some(2001)));
    }
    // Equal requests are two requests.
    assert_eq!(count(&infrastructure).await, Some(2));
}

#[tokio::test]
async fn a_pending_one_can_be_recalled_while_the_line_is_down() {
    let (Pair { infrastructure, middle, .. }, sensor) = with_log().await;
    middle.network.cut("mqtt://host/id-in");
    let uri = accepted(&middle.send(store("1", ResponseType::NonBlockingSynch)).await, Rsc::AcceptedNonBlockingSynch);
    middle.until(async || sensor.delete(&uri).await.0.status == Rsc::Deleted).await;
    middle.network.mend();
    let next = accepted(&middle.send(store("2", ResponseType::NonBlockingSynch)).await, Rsc::AcceptedNonBlockingSynch);
    assert_eq!(result(&sensor, &next).await, (Some(1), Some(2001)));
    assert_eq!(count(&infrastructure).await, Some(1));
}

#[tokio::test]
async fn lost_answers_and_a_restart_on_the_way_leave_one_effect() {
    let (Pair { infrastructure, middle, clock }, sensor) = with_log().await;
    middle.network.play([Play::LoseAnswer, Play::LoseAnswer]);
    let uri = accepted(&middle.send(store("1", ResponseType::NonBlockingSynch)).await, Rsc::AcceptedNonBlockingSynch);
    // What has arrived and is not answered yet when the time is over would be 4008.
    middle.until(async || count(&infrastructure).await == Some(1)).await;
    middle.cse.stop();
    clock.turn(Duration::from_secs(30));
    let again = TestCse::on(middle.store.clone(), Plan::new("mn").under("/id-in").settings(), Arc::clone(&clock)).await;
    wire(("/id-in", &infrastructure), ("/id-mn", &again));
    again.network.play([Play::LoseAnswer]);
    let sensor = again.originator(&sensor.name);
    assert_eq!(result(&sensor, &uri).await, (Some(1), Some(2001)));
    assert_eq!(count(&infrastructure).await, Some(1));
    assert!(again.network.count() >= 2);
}

#[tokio::test]
async fn who_comes_from_another_cse_gets_its_result_by_way_of_that() {
    let (Pair { infrastructure, middle, .. }, _sensor) = with_log().await;
    let policy = r#"{"m2m:acp":{"rn":"p","pv":{"acr":[{"acor":["/id-in"],"acop":16},{"acor":["Csensor"],"acop":63}]},
        "pvs":{"acr":[{"acor":["CAdmin"],"acop":63}]}}}"#;
    middle.admin().create("cse-mn", Ty::ACCESS_CONTROL_POLICY, policy).await.created();
    middle.admin().update("cse-mn/sensor", r#"{"m2m:ae":{"acpi":["cse-mn/p"]}}"#).await.updated();
    let mut request = store("1", ResponseType::NonBlockingAsynch);
    request.from = Some("/id-mn/Csensor".into());
    request.context = from_cse("/id-mn");
    let uri = accepted(&infrastructure.send(request.clone()).await, Rsc::AcceptedNonBlockingAsynch);
    let sent = infrastructure.network.sent(1).await;
    assert_eq!((sent[0].1.operation, sent[0].1.to.as_str()), (Operation::Notify, "/id-mn/Csensor"));
    let passed_on = middle.network.sent(1).await;
    assert_eq!(passed_on[0].0.as_str(), "Csensor");
    let rsp = passed_on[0].1.content.as_ref().and_then(|content| content.get("m2m:rsp")).and_then(Value::as_map);
    assert_eq!(rsp.and_then(|rsp: &Map| rsp.int("rsc")), Some(2001));
    let far = middle.originator("Csensor");
    assert_eq!(far.retrieve(&uri).await.resource().int("rs"), Some(1));
    // Of whom this CSE does not know where it is, it keeps nothing.
    request.from = Some("/id-unknown/Csensor".into());
    request.context = from_anywhere();
    assert_eq!(infrastructure.send(request).await.status, Rsc::OriginatorNotAuthenticated);
}

#[tokio::test]
async fn what_the_next_cse_has_and_does_not_answer_is_forwarded_and_stays_so_while_the_line_is_down() {
    let (Pair { infrastructure, middle, .. }, sensor) = with_log().await;
    middle.network.play([Play::LoseAnswer]);
    let uri = accepted(&middle.send(store("1", ResponseType::NonBlockingSynch)).await, Rsc::AcceptedNonBlockingSynch);
    middle.until(async || count(&infrastructure).await == Some(1)).await;
    middle.network.cut("mqtt://host/id-in");
    middle.until(async || status(&sensor, &uri).await == Some(4)).await;
    let before = middle.network.tried().len();
    middle.until(async || middle.network.tried().len() > before + 1).await;
    // It was carried out, so it cannot be recalled, whatever the line does now.
    assert_eq!(status(&sensor, &uri).await, Some(4));
    sensor.delete(&uri).await.refused(Rsc::UnableToRecallRequest, "recalled");
    middle.network.mend();
    assert_eq!(result(&sensor, &uri).await, (Some(1), Some(2001)));
    assert_eq!(count(&infrastructure).await, Some(1));
    sensor.delete(&uri).await.deleted();
}

#[tokio::test]
async fn the_first_cse_on_the_way_keeps_the_request_and_those_behind_it_pass_it_on() {
    let (Pair { infrastructure, middle, .. }, sensor) = with_log().await;
    let uri = accepted(&middle.send(store("1", ResponseType::NonBlockingAsynch)).await, Rsc::AcceptedNonBlockingAsynch);
    assert!(uri.starts_with("/id-mn/"), "{uri}");
    assert_eq!(result(&sensor, &uri).await, (Some(1), Some(2001)));
    let sent = middle.network.sent(1).await;
    let passed_on = &sent.iter().find(|(_, request)| request.operation == Operation::Create).expect("passed on").1;
    assert_eq!(passed_on.response_type, ResponseType::Blocking);
    assert_eq!(infrastructure.cse.non_blocking_requests(), 0);
}
