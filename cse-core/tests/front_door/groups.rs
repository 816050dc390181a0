//! Groups: members and their types, fan-out, groups of groups, subscriptions through groups (TS-0004 §7.4.13, §7.4.14).

use std::sync::Arc;
use std::time::Duration;

use cse_core::error::Rsc;
use cse_core::primitive::Operation;
use cse_core::schema::Ty;
use cse_core::time::AbsRelTimestamp;
use cse_core::value::{Map, Value};

use crate::harness::{Actor, Answer, Play, TestCse, json};
use crate::notified::TARGET;

async fn sensor_with(containers: &[&str]) -> (Arc<TestCse>, Actor) {
    let cse = TestCse::new().await;
    let sensor = cse.register("Csensor", "sensor").await;
    for name in containers {
        sensor.container("cse-in/sensor", name).await.created();
    }
    (cse, sensor)
}

fn list(members: &[&str]) -> String {
    members.iter().map(|member| format!(r#""{member}""#)).collect::<Vec<_>>().join(",")
}

async fn try_to_group(actor: &Actor, name: &str, members: &[&str], more: &str) -> Answer {
    let content = format!(r#"{{"m2m:grp":{{"rn":"{name}","mnm":20,"mid":[{}]{more}}}}}"#, list(members));
    actor.create("cse-in/sensor", Ty::GROUP, &content).await
}

async fn group(actor: &Actor, name: &str, members: &[&str], more: &str) -> Map {
    try_to_group(actor, name, members, more).await.created()
}

/// Member and status code of each answer.
fn statuses(content: &Map) -> Vec<(String, i64)> {
    let member = |answer: &Map| (answer.text("fr").unwrap().to_owned(), answer.int("rsc").unwrap());
    answers(content).iter().map(member).collect()
}

fn answers(content: &Map) -> Vec<Map> {
    let agr = content.get("m2m:agr").and_then(Value::as_map).expect("an aggregated response");
    agr.get("m2m:rsp").and_then(Value::as_list).expect("a list").iter().filter_map(Value::as_map).cloned().collect()
}

const A: &str = "cse-in/sensor/a";
const B: &str = "cse-in/sensor/b";
const GROUP: &str = "cse-in/sensor/g";
const FAN_OUT: &str = "cse-in/sensor/g/fopt";

// === members ===

#[tokio::test]
async fn members_are_counted_and_each_is_one() {
    let (_cse, sensor) = sensor_with(&["a", "b"]).await;
    let grp = group(&sensor, "g", &[A, B, A], r#","mt":3"#).await;
    assert_eq!(grp.texts("mid").collect::<Vec<_>>(), [A, B]);
    assert_eq!((grp.int("cnm"), grp.bool("mtv"), grp.int("csy")), (Some(2), Some(true), Some(1)));
    let grp = sensor.update(GROUP, &format!(r#"{{"m2m:grp":{{"mid":["{B}","{B}"]}}}}"#)).await.updated();
    assert_eq!((grp.texts("mid").collect::<Vec<_>>(), grp.int("cnm")), (vec![B], Some(1)));
    let empty = group(&sensor, "e", &[], "").await;
    assert_eq!((empty.int("cnm"), empty.int("mt")), (Some(0), Some(0)));
}

#[tokio::test]
async fn there_are_never_more_members_than_allowed() {
    let (_cse, sensor) = sensor_with(&["a", "b"]).await;
    let too_many = format!(r#"{{"m2m:grp":{{"mnm":1,"mid":["{A}","{B}"]}}}}"#);
    sensor.create("cse-in/sensor", Ty::GROUP, &too_many).await.refused(Rsc::MaxNumberOfMemberExceeded, "2");
    group(&sensor, "g", &[A, B], "").await;
    sensor.update(GROUP, r#"{"m2m:grp":{"mnm":1}}"#).await.refused(Rsc::MaxNumberOfMemberExceeded, "1");
    sensor.update(GROUP, r#"{"m2m:grp":{"mnm":2}}"#).await.updated();
    let three = format!(r#"{{"m2m:grp":{{"mid":["{A}","{B}","cse-in"]}}}}"#);
    sensor.update(GROUP, &three).await.refused(Rsc::MaxNumberOfMemberExceeded, "3");
}

#[tokio::test]
async fn members_of_another_type_are_treated_as_the_strategy_says() {
    let (_cse, sensor) = sensor_with(&["a"]).await;
    let members = [A, "cse-in/sensor"];
    let abandoned = group(&sensor, "one", &members, r#","mt":3,"csy":1"#).await;
    assert_eq!((abandoned.texts("mid").collect::<Vec<_>>(), abandoned.bool("mtv")), (vec![A], Some(true)));
    try_to_group(&sensor, "two", &members, r#","mt":3,"csy":2"#)
        .await
        .refused(Rsc::GroupMemberTypeInconsistent, "cse-in/sensor");
    let mixed = group(&sensor, "three", &members, r#","mt":3,"csy":3"#).await;
    assert_eq!((mixed.int("mt"), mixed.int("cnm"), mixed.bool("mtv")), (Some(0), Some(2), Some(true)));
    let update = format!(r#"{{"m2m:grp":{{"mid":["{A}","cse-in/sensor"]}}}}"#);
    let abandoned = sensor.update("cse-in/sensor/one", &update).await.updated();
    assert_eq!(abandoned.int("cnm"), Some(1));
}

#[tokio::test]
async fn members_must_exist_and_be_readable_where_their_type_counts() {
    let (cse, sensor) = sensor_with(&["a"]).await;
    try_to_group(&sensor, "g", &["cse-in/sensor/none"], r#","mt":3"#).await.refused(Rsc::BadRequest, "none");
    let other = cse.register("Cother", "other").await;
    other.container("cse-in/other", "secret").await.created();
    let secret = "cse-in/other/secret";
    try_to_group(&sensor, "g", &[secret], r#","mt":3"#).await.refused(Rsc::ReceiverHasNoPrivilege, secret);
    other.container("cse-in/other", "c").await.created();
    let content = r#"{"m2m:grp":{"rn":"g","mnm":2,"mt":3,"mid":["cse-in/other/c"]}}"#;
    other.create("cse-in/other", Ty::GROUP, content).await.created();
    let nested = "cse-in/other/g/fopt";
    try_to_group(&sensor, "g", &[nested], r#","mt":3"#).await.refused(Rsc::ReceiverHasNoPrivilege, nested);
    // A mixed group takes them unseen; the members decide when they are asked.
    group(&sensor, "g", &[secret, "cse-in/sensor/none", A], "").await;
    let content = sensor.retrieve(FAN_OUT).await.ok();
    let codes: Vec<i64> = statuses(&content).into_iter().map(|(_, code)| code).collect();
    assert_eq!(codes, [4103, 4004, 2000]);
}

#[tokio::test]
async fn members_of_other_cses_wait_for_their_validation() {
    let (_cse, sensor) = sensor_with(&["a"]).await;
    let grp = group(&sensor, "g", &[A, "/id-mn/cse-mn/c"], r#","mt":3"#).await;
    assert_eq!((grp.int("cnm"), grp.bool("mtv")), (Some(2), Some(false)));
    let content = sensor.retrieve(FAN_OUT).await.ok();
    let codes: Vec<i64> = statuses(&content).into_iter().map(|(_, code)| code).collect();
    assert_eq!(codes, [2000, 4004]);
}

// === fan-out ===

#[tokio::test]
async fn all_operations_fan_out() {
    let (_cse, sensor) = sensor_with(&["a", "b"]).await;
    group(&sensor, "g", &[B, A], r#","mt":3"#).await;
    let created = sensor.instance(FAN_OUT, "1").await.ok();
    assert_eq!(statuses(&created), [(B.to_owned(), 2001), (A.to_owned(), 2001)], "in the order of members");
    sensor.container(FAN_OUT, "sub").await.ok();
    let updated = sensor.update(FAN_OUT, r#"{"m2m:cnt":{"lbl":["x"]}}"#).await.ok();
    assert!(statuses(&updated).iter().all(|(_, code)| *code == 2004));
    let latest = sensor.retrieve("cse-in/sensor/g/fopt/la").await.ok();
    for answer in answers(&latest) {
        let pc = answer.get("pc").and_then(Value::as_map).unwrap();
        assert_eq!(crate::harness::inner(pc.clone()).text("con"), Some("1"));
    }
    let deeper = sensor.container("cse-in/sensor/g/fopt/sub", "deep").await.ok();
    assert!(statuses(&deeper).iter().all(|(_, code)| *code == 2001));
    sensor.retrieve("cse-in/sensor/a/sub/deep").await.ok();
    let deleted = sensor.delete("cse-in/sensor/g/fopt/sub").await.ok();
    assert!(statuses(&deleted).iter().all(|(_, code)| *code == 2002));
    sensor.retrieve("cse-in/sensor/b/sub").await.refused(Rsc::NotFound, "sub");
}

#[tokio::test]
async fn the_fan_out_point_has_many_addresses() {
    let (_cse, sensor) = sensor_with(&["a"]).await;
    let grp = group(&sensor, "g", &[A], "").await;
    let id = grp.text("ri").unwrap();
    for to in [
        format!("{id}/fopt"),
        format!("/id-in/{id}/fopt"),
        format!("/id-in/{FAN_OUT}"),
        format!("//cse.example/id-in/{FAN_OUT}"),
    ] {
        let content = sensor.retrieve(&to).await.ok();
        assert_eq!(statuses(&content), [(A.to_owned(), 2000)], "{to}");
    }
}

#[tokio::test]
async fn members_keep_their_own_rules() {
    let (cse, sensor) = sensor_with(&["a"]).await;
    let other = cse.register("Cother", "other").await;
    let policy = r#"{"m2m:acp":{"rn":"p","pv":{"acr":[{"acor":["Cother"],"acop":2}]},"pvs":{"acr":[{"acor":["Csensor"],"acop":63}]}}}"#;
    sensor.create("cse-in/sensor", Ty::ACCESS_CONTROL_POLICY, policy).await.created();
    // `macp` says who may go through the group, whatever `acpi` says; the members have their say, too.
    group(&sensor, "g", &[A], r#","macp":["cse-in/sensor/p"]"#).await;
    other.retrieve(GROUP).await.refused(Rsc::OriginatorHasNoPrivilege, "Cother");
    let content = other.retrieve(FAN_OUT).await.ok();
    assert_eq!(statuses(&content), [(A.to_owned(), 4103)]);
    other.instance(FAN_OUT, "1").await.refused(Rsc::OriginatorHasNoPrivilege, "members");
    sensor.retrieve(FAN_OUT).await.refused(Rsc::OriginatorHasNoPrivilege, "Csensor");
    group(&sensor, "plain", &[A], "").await;
    other.retrieve("cse-in/sensor/plain/fopt").await.refused(Rsc::OriginatorHasNoPrivilege, "Cother");
}

#[tokio::test]
async fn a_group_without_members_and_wrong_children_are_refused() {
    let (_cse, sensor) = sensor_with(&["a"]).await;
    group(&sensor, "e", &[], "").await;
    sensor.retrieve("cse-in/sensor/e/fopt").await.refused(Rsc::NoMembers, "");
    group(&sensor, "g", &[A], r#","mt":3"#).await;
    sensor.create(FAN_OUT, Ty::AE, r#"{"m2m:ae":{}}"#).await.refused(Rsc::InvalidChildResourceType, "AE");
}

#[tokio::test]
async fn some_members_can_be_named() {
    let (_cse, sensor) = sensor_with(&["a", "b", "c"]).await;
    group(&sensor, "inner", &["cse-in/sensor/c", B], "").await;
    group(&sensor, "g", &[A, "cse-in/sensor/inner/fopt"], "").await;
    let ask = async |members: &[&str]| {
        sensor.primitive(&format!(r#"{{"op":2,"to":"{FAN_OUT}","grtm":[{}]}}"#, list(members))).await
    };
    assert_eq!(statuses(&ask(&[A]).await.ok()), [(A.to_owned(), 2000)]);
    assert_eq!(statuses(&ask(&["/id-in/cse-in/sensor/a"]).await.ok()), [(A.to_owned(), 2000)]);
    let nested = ask(&[B]).await.ok();
    assert_eq!(statuses(&nested), [("cse-in/sensor/inner/fopt".to_owned(), 2000)]);
    let inner = answers(&nested)[0].get("pc").and_then(Value::as_map).unwrap().clone();
    assert_eq!(statuses(&inner), [(B.to_owned(), 2000)]);
    ask(&[A, "cse-in/sensor"]).await.refused(Rsc::BadRequest, "no member");
}

#[tokio::test]
async fn groups_of_groups_fan_out_once_to_each() {
    let (_cse, sensor) = sensor_with(&["a", "b"]).await;
    group(&sensor, "inner", &[A, B], r#","mt":3"#).await;
    let outer = group(&sensor, "g", &["cse-in/sensor/inner/fopt", A], r#","mt":3"#).await;
    assert_eq!((outer.int("cnm"), outer.bool("mtv")), (Some(2), Some(true)));
    let content = sensor.instance(FAN_OUT, "1").await.ok();
    let inner = answers(&content)[0].get("pc").and_then(Value::as_map).unwrap().clone();
    assert_eq!(statuses(&inner), [(A.to_owned(), 2001), (B.to_owned(), 2001)]);
    assert_eq!(sensor.retrieve(A).await.resource().int("cni"), Some(2));
}

#[tokio::test]
async fn a_group_in_itself_is_noticed() {
    let (_cse, sensor) = sensor_with(&["a"]).await;
    group(&sensor, "g", &[A], "").await;
    sensor.update(GROUP, &format!(r#"{{"m2m:grp":{{"mid":["{A}","{FAN_OUT}"]}}}}"#)).await.updated();
    let content = sensor.instance(FAN_OUT, "1").await.ok();
    assert_eq!(statuses(&content), [(A.to_owned(), 2001), (FAN_OUT.to_owned(), 4104)]);
    assert_eq!(sensor.retrieve(A).await.resource().int("cni"), Some(1));
}

#[tokio::test]
async fn groups_nest_only_so_deep() {
    let (_cse, sensor) = sensor_with(&["a"]).await;
    group(&sensor, "g0", &[A], "").await;
    for depth in 1..40 {
        let before = format!("cse-in/sensor/g{}/fopt", depth - 1);
        group(&sensor, &format!("g{depth}"), &[&before], "").await;
    }
    let content = sensor.retrieve("cse-in/sensor/g7/fopt").await.ok();
    assert!(format!("{content:?}").contains("m2m:cnt"), "eight are allowed");
    let mut content = sensor.instance("cse-in/sensor/g39/fopt", "1").await.ok();
    for _ in 0..7 {
        content = answers(&content)[0].get("pc").and_then(Value::as_map).unwrap().clone();
    }
    assert_eq!(statuses(&content)[0].1, 5001);
    assert_eq!(sensor.retrieve(A).await.resource().int("cni"), Some(0));
}

#[tokio::test]
async fn a_large_group_is_asked_as_a_whole() {
    let cse = TestCse::new().await;
    let sensor = cse.register("Csensor", "sensor").await;
    let names: Vec<String> = (0..1_000).map(|number| format!("cse-in/sensor/c{number}")).collect();
    for number in 0..1_000 {
        sensor.container("cse-in/sensor", &format!("c{number}")).await.created();
    }
    let members: Vec<&str> = names.iter().map(String::as_str).collect();
    let content = format!(r#"{{"m2m:grp":{{"rn":"g","mnm":1000,"mt":3,"mid":[{}]}}}}"#, list(&members));
    sensor.create("cse-in/sensor", Ty::GROUP, &content).await.created();
    let answer = sensor.instance(FAN_OUT, "1").await.ok();
    let expected: Vec<(String, i64)> = names.iter().map(|name| (name.clone(), 2001)).collect();
    assert_eq!(statuses(&answer), expected);
}

#[tokio::test]
async fn an_answer_that_would_be_too_large_says_that_something_is_missing() {
    let cse = TestCse::with(|settings| settings.result_bytes_max = 4_000).await;
    let sensor = cse.register("Csensor", "sensor").await;
    for name in ["a", "b"] {
        sensor.container("cse-in/sensor", name).await.created();
        sensor.instance(&format!("cse-in/sensor/{name}"), &"x".repeat(3_000)).await.created();
    }
    group(&sensor, "g", &[A, B], "").await;
    let answer = sensor.retrieve("cse-in/sensor/g/fopt/la").await;
    assert_eq!(answer.0.content_complete, Some(false));
    let answers = answers(&answer.ok());
    assert_eq!((answers[0].contains("pc"), answers[1].contains("pc")), (true, false));
    assert_eq!(answers[1].int("rsc"), Some(2000));
}

// === time ===

/// A group of a container whose updates have to be agreed to by somebody who never answers, and another.
async fn half_silent() -> (Arc<TestCse>, Actor) {
    let (cse, sensor) = sensor_with(&["a", "b"]).await;
    cse.register("Cguard", "guard").await;
    sensor.subscribe(A, r#""nu":["Cguard"],"enc":{"net":[7]}"#).await;
    group(&sensor, "g", &[A, B], "").await;
    cse.network.clear();
    cse.network.play([Play::Hang]);
    (cse, sensor)
}

#[tokio::test]
async fn who_answers_in_time_is_in_the_answer() {
    let (cse, sensor) = half_silent().await;
    let mut request = sensor.request(Operation::Update, FAN_OUT);
    request.content = Some(json(r#"{"m2m:cnt":{"lbl":["x"]}}"#));
    request.result_expiration = Some(AbsRelTimestamp::Relative(Duration::from_secs(3)));
    let waiting = tokio::spawn({
        let cse = Arc::clone(&cse);
        async move { Answer(cse.send(request).await) }
    });
    cse.network.sent(1).await;
    let has_label = async || sensor.retrieve(B).await.resource().contains("lbl");
    while !has_label().await {
        tokio::task::yield_now().await;
    }
    cse.clock.turn(Duration::from_secs(3));
    assert_eq!(statuses(&waiting.await.unwrap().ok()), [(B.to_owned(), 2004)]);
}

#[tokio::test]
async fn if_nobody_answers_in_time_that_is_said() {
    let (cse, sensor) = half_silent().await;
    sensor.update(GROUP, &format!(r#"{{"m2m:grp":{{"mid":["{A}"]}}}}"#)).await.updated();
    let mut request = sensor.request(Operation::Update, FAN_OUT);
    request.content = Some(json(r#"{"m2m:cnt":{"lbl":["x"]}}"#));
    request.result_expiration = Some(AbsRelTimestamp::Relative(Duration::from_secs(3)));
    let waiting = tokio::spawn({
        let cse = Arc::clone(&cse);
        async move { Answer(cse.send(request).await) }
    });
    cse.network.sent(1).await;
    cse.clock.turn(Duration::from_secs(3));
    waiting.await.unwrap().refused(Rsc::GroupMembersNotResponded, "");
}

// === subscriptions through groups ===

const SUBSCRIBE: &str = r#"{"m2m:sub":{"rn":"s","nu":["http://target.example/n"],"enc":{"net":[3],"chty":[4]}}}"#;

async fn subscribe_forwarding(actor: &Actor, more: &str) -> Map {
    let content = format!(
        r#"{{"m2m:sub":{{"rn":"s","nu":["{TARGET}"],"nfu":"{TARGET}","enc":{{"net":[3],"chty":[4]}}{more}}}}}"#
    );
    actor.create(FAN_OUT, Ty::SUBSCRIPTION, &content).await.ok()
}

#[tokio::test]
async fn each_member_gets_a_subscription() {
    let (cse, sensor) = sensor_with(&["a", "b"]).await;
    group(&sensor, "g", &[A, B], r#","mt":3"#).await;
    let content = sensor.create(FAN_OUT, Ty::SUBSCRIPTION, SUBSCRIBE).await.ok();
    assert!(statuses(&content).iter().all(|(_, code)| *code == 2001));
    assert_eq!(cse.notes_and_questions().await.len(), 2, "each asks for itself");
    sensor.instance(FAN_OUT, "1").await.ok();
    let notes = cse.notes().await;
    assert_eq!(notes.len(), 2);
    assert!(notes.iter().all(|note| !note.is_aggregated() && note.destination == TARGET));
}

#[tokio::test]
async fn a_group_collects_what_its_members_notify() {
    let (cse, sensor) = sensor_with(&["a", "b", "c"]).await;
    let grp = group(&sensor, "g", &[A, B, "cse-in/sensor/c"], r#","mt":3"#).await;
    let content = subscribe_forwarding(&sensor, "").await;
    assert!(statuses(&content).iter().all(|(_, code)| *code == 2001), "{content:?}");
    let asked = cse.notes_and_questions().await;
    assert_eq!(asked.len(), 1, "the group asks once for all");
    assert_eq!((asked[0].destination.as_str(), asked[0].sgn().text("cr")), (TARGET, Some("/id-in/Csensor")));
    let sub = sensor.retrieve("cse-in/sensor/a/s").await.resource();
    let address = format!("/id-in/{}", grp.text("ri").unwrap());
    assert_eq!((sub.texts("nu").collect::<Vec<_>>(), sub.text("nfu")), (vec![address.as_str()], Some(TARGET)));

    for path in [A, B] {
        sensor.instance(path, "1").await.created();
    }
    assert_eq!(cse.notes().await.len(), 0, "as many as members are waited for");
    sensor.instance(A, "2").await.created();
    let notes = cse.notes().await;
    assert_eq!(notes.len(), 1);
    assert!(notes[0].is_aggregated());
    assert_eq!(notes[0].destination, TARGET);
    assert_eq!(notes[0].contents(), ["1", "1", "2"]);
    let subs: Vec<_> = notes[0].notifications().iter().map(|sgn| sgn.text("sur").unwrap().to_owned()).collect();
    assert_eq!(subs[0], subs[2]);
    assert_ne!(subs[0], subs[1]);

    // What is not enough goes when the time is over.
    sensor.instance(B, "3").await.created();
    cse.network.clear();
    cse.clock.turn(Duration::from_secs(61));
    assert_eq!(cse.notes_of(1).await[0].contents(), ["3"]);
}

#[tokio::test]
async fn the_group_says_how_much_it_collects() {
    let (cse, sensor) = sensor_with(&["a", "b"]).await;
    group(&sensor, "g", &[A, B], r#","nar":{"num":3,"dur":"PT10S"}"#).await;
    subscribe_forwarding(&sensor, "").await;
    cse.notes().await;
    for value in ["1", "2", "3", "4"] {
        sensor.instance(A, value).await.created();
    }
    let notes = cse.notes().await;
    assert_eq!((notes.len(), notes[0].contents()), (1, vec!["1".into(), "2".into(), "3".into()]));
    cse.clock.turn(Duration::from_secs(10));
    assert_eq!(cse.notes_of(1).await[0].contents(), ["4"]);
}

#[tokio::test]
async fn batches_of_members_are_not_nested() {
    let (cse, sensor) = sensor_with(&["a", "b"]).await;
    group(&sensor, "g", &[A, B], r#","nar":{"num":4}"#).await;
    subscribe_forwarding(&sensor, r#","bn":{"num":2}"#).await;
    cse.notes().await;
    for value in ["1", "2"] {
        for path in [A, B] {
            sensor.instance(path, value).await.created();
        }
    }
    let notes = cse.notes().await;
    assert_eq!((notes.len(), notes[0].contents().len()), (1, 4));
}

#[tokio::test]
async fn a_group_in_a_group_leaves_the_collection_to_the_outer_one() {
    let (cse, sensor) = sensor_with(&["a", "b", "c"]).await;
    group(&sensor, "inner", &[A, B], "").await;
    group(&sensor, "g", &["cse-in/sensor/inner/fopt", "cse-in/sensor/c"], r#","nar":{"num":3}"#).await;
    subscribe_forwarding(&sensor, "").await;
    assert_eq!(cse.notes_and_questions().await.len(), 1);
    for path in [A, B, "cse-in/sensor/c"] {
        sensor.instance(path, "1").await.created();
    }
    let notes = cse.notes().await;
    assert_eq!((notes.len(), notes[0].contents().len()), (1, 3));
}

#[tokio::test]
async fn a_forwarding_target_that_does_not_confirm_gets_nothing() {
    let (cse, sensor) = sensor_with(&["a", "b"]).await;
    group(&sensor, "g", &[A, B], "").await;
    cse.network.play([Play::Unreachable]);
    let content = format!(r#"{{"m2m:sub":{{"rn":"s","nu":["Csensor"],"nfu":"{TARGET}"}}}}"#);
    let answer = sensor.create(FAN_OUT, Ty::SUBSCRIPTION, &content).await;
    answer.refused(Rsc::SubscriptionVerificationInitiationFailed, TARGET);
    sensor.retrieve("cse-in/sensor/a/s").await.refused(Rsc::NotFound, "a/s");
}

#[tokio::test]
async fn nobody_else_can_use_the_group_as_a_target() {
    let (cse, sensor) = sensor_with(&["a", "b"]).await;
    group(&sensor, "g", &[A], "").await;
    let failed = Rsc::SubscriptionVerificationInitiationFailed;
    // No member of the group, or without a target behind it.
    let stranger = format!(r#"{{"m2m:sub":{{"nu":["{GROUP}"],"nfu":"{TARGET}"}}}}"#);
    sensor.create(B, Ty::SUBSCRIPTION, &stranger).await.refused(failed, GROUP);
    let bare = format!(r#"{{"m2m:sub":{{"nu":["{GROUP}"]}}}}"#);
    sensor.create(A, Ty::SUBSCRIPTION, &bare).await.refused(failed, GROUP);
    // A member may, but the target behind is asked.
    sensor.create(A, Ty::SUBSCRIPTION, &stranger).await.created();
    assert_eq!(cse.notes_and_questions().await.len(), 1);
}

#[tokio::test]
async fn what_is_no_member_any_more_is_not_collected() {
    let (cse, sensor) = sensor_with(&["a", "b"]).await;
    group(&sensor, "g", &[A, B], r#","nar":{"num":2}"#).await;
    subscribe_forwarding(&sensor, "").await;
    sensor.update(GROUP, &format!(r#"{{"m2m:grp":{{"mid":["{B}"]}}}}"#)).await.updated();
    cse.notes().await;
    for value in ["1", "2"] {
        sensor.instance(A, value).await.created();
    }
    assert_eq!(cse.notes().await.len(), 0);
    for value in ["3", "4"] {
        sensor.instance(B, value).await.created();
    }
    assert_eq!(cse.notes().await[0].contents(), ["3", "4"]);
}

#[tokio::test]
async fn what_a_group_has_collected_survives_a_restart_and_goes_with_the_group() {
    let (before, sensor) = sensor_with(&["a"]).await;
    group(&sensor, "g", &[A], r#","nar":{"num":3,"dur":"PT10S"}"#).await;
    subscribe_forwarding(&sensor, "").await;
    sensor.instance(A, "1").await.created();
    before.cse.stop();
    let after = TestCse::on(before.store.clone(), TestCse::settings(), Arc::clone(&before.clock)).await;
    let sensor = after.originator("Csensor");
    sensor.instance(A, "2").await.created();
    sensor.instance(A, "3").await.created();
    assert_eq!(after.notes().await[0].contents(), ["1", "2", "3"]);
    sensor.instance(A, "4").await.created();
    sensor.delete(GROUP).await.deleted();
    after.clock.turn(Duration::from_secs(11));
    assert_eq!(after.notes().await.len(), 0);
}
