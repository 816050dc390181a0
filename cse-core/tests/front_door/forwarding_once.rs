//! Requests for other CSEs have one effect there, whatever is lost on the way and however often they are repeated.

use std::sync::Arc;
use std::time::Duration;

use cse_core::error::Rsc;
use cse_core::primitive::{Binding, Context, Operation, Redelivery, Request, Response};
use cse_core::schema::Ty;
use cse_core::time::AbsRelTimestamp;

use crate::harness::{Answer, Play, TestCse, json};
use crate::tree::{Pair, Plan, from_anywhere, from_cse, shared_container, wire};

/// A pair with a container on the IN that an AE of the MN may use.
async fn with_log() -> Pair {
    let pair = Pair::new().await;
    let content = r#"{"m2m:ae":{"rn":"sensor","api":"Ntest","rr":true,"srv":["3"]}}"#;
    pair.middle.originator("Csensor").create("cse-mn", Ty::AE, content).await.created();
    shared_container(&pair.infrastructure, "cse-in", "log", r#"["/id-mn/Csensor"]"#).await;
    pair
}

/// A request of a client that uses one identifier for everything.
fn store(value: &str) -> Request {
    let mut request = Request::new(Operation::Create, "/id-in/cse-in/log", "Csensor", "constant");
    request.resource_type = Some(Ty::CONTENT_INSTANCE);
    request.content = Some(json(&format!(r#"{{"m2m:cin":{{"con":"{value}"}}}}"#)));
    request
}

/// Sends a request as a client does over MQTT.
pub async fn send(cse: &TestCse, request: &Request, redelivery: Redelivery) -> Answer {
    let mut request = request.clone();
    request.context =
        Context { binding: Binding::Mqtt, sender: Some("Csensor".into()), redelivery, ..Context::default() };
    Answer(cse.send(request).await)
}

/// Instances in the container on the IN.
pub async fn count(cse: &Arc<TestCse>) -> i64 {
    cse.admin().retrieve("cse-in/log").await.resource().int("cni").unwrap()
}

/// Identifiers under which the MN has sent requests so far.
async fn identifiers(cse: &TestCse, count: usize) -> Vec<String> {
    cse.network.sent(count).await.iter().map(|(_, request)| request.request_identifier.to_string()).collect()
}

#[tokio::test]
async fn a_redelivery_after_the_answer_was_lost_has_no_second_effect() {
    let Pair { infrastructure, middle, .. } = with_log().await;
    middle.network.play([Play::LoseAnswer]);
    send(&middle, &store("1"), Redelivery::New).await.refused(Rsc::RequestTimeout, "did not answer");
    assert_eq!(count(&infrastructure).await, 1);
    let again = send(&middle, &store("1"), Redelivery::Possible).await.created();
    assert_eq!(again.text("con"), Some("1"));
    assert_eq!(count(&infrastructure).await, 1);
    let identifiers = identifiers(&middle, 2).await;
    assert_eq!(identifiers[0], identifiers[1]);
}

#[tokio::test]
async fn a_redelivery_after_a_cut_is_carried_out() {
    let Pair { infrastructure, middle, .. } = with_log().await;
    middle.network.cut("mqtt://host/id-in");
    send(&middle, &store("1"), Redelivery::New).await.refused(Rsc::TargetNotReachable, "/id-in");
    middle.network.mend();
    send(&middle, &store("1"), Redelivery::Possible).await.created();
    assert_eq!(count(&infrastructure).await, 1);
}

#[tokio::test]
async fn a_crash_between_request_and_answer_makes_no_second_effect() {
    let Pair { infrastructure, middle, clock } = with_log().await;
    middle.network.play([Play::LoseAnswer]);
    // With a time that is relative to the receipt: the first counts.
    let mut request = store("1");
    request.request_expiration = Some(AbsRelTimestamp::Relative(Duration::from_secs(30)));
    send(&middle, &request, Redelivery::New).await.refused(Rsc::RequestTimeout, "did not answer");
    let first = identifiers(&middle, 1).await;
    middle.cse.stop();
    clock.turn(Duration::from_secs(20));
    let restarted =
        TestCse::on(middle.store.clone(), Plan::new("mn").under("/id-in").settings(), Arc::clone(&clock)).await;
    wire(("/id-in", &infrastructure), ("/id-mn", &restarted));
    send(&restarted, &request, Redelivery::Possible).await.created();
    assert_eq!(identifiers(&restarted, 1).await, first);
    assert_eq!(count(&infrastructure).await, 1);
    // What has expired by that time is not tried again.
    middle.network.play([Play::LoseAnswer]);
    let mut other = request.clone();
    other.request_identifier = "other".into();
    restarted.network.play([Play::LoseAnswer]);
    send(&restarted, &other, Redelivery::New).await.refused(Rsc::RequestTimeout, "did not answer");
    clock.turn(Duration::from_secs(31));
    send(&restarted, &other, Redelivery::Possible).await.refused(Rsc::RequestTimeout, "expired (rqet)");
    assert_eq!(restarted.network.count(), 2);
}

#[tokio::test]
async fn an_answer_is_remembered_and_given_again() {
    let Pair { infrastructure, middle, .. } = with_log().await;
    let first = send(&middle, &store("1"), Redelivery::New).await.created();
    // It is remembered a moment after it was given.
    middle.originator("Csensor").container("cse-mn/sensor", "x").await.created();
    for _ in 0..2 {
        assert_eq!(send(&middle, &store("1"), Redelivery::Possible).await.created(), first);
    }
    assert_eq!((middle.network.count(), count(&infrastructure).await), (1, 1));
    assert_eq!(middle.cse.metrics().redeliveries.get(), 2);
    // Refusals of the hosting CSE, too.
    let mut refused = store("1");
    refused.to = "/id-in/cse-in/nothing".into();
    send(&middle, &refused, Redelivery::New).await.refused(Rsc::NotFound, "nothing");
    middle.originator("Csensor").container("cse-mn/sensor", "y").await.created();
    send(&middle, &refused, Redelivery::Possible).await.refused(Rsc::NotFound, "nothing");
    assert_eq!(middle.network.count(), 2);
}

/// What the store of the MN remembers of requests: one record each.
async fn records(cse: &TestCse) -> u64 {
    use cse_core::ports::{Snapshot as _, Store as _};
    cse.store.snapshot().await.unwrap().reply_count().await.unwrap()
}

#[tokio::test]
async fn an_answer_is_part_of_the_next_commit() {
    let Pair { infrastructure, middle, .. } = with_log().await;
    let before = middle.cse.metrics().commits.get();
    for value in 0..20 {
        send(&middle, &store(&value.to_string()), Redelivery::New).await.created();
    }
    // The identifier of each request had to be stored before it left.
    assert_eq!(middle.cse.metrics().commits.get() - before, 20);
    assert_eq!((records(&middle).await, count(&infrastructure).await), (20, 20));
    // One for the last answer alone, when nothing else has come.
    middle.pass(Duration::from_secs(1)).await;
    middle.until(|| async { middle.cse.metrics().commits.get() - before == 21 }).await;
    middle.pass(Duration::from_secs(1)).await;
    assert_eq!(middle.cse.metrics().commits.get() - before, 21);
}

#[tokio::test]
async fn an_answer_is_remembered_when_the_cse_is_stopped() {
    let Pair { infrastructure, middle, clock } = with_log().await;
    let before = middle.cse.metrics().commits.get();
    let first = send(&middle, &store("1"), Redelivery::New).await.created();
    middle.cse.stop();
    // The clock stands still, so it is not the time that brings it about.
    let stored = async {
        while middle.cse.metrics().commits.get() - before < 2 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), stored).await.expect("the answer is stored");
    let settings = Plan::new("mn").under("/id-in").settings();
    let restarted = TestCse::on(middle.store.clone(), settings, Arc::clone(&clock)).await;
    wire(("/id-in", &infrastructure), ("/id-mn", &restarted));
    assert_eq!(send(&restarted, &store("1"), Redelivery::Possible).await.created(), first);
    assert_eq!(restarted.network.count(), 0);
}

#[tokio::test]
async fn requests_that_come_one_after_another_leave_so() {
    let Pair { infrastructure, middle, .. } = with_log().await;
    let sent = (0..200).map(|value| {
        let middle = &middle;
        async move { send(middle, &store(&value.to_string()), Redelivery::New).await.created() }
    });
    futures_util::future::join_all(sent).await;
    let left = middle.network.sent(200).await;
    let value = |request: &Request| {
        request
            .content
            .as_ref()
            .and_then(|content| content.get("m2m:cin")?.as_map()?.text("con")?.parse::<usize>().ok())
    };
    let left: Vec<_> = left.iter().filter_map(|(_, request)| value(request)).collect();
    assert_eq!(left, (0..200).collect::<Vec<_>>());
    assert_eq!(count(&infrastructure).await, 200);
}

#[tokio::test]
async fn what_failed_for_now_is_tried_again() {
    let Pair { infrastructure, middle, .. } = with_log().await;
    for status in [Rsc::InternalServerError, Rsc::TargetNotReachable, Rsc::RequestTimeout] {
        let before = middle.network.count();
        let request = store(status.name());
        middle.network.play([Play::AnswerWith(Box::new(Response::new(status, "x")))]);
        assert_eq!(send(&middle, &request, Redelivery::New).await.0.status, status);
        middle.originator("Csensor").container("cse-mn/sensor", status.name()).await.created();
        send(&middle, &request, Redelivery::Possible).await.created();
        let identifiers = identifiers(&middle, before + 2).await;
        assert_eq!(identifiers[before], identifiers[before + 1]);
    }
    assert_eq!(count(&infrastructure).await, 3);
}

#[tokio::test]
async fn equal_requests_that_are_new_are_all_carried_out() {
    let Pair { infrastructure, middle, .. } = with_log().await;
    for _ in 0..3 {
        send(&middle, &store("1"), Redelivery::New).await.created();
    }
    assert_eq!(count(&infrastructure).await, 3);
    // The last of them is the one that comes again, also when an earlier one is answered later.
    middle.network.play([Play::LoseAnswer]);
    send(&middle, &store("1"), Redelivery::New).await.refused(Rsc::RequestTimeout, "");
    send(&middle, &store("1"), Redelivery::Possible).await.created();
    assert_eq!(count(&infrastructure).await, 4);
    let identifiers = identifiers(&middle, 5).await;
    assert_eq!(identifiers[3], identifiers[4]);
    assert!(identifiers[..4].iter().collect::<std::collections::BTreeSet<_>>().len() == 4, "{identifiers:?}");
}

#[tokio::test]
async fn a_redelivery_waits_for_the_answer_to_the_first() {
    let Pair { infrastructure, middle, .. } = with_log().await;
    middle.network.play([Play::Hang]);
    let first = {
        let middle = Arc::clone(&middle);
        tokio::spawn(async move { send(&middle, &store("1"), Redelivery::New).await })
    };
    middle.network.sent(1).await;
    let second = {
        let middle = Arc::clone(&middle);
        tokio::spawn(async move { send(&middle, &store("1"), Redelivery::Possible).await })
    };
    // Another request gets by.
    send(&middle, &store("2"), Redelivery::New).await.created();
    assert!(!second.is_finished());
    assert_eq!(middle.network.count(), 2);
    // The client's connection ends, and with it the first.
    first.abort();
    second.await.unwrap().created();
    let identifiers = identifiers(&middle, 3).await;
    assert_eq!(identifiers[0], identifiers[2]);
    assert_eq!(count(&infrastructure).await, 2);
}

#[tokio::test]
async fn identifiers_of_cses_are_used_once_whatever_the_binding_says() {
    let Pair { infrastructure, .. } = with_log().await;
    let mut request = store("1");
    request.to = "cse-in/log".into();
    request.from = Some("/id-mn/Csensor".into());
    request.request_identifier = "id-mn-5f3a-1c".into();
    let mut expected = 0;
    for context in [from_anywhere(), from_cse("/id-mn")] {
        request.context = context;
        request.request_identifier = format!("{}{expected}", request.request_identifier).into();
        let first = Answer(infrastructure.send(request.clone()).await).created();
        for _ in 0..2 {
            assert_eq!(Answer(infrastructure.send(request.clone()).await).created(), first);
        }
        expected += 1;
        assert_eq!(count(&infrastructure).await, expected);
    }
    // One that an AE behind a CSE may have chosen, which passes it on as it is.
    request.request_identifier = "constant".into();
    for _ in 0..2 {
        Answer(infrastructure.send(request.clone()).await).created();
    }
    assert_eq!(count(&infrastructure).await, expected + 2);
}

#[tokio::test]
async fn a_group_with_remote_members_has_one_effect_at_each() {
    let Pair { infrastructure, middle, .. } = with_log().await;
    let group = r#"{"m2m:grp":{"rn":"g","mnm":5,"mid":["/id-in/cse-in/log"]}}"#;
    middle.originator("Csensor").create("cse-mn/sensor", Ty::GROUP, group).await.created();
    let mut request = store("1");
    request.to = "cse-mn/sensor/g/fopt".into();
    middle.network.play([Play::LoseAnswer]);
    let lost = send(&middle, &request, Redelivery::New).await.ok();
    assert!(format!("{lost:?}").contains("4008"), "{lost:?}");
    let again = send(&middle, &request, Redelivery::Possible).await.ok();
    assert!(format!("{again:?}").contains("2001"), "{again:?}");
    assert_eq!(count(&infrastructure).await, 1);
    send(&middle, &request, Redelivery::New).await.ok();
    assert_eq!(count(&infrastructure).await, 2);
}

#[tokio::test]
async fn a_notification_reaches_an_ae_of_another_cse_once() {
    let Pair { infrastructure, middle, .. } = with_log().await;
    let acp = r#"{"m2m:acp":{"rn":"p","pv":{"acr":[{"acor":["/id-in/CAdmin"],"acop":16}]},
        "pvs":{"acr":[{"acor":["Csensor"],"acop":63}]}}}"#;
    let sensor = middle.originator("Csensor");
    sensor.create("cse-mn/sensor", Ty::ACCESS_CONTROL_POLICY, acp).await.created();
    sensor.update("cse-mn/sensor", r#"{"m2m:ae":{"acpi":["cse-mn/sensor/p"]}}"#).await.updated();
    let mut request = Request::new(Operation::Notify, "/id-mn/Csensor", "CAdmin", "constant");
    request.content = Some(json(r#"{"m2m:sgn":{"sur":"/id-in/sub1"}}"#));
    infrastructure.network.play([Play::LoseAnswer]);
    send(&infrastructure, &request, Redelivery::New).await.refused(Rsc::RequestTimeout, "did not answer");
    send(&infrastructure, &request, Redelivery::Possible).await.ok();
    assert_eq!((infrastructure.network.count(), middle.network.count()), (2, 1));
    // One that is repeated on purpose arrives again.
    send(&infrastructure, &request, Redelivery::New).await.ok();
    assert_eq!(middle.network.count(), 2);
    // While the AE cannot be reached it has nothing, so a redelivery is another try, under the same identifier.
    middle.network.play([Play::Unreachable]);
    send(&infrastructure, &request, Redelivery::New).await.refused(Rsc::TargetNotReachable, "sensor");
    send(&infrastructure, &request, Redelivery::Possible).await.ok();
    let identifiers = identifiers(&middle, 4).await;
    assert_eq!(identifiers[2], identifiers[3]);
}

#[tokio::test]
async fn reads_leave_no_record() {
    use cse_core::ports::{Snapshot as _, Store as _};
    let Pair { middle, .. } = with_log().await;
    let mut request = store("1");
    request.operation = Operation::Retrieve;
    request.resource_type = None;
    request.content = None;
    for _ in 0..2 {
        send(&middle, &request, Redelivery::Possible).await.resource();
    }
    let identifiers = identifiers(&middle, 2).await;
    assert_ne!(identifiers[0], identifiers[1]);
    assert_eq!(middle.store.snapshot().await.unwrap().reply_count().await.unwrap(), 0);
}
