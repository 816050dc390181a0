//! What has left and was not answered may have arrived: nothing that is said or done afterwards may deny that.

use std::time::Duration;

use cse_core::error::Rsc;
use cse_core::memory::MemoryStore;
use cse_core::primitive::{Context, Operation, Redelivery, Request};
use cse_core::schema::Ty;

use crate::forwarding_once::{count, send};
use crate::harness::{Answer, Play, TestClock, TestCse, json};
use crate::tree::{Pair, Plan, from_cse, shared_container};

/// A pair with a container on the IN that an AE of the MN may use, and the AE, which the IN may notify.
async fn with_log() -> Pair {
    let pair = Pair::new().await;
    let sensor = pair.middle.originator("Csensor");
    let content = r#"{"m2m:ae":{"rn":"sensor","api":"Ntest","rr":true,"srv":["3"]}}"#;
    sensor.create("cse-mn", Ty::AE, content).await.created();
    let policy = r#"{"m2m:acp":{"rn":"p","pv":{"acr":[{"acor":["/id-in","Csensor"],"acop":63}]},
        "pvs":{"acr":[{"acor":["Csensor"],"acop":63}]}}}"#;
    sensor.create("cse-mn/sensor", Ty::ACCESS_CONTROL_POLICY, policy).await.created();
    sensor.update("cse-mn/sensor", r#"{"m2m:ae":{"acpi":["cse-mn/sensor/p"]}}"#).await.updated();
    shared_container(&pair.infrastructure, "cse-in", "log", r#"["/id-mn/Csensor"]"#).await;
    pair
}

fn store(identifier: &str) -> Request {
    let mut request = Request::new(Operation::Create, "/id-in/cse-in/log", "Csensor", identifier);
    request.resource_type = Some(Ty::CONTENT_INSTANCE);
    request.content = Some(json(r#"{"m2m:cin":{"con":"1"}}"#));
    request
}

#[tokio::test]
async fn what_was_not_answered_is_not_called_unreachable_later() {
    let Pair { infrastructure, middle, .. } = with_log().await;
    middle.network.play([Play::LoseAnswer]);
    send(&middle, &store("1"), Redelivery::New).await.refused(Rsc::RequestTimeout, "did not answer");
    assert_eq!(count(&infrastructure).await, 1);
    middle.network.cut("mqtt://host/id-in");
    send(&middle, &store("1"), Redelivery::Possible).await.refused(Rsc::RequestTimeout, "was passed on");
    middle.network.mend();
    send(&middle, &store("1"), Redelivery::Possible).await.created();
    assert_eq!(count(&infrastructure).await, 1);
}

#[tokio::test]
async fn what_has_not_left_is_called_unreachable_each_time() {
    let Pair { infrastructure, middle, .. } = with_log().await;
    middle.network.cut("mqtt://host/id-in");
    for redelivery in [Redelivery::New, Redelivery::Possible, Redelivery::Possible] {
        send(&middle, &store("1"), redelivery).await.refused(Rsc::TargetNotReachable, "/id-in");
        // That it has not left is noted a moment after the answer.
        middle.originator("Csensor").update("cse-mn/sensor", r#"{"m2m:ae":{"lbl":["x"]}}"#).await.updated();
    }
    middle.network.mend();
    send(&middle, &store("1"), Redelivery::Possible).await.created();
    assert_eq!(count(&infrastructure).await, 1);
}

#[tokio::test]
async fn what_may_have_arrived_is_not_called_unreachable() {
    let Pair { middle, .. } = with_log().await;
    middle.network.play([Play::Unconfirmed]);
    send(&middle, &store("1"), Redelivery::New).await.refused(Rsc::RequestTimeout, "did not answer");
}

#[tokio::test]
async fn a_request_without_a_way_is_not_denied_if_it_went_there_before() {
    let clock = TestClock::new();
    let infrastructure = Plan::new("in").over("/id-mn", &[]).start(&clock).await;
    let app = infrastructure.register("Capp", "app").await;
    infrastructure.network.play([Play::Unanswered]);
    let mut request = store("1");
    (request.to, request.from) = ("/id-mn/cse-mn/log".into(), Some(app.name.as_str().into()));
    send(&infrastructure, &request, Redelivery::New).await.refused(Rsc::RequestTimeout, "did not answer");
    infrastructure.admin().delete("cse-in/id-mn").await.deleted();
    send(&infrastructure, &request, Redelivery::Possible).await.refused(Rsc::RequestTimeout, "was passed on");
    request.request_identifier = "2".into();
    send(&infrastructure, &request, Redelivery::New).await.refused(Rsc::NotFound, "registered here");
}

#[tokio::test]
async fn a_cse_whose_registration_has_expired_is_known_to_repeat() {
    // It knows no MN.
    let settings = Plan::new("in").settings();
    let infrastructure = TestCse::on(MemoryStore::new(), settings, TestClock::new()).await;
    shared_container(&infrastructure, "cse-in", "log", r#"["/id-mn/Csensor"]"#).await;
    let mut request = store("id-mn-5f3a-1c");
    request.from = Some("/id-mn/Csensor".into());
    for redelivery in [Redelivery::New, Redelivery::New, Redelivery::Possible] {
        request.context = Context { redelivery, ..from_cse("/id-mn") };
        Answer(infrastructure.send(request.clone()).await).created();
    }
    assert_eq!(count(&infrastructure).await, 1);
    request.request_identifier = "id-other-5f3a-1c".into();
    for expected in [2, 3] {
        request.context = from_cse("/id-mn");
        Answer(infrastructure.send(request.clone()).await).created();
        assert_eq!(count(&infrastructure).await, expected, "not made by the CSE that it comes from");
    }
}

#[tokio::test]
async fn a_notification_goes_by_way_of_a_cse_until_it_has_arrived() {
    let Pair { infrastructure, middle, .. } = with_log().await;
    let admin = infrastructure.admin();
    let subscription = r#"{"m2m:sub":{"rn":"sub","nu":["/id-mn/Csensor"],"enc":{"net":[3]},"nct":1}}"#;
    admin.create("cse-in/log", Ty::SUBSCRIPTION, subscription).await.created();
    infrastructure.network.clear();
    middle.network.clear();
    // The AE cannot be reached at first, then the MN cannot, then the answer is lost.
    middle.network.play([Play::Unreachable]);
    admin.instance("cse-in/log", "1").await.created();
    infrastructure.until(async || middle.network.count() == 1).await;
    infrastructure.network.play([Play::Unreachable, Play::LoseAnswer]);
    infrastructure.until(async || infrastructure.cse.notifications_waiting() == 0).await;
    assert_eq!(middle.network.count(), 2, "tried in vain, and delivered once");
    let identifiers = |sent: Vec<(_, Request)>| -> Vec<_> {
        sent.into_iter().map(|(_, request)| request.request_identifier).collect()
    };
    let mut sent = identifiers(infrastructure.network.sent(4).await);
    sent.dedup();
    assert_eq!(sent.len(), 1, "one request, however often: {sent:?}");
    // An AE that does not answer is not sent the same again and again.
    infrastructure.network.clear();
    middle.network.play([Play::Unanswered]);
    admin.instance("cse-in/log", "2").await.created();
    infrastructure.until(async || infrastructure.cse.notifications_waiting() == 0).await;
    assert_eq!((infrastructure.network.count(), middle.network.count()), (1, 3));
    infrastructure.clock.turn(Duration::from_secs(60));
    assert_eq!(middle.network.count(), 3);
}
