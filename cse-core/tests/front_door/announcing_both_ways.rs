//! Originals that take changes of their copies (announceSyncType 2, TS-0001 §9.6.26).

use std::time::Duration;

use cse_core::error::Rsc;
use cse_core::primitive::{Operation, Redelivery, ResultContent};
use cse_core::schema::Ty;
use cse_core::value::Map;

use crate::announcing::{announce_to, assert_follows, converged};
use crate::harness::{Actor, Answer, Play, json};
use crate::tree::{Pair, Plan, from_cse, wire};

/// An IN-CSE with an AE that may do everything with the copy of a container, and what it is to know of both.
struct Stage {
    pair: Pair,
    user: Actor,
    original: &'static str,
    copy: String,
}

const ORIGINAL: &str = "cse-mn/log";

impl Stage {
    async fn new(attributes: &str) -> Self {
        let pair = Pair::new().await;
        let user = pair.infrastructure.register("Cuser", "user").await;
        let all = r#"{"m2m:acp":{"rn":"all","pv":{"acr":[{"acor":["all"],"acop":63}]},
            "pvs":{"acr":[{"acor":["CAdmin"],"acop":63}]}}}"#;
        pair.infrastructure.admin().create("cse-in", Ty::ACCESS_CONTROL_POLICY, all).await.created();
        let content = format!(
            r#"{{"m2m:cnt":{{"rn":"log","at":["/id-in"],"aa":["mni"],"acpi":["/id-in/cse-in/all"],"mni":5,"lbl":["x"],
                "mbs":1000{attributes}}}}}"#
        );
        pair.middle.admin().create("cse-mn", Ty::CONTAINER, &content).await.created();
        converged(&pair.middle).await;
        let original = pair.middle.admin().retrieve(ORIGINAL).await.resource();
        let copy = announce_to(&original).remove(0);
        Self { pair, user, original: ORIGINAL, copy }
    }

    async fn original(&self) -> Map {
        self.pair.middle.admin().retrieve(self.original).await.resource()
    }

    async fn copy(&self) -> Map {
        self.user.retrieve(&self.copy).await.resource()
    }
}

#[tokio::test]
async fn who_may_change_the_copy_changes_the_original() {
    let stage = Stage::new(r#","ast":2"#).await;
    let answer = stage.user.update(&stage.copy, r#"{"m2m:cntA":{"lbl":["y"],"mni":9}}"#).await.updated();
    assert_eq!((answer.int("mni"), answer.text("lnk")), (Some(9), stage.copy().await.text("lnk")));
    // Whoever has the answer finds it at both ends.
    let (original, copy) = (stage.original().await, stage.copy().await);
    assert_eq!((original.int("mni"), copy.int("mni")), (Some(9), Some(9)));
    assert_eq!(copy.texts("lbl").collect::<Vec<_>>(), ["y"]);
    stage.user.update(&stage.copy, r#"{"m2m:cntA":{"lbl":null}}"#).await.updated();
    converged(&stage.pair.middle).await;
    let (original, copy) = (stage.original().await, stage.copy().await);
    assert!(!original.contains("lbl"));
    assert_follows(&copy, &original);
}

#[tokio::test]
async fn without_it_nobody_but_the_cse_of_the_original_changes_a_copy() {
    let stage = Stage::new("").await;
    let change = r#"{"m2m:cntA":{"mni":9}}"#;
    stage.user.update(&stage.copy, change).await.refused(Rsc::OriginatorHasNoPrivilege, "copy");
    let admin = stage.pair.infrastructure.admin();
    admin.update(&stage.copy, change).await.refused(Rsc::OriginatorHasNoPrivilege, "copy");
    assert_eq!(stage.copy().await.int("mni"), Some(5));
    // Nor does the host of the copy change the original.
    let original = format!("/id-mn/{}", stage.original);
    let host = stage.pair.infrastructure.originator("/id-in");
    host.update(&original, r#"{"m2m:cnt":{"mni":9}}"#).await.refused(Rsc::OriginatorHasNoPrivilege, "/id-in");
    // It can be turned on, and off again, at any time.
    stage.pair.middle.admin().update(stage.original, r#"{"m2m:cnt":{"ast":2}}"#).await.updated();
    converged(&stage.pair.middle).await;
    stage.user.update(&stage.copy, change).await.updated();
    stage.pair.middle.admin().update(stage.original, r#"{"m2m:cnt":{"ast":1}}"#).await.updated();
    converged(&stage.pair.middle).await;
    stage.user.update(&stage.copy, change).await.refused(Rsc::OriginatorHasNoPrivilege, "copy");
}

#[tokio::test]
async fn only_what_is_announced_is_changed_that_way() {
    let stage = Stage::new(r#","ast":2"#).await;
    for (change, status, hint) in [
        (r#"{"acpi":["/id-in/cse-in/all"]}"#, Rsc::BadRequest, "acpi"),
        (r#"{"lnk":"/id-mn/cse-mn"}"#, Rsc::BadRequest, "lnk"),
        (r#"{"ast":1}"#, Rsc::BadRequest, "ast"),
        (r#"{"et":"20290101T000000"}"#, Rsc::BadRequest, "et"),
        (r#"{"mni":"many"}"#, Rsc::BadRequest, "mni"),
        // Neither named in `aa`, nor anything that can be.
        (r#"{"mbs":9}"#, Rsc::OriginatorHasNoPrivilege, "/id-in"),
        (r#"{"at":[]}"#, Rsc::BadRequest, "at"),
    ] {
        let answer = stage.user.update(&stage.copy, &format!(r#"{{"m2m:cntA":{change}}}"#)).await;
        answer.refused(status, hint);
    }
    // The right of the host is that of this announcement: it reads nothing, deletes nothing, and no other CSE has it.
    let original = format!("/id-mn/{}", stage.original);
    let host = stage.pair.infrastructure.originator("/id-in");
    for content in [r#"{"m2m:cnt":{"acpi":null}}"#, r#"{"m2m:cnt":{"lbl":["z"],"mbs":9}}"#] {
        host.update(&original, content).await.refused(Rsc::OriginatorHasNoPrivilege, "/id-in");
    }
    host.delete(&original).await.refused(Rsc::OriginatorHasNoPrivilege, "/id-in");
    let mut other = stage.pair.middle.originator("/id-other").request(Operation::Update, stage.original);
    other.content = Some(json(r#"{"m2m:cnt":{"mni":9}}"#));
    other.context = from_cse("/id-in");
    Answer(stage.pair.middle.send(other).await).refused(Rsc::OriginatorHasNoPrivilege, "/id-other");
    let stranger = stage.pair.infrastructure.register("Cother", "other").await;
    stage.pair.infrastructure.admin().delete("cse-in/all").await.deleted();
    let refused = stranger.update(&stage.copy, r#"{"m2m:cntA":{"mni":9}}"#).await;
    refused.refused(Rsc::OriginatorHasNoPrivilege, "Cother");
    assert_eq!((stage.original().await.int("mni"), stage.original().await.int("mbs")), (Some(5), Some(1000)));
}

#[tokio::test]
async fn what_the_original_refuses_or_does_not_hear_changes_nothing() {
    let stage = Stage::new(r#","ast":2"#).await;
    let before = stage.copy().await;
    stage.pair.infrastructure.network.cut("mqtt://host/id-mn");
    let change = r#"{"m2m:cntA":{"mni":9}}"#;
    stage.user.update(&stage.copy, change).await.refused(Rsc::TargetNotReachable, "/id-mn");
    stage.pair.infrastructure.network.mend();
    stage.pair.infrastructure.network.play([Play::Answer(Rsc::Conflict)]);
    assert_eq!(stage.user.update(&stage.copy, change).await.0.status, Rsc::Conflict);
    assert_eq!(stage.copy().await, before);
    stage.pair.middle.admin().delete(stage.original).await.deleted();
    // Until the copy is gone, too.
    let answer = stage.user.update(&stage.copy, change).await;
    assert_eq!(answer.0.status, Rsc::NotFound);
    converged(&stage.pair.middle).await;
    stage.user.update(&stage.copy, change).await.refused(Rsc::NotFound, "cntA");
}

#[tokio::test]
async fn a_repeated_update_changes_the_original_once() {
    let stage = Stage::new(r#","ast":2"#).await;
    let mut update = stage.user.request(Operation::Update, &stage.copy);
    update.content = Some(json(r#"{"m2m:cntA":{"mni":9}}"#));
    update.result_content = Some(ResultContent::Nothing);
    update.context.redelivery = Redelivery::New;
    let tag = stage.original().await.int("st").unwrap();
    assert_eq!(stage.pair.infrastructure.send(update.clone()).await.status, Rsc::Updated);
    update.context.redelivery = Redelivery::Possible;
    let again = stage.pair.infrastructure.send(update).await;
    assert_eq!((again.status, again.content), (Rsc::Updated, None));
    assert_eq!(stage.original().await.int("st"), Some(tag + 1));
}

/// Both ends are changed at the same time, and answers are lost: in the end they say the same.
#[tokio::test]
async fn changes_at_both_ends_meet() {
    for round in 0..20_u64 {
        let stage = Stage::new(r#","ast":2"#).await;
        let admin = stage.pair.middle.admin();
        if round % 3 == 0 {
            stage.pair.middle.network.play([Play::LoseAnswer, Play::Unreachable]);
        }
        for number in 0..6_u64 {
            let there = format!(r#"{{"m2m:cntA":{{"mni":{},"lbl":["there-{}"]}}}}"#, 10 + number, number % 2);
            let here = format!(r#"{{"m2m:cnt":{{"mni":{},"lbl":["here-{}"]}}}}"#, 20 + number, number % 2);
            let (user, copy) = (stage.user.clone(), stage.copy.clone());
            let far = tokio::spawn(async move { user.update(&copy, &there).await.0.status });
            for _ in 0..(round * 7 + number * 3) % 11 {
                tokio::task::yield_now().await;
            }
            admin.update(stage.original, &here).await.updated();
            let clock = stage.pair.clock.clone();
            let ticking = tokio::spawn(async move {
                loop {
                    clock.turn(Duration::from_millis(50));
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            });
            assert_eq!(far.await.unwrap(), Rsc::Updated);
            ticking.abort();
        }
        converged(&stage.pair.middle).await;
        assert_follows(&stage.copy().await, &stage.original().await);
    }
}

#[tokio::test]
async fn it_works_through_the_cses_between() {
    let clock = crate::harness::TestClock::new();
    let top = Plan::new("in").over("/id-mn", &["/id-deep"]).start(&clock).await;
    let middle = Plan::new("mn").under("/id-in").over("/id-deep", &[]).start(&clock).await;
    let deep = Plan::new("deep").under("/id-mn").start(&clock).await;
    wire(("/id-in", &top), ("/id-mn", &middle));
    wire(("/id-mn", &middle), ("/id-deep", &deep));
    let content = r#"{"m2m:cnt":{"rn":"log","at":["/id-in"],"aa":["mni"],"ast":2,"mni":5}}"#;
    deep.admin().create("cse-deep", Ty::CONTAINER, content).await.created();
    converged(&deep).await;
    let copy = announce_to(&deep.admin().retrieve("cse-deep/log").await.resource()).remove(0);
    top.admin().update(&copy, r#"{"m2m:cntA":{"mni":9}}"#).await.updated();
    assert_eq!(deep.admin().retrieve("cse-deep/log").await.resource().int("mni"), Some(9));
    assert_eq!(top.admin().retrieve(&copy).await.resource().int("mni"), Some(9));
}
