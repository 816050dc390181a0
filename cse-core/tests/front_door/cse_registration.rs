//! Registration of CSEs, and what is reached by way of them (TS-0004 §7.4.4, TS-0001 §10.2.2.3).

use std::sync::Arc;
use std::time::Duration;

use cse_core::codec::Serialization;
use cse_core::error::Rsc;
use cse_core::id::{CseIdentity, CseType};
use cse_core::memory::MemoryStore;
use cse_core::ports::{Destination, Dispatch};
use cse_core::primitive::{Binding, Operation};
use cse_core::registrations::EntityKind;
use cse_core::schema::Ty;
use cse_core::settings::{Registrar, Settings};
use cse_core::value::{Map, Value};

use crate::harness::{Actor, Answer, TestClock, TestCse, json};

/// Attributes that a `<remoteCSE>` must have, and more.
fn csr(cse_id: &str, more: &str) -> String {
    let base = cse_id.trim_start_matches('/');
    format!(r#"{{"m2m:csr":{{"cb":"{cse_id}/{base}","rr":true,"srv":["3"]{more}}}}}"#)
}

async fn register(cse: &Arc<TestCse>, cse_id: &str, more: &str) -> Answer {
    cse.originator(cse_id).create("cse-in", Ty::REMOTE_CSE, &csr(cse_id, more)).await
}

/// A middle node, `/id-mn`, below `/id-in`.
fn middle_node(cse_type: CseType) -> Settings {
    let identity = CseIdentity::new("//cse.example", "/id-mn", "cse-in", cse_type).expect("valid");
    let mut settings = Settings::new(identity, "CAdmin");
    settings.registrar = Some(Registrar::new("/id-in", Vec::new()));
    settings
}

async fn below(settings: Settings) -> Arc<TestCse> {
    TestCse::on(MemoryStore::new(), settings, TestClock::new()).await
}

/// By which registree a CSE is reached.
fn way(cse: &TestCse, cse_id: &str) -> Option<String> {
    cse.cse.registrations().next_hop(cse_id).map(|hop| hop.cse_id.to_string())
}

#[tokio::test]
async fn a_cse_registers() {
    let cse = TestCse::new().await;
    let more = r#","csi":"/id-other","cst":2,"poa":["mqtt://mn.example"],"csz":["application/cbor"],"dcse":["/id-a"]"#;
    let shown = register(&cse, "/id-mn", more).await.created();
    for (attribute, value) in
        [("csi", "/id-mn"), ("ri", "id-mn"), ("rn", "id-mn"), ("pi", "id-in"), ("spi", "//cse.example")]
    {
        assert_eq!(shown.text(attribute), Some(value), "{attribute}");
    }
    let mn = cse.originator("/id-mn");
    for address in ["cse-in/id-mn", "id-mn", "/id-in/id-mn"] {
        assert_eq!(mn.retrieve(address).await.resource().text("csi"), Some("/id-mn"), "{address}");
    }
    assert_eq!(cse.cse.registrations().get("/id-mn").map(|known| known.kind), Some(EntityKind::Cse));
    assert_eq!(way(&cse, "/id-a").as_deref(), Some("/id-mn"));
}

#[tokio::test]
async fn only_a_cse_registers_as_one() {
    let cse = TestCse::new().await;
    cse.register("Cx", "x").await;
    for from in ["Cx", "CAdmin", "Sx", "/id-mn/Cx", "//other.example", "id-mn", "/id mn"] {
        let refusal = cse.originator(from).create("cse-in", Ty::REMOTE_CSE, &csr("/id-mn", "")).await;
        refusal.refused(Rsc::OperationNotAllowed, "only a CSE");
    }
    let nobody = cse.originator("").create("cse-in", Ty::REMOTE_CSE, &csr("/id-mn", "")).await;
    nobody.refused(Rsc::BadRequest, "fr");
    assert!(way(&cse, "/id-mn").is_none());
}

#[tokio::test]
async fn who_may_register_is_configured() {
    let cse = TestCse::with(|settings| settings.allowed_cse_originators = vec!["/id-m*".into()]).await;
    register(&cse, "/id-mn", "").await.created();
    register(&cse, "/id-other", "").await.refused(Rsc::SecurityAssociationRequired, "'/id-other'");
}

#[tokio::test]
async fn other_service_providers_register_only_where_they_are_named() {
    let named =
        |pattern: &'static str| TestCse::with(|settings| settings.allowed_cse_originators = vec![pattern.into()]);
    let other = "//other.example/id-in";
    for pattern in ["/*", "//third.example/*"] {
        let cse = named(pattern).await;
        register(&cse, other, "").await.refused(Rsc::SecurityAssociationRequired, "other.example");
    }
    let cse = named("//other.example/*").await;
    let shown = register(&cse, other, "").await.created();
    assert_eq!((shown.text("csi"), shown.text("spi")), (Some(other), Some("//other.example")));
    assert_eq!(way(&cse, "//other.example/id-x").as_deref(), Some(other));
    cse.originator(other).retrieve("cse-in").await.ok();
    register(&cse, other, "").await.refused(Rsc::OriginatorHasAlreadyRegistered, other);
    register(&cse, "/id-mn", "").await.refused(Rsc::SecurityAssociationRequired, "'/id-mn'");
}

#[tokio::test]
async fn nobody_registers_as_this_cse_or_its_registrar() {
    let mn = below(middle_node(CseType::Mn)).await;
    let mut request = mn.originator("/id-mn").request(Operation::Create, "cse-in");
    request.resource_type = Some(Ty::REMOTE_CSE);
    request.content = Some(json(&csr("/id-mn", "")));
    request.context.binding = Binding::Mqtt;
    Answer(mn.send(request).await).refused(Rsc::SecurityAssociationRequired, "'/id-mn'");
    register(&mn, "/id-in", "").await.refused(Rsc::SecurityAssociationRequired, "'/id-in'");
    // A CSE without registrar keeps nothing for one.
    let top = TestCse::new().await;
    register(&top, "/id-in", "").await.refused(Rsc::SecurityAssociationRequired, "'/id-in'");
}

#[tokio::test]
async fn no_cse_registers_with_an_asn() {
    let asn = below(middle_node(CseType::Asn)).await;
    register(&asn, "/id-below", "").await.refused(Rsc::OperationNotAllowed, "ASN");
    keep_registrar(&asn).await.created();
}

#[tokio::test]
async fn kinds_of_cses_register_with_the_kind_above_them() {
    let named =
        |settings: &mut Settings| settings.allowed_cse_originators = vec!["/*".into(), "//other.example/*".into()];
    let top = TestCse::with(named).await;
    let mut settings = middle_node(CseType::Mn);
    named(&mut settings);
    let middle = below(settings).await;
    let other = "//other.example/id-in";
    for (cse, cse_id, kind, hint) in [
        (&top, "/id-a", 1, Some("none of its own service provider")),
        (&middle, "/id-a", 1, Some("none of its own service provider")),
        (&top, other, 2, Some("no IN-CSE")),
        (&top, other, 3, Some("no IN-CSE")),
        (&middle, other, 1, Some("registers with the IN-CSE")),
        (&top, other, 1, None),
        (&top, "/id-a", 2, None),
        (&middle, "/id-a", 2, None),
        (&middle, "/id-b", 3, None),
    ] {
        let answer = register(cse, cse_id, &format!(r#","cst":{kind}"#)).await;
        match hint {
            Some(hint) => answer.refused(Rsc::OperationNotAllowed, hint),
            None => drop(answer.created()),
        }
    }
    // A middle node keeps its registrar, which is an IN-CSE.
    let content = csr("/id-in", r#","cst":1"#);
    middle.originator("/id-mn").create("cse-in", Ty::REMOTE_CSE, &content).await.created();
}

#[tokio::test]
async fn a_cse_registers_once() {
    let cse = TestCse::new().await;
    register(&cse, "/id-mn", "").await.created();
    for more in ["", r#","rn":"again""#] {
        register(&cse, "/id-mn", more).await.refused(Rsc::OriginatorHasAlreadyRegistered, "'/id-mn'");
    }
    let absolute = cse.originator("//cse.example/id-mn").create("cse-in", Ty::REMOTE_CSE, &csr("/id-mn", "")).await;
    absolute.refused(Rsc::OriginatorHasAlreadyRegistered, "'/id-mn'");
    // Another CSE may not have its name, but register under another one.
    register(&cse, "/id-b", r#","rn":"id-mn""#).await.refused(Rsc::Conflict, "id-mn");
    register(&cse, "/id-b", r#","rn":"b""#).await.created();
}

#[tokio::test]
async fn two_registrations_at_once_are_one() {
    let cse = TestCse::new().await;
    let (one, other) = tokio::join!(register(&cse, "/id-mn", ""), register(&cse, "/id-mn", ""));
    let mut statuses = [one.0.status, other.0.status];
    statuses.sort_by_key(|status| *status as u16);
    assert_eq!(statuses, [Rsc::Created, Rsc::OriginatorHasAlreadyRegistered]);
}

#[tokio::test]
async fn a_cse_id_takes_no_identifier_from_others() {
    let cse = TestCse::new().await;
    for cse_id in ["/Cx", "/cnt17", "/cse-in", "/CAE9"] {
        let shown = register(&cse, cse_id, "").await.created();
        assert_eq!(shown.text("csi"), Some(cse_id));
        assert_eq!(shown.text("ri"), Some(format!("csr-{}", &cse_id[1..]).as_str()));
        register(&cse, cse_id, "").await.refused(Rsc::OriginatorHasAlreadyRegistered, cse_id);
        cse.originator(cse_id).retrieve("cse-in").await.ok();
    }
    cse.register("Cx", "x").await;
    assert_eq!(cse.originator("Cx").retrieve("cse-in").await.resource().text("ri"), Some("id-in"));
}

#[tokio::test]
async fn a_cse_id_may_look_like_an_ae_id() {
    let cse = TestCse::new().await;
    for (cse_id, below) in [("/Site-1", "/Site-2"), ("/Cabinet", "/Closet"), ("/S1", "/S2")] {
        let more = format!(r#","poa":["http://mn.example"],"dcse":["{below}"]"#);
        register(&cse, cse_id, &more).await.created();
        register(&cse, cse_id, "").await.refused(Rsc::OriginatorHasAlreadyRegistered, cse_id);
        assert_eq!((way(&cse, cse_id).as_deref(), way(&cse, below).as_deref()), (Some(cse_id), Some(cse_id)));
        let mn = cse.originator(cse_id);
        let address = format!("cse-in/{}", &cse_id[1..]);
        mn.retrieve("cse-in").await.ok();
        mn.retrieve(&address).await.ok();
        mn.update(&address, r#"{"m2m:csr":{"lbl":["mine"]}}"#).await.updated();
        mn.container(&address, "log").await.created();
        // It is no AE: neither one of that stem, nor what that would have a policy for.
        cse.originator(&cse_id[1..]).retrieve(&address).await.refused(Rsc::OriginatorHasNoPrivilege, "RETRIEVE");
        // What is asked of it, or of the one below, goes there.
        for to in [cse_id.to_owned(), format!("{cse_id}/cse-mn"), below.to_owned(), format!("{below}/x")] {
            cse.network.clear();
            let _ = cse.admin().retrieve(&to).await;
            let (destination, request) = cse.network.sent(1).await[0].clone();
            assert_eq!((destination, request.to.as_str()), (point("http://mn.example", cse_id), to.as_str()));
        }
        mn.delete(&address).await.deleted();
        register(&cse, cse_id, "").await.created();
    }
}

#[tokio::test]
async fn an_ae_of_the_service_provider_and_a_cse_have_different_identifiers() {
    let cse = TestCse::new().await;
    register(&cse, "/S1", r#","dcse":["/S2"]"#).await.created();
    let ae = r#"{"m2m:ae":{"api":"Napp","rr":false,"srv":["3"]}}"#;
    let refusal = cse.originator("S1").create("cse-in", Ty::AE, ae).await;
    refusal.refused(Rsc::OriginatorHasAlreadyRegistered, "S1");
    cse.register("S3", "three").await;
    register(&cse, "/S3", "").await.refused(Rsc::OriginatorHasAlreadyRegistered, "/S3");
    // What a registree says to be below it takes nothing from an AE that is here.
    cse.register("S2", "two").await;
    cse.originator("/S2").retrieve("cse-in/two").await.ok();
    cse.originator("S2").delete("cse-in/two").await.deleted();
    cse.originator("/S1").delete("cse-in/S1").await.deleted();
    cse.originator("S1").create("cse-in", Ty::AE, ae).await.created();
}

#[tokio::test]
async fn a_policy_for_a_cse_that_looks_like_an_ae_may_be_older_than_it() {
    let cse = TestCse::new().await;
    let policy = r#"{"m2m:acp":{"rn":"p","pv":{"acr":[{"acor":["/S1"],"acop":63}]},"pvs":{"acr":[{"acor":["CAdmin"],"acop":63}]}}}"#;
    cse.admin().create("cse-in", Ty::ACCESS_CONTROL_POLICY, policy).await.created();
    let log = r#"{"m2m:cnt":{"rn":"log","acpi":["cse-in/p"]}}"#;
    cse.admin().create("cse-in", Ty::CONTAINER, log).await.created();
    register(&cse, "/S1", "").await.created();
    cse.originator("/S1").retrieve("cse-in/log").await.ok();
    register(&cse, "/S2", "").await.created();
    cse.originator("/S2").retrieve("cse-in/log").await.refused(Rsc::OriginatorHasNoPrivilege, "RETRIEVE");
}

#[tokio::test]
async fn a_registrar_may_look_like_an_ae() {
    let mut settings = middle_node(CseType::Mn);
    settings.registrar = Some(Registrar::new("/Site-0", Vec::new()));
    let mn = below(settings).await;
    let content = csr("/Site-0", r#","poa":["http://in.example"]"#);
    let own = mn.originator("/id-mn");
    own.create("cse-in", Ty::REMOTE_CSE, &content).await.created();
    assert_eq!(mn.cse.registrations().registrar().expect("kept").cse_id, "/Site-0");
    mn.originator("/Site-0").retrieve("cse-in").await.ok();
    register(&mn, "/Site-0", "").await.refused(Rsc::SecurityAssociationRequired, "'/Site-0'");
}

#[tokio::test]
async fn what_is_said_of_a_cse_must_fit_it() {
    let cse = TestCse::new().await;
    for (more, hint) in [
        (r#","poa":["nowhere"]"#, "'nowhere' is no URL"),
        (r#","dcse":["id-a"]"#, "'id-a' is no CSE-ID"),
        (r#","dcse":["/id-a","/id-b/Cx"]"#, "'/id-b/Cx' is no CSE-ID"),
        (r#","ici":"in""#, "'in' is no CSE-ID"),
        (r#","ici":"/id-other""#, "'/id-other' is not the IN-CSE"),
        (r#","ici":"//other.example/id-in""#, "'//other.example/id-in' is not the IN-CSE"),
        (r#","spi":"//other.example""#, "'//other.example' is not"),
        (r#","cst":9"#, "cst"),
        (r#","ri":"x""#, "ri"),
    ] {
        register(&cse, "/id-mn", more).await.refused(Rsc::BadRequest, hint);
    }
    for content in [
        r#"{"m2m:csr":{"cb":"/id-other/cse","rr":true,"srv":["3"]}}"#,
        r#"{"m2m:csr":{"rr":true,"srv":["3"]}}"#,
        r#"{"m2m:csr":{"cb":"/id-mn/cse","srv":["3"]}}"#,
        r#"{"m2m:csr":{"cb":"/id-mn/cse","rr":true}}"#,
    ] {
        let answer = cse.originator("/id-mn").create("cse-in", Ty::REMOTE_CSE, content).await;
        assert_eq!(answer.0.status, Rsc::BadRequest, "{content}");
    }
    let mn = cse.originator("/id-mn");
    register(&cse, "/id-mn", r#","spi":"cse.example","ici":"/id-in""#).await.created();
    for content in [
        r#"{"poa":["nowhere"]}"#,
        r#"{"dcse":["id-a"]}"#,
        r#"{"csi":"/id-x"}"#,
        r#"{"cb":"/id-mn/x"}"#,
        r#"{"spi":"//other.example"}"#,
        r#"{"rr":null}"#,
    ] {
        let answer = mn.update("id-mn", &format!(r#"{{"m2m:csr":{content}}}"#)).await;
        assert_eq!(answer.0.status, Rsc::BadRequest, "{content}");
    }
}

#[tokio::test]
async fn the_cses_below_a_registree_are_bounded() {
    let cse = TestCse::new().await;
    let descendants = |count: usize| {
        let ids: Vec<String> = (0..count).map(|number| format!("\"/id-{number}\"")).collect();
        format!(r#","dcse":[{}]"#, ids.join(","))
    };
    register(&cse, "/id-mn", &descendants(10_001)).await.refused(Rsc::BadRequest, "at most 10000");
    register(&cse, "/id-mn", &descendants(10_000)).await.created();
    assert_eq!(way(&cse, "/id-9999").as_deref(), Some("/id-mn"));
    let mn = cse.originator("/id-mn");
    let more = format!(r#"{{"m2m:csr":{{{}}}}}"#, &descendants(10_001)[1..]);
    mn.update("id-mn", &more).await.refused(Rsc::BadRequest, "at most 10000");
}

#[tokio::test]
async fn only_the_registree_changes_its_registration() {
    let cse = TestCse::new().await;
    register(&cse, "/id-mn", "").await.created();
    register(&cse, "/id-b", "").await.created();
    let all = r#"{"m2m:acp":{"rn":"all","pv":{"acr":[{"acor":["all"],"acop":63}]},"pvs":{"acr":[{"acor":["all"],"acop":63}]}}}"#;
    cse.admin().create("cse-in", Ty::ACCESS_CONTROL_POLICY, all).await.created();
    let owner = cse.originator("/id-mn");
    owner.update("id-mn", r#"{"m2m:csr":{"acpi":["cse-in/all"]}}"#).await.updated();
    // Policies let others read, and never change.
    let ae = cse.register("Cx", "x").await;
    for other in [&ae, &cse.originator("/id-b"), &cse.originator("/id-mn/Cx")] {
        other.retrieve("id-mn").await.ok();
        for content in [r#"{"m2m:csr":{"lbl":["x"]}}"#, r#"{"m2m:csr":{"acpi":null}}"#] {
            other.update("id-mn", content).await.refused(Rsc::OriginatorHasNoPrivilege, "UPDATE");
        }
        other.delete("id-mn").await.refused(Rsc::OriginatorHasNoPrivilege, "DELETE");
    }
    ae.retrieve("cse-in/id-b").await.refused(Rsc::OriginatorHasNoPrivilege, "RETRIEVE");
    owner.update("id-mn", r#"{"m2m:csr":{"acpi":null}}"#).await.updated();
    owner.update("id-mn", r#"{"m2m:csr":{"lbl":["mine"]}}"#).await.updated();
    owner.delete("id-mn").await.deleted();
    cse.admin().delete("id-b").await.deleted();
    assert_eq!(way(&cse, "/id-mn"), None);
    register(&cse, "/id-mn", "").await.created();
}

#[tokio::test]
async fn a_registered_cse_may_do_what_a_registered_ae_may() {
    let cse = TestCse::new().await;
    let mn = cse.originator("/id-mn");
    mn.retrieve("cse-in").await.refused(Rsc::OriginatorHasNoPrivilege, "RETRIEVE");
    register(&cse, "/id-mn", "").await.created();
    assert_eq!(mn.retrieve("/id-in").await.resource().text("csi"), Some("/id-in"));
    let policy =
        r#"{"m2m:acp":{"pv":{"acr":[{"acor":["/id-mn"],"acop":63}]},"pvs":{"acr":[{"acor":["/id-mn"],"acop":63}]}}}"#;
    mn.create("cse-in", Ty::ACCESS_CONTROL_POLICY, policy).await.created();
    mn.container("cse-in", "mine").await.refused(Rsc::OriginatorHasNoPrivilege, "CREATE");
    mn.container("cse-in/id-mn", "mine").await.created();
    mn.delete("id-mn").await.deleted();
    mn.retrieve("cse-in").await.refused(Rsc::OriginatorHasNoPrivilege, "RETRIEVE");
}

#[tokio::test]
async fn an_expired_registration_is_none() {
    let cse = TestCse::new().await;
    let mn = cse.originator("/id-mn");
    register(&cse, "/id-mn", r#","et":"20260101T120100","dcse":["/id-a"]"#).await.created();
    mn.update("id-mn", r#"{"m2m:csr":{"et":"20260101T120200"}}"#).await.updated();
    cse.pass(Duration::from_secs(90)).await;
    register(&cse, "/id-mn", "").await.refused(Rsc::OriginatorHasAlreadyRegistered, "'/id-mn'");
    cse.pass(Duration::from_secs(31)).await;
    mn.retrieve("cse-in").await.refused(Rsc::OriginatorHasNoPrivilege, "RETRIEVE");
    let gone = || async { way(&cse, "/id-mn").is_none() && way(&cse, "/id-a").is_none() };
    cse.until(gone).await;
    assert_eq!(cse.cse.registrations().count(), 0);
    register(&cse, "/id-mn", r#","rn":"id-mn""#).await.created();
    assert_eq!(way(&cse, "/id-mn").as_deref(), Some("/id-mn"));
}

#[tokio::test]
async fn a_name_is_free_before_its_expired_holder_is_cleared_away() {
    let cse = TestCse::with(|settings| settings.expiration_interval = Duration::from_secs(86_400)).await;
    register(&cse, "/id-mn", r#","et":"20260101T120100","dcse":["/id-a"]"#).await.created();
    cse.pass(Duration::from_secs(61)).await;
    register(&cse, "/id-mn", r#","rn":"id-mn""#).await.created();
    assert_eq!((way(&cse, "/id-mn").as_deref(), way(&cse, "/id-a")), (Some("/id-mn"), None));
}

#[tokio::test]
async fn ways_are_known_again_after_a_restart() {
    let (store, clock) = (MemoryStore::new(), TestClock::new());
    let before = TestCse::on(store.clone(), TestCse::settings(), Arc::clone(&clock)).await;
    register(&before, "/id-mn", r#","dcse":["/id-a"]"#).await.created();
    before.cse.stop();
    let after = TestCse::on(store, TestCse::settings(), clock).await;
    assert_eq!(way(&after, "/id-a").as_deref(), Some("/id-mn"));
}

/// The middle node makes its `<remoteCSE>` for its registrar.
async fn keep_registrar(mn: &Arc<TestCse>) -> Answer {
    let content = csr("/id-in", r#","poa":["http://in.example"],"dcse":["/id-x"]"#);
    mn.originator("/id-mn").create("cse-in", Ty::REMOTE_CSE, &content).await
}

#[tokio::test]
async fn the_registrar_is_kept_and_is_no_registree() {
    let mn = below(middle_node(CseType::Mn)).await;
    assert_eq!(mn.cse.registrations().registrar(), None);
    let shown = keep_registrar(&mn).await.created();
    assert_eq!((shown.text("csi"), shown.text("rn")), (Some("/id-in"), Some("id-in")));
    assert_eq!(mn.cse.registrations().registrar().expect("kept").cse_id, "/id-in");
    assert_eq!((way(&mn, "/id-in"), way(&mn, "/id-x")), (None, None));
    assert!(mn.cse.registrations().cses().is_empty());
    keep_registrar(&mn).await.refused(Rsc::OriginatorHasAlreadyRegistered, "'/id-in'");
    let own = mn.originator("/id-mn");
    own.update("cse-in/id-in", r#"{"m2m:csr":{"poa":["http://other.example"]}}"#).await.updated();
    // The registrar may look at the CSE, but not at what is kept of it.
    let registrar = mn.originator("/id-in");
    registrar.retrieve("cse-in").await.ok();
    registrar.update("cse-in/id-in", r#"{"m2m:csr":{"lbl":["x"]}}"#).await.refused(Rsc::OriginatorHasNoPrivilege, "");
    own.delete("cse-in/id-in").await.deleted();
    assert_eq!(mn.cse.registrations().registrar(), None);
}

/// A container with a subscription that notifies `target`; returns the one who writes.
async fn notifying(cse: &Arc<TestCse>, target: &str) -> Actor {
    let writer = cse.register("Cwriter", "writer").await;
    writer.container("cse-in/writer", "log").await.created();
    subscribe(&writer, target).await.created();
    writer
}

async fn subscribe(writer: &Actor, target: &str) -> Answer {
    let content = format!(r#"{{"m2m:sub":{{"nu":["{target}"],"enc":{{"net":[3]}},"nct":1}}}}"#);
    writer.create("cse-in/writer/log", Ty::SUBSCRIPTION, &content).await
}

fn point(url: &str, entity: &str) -> Destination {
    Destination::PointOfAccess { url: url.into(), entity: entity.into() }
}

fn content_of(notification: Option<&Map>) -> String {
    format!("{notification:?}")
}

#[tokio::test]
async fn a_notification_to_an_ae_of_a_registree_goes_by_it() {
    let cse = TestCse::new().await;
    let more = r#","poa":["ftp://mn.example","mqtt://mn.example","http://mn.example"],"csz":["application/cbor"]"#;
    register(&cse, "/id-mn", more).await.created();
    for target in ["/id-mn/Cx", "/id-mn", "//cse.example/id-mn/cse-mn/app"] {
        cse.network.clear();
        let writer = cse.originator("Cwriter");
        if writer.retrieve("cse-in/writer").await.0.status == Rsc::Ok {
            writer.delete("cse-in/writer").await.deleted();
        }
        let writer = notifying(&cse, target).await;
        writer.instance("cse-in/writer/log", "news").await.created();
        let sent = cse.network.sent(2).await;
        for (destination, request) in &sent {
            assert_eq!(*destination, point("mqtt://mn.example", "/id-mn"));
            assert_eq!(request.to, target);
            assert_eq!(request.from.as_deref(), Some("/id-in"));
            assert_eq!(request.operation, Operation::Notify);
        }
        assert!(content_of(sent[0].1.content.as_ref()).contains("vrq"));
        assert!(content_of(sent[1].1.content.as_ref()).contains("news"));
    }
    let written = cse.network.written("mqtt://mn.example");
    assert!(written.iter().all(|serialization| *serialization == Serialization::Cbor), "{written:?}");
    assert_eq!(cse.cse.preferred_serialization("/id-mn").await, Some(Serialization::Cbor));
    assert_eq!(cse.cse.preferred_serialization("/id-mn/Cx").await, Some(Serialization::Cbor));
}

#[tokio::test]
async fn a_notification_to_an_ae_of_a_descendant_goes_by_the_registree() {
    let cse = TestCse::new().await;
    register(&cse, "/id-mn", r#","poa":["http://mn.example"],"dcse":["/id-far"]"#).await.created();
    let writer = notifying(&cse, "/id-far/Cx").await;
    writer.instance("cse-in/writer/log", "one").await.created();
    for (destination, request) in cse.network.sent(2).await {
        assert_eq!((destination, request.to.as_str()), (point("http://mn.example", "/id-mn"), "/id-far/Cx"));
    }
    // A changed point of access counts from then on, and the next one where the first fails.
    let mn = cse.originator("/id-mn");
    mn.update("id-mn", r#"{"m2m:csr":{"poa":["http://down.example","http://up.example"]}}"#).await.updated();
    cse.network.clear();
    cse.network.cut("http://down.example");
    writer.instance("cse-in/writer/log", "two").await.created();
    assert_eq!(cse.network.sent(1).await[0].0, point("http://up.example", "/id-mn"));
    assert_eq!(cse.network.tried(), ["http://down.example"]);
}

#[tokio::test]
async fn a_cse_without_points_of_access_is_reached_over_the_broker_if_at_all() {
    let cse = TestCse::new().await;
    register(&cse, "/id-mn", "").await.created();
    notifying(&cse, "/id-mn/Cx").await;
    assert_eq!(cse.network.sent(1).await[0].0, Destination::MqttEntity("/id-mn".into()));
    cse.originator("/id-mn").update("id-mn", r#"{"m2m:csr":{"rr":false}}"#).await.updated();
    let writer = cse.originator("Cwriter");
    let refusal = subscribe(&writer, "/id-mn/Cy").await;
    refusal.refused(Rsc::SubscriptionVerificationInitiationFailed, "/id-mn/Cy");
}

#[tokio::test]
async fn what_is_below_nobody_is_not_notified_by_the_top() {
    let cse = TestCse::new().await;
    register(&cse, "/id-mn", "").await.created();
    let writer = cse.register("Cwriter", "writer").await;
    writer.container("cse-in/writer", "log").await.created();
    for target in ["/id-far/Cx", "//other.example/id-in/Cx"] {
        subscribe(&writer, target).await.refused(Rsc::SubscriptionVerificationInitiationFailed, target);
    }
    assert_eq!(cse.network.count(), 0);
}

#[tokio::test]
async fn what_is_not_below_goes_to_the_registrar() {
    let mn = below(middle_node(CseType::Mn)).await;
    let writer = mn.register("Cwriter", "writer").await;
    writer.container("cse-in/writer", "log").await.created();
    let target = "/id-in/Cx";
    subscribe(&writer, target).await.refused(Rsc::SubscriptionVerificationInitiationFailed, target);
    keep_registrar(&mn).await.created();
    for target in ["/id-in/Cx", "/id-elsewhere/Cx", "//other.example/id-in/Cx"] {
        subscribe(&writer, target).await.created();
        let sent = mn.network.sent(1).await;
        let (destination, request) = sent.into_iter().find(|(_, request)| request.to == target).expect("verified");
        assert_eq!(destination, point("http://in.example", "/id-in"));
        assert_eq!(request.from.as_deref(), Some("/id-mn"));
    }
}

#[tokio::test]
async fn another_service_provider_is_notified_under_the_absolute_identifier() {
    let cse = TestCse::with(|settings| settings.allowed_cse_originators = vec!["//other.example/*".into()]).await;
    register(&cse, "//other.example/id-in", r#","poa":["http://other.example"]"#).await.created();
    notifying(&cse, "//other.example/id-mn/Cx").await;
    let (destination, request) = cse.network.sent(1).await[0].clone();
    assert_eq!(destination, point("http://other.example", "//other.example/id-in"));
    assert_eq!(request.from.as_deref(), Some("//cse.example/id-in"));
    assert_eq!(request.to, "//other.example/id-mn/Cx");
    let content = request.content.expect("a notification");
    let verification = content.get("m2m:sgn").and_then(Value::as_map).expect("one");
    assert!(verification.text("sur").expect("an address").starts_with("//cse.example/id-in/sub"), "{verification:?}");
    assert!(verification.text("cr").expect("a creator").starts_with("//cse.example/id-in/C"), "{verification:?}");
}

#[tokio::test]
async fn a_notify_to_a_remote_cse_resource_reaches_the_cse() {
    let cse = TestCse::new().await;
    register(&cse, "/id-mn", r#","poa":["http://mn.example"]"#).await.created();
    let mn = cse.originator("/id-mn");
    let mut request = mn.request(Operation::Notify, "cse-in/id-mn");
    request.content = Some(json(r#"{"m2m:sgn":{"vrq":true}}"#));
    Answer(cse.send(request).await).ok();
    let (destination, request) = cse.network.sent(1).await[0].clone();
    assert_eq!((destination, request.to.as_str()), (point("http://mn.example", "/id-mn"), "/id-mn"));
}
