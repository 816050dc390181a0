//! Access control policies that another CSE hosts (TS-0001 §9.6.1.3.2, TS-0004 §7.3.3.15).

use std::time::Duration;

use cse_core::error::Rsc;
use cse_core::primitive::{Operation, Request};
use cse_core::schema::Ty;

use crate::harness::{Answer, TestCse};
use crate::tree::{Pair, from_cse};

/// Creates a policy at the IN-CSE that lets those originators do that, and the MN-CSE read it.
async fn policy(cse: &std::sync::Arc<TestCse>, name: &str, originators: &str, operations: u8) {
    let policy = format!(
        r#"{{"m2m:acp":{{"rn":"{name}","pv":{{"acr":[{{"acor":{originators},"acop":{operations}}}]}},
            "pvs":{{"acr":[{{"acor":["CAdmin","/id-mn"],"acop":63}}]}}}}}}"#
    );
    cse.admin().create("cse-in", Ty::ACCESS_CONTROL_POLICY, &policy).await.created();
}

/// A container at the MN-CSE that is under a policy of the IN-CSE.
async fn container(pair: &Pair, name: &str, policies: &str) {
    let container = format!(r#"{{"m2m:cnt":{{"rn":"{name}","acpi":{policies}}}}}"#);
    pair.middle.admin().create("cse-mn", Ty::CONTAINER, &container).await.created();
}

fn reads(pair: &Pair) -> u64 {
    pair.middle.cse.metrics().policies_read.get()
}

#[tokio::test]
async fn a_policy_at_another_cse_is_read_once_and_decides() {
    let pair = Pair::new().await;
    policy(&pair.infrastructure, "rules", r#"["/id-mn/Cfriend"]"#, 1 + 2).await;
    container(&pair, "data", r#"["/id-in/cse-in/rules"]"#).await;
    let friend = pair.middle.register("Cfriend", "friend").await;
    let stranger = pair.middle.register("Cstranger", "stranger").await;
    friend.retrieve("cse-mn/data").await.ok();
    friend.create("cse-mn/data", Ty::CONTENT_INSTANCE, r#"{"m2m:cin":{"con":"1"}}"#).await.created();
    friend.retrieve("cse-mn/data/la").await.ok();
    friend
        .update("cse-mn/data", r#"{"m2m:cnt":{"mni":3}}"#)
        .await
        .refused(Rsc::OriginatorHasNoPrivilege, "no privilege");
    stranger.retrieve("cse-mn/data").await.refused(Rsc::OriginatorHasNoPrivilege, "no privilege");
    assert_eq!(reads(&pair), 1, "it is kept");
}

#[tokio::test]
async fn many_who_need_a_policy_wait_for_one_reading() {
    let pair = Pair::new().await;
    policy(&pair.infrastructure, "rules", r#"["/id-mn/C*"]"#, 1 + 2 + 32).await;
    container(&pair, "data", r#"["/id-in/cse-in/rules"]"#).await;
    let friend = pair.middle.register("Cfriend", "friend").await;
    let readers = (0..20).map(|_| friend.retrieve("cse-mn/data"));
    for answer in futures_util::future::join_all(readers).await {
        answer.ok();
    }
    assert_eq!(reads(&pair), 1);
    // Discovery looks at many resources under many policies.
    for number in 0..5 {
        policy(&pair.infrastructure, &format!("rules{number}"), r#"["/id-mn/C*"]"#, 32).await;
        container(&pair, &format!("data{number}"), &format!(r#"["/id-in/cse-in/rules{number}"]"#)).await;
    }
    assert_eq!(friend.discover("cse-mn", r#","ty":[3]"#).await.len(), 6);
    assert_eq!(reads(&pair), 6);
}

#[tokio::test]
async fn a_change_of_the_policy_is_seen_when_its_time_is_over() {
    let pair = Pair::new().await;
    policy(&pair.infrastructure, "rules", r#"["/id-mn/Cfriend"]"#, 2).await;
    container(&pair, "data", r#"["/id-in/cse-in/rules"]"#).await;
    let friend = pair.middle.register("Cfriend", "friend").await;
    friend.retrieve("cse-mn/data").await.ok();
    let nobody = r#"{"m2m:acp":{"pv":{"acr":[]}}}"#;
    pair.infrastructure.admin().update("cse-in/rules", nobody).await.updated();
    friend.retrieve("cse-mn/data").await.ok();
    pair.clock.turn(Duration::from_secs(61));
    friend.retrieve("cse-mn/data").await.refused(Rsc::OriginatorHasNoPrivilege, "no privilege");
}

#[tokio::test]
async fn while_its_cse_is_away_a_policy_holds_for_some_time() {
    let pair = Pair::new().await;
    policy(&pair.infrastructure, "rules", r#"["/id-mn/Cfriend"]"#, 2).await;
    container(&pair, "data", r#"["/id-in/cse-in/rules"]"#).await;
    container(&pair, "other", r#"["/id-in/cse-in/never-read"]"#).await;
    let friend = pair.middle.register("Cfriend", "friend").await;
    friend.retrieve("cse-mn/data").await.ok();
    pair.middle.network.cut("/id-in");
    pair.middle.network.cut("mqtt://");
    pair.clock.turn(Duration::from_secs(1_800));
    friend.retrieve("cse-mn/data").await.ok();
    friend.retrieve("cse-mn/other").await.refused(Rsc::OriginatorHasNoPrivilege, "no privilege");
    pair.clock.turn(Duration::from_secs(1_900));
    friend.retrieve("cse-mn/data").await.refused(Rsc::OriginatorHasNoPrivilege, "no privilege");
    pair.middle.network.mend();
    friend.retrieve("cse-mn/data").await.refused(Rsc::OriginatorHasNoPrivilege, "no privilege");
    pair.clock.turn(Duration::from_secs(11));
    friend.retrieve("cse-mn/data").await.ok();
}

#[tokio::test]
async fn policies_here_are_asked_first_and_what_cannot_be_read_allows_nothing() {
    let pair = Pair::new().await;
    let here = r#"{"m2m:acp":{"rn":"here","pv":{"acr":[{"acor":["Cfriend"],"acop":63}]},"pvs":{"acr":[{"acor":["Cfriend"],"acop":63}]}}}"#;
    pair.middle.admin().create("cse-mn", Ty::ACCESS_CONTROL_POLICY, here).await.created();
    container(&pair, "both", r#"["/id-in/cse-in/missing","cse-mn/here"]"#).await;
    let friend = pair.middle.register("Cfriend", "friend").await;
    friend.retrieve("cse-mn/both").await.ok();
    assert_eq!(pair.middle.network.count(), 0, "nobody was asked");
    let stranger = pair.middle.register("Cstranger", "stranger").await;
    stranger.retrieve("cse-mn/both").await.refused(Rsc::OriginatorHasNoPrivilege, "no privilege");
    assert_eq!(pair.middle.cse.metrics().policies_unreadable.get(), 1);
    // One that does not let this CSE read it.
    let closed = r#"{"m2m:acp":{"rn":"closed","pv":{"acr":[{"acor":["all"],"acop":63}]},"pvs":{"acr":[{"acor":["CAdmin"],"acop":63}]}}}"#;
    pair.infrastructure.admin().create("cse-in", Ty::ACCESS_CONTROL_POLICY, closed).await.created();
    container(&pair, "closed", r#"["/id-in/cse-in/closed"]"#).await;
    stranger.retrieve("cse-mn/closed").await.refused(Rsc::OriginatorHasNoPrivilege, "no privilege");
}

#[tokio::test]
async fn the_own_rules_of_a_policy_elsewhere_say_who_may_link_others() {
    let pair = Pair::new().await;
    let rules = r#"{"m2m:acp":{"rn":"rules","pv":{"acr":[{"acor":["/id-mn/Cuser"],"acop":63}]},
        "pvs":{"acr":[{"acor":["CAdmin","/id-mn","/id-mn/Cowner"],"acop":63}]}}}"#;
    pair.infrastructure.admin().create("cse-in", Ty::ACCESS_CONTROL_POLICY, rules).await.created();
    container(&pair, "data", r#"["/id-in/cse-in/rules"]"#).await;
    let (user, owner) = (pair.middle.register("Cuser", "user").await, pair.middle.register("Cowner", "owner").await);
    let relinked = r#"{"m2m:cnt":{"acpi":["/id-in/cse-in/rules","/id-in/cse-in/more"]}}"#;
    user.update("cse-mn/data", relinked).await.refused(Rsc::OriginatorHasNoPrivilege, "no privilege");
    owner.update("cse-mn/data", relinked).await.updated();
}

#[tokio::test]
async fn groups_and_entities_are_reached_by_policies_elsewhere() {
    let pair = Pair::new().await;
    policy(&pair.infrastructure, "rules", r#"["/id-mn/Cfriend"]"#, 63).await;
    container(&pair, "data", r#"["/id-in/cse-in/rules"]"#).await;
    let group = r#"{"m2m:grp":{"rn":"all","mt":3,"mnm":5,"mid":["cse-mn/data"],"macp":["/id-in/cse-in/rules"]}}"#;
    pair.middle.admin().create("cse-mn", Ty::GROUP, group).await.created();
    let (friend, stranger) =
        (pair.middle.register("Cfriend", "friend").await, pair.middle.register("Cstranger", "stranger").await);
    friend.retrieve("cse-mn/all/fopt").await.ok();
    stranger.retrieve("cse-mn/all/fopt").await.refused(Rsc::OriginatorHasNoPrivilege, "no privilege");
    // An AE that others may notify, as a policy elsewhere says.
    let entity = pair.middle.register("Cbell", "bell").await;
    entity.update("Cbell", r#"{"m2m:ae":{"poa":["mqtt://bell"]}}"#).await.updated();
    entity.update("Cbell", r#"{"m2m:ae":{"acpi":["/id-in/cse-in/rules"]}}"#).await.updated();
    let notify = |from: &str| {
        let mut request: Request = pair.middle.originator(from).request(Operation::Notify, "Cbell");
        request.content = Some(crate::harness::json(r#"{"m2m:sgn":{"nev":{"net":1}}}"#));
        request.context = from_cse("/id-in");
        request.context.sender = None;
        request
    };
    Answer(pair.middle.send(notify("Cfriend")).await).ok();
    Answer(pair.middle.send(notify("Cstranger")).await).refused(Rsc::OriginatorHasNoPrivilege, "no privilege");
}
