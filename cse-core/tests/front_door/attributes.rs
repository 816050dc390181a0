//! What CREATE and UPDATE refuse, and in which order (TS-0004 §7.2.2, §7.3.3.6).

use std::sync::Arc;
use std::time::Duration;

use cse_core::error::Rsc;
use cse_core::primitive::Operation;
use cse_core::schema::{Ty, type_def, types};
use cse_core::time::Timestamp;
use cse_core::value::Map;

use crate::harness::{Actor, TestCse, json};

async fn sensor() -> (Arc<TestCse>, Actor) {
    let cse = TestCse::new().await;
    let sensor = cse.register("Csensor", "sensor").await;
    sensor.container("cse-in/sensor", "log").await.created();
    (cse, sensor)
}

#[tokio::test]
async fn each_wrong_attribute_is_named() {
    let (_cse, sensor) = sensor().await;
    for (attributes, hint) in [
        (r#""zzz":1"#, "'zzz'"),
        (r#""con":"x""#, "'con'"),
        (r#""maxNrOfInstances":1"#, "'maxNrOfInstances'"),
        (r#""ri":"x""#, "'ri'"),
        (r#""ty":3"#, "'ty'"),
        (r#""pi":"x""#, "'pi'"),
        (r#""ct":"20260101T000000""#, "'ct'"),
        (r#""lt":"20260101T000000""#, "'lt'"),
        (r#""st":0"#, "'st'"),
        (r#""cni":0"#, "'cni'"),
        (r#""cbs":0"#, "'cbs'"),
        (r#""mni":"5""#, "'mni'"),
        (r#""mni":-1"#, "'mni'"),
        (r#""mni":1.5"#, "'mni'"),
        (r#""mni":[5]"#, "'mni'"),
        (r#""mni":null"#, "'mni'"),
        (r#""mia":true"#, "'mia'"),
        (r#""disr":1"#, "'disr'"),
        (r#""lbl":"x""#, "'lbl'"),
        (r#""lbl":[1]"#, "'lbl[0]'"),
        (r#""lbl":["ok",""]"#, "'lbl[1]'"),
        (r#""acpi":["a b"]"#, "'acpi[0]'"),
        (r#""et":"tomorrow""#, "'et'"),
        (r#""et":20270101"#, "'et'"),
        (r#""et":null"#, "'et'"),
        (r#""cr":"Csensor""#, "'cr'"),
        (r#""rn":"""#, "'rn'"),
        (r#""rn":"a b""#, "'rn'"),
        (r#""rn":"a/b""#, "'rn'"),
        (r#""rn":"-a""#, "'rn'"),
        (r#""rn":"ä""#, "'rn'"),
        (r#""rn":7"#, "'rn'"),
        (r#""rn":"la""#, "'rn'"),
        (r#""rn":"ol""#, "'rn'"),
        (r#""rn":"fopt""#, "'rn'"),
        (r#""rn":"pcu""#, "'rn'"),
    ] {
        let content = format!(r#"{{"m2m:cnt":{{{attributes}}}}}"#);
        sensor.create("cse-in/sensor", Ty::CONTAINER, &content).await.refused(Rsc::BadRequest, hint);
    }
    let long = format!(r#"{{"m2m:cnt":{{"rn":"{}"}}}}"#, "a".repeat(256));
    sensor.create("cse-in/sensor", Ty::CONTAINER, &long).await.refused(Rsc::BadRequest, "'rn'");
    sensor.container("cse-in/sensor", "log").await.refused(Rsc::Conflict, "log");
    assert_eq!(sensor.discover("cse-in/sensor", "").await, ["cse-in/sensor/log"], "nothing was made");
}

#[tokio::test]
async fn mandatory_attributes_and_enumerations_are_checked() {
    let (_cse, sensor) = sensor().await;
    for (ty, content, hint) in [
        (Ty::CONTENT_INSTANCE, r#"{"m2m:cin":{}}"#, "'con'"),
        (Ty::CONTENT_INSTANCE, r#"{"m2m:cin":{"con":"x","cnf":"text"}}"#, "'cnf'"),
        (Ty::CONTENT_INSTANCE, r#"{"m2m:cin":{"con":"x","cs":1}}"#, "'cs'"),
        (Ty::CONTENT_INSTANCE, r#"{"m2m:cin":{"con":"x","acpi":["a"]}}"#, "'acpi'"),
        (Ty::SUBSCRIPTION, r#"{"m2m:sub":{}}"#, "'nu'"),
        (Ty::SUBSCRIPTION, r#"{"m2m:sub":{"nu":["Csensor"],"nct":9}}"#, "'nct'"),
        (Ty::SUBSCRIPTION, r#"{"m2m:sub":{"nu":["Csensor"],"enc":{"net":[99]}}}"#, "'enc/net[0]'"),
        (Ty::SUBSCRIPTION, r#"{"m2m:sub":{"nu":["Csensor"],"enc":{"zzz":1}}}"#, "'enc/zzz'"),
    ] {
        sensor.create("cse-in/sensor/log", ty, content).await.refused(Rsc::BadRequest, hint);
    }
    let group = r#"{"m2m:grp":{"mid":[]}}"#;
    sensor.create("cse-in/sensor", Ty::GROUP, group).await.refused(Rsc::BadRequest, "'mnm'");
    let group = r#"{"m2m:grp":{"mnm":1,"mid":[],"csy":7}}"#;
    sensor.create("cse-in/sensor", Ty::GROUP, group).await.refused(Rsc::BadRequest, "'csy'");
}

#[tokio::test]
async fn the_content_is_one_resource_of_the_type() {
    let (_cse, sensor) = sensor().await;
    for content in [
        r#"{}"#,
        r#"{"m2m:cin":{"con":"x"}}"#,
        r#"{"m2m:cnt":{},"m2m:cin":{"con":"x"}}"#,
        r#"{"m2m:cnt":{},"m2m:cnts":{}}"#,
        r#"{"cnt":{}}"#,
        r#"{"m2m:cnt":[{}]}"#,
        r#"{"m2m:cnt":"x"}"#,
        r#"{"m2m:cnt":null}"#,
        r#"{"m2m:cntA":{"lnk":"/id-mn/x"}}"#,
    ] {
        sensor.create("cse-in/sensor", Ty::CONTAINER, content).await.refused(Rsc::BadRequest, "content");
        sensor.update("cse-in/sensor/log", content).await.refused(Rsc::BadRequest, "content");
    }
    for missing in [r#"{"op":1,"to":"cse-in/sensor","ty":3}"#, r#"{"op":3,"to":"cse-in/sensor/log"}"#] {
        sensor.primitive(missing).await.refused(Rsc::BadRequest, "'pc'");
    }
    let untyped = r#"{"op":1,"to":"cse-in/sensor","pc":{"m2m:cnt":{}}}"#;
    sensor.primitive(untyped).await.refused(Rsc::BadRequest, "'ty'");
    let mut request = sensor.request(Operation::Create, "cse-in/sensor");
    request.content = Some(json(r#"{"m2m:cnt":{}}"#));
    assert_eq!(sensor.cse.send(request).await.status, Rsc::BadRequest);
}

#[tokio::test]
async fn every_type_that_is_not_implemented_is_answered_so() {
    let (cse, _sensor) = sensor().await;
    let admin = cse.admin();
    admin.create("cse-in", Ty::CONTAINER, r#"{"m2m:cnt":{"rn":"c"}}"#).await.created();
    admin.create("cse-in/c", Ty::SUBSCRIPTION, r#"{"m2m:sub":{"rn":"s","nu":["CAdmin"]}}"#).await;
    let places = [("cse-in", Ty::CSE_BASE), ("cse-in/sensor", Ty::AE), ("cse-in/c", Ty::CONTAINER)];
    let mut tried = 0;
    for (to, parent) in places {
        for child in type_def(parent).unwrap().children {
            let def = type_def(*child).unwrap_or_else(|| panic!("{child} has a table"));
            if def.implemented || *child == Ty::REQUEST {
                continue;
            }
            let content = format!(r#"{{"{}":{{}}}}"#, if def.root.is_empty() { "m2m:x" } else { def.root });
            admin.create(to, *child, &content).await.refused(Rsc::NotImplemented, def.name);
            tried += 1;
        }
    }
    assert!(tried > 40, "{tried}");
    admin.create("cse-in", Ty(9_999), r#"{"m2m:x":{}}"#).await.refused(Rsc::BadRequest, "'ty'");
}

#[tokio::test]
async fn each_implemented_type_has_its_places() {
    let (cse, sensor) = sensor().await;
    let admin = cse.admin();
    sensor.instance("cse-in/sensor/log", "1").await.created();
    sensor.create("cse-in/sensor", Ty::GROUP, r#"{"m2m:grp":{"rn":"g","mnm":1,"mid":[]}}"#).await.created();
    let policy = r#"{"m2m:acp":{"rn":"p","pv":{},"pvs":{"acr":[{"acor":["all"],"acop":63}]}}}"#;
    sensor.create("cse-in/sensor", Ty::ACCESS_CONTROL_POLICY, policy).await.created();
    sensor.create("cse-in/sensor", Ty::SUBSCRIPTION, r#"{"m2m:sub":{"rn":"s","nu":["Csensor"]}}"#).await.created();
    let instance = "cse-in/sensor/log/la";
    let instance = sensor.retrieve(instance).await.resource().text("ri").unwrap().to_owned();
    let places = [
        ("cse-in", Ty::CSE_BASE),
        ("cse-in/sensor", Ty::AE),
        ("cse-in/sensor/log", Ty::CONTAINER),
        (&instance, Ty::CONTENT_INSTANCE),
        ("cse-in/sensor/g", Ty::GROUP),
        ("cse-in/sensor/p", Ty::ACCESS_CONTROL_POLICY),
        ("cse-in/sensor/s", Ty::SUBSCRIPTION),
    ];
    for (to, parent) in places {
        for def in types().filter(|def| def.implemented && !matches!(def.ty, Ty::CSE_BASE | Ty::REQUEST)) {
            if type_def(parent).unwrap().children.contains(&def.ty) {
                continue;
            }
            let answer = admin.create(to, def.ty, &format!(r#"{{"{}":{{}}}}"#, def.root)).await;
            if def.ty == Ty::SUBSCRIPTION {
                answer.refused(Rsc::TargetNotSubscribable, "");
            } else {
                answer.refused(Rsc::InvalidChildResourceType, def.name);
            }
        }
        admin.create(to, Ty::CSE_BASE, r#"{"m2m:cb":{}}"#).await.refused(Rsc::OperationNotAllowed, "CSEBase");
        admin.create(to, Ty::REQUEST, r#"{"m2m:req":{}}"#).await.refused(Rsc::OperationNotAllowed, "request");
    }
}

#[tokio::test]
async fn existence_counts_before_privilege_and_privilege_before_content() {
    let (cse, sensor) = sensor().await;
    let stranger = cse.originator("Cstranger");
    let nonsense = r#"{"m2m:cnt":{"zzz":1}}"#;
    stranger.create("cse-in/nothing", Ty::CONTAINER, nonsense).await.refused(Rsc::NotFound, "nothing");
    stranger.update("cse-in/nothing", nonsense).await.refused(Rsc::NotFound, "nothing");
    stranger.delete("cse-in/nothing").await.refused(Rsc::NotFound, "nothing");
    let denied = Rsc::OriginatorHasNoPrivilege;
    stranger.create("cse-in/sensor/log", Ty::CONTAINER, nonsense).await.refused(denied, "CREATE");
    stranger.create("cse-in/sensor/log", Ty::AE, "{}").await.refused(denied, "CREATE");
    stranger.create("cse-in/sensor/log", Ty::NODE, "{}").await.refused(denied, "CREATE");
    stranger.update("cse-in/sensor/log", nonsense).await.refused(denied, "UPDATE");
    // The type before the content, the content before the name.
    sensor.create("cse-in/sensor/log", Ty::GROUP, nonsense).await.refused(Rsc::InvalidChildResourceType, "group");
    let twice = r#"{"m2m:cnt":{"rn":"log","zzz":1}}"#;
    sensor.create("cse-in/sensor", Ty::CONTAINER, twice).await.refused(Rsc::BadRequest, "'zzz'");
}

#[tokio::test]
async fn the_creator_is_filled_in() {
    let (cse, sensor) = sensor().await;
    let with = sensor.create("cse-in/sensor", Ty::CONTAINER, r#"{"m2m:cnt":{"cr":null}}"#).await.created();
    assert_eq!(with.text("cr"), Some("Csensor"));
    let without = sensor.create("cse-in/sensor", Ty::CONTAINER, r#"{"m2m:cnt":{}}"#).await.created();
    assert!(!without.contains("cr"));
    let long = cse.originator("//cse.example/id-in/Csensor");
    let canonical = long.create("cse-in/sensor", Ty::CONTAINER, r#"{"m2m:cnt":{"cr":null}}"#).await.created();
    assert_eq!(canonical.text("cr"), Some("Csensor"));
    let ri = with.text("ri").unwrap();
    for change in [r#"{"m2m:cnt":{"cr":null}}"#, r#"{"m2m:cnt":{"cr":"Cother"}}"#] {
        sensor.update(ri, change).await.refused(Rsc::BadRequest, "'cr'");
    }
    let ae = r#"{"m2m:ae":{"api":"Nx","rr":true,"srv":["3"],"cr":null}}"#;
    cse.originator("Cx").create("cse-in", Ty::AE, ae).await.refused(Rsc::BadRequest, "'cr'");
}

#[tokio::test]
async fn an_update_changes_what_it_names() {
    let (cse, sensor) = sensor().await;
    let before = sensor.retrieve("cse-in/sensor/log").await.resource();
    cse.clock.turn(Duration::from_secs(1));
    let change = r#"{"m2m:cnt":{"lbl":["a","b"],"mni":5,"or":"http://example.org/x"}}"#;
    let after = sensor.update("cse-in/sensor/log", change).await.updated();
    assert_eq!(after.texts("lbl").collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!((after.int("mni"), after.int("st")), (Some(5), Some(1)));
    assert_ne!(after.text("lt"), before.text("lt"));
    for same in ["rn", "ri", "pi", "ty", "ct", "et", "cni", "cbs"] {
        assert_eq!(after.get(same), before.get(same), "{same}");
    }
    let after = sensor.update("cse-in/sensor/log", r#"{"m2m:cnt":{"lbl":null,"mni":null}}"#).await.updated();
    assert!(!after.contains("lbl") && !after.contains("mni") && after.contains("or"));
    assert_eq!(after, sensor.retrieve("cse-in/sensor/log").await.resource());
    // What is not there is deleted without effect.
    sensor.update("cse-in/sensor/log", r#"{"m2m:cnt":{"lbl":null}}"#).await.updated();
    let nothing = sensor.update("cse-in/sensor/log", r#"{"m2m:cnt":{}}"#).await.updated();
    assert_eq!(nothing.int("st"), Some(4));
}

#[tokio::test]
async fn an_update_refuses_what_only_the_cse_sets() {
    let (_cse, sensor) = sensor().await;
    for (attribute, hint) in [
        (r#""rn":"x""#, "'rn'"),
        (r#""ri":"x""#, "'ri'"),
        (r#""ty":3"#, "'ty'"),
        (r#""pi":null"#, "'pi'"),
        (r#""ct":null"#, "'ct'"),
        (r#""lt":"20260101T000000""#, "'lt'"),
        (r#""st":null"#, "'st'"),
        (r#""cni":0"#, "'cni'"),
        (r#""cbs":null"#, "'cbs'"),
        (r#""zzz":null"#, "'zzz'"),
        (r#""mni":"x""#, "'mni'"),
    ] {
        let change = format!(r#"{{"m2m:cnt":{{"lbl":["x"],{attribute}}}}}"#);
        sensor.update("cse-in/sensor/log", &change).await.refused(Rsc::BadRequest, hint);
    }
    assert!(!sensor.retrieve("cse-in/sensor/log").await.resource().contains("lbl"), "all or nothing");
    for (change, hint) in [(r#"{"m2m:ae":{"rr":null}}"#, "'rr'"), (r#"{"m2m:ae":{"api":"Nother"}}"#, "'api'")] {
        sensor.update("cse-in/sensor", change).await.refused(Rsc::BadRequest, hint);
    }
    sensor.create("cse-in/sensor", Ty::GROUP, r#"{"m2m:grp":{"rn":"g","mnm":1,"mid":[]}}"#).await.created();
    for (change, hint) in [(r#"{"m2m:grp":{"mt":3}}"#, "'mt'"), (r#"{"m2m:grp":{"mid":null}}"#, "'mid'")] {
        sensor.update("cse-in/sensor/g", change).await.refused(Rsc::BadRequest, hint);
    }
}

fn time(map: &Map, name: &str) -> Timestamp {
    Timestamp::parse(map.text(name).unwrap()).unwrap()
}

#[tokio::test]
async fn nothing_outlives_its_parent() {
    let (cse, sensor) = sensor().await;
    let parent = sensor.update("cse-in/sensor", r#"{"m2m:ae":{"et":"20270101T000000"}}"#).await;
    // The container is there already and lives longer.
    parent.refused(Rsc::BadRequest, "'et'");
    sensor.update("cse-in/sensor/log", r#"{"m2m:cnt":{"et":"20260601T000000"}}"#).await.updated();
    sensor.update("cse-in/sensor", r#"{"m2m:ae":{"et":"20270101T000000"}}"#).await.updated();
    for wanted in [r#","et":"20300101T000000""#, ""] {
        let content = format!(r#"{{"m2m:cnt":{{"lbl":["x"]{wanted}}}}}"#);
        let child = sensor.create("cse-in/sensor", Ty::CONTAINER, &content).await.created();
        assert_eq!(child.text("et"), Some("20270101T000000,000000"));
    }
    let lowered = sensor.update("cse-in/sensor/log", r#"{"m2m:cnt":{"et":"20400101T000000"}}"#).await.updated();
    assert_eq!(lowered.text("et"), Some("20270101T000000,000000"));
    let renewed = sensor.update("cse-in/sensor", r#"{"m2m:ae":{"et":null}}"#).await.updated();
    assert!(time(&renewed, "et") > Timestamp::parse("20300101T000000").unwrap());
    for past in ["20251231T235959", "20260101T120000"] {
        let content = format!(r#"{{"m2m:cnt":{{"et":"{past}"}}}}"#);
        sensor.create("cse-in/sensor", Ty::CONTAINER, &content).await.refused(Rsc::BadRequest, "'et'");
        sensor.update("cse-in/sensor/log", &content).await.refused(Rsc::BadRequest, "'et'");
    }
    let instance = r#"{"m2m:cin":{"con":"x","et":"20990101T000000"}}"#;
    let instance = sensor.create("cse-in/sensor/log", Ty::CONTENT_INSTANCE, instance).await.created();
    assert_eq!(instance.text("et"), Some("20270101T000000,000000"));
    let short = r#"{"m2m:cnt":{"et":"20260301T000000"}}"#;
    sensor.update("cse-in/sensor/log", short).await.refused(Rsc::BadRequest, "'et'");
    assert_eq!(cse.admin().retrieve("cse-in").await.resource().get("et"), None);
}

#[tokio::test]
async fn the_longest_life_is_a_setting() {
    let cse = TestCse::with(|settings| {
        settings.default_lifetime = Duration::from_secs(60);
        settings.maximum_lifetime = Duration::from_secs(600);
    });
    let cse = cse.await;
    let sensor = cse.register("Csensor", "sensor").await;
    assert_eq!(sensor.retrieve("Csensor").await.resource().text("et"), Some("20260101T120100,000000"));
    let longest = sensor.update("Csensor", r#"{"m2m:ae":{"et":"20990101T000000"}}"#).await.updated();
    assert_eq!(longest.text("et"), Some("20260101T121000,000000"));
    cse.pass(Duration::from_secs(601)).await;
    sensor.retrieve("Csensor").await.refused(Rsc::NotFound, "Csensor");
    cse.register("Csensor", "sensor").await;
}
