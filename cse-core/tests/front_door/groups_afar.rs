//! Groups with members at other CSEs: what they are, now or later; notifications of theirs; members that are deleted
//! (TS-0004 §7.4.13.2, §7.4.14).

use std::sync::Arc;
use std::time::Duration;

use cse_core::error::Rsc;
use cse_core::primitive::{Operation, Request};
use cse_core::schema::Ty;
use cse_core::value::Map;

use crate::harness::{Actor, Answer, TestCse};
use crate::notified::TARGET;
use crate::tree::{Pair, from_cse, shared_container};

const GROUP: &str = "cse-in/app/g";
const FAN_OUT: &str = "cse-in/app/g/fopt";
const HERE: &str = "cse-in/here";
const THERE: &str = "/id-mn/cse-mn/there";

/// An AE at the IN-CSE, and containers for it here and at the MN-CSE.
async fn pair() -> (Pair, Actor) {
    let pair = Pair::new().await;
    let app = pair.infrastructure.register("Capp", "app").await;
    let actors = r#"["Capp","/id-in/Capp","/id-in"]"#;
    shared_container(&pair.infrastructure, "cse-in", "here", actors).await;
    shared_container(&pair.middle, "cse-mn", "there", actors).await;
    (pair, app)
}

async fn try_to_group(app: &Actor, members: &[&str], more: &str) -> Answer {
    let members: Vec<String> = members.iter().map(|member| format!(r#""{member}""#)).collect();
    let members = members.join(",");
    let content = format!(r#"{{"m2m:grp":{{"rn":"g","mnm":9,"mid":[{members}],"mt":3{more}}}}}"#);
    app.create("cse-in/app", Ty::GROUP, &content).await
}

fn members(group: &Map) -> Vec<&str> {
    group.texts("mid").collect()
}

/// Cuts the MN-CSE off, or brings it back.
fn set_cut(cse: &TestCse, is_cut: bool) {
    match is_cut {
        true => ["/id-mn", "mqtt://"].into_iter().for_each(|beginning| cse.network.cut(beginning)),
        false => cse.network.mend(),
    }
}

#[tokio::test]
async fn members_at_other_cses_are_looked_at() {
    let (pair, app) = pair().await;
    let group = try_to_group(&app, &[HERE, THERE], "").await.created();
    assert_eq!((group.bool("mtv"), group.int("cnm")), (Some(true), Some(2)));
    app.delete(GROUP).await.deleted();
    // Those of another type, as the strategy says.
    let wrong = "/id-mn/cse-mn/acp-there";
    pair.middle
        .admin()
        .update(wrong, r#"{"m2m:acp":{"pvs":{"acr":[{"acor":["CAdmin","/id-in/Capp"],"acop":63}]}}}"#)
        .await
        .updated();
    let group = try_to_group(&app, &[HERE, wrong, THERE], "").await.created();
    assert_eq!((members(&group), group.bool("mtv")), (vec![HERE, THERE], Some(true)));
    let update = format!(r#"{{"m2m:grp":{{"mid":["{wrong}","{HERE}"]}}}}"#);
    assert_eq!(members(&app.update(GROUP, &update).await.updated()), [HERE]);
    app.delete(GROUP).await.deleted();
    try_to_group(&app, &[HERE, wrong], r#","csy":2"#).await.refused(Rsc::GroupMemberTypeInconsistent, wrong);
    let group = try_to_group(&app, &[HERE, wrong], r#","csy":3"#).await.created();
    assert_eq!((group.int("mt"), group.int("cnm"), group.bool("mtv")), (Some(0), Some(2), Some(true)));
    app.delete(GROUP).await.deleted();
    // What is not there, or not for the originator.
    try_to_group(&app, &["/id-mn/cse-mn/none"], "").await.refused(Rsc::BadRequest, "none");
    pair.middle.admin().container("cse-mn", "secret").await.created();
    let secret = "/id-mn/cse-mn/secret";
    try_to_group(&app, &[secret], "").await.refused(Rsc::ReceiverHasNoPrivilege, secret);
    // A group there stands for its members, and the newest instance of a container is an instance.
    let nested = r#"{"m2m:grp":{"rn":"nested","mnm":5,"mt":3,"mid":["cse-mn/there"],"acpi":["cse-mn/acp-there"]}}"#;
    pair.middle.admin().create("cse-mn", Ty::GROUP, nested).await.created();
    let group = try_to_group(&app, &["/id-mn/cse-mn/nested/fopt"], "").await.created();
    assert_eq!((group.int("cnm"), group.bool("mtv")), (Some(1), Some(true)));
    app.delete(GROUP).await.deleted();
    let group = try_to_group(&app, &["/id-mn/cse-mn/there/la", THERE], "").await.created();
    assert_eq!(members(&group), [THERE]);
}

#[tokio::test]
async fn members_that_cannot_be_reached_are_looked_at_later() {
    let (pair, app) = pair().await;
    let cse = &pair.infrastructure;
    set_cut(cse, true);
    let group = try_to_group(&app, &[HERE, THERE], "").await.created();
    assert_eq!((group.bool("mtv"), group.int("cnm")), (Some(false), Some(2)));
    set_cut(cse, false);
    cse.clock.turn(Duration::from_secs(61));
    cse.until(|| async { app.retrieve(GROUP).await.resource().bool("mtv") != Some(false) }).await;
    let group = app.retrieve(GROUP).await.resource();
    assert_eq!((members(&group), group.bool("mtv")), (vec![HERE, THERE], Some(true)));
}

#[tokio::test]
async fn what_does_not_fit_later_is_treated_as_the_strategy_says() {
    for strategy in [1, 2, 3] {
        let (pair, app) = pair().await;
        let cse = &pair.infrastructure;
        set_cut(cse, true);
        try_to_group(&app, &[HERE, THERE], &format!(r#","csy":{strategy}"#)).await.created();
        // By the time it can be reached, another resource is there.
        let admin = pair.middle.admin();
        admin.delete("cse-mn/there").await.deleted();
        let group = r#"{"m2m:grp":{"rn":"there","mnm":1,"mid":[],"acpi":["cse-mn/acp-there"]}}"#;
        admin.create("cse-mn", Ty::GROUP, group).await.created();
        set_cut(cse, false);
        cse.clock.turn(Duration::from_secs(61));
        let settled = || async {
            let group = app.retrieve(GROUP).await;
            group.0.status == Rsc::NotFound || group.resource().bool("mtv") != Some(false)
        };
        cse.until(settled).await;
        let group = app.retrieve(GROUP).await;
        match strategy {
            1 => assert_eq!(members(&group.resource()), [HERE]),
            2 => group.refused(Rsc::NotFound, "g"),
            _ => assert_eq!(group.resource().int("mt"), Some(0)),
        }
    }
}

#[tokio::test]
async fn members_that_are_deleted_through_a_group_leave_it() {
    let (pair, app) = pair().await;
    app.container(HERE, "sub").await.created();
    try_to_group(&app, &[HERE, THERE, "/id-mn/cse-mn/none"], r#","csy":1"#).await.refused(Rsc::BadRequest, "none");
    try_to_group(&app, &["cse-in/here/sub", THERE, HERE], "").await.created();
    // What is below a member does not concern the member.
    app.container("/id-mn/cse-mn/there", "deep").await.created();
    app.delete("cse-in/app/g/fopt/deep").await.ok();
    assert_eq!(app.retrieve(GROUP).await.resource().int("cnm"), Some(3));
    pair.infrastructure.network.cut("/id-mn");
    pair.infrastructure.network.cut("mqtt://");
    app.delete(FAN_OUT).await.ok();
    let group = app.retrieve(GROUP).await.resource();
    assert_eq!((members(&group), group.int("cnm")), (vec![THERE], Some(1)), "that one was not reached");
    pair.infrastructure.network.mend();
    app.delete(FAN_OUT).await.ok();
    app.delete(FAN_OUT).await.refused(Rsc::NoMembers, "");
    pair.middle.admin().retrieve("cse-mn/there").await.refused(Rsc::NotFound, "there");
}

#[tokio::test]
async fn a_group_collects_what_members_at_other_cses_notify() {
    let (pair, app) = pair().await;
    let cse = &pair.infrastructure;
    try_to_group(&app, &[HERE, THERE], "").await.created();
    let subscription =
        format!(r#"{{"m2m:sub":{{"rn":"s","nu":["{TARGET}"],"nfu":"{TARGET}","enc":{{"net":[3],"chty":[4]}}}}}}"#);
    app.create(FAN_OUT, Ty::SUBSCRIPTION, &subscription).await.ok();
    let there = pair.middle.admin().retrieve("cse-mn/there/s").await.resource();
    assert_eq!(there.text("nfu"), Some(TARGET));
    assert!(there.texts("nu").all(|target| target.starts_with("/id-in/grp")), "{there:?}");
    cse.network.clear();
    app.instance(THERE, "1").await.created();
    app.instance(HERE, "2").await.created();
    let notes = cse.notes_of(1).await;
    let note = notes.iter().find(|note| note.destination == TARGET).expect("a notification");
    let mut contents = note.contents();
    contents.sort();
    assert_eq!((note.is_aggregated(), contents), (true, vec!["1".to_owned(), "2".to_owned()]));
}

#[tokio::test]
async fn a_group_is_notified_by_nobody_else() {
    let (pair, app) = pair().await;
    let cse = &pair.infrastructure;
    try_to_group(&app, &[HERE, THERE], "").await.created();
    let notify = |from: &str, content: &str| {
        let mut request: Request = cse.originator(from).request(Operation::Notify, GROUP);
        request.content = Some(crate::harness::json(content));
        request.context = from_cse("/id-mn");
        let cse = Arc::clone(cse);
        async move { Answer(cse.send(request).await) }
    };
    let forwarded = format!(r#"{{"m2m:sgn":{{"nev":{{"net":3}},"sur":"/id-mn/sub1","nfu":"{TARGET}"}}}}"#);
    notify("/id-mn", &forwarded).await.ok();
    notify("/id-mn", r#"{"m2m:sgn":{"vrq":true,"sur":"/id-mn/sub1"}}"#).await.ok();
    notify("/id-mn/Cx", &forwarded).await.refused(Rsc::OperationNotAllowed, "members");
    notify("/id-mn", r#"{"m2m:sgn":{"nev":{"net":3},"sur":"/id-mn/sub1"}}"#).await.refused(Rsc::BadRequest, "nfu");
    notify("/id-mn", r#"{"m2m:cnt":{}}"#).await.refused(Rsc::BadRequest, "m2m:sgn");
}
