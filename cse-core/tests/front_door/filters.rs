//! Every member of the filter criteria, alone and combined, in discovery, conditional requests and retrieval of
//! children (TS-0004 §7.3.3.17).

use std::sync::Arc;
use std::time::Duration;

use cse_core::error::Rsc;
use cse_core::schema::Ty;
use cse_core::value::{Map, Value};

use crate::harness::{Actor, TestCse};

/// The tree that all tests here look at, one second between any two creations, from 12:00:01 on:
///
/// ```text
/// f                 container
/// +- a              container, labels red, size:5
/// |  +- i1          instance "on", text/plain
/// |  +- i2          instance "offline", application/json, expires at 13:00:00
/// +- b              container, labels blue, color:green
///    +- c           container, labels deep, color:red, mni 7; updated at 12:00:09
///    +- g           subscription, label blue
///    +- s           subscription
/// ```
async fn tree() -> (Arc<TestCse>, Actor) {
    let cse = TestCse::new().await;
    let admin = cse.admin();
    for (to, ty, content) in [
        ("cse-in", Ty::CONTAINER, r#"{"m2m:cnt":{"rn":"f"}}"#),
        ("cse-in/f", Ty::CONTAINER, r#"{"m2m:cnt":{"rn":"a","lbl":["red","size:5"]}}"#),
        ("cse-in/f/a", Ty::CONTENT_INSTANCE, r#"{"m2m:cin":{"rn":"i1","con":"on","cnf":"text/plain:0"}}"#),
        (
            "cse-in/f/a",
            Ty::CONTENT_INSTANCE,
            r#"{"m2m:cin":{"rn":"i2","con":"offline","cnf":"application/json:0","et":"20260101T130000"}}"#,
        ),
        ("cse-in/f", Ty::CONTAINER, r#"{"m2m:cnt":{"rn":"b","lbl":["blue","color:green"]}}"#),
        ("cse-in/f/b", Ty::CONTAINER, r#"{"m2m:cnt":{"rn":"c","lbl":["deep","color:red"],"mni":7}}"#),
        ("cse-in/f/b", Ty::SUBSCRIPTION, r#"{"m2m:sub":{"rn":"g","nu":["CAdmin"],"lbl":["blue"]}}"#),
        ("cse-in/f/b", Ty::SUBSCRIPTION, r#"{"m2m:sub":{"rn":"s","nu":["CAdmin"]}}"#),
    ] {
        cse.clock.turn(Duration::from_secs(1));
        admin.create(to, ty, content).await.created();
    }
    cse.clock.turn(Duration::from_secs(1));
    admin.update("cse-in/f/b/c", r#"{"m2m:cnt":{"mni":7}}"#).await.updated();
    (cse, admin)
}

/// The names found below `f`.
async fn found(admin: &Actor, criteria: &str) -> Vec<String> {
    let addresses = admin.discover("cse-in/f", &format!(",{criteria}")).await;
    addresses.iter().map(|address| address.rsplit('/').next().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn each_condition_alone() {
    let (_cse, admin) = tree().await;
    for (criteria, names) in [
        (r#""crb":"20260101T120005""#, "a i1 i2"),
        (r#""cra":"20260101T120005""#, "b c g s"),
        (r#""cra":"20260101T120003","crb":"20260101T120006""#, "i1 i2 b"),
        (r#""cra":"20260101T120006","crb":"20260101T120003""#, ""),
        // The container a was modified by its instances.
        (r#""ms":"20260101T120006""#, "c g s"),
        (r#""ms":"20260101T120009""#, "c"),
        (r#""us":"20260101T120005""#, "a i1 i2"),
        (r#""ms":"20260101T120004","us":"20260101T120006""#, "a i2 b"),
        (r#""stb":1"#, "a i1 i2 c"),
        (r#""stb":2"#, "a i2"),
        (r#""sts":1"#, "b"),
        (r#""stb":1,"sts":2"#, "i1 c"),
        (r#""exb":"20260101T130001""#, "i2"),
        (r#""exb":"20260101T130000""#, ""),
        (r#""exa":"20260101T130000","ty":[4]"#, "i1 i2"),
        (r#""exa":"20260101T130001","ty":[4]"#, "i1"),
        (r#""lbl":["red"]"#, "a"),
        (r#""lbl":["red","blue"]"#, "a b g"),
        (r#""lbl":["re"]"#, ""),
        (r#""lbl":["color:red"]"#, "c"),
        (r#""clbl":["blue"]"#, "b"),
        (r#""clbl":["deep","none"]"#, "b"),
        (r#""clbl":["red"]"#, ""),
        (r#""palb":["red"]"#, "i1 i2"),
        (r#""palb":["blue"]"#, "c g s"),
        (r#""lbq":"color""#, "b c"),
        (r#""lbq":"color EQ red""#, "c"),
        (r#""lbq":"color:green""#, "b"),
        (r#""lbq":"color NE red""#, "b"),
        (r#""lbq":"color IN (red, green), red""#, "a b c"),
        (r#""lbq":"NT color","ty":[3]"#, "a"),
        (r#""ty":[3]"#, "a b c"),
        (r#""ty":[4,23]"#, "i1 i2 g s"),
        (r#""ty":3"#, "a b c"),
        (r#""ty":[2]"#, ""),
        (r#""chty":[4]"#, "a"),
        (r#""chty":[23,4]"#, "a b"),
        (r#""chty":[2]"#, ""),
        (r#""pty":[3],"ty":[3]"#, "a b c"),
        (r#""pty":[2]"#, ""),
        (r#""sza":2"#, "i1 i2"),
        (r#""sza":3"#, "i2"),
        (r#""szb":7"#, "i1"),
        (r#""sza":2,"szb":3"#, "i1"),
        (r#""cty":["text/plain"]"#, "i1"),
        (r#""cty":["text/plain","application/json"]"#, "i1 i2"),
        (r#""cty":["text"]"#, ""),
        (r#""atr":[{"nm":"con","val":"on"}]"#, "i1"),
        (r#""atr":[{"nm":"con","val":"o*n*"}]"#, "i1 i2"),
        (r#""atr":[{"nm":"con","val":"*line"}]"#, "i2"),
        (r#""atr":[{"nm":"con","val":"*"}]"#, "i1 i2"),
        (r#""atr":[{"nm":"rn","val":"i*"}]"#, "i1 i2"),
        (r#""atr":[{"nm":"mni","val":7}]"#, "c"),
        (r#""atr":[{"nm":"mni","val":"7"}]"#, "c"),
        (r#""atr":[{"nm":"con","val":"on"},{"nm":"mni","val":7}]"#, "i1 c"),
        (r#""atr":{"nm":"con","val":"on"}"#, "i1"),
        (r#""catr":[{"nm":"con","val":"on"}]"#, "a"),
        (r#""catr":[{"nm":"rn","val":"g"}]"#, "b"),
        (r#""catr":[{"nm":"con","val":"nothing"}]"#, ""),
        (r#""patr":[{"nm":"rn","val":"a"}]"#, "i1 i2"),
        (r#""patr":[{"nm":"rn","val":"f"}]"#, "a b"),
        (r#""patr":[{"nm":"mni","val":7}]"#, ""),
        (r#""lvl":1"#, "a b"),
        (r#""lvl":2"#, "a i1 i2 b c g s"),
    ] {
        assert_eq!(found(&admin, criteria).await.join(" "), names, "{criteria}");
    }
}

#[tokio::test]
async fn conditions_combine() {
    let (_cse, admin) = tree().await;
    for (criteria, and, or) in [
        (r#""ty":[3],"lbl":["blue"]"#, "b", "a b c g"),
        (r#""lbl":["red"],"lbq":"color EQ red""#, "", "a c"),
        (r#""ty":[4],"sza":3"#, "i2", "i1 i2"),
        (r#""ty":[23],"cra":"20260101T120008""#, "s", "g s"),
        (r#""chty":[4],"clbl":["blue"]"#, "", "a b"),
        (r#""chty":[23],"clbl":["deep"],"catr":[{"nm":"rn","val":"s"}]"#, "b", "b"),
        (r#""palb":["red"],"catr":[{"nm":"rn","val":"s"}]"#, "", "i1 i2 b"),
        (r#""ty":[3],"chty":[23]"#, "b", "a b c"),
        (r#""patr":[{"nm":"rn","val":"b"}],"ty":[3]"#, "c", "a b c g s"),
        (r#""cra":"20260101T120003","crb":"20260101T120005","ty":[23]"#, "", "i1 i2 g s"),
        // Not conditions, so nothing to combine with.
        (r#""ty":[3],"lvl":1"#, "a b", "a b"),
        (r#""ty":[3],"lim":2"#, "a b", "a b"),
        (r#""ty":[3],"ofst":2"#, "b c", "b c"),
    ] {
        assert_eq!(found(&admin, criteria).await.join(" "), and, "{criteria} by default");
        assert_eq!(found(&admin, &format!("{criteria},\"fo\":1")).await.join(" "), and, "{criteria} AND");
        assert_eq!(found(&admin, &format!("{criteria},\"fo\":2")).await.join(" "), or, "{criteria} OR");
    }
}

#[tokio::test]
async fn a_request_is_carried_out_only_if_its_conditions_hold() {
    let (_cse, admin) = tree().await;
    let request = |op: u8, criteria: &str| {
        let content = if op == 3 { r#","pc":{"m2m:cnt":{"lbl":["new"]}}"# } else { "" };
        format!(r#"{{"op":{op},"to":"cse-in/f/b/c","fc":{{{criteria}}}{content}}}"#)
    };
    for criteria in [r#""lbl":["red"]"#, r#""ty":[4]"#, r#""fu":2,"stb":2"#, r#""chty":[3]"#, r#""palb":["red"]"#] {
        for op in [2, 3, 4] {
            admin.primitive(&request(op, criteria)).await.refused(Rsc::NotFound, "");
        }
    }
    let holding = r#""lbl":["deep"],"patr":[{"nm":"rn","val":"b"}],"lim":1"#;
    admin.primitive(&request(2, holding)).await.ok();
    admin.primitive(&request(3, holding)).await.updated();
    admin.primitive(&request(4, holding)).await.refused(Rsc::NotFound, "");
    admin.primitive(&request(4, r#""lbl":["new"]"#)).await.deleted();
    admin.retrieve("cse-in/f/b/c").await.refused(Rsc::NotFound, "cse-in/f/b/c");
    for op in [3, 4] {
        let content = if op == 3 { r#","pc":{"m2m:cnt":{}}"# } else { "" };
        let discovery = format!(r#"{{"op":{op},"to":"cse-in/f/b","fc":{{"fu":1}}{content}}}"#);
        admin.primitive(&discovery).await.refused(Rsc::BadRequest, "fc/fu");
    }
}

/// Names with their nesting.
fn outline(resource: &Map) -> String {
    let mut text = resource.text("rn").unwrap_or("-").to_owned();
    if !resource.contains("ct") {
        text.push('?');
    }
    let children: Vec<String> = resource
        .iter()
        .filter(|(name, _)| name.contains(':'))
        .flat_map(|(_, list)| list.as_list().unwrap().iter())
        .map(|child| outline(child.as_map().unwrap()))
        .collect();
    if !children.is_empty() {
        text.push_str(&format!("({})", children.join(" ")));
    }
    text
}

#[tokio::test]
async fn children_in_a_result_satisfy_the_conditions() {
    let (_cse, admin) = tree().await;
    // Without ct is what only gives others their place.
    for (rcn, criteria, expected) in [
        (4, "", "f(a(i1 i2) b(g s c))"),
        (8, "", "-?(a(i1 i2) b(g s c))"),
        (4, r#""lvl":1"#, "f(a b)"),
        (4, r#""ty":[3]"#, "f(a b(c))"),
        (4, r#""lbl":["red"]"#, "f(a)"),
        (8, r#""lbl":["nobody"]"#, "-?"),
        (8, r#""ty":[4]"#, "-?(a?(i1 i2))"),
        (8, r#""ty":[4],"lim":1"#, "-?(a?(i1))"),
        (4, r#""ty":[23],"ofst":1"#, "f(b?(g s))"),
    ] {
        let request = format!(r#"{{"op":2,"to":"cse-in/f","rcn":{rcn},"fc":{{{criteria}}}}}"#);
        let resource = admin.primitive(&request).await.resource();
        assert_eq!(outline(&resource), expected, "rcn {rcn} {criteria}");
    }
    for (rcn, criteria, expected) in [
        (5, "", "a b"),
        (6, "", "a b"),
        (5, r#""lvl":2"#, "a i1 i2 b c g s"),
        (6, r#""lvl":2,"ty":[4]"#, "i1 i2"),
        (6, r#""lbl":["blue"]"#, "b"),
    ] {
        let request = format!(r#"{{"op":2,"to":"cse-in/f","rcn":{rcn},"fc":{{{criteria}}}}}"#);
        let resource = admin.primitive(&request).await.resource();
        let list = resource.get(if rcn == 5 { "ch" } else { "rrf" }).unwrap().as_list().unwrap();
        let names: Vec<&str> = list.iter().map(|item| item.as_map().unwrap().text("nm").unwrap()).collect();
        assert_eq!(names.join(" "), expected, "rcn {rcn} {criteria}");
    }
    // What goes is shown before it goes.
    let deleted = admin.primitive(r#"{"op":4,"to":"cse-in/f","rcn":8}"#).await.deleted();
    let root = deleted.get("m2m:cnt").and_then(Value::as_map).unwrap();
    assert_eq!(outline(root), "-?(a(i1 i2) b(g s c))");
}

#[tokio::test]
async fn unusable_criteria_are_refused_with_a_hint() {
    let (_cse, admin) = tree().await;
    for (criteria, status, hint) in [
        (r#""crb":"yesterday""#, Rsc::BadRequest, "fc/crb"),
        (r#""ms":5"#, Rsc::BadRequest, "fc/ms"),
        (r#""sts":0"#, Rsc::BadRequest, "fc/sts"),
        (r#""stb":-1"#, Rsc::BadRequest, "fc/stb"),
        (r#""sza":"big""#, Rsc::BadRequest, "fc/sza"),
        (r#""szb":0"#, Rsc::BadRequest, "fc/szb"),
        (r#""ty":["container"]"#, Rsc::BadRequest, "fc/ty"),
        (r#""ty":[70000]"#, Rsc::BadRequest, "fc/ty"),
        (r#""lbl":[{}]"#, Rsc::BadRequest, "fc/lbl"),
        (r#""lbq":"color EQ""#, Rsc::BadRequest, "key EQ value"),
        (r#""atr":[{"nm":"con"}]"#, Rsc::BadRequest, "nm and val"),
        (r#""atr":[{"nm":"no name","val":1}]"#, Rsc::BadRequest, "no short name"),
        (r#""catr":[{"nm":"con","val":null}]"#, Rsc::BadRequest, "fc/catr"),
        (r#""patr":"con""#, Rsc::BadRequest, "fc/patr"),
        (r#""lim":-1"#, Rsc::BadRequest, "fc/lim"),
        (r#""lvl":0"#, Rsc::BadRequest, "fc/lvl"),
        (r#""ofst":0"#, Rsc::BadRequest, "fc/ofst"),
        (r#""fo":4"#, Rsc::BadRequest, "1 (AND) or 2 (OR)"),
        (r#""fo":3"#, Rsc::NotImplemented, "XOR"),
        (r#""color":"red""#, Rsc::BadRequest, "fc/color"),
        (r#""smf":["SELECT"]"#, Rsc::NotImplemented, "smf"),
    ] {
        let request = format!(r#"{{"op":2,"to":"cse-in/f","fc":{{"fu":1,{criteria}}}}}"#);
        admin.primitive(&request).await.refused(status, hint);
    }
    admin.primitive(r#"{"op":2,"to":"cse-in/f","fc":{"fu":5}}"#).await.refused(Rsc::BadRequest, "fc/fu");
    admin.primitive(r#"{"op":2,"to":"cse-in/f","fc":{"fu":3}}"#).await.refused(Rsc::NotImplemented, "IPE");
}

#[tokio::test]
async fn content_is_looked_into_with_a_json_path() {
    let cse = TestCse::new().await;
    let sensor = cse.register("Csensor", "sensor").await;
    sensor.container("cse-in/sensor", "log").await.created();
    for (name, content) in [
        ("warm", r#"{"value":25,"unit":"C"}"#),
        ("cold", r#"{"value":3,"unit":"C"}"#),
        ("text", r#""{\"value\":30}""#),
        ("none", r#""no JSON""#),
    ] {
        let content = format!(r#"{{"m2m:cin":{{"rn":"{name}","con":{content}}}}}"#);
        sensor.create("cse-in/sensor/log", Ty::CONTENT_INSTANCE, &content).await.created();
    }
    let found = sensor.discover("cse-in/sensor", r#","cfs":1,"cfq":"$[?@ > 20]""#).await;
    assert_eq!(found, ["cse-in/sensor/log/warm", "cse-in/sensor/log/text"]);
    let found = sensor.discover("cse-in/sensor", r#","cfs":"1","cfq":"$.unit","ty":[4]"#).await;
    assert_eq!(found, ["cse-in/sensor/log/warm", "cse-in/sensor/log/cold"]);
    let answer = sensor.primitive(r#"{"op":2,"to":"cse-in","fc":{"fu":1,"cfs":1,"cfq":"unit"}}"#).await;
    answer.refused(Rsc::BadRequest, "'fc/cfq'");
}
