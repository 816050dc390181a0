//! AE-IDs that begin with S: given by the IN-CSE, unique in its service provider, good at any CSE of it.

use std::sync::Arc;

use cse_core::error::Rsc;
use cse_core::primitive::{Operation, Redelivery, Request};
use cse_core::schema::Ty;
use cse_core::settings::{CredentialRule, CredentialRules};
use cse_core::time::Timestamp;
use cse_core::value::{Map, Value};

use crate::harness::{Answer, Play, TestClock, TestCse, json};
use crate::tree::{Pair, Plan, from_cse, wire};

const AE: &str = r#"{"m2m:ae":{"api":"Nlamp","rr":true,"srv":["3"]}}"#;

async fn register(cse: &Arc<TestCse>, from: &str) -> Answer {
    cse.originator(from).create("-", Ty::AE, AE).await
}

/// What the IN-CSE has on a stem.
async fn record(infrastructure: &Arc<TestCse>, stem: &str) -> Map {
    infrastructure.admin().retrieve(stem).await.resource()
}

async fn until_link(infrastructure: &Arc<TestCse>, stem: &str, link: &str) {
    infrastructure.until(async || record(infrastructure, stem).await.text("lnk") == Some(link)).await;
}

/// Requests to the IN-CSE about AE-IDs, as `operation from -> to`.
fn asked(cse: &TestCse) -> Vec<String> {
    let form = |request: &Request| {
        let from = request.from.as_deref().unwrap_or_default();
        format!("{} {from} -> {}", request.operation.name(), request.to)
    };
    cse.network.all().iter().map(|(_, request)| form(request)).collect()
}

/// An IN-CSE, two gateways of it, and a third below the first.
struct Tree {
    infrastructure: Arc<TestCse>,
    middle: Arc<TestCse>,
    other: Arc<TestCse>,
    lower: Arc<TestCse>,
}

impl Tree {
    async fn new() -> Self {
        let clock = TestClock::new();
        let infrastructure = Plan::new("in").over("/id-mn", &["/id-low"]).over("/id-mn2", &[]).start(&clock).await;
        let middle = Plan::new("mn").under("/id-in").over("/id-low", &[]).start(&clock).await;
        let other = Plan::new("mn2").under("/id-in").start(&clock).await;
        let lower = Plan::new("low").under("/id-mn").start(&clock).await;
        wire(("/id-in", &infrastructure), ("/id-mn", &middle));
        wire(("/id-in", &infrastructure), ("/id-mn2", &other));
        wire(("/id-mn", &middle), ("/id-low", &lower));
        Self { infrastructure, middle, other, lower }
    }
}

#[tokio::test]
async fn the_in_gives_a_stem_and_keeps_a_record_of_it() {
    let Pair { infrastructure, middle, .. } = Pair::new().await;
    let first = register(&middle, "S").await.created();
    let stem = first.text("aei").unwrap().to_owned();
    assert!(stem.starts_with("SAE") && first.text("ri") == Some(&stem), "{first:?}");
    assert_eq!(asked(&middle), ["CREATE /id-mn/S -> /id-in/-"]);
    let kept = record(&infrastructure, &stem).await;
    assert_eq!((kept.int("ty"), kept.text("ri"), kept.text("pi")), (Some(10_002), Some(&*stem), Some("id-in")));
    assert_eq!(kept.text("lnk"), Some(&*format!("/id-mn/{stem}")));
    assert_eq!((kept.text("api"), kept.int("regs")), (Some("Nlamp"), Some(1)));
    assert_eq!(kept.texts("lbl").collect::<Vec<_>>(), ["Credential-ID:"]);
    // No two are the same, wherever they register.
    let second = register(&middle, "S").await.created();
    let third = register(&infrastructure, "S").await.created();
    assert!(second.text("aei") != Some(&stem) && third.text("aei") != second.text("aei"));
    infrastructure.admin().retrieve(third.text("aei").unwrap()).await.resource();
    // It works as an AE, by this stem.
    middle.originator(&stem).container(&stem, "log").await.created();
}

#[tokio::test]
async fn a_stem_that_an_ae_has_already_is_kept_by_the_in() {
    let Pair { infrastructure, middle, .. } = Pair::new().await;
    let mut request = middle.originator("/Slamp").request(Operation::Create, "cse-mn");
    request.resource_type = Some(Ty::AE);
    request.content = Some(json(AE));
    request.context.peer.credential = Some("lamp-7".into());
    request.context.peer.authenticated = true;
    assert_eq!(Answer(middle.send(request).await).created().text("aei"), Some("Slamp"));
    assert_eq!(asked(&middle), ["UPDATE /id-mn/Slamp -> /id-in/Slamp", "CREATE /id-mn/Slamp -> /id-in/Slamp"]);
    let kept = record(&infrastructure, "Slamp").await;
    assert_eq!((kept.text("ri"), kept.text("lnk")), (Some("Slamp"), Some("/id-mn/Slamp")));
    assert_eq!(kept.texts("lbl").collect::<Vec<_>>(), ["Credential-ID:lamp-7"]);

    // The record outlives the registration, and is there for the next one; labels of others stay.
    infrastructure.admin().update("Slamp", r#"{"m2m:aeA":{"lbl":["a","Credential-ID:lamp-7"]}}"#).await;
    middle.originator("Slamp").delete("Slamp").await.deleted();
    until_link(&infrastructure, "Slamp", "INACTIVE").await;
    assert_eq!(record(&infrastructure, "Slamp").await.int("regs"), Some(2));
    middle.network.clear();
    register(&middle, "Slamp").await.created();
    assert_eq!(asked(&middle), ["UPDATE /id-mn/Slamp -> /id-in/Slamp"]);
    let kept = record(&infrastructure, "Slamp").await;
    assert_eq!((kept.text("lnk"), kept.int("regs")), (Some("/id-mn/Slamp"), Some(1)));
    assert!(kept.texts("lbl").any(|label| label == "Credential-ID:"), "{kept:?}");
}

#[tokio::test]
async fn one_stem_is_registered_at_one_cse_at_a_time() {
    let Tree { infrastructure, middle, other, lower } = Tree::new().await;
    register(&lower, "Slamp").await.created();
    assert_eq!(record(&infrastructure, "Slamp").await.text("lnk"), Some("/id-low/Slamp"));
    for elsewhere in [&middle, &other, &infrastructure] {
        register(elsewhere, "Slamp").await.refused(Rsc::OriginatorHasAlreadyRegistered, "'Slamp'");
    }
    register(&lower, "Slamp").await.refused(Rsc::OriginatorHasAlreadyRegistered, "'Slamp'");
    assert_eq!(record(&infrastructure, "Slamp").await.text("lnk"), Some("/id-low/Slamp"));

    lower.originator("Slamp").delete("Slamp").await.deleted();
    until_link(&infrastructure, "Slamp", "INACTIVE").await;
    register(&other, "Slamp").await.created();
    assert_eq!(record(&infrastructure, "Slamp").await.text("lnk"), Some("/id-mn2/Slamp"));
    register(&lower, "Slamp").await.refused(Rsc::OriginatorHasAlreadyRegistered, "'Slamp'");

    // To the IN itself, which then has no record but the AE, and back.
    other.originator("Slamp").delete("Slamp").await.deleted();
    until_link(&infrastructure, "Slamp", "INACTIVE").await;
    register(&infrastructure, "Slamp").await.created();
    assert_eq!(record(&infrastructure, "Slamp").await.int("ty"), Some(2));
    register(&middle, "Slamp").await.refused(Rsc::OriginatorHasAlreadyRegistered, "'Slamp'");
    infrastructure.originator("Slamp").delete("Slamp").await.deleted();
    register(&middle, "Slamp").await.created();
}

#[tokio::test]
async fn nothing_is_registered_while_the_in_is_away() {
    let Pair { infrastructure, middle, .. } = Pair::new().await;
    middle.network.cut("mqtt://host/id-in");
    for from in ["S", "Slamp"] {
        register(&middle, from).await.refused(Rsc::TargetNotReachable, "/id-in");
    }
    register(&middle, "C").await.created();
    assert_eq!(middle.cse.registrations().count(), 1);
    middle.network.mend();
    register(&middle, "Slamp").await.created();
    assert_eq!(record(&infrastructure, "Slamp").await.text("lnk"), Some("/id-mn/Slamp"));
    // What the IN says otherwise is said on.
    middle.network.play([Play::Answer(Rsc::NotFound), Play::Answer(Rsc::OriginatorHasNoPrivilege)]);
    register(&middle, "Sother").await.refused(Rsc::OriginatorHasNoPrivilege, "'/id-in' refuses it");
}

#[tokio::test]
async fn nobody_is_asked_for_what_is_refused_anyway() {
    let Pair { middle, .. } = Pair::new().await;
    middle.admin().container("-", "taken").await.created();
    for (from, content) in [
        ("S", r#"{"m2m:ae":{"rn":"taken","api":"Nlamp","rr":true,"srv":["3"]}}"#),
        ("Slamp", r#"{"m2m:ae":{"rn":"taken","api":"Nlamp","rr":true,"srv":["3"]}}"#),
        ("S", r#"{"m2m:ae":{"api":"Xlamp","rr":true,"srv":["3"]}}"#),
    ] {
        let answer = middle.originator(from).create("-", Ty::AE, content).await;
        assert!(!answer.0.is_success(), "{:?}", answer.0);
    }
    assert_eq!(middle.network.count(), 0);
}

#[tokio::test]
async fn a_registration_whose_answer_was_lost_gets_the_same_stem() {
    let mut pair = Pair::new().await;
    let mut request = pair.middle.originator("S").request(Operation::Create, "cse-mn");
    request.resource_type = Some(Ty::AE);
    request.content = Some(json(AE));
    request.context.registrant = Some("1-aa".into());
    request.context.redelivery = Redelivery::New;
    pair.middle.network.play([Play::LoseAnswer]);
    let lost = pair.middle.send(request.clone()).await;
    assert_eq!(lost.status, Rsc::RequestTimeout, "{lost:?}");

    // The gateway was killed before it heard; the device says it again.
    pair.middle.cse.stop();
    let store = pair.middle.store.clone();
    let again = TestCse::on(store, Plan::new("mn").under("/id-in").settings(), Arc::clone(&pair.clock)).await;
    wire(("/id-in", &pair.infrastructure), ("/id-mn", &again));
    pair.middle = Arc::clone(&again);
    request.context.redelivery = Redelivery::Possible;
    let stem = Answer(again.send(request).await).created().text("aei").unwrap().to_owned();
    let admin = pair.infrastructure.admin();
    assert_eq!(admin.discover("cse-in", r#","ty":[10002]"#).await.len(), 1);
    assert_eq!(record(&pair.infrastructure, &stem).await.text("lnk"), Some(&*format!("/id-mn/{stem}")));
}

#[tokio::test]
async fn a_registration_that_fails_after_all_leaves_no_ae_behind() {
    let clock = TestClock::new();
    let infrastructure = Plan::new("in").over("/id-mn", &[]).start(&clock).await;
    let rule = CredentialRule { credential: "lamp-*".into(), identifiers: vec!["Slamp*".into()] };
    let credentials = CredentialRules { rules: vec![rule], any_without_rules: false };
    let middle =
        Plan::new("mn").under("/id-in").start_with(&clock, |settings| settings.credentials = credentials).await;
    wire(("/id-in", &infrastructure), ("/id-mn", &middle));
    let mut request = middle.originator("S").request(Operation::Create, "cse-mn");
    request.resource_type = Some(Ty::AE);
    request.content = Some(json(AE));
    request.context.peer.credential = Some("lamp-7".into());
    Answer(middle.send(request).await).refused(Rsc::AppRuleValidationFailed, "'lamp-7'");
    let found = infrastructure.admin().discover("cse-in", r#","ty":[10002]"#).await;
    assert_eq!(found.len(), 1);
    until_link(&infrastructure, found[0].rsplit('/').next().unwrap(), "INACTIVE").await;
}

#[tokio::test]
async fn that_an_ae_is_gone_is_told_when_the_line_is_back_and_after_a_restart() {
    let Pair { infrastructure, middle, clock } = Pair::new().await;
    register(&middle, "Sone").await.created();
    let mortal = r#"{"m2m:ae":{"api":"Nlamp","rr":true,"srv":["3"],"et":"20260101T130000"}}"#;
    middle.originator("Stwo").create("-", Ty::AE, mortal).await.created();
    middle.network.cut("mqtt://host/id-in");
    middle.originator("Sone").delete("Sone").await.deleted();
    clock.turn(std::time::Duration::from_secs(2 * 3_600));
    middle.until(async || middle.cse.registrations().count() == 0).await;
    assert_eq!(middle.cse.announcements_waiting(), 2);
    middle.cse.stop();
    let again = TestCse::on(middle.store.clone(), Plan::new("mn").under("/id-in").settings(), clock).await;
    wire(("/id-in", &infrastructure), ("/id-mn", &again));
    for stem in ["Sone", "Stwo"] {
        until_link(&infrastructure, stem, "INACTIVE").await;
    }
    again.until(async || again.cse.announcements_waiting() == 0).await;
}

#[tokio::test]
async fn an_ae_that_has_come_back_is_not_told_to_be_gone() {
    let Pair { infrastructure, middle, .. } = Pair::new().await;
    register(&middle, "Slamp").await.created();
    // It meets what nobody answers, and is to be tried again later.
    middle.network.play([Play::Unreachable]);
    middle.originator("Slamp").delete("Slamp").await.deleted();
    middle.until(async || middle.cse.metrics().announcements_retried.get() == 1).await;
    register(&middle, "Slamp").await.created();
    middle.until(async || middle.cse.announcements_waiting() == 0).await;
    assert_eq!(record(&infrastructure, "Slamp").await.text("lnk"), Some("/id-mn/Slamp"));
    middle.originator("Slamp").delete("Slamp").await.deleted();
    until_link(&infrastructure, "Slamp", "INACTIVE").await;
}

#[tokio::test]
async fn notifications_find_an_ae_by_its_stem_from_everywhere() {
    let Tree { infrastructure, middle, other, lower } = Tree::new().await;
    let policy = r#"{"m2m:acp":{"rn":"p","pv":{"acr":[{"acor":["all"],"acop":63}]},
        "pvs":{"acr":[{"acor":["CAdmin"],"acop":63}]}}}"#;
    lower.admin().create("-", Ty::ACCESS_CONTROL_POLICY, policy).await.created();
    let open = r#"{"m2m:ae":{"api":"Nlamp","rr":true,"srv":["3"],"acpi":["cse-low/p"]}}"#;
    lower.originator("Slamp").create("-", Ty::AE, open).await.created();
    for (cse, target) in
        [(&infrastructure, "/Slamp"), (&middle, "/id-low/Slamp"), (&other, "//cse.example/Slamp"), (&lower, "/Slamp")]
    {
        let admin = cse.admin();
        admin.container("-", "log").await.created();
        lower.network.clear();
        let subscription = format!(r#"{{"m2m:sub":{{"rn":"s","nu":["{target}"],"nct":1,"enc":{{"net":[3]}}}}}}"#);
        admin.create("-/log", Ty::SUBSCRIPTION, &subscription).await.created();
        admin.instance("-/log", "7").await.created();
        // The one that verifies, and the one that tells.
        let sent = lower.network.sent(2).await;
        let to = sent.iter().map(|(destination, _)| destination.as_str()).collect::<Vec<_>>();
        assert_eq!(to, ["Slamp", "Slamp"], "{target}");
        assert!(sent.iter().all(|(_, request)| request.operation == Operation::Notify));
    }
    // Nobody goes round in circles for one that is nowhere.
    lower.originator("Slamp").delete("Slamp").await.deleted();
    until_link(&infrastructure, "Slamp", "INACTIVE").await;
    for cse in [&infrastructure, &middle, &other, &lower] {
        let mut request = cse.admin().request(Operation::Notify, "/Slamp");
        request.content = Some(json(r#"{"m2m:sgn":{"sur":"x"}}"#));
        Answer(cse.send(request.clone()).await).refused(Rsc::TargetNotReachable, "Slamp");
        request.to = "/Snobody".into();
        Answer(cse.send(request).await).refused(Rsc::NotFound, "Snobody");
    }
}

/// A CREATE of a record, as a CSE sends it.
async fn claim(infrastructure: &Arc<TestCse>, from: &str, to: &str, link: &str) -> Answer {
    let mut request = infrastructure.originator(from).request(Operation::Create, to);
    request.resource_type = Some(Ty::AE.announced());
    request.content = Some(json(&format!(
        r#"{{"m2m:aeA":{{"lnk":"{link}","api":"Nlamp","lbl":["Credential-ID:"],"et":"20300101T000000"}}}}"#
    )));
    request.context = from_cse("/id-mn");
    Answer(infrastructure.send(request).await)
}

#[tokio::test]
async fn a_cse_speaks_for_its_own_aes_only() {
    let Tree { infrastructure, .. } = Tree::new().await;
    claim(&infrastructure, "/id-none/S", "-", "/id-none/S").await.refused(Rsc::OriginatorHasNoPrivilege, "/id-none");
    claim(&infrastructure, "/id-mn/S", "-", "/id-mn2/S").await.refused(Rsc::BadRequest, "must be '/id-mn/S'");
    claim(&infrastructure, "/id-mn/Sa", "-", "/id-mn/Sb").await.refused(Rsc::BadRequest, "must be '/id-mn/Sa'");
    claim(&infrastructure, "/id-mn/Ca", "-", "/id-mn/Ca").await.refused(Rsc::OriginatorHasNoPrivilege, "");
    let created = claim(&infrastructure, "/id-mn/Sa", "Sa", "/id-mn/Sa").await.created();
    assert_eq!(created.text("et").and_then(Timestamp::parse), Timestamp::parse("20300101T000000"));
    // Again, it is the one that is there.
    let again = claim(&infrastructure, "/id-mn/Sa", "-", "//cse.example/id-mn/Sa").await.created();
    assert_eq!((again.text("ri"), again.text("ct")), (Some("Sa"), created.text("ct")));
    claim(&infrastructure, "/id-mn2/Sa", "-", "/id-mn2/Sa").await.refused(Rsc::OriginatorHasAlreadyRegistered, "'Sa'");
    let update = async |from: &str, content: &str| infrastructure.originator(from).update("Sa", content).await;
    update("/id-mn2/Sa", r#"{"m2m:aeA":{"lnk":"INACTIVE"}}"#).await.refused(Rsc::OriginatorHasNoPrivilege, "/id-mn2");
    update("/id-mn2/Sa", r#"{"m2m:aeA":{"lbl":["x"]}}"#).await.refused(Rsc::OriginatorHasNoPrivilege, "/id-mn2");
    let theirs = r#"{"m2m:aeA":{"lnk":"/id-mn2/Sa"}}"#;
    update("/id-mn2/Sa", theirs).await.refused(Rsc::OriginatorHasAlreadyRegistered, "'Sa'");
    update("/id-mn/Sa", theirs).await.refused(Rsc::BadRequest, "must be '/id-mn/Sa'");
    update("/id-mn/Sb", r#"{"m2m:aeA":{"lnk":"INACTIVE"}}"#).await.refused(Rsc::OriginatorHasNoPrivilege, "");
    update("/id-mn/Sa", r#"{"m2m:aeA":{"lnk":"INACTIVE"}}"#).await.updated();
    update("/id-mn2/Sa", theirs).await.updated();
    // What is of the new registrar is no more of the old one.
    update("/id-mn/Sa", r#"{"m2m:aeA":{"lnk":"INACTIVE"}}"#).await.refused(Rsc::OriginatorHasNoPrivilege, "/id-mn");
    let status = record(&infrastructure, "Sa").await.get("regs").cloned();
    assert_eq!(status, Some(Value::Int(1)));
}
