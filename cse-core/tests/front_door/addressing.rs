//! All forms of `to` lead to the same resources (TS-0001 §9.3.1, TS-0004 §7.3.2.6).

use std::sync::Arc;

use cse_core::error::Rsc;
use cse_core::schema::Ty;

use crate::harness::{Actor, TestCse};

/// `cse-in/sensor/log/deep` with two instances in it.
async fn deep() -> (Arc<TestCse>, Actor, String) {
    let cse = TestCse::new().await;
    let sensor = cse.register("Csensor", "sensor").await;
    sensor.container("cse-in/sensor", "log").await.created();
    let deep = sensor.container("cse-in/sensor/log", "deep").await.created();
    sensor.instance("cse-in/sensor/log/deep", "old").await.created();
    sensor.instance("cse-in/sensor/log/deep", "new").await.created();
    (cse, sensor, deep.text("ri").unwrap().to_owned())
}

#[tokio::test]
async fn every_form_of_an_address_leads_to_the_resource() {
    let (_cse, sensor, ri) = deep().await;
    let mut forms = Vec::new();
    let locals = ["cse-in/sensor/log/deep", "-/sensor/log/deep", "Csensor/log/deep", "id-in/sensor/log/deep", &ri];
    for local in locals {
        for prefix in ["", "/id-in/", "//cse.example/id-in/"] {
            forms.push(format!("{prefix}{local}"));
            forms.push(format!("{prefix}{local}/"));
        }
    }
    for to in forms {
        let node = sensor.retrieve(&to).await.resource();
        assert_eq!(node.text("ri"), Some(ri.as_str()), "{to}");
        let end = to.trim_end_matches('/');
        assert_eq!(sensor.retrieve(&format!("{end}/la")).await.resource().text("con"), Some("new"), "{to}");
        assert_eq!(sensor.retrieve(&format!("{end}/ol")).await.resource().text("con"), Some("old"), "{to}");
        assert_eq!(sensor.retrieve(&format!("{end}#rn")).await.resource().text("rn"), Some("deep"), "{to}");
    }
}

#[tokio::test]
async fn changes_take_every_form_as_well() {
    let (_cse, sensor, ri) = deep().await;
    for to in ["cse-in/sensor/log/deep", "/id-in/-/sensor/log/deep", "//cse.example/id-in/Csensor/log/deep", &ri] {
        sensor.instance(to, to).await.created();
        sensor.update(to, r#"{"m2m:cnt":{"lbl":["a"]}}"#).await.updated();
        assert_eq!(sensor.retrieve(&format!("{to}/la")).await.resource().text("con"), Some(to));
        sensor.delete(&format!("{to}/la")).await.deleted();
    }
    assert_eq!(sensor.retrieve(&ri).await.resource().int("cni"), Some(2));
}

#[tokio::test]
async fn registrations_are_found_by_their_identifier() {
    let cse = TestCse::new().await;
    let meter = cse.register("Smeter", "meter").await;
    for to in ["Smeter", "/Smeter", "/id-in/Smeter", "//cse.example/id-in/Smeter", "cse-in/meter"] {
        assert_eq!(meter.retrieve(to).await.resource().text("aei"), Some("Smeter"), "{to}");
    }
}

#[tokio::test]
async fn nothing_is_found_elsewhere() {
    let (_cse, sensor, ri) = deep().await;
    for to in [
        "cse-in/nothing",
        "cse-in/sensor/log/deep/nothing",
        "cse-in/sensor/la",
        "cse-in/sensor/log/deep/la/la",
        "cse-in/sensor/log/fopt",
        "cse-in/sensor//log",
        "cse-inn",
        "cnt99999",
        "cnt",
        "/",
        "//",
        "///",
        "cse-in/sensor/../sensor",
        &format!("{ri}x"),
        &format!("{ri}/cse-in"),
        &ri.to_uppercase(),
        &format!("x{}", &ri[1..]),
    ] {
        sensor.retrieve(to).await.refused(Rsc::NotFound, "");
    }
    for to in ["/id-mn/cse-mn/a", "/id-mn", "//other.example/id-in/cse-in", "/id-inn/cse-in", "//cse.examplex/id-in"] {
        sensor.retrieve(to).await.refused(Rsc::NotFound, "no route");
        sensor.container(to, "c").await.refused(Rsc::NotFound, "no route");
    }
    sensor.retrieve("").await.refused(Rsc::BadRequest, "'to'");
}

#[tokio::test]
async fn one_attribute_is_read_behind_a_hash() {
    let (_cse, sensor, _) = deep().await;
    let only = sensor.retrieve("cse-in/sensor/log/deep#cni").await.resource();
    assert_eq!((only.len(), only.int("cni")), (1, Some(2)));
    assert!(sensor.retrieve("cse-in/sensor/log/deep#mni").await.resource().is_empty());
    sensor.retrieve("cse-in/sensor/log/deep#zzz").await.refused(Rsc::BadRequest, "zzz");
    sensor.retrieve("cse-in/sensor/log/deep#").await.refused(Rsc::BadRequest, "");
    assert_eq!(sensor.retrieve("cse-in/sensor/log/deep/la#con").await.resource().text("con"), Some("new"));
}

#[tokio::test]
async fn an_attribute_is_no_target_of_a_change() {
    let (_cse, sensor, _) = deep().await;
    sensor.update("cse-in/sensor/log#lbl", r#"{"m2m:cnt":{"lbl":["x"]}}"#).await.refused(Rsc::BadRequest, "'to'");
    sensor.delete("cse-in/sensor/log#lbl").await.refused(Rsc::BadRequest, "'to'");
    sensor.container("cse-in/sensor/log#lbl", "c").await.refused(Rsc::BadRequest, "'to'");
    sensor.retrieve("cse-in/sensor/log").await.resource();
}

#[tokio::test]
async fn virtual_resources_allow_what_they_are_for() {
    let (_cse, sensor, _) = deep().await;
    for to in ["cse-in/sensor/log/deep/la", "cse-in/sensor/log/deep/ol"] {
        sensor.instance(to, "x").await.refused(Rsc::OperationNotAllowed, "CREATE");
        sensor.update(to, r#"{"m2m:cin":{"lbl":["x"]}}"#).await.refused(Rsc::OperationNotAllowed, "UPDATE");
        sensor.delete(to).await.deleted();
        let instance = sensor.retrieve("cse-in/sensor/log/deep").await.resource().int("cni").unwrap();
        assert_eq!(instance, if to.ends_with("la") { 1 } else { 0 });
    }
    sensor.retrieve("cse-in/sensor/log/deep/la").await.refused(Rsc::NotFound, "no instance");
    sensor.delete("cse-in/sensor/log/deep/ol").await.refused(Rsc::NotFound, "no instance");
}

#[tokio::test]
async fn no_two_siblings_have_one_name() {
    let cse = TestCse::new().await;
    let sensor = cse.register("Csensor", "sensor").await;
    let first = sensor.create("Csensor", Ty::CONTAINER, r#"{"m2m:cnt":{}}"#).await.created();
    let number: i64 = first.text("rn").unwrap().trim_start_matches("cnt").parse().unwrap();
    for next in number + 20..number + 60 {
        sensor.container("Csensor", &format!("cnt{next}")).await.created();
    }
    let unnamed = sensor.create("Csensor", Ty::CONTAINER, r#"{"m2m:cnt":{}}"#).await.created();
    assert_ne!(unnamed.text("rn"), unnamed.text("ri"), "another has that name");
    // Names that instances will be given.
    sensor.container("Csensor", "log").await.created();
    let name = format!("cin{}", number + 1_000);
    sensor.container("Csensor/log", &name).await.refused(Rsc::BadRequest, "'rn'");
    sensor.container("Csensor", &name).await.created();
    sensor.container("Csensor/log", "cin1").await.created();
    sensor.container("Csensor/log", "cin1").await.refused(Rsc::Conflict, "cin1");
}
