//! Non-blocking requests that a crash or a member without answer interrupts: each has its effect once, and its result.

use std::sync::Arc;
use std::time::Duration;

use cse_core::error::Rsc;
use cse_core::schema::Ty;
use cse_core::value::{Map, Value};

use crate::harness::{Actor, Play, TestCse};
use crate::non_blocking::{ASYNCH, accept, accepted, count, later, map, result, store, with_log};

/// A group of two containers; an update of the second is not answered.
async fn with_group_under_way() -> (Arc<TestCse>, Actor) {
    let (cse, sensor) = with_log().await;
    sensor.container("cse-in/sensor", "other").await.created();
    cse.register("Clamp", "lamp").await;
    let group = r#"{"m2m:grp":{"rn":"g","mnm":5,"mid":["cse-in/sensor/log","cse-in/sensor/other"]}}"#;
    sensor.create("cse-in/sensor", Ty::GROUP, group).await.created();
    // The member that asks somebody before a change keeps the request under way.
    let subscription = r#"{"m2m:sub":{"rn":"s","nu":["Clamp"],"enc":{"net":[7]}}}"#;
    cse.admin().create("cse-in/sensor/other", Ty::SUBSCRIPTION, subscription).await.created();
    cse.network.clear();
    cse.network.play([Play::Hang]);
    (cse, sensor)
}

/// The responses of the members in the result of a group request.
fn members(done: &Map) -> &[Value] {
    map(map(map(done, "ors"), "pc"), "m2m:agr").get("m2m:rsp").unwrap().as_list().unwrap()
}

#[tokio::test]
async fn what_was_accepted_is_carried_out_after_a_restart_and_once() {
    let (cse, sensor) = with_log().await;
    let done = accept(&cse, store("Csensor", "0")).await;
    assert_eq!(result(&sensor, &done).await.int("rs"), Some(1));
    let uris = [accept(&cse, later(store("Csensor", "1"))).await, accept(&cse, later(store("Csensor", "2"))).await];
    let recalled = accept(&cse, later(store("Csensor", "3"))).await;
    sensor.delete(&recalled).await.deleted();
    cse.cse.stop();
    cse.clock.turn(Duration::from_secs(1_200));
    let again = TestCse::on(cse.store.clone(), TestCse::settings(), Arc::clone(&cse.clock)).await;
    let sensor = again.originator("Csensor");
    for uri in &uris {
        let done = result(&sensor, uri).await;
        assert_eq!((done.int("rs"), map(&done, "ors").int("rsc")), (Some(1), Some(2001)));
    }
    assert_eq!(count(&sensor).await, Some(3));
    // A third start finds nothing to do.
    again.cse.stop();
    let third = TestCse::on(cse.store.clone(), TestCse::settings(), Arc::clone(&cse.clock)).await;
    let sensor = third.originator("Csensor");
    let last = accept(&third, store("Csensor", "4")).await;
    assert_eq!(result(&sensor, &last).await.int("rs"), Some(1));
    assert_eq!(count(&sensor).await, Some(4));
    assert_eq!(third.cse.non_blocking_requests(), 4);
}

#[tokio::test]
async fn a_result_that_was_not_sent_before_a_crash_is_sent_after_it() {
    let (cse, sensor) = with_log().await;
    cse.network.cut("Csensor");
    let mut request = store("Csensor", "1");
    request.response_type = ASYNCH;
    let uri = accept(&cse, request).await;
    assert_eq!(result(&sensor, &uri).await.int("rs"), Some(1));
    cse.cse.stop();
    let again = TestCse::on(cse.store.clone(), TestCse::settings(), Arc::clone(&cse.clock)).await;
    again.until(async || again.network.count() > 0).await;
    let sent = again.network.sent(1).await;
    assert_eq!(map(sent[0].1.content.as_ref().unwrap(), "m2m:rsp").int("rsc"), Some(2001));
    assert_eq!(count(&again.originator("Csensor")).await, Some(1));
}

#[tokio::test]
async fn a_group_request_that_a_crash_interrupts_reaches_each_member_once() {
    let (cse, sensor) = with_group_under_way().await;
    let update = r#"{"op":3,"to":"cse-in/sensor/g/fopt","rt":{"rtv":1},"pc":{"m2m:cnt":{"lbl":["a"]}}}"#;
    let uri = accepted(&sensor.primitive(update).await.0);
    cse.network.sent(1).await;
    let state =
        async |sensor: &Actor, name: &str| sensor.retrieve(&format!("cse-in/sensor/{name}")).await.resource().int("st");
    cse.until(async || state(&sensor, "log").await == Some(1)).await;
    sensor.delete(&uri).await.refused(Rsc::UnableToRecallRequest, "recalled");
    cse.cse.stop();
    let again = TestCse::on(cse.store.clone(), TestCse::settings(), Arc::clone(&cse.clock)).await;
    let sensor = again.originator("Csensor");
    let done = result(&sensor, &uri).await;
    let members = members(&done);
    let statuses: Vec<_> = members.iter().map(|member| member.as_map().unwrap().int("rsc")).collect();
    assert_eq!((done.int("rs"), statuses), (Some(1), vec![Some(2004), Some(2004)]));
    assert_eq!((state(&sensor, "log").await, state(&sensor, "other").await), (Some(1), Some(1)));
}

#[tokio::test]
async fn a_group_with_a_member_that_does_not_answer_is_partially_completed() {
    let (_, sensor) = with_group_under_way().await;
    let update = r#"{"op":3,"to":"cse-in/sensor/g/fopt","rt":{"rtv":1},"rqet":"3000","rp":"60000","pc":{"m2m:cnt":{"lbl":["a"]}}}"#;
    let uri = accepted(&sensor.primitive(update).await.0);
    let done = result(&sensor, &uri).await;
    let members = members(&done);
    assert_eq!((done.int("rs"), map(&done, "ors").int("rsc"), members.len()), (Some(5), Some(2000), 1));
    sensor.delete(&uri).await.deleted();
}
