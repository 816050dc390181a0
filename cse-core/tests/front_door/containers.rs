//! Containers and their instances: limits, eviction, counters (TS-0004 §7.4.6, §7.4.7).

use std::sync::Arc;
use std::time::Duration;

use cse_core::error::Rsc;
use cse_core::id::Seq;
use cse_core::ports::{Snapshot, Store};
use cse_core::resource::seq_of_generated_id;
use cse_core::schema::Ty;
use cse_core::value::Map;

use crate::harness::{Actor, TestCse};

const LOG: &str = "cse-in/sensor/log";

/// An AE with a container of those attributes.
async fn container(attributes: &str) -> (Arc<TestCse>, Actor) {
    let cse = TestCse::new().await;
    let sensor = cse.register("Csensor", "sensor").await;
    make(&sensor, attributes).await;
    (cse, sensor)
}

async fn make(sensor: &Actor, attributes: &str) -> Map {
    let content = format!(r#"{{"m2m:cnt":{{"rn":"log"{attributes}}}}}"#);
    sensor.create("cse-in/sensor", Ty::CONTAINER, &content).await.created()
}

/// `cni` and `cbs`, which must be true.
async fn counters(sensor: &Actor) -> (i64, i64) {
    let log = sensor.retrieve(LOG).await.resource();
    let claimed = (log.int("cni").unwrap(), log.int("cbs").unwrap());
    let seq = seq_of_generated_id(log.text("ri").unwrap()).unwrap();
    assert_eq!(stored(sensor, seq).await, claimed, "what is stored and what is claimed");
    claimed
}

/// Instances of a container in the store, and their size.
async fn stored(sensor: &Actor, container: Seq) -> (i64, i64) {
    let mut snapshot = sensor.cse.store.snapshot().await.unwrap();
    let (count, bytes) = snapshot.count(container, Ty::CONTENT_INSTANCE).await.unwrap();
    (count as i64, bytes as i64)
}

async fn fill(sensor: &Actor, contents: &[&str]) {
    for content in contents {
        sensor.instance(LOG, content).await.created();
    }
}

async fn contents(sensor: &Actor) -> Vec<String> {
    let tree = sensor.primitive(&format!(r#"{{"op":2,"to":"{LOG}","rcn":8}}"#)).await.resource();
    let Some(list) = tree.get("m2m:cin").and_then(|list| list.as_list()) else {
        return Vec::new();
    };
    list.iter().map(|cin| cin.as_map().unwrap().text("con").unwrap().to_owned()).collect()
}

#[tokio::test]
async fn the_oldest_leave_first() {
    for (limits, left) in [
        (r#","mni":3"#, &["c3", "d4", "e5"][..]),
        (r#","mni":1"#, &["e5"]),
        (r#","mbs":4"#, &["d4", "e5"]),
        (r#","mbs":5"#, &["d4", "e5"]),
        (r#","mni":3,"mbs":4"#, &["d4", "e5"]),
        (r#","mni":1,"mbs":100"#, &["e5"]),
        // The newest one always stays.
        (r#","mni":0"#, &["e5"]),
        ("", &["a1", "b2", "c3", "d4", "e5"]),
    ] {
        let (_cse, sensor) = container(limits).await;
        fill(&sensor, &["a1", "b2", "c3", "d4", "e5"]).await;
        assert_eq!(contents(&sensor).await, left, "{limits}");
        assert_eq!(counters(&sensor).await, (left.len() as i64, 2 * left.len() as i64), "{limits}");
        assert_eq!(sensor.retrieve("cse-in/sensor/log/ol").await.resource().text("con"), Some(left[0]));
        assert_eq!(sensor.retrieve("cse-in/sensor/log/la").await.resource().text("con"), Some("e5"));
    }
}

#[tokio::test]
async fn one_large_instance_takes_the_place_of_many() {
    let (_cse, sensor) = container(r#","mbs":10"#).await;
    fill(&sensor, &["1", "2", "3", "4", "5", "6", "7", "8", "9", "0"]).await;
    assert_eq!(counters(&sensor).await, (10, 10));
    fill(&sensor, &["12345678"]).await;
    assert_eq!(contents(&sensor).await, ["9", "0", "12345678"]);
    assert_eq!(counters(&sensor).await, (3, 10));
    sensor.instance(LOG, "12345678901").await.refused(Rsc::NotAcceptable, "at most 10");
    assert_eq!(counters(&sensor).await, (3, 10));
    fill(&sensor, &["1234567890"]).await;
    assert_eq!(counters(&sensor).await, (1, 10));
    fill(&sensor, &[""]).await;
    assert_eq!(counters(&sensor).await, (2, 10), "an empty instance takes no bytes");
}

#[tokio::test]
async fn nothing_fits_into_no_bytes() {
    let (_cse, sensor) = container(r#","mbs":0"#).await;
    sensor.instance(LOG, "1").await.refused(Rsc::NotAcceptable, "at most 0");
    fill(&sensor, &[""]).await;
    assert_eq!(counters(&sensor).await, (1, 0));
}

#[tokio::test]
async fn counters_follow_every_deletion() {
    let (_cse, sensor) = container("").await;
    fill(&sensor, &["1", "22", "333", "4444", "55555"]).await;
    sensor.delete("cse-in/sensor/log/la").await.deleted();
    assert_eq!(counters(&sensor).await, (4, 10));
    sensor.delete("cse-in/sensor/log/ol").await.deleted();
    assert_eq!(counters(&sensor).await, (3, 9));
    let latest = sensor.retrieve("cse-in/sensor/log/la").await.resource();
    sensor.delete(latest.text("ri").unwrap()).await.deleted();
    assert_eq!(contents(&sensor).await, ["22", "333"]);
    assert_eq!(counters(&sensor).await, (2, 5));
    assert_eq!(sensor.retrieve("cse-in/sensor/log/la").await.resource().text("con"), Some("333"));
    for _ in 0..2 {
        sensor.delete("cse-in/sensor/log/la").await.deleted();
    }
    assert_eq!(counters(&sensor).await, (0, 0));
    sensor.delete("cse-in/sensor/log/la").await.refused(Rsc::NotFound, "no instance");
    fill(&sensor, &["again"]).await;
    assert_eq!(counters(&sensor).await, (1, 5));
}

#[tokio::test]
async fn lower_limits_take_effect_at_once() {
    for (change, left) in [
        (r#""mni":2"#, &["4444", "55555"][..]),
        (r#""mni":0"#, &["55555"]),
        (r#""mbs":9"#, &["4444", "55555"]),
        (r#""mbs":8"#, &["55555"]),
        (r#""mbs":4"#, &[]),
        (r#""mni":4,"mbs":5"#, &["55555"]),
        (r#""mni":3,"mia":5"#, &["333", "4444", "55555"]),
        (r#""mni":100"#, &["1", "22", "333", "4444", "55555"]),
    ] {
        let (_cse, sensor) = container("").await;
        fill(&sensor, &["1", "22", "333", "4444", "55555"]).await;
        let after = sensor.update(LOG, &format!(r#"{{"m2m:cnt":{{{change}}}}}"#)).await.updated();
        assert_eq!(after.int("cni"), Some(left.len() as i64), "{change}");
        assert_eq!(contents(&sensor).await, left, "{change}");
        counters(&sensor).await;
    }
}

#[tokio::test]
async fn many_at_once_and_one_by_one_come_to_the_same() {
    let (_cse, sensor) = container(r#","mni":50"#).await;
    // Concurrent requests share commits.
    let writes = (0..300).map(|number| {
        let sensor = sensor.clone();
        async move { sensor.instance(LOG, &format!("{number:03}")).await.created() }
    });
    let made = futures_util::future::join_all(writes).await;
    assert_eq!(counters(&sensor).await, (50, 150));
    let mut tags: Vec<i64> = made.iter().map(|cin| cin.int("st").unwrap()).collect();
    tags.sort_unstable();
    assert_eq!(tags, (1..=300).collect::<Vec<_>>(), "each has its own state tag");
    sensor.update(LOG, r#"{"m2m:cnt":{"mni":7}}"#).await.updated();
    assert_eq!(counters(&sensor).await, (7, 21));
}

#[tokio::test]
async fn old_age_ends_an_instance() {
    let (cse, sensor) = container(r#","mia":10"#).await;
    fill(&sensor, &["1"]).await;
    cse.pass(Duration::from_secs(6)).await;
    fill(&sensor, &["2"]).await;
    let latest = sensor.retrieve("cse-in/sensor/log/la").await.resource();
    assert_eq!(latest.text("et"), Some("20260101T120016,000000"));
    let shorter = r#"{"m2m:cin":{"con":"3","et":"20260101T120008"}}"#;
    sensor.create(LOG, Ty::CONTENT_INSTANCE, shorter).await.created();
    cse.until(async || contents(&sensor).await == ["1", "2"]).await;
    cse.until(async || counters(&sensor).await == (1, 1)).await;
    assert_eq!(contents(&sensor).await, ["2"]);
}

#[tokio::test]
async fn a_lower_age_counts_for_those_that_are_there() {
    let (cse, sensor) = container("").await;
    fill(&sensor, &["1", "2"]).await;
    cse.pass(Duration::from_secs(20)).await;
    fill(&sensor, &["3"]).await;
    sensor.update(LOG, r#"{"m2m:cnt":{"mia":15}}"#).await.updated();
    assert_eq!(contents(&sensor).await, ["3"]);
    assert_eq!(counters(&sensor).await, (1, 1));
    let latest = sensor.retrieve("cse-in/sensor/log/la").await.resource();
    assert_eq!(latest.text("et"), Some("20260101T120035,000000"));
}

#[tokio::test]
async fn expired_instances_are_not_the_newest_or_oldest() {
    // The next look for what has expired is far away.
    let cse = TestCse::with(|settings| settings.expiration_interval = Duration::from_secs(1_000_000)).await;
    let sensor = cse.register("Csensor", "sensor").await;
    make(&sensor, "").await;
    // The first deadline is served at once; the next only after the interval.
    sensor.create(LOG, Ty::CONTENT_INSTANCE, r#"{"m2m:cin":{"con":"0","et":"20260101T120001"}}"#).await.created();
    cse.pass(Duration::from_secs(2)).await;
    cse.until(async || counters(&sensor).await == (0, 0)).await;
    for (content, life) in [("1", "20260101T130000"), ("2", "20270101T000000"), ("3", "20260101T130000")] {
        let content = format!(r#"{{"m2m:cin":{{"con":"{content}","et":"{life}"}}}}"#);
        sensor.create(LOG, Ty::CONTENT_INSTANCE, &content).await.created();
    }
    cse.pass(Duration::from_secs(7_200)).await;
    assert_eq!(counters(&sensor).await.0, 3, "not yet cleared away");
    for end in ["la", "ol"] {
        let instance = sensor.retrieve(&format!("{LOG}/{end}")).await.resource();
        assert_eq!(instance.text("con"), Some("2"), "{end}");
    }
    sensor.delete("cse-in/sensor/log/la").await.deleted();
    sensor.retrieve("cse-in/sensor/log/ol").await.refused(Rsc::NotFound, "no instance");
}

#[tokio::test]
async fn disabled_retrieval_lets_in_and_nothing_out() {
    let (cse, sensor) = container(r#","disr":true"#).await;
    let disabled = Rsc::OperationNotAllowed;
    sensor.retrieve("cse-in/sensor/log/la").await.refused(disabled, "disabled");
    let made = sensor.instance(LOG, "1").await.created();
    for to in ["cse-in/sensor/log/la", "cse-in/sensor/log/ol", made.text("ri").unwrap()] {
        sensor.retrieve(to).await.refused(disabled, "disabled");
        sensor.delete(to).await.refused(disabled, "disabled");
        cse.originator("Cx").retrieve(to).await.refused(Rsc::OriginatorHasNoPrivilege, "Cx");
        cse.originator("Cx").delete(to).await.refused(Rsc::OriginatorHasNoPrivilege, "Cx");
    }
    assert_eq!(counters(&sensor).await, (1, 1));
    assert!(contents(&sensor).await.is_empty(), "not by the container either");
    assert!(!sensor.discover(LOG, "").await.is_empty(), "addresses are no content");
    sensor.update(LOG, r#"{"m2m:cnt":{"lbl":["x"]}}"#).await.updated();
    assert_eq!(counters(&sensor).await, (1, 1));
    let open = sensor.update(LOG, r#"{"m2m:cnt":{"disr":false}}"#).await.updated();
    assert_eq!((open.int("cni"), open.int("cbs")), (Some(0), Some(0)), "what was hidden goes");
    assert_eq!(counters(&sensor).await, (0, 0));
    fill(&sensor, &["2"]).await;
    sensor.update(LOG, r#"{"m2m:cnt":{"disr":true}}"#).await.updated();
    sensor.update(LOG, r#"{"m2m:cnt":{"disr":null}}"#).await.updated();
    assert_eq!(counters(&sensor).await, (0, 0));
}

#[tokio::test]
async fn state_tags_count_changes() {
    let (_cse, sensor) = container("").await;
    let tag = async || sensor.retrieve(LOG).await.resource().int("st");
    assert_eq!(tag().await, Some(0));
    assert_eq!(sensor.instance(LOG, "1").await.created().int("st"), Some(1));
    assert_eq!(sensor.instance(LOG, "2").await.created().int("st"), Some(2));
    assert_eq!(tag().await, Some(2));
    sensor.update(LOG, r#"{"m2m:cnt":{"lbl":["x"]}}"#).await.updated();
    assert_eq!(tag().await, Some(3));
    sensor.delete("cse-in/sensor/log/la").await.deleted();
    assert_eq!(sensor.instance(LOG, "3").await.created().int("st"), Some(4));
    sensor.container(LOG, "inner").await.created();
    assert_eq!(tag().await, Some(4), "another child is no change");
}

#[tokio::test]
async fn content_size_is_in_bytes() {
    let (_cse, sensor) = container("").await;
    for (content, size) in [
        (r#""""#, 0),
        (r#""abc""#, 3),
        (r#""äöü""#, 6),
        ("true", 4),
        ("-17", 3),
        ("1.5", 3),
        (r#"{"a":[1,2]}"#, 11),
        (r#"[1,"x"]"#, 7),
    ] {
        let instance = format!(r#"{{"m2m:cin":{{"con":{content}}}}}"#);
        let made = sensor.create(LOG, Ty::CONTENT_INSTANCE, &instance).await.created();
        assert_eq!(made.int("cs"), Some(size), "{content}");
        assert_eq!(sensor.retrieve("cse-in/sensor/log/la").await.resource(), made);
    }
    counters(&sensor).await;
}

#[tokio::test]
async fn an_instance_never_changes() {
    let (_cse, sensor) = container("").await;
    let ri = sensor.instance(LOG, "1").await.created().text("ri").unwrap().to_owned();
    for change in [r#"{"m2m:cin":{"con":"2"}}"#, r#"{"m2m:cin":{"lbl":["x"]}}"#, r#"{"m2m:cin":{}}"#] {
        sensor.update(&ri, change).await.refused(Rsc::OperationNotAllowed, "contentInstance");
    }
}

#[tokio::test]
async fn all_below_goes_with_a_resource() {
    let (_cse, sensor) = container("").await;
    fill(&sensor, &["1", "2"]).await;
    let inner = sensor.container(LOG, "inner").await.created();
    let instance = sensor.instance("cse-in/sensor/log/inner", "3").await.created();
    sensor.create(LOG, Ty::SUBSCRIPTION, r#"{"m2m:sub":{"rn":"s","nu":["Csensor"]}}"#).await.created();
    sensor.delete(LOG).await.deleted();
    let (inner, instance) = (inner.text("ri").unwrap(), instance.text("ri").unwrap());
    for gone in [LOG, "cse-in/sensor/log/la", "cse-in/sensor/log/s", "cse-in/sensor/log/inner/la", inner, instance] {
        sensor.retrieve(gone).await.refused(Rsc::NotFound, "");
        sensor.delete(gone).await.refused(Rsc::NotFound, "");
    }
    sensor.container("cse-in/sensor", "log").await.created();
    assert_eq!(counters(&sensor).await, (0, 0));
    sensor.retrieve("cse-in/sensor/log/inner").await.refused(Rsc::NotFound, "");
}

#[tokio::test]
async fn a_great_container_is_cleared_away_in_steps() {
    let (cse, sensor) = container("").await;
    let log = sensor.retrieve(LOG).await.resource();
    let seq = seq_of_generated_id(log.text("ri").unwrap()).unwrap();
    let writes = (0..1_300).map(|_| async { sensor.instance(LOG, "1").await.created() });
    let made = futures_util::future::join_all(writes).await;
    sensor.container(LOG, "inner").await.created();
    assert_eq!(counters(&sensor).await, (1_300, 1_300));
    cse.admin().delete("cse-in/sensor").await.deleted();
    for cin in [&made[0], &made[700], &made[1_299]] {
        let ri = cin.text("ri").unwrap();
        cse.admin().retrieve(ri).await.refused(Rsc::NotFound, ri);
        cse.admin().delete(ri).await.refused(Rsc::NotFound, ri);
    }
    assert!(cse.admin().discover("cse-in", "").await.is_empty());
    cse.until(async || stored(&sensor, seq).await == (0, 0)).await;
    let mut snapshot = cse.store.snapshot().await.unwrap();
    assert_eq!(snapshot.next_deadline().await.unwrap(), None, "nothing is left to do");
    assert_eq!(snapshot.next_expiration().await.unwrap(), None);
}
