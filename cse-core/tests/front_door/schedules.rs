//! Schedules: when notifications go out, when an entity can be reached, and when the CSE takes requests (TS-0001 §9.6.9).
//! Tests begin at noon.

use std::sync::Arc;
use std::time::Duration;

use cse_core::error::Rsc;
use cse_core::primitive::{Operation, ResponseType};
use cse_core::schema::Ty;
use cse_core::value::Value;

use crate::harness::{Actor, Answer, TestCse, json};
use crate::notified::{LOG, contents, sensor_with_log};
use crate::tree::{Pair, shared_container};

/// From ten past to one.
const LATER: &str = "* 10-59 12 * * * *";
const WAIT: Duration = Duration::from_secs(600);
const SUBSCRIPTION: &str = "cse-in/sensor/log/s";
const HOUR: Duration = Duration::from_secs(3_600);

fn schedule(members: &str) -> String {
    format!(r#"{{"m2m:sch":{{{members}}}}}"#)
}

fn entries(entry: &str) -> String {
    schedule(&format!(r#""se":{{"sce":["{entry}"]}}"#))
}

/// Gives a resource a schedule.
async fn put(actor: &Actor, to: &str, entry: &str) {
    actor.create(to, Ty::SCHEDULE, &entries(entry)).await.created();
}

/// A node with a schedule, on which an AE runs.
async fn asleep(cse: &Arc<TestCse>, name: &str, content: &str) {
    let admin = cse.admin();
    admin.create("cse-in", Ty::NODE, r#"{"m2m:nod":{"rn":"box","ni":"urn:box"}}"#).await.created();
    put(&admin, "cse-in/box", LATER).await;
    admin.update(name, content).await.updated();
}

/// Lets some seconds pass until so many requests were sent.
async fn soon(cse: &TestCse, count: usize) {
    cse.until(async || {
        cse.clock.turn(Duration::from_secs(1));
        cse.network.count() >= count
    })
    .await;
}

#[tokio::test]
async fn a_schedule_has_its_places_and_its_form() {
    let (cse, sensor) = sensor_with_log().await;
    sensor.subscribe_to_instances(LOG, "").await;
    let admin = cse.admin();
    admin.create("cse-in", Ty::NODE, r#"{"m2m:nod":{"rn":"box","ni":"urn:box"}}"#).await.created();
    let create = async |to: &'static str, content: String| admin.create(to, Ty::SCHEDULE, &content).await;
    create("cse-in/sensor", entries(LATER)).await.refused(Rsc::InvalidChildResourceType, "schedule");
    create("cse-in", schedule("")).await.refused(Rsc::BadRequest, "se");
    create("cse-in", schedule(r#""se":{"sce":[]}"#)).await.refused(Rsc::BadRequest, "se");
    create("cse-in", entries("* * 24 * * * *")).await.refused(Rsc::BadRequest, "sce");
    create("cse-in", entries("* 5-2 * * * * *")).await.refused(Rsc::BadRequest, "");
    let many = vec![format!("\"{LATER}\""); 101].join(",");
    create("cse-in", schedule(&format!(r#""se":{{"sce":[{many}]}}"#))).await.refused(Rsc::BadRequest, "100");
    let coordinated = |value: &str| schedule(&format!(r#""nco":{value},"se":{{"sce":["{LATER}"]}}"#));
    create("cse-in", coordinated("false")).await.refused(Rsc::ContentsUnacceptable, "nco");
    create(SUBSCRIPTION, coordinated("true")).await.refused(Rsc::ContentsUnacceptable, "nco");
    create("cse-in/box", coordinated("true")).await.refused(Rsc::NotImplemented, "nco");
    create("cse-in/box", coordinated("false")).await.created();
    create("cse-in/box", entries(LATER)).await.refused(Rsc::BadRequest, "only one");
    let named = schedule(&format!(r#""rn":"mine","se":{{"sce":["{LATER}"]}}"#));
    create(SUBSCRIPTION, named.clone()).await.refused(Rsc::BadRequest, "notificationSchedule");
    let created = create(SUBSCRIPTION, entries(LATER)).await.created();
    assert_eq!(created.text("rn"), Some("notificationSchedule"));
    create(SUBSCRIPTION, named.replace("mine", "notificationSchedule")).await.refused(Rsc::Conflict, "");
    let path = format!("{SUBSCRIPTION}/notificationSchedule");
    admin.update(&path, &entries("* * * 32 * * *")).await.refused(Rsc::BadRequest, "sce");
    admin.update(&path, &entries("* * 1 * * * *")).await.updated();
    assert!(!admin.retrieve(SUBSCRIPTION).await.resource().iter().any(|(name, _)| name.starts_with('@')));
    // Once it is gone there can be another one.
    admin.delete(&path).await.deleted();
    create(SUBSCRIPTION, entries(LATER)).await.created();
}

#[tokio::test]
async fn notifications_outside_the_schedule_wait_all_or_the_newest_or_none() {
    for (policy, waiting, category) in
        [("", &[][..], None), (r#","pn":1"#, &["2"], Some(4)), (r#","pn":2"#, &["1", "2"], None)]
    {
        let (cse, sensor) = sensor_with_log().await;
        sensor.subscribe_to_instances(LOG, policy).await;
        put(&sensor, SUBSCRIPTION, LATER).await;
        for value in ["1", "2"] {
            sensor.instance(LOG, value).await.created();
        }
        assert_eq!(cse.notes().await.len(), 0, "{policy}");
        cse.pass(WAIT).await;
        if !waiting.is_empty() {
            cse.until(async || cse.network.count() >= waiting.len()).await;
        }
        let notes = cse.notes().await;
        assert_eq!(contents(&notes), waiting, "{policy}");
        assert!(notes.iter().all(|note| note.request.event_category == category), "{policy}");
        sensor.instance(LOG, "3").await.created();
        assert_eq!(contents(&cse.notes().await), ["3"]);
    }
}

#[tokio::test]
async fn immediate_notifications_know_no_schedule() {
    let (cse, sensor) = sensor_with_log().await;
    sensor.subscribe_to_instances(LOG, r#","nec":2"#).await;
    put(&sensor, SUBSCRIPTION, LATER).await;
    sensor.instance(LOG, "1").await.created();
    assert_eq!(contents(&cse.notes().await), ["1"]);
}

#[tokio::test]
async fn what_waits_goes_when_the_schedule_changes_or_goes_and_after_a_restart() {
    let (cse, sensor) = sensor_with_log().await;
    sensor.subscribe_to_instances(LOG, r#","pn":2"#).await;
    // Never again.
    put(&sensor, SUBSCRIPTION, "* * * * * * 2020").await;
    sensor.instance(LOG, "1").await.created();
    cse.pass(WAIT).await;
    assert_eq!(cse.notes().await.len(), 0);
    let path = format!("{SUBSCRIPTION}/notificationSchedule");
    sensor.update(&path, &entries("* * * * * * *")).await.updated();
    soon(&cse, 1).await;
    assert_eq!(contents(&cse.notes().await), ["1"]);
    sensor.update(&path, &entries("* * 1 * * * *")).await.updated();
    sensor.instance(LOG, "2").await.created();
    assert_eq!(cse.notes().await.len(), 0);
    sensor.delete(&path).await.deleted();
    soon(&cse, 1).await;
    assert_eq!(contents(&cse.notes().await), ["2"]);
    put(&sensor, SUBSCRIPTION, "* * 20-23 * * * *").await;
    sensor.instance(LOG, "3").await.created();
    assert_eq!(cse.notes().await.len(), 0);
    cse.cse.stop();
    let again = TestCse::on(cse.store.clone(), TestCse::settings(), Arc::clone(&cse.clock)).await;
    again.pass(8 * HOUR).await;
    assert_eq!(contents(&again.notes_of(1).await), ["3"]);
}

#[tokio::test]
async fn batches_and_rates_wait_for_the_schedule_too() {
    for policy in [r#","pn":2,"bn":{"num":2}"#, r#","pn":2,"rl":{"mnn":1,"tww":"PT10S"}"#] {
        let (cse, sensor) = sensor_with_log().await;
        sensor.subscribe_to_instances(LOG, policy).await;
        put(&sensor, SUBSCRIPTION, LATER).await;
        for value in ["1", "2", "3"] {
            sensor.instance(LOG, value).await.created();
        }
        cse.clock.turn(Duration::from_secs(120));
        assert_eq!(cse.notes().await.len(), 0, "{policy}");
        cse.pass(WAIT).await;
        cse.until(async || {
            cse.clock.turn(Duration::from_secs(10));
            contents(&cse.notes_of(1).await).len() == 3
        })
        .await;
        assert_eq!(contents(&cse.notes().await), ["1", "2", "3"], "{policy}");
    }
}

#[tokio::test]
async fn an_ae_is_not_reached_outside_the_schedule_of_its_node_and_what_is_meant_for_it_waits() {
    let (cse, sensor) = sensor_with_log().await;
    cse.register("Clamp", "lamp").await;
    sensor.subscribe(LOG, r#""nu":["Clamp"],"enc":{"net":[3]}"#).await;
    asleep(&cse, "cse-in/lamp", r#"{"m2m:ae":{"nl":"cse-in/box"}}"#).await;
    cse.network.clear();
    let admin = cse.admin();
    let mut notify = admin.request(Operation::Notify, "cse-in/lamp");
    notify.content = Some(json(r#"{"m2m:sgn":{"vrq":true}}"#));
    Answer(cse.send(notify.clone()).await).refused(Rsc::TargetNotReachable, "lamp");
    notify.response_type = ResponseType::NonBlockingSynch;
    notify.request_identifier = "later".into();
    let accepted = cse.send(notify).await;
    let uri = accepted.content.as_ref().and_then(|content| content.text("m2m:uri")).expect("accepted").to_owned();
    for value in ["1", "2"] {
        sensor.instance(LOG, value).await.created();
    }
    assert_eq!(cse.notes().await.len(), 0);
    assert_eq!(admin.retrieve(&uri).await.resource().int("rs"), Some(3));
    assert_eq!(cse.network.tried().iter().filter(|to| to.contains("Clamp")).count(), 0, "nobody knocks in vain");
    cse.pass(WAIT).await;
    cse.until(async || cse.network.count() == 3).await;
    let notes = cse.notes_of(2).await;
    assert_eq!(contents(&notes), ["1", "2"]);
    cse.until(async || admin.retrieve(&uri).await.resource().int("rs") == Some(1)).await;
}

#[tokio::test]
async fn a_node_that_is_woken_early_is_reached_at_once() {
    let (cse, sensor) = sensor_with_log().await;
    cse.register("Clamp", "lamp").await;
    sensor.subscribe(LOG, r#""nu":["Clamp"],"enc":{"net":[3]}"#).await;
    asleep(&cse, "cse-in/lamp", r#"{"m2m:ae":{"nl":"cse-in/box"}}"#).await;
    cse.network.clear();
    sensor.instance(LOG, "1").await.created();
    assert_eq!(cse.notes().await.len(), 0);
    cse.admin().delete("cse-in/box").await.deleted();
    soon(&cse, 1).await;
    assert_eq!(contents(&cse.notes().await), ["1"]);
}

#[tokio::test]
async fn a_cse_is_not_given_requests_outside_the_schedule_of_its_node() {
    let Pair { infrastructure, middle, .. } = Pair::new().await;
    shared_container(&middle, "cse-mn", "log", r#"["/id-in/Capp"]"#).await;
    let app = infrastructure.register("Capp", "app").await;
    app.retrieve("/id-mn/cse-mn/log").await.resource();
    asleep(&infrastructure, "cse-in/id-mn", r#"{"m2m:csr":{"nl":"cse-in/box"}}"#).await;
    infrastructure.network.clear();
    app.retrieve("/id-mn/cse-mn/log").await.refused(Rsc::TargetNotReachable, "id-mn");
    assert!(infrastructure.network.tried().is_empty());
    let mut request = app.request(Operation::Create, "/id-mn/cse-mn/log");
    request.resource_type = Some(Ty::CONTENT_INSTANCE);
    request.content = Some(json(r#"{"m2m:cin":{"con":"1"}}"#));
    request.response_type = ResponseType::NonBlockingSynch;
    assert_eq!(infrastructure.send(request).await.status, Rsc::AcceptedNonBlockingSynch);
    infrastructure.pass(WAIT).await;
    middle.until(async || middle.admin().retrieve("cse-mn/log").await.resource().int("cni") == Some(1)).await;
}

#[tokio::test]
async fn outside_its_own_schedule_a_cse_serves_its_administrator_only() {
    let (cse, sensor) = sensor_with_log().await;
    let admin = cse.admin();
    put(&admin, "cse-in", LATER).await;
    let refused = async |sensor: &Actor| {
        sensor.retrieve(LOG).await.refused(Rsc::TargetNotReachable, "schedule");
        sensor.instance(LOG, "1").await.refused(Rsc::TargetNotReachable, "schedule");
    };
    refused(&sensor).await;
    admin.retrieve(LOG).await.resource();
    cse.cse.stop();
    let again = TestCse::on(cse.store.clone(), TestCse::settings(), Arc::clone(&cse.clock)).await;
    let (sensor, admin) = (again.originator("Csensor"), again.admin());
    refused(&sensor).await;
    again.clock.turn(WAIT);
    sensor.retrieve(LOG).await.resource();
    again.clock.turn(12 * HOUR);
    refused(&sensor).await;
    let list = admin.discover("cse-in", r#","ty":[18]"#).await;
    admin.delete(&list[0]).await.deleted();
    sensor.retrieve(LOG).await.resource();
    assert_eq!(
        admin
            .retrieve("cse-in")
            .await
            .resource()
            .get("srt")
            .and_then(Value::as_list)
            .map(|types| { types.iter().filter_map(Value::as_int).filter(|ty| [14, 18].contains(ty)).count() }),
        Some(2)
    );
}

fn is_notification(request: &cse_core::primitive::Request) -> bool {
    request.operation == Operation::Notify
        && request.content.as_ref().is_some_and(|content| {
            content.get("m2m:sgn").and_then(Value::as_map).is_some_and(|sgn| sgn.contains("nev"))
        })
}

#[tokio::test]
async fn the_schedule_of_a_node_at_another_cse_counts_as_well() {
    let Pair { infrastructure, middle, clock } = Pair::new().await;
    let policy = r#"{"m2m:acp":{"rn":"seen","pv":{"acr":[{"acor":["/id-mn"],"acop":34}]},"pvs":{"acr":[{"acor":["CAdmin"],"acop":63}]}}}"#;
    let admin = infrastructure.admin();
    admin.create("cse-in", Ty::ACCESS_CONTROL_POLICY, policy).await.created();
    let node = r#"{"m2m:nod":{"rn":"box","ni":"urn:box","acpi":["cse-in/seen"]}}"#;
    admin.create("cse-in", Ty::NODE, node).await.created();
    let scheduled = r#"{"m2m:sch":{"se":{"sce":["* 10-59 12 * * * *"]},"acpi":["cse-in/seen"]}}"#;
    admin.create("cse-in/box", Ty::SCHEDULE, scheduled).await.created();

    let bell = middle.register("Cbell", "bell").await;
    bell.update("cse-mn/bell", r#"{"m2m:ae":{"poa":["mqtt://bell"],"nl":"/id-in/cse-in/box"}}"#).await.updated();
    bell.container("cse-mn/bell", "rung").await.created();
    let subscription = r#"{"m2m:sub":{"rn":"s","nu":["/id-mn/Cbell"],"enc":{"net":[3]}}}"#;
    bell.create("cse-mn/bell/rung", Ty::SUBSCRIPTION, subscription).await.created();
    bell.instance("cse-mn/bell/rung", "1").await.created();
    middle.until(async || infrastructure.cse.metrics().requests[1].get() > 0).await;
    let told = async || middle.network.sent(0).await.iter().filter(|(_, request)| is_notification(request)).count();
    assert_eq!(told().await, 0);
    clock.turn(WAIT);
    middle.until(async || told().await == 1).await;
}

#[tokio::test]
async fn a_node_may_be_hosted_by_the_cse_that_runs_on_it() {
    let Pair { infrastructure, middle, clock } = Pair::new().await;
    let policy = r#"{"m2m:acp":{"rn":"seen","pv":{"acr":[{"acor":["/id-in","/id-in/Capp"],"acop":34}]},"pvs":{"acr":[{"acor":["CAdmin"],"acop":63}]}}}"#;
    let admin = middle.admin();
    admin.create("cse-mn", Ty::ACCESS_CONTROL_POLICY, policy).await.created();
    let node = r#"{"m2m:nod":{"rn":"box","ni":"urn:box","acpi":["cse-mn/seen"]}}"#;
    admin.create("cse-mn", Ty::NODE, node).await.created();
    let registree = infrastructure.originator("/id-mn");
    let mut request = registree.request(Operation::Update, "cse-in/id-mn");
    request.content = Some(json(r#"{"m2m:csr":{"nl":"/id-mn/cse-mn/box"}}"#));
    request.context = crate::tree::from_cse("/id-mn");
    Answer(infrastructure.send(request).await).updated();
    // Without a schedule there, it is reached always; the way to the node is the same, and waits for nothing.
    let app = infrastructure.register("Capp", "app").await;
    app.retrieve("/id-mn/cse-mn/box").await.ok();
    let scheduled = r#"{"m2m:sch":{"se":{"sce":["* 10-59 12 * * * *"]},"acpi":["cse-mn/seen"]}}"#;
    admin.create("cse-mn/box", Ty::SCHEDULE, scheduled).await.created();
    clock.turn(Duration::from_secs(61));
    app.retrieve("/id-mn/cse-mn/box").await.refused(Rsc::TargetNotReachable, "id-mn");
    clock.turn(WAIT);
    app.retrieve("/id-mn/cse-mn/box").await.ok();
}
