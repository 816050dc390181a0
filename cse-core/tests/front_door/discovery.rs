//! Discovery: what is found, by whom, in which form, and in how many parts (TS-0004 §7.3.3.14).

use std::collections::BTreeSet;
use std::sync::Arc;

use cse_core::error::Rsc;
use cse_core::schema::Ty;
use cse_core::value::{Map, Value};

use crate::harness::{Actor, Answer, TestCse};

async fn discovery(actor: &Actor, to: &str, parameters: &str, criteria: &str) -> Answer {
    actor.primitive(&format!(r#"{{"op":2,"to":"{to}"{parameters},"fc":{{"fu":1{criteria}}}}}"#)).await
}

/// Everything that a discovery finds, in as many requests as the answers say are needed.
async fn all_pages(actor: &Actor, to: &str, criteria: &str) -> (Vec<String>, usize) {
    let (mut found, mut requests, mut offset) = (Vec::new(), 0, String::new());
    loop {
        let answer = discovery(actor, to, "", &format!("{criteria}{offset}")).await;
        requests += 1;
        let (complete, next) = (answer.0.content_complete, answer.0.content_offset);
        found.extend(answer.ok().texts("m2m:uril").map(str::to_owned));
        assert_eq!(complete, Some(next.is_none()));
        match next {
            Some(next) => offset = format!(r#","ofst":{next}"#),
            None => return (found, requests),
        }
    }
}

async fn containers(actor: &Actor, to: &str, names: &[&str]) {
    for name in names {
        actor.container(to, name).await.created();
    }
}

#[tokio::test]
async fn results_come_in_the_wanted_form() {
    let cse = TestCse::new().await;
    let sensor = cse.register("Csensor", "sensor").await;
    let id = sensor.container("cse-in/sensor", "log").await.created().text("ri").unwrap().to_owned();
    let to = "cse-in/sensor";
    for (parameters, addresses) in
        [("", "cse-in/sensor/log"), (r#","drt":1"#, "cse-in/sensor/log"), (r#","drt":2"#, &id)]
    {
        let found = discovery(&sensor, to, parameters, "").await.ok();
        assert_eq!(found.texts("m2m:uril").collect::<Vec<_>>(), [addresses], "{parameters}");
        let found = discovery(&sensor, to, &format!(r#"{parameters},"rcn":6"#), "").await.ok();
        let expected = format!(r#"{{"m2m:rrl":{{"rrf":[{{"nm":"log","typ":3,"val":"{addresses}"}}]}}}}"#);
        assert_eq!(serde_json::to_string(&found).unwrap(), expected);
    }
    for rcn in [0, 2, 3, 4, 5, 7, 8, 9] {
        discovery(&sensor, to, &format!(r#","rcn":{rcn}"#), "").await.refused(Rsc::BadRequest, "rcn");
    }
    for other in ["/id-in/cse-in/sensor", "//cse.example/id-in/cse-in/sensor", "Csensor"] {
        assert_eq!(sensor.discover(other, "").await, ["cse-in/sensor/log"]);
    }
}

#[tokio::test]
async fn finding_nothing_is_no_error() {
    let cse = TestCse::new().await;
    let sensor = cse.register("Csensor", "sensor").await;
    let none = discovery(&sensor, "cse-in/sensor", "", r#","lbl":["x"]"#).await.ok();
    assert_eq!(serde_json::to_string(&none).unwrap(), r#"{"m2m:uril":[]}"#);
    let none = discovery(&sensor, "cse-in/sensor", r#","rcn":6"#, r#","lbl":["x"]"#).await.ok();
    assert_eq!(serde_json::to_string(&none).unwrap(), r#"{"m2m:rrl":{"rrf":[]}}"#);
    discovery(&sensor, "cse-in/nothing", "", "").await.refused(Rsc::NotFound, "cse-in/nothing");
}

#[tokio::test]
async fn only_what_may_be_discovered_is_found() {
    let cse = TestCse::new().await;
    let owner = cse.register("Cowner", "owner").await;
    let guest = cse.register("Cguest", "guest").await;
    let policy = |name: &str, operations: u8| {
        format!(
            r#"{{"m2m:acp":{{"rn":"{name}","pv":{{"acr":[{{"acor":["Cguest"],"acop":{operations}}},{{"acor":["Cowner"],"acop":63}}]}},"pvs":{{"acr":[{{"acor":["Cowner"],"acop":63}}]}}}}}}"#
        )
    };
    // 32 is DISCOVERY, 2 is RETRIEVE.
    for (name, operations) in [("discovers", 32), ("reads", 2), ("both", 34)] {
        owner.create("cse-in/owner", Ty::ACCESS_CONTROL_POLICY, &policy(name, operations)).await.created();
    }
    for (name, acp) in [("open", "discovers"), ("readable", "reads"), ("full", "both"), ("gone", "nowhere")] {
        let content = format!(r#"{{"m2m:cnt":{{"rn":"{name}","acpi":["cse-in/owner/{acp}"]}}}}"#);
        cse.admin().create("cse-in/owner", Ty::CONTAINER, &content).await;
    }
    owner.container("cse-in/owner", "own").await.created();
    cse.admin().container("cse-in/owner/open", "private").await.created();
    cse.admin().instance("cse-in/owner/open", "1").await.created();
    let below = |found: Vec<String>| -> Vec<String> {
        found.into_iter().filter(|address| address.starts_with("cse-in/owner/")).collect()
    };
    // Instances follow their container, containers do not.
    let found = below(guest.discover("cse-in", r#","ty":[3]"#).await);
    assert_eq!(found, ["cse-in/owner/open", "cse-in/owner/full"]);
    assert_eq!(below(guest.discover("cse-in", r#","ty":[4]"#).await).len(), 1);
    let found = below(cse.admin().discover("cse-in", r#","ty":[3]"#).await);
    assert!(found.len() >= 5, "{found:?}");
    // The target itself has to be discoverable, or readable.
    discovery(&guest, "cse-in/owner", "", "").await.refused(Rsc::OriginatorHasNoPrivilege, "Cguest");
    discovery(&guest, "cse-in/owner/own", "", "").await.refused(Rsc::OriginatorHasNoPrivilege, "Cguest");
    assert_eq!(guest.discover("cse-in/owner/open", "").await.len(), 1);
    assert_eq!(guest.discover("cse-in/owner/readable", "").await.len(), 0);
    discovery(&cse.originator("Cnobody"), "cse-in", "", "").await.refused(Rsc::OriginatorHasNoPrivilege, "Cnobody");
    // With resources in the result, reading counts.
    let tree = guest.primitive(r#"{"op":2,"to":"cse-in/owner/full","rcn":4}"#).await.resource();
    assert_eq!(tree.text("rn"), Some("full"));
    guest
        .primitive(r#"{"op":2,"to":"cse-in/owner/open","rcn":4}"#)
        .await
        .refused(Rsc::OriginatorHasNoPrivilege, "Cguest");
}

#[tokio::test]
async fn inactive_registrations_are_not_found() {
    let cse = TestCse::new().await;
    let asleep = cse.register("Casleep", "asleep").await;
    let awake = cse.register("Cawake", "awake").await;
    asleep.container("cse-in/asleep", "a").await.created();
    asleep.container("cse-in/asleep/a", "b").await.created();
    asleep.instance("cse-in/asleep/a/b", "1").await.created();
    awake.container("cse-in/awake", "a").await.created();
    let admin = cse.admin();
    let all = admin.discover("cse-in", "").await;
    asleep.update("cse-in/asleep", r#"{"m2m:ae":{"regs":2}}"#).await.updated();
    let expected: Vec<String> = all.iter().filter(|address| !address.starts_with("cse-in/asleep")).cloned().collect();
    assert_eq!(admin.discover("cse-in", "").await, expected);
    assert_eq!(admin.discover("cse-in", r#","ty":[4]"#).await, Vec::<String>::new());
    // Who addresses it knows it.
    assert_eq!(admin.discover("cse-in/asleep/a", "").await.len(), 2);
    assert_eq!(admin.discover("cse-in/asleep", "").await.len(), 3);
    asleep.update("cse-in/asleep", r#"{"m2m:ae":{"regs":1}}"#).await.updated();
    assert_eq!(admin.discover("cse-in", "").await, all);
}

#[tokio::test]
async fn instances_that_cannot_be_retrieved_are_found_but_not_shown() {
    let cse = TestCse::new().await;
    let sensor = cse.register("Csensor", "sensor").await;
    sensor.create("cse-in/sensor", Ty::CONTAINER, r#"{"m2m:cnt":{"rn":"closed","disr":true}}"#).await.created();
    sensor.instance("cse-in/sensor/closed", "1").await.created();
    assert_eq!(sensor.discover("cse-in/sensor/closed", "").await.len(), 1);
    assert_eq!(sensor.discover("cse-in/sensor", r#","ty":[3],"arp":"la""#).await, Vec::<String>::new());
    let tree = sensor.primitive(r#"{"op":2,"to":"cse-in/sensor","rcn":8}"#).await.resource();
    assert!(!serde_json::to_string(&tree).unwrap().contains("m2m:cin"));
}

#[tokio::test]
async fn a_relative_path_is_followed_from_each_result() {
    let cse = TestCse::new().await;
    let sensor = cse.register("Csensor", "sensor").await;
    for room in ["kitchen", "bath", "attic"] {
        let content = format!(r#"{{"m2m:cnt":{{"rn":"{room}","lbl":["room"]}}}}"#);
        sensor.create("cse-in/sensor", Ty::CONTAINER, &content).await.created();
    }
    for room in ["kitchen", "bath"] {
        sensor.container(&format!("cse-in/sensor/{room}"), "temp").await.created();
    }
    sensor.instance("cse-in/sensor/kitchen/temp", "20").await.created();
    let rooms = |path: &str| format!(r#","lbl":["room"],"arp":"{path}""#);
    let found = sensor.discover("cse-in/sensor", &rooms("temp")).await;
    assert_eq!(found, ["cse-in/sensor/kitchen/temp", "cse-in/sensor/bath/temp"]);
    assert_eq!(sensor.discover("cse-in/sensor", &rooms("temp/la")).await, ["cse-in/sensor/kitchen/temp/la"]);
    assert_eq!(sensor.discover("cse-in/sensor", &rooms("../kitchen/temp")).await, ["cse-in/sensor/kitchen/temp"]);
    assert_eq!(sensor.discover("cse-in/sensor", &rooms("..")).await, ["cse-in/sensor"]);
    assert_eq!(sensor.discover("cse-in/sensor", &rooms("../../../..")).await, Vec::<String>::new());
    assert_eq!(sensor.discover("cse-in/sensor", &rooms("fopt")).await, Vec::<String>::new());
    let references = discovery(&sensor, "cse-in/sensor", r#","rcn":6,"drt":2"#, &rooms("temp/ol")).await.ok();
    let reference = references.get("m2m:rrl").and_then(Value::as_map).unwrap().get("rrf").unwrap().as_list().unwrap();
    let reference: &Map = reference[0].as_map().unwrap();
    let id = sensor.retrieve("cse-in/sensor/kitchen/temp").await.resource().text("ri").unwrap().to_owned();
    assert_eq!((reference.int("typ"), reference.text("val")), (Some(4), Some(&*format!("{id}/ol"))));
    // What lies there must be discoverable itself.
    cse.register("Cother", "other").await.container("cse-in/other", "secret").await.created();
    assert_eq!(sensor.discover("cse-in/sensor", &rooms("../../other/secret")).await, Vec::<String>::new());
}

#[tokio::test]
async fn pages_have_everything_once() {
    let cse = TestCse::new().await;
    let sensor = cse.register("Csensor", "sensor").await;
    containers(&sensor, "cse-in/sensor", &["a", "b", "c"]).await;
    for parent in ["a", "b"] {
        containers(&sensor, &format!("cse-in/sensor/{parent}"), &["x", "y"]).await;
    }
    let all = sensor.discover("cse-in/sensor", "").await;
    assert_eq!(all.len(), 7);
    for limit in 1..=8 {
        let (found, requests) = all_pages(&sensor, "cse-in/sensor", &format!(r#","lim":{limit}"#)).await;
        assert_eq!(found, all, "lim {limit}");
        assert_eq!(requests, all.len().div_ceil(limit), "lim {limit}");
    }
    let first = discovery(&sensor, "cse-in/sensor", "", r#","lim":3"#).await.0;
    assert_eq!((first.content_complete, first.content_offset), (Some(false), Some(4)));
    let none = discovery(&sensor, "cse-in/sensor", "", r#","lim":0"#).await.0;
    assert_eq!((none.content_complete, none.content_offset), (Some(false), Some(1)));
    assert_eq!(sensor.discover("cse-in/sensor", r#","ofst":6"#).await, all[5..]);
    assert_eq!(sensor.discover("cse-in/sensor", r#","ofst":8"#).await, Vec::<String>::new());
    let (direct, _) = all_pages(&sensor, "cse-in/sensor", r#","lvl":1,"lim":2"#).await;
    assert_eq!(direct, ["cse-in/sensor/a", "cse-in/sensor/b", "cse-in/sensor/c"]);
}

/// The identifiers of all resources with attributes below a nested resource.
fn in_full(resource: &Map, ids: &mut Vec<String>) {
    for (_, list) in resource.iter().filter(|(name, _)| name.contains(':')) {
        for child in list.as_list().unwrap() {
            let child = child.as_map().unwrap();
            if child.contains("ct") {
                ids.push(child.text("ri").unwrap().to_owned());
            }
            in_full(child, ids);
        }
    }
}

#[tokio::test]
async fn nested_pages_have_everything_once_and_in_its_place() {
    let cse = TestCse::new().await;
    let sensor = cse.register("Csensor", "sensor").await;
    containers(&sensor, "cse-in/sensor", &["a", "b"]).await;
    containers(&sensor, "cse-in/sensor/a", &["x", "y"]).await;
    for value in 0..3 {
        sensor.instance("cse-in/sensor/a/x", &value.to_string()).await.created();
        sensor.instance("cse-in/sensor/b", &value.to_string()).await.created();
    }
    let all: BTreeSet<String> = discovery(&sensor, "cse-in/sensor", r#","drt":2"#, "")
        .await
        .ok()
        .texts("m2m:uril")
        .map(str::to_owned)
        .collect();
    for limit in 1..=all.len() {
        let (mut found, mut offset) = (Vec::new(), 1);
        loop {
            let request = format!(r#"{{"op":2,"to":"cse-in/sensor","rcn":4,"fc":{{"lim":{limit},"ofst":{offset}}}}}"#);
            let answer = sensor.primitive(&request).await;
            let next = answer.0.content_offset;
            let before = found.len();
            in_full(&answer.resource(), &mut found);
            assert!(found.len() <= before + limit);
            match next {
                Some(next) => offset = next,
                None => break,
            }
        }
        assert_eq!(found.len(), all.len(), "lim {limit}");
        assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), all, "lim {limit}");
    }
}

#[tokio::test]
async fn long_results_are_continued_without_counting() {
    const INSTANCES: usize = 2_600;
    let cse = TestCse::with(|settings| settings.result_resources_max = 700).await;
    let sensor = cse.register("Csensor", "sensor").await;
    sensor.container("cse-in/sensor", "log").await.created();
    fill(&sensor, "cse-in/sensor/log", INSTANCES).await;
    let (found, requests) = all_pages(&sensor, "cse-in/sensor", r#","ty":[4]"#).await;
    assert_eq!(found.len(), INSTANCES);
    assert_eq!(found.iter().collect::<BTreeSet<_>>().len(), INSTANCES);
    assert_eq!(requests, INSTANCES.div_ceil(700));
    // The client's own counting leads to the same.
    let tail = sensor.discover("cse-in/sensor", r#","ty":[4],"ofst":2591"#).await;
    assert_eq!(tail, found[2_590..]);
    let (sparse, _) = all_pages(&sensor, "cse-in/sensor", r#","atr":[{"nm":"con","val":"25*"}],"lim":20"#).await;
    assert_eq!(sparse.len(), 111);
    // New ones do not disturb.
    let page = discovery(&sensor, "cse-in/sensor", "", r#","ty":[4],"lim":50,"ofst":2550"#).await.0;
    sensor.container("cse-in/sensor", "new").await.created();
    let offset = page.content_offset.unwrap();
    assert_eq!(sensor.discover("cse-in/sensor", &format!(r#","ty":[4],"ofst":{offset}"#)).await, found[2_599..]);
}

async fn fill(sensor: &Actor, to: &str, count: usize) {
    // Many at a time, because the in-memory store copies its state in each commit.
    let mut pending = tokio::task::JoinSet::new();
    for value in 0..count {
        let (sensor, to) = (sensor.clone(), to.to_owned());
        pending.spawn(async move { drop(sensor.instance(&to, &value.to_string()).await.created()) });
    }
    while let Some(done) = pending.join_next().await {
        done.unwrap();
    }
}

#[tokio::test]
async fn a_result_has_a_bounded_size() {
    let cse = TestCse::with(|settings| settings.result_bytes_max = 20_000).await;
    let sensor = cse.register("Csensor", "sensor").await;
    sensor.container("cse-in/sensor", "log").await.created();
    let large = "x".repeat(5_000);
    for _ in 0..10 {
        sensor.instance("cse-in/sensor/log", &large).await.created();
    }
    let answer = sensor.primitive(r#"{"op":2,"to":"cse-in/sensor/log","rcn":4}"#).await.0;
    assert_eq!(answer.content_complete, Some(false));
    assert!(answer.content_offset.is_some_and(|offset| (3..=6).contains(&offset)), "{:?}", answer.content_offset);
    // Addresses are small, whatever they lead to.
    assert_eq!(sensor.discover("cse-in/sensor/log", "").await.len(), 10);
}

#[tokio::test]
async fn trees_have_a_bottom() {
    let cse = TestCse::new().await;
    let sensor = cse.register("Csensor", "sensor").await;
    let mut parent = "Csensor".to_owned();
    let mut levels = 2;
    loop {
        let answer = sensor.create(&parent, Ty::CONTAINER, r#"{"m2m:cnt":{}}"#).await;
        if answer.0.status != Rsc::Created {
            answer.refused(Rsc::NotAcceptable, "levels");
            break;
        }
        parent = answer.created().text("ri").unwrap().to_owned();
        levels += 1;
        assert!(levels < 1_000);
    }
    assert_eq!(levels, 100);
    assert_eq!(sensor.discover("cse-in/sensor", "").await.len(), levels - 2);
    sensor.primitive(r#"{"op":2,"to":"cse-in/sensor","rcn":4}"#).await.ok();
    sensor.delete("cse-in/sensor").await.deleted();
}

#[tokio::test]
async fn conditions_on_children_see_all_of_them() {
    let cse = TestCse::new().await;
    let sensor = cse.register("Csensor", "sensor").await;
    containers(&sensor, "cse-in/sensor", &["log", "other"]).await;
    fill(&sensor, "cse-in/sensor/log", 1_500).await;
    let content = r#"{"m2m:cnt":{"rn":"last","lbl":["end"]}}"#;
    sensor.create("cse-in/sensor/log", Ty::CONTAINER, content).await.created();
    for criteria in [
        r#","catr":[{"nm":"con","val":"1499"}]"#,
        r#","clbl":["end"]"#,
        r#","chty":[3]"#,
        r#","chty":[3],"clbl":["end"]"#,
        r#","chty":[4],"clbl":["end"],"catr":[{"nm":"con","val":"1400"}]"#,
    ] {
        assert_eq!(sensor.discover("cse-in/sensor", criteria).await, ["cse-in/sensor/log"], "{criteria}");
    }
    assert_eq!(sensor.discover("cse-in/sensor", r#","chty":[9]"#).await, Vec::<String>::new());
    assert!(Arc::strong_count(&cse) > 0);
}
