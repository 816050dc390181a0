//! What a gateway tells its registrar when it, or what is below it, has changed.

use std::time::Duration;

use cse_core::error::Rsc;
use cse_core::id::{CseIdentity, CseType};
use cse_core::primitive::{Operation, ReleaseVersion};
use cse_core::schema::Ty;
use cse_core::value::Value;

use crate::harness::{TestCse, json};
use crate::uplink::{Gateway, SECOND};

fn texts(list: &[&str]) -> Option<Value> {
    Some(Value::text_list(list.iter().copied()))
}

#[tokio::test]
async fn other_points_of_access_are_told_at_once_and_shown() {
    let gateway = Gateway::new().await;
    gateway.registered().await;
    let admin = gateway.mn.admin();
    gateway.forget();
    let shown = || vec!["http://192.0.2.7".into()];
    gateway.mn.cse.set_points_of_access(shown(), vec!["mqtt://mn".into(), "http://192.0.2.7".into()]).await;
    gateway.soon("poa", |gateway| gateway.told("poa") == texts(&["mqtt://mn", "http://192.0.2.7"])).await;
    assert_eq!((gateway.count(Operation::Create), gateway.count(Operation::Delete)), (0, 0));
    gateway.mn.until(async || admin.retrieve("cse-mn").await.resource().texts("poa").eq(["http://192.0.2.7"])).await;

    // The same again is no news, and without any it takes no requests.
    gateway.forget();
    gateway.mn.cse.set_points_of_access(shown(), Vec::new()).await;
    gateway.soon("no poa", |gateway| gateway.told("poa").is_none()).await;
    assert_eq!((gateway.told("rr"), gateway.count(Operation::Update)), (Some(Value::Bool(false)), 1));
    gateway.mn.cse.set_points_of_access(shown(), Vec::new()).await;
    gateway.mn.cse.check_uplink();
    gateway.soon("a check", |gateway| gateway.operations().len() > 1).await;
    assert_eq!(gateway.count(Operation::Update), 1);
}

#[tokio::test]
async fn subscribers_to_the_base_hear_of_other_points_of_access() {
    let cse = TestCse::new().await;
    let content = r#"{"m2m:sub":{"nu":["http://watcher"],"enc":{"net":[1],"atr":["poa"]},"nct":1}}"#;
    cse.admin().create("cse-in", Ty::SUBSCRIPTION, content).await.created();
    for _ in 0..2 {
        cse.cse.set_points_of_access(vec!["http://192.0.2.7".into()], Vec::new()).await;
    }
    cse.cse.set_points_of_access(vec!["http://192.0.2.8".into()], Vec::new()).await;
    let sent = cse.network.sent(3).await;
    let told: Vec<String> = sent[1..].iter().map(|(_, request)| format!("{:?}", request.content)).collect();
    assert!(told[0].contains("192.0.2.7") && told[1].contains("192.0.2.8"), "each change once: {told:?}");
}

#[tokio::test]
async fn points_of_access_that_change_before_the_registration_are_those_it_begins_with() {
    let gateway = Gateway::with(|_, _| {}, |there| there.cut = vec!["mqtt:", "http:"]).await;
    gateway.soon("an attempt", |gateway| gateway.mn.cse.metrics().uplink_failures.get() == 1).await;
    gateway.mn.cse.set_points_of_access(Vec::new(), vec!["mqtt://new".into()]).await;
    gateway.registrar.there.lock().cut.clear();
    gateway.later(SECOND, Gateway::is_registered).await;
    assert_eq!(gateway.told("poa"), texts(&["mqtt://new"]));
}

#[tokio::test]
async fn from_release_4_on_a_gateway_names_its_service_provider_and_its_in_cse() {
    let gateway = Gateway::with(|_, registrar| registrar.release = ReleaseVersion::R5, |_| {}).await;
    gateway.soon("ici", |gateway| gateway.told("ici") == Some("/id-in".into())).await;
    assert_eq!(gateway.told("spi"), Some("//cse.example".into()));
    for address in ["cse-mn", "cse-mn/id-in"] {
        let admin = gateway.mn.admin();
        gateway.mn.until(async || admin.retrieve(address).await.resource().text("ici") == Some("/id-in")).await;
    }
    let gateway = Gateway::new().await;
    gateway.registered().await;
    assert_eq!((gateway.told("ici"), gateway.told("spi")), (None, None), "release 3 does not know them");
}

#[tokio::test]
async fn between_service_providers_the_in_cse_is_named_absolutely() {
    let gateway = Gateway::with(
        |settings, registrar| {
            settings.identity = CseIdentity::new("//cse.example", "/id-in", "cse-in", CseType::In).expect("valid");
            registrar.cse_id = "//other.example/id-up".into();
            registrar.release = ReleaseVersion::R4;
        },
        |_| {},
    )
    .await;
    gateway.soon("ici", |gateway| gateway.told("ici") == Some("//cse.example/id-in".into())).await;
    assert_eq!(gateway.mn.admin().retrieve("cse-in/id-up").await.resource().text("ici"), None, "that is not its");
}

#[tokio::test]
async fn the_end_of_a_registration_below_is_told_upwards() {
    let gateway = Gateway::with(|_, registrar| registrar.lifetime = Duration::from_secs(86_400), |_| {}).await;
    gateway.registered().await;
    let content = r#"{"m2m:csr":{"cb":"/id-b/base","rr":true,"srv":["3"],"et":"20260101T120100","dcse":["/id-c"]}}"#;
    gateway.mn.originator("/id-b").create("cse-mn", Ty::REMOTE_CSE, content).await.created();
    gateway.soon("dcse", |gateway| gateway.told("dcse") == texts(&["/id-b", "/id-c"])).await;
    gateway.later(SECOND * 5, |gateway| gateway.told("dcse").is_none()).await;
    gateway.mn.admin().retrieve("cse-mn/id-b").await.refused(Rsc::NotFound, "id-b");
    assert_eq!(gateway.count(Operation::Create), 1);
}

#[tokio::test]
async fn a_registration_with_another_base_is_replaced() {
    for (base, is_replaced) in [
        ("/id-mn/old", true),
        ("//cse.example/id-mn/cse-mn", false),
        ("/id-mn", false),
        ("elsewhere", true),
        ("/id-mn/cse-mn", false),
    ] {
        let earlier = format!(r#"{{"rn":"id-mn","csi":"/id-mn","cb":"{base}","poa":["http://old"]}}"#);
        let gateway = Gateway::with(|_, _| {}, |there| there.csr = Some(json(&earlier))).await;
        gateway.registered().await;
        assert_eq!(gateway.count(Operation::Delete), usize::from(is_replaced), "{base}: {:?}", gateway.operations());
        assert_eq!(gateway.told("cb"), Some(if is_replaced { "/id-mn/cse-mn".into() } else { base.into() }));
        assert_eq!(gateway.told("poa"), texts(&["mqtt://mn", "http://mn"]));
    }
}
