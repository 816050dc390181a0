//! Registration of AEs, and the CSEBase that they register with (TS-0004 §7.4.3, §7.4.5).

use std::time::Duration;

use cse_core::error::Rsc;
use cse_core::schema::{Ty, types};
use cse_core::value::{Map, Value};

use crate::harness::{Answer, TestCse, inner};

const AE: &str = r#"{"m2m:ae":{"api":"Ntest","rr":true,"srv":["3"]}}"#;

/// A registration with that `fr` (as JSON) and these attributes.
async fn register(cse: &std::sync::Arc<TestCse>, from: &str, attributes: &str) -> Answer {
    let members = format!(r#"{{"op":1,"to":"cse-in","fr":{from},"ty":2,"pc":{{"m2m:ae":{{{attributes}}}}}}}"#);
    cse.originator("").primitive(&members).await
}

const MANDATORY: &str = r#""api":"Ntest","rr":true,"srv":["3"]"#;

#[tokio::test]
async fn an_ae_gets_the_stem_that_it_asks_for() {
    let cse = TestCse::new().await;
    for (from, stem) in [
        ("\"Cmeter\"", "Cmeter"),
        ("\"/id-in/Clamp\"", "Clamp"),
        ("\"//cse.example/id-in/Cfan\"", "Cfan"),
        ("\"Sdoor\"", "Sdoor"),
        ("\"/Sgate\"", "Sgate"),
    ] {
        let ae = register(&cse, from, MANDATORY).await.created();
        assert_eq!((ae.text("aei"), ae.text("ri"), ae.text("rn")), (Some(stem), Some(stem), Some(stem)), "{from}");
        assert_eq!((ae.text("pi"), ae.int("ty")), (Some("id-in"), Some(2)));
    }
}

#[tokio::test]
async fn an_ae_without_stem_gets_one() {
    let cse = TestCse::new().await;
    let mut stems = Vec::new();
    for (from, letter) in [("null", 'C'), ("\"\"", 'C'), ("\"C\"", 'C'), ("\"S\"", 'S'), ("\"/S\"", 'S')] {
        let ae = register(&cse, from, MANDATORY).await.created();
        let stem = ae.text("aei").unwrap().to_owned();
        assert!(stem.starts_with(letter) && stem.len() > 1, "{from}: {stem}");
        let read = cse.originator(&stem).retrieve(&stem).await.resource();
        assert_eq!(read.text("aei"), Some(stem.as_str()));
        stems.push(stem);
    }
    stems.sort();
    stems.dedup();
    assert_eq!(stems.len(), 5);
}

#[tokio::test]
async fn no_ae_is_given_the_identity_of_another() {
    let cse = TestCse::new().await;
    let first = register(&cse, "\"C\"", MANDATORY).await.created();
    let number: i64 = first.text("aei").unwrap().trim_start_matches("CAE").parse().unwrap();
    // Numbers that come next, as stems that somebody asked for.
    for next in number + 20..number + 60 {
        register(&cse, &format!("\"CAE{next}\""), MANDATORY).await;
    }
    let ae = register(&cse, "\"C\"", MANDATORY).await.created();
    assert_eq!(cse.admin().discover("cse-in", r#","ty":[2]"#).await.len(), 42);
    assert_eq!(cse.admin().retrieve(ae.text("aei").unwrap()).await.resource().text("rn"), ae.text("rn"));
}

#[tokio::test]
async fn other_originators_cannot_register() {
    let cse = TestCse::with(|settings| settings.allowed_ae_originators = vec!["Cgood*".into()]).await;
    register(&cse, "\"Cgood1\"", MANDATORY).await.created();
    register(&cse, "\"Cbad\"", MANDATORY).await.refused(Rsc::AppRuleValidationFailed, "Cbad");
    register(&cse, "\"C\"", MANDATORY).await.refused(Rsc::AppRuleValidationFailed, "CAE");
    register(&cse, "\"Cgood1\"", MANDATORY).await.refused(Rsc::OriginatorHasAlreadyRegistered, "Cgood1");
    for no_stem in ["\"/id-mn\"", "\"/id-mn/Cx\"", "\"meter\"", "\"//other.example/id/Cx\"", "\"Cx y\"", "\"Ca/b\""] {
        register(&cse, no_stem, MANDATORY).await.refused(Rsc::BadRequest, "'fr'");
    }
}

#[tokio::test]
async fn the_attributes_of_a_registration_are_checked() {
    let cse = TestCse::new().await;
    for (attributes, hint) in [
        (r#""api":"xtest","rr":true,"srv":["3"]"#, "'api'"),
        (r#""api":"","rr":true,"srv":["3"]"#, "'api'"),
        (r#""rr":true,"srv":["3"]"#, "'api'"),
        (r#""api":"Ntest","srv":["3"]"#, "'rr'"),
        (r#""api":"Ntest","rr":true"#, "'srv'"),
        (r#""api":"Ntest","rr":true,"srv":["9"]"#, "'srv[0]'"),
        (r#""api":"Ntest","rr":true,"srv":["3"],"aei":"Cx""#, "'aei'"),
        (r#""api":"Ntest","rr":true,"srv":["3"],"ri":"Cx""#, "'ri'"),
        (r#""api":"Ntest","rr":true,"srv":["3"],"poa":["no url"]"#, "'poa[0]'"),
        (r#""api":"Ntest","rr":true,"srv":["3"],"poa":["no-url"]"#, "'poa'"),
        (r#""api":"Ntest","rr":"yes","srv":["3"]"#, "'rr'"),
    ] {
        register(&cse, "\"Cx\"", attributes).await.refused(Rsc::BadRequest, hint);
    }
    for api in ["Nx", "Rx", "rx"] {
        let attributes = format!(r#""api":"{api}","rr":true,"srv":["3"]"#);
        register(&cse, "\"C\"", &attributes).await.created();
    }
    assert_eq!(cse.admin().discover("cse-in", r#","ty":[2]"#).await.len(), 3, "refused ones leave nothing");
}

#[tokio::test]
async fn release_1_knows_no_supported_release_versions() {
    let cse = TestCse::new().await;
    for (rvi, srv) in [("null", Some("1")), ("\"1\"", Some("1")), ("\"2\"", None)] {
        let members = format!(
            r#"{{"op":1,"to":"cse-in","fr":"C","rvi":{rvi},"ty":2,"pc":{{"m2m:ae":{{"api":"Ntest","rr":true}}}}}}"#
        );
        let answer = cse.originator("C").primitive(&members).await;
        match srv {
            Some(srv) => assert_eq!(answer.created().texts("srv").collect::<Vec<_>>(), [srv]),
            None => answer.refused(Rsc::BadRequest, "'srv'"),
        }
    }
}

#[tokio::test]
async fn an_ae_registers_with_the_cse_base_under_a_free_name() {
    let cse = TestCse::new().await;
    let sensor = cse.register("Csensor", "sensor").await;
    let other = cse.originator("Cother");
    let named = r#"{"m2m:ae":{"rn":"sensor","api":"Ntest","rr":true,"srv":["3"]}}"#;
    other.create("cse-in", Ty::AE, named).await.refused(Rsc::Conflict, "sensor");
    sensor.create("cse-in/sensor", Ty::AE, AE).await.refused(Rsc::InvalidChildResourceType, "AE cannot be a child");
    other.create("cse-in/sensor", Ty::AE, AE).await.refused(Rsc::OriginatorHasNoPrivilege, "Cother");
    // A name that the identifier of the newcomer would have taken.
    let taken = r#"{"m2m:ae":{"rn":"Cother","api":"Ntest","rr":true,"srv":["3"]}}"#;
    cse.originator("Cthird").create("cse-in", Ty::AE, taken).await.created();
    let ae = other.create("cse-in", Ty::AE, AE).await.created();
    assert_eq!((ae.text("ri"), ae.text("rn")), (Some("Cother"), Some("Cother-1")));
    let base_name = cse.originator("cse-in");
    base_name.create("cse-in", Ty::AE, AE).await.refused(Rsc::BadRequest, "'fr'");
}

#[tokio::test]
async fn an_ae_deregisters_itself_and_may_come_back() {
    let cse = TestCse::new().await;
    let sensor = cse.register("Csensor", "sensor").await;
    let other = cse.register("Cother", "other").await;
    sensor.container("Csensor", "log").await.created();
    other.delete("cse-in/sensor").await.refused(Rsc::OriginatorHasNoPrivilege, "Cother");
    other.update("cse-in/sensor", r#"{"m2m:ae":{"rr":false}}"#).await.refused(Rsc::OriginatorHasNoPrivilege, "Cother");
    sensor.update("cse-in/sensor", r#"{"m2m:ae":{"poa":["http://127.0.0.1:1"]}}"#).await.updated();
    sensor.delete("Csensor").await.deleted();
    sensor.retrieve("cse-in/sensor").await.refused(Rsc::NotFound, "sensor");
    sensor.retrieve("cse-in").await.refused(Rsc::OriginatorHasNoPrivilege, "Csensor");
    cse.register("Csensor", "sensor").await;
    sensor.retrieve("cse-in/sensor/log").await.refused(Rsc::NotFound, "log");
}

#[tokio::test]
async fn deletion_and_registration_in_one_commit() {
    let cse = TestCse::new().await;
    let sensor = cse.register("Csensor", "sensor").await;
    for round in 0..20 {
        let (gone, back) = tokio::join!(sensor.delete("Csensor"), async { cse.register("Csensor", "sensor").await });
        gone.deleted();
        drop(back);
        sensor.container("cse-in/sensor", &format!("log{round}")).await.created();
    }
    assert_eq!(cse.admin().discover("cse-in", r#","ty":[2]"#).await, ["cse-in/sensor"]);
}

#[tokio::test]
async fn an_expired_registration_is_in_nobodys_way() {
    // The next look for what has expired is far away.
    let cse = TestCse::with(|settings| settings.expiration_interval = Duration::from_secs(1_000_000)).await;
    let sensor = cse.originator("Csensor");
    let short = r#"{"m2m:ae":{"rn":"sensor","api":"Ntest","rr":true,"srv":["3"],"et":"20260101T120100"}}"#;
    sensor.create("cse-in", Ty::AE, short).await.created();
    sensor.container("cse-in/sensor", "log").await.created();
    cse.clock.turn(Duration::from_secs(120));
    sensor.retrieve("cse-in/sensor").await.refused(Rsc::NotFound, "sensor");
    sensor.retrieve("cse-in/sensor/log").await.refused(Rsc::NotFound, "log");
    sensor.retrieve("cse-in").await.refused(Rsc::OriginatorHasNoPrivilege, "Csensor");
    cse.register("Csensor", "sensor").await;
    sensor.retrieve("cse-in/sensor").await.resource();
    sensor.retrieve("cse-in/sensor/log").await.refused(Rsc::NotFound, "log");
}

#[tokio::test]
async fn the_cse_base_says_what_the_cse_is() {
    let cse = TestCse::new().await;
    let sensor = cse.register("Csensor", "sensor").await;
    let base = sensor.retrieve("cse-in").await.resource();
    assert_eq!((base.text("ri"), base.text("csi"), base.text("rn")), (Some("id-in"), Some("/id-in"), Some("cse-in")));
    assert_eq!((base.int("cst"), base.int("ty"), base.text("pi")), (Some(1), Some(5), Some("")));
    assert_eq!(base.texts("srv").collect::<Vec<_>>(), ["1", "2", "2a", "3", "4", "5"]);
    assert_eq!(base.texts("poa").collect::<Vec<_>>(), ["mqtt://127.0.0.1:1883"]);
    assert_eq!(base.text("spi"), Some("//cse.example"));
    assert!(base.contains("ct") && base.contains("lt") && !base.contains("et"));
    let supported = |map: &Map| map.get("srt").and_then(Value::as_list).unwrap().to_vec();
    let implemented: Vec<Value> = types().filter(|def| def.implemented).map(|def| Value::from(def.ty.0)).collect();
    assert_eq!(supported(&base), implemented);
    assert!(implemented.contains(&Value::from(5_u16)) && !implemented.contains(&Value::from(6_u16)));
    assert_eq!(base.text("ctm"), Some("20260101T120000,000000"));
    cse.clock.turn(Duration::from_secs(1));
    assert_eq!(sensor.retrieve("cse-in").await.resource().text("ctm"), Some("20260101T120001,000000"));
}

#[tokio::test]
async fn the_cse_base_is_for_registered_ones_to_read() {
    let cse = TestCse::new().await;
    let sensor = cse.register("Csensor", "sensor").await;
    cse.originator("Cstranger").retrieve("cse-in").await.refused(Rsc::OriginatorHasNoPrivilege, "Cstranger");
    cse.originator("/id-mn").retrieve("cse-in").await.refused(Rsc::OriginatorHasNoPrivilege, "/id-mn");
    for to in ["cse-in", "-", "id-in", "/id-in", "/id-in/-", "/id-in/cse-in", "/id-in/id-in", "//cse.example/id-in"] {
        assert_eq!(sensor.retrieve(to).await.resource().text("csi"), Some("/id-in"), "{to}");
    }
    for actor in [&sensor, &cse.admin()] {
        let refused = if actor.name == "CAdmin" { Rsc::OperationNotAllowed } else { Rsc::OriginatorHasNoPrivilege };
        actor.update("cse-in", r#"{"m2m:cb":{"lbl":["x"]}}"#).await.refused(refused, "");
        actor.delete("cse-in").await.refused(refused, "");
    }
    let container = r#"{"m2m:cnt":{"rn":"shared"}}"#;
    sensor.create("cse-in", Ty::CONTAINER, container).await.refused(Rsc::OriginatorHasNoPrivilege, "CREATE");
    cse.admin().create("cse-in", Ty::CONTAINER, container).await.created();
}

#[tokio::test]
async fn who_may_create_policies_under_the_cse_base() {
    let content = r#"{"m2m:acp":{"rn":"p","pv":{"acr":[]},"pvs":{"acr":[{"acor":["Csensor"],"acop":63}]}}}"#;
    for allowed in [true, false] {
        let cse = TestCse::with(|settings| settings.ae_may_create_policies = allowed).await;
        let sensor = cse.register("Csensor", "sensor").await;
        let answer = sensor.create("cse-in", Ty::ACCESS_CONTROL_POLICY, content).await;
        if allowed {
            answer.created();
        } else {
            answer.refused(Rsc::OriginatorHasNoPrivilege, "CREATE");
        }
        let stranger = cse.originator("Cstranger");
        let answer = stranger.create("cse-in", Ty::ACCESS_CONTROL_POLICY, content).await;
        answer.refused(Rsc::OriginatorHasNoPrivilege, "Cstranger");
        sensor.create("cse-in/sensor", Ty::ACCESS_CONTROL_POLICY, content).await.created();
    }
}

#[tokio::test]
async fn a_restart_keeps_the_cse_base() {
    let cse = TestCse::new().await;
    let before = cse.admin().retrieve("cse-in").await.resource();
    let mut settings = cse_core::settings::Settings::new(
        cse_core::id::CseIdentity::new("//cse.example", "/id-in", "cse-in", cse_core::id::CseType::In).unwrap(),
        "CAdmin",
    );
    settings.points_of_access = vec!["http://127.0.0.1:2".into()];
    let again = TestCse::on(cse.store.clone(), settings, std::sync::Arc::clone(&cse.clock)).await;
    let after = inner(again.admin().retrieve("cse-in").await.ok());
    assert_eq!(after.texts("poa").collect::<Vec<_>>(), ["http://127.0.0.1:2"]);
    assert_eq!(after.text("ct"), before.text("ct"));
}
