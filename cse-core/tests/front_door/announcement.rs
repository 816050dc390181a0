//! Announced resources of other CSEs: who may write them, and what they are (TS-0001 §9.6.26, TS-0004 §7.3.3.10).

use std::sync::Arc;
use std::time::Duration;

use cse_core::error::Rsc;
use cse_core::primitive::{Operation, Request, ResultContent};
use cse_core::schema::Ty;
use cse_core::value::Map;

use crate::harness::{Actor, Answer, TestCse, inner};
use crate::tree::{Pair, Plan, from_cse, wire};

const BASE_COPY: Ty = Ty::CSE_BASE.announced();
const CONTAINER_COPY: Ty = Ty::CONTAINER.announced();

/// A CSE, as a neighbour of the one under test knows it.
struct Neighbour(Actor);

impl Neighbour {
    async fn send(&self, request: Request) -> Answer {
        let mut request = request;
        request.context = from_cse("/id-mn");
        Answer(self.0.cse.send(request).await)
    }

    async fn create(&self, to: &str, ty: Ty, content: &str) -> Answer {
        let mut request = self.0.request(Operation::Create, to);
        request.resource_type = Some(ty);
        request.content = Some(crate::harness::json(content));
        self.send(request).await
    }

    async fn update(&self, to: &str, content: &str) -> Answer {
        let mut request = self.0.request(Operation::Update, to);
        request.content = Some(crate::harness::json(content));
        self.send(request).await
    }

    /// Announces its CSEBase; returns the address of the copy.
    async fn base(&self) -> String {
        let created = self.create("cse-in", BASE_COPY, &base_of("/id-mn")).await.created();
        address(&created)
    }
}

fn base_of(cse_id: &str) -> String {
    format!(r#"{{"m2m:cbA":{{"et":"20300101T000000","lnk":"{cse_id}/base"}}}}"#)
}

fn container_of(link: &str, more: &str) -> String {
    format!(r#"{{"m2m:cntA":{{"et":"20300101T000000","lnk":"{link}"{more}}}}}"#)
}

fn address(resource: &Map) -> String {
    resource.text("ri").expect("an identifier").to_owned()
}

async fn infrastructure() -> (Arc<TestCse>, Neighbour) {
    let clock = crate::harness::TestClock::new();
    let cse = Plan::new("in").over("/id-mn", &["/id-deep"]).over("/id-other", &[]).start(&clock).await;
    let neighbour = Neighbour(cse.originator("/id-mn"));
    (cse, neighbour)
}

#[tokio::test]
async fn a_cse_announces_itself_and_below_that_what_it_hosts() {
    let (cse, neighbour) = infrastructure().await;
    let base = neighbour.base().await;
    let created =
        neighbour.create(&base, CONTAINER_COPY, &container_of("/id-mn/cnt7", r#","mni":5,"lbl":["x"]"#)).await;
    let copy = created.created();
    assert_eq!((copy.text("lnk"), copy.int("mni"), copy.int("ty")), (Some("/id-mn/cnt7"), Some(5), Some(10003)));
    assert_eq!(copy.text("pi"), Some(base.as_str()));
    let below = neighbour.create(&address(&copy), CONTAINER_COPY, &container_of("/id-mn/cnt8", "")).await.created();
    let admin = cse.admin();
    let seen = admin.retrieve(&address(&below)).await.ok();
    assert_eq!(seen.only().map(|(root, _)| root.as_str()), Some("m2m:cntA"));
    assert_eq!(admin.discover("cse-in", r#","ty":[10003]"#).await.len(), 2);
    assert_eq!(admin.discover("cse-in", r#","lbl":["x"]"#).await.len(), 1);
    let tree = inner(admin.primitive(&format!(r#"{{"op":2,"to":"{base}","rcn":4}}"#)).await.ok());
    assert_eq!(tree.get("m2m:cntA").and_then(|list| list.as_list()).map(<[_]>::len), Some(1), "{tree:?}");
}

#[tokio::test]
async fn only_cses_that_are_known_announce_and_only_what_is_theirs() {
    let (cse, neighbour) = infrastructure().await;
    let ae = cse.register("Csensor", "sensor").await;
    ae.create("cse-in", BASE_COPY, &base_of("/id-mn")).await.refused(Rsc::OriginatorHasNoPrivilege, "announced");
    let stranger = cse.originator("/id-stranger");
    stranger
        .create("cse-in", BASE_COPY, &base_of("/id-stranger"))
        .await
        .refused(Rsc::OriginatorHasNoPrivilege, "announced");
    cse.originator("/id-deep").create("cse-in", BASE_COPY, &base_of("/id-deep")).await.created();
    neighbour.create("cse-in", BASE_COPY, &base_of("/id-other")).await.refused(Rsc::BadRequest, "lnk");
    let base = neighbour.base().await;
    let foreign = container_of("/id-other/cnt1", "");
    neighbour.create(&base, CONTAINER_COPY, &foreign).await.refused(Rsc::BadRequest, "lnk");
    let other = cse.originator("/id-other");
    other.create(&base, CONTAINER_COPY, &foreign).await.refused(Rsc::OriginatorHasNoPrivilege, "announced");
    let named = container_of("/id-mn/cnt1", r#","rn":"mine""#);
    neighbour.create(&base, CONTAINER_COPY, &named).await.refused(Rsc::BadRequest, "rn");
    let incomplete = r#"{"m2m:cntA":{"lnk":"/id-mn/cnt1"}}"#;
    neighbour.create(&base, CONTAINER_COPY, incomplete).await.refused(Rsc::BadRequest, "et");
    let not_announced = container_of("/id-mn/cnt1", r#","cni":5"#);
    neighbour.create(&base, CONTAINER_COPY, &not_announced).await.refused(Rsc::BadRequest, "cni");
}

#[tokio::test]
async fn only_the_cse_of_the_original_changes_and_deletes_a_copy() {
    let (cse, neighbour) = infrastructure().await;
    let all = r#"{"m2m:acp":{"rn":"all","pv":{"acr":[{"acor":["all"],"acop":63}]},
        "pvs":{"acr":[{"acor":["all"],"acop":63}]}}}"#;
    cse.admin().create("cse-in", Ty::ACCESS_CONTROL_POLICY, all).await.created();
    let base = neighbour.base().await;
    let open = container_of("/id-mn/cnt1", r#","acpi":["/id-in/cse-in/all"]"#);
    let copy = address(&neighbour.create(&base, CONTAINER_COPY, &open).await.created());
    let ae = cse.register("Csensor", "sensor").await;
    assert_eq!(ae.retrieve(&copy).await.resource().text("lnk"), Some("/id-mn/cnt1"));
    let change = r#"{"m2m:cntA":{"mni":9}}"#;
    ae.update(&copy, change).await.refused(Rsc::OriginatorHasNoPrivilege, "Csensor");
    ae.update(&copy, r#"{"m2m:cntA":{"acpi":null}}"#).await.refused(Rsc::OriginatorHasNoPrivilege, "Csensor");
    ae.delete(&copy).await.refused(Rsc::OriginatorHasNoPrivilege, "Csensor");
    cse.originator("/id-other").delete(&copy).await.refused(Rsc::OriginatorHasNoPrivilege, "/id-other");
    // What is not a copy follows the policies.
    ae.container(&copy, "notes").await.created();
    ae.create(&copy, Ty::CONTENT_INSTANCE, r#"{"m2m:cin":{"con":"1"}}"#).await.created();
    neighbour.update(&copy, change).await.updated();
    let several = r#"{"m2m:cntA":{"acpi":null,"lbl":["y"]}}"#;
    assert!(!neighbour.update(&copy, several).await.updated().contains("acpi"));
    neighbour.update(&copy, r#"{"m2m:cntA":{"lnk":"/id-other/cnt1"}}"#).await.refused(Rsc::BadRequest, "lnk");
    let mut request = neighbour.0.request(Operation::Delete, &copy);
    request.context = from_cse("/id-mn");
    neighbour.send(request).await.deleted();
    cse.admin().retrieve(&copy).await.refused(Rsc::NotFound, &copy);
}

#[tokio::test]
async fn an_announcement_that_is_repeated_leads_to_the_same_copy() {
    let (cse, neighbour) = infrastructure().await;
    let base = neighbour.base().await;
    assert_eq!(neighbour.base().await, base);
    let first = neighbour.create(&base, CONTAINER_COPY, &container_of("/id-mn/cnt1", r#","mni":1"#)).await.created();
    neighbour.create(&address(&first), CONTAINER_COPY, &container_of("/id-mn/cnt2", "")).await.created();
    let again =
        neighbour.create(&base, CONTAINER_COPY, &container_of("/id-mn/cnt1", r#","lbl":["z"]"#)).await.created();
    assert_eq!(address(&again), address(&first));
    assert!(again.contains("lbl") && !again.contains("mni"));
    assert_eq!(cse.admin().discover(&base, r#","ty":[10003]"#).await.len(), 2);
}

#[tokio::test]
async fn copies_expire_with_their_parent() {
    let (cse, neighbour) = infrastructure().await;
    let content = r#"{"m2m:cbA":{"et":"20260101T120100","lnk":"/id-mn/base"}}"#;
    let base = address(&neighbour.create("cse-in", BASE_COPY, content).await.created());
    let copy = neighbour.create(&base, CONTAINER_COPY, &container_of("/id-mn/cnt1", "")).await.created();
    assert!(copy.text("et").is_some_and(|time| time.starts_with("20260101T120100")), "{copy:?}");
    cse.pass(Duration::from_secs(61)).await;
    cse.admin().retrieve(&address(&copy)).await.refused(Rsc::NotFound, "cntA");
    cse.until(async || cse.admin().discover("cse-in", r#","ty":[10005]"#).await.is_empty()).await;
}

#[tokio::test]
async fn the_original_is_read_through_its_copy() {
    let pair = Pair::new().await;
    crate::tree::shared_container(&pair.middle, "cse-mn", "log", r#"["/id-in/*"]"#).await;
    let original = pair.middle.admin().retrieve("cse-mn/log").await.resource();
    let link = format!("/id-mn/{}", address(&original));
    let neighbour = Neighbour(pair.infrastructure.originator("/id-mn"));
    let base = neighbour.base().await;
    let all = r#"{"m2m:acp":{"rn":"all","pv":{"acr":[{"acor":["all"],"acop":63}]},
        "pvs":{"acr":[{"acor":["all"],"acop":63}]}}}"#;
    pair.infrastructure.admin().create("cse-in", Ty::ACCESS_CONTROL_POLICY, all).await.created();
    let content = container_of(&link, r#","acpi":["cse-in/all"]"#);
    let copy = address(&neighbour.create(&base, CONTAINER_COPY, &content).await.created());
    let ae = pair.infrastructure.register("Creader", "reader").await;
    let mut request = ae.request(Operation::Retrieve, &copy);
    request.result_content = Some(ResultContent::OriginalResource);
    assert_eq!(Answer(pair.infrastructure.send(request.clone()).await).resource(), original);
    pair.infrastructure.network.cut("mqtt://host/id-mn");
    request.request_identifier = "again".into();
    Answer(pair.infrastructure.send(request).await).refused(Rsc::TargetNotReachable, "/id-mn");
    let mut request = ae.request(Operation::Retrieve, "cse-in/reader");
    request.result_content = Some(ResultContent::OriginalResource);
    Answer(pair.infrastructure.send(request).await).refused(Rsc::BadRequest, "rcn");
}

#[tokio::test]
async fn the_original_is_read_through_a_copy_that_is_hosted_elsewhere() {
    let clock = crate::harness::TestClock::new();
    let top = Plan::new("in").over("/id-mn", &[]).over("/id-other", &[]).start(&clock).await;
    let middle = Plan::new("mn").under("/id-in").start(&clock).await;
    let other = Plan::new("other").under("/id-in").start(&clock).await;
    wire(("/id-in", &top), ("/id-mn", &middle));
    wire(("/id-in", &top), ("/id-other", &other));
    let all = r#"{"m2m:acp":{"rn":"all","pv":{"acr":[{"acor":["all"],"acop":63}]},
        "pvs":{"acr":[{"acor":["CAdmin"],"acop":63}]}}}"#;
    top.admin().create("cse-in", Ty::ACCESS_CONTROL_POLICY, all).await.created();
    crate::tree::shared_container(&middle, "cse-mn", "log", r#"["/id-other/Creader"]"#).await;
    let admin = middle.admin();
    admin.update("cse-mn/log", r#"{"m2m:cnt":{"acpi":["cse-mn/acp-log","/id-in/cse-in/all"]}}"#).await.updated();
    admin.update("cse-mn/log", r#"{"m2m:cnt":{"at":["/id-in"]}}"#).await.updated();
    crate::announcing::converged(&middle).await;
    let original = admin.retrieve("cse-mn/log").await.resource();
    let copy = original.texts("at").next().unwrap().to_owned();
    assert!(copy.starts_with("/id-in/cntA"), "{copy}");
    for stem in ["Creader", "Cother"] {
        let ae = format!(r#"{{"m2m:ae":{{"rn":"{stem}","api":"Ntest","rr":true,"srv":["3"]}}}}"#);
        let actor = other.originator(stem);
        actor.create("cse-other", Ty::AE, &ae).await.created();
        let mut request = actor.request(Operation::Retrieve, &copy);
        request.result_content = Some(ResultContent::OriginalResource);
        let answer = Answer(other.send(request).await);
        // The policies of the copy let both through, those of the original one.
        match stem {
            "Creader" => assert_eq!(answer.resource(), original),
            _ => answer.refused(Rsc::OriginatorHasNoPrivilege, "/id-other/Cother"),
        }
    }
}
