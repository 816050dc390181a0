//! Registration, containers, instances: the everyday path.

use std::sync::Arc;
use std::time::Duration;

use cse_core::cse::Cse;
use cse_core::error::Rsc;
use cse_core::id::{CseIdentity, CseType};
use cse_core::schema::Ty;
use cse_core::settings::Settings;

use crate::harness::{Play, SharedClock, SharedNetwork, TestCse};

#[tokio::test]
async fn an_ae_registers_stores_and_reads() {
    let cse = TestCse::new().await;
    let sensor = cse.register("Csensor", "sensor").await;
    sensor.container("cse-in/sensor", "log").await.created();
    for value in ["1", "2", "3"] {
        sensor.instance("cse-in/sensor/log", value).await.created();
    }
    let latest = sensor.retrieve("cse-in/sensor/log/la").await.resource();
    assert_eq!(latest.text("con"), Some("3"));
    let oldest = sensor.retrieve("/id-in/cse-in/sensor/log/ol").await.resource();
    assert_eq!(oldest.text("con"), Some("1"));
    let log = sensor.retrieve("cse-in/sensor/log").await.resource();
    assert_eq!((log.int("cni"), log.int("cbs"), log.int("st")), (Some(3), Some(3), Some(3)));
    cse.originator("Cother").retrieve("cse-in/sensor/log").await.refused(Rsc::OriginatorHasNoPrivilege, "Cother");
}

#[tokio::test]
async fn the_oldest_instance_leaves_when_the_container_is_full() {
    let cse = TestCse::new().await;
    let sensor = cse.register("Csensor", "sensor").await;
    sensor.create("cse-in/sensor", Ty::CONTAINER, r#"{"m2m:cnt":{"rn":"log","mni":2}}"#).await.created();
    for value in 0..200 {
        sensor.instance("cse-in/sensor/log", &value.to_string()).await.created();
    }
    let oldest = sensor.retrieve("cse-in/sensor/log/ol").await.resource();
    assert_eq!(oldest.text("con"), Some("198"));
    assert_eq!(sensor.retrieve("cse-in/sensor/log").await.resource().int("cni"), Some(2));
}

#[tokio::test]
async fn a_subscriber_is_told_of_new_instances() {
    let cse = TestCse::new().await;
    let sensor = cse.register("Csensor", "sensor").await;
    sensor.container("cse-in/sensor", "log").await.created();
    let content = r#"{"m2m:sub":{"rn":"s","nu":["Csensor","http://127.0.0.1:9/n"],"enc":{"net":[3]}}}"#;
    sensor.create("cse-in/sensor/log", Ty::SUBSCRIPTION, content).await.created();
    let verification = cse.network.sent(1).await;
    assert_eq!(verification.len(), 1);
    sensor.instance("cse-in/sensor/log", "7").await.created();
    let sent = cse.network.sent(3).await;
    let sgn = sent[1].1.content.as_ref().unwrap().get("m2m:sgn").unwrap().as_map().unwrap();
    assert_eq!(sgn.get("nev").unwrap().as_map().unwrap().int("net"), Some(3));
}

#[tokio::test]
async fn a_subscription_that_is_not_confirmed_is_not_made() {
    let cse = TestCse::new().await;
    let sensor = cse.register("Csensor", "sensor").await;
    cse.network.play([Play::Unreachable]);
    let content = r#"{"m2m:sub":{"rn":"s","nu":["http://127.0.0.1:9/n"]}}"#;
    let answer = sensor.create("cse-in/sensor", Ty::SUBSCRIPTION, content).await;
    answer.refused(Rsc::SubscriptionVerificationInitiationFailed, "127.0.0.1");
    sensor.retrieve("cse-in/sensor/s").await.refused(Rsc::NotFound, "cse-in/sensor/s");
}

#[tokio::test]
async fn what_expires_is_gone_and_counted_no_more() {
    let cse = TestCse::new().await;
    let sensor = cse.register("Csensor", "sensor").await;
    sensor.create("cse-in/sensor", Ty::CONTAINER, r#"{"m2m:cnt":{"rn":"log","mia":10}}"#).await.created();
    sensor.instance("cse-in/sensor/log", "1").await.created();
    cse.pass(Duration::from_secs(11)).await;
    cse.until(async || sensor.retrieve("cse-in/sensor/log").await.resource().int("cni") == Some(0)).await;
    sensor.retrieve("cse-in/sensor/log/la").await.refused(Rsc::NotFound, "no instance");
}

#[tokio::test]
async fn a_group_asks_all_its_members() {
    let cse = TestCse::new().await;
    let sensor = cse.register("Csensor", "sensor").await;
    sensor.container("cse-in/sensor", "a").await.created();
    sensor.container("cse-in/sensor", "b").await.created();
    let content = r#"{"m2m:grp":{"rn":"g","mnm":5,"mt":3,"mid":["cse-in/sensor/a","cse-in/sensor/b"]}}"#;
    sensor.create("cse-in/sensor", Ty::GROUP, content).await.created();
    let content = sensor.instance("cse-in/sensor/g/fopt", "1").await.ok();
    let answers = content.get("m2m:agr").unwrap().as_map().unwrap().get("m2m:rsp").unwrap().as_list().unwrap();
    assert_eq!(answers.len(), 2);
    assert_eq!(answers[0].as_map().unwrap().int("rsc"), Some(2001));
    let latest = sensor.retrieve("cse-in/sensor/g/fopt/la").await.ok();
    assert!(format!("{latest:?}").contains("con"));
}

#[tokio::test]
async fn discovery_finds_by_label_and_type() {
    let cse = TestCse::new().await;
    let sensor = cse.register("Csensor", "sensor").await;
    for (name, label) in [("a", "x"), ("b", "y"), ("c", "x")] {
        let content = format!(r#"{{"m2m:cnt":{{"rn":"{name}","lbl":["{label}"]}}}}"#);
        sensor.create("cse-in/sensor", Ty::CONTAINER, &content).await.created();
    }
    assert_eq!(sensor.discover("cse-in", r#","lbl":["x"]"#).await, ["cse-in/sensor/a", "cse-in/sensor/c"]);
    assert_eq!(sensor.discover("cse-in", r#","ty":[2]"#).await, ["cse-in/sensor"]);
    assert_eq!(sensor.discover("cse-in", r#","ty":[3],"lim":1"#).await, ["cse-in/sensor/a"]);
}

#[tokio::test]
async fn a_tree_keeps_the_name_of_its_root() {
    let cse = TestCse::new().await;
    let identity = CseIdentity::new("//cse.example", "/id-in", "renamed", CseType::In).unwrap();
    let clock = Arc::new(SharedClock(Arc::clone(&cse.clock)));
    let network = Arc::new(SharedNetwork(Arc::clone(&cse.network)));
    let start = Cse::start(Settings::new(identity, "CAdmin"), cse.store.clone(), clock, network).await;
    let Err(error) = start else { panic!("it starts") };
    assert!(error.to_string().contains("--cse-name"), "{error}");
}
