//! What may be registered under which credential, and what the CSE remembers of it (TS-0010 §8.2).

use std::sync::Arc;
use std::time::Duration;

use cse_core::error::Rsc;
use cse_core::memory::MemoryStore;
use cse_core::primitive::Operation;
use cse_core::registrations::{Ended, EntityKind, Registration};
use cse_core::schema::Ty;
use cse_core::settings::{CredentialRule, CredentialRules};

use crate::harness::{Answer, TestClock, TestCse, json};

/// Who registers: credential, whether it is proven, identifier that is bound to it.
#[derive(Clone, Copy, Default)]
struct Who {
    credential: Option<&'static str>,
    proven: bool,
    bound: Option<&'static str>,
}

fn proven(credential: &'static str) -> Who {
    Who { credential: Some(credential), proven: true, bound: None }
}

async fn register(cse: &Arc<TestCse>, who: Who, from: &str) -> Answer {
    register_as(cse, who, from, Ty::AE, r#"{"m2m:ae":{"api":"Ntest","rr":true,"srv":["3"]}}"#).await
}

async fn register_as(cse: &Arc<TestCse>, who: Who, from: &str, ty: Ty, content: &str) -> Answer {
    let mut request = cse.originator(from).request(Operation::Create, "cse-in");
    request.resource_type = Some(ty);
    request.content = Some(json(content));
    let peer = &mut request.context.peer;
    peer.credential = who.credential.map(Into::into);
    peer.authenticated = who.proven;
    peer.identifier = who.bound.map(Into::into);
    Answer(cse.send(request).await)
}

fn rules(rules: &[(&str, &[&str])]) -> CredentialRules {
    let rules = rules.iter().map(|(credential, identifiers)| CredentialRule {
        credential: (*credential).into(),
        identifiers: identifiers.iter().map(|identifier| (*identifier).into()).collect(),
    });
    CredentialRules { rules: rules.collect(), any_without_rules: false }
}

#[tokio::test]
async fn a_credential_registers_what_a_rule_allows() {
    let credentials = rules(&[("lamp-*", &["Clamp*", "Cdimmer"]), ("*", &["Cguest"])]);
    let cse = TestCse::with(|settings| settings.credentials = credentials).await;
    register(&cse, proven("lamp-7"), "Clamp7").await.created();
    register(&cse, proven("lamp-8"), "/id-in/Cdimmer").await.created();
    register(&cse, proven("other"), "Cguest").await.created();
    // What is claimed but not proven is bound by the rules no less.
    let claimed = Who { credential: Some("other"), ..Who::default() };
    for who in [proven("other"), claimed] {
        register(&cse, who, "Clamp9").await.refused(Rsc::AppRuleValidationFailed, "credential 'other'");
    }
    register(&cse, proven("lamp-7"), "Cdoor").await.refused(Rsc::AppRuleValidationFailed, "'Cdoor'");
    // The stem that the CSE would give does not fit either.
    register(&cse, proven("lamp-7"), "C").await.refused(Rsc::AppRuleValidationFailed, "'CAE");
    // Without any credential the rules have nothing to say.
    register(&cse, Who::default(), "Cdoor").await.created();
}

#[tokio::test]
async fn without_rules_a_credential_registers_anything_or_nothing() {
    let open = TestCse::new().await;
    register(&open, proven("any"), "Cdoor").await.created();
    register(&open, proven("any"), "C").await.created();
    let closed = TestCse::with(|settings| settings.credentials = rules(&[])).await;
    register(&closed, proven("any"), "Cdoor").await.refused(Rsc::AppRuleValidationFailed, "'any'");
    register(&closed, proven("any"), "C").await.refused(Rsc::AppRuleValidationFailed, "'any'");
    let bound = Who { bound: Some("Cdoor"), ..proven("any") };
    register(&closed, bound, "Cdoor").await.created();
}

#[tokio::test]
async fn a_credential_that_is_bound_registers_that_and_nothing_else() {
    for from in ["", "C", "S", "Sdoor", "/Sdoor", "/id-in/Sdoor"] {
        let cse = TestCse::with(|settings| settings.credentials = rules(&[("*", &["*"])])).await;
        let bound = Who { bound: Some("Sdoor"), ..proven("33-Sdoor") };
        register(&cse, bound, "Cdoor").await.refused(Rsc::AppRuleValidationFailed, "'Cdoor'");
        let ae = register(&cse, bound, from).await.created();
        assert_eq!(ae.text("aei"), Some("Sdoor"), "{from}");
    }
}

#[tokio::test]
async fn a_credential_of_something_else_registers_no_ae() {
    for bound in ["/id-mn", "/id-mn/Cx", "//other.example/id-mn"] {
        let cse = TestCse::new().await;
        let bound = Who { bound: Some(bound), ..proven("32-/id-mn") };
        for from in ["", "C", "Cx"] {
            register(&cse, bound, from).await.refused(Rsc::AppRuleValidationFailed, "'32-/id-mn'");
        }
        assert_eq!(cse.cse.registrations().count(), 0);
    }
}

#[tokio::test]
async fn no_pattern_gives_the_identifier_of_the_administrator() {
    let any = rules(&[("*", &["C*"])]);
    for credentials in [CredentialRules::default(), any] {
        let cse = TestCse::with(|settings| settings.credentials = credentials).await;
        register(&cse, proven("lamp"), "CAdmin").await.refused(Rsc::AppRuleValidationFailed, "'CAdmin'");
    }
    let named = rules(&[("operator", &["CAdmin"]), ("*", &["*"])]);
    let cse = TestCse::with(|settings| settings.credentials = named).await;
    register(&cse, proven("lamp"), "CAdmin").await.refused(Rsc::AppRuleValidationFailed, "'CAdmin'");
    register(&cse, proven("operator"), "CAdmin").await.created();
}

#[tokio::test]
async fn a_cse_needs_a_credential_that_stands_for_it() {
    let cse = TestCse::with(|settings| settings.credentials = rules(&[("mn-*", &["/id-mn"])])).await;
    let content = r#"{"m2m:csr":{"csi":"/id-mn","cb":"/id-mn/cse-mn","rr":true,"srv":["3"]}}"#;
    for who in [proven("other"), Who { bound: Some("/id-other"), ..proven("mn-1") }] {
        let answer = register_as(&cse, who, "/id-mn", Ty::REMOTE_CSE, content).await;
        answer.refused(Rsc::SecurityAssociationRequired, "'/id-mn'");
    }
    let allowed = register_as(&cse, proven("mn-1"), "/id-mn", Ty::REMOTE_CSE, content).await;
    assert_ne!(allowed.0.status, Rsc::SecurityAssociationRequired);
}

#[tokio::test]
async fn the_credential_is_remembered_and_never_shown() {
    let (store, clock) = (MemoryStore::new(), TestClock::new());
    let cse = TestCse::on(store.clone(), TestCse::settings(), Arc::clone(&clock)).await;
    let shown = register(&cse, proven("lamp-7"), "Clamp").await.created();
    register(&cse, Who { credential: Some("lamp-8"), ..Who::default() }, "Cclaimed").await.created();
    let lamp = cse.originator("Clamp");
    assert!(!format!("{shown:?}").contains("lamp-7"));

    // Changing the registration changes nothing about it.
    let updated = lamp.update("Clamp", r#"{"m2m:ae":{"lbl":["x"]}}"#).await.updated();
    assert!(!format!("{updated:?}").contains("lamp-7"));
    lamp.update("Clamp", r#"{"m2m:ae":{"@credential":"mine"}}"#).await.refused(Rsc::BadRequest, "@credential");
    lamp.update("Clamp", r#"{"m2m:ae":{"@credential":null}}"#).await.refused(Rsc::BadRequest, "@credential");
    let content = r#"{"m2m:ae":{"api":"Ntest","rr":true,"srv":["3"],"@credential":"mine"}}"#;
    cse.originator("Cother").create("cse-in", Ty::AE, content).await.refused(Rsc::BadRequest, "@credential");

    for members in [
        r#"{"op":2,"to":"Clamp"}"#,
        r#"{"op":2,"to":"Clamp#@credential"}"#,
        r#"{"op":2,"to":"Clamp","atrl":["@credential"]}"#,
        r#"{"op":2,"to":"cse-in","rcn":4}"#,
        r#"{"op":2,"to":"cse-in","rcn":4,"fc":{"fu":1,"atr":[{"nm":"@credential","val":"lamp*"}]}}"#,
    ] {
        for actor in [&lamp, &cse.admin()] {
            let answer = actor.primitive(members).await;
            assert!(!format!("{:?}", answer.0.content).contains("lamp-7"), "{members}");
        }
    }

    let expected = Registration { kind: EntityKind::Ae, credential: Some("lamp-7".into()) };
    let restarted = TestCse::on(store, TestCse::settings(), clock).await;
    for cse in [&cse, &restarted] {
        let registrations = cse.cse.registrations();
        assert_eq!(registrations.get("Clamp"), Some(expected.clone()));
        assert!(registrations.is_under("Clamp", "lamp-7") && !registrations.is_under("Clamp", "lamp-8"));
        // A credential that was only claimed is not remembered.
        assert!(registrations.has_ae("Cclaimed") && !registrations.is_under("Cclaimed", "lamp-8"));
        assert!(!registrations.has_ae("Cother"));
        assert_eq!(registrations.count(), 2);
    }
}

#[tokio::test]
async fn registrations_are_known_when_they_are_answered_and_their_end_is_told() {
    let cse = TestCse::new().await;
    let registrations = cse.cse.registrations();
    for round in 0..50 {
        register(&cse, proven("lamp"), "Clamp").await.created();
        assert!(registrations.is_under("Clamp", "lamp"), "round {round}");
        cse.originator("Clamp").delete("Clamp").await.deleted();
        assert!(!registrations.has_ae("Clamp"), "round {round}");
    }
    let Ended::These(ended) = registrations.ended().await else { panic!("not that many") };
    assert_eq!(ended, vec![("Clamp".into(), Some("lamp".into())); 50]);

    // One that expires ends, too.
    let short = r#"{"m2m:ae":{"api":"Ntest","rr":true,"srv":["3"],"et":"20260101T120100"}}"#;
    register_as(&cse, proven("lamp"), "Cshort", Ty::AE, short).await.created();
    cse.clock.turn(Duration::from_secs(120));
    let ended = tokio::time::timeout(Duration::from_secs(20), async {
        let mut ended = std::pin::pin!(registrations.ended());
        loop {
            tokio::select! {
                ended = &mut ended => return ended,
                () = tokio::time::sleep(Duration::from_millis(1)) => cse.clock.turn(Duration::from_millis(100)),
            }
        }
    });
    assert_eq!(ended.await.unwrap(), Ended::These(vec![("Cshort".into(), Some("lamp".into()))]));
    assert_eq!(registrations.count(), 0);
}

#[tokio::test]
async fn a_registration_that_is_replaced_in_one_commit_belongs_to_the_new_credential() {
    let cse = TestCse::new().await;
    register(&cse, proven("old"), "Clamp").await.created();
    let lamp = cse.originator("Clamp");
    let (gone, back) = tokio::join!(lamp.delete("Clamp"), register(&cse, proven("new"), "Clamp"));
    gone.deleted();
    back.created();
    let registrations = cse.cse.registrations();
    assert!(registrations.is_under("Clamp", "new") && !registrations.is_under("Clamp", "old"));
}

#[tokio::test]
async fn more_ends_than_are_worth_naming_are_told_as_many() {
    let cse = TestCse::new().await;
    for number in 0..1_030 {
        register(&cse, proven("lamp"), &format!("Clamp{number}")).await.created();
        cse.originator(&format!("Clamp{number}")).delete(&format!("Clamp{number}")).await.deleted();
    }
    assert_eq!(cse.cse.registrations().ended().await, Ended::Many);
}
