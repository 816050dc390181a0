//! What an answer contains: result contents, cut results, partial retrieval (TS-0004 §7.5.2).

use std::sync::Arc;

use cse_core::error::Rsc;
use cse_core::primitive::Response;
use cse_core::schema::Ty;
use cse_core::value::{Map, Value};

use crate::harness::{Actor, Answer, TestCse, inner};

/// `sensor/log` with two instances and a container with one, and `sensor/other`.
async fn tree() -> (Arc<TestCse>, Actor) {
    let cse = TestCse::new().await;
    let sensor = cse.register("Csensor", "sensor").await;
    sensor.container("Csensor", "log").await.created();
    sensor.instance("Csensor/log", "1").await.created();
    sensor.container("Csensor/log", "inner").await.created();
    sensor.instance("Csensor/log/inner", "2").await.created();
    sensor.instance("Csensor/log", "3").await.created();
    sensor.container("Csensor", "other").await.created();
    (cse, sensor)
}

async fn ask(actor: &Actor, members: &str) -> Response {
    actor.primitive(members).await.0
}

fn list<'a>(map: &'a Map, name: &str) -> Vec<&'a Map> {
    let list = map.get(name).and_then(Value::as_list).unwrap_or_default();
    list.iter().map(|item| item.as_map().unwrap()).collect()
}

#[tokio::test]
async fn each_operation_has_its_result_contents() {
    let (_cse, sensor) = tree().await;
    let create = r#""op":1,"to":"Csensor","ty":3,"pc":{"m2m:cnt":{}}"#;
    let update = r#""op":3,"to":"Csensor/log","pc":{"m2m:cnt":{"lbl":["x"]}}"#;
    let retrieve = r#""op":2,"to":"Csensor/log""#;
    let discovery = r#""op":2,"to":"Csensor","fc":{"fu":1}"#;
    let delete = r#""op":4,"to":"Csensor/victim""#;
    for (members, status, allowed) in [
        (create, Rsc::Created, &[0, 1, 2, 3, 9][..]),
        (retrieve, Rsc::Ok, &[1, 4, 5, 6, 8]),
        (update, Rsc::Updated, &[0, 1, 9]),
        (delete, Rsc::Deleted, &[0, 1, 4, 5, 6, 8]),
        (discovery, Rsc::Ok, &[1, 6, 11]),
    ] {
        for rcn in 0..=13 {
            if members == delete {
                sensor.container("Csensor", "victim").await;
            }
            let answer = sensor.primitive(&format!(r#"{{{members},"rcn":{rcn}}}"#)).await;
            if allowed.contains(&rcn) {
                assert_eq!(answer.0.status, status, "{members} {rcn}: {:?}", answer.0.content);
            } else if matches!(rcn, 10 | 12) {
                answer.refused(Rsc::NotImplemented, "result content");
            } else {
                answer.refused(Rsc::BadRequest, "'rcn'");
            }
        }
    }
    let notify = r#"{"op":5,"to":"Csensor","pc":{"m2m:sgn":{}},"rcn":1}"#;
    sensor.primitive(notify).await.refused(Rsc::BadRequest, "'rcn'");
}

#[tokio::test]
async fn a_create_answers_as_wanted() {
    let (_cse, sensor) = tree().await;
    let create = async |name: &str, rcn: &str| {
        let content = format!(r#"{{"m2m:cnt":{{"rn":"{name}","lbl":["x"],"mni":3}}}}"#);
        ask(&sensor, &format!(r#"{{"op":1,"to":"Csensor","ty":3,"pc":{content}{rcn}}}"#)).await
    };
    let whole = create("a", "").await;
    assert_eq!(whole.created_at.as_deref(), Some("/id-in/cse-in/sensor/a"));
    let stored = sensor.retrieve("Csensor/a").await.resource();
    assert_eq!(inner(whole.content.unwrap()), stored);
    assert_eq!(create("b", r#","rcn":0"#).await.content, None);
    let address = create("c", r#","rcn":2"#).await.content.unwrap();
    assert_eq!(address.text("m2m:uri"), Some("cse-in/sensor/c"));
    let both = inner(create("d", r#","rcn":3"#).await.content.unwrap());
    assert_eq!(both.text("uri"), Some("cse-in/sensor/d"));
    assert_eq!(both.get("m2m:cnt").unwrap().as_map(), Some(&sensor.retrieve("Csensor/d").await.resource()));
    let made = inner(create("e", r#","rcn":9"#).await.content.unwrap());
    assert!(!made.contains("rn") && !made.contains("lbl") && !made.contains("mni"), "as sent: {made:?}");
    for name in ["ri", "pi", "ty", "ct", "lt", "et", "st", "cni", "cbs"] {
        assert!(made.contains(name), "{name}");
    }
}

#[tokio::test]
async fn an_update_answers_as_wanted() {
    let (_cse, sensor) = tree().await;
    let update = async |change: &str, rcn: &str| {
        ask(&sensor, &format!(r#"{{"op":3,"to":"Csensor/log","pc":{{"m2m:cnt":{change}}}{rcn}}}"#)).await.content
    };
    let whole = inner(update(r#"{"lbl":["x"]}"#, "").await.unwrap());
    assert_eq!(whole, sensor.retrieve("Csensor/log").await.resource());
    assert_eq!(update(r#"{"lbl":["x"]}"#, r#","rcn":0"#).await, None);
    let changed = inner(update(r#"{"mni":1,"lbl":null}"#, r#","rcn":9"#).await.unwrap());
    assert_eq!(changed.int("cni"), Some(1), "an instance had to go");
    assert!(changed.contains("st") && !changed.contains("mni") && !changed.contains("lbl"), "{changed:?}");
    let lowered = inner(update(r#"{"et":"20990101T000000"}"#, r#","rcn":9"#).await.unwrap());
    assert!(lowered.contains("et"), "the CSE chose another time");
}

#[tokio::test]
async fn children_are_nested_in_their_parents() {
    let (_cse, sensor) = tree().await;
    let whole = inner(ask(&sensor, r#"{"op":2,"to":"Csensor","rcn":4}"#).await.content.unwrap());
    assert_eq!(whole.text("aei"), Some("Csensor"));
    let containers = list(&whole, "m2m:cnt");
    assert_eq!(containers.iter().map(|cnt| cnt.text("rn").unwrap()).collect::<Vec<_>>(), ["log", "other"]);
    let values = |map: &Map| -> Vec<String> {
        list(map, "m2m:cin").iter().map(|cin| cin.text("con").unwrap().to_owned()).collect()
    };
    assert_eq!(values(containers[0]), ["1", "3"]);
    let deepest = list(containers[0], "m2m:cnt");
    assert_eq!((deepest.len(), values(deepest[0])), (1, vec!["2".to_owned()]));
    assert!(list(containers[1], "m2m:cin").is_empty());
    let children = inner(ask(&sensor, r#"{"op":2,"to":"Csensor","rcn":8}"#).await.content.unwrap());
    assert_eq!(children.len(), 1, "only children: {children:?}");
    assert_eq!(list(&children, "m2m:cnt"), containers);
}

#[tokio::test]
async fn references_name_children() {
    let (_cse, sensor) = tree().await;
    let with = inner(ask(&sensor, r#"{"op":2,"to":"Csensor/log","rcn":5}"#).await.content.unwrap());
    assert_eq!(with.text("rn"), Some("log"));
    assert_eq!(list(&with, "ch").len(), 3);
    let only = ask(&sensor, r#"{"op":2,"to":"Csensor","rcn":6}"#).await;
    let only = only.content.unwrap().get("m2m:rrl").and_then(Value::as_map).cloned().unwrap();
    let of = |entry: &Map, name: &str| entry.text(name).unwrap().to_owned();
    let found: Vec<_> = list(&only, "rrf").iter().map(|entry| (of(entry, "nm"), of(entry, "val"))).collect();
    let expected = [("log", "cse-in/sensor/log"), ("other", "cse-in/sensor/other")];
    assert_eq!(found, expected.map(|(name, address)| (name.to_owned(), address.to_owned())));
    assert_eq!(list(&only, "rrf")[0].int("typ"), Some(3));
    let all = ask(&sensor, r#"{"op":2,"to":"Csensor","rcn":6,"drt":2,"fc":{"lvl":9}}"#).await;
    let all = all.content.unwrap().get("m2m:rrl").and_then(Value::as_map).cloned().unwrap();
    let addresses: Vec<_> = list(&all, "rrf").iter().map(|entry| of(entry, "val")).collect();
    assert_eq!(addresses.len(), 6);
    assert!(addresses.iter().all(|address| !address.contains('/')), "unstructured: {addresses:?}");
}

#[tokio::test]
async fn levels_and_conditions_choose_children() {
    let (_cse, sensor) = tree().await;
    for (criteria, containers, instances) in [
        (r#"{"lvl":1}"#, 2, 0),
        (r#"{"lvl":2}"#, 3, 2),
        (r#"{"lvl":3}"#, 3, 3),
        (r#"{"ty":3}"#, 3, 0),
        (r#"{"ty":[3],"lvl":1}"#, 2, 0),
        ("{}", 3, 3),
    ] {
        let members = format!(r#"{{"op":2,"to":"Csensor","rcn":4,"fc":{criteria}}}"#);
        let whole = format!("{:?}", ask(&sensor, &members).await.content.unwrap());
        let count = |needle: &str| whole.matches(needle).count();
        assert_eq!((count("cni"), count("cnf") + count("\"con\"")), (containers, instances), "{criteria}: {whole}");
    }
}

#[tokio::test]
async fn a_cut_result_says_where_to_go_on() {
    let (_cse, sensor) = tree().await;
    for number in 0..10 {
        sensor.instance("Csensor/other", &number.to_string()).await.created();
    }
    let page = async |offset: u64, limit: u64| {
        let criteria = format!(r#"{{"ty":4,"lim":{limit},"ofst":{offset}}}"#);
        let answer = ask(&sensor, &format!(r#"{{"op":2,"to":"Csensor/other","rcn":8,"fc":{criteria}}}"#)).await;
        let found: Vec<i64> = list(&inner(answer.content.unwrap_or_default()), "m2m:cin")
            .iter()
            .map(|cin| cin.text("con").unwrap().parse().unwrap())
            .collect();
        (found, answer.content_complete, answer.content_offset)
    };
    assert_eq!(page(1, 4).await, (vec![0, 1, 2, 3], Some(false), Some(5)));
    assert_eq!(page(5, 4).await, (vec![4, 5, 6, 7], Some(false), Some(9)));
    assert_eq!(page(9, 4).await, (vec![8, 9], Some(true), None));
    assert_eq!(page(11, 4).await, (vec![], Some(true), None));
    assert_eq!(page(1, 10).await.1, Some(true));
    let all = ask(&sensor, r#"{"op":2,"to":"Csensor/other","fc":{"fu":1,"lim":3}}"#).await;
    assert_eq!((all.content_complete, all.content_offset), (Some(false), Some(4)));
    let plain = ask(&sensor, r#"{"op":2,"to":"Csensor/other"}"#).await;
    assert_eq!((plain.content_complete, plain.content_offset), (None, None));
}

#[tokio::test]
async fn the_operator_bounds_every_result() {
    let cse = TestCse::with(|settings| settings.result_resources_max = 3).await;
    let sensor = cse.register("Csensor", "sensor").await;
    for name in ["a", "b", "c", "d", "e"] {
        sensor.container("Csensor", name).await.created();
    }
    for members in [r#""rcn":4"#, r#""rcn":6"#, r#""fc":{"fu":1}"#, r#""rcn":4,"fc":{"lim":1000}"#] {
        let answer = ask(&sensor, &format!(r#"{{"op":2,"to":"Csensor",{members}}}"#)).await;
        assert_eq!((answer.content_complete, answer.content_offset), (Some(false), Some(4)), "{members}");
    }
}

#[tokio::test]
async fn a_deletion_may_show_what_went() {
    let (_cse, sensor) = tree().await;
    let before = sensor.retrieve("Csensor/other").await.resource();
    let gone = ask(&sensor, r#"{"op":4,"to":"Csensor/other","rcn":1}"#).await;
    assert_eq!(inner(gone.content.unwrap()), before);
    let gone = ask(&sensor, r#"{"op":4,"to":"Csensor/log","rcn":4}"#).await;
    let gone = inner(gone.content.unwrap());
    assert_eq!((list(&gone, "m2m:cin").len(), list(&gone, "m2m:cnt").len()), (2, 1));
    sensor.retrieve("Csensor/log").await.refused(Rsc::NotFound, "log");
    sensor.container("Csensor", "last").await.created();
    assert!(sensor.delete("Csensor/last").await.deleted().is_empty(), "nothing by default");
}

#[tokio::test]
async fn some_attributes_are_read_by_name() {
    let (_cse, sensor) = tree().await;
    let some = |names: &str, more: &str| format!(r#"{{"op":2,"to":"Csensor/log","pc":{{"m2m:atrl":{names}}}{more}}}"#);
    let chosen = sensor.primitive(&some(r#"["rn","cni","mni"]"#, "")).await.resource();
    assert_eq!((chosen.len(), chosen.text("rn"), chosen.int("cni")), (2, Some("log"), Some(2)));
    sensor.primitive(&some(r#"["rn"]"#, r#","rcn":1"#)).await.resource();
    sensor.primitive(&some(r#"["rn","zzz"]"#, "")).await.refused(Rsc::BadRequest, "zzz");
    sensor.primitive(&some(r#"["rn"]"#, r#","rcn":4"#)).await.refused(Rsc::BadRequest, "'rcn'");
    for names in ["[]", "[1]", r#""rn""#] {
        sensor.primitive(&some(names, "")).await.refused(Rsc::BadRequest, "m2m:atrl");
    }
    let other = r#"{"op":2,"to":"Csensor/log","pc":{"m2m:cnt":{"rn":"log"}}}"#;
    sensor.primitive(other).await.refused(Rsc::BadRequest, "m2m:atrl");
    let delete = r#"{"op":4,"to":"Csensor/log","pc":{"m2m:cnt":{}}}"#;
    sensor.primitive(delete).await.refused(Rsc::BadRequest, "'pc'");
}

#[tokio::test]
async fn conditions_that_do_not_hold_find_nothing() {
    let (_cse, sensor) = tree().await;
    for (op, more) in [(2, ""), (3, r#","pc":{"m2m:cnt":{"lbl":["y"]}}"#), (4, "")] {
        let request = |criteria: &str| format!(r#"{{"op":{op},"to":"Csensor/log","fc":{criteria}{more}}}"#);
        sensor.primitive(&request(r#"{"ty":4}"#)).await.refused(Rsc::NotFound, "criteria");
        sensor.primitive(&request(r#"{"cra":"20300101T000000"}"#)).await.refused(Rsc::NotFound, "criteria");
    }
    let yes = r#"{"op":4,"to":"Csensor/log","fc":{"ty":3,"stb":1}}"#;
    sensor.primitive(yes).await.deleted();
    let discovering = r#"{"op":4,"to":"Csensor/other","fc":{"fu":1}}"#;
    sensor.primitive(discovering).await.refused(Rsc::BadRequest, "'fc/fu'");
}

#[tokio::test]
async fn an_answer_carries_the_request_identifier_and_release() {
    let (cse, sensor) = tree().await;
    let mut request = sensor.request(cse_core::primitive::Operation::Retrieve, "Csensor");
    request.request_identifier = "mine".into();
    let good = cse.send(request.clone()).await;
    request.to = "nothing".into();
    let bad = cse.send(request).await;
    for response in [good, bad] {
        assert_eq!(response.request_identifier, "mine");
        assert_eq!(response.release_version.map(|release| release.as_str()), Some("3"));
    }
    let refused = Answer(ask(&sensor, r#"{"op":1,"to":"Csensor","ty":3,"pc":{"m2m:cnt":{"zzz":1}}}"#).await);
    assert!(refused.0.debug_text().unwrap().contains("zzz"));
    assert_eq!(sensor.create("Csensor", Ty::CONTAINER, "{}").await.0.created_at, None);
}
