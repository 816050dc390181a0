//! Release versions and what requests say about time and about how to answer (TS-0004 §7.3.2).

use std::sync::Arc;
use std::time::Duration;

use cse_core::error::Rsc;

use crate::harness::{Actor, TestCse};

async fn sensor() -> (Arc<TestCse>, Actor) {
    let cse = TestCse::new().await;
    let sensor = cse.register("Csensor", "sensor").await;
    (cse, sensor)
}

fn read(members: &str) -> String {
    format!(r#"{{"op":2,"to":"Csensor"{members}}}"#)
}

#[tokio::test]
async fn releases_that_are_spoken() {
    let (_cse, sensor) = sensor().await;
    for release in [r#""1""#, r#""2""#, r#""2a""#, r#""3""#, r#""4""#, r#""5""#, "3", "null"] {
        let answer = sensor.primitive(&read(&format!(r#","rvi":{release}"#))).await;
        let echoed = answer.0.release_version.map(|release| release.as_str());
        let expected = release.trim_matches('"');
        assert_eq!(echoed, Some(expected).filter(|release| *release != "null"), "{release}");
        answer.resource();
    }
    for release in [r#""0""#, r#""6""#, r#""2b""#, r#"" 3""#, r#""""#] {
        let answer = sensor.primitive(&read(&format!(r#","rvi":{release}"#))).await;
        answer.refused(Rsc::ReleaseVersionNotSupported, "release version");
    }
}

/// It is noon.
#[tokio::test]
async fn expiration_and_execution_times_must_fit_together() {
    let (_cse, sensor) = sensor().await;
    for (members, expected) in [
        (r#","rqet":1000"#, Ok(())),
        (r#","rqet":"20260101T120001""#, Ok(())),
        (r#","rqet":0"#, Err(Rsc::RequestTimeout)),
        (r#","rqet":-5"#, Err(Rsc::BadRequest)),
        (r#","rqet":"20260101T120000""#, Err(Rsc::RequestTimeout)),
        (r#","rqet":"20251231T235959""#, Err(Rsc::RequestTimeout)),
        (r#","rset":1000"#, Ok(())),
        (r#","rset":"20251231T235959""#, Err(Rsc::RequestTimeout)),
        (r#","rqet":1000,"rset":2000"#, Ok(())),
        (r#","rqet":2000,"rset":1000"#, Err(Rsc::BadRequest)),
        (r#","oet":"20251231T235959""#, Ok(())),
        (r#","oet":0"#, Ok(())),
        (r#","oet":2000,"rqet":1000"#, Err(Rsc::BadRequest)),
        (r#","oet":2000,"rset":1000"#, Err(Rsc::BadRequest)),
        (r#","oet":9999999"#, Err(Rsc::NotImplemented)),
        (r#","rqet":"soon""#, Err(Rsc::BadRequest)),
        (r#","rp":1000"#, Ok(())),
    ] {
        let answer = sensor.primitive(&read(members)).await;
        match expected {
            Ok(()) => drop(answer.resource()),
            Err(status) => answer.refused(status, ""),
        }
    }
}

#[tokio::test]
async fn a_request_waits_for_its_time() {
    let (cse, sensor) = sensor().await;
    for members in [r#","oet":5000"#, r#","oet":5000,"rqet":6000"#, r#","oet":5000,"rqet":6000,"rset":7000"#] {
        let content = r#"{"m2m:cnt":{"rn":"late"}}"#;
        let request = format!(r#"{{"op":1,"to":"Csensor","ty":3,"pc":{content}{members}}}"#);
        let later = sensor.clone();
        let waiting = tokio::spawn(async move { later.primitive(&request).await });
        tokio::task::yield_now().await;
        cse.clock.turn(Duration::from_millis(4_900));
        sensor.retrieve("Csensor/late").await.refused(Rsc::NotFound, "late");
        assert!(!waiting.is_finished());
        cse.clock.turn(Duration::from_millis(200));
        waiting.await.unwrap().created();
        sensor.delete("Csensor/late").await.deleted();
    }
}

#[tokio::test]
async fn a_request_that_expires_while_it_waits_has_no_effect() {
    let (cse, sensor) = sensor().await;
    let request = r#"{"op":1,"to":"Csensor","ty":3,"pc":{"m2m:cnt":{"rn":"late"}},"oet":5000,"rqet":6000}"#;
    let later = sensor.clone();
    let waiting = tokio::spawn(async move { later.primitive(request).await });
    tokio::task::yield_now().await;
    cse.clock.turn(Duration::from_secs(7));
    waiting.await.unwrap().refused(Rsc::RequestTimeout, "expired");
    sensor.retrieve("Csensor/late").await.refused(Rsc::NotFound, "late");
}

#[tokio::test]
async fn response_types_that_are_answered() {
    let (_cse, sensor) = sensor().await;
    for (members, expected) in [
        (r#","rt":3"#, Ok(())),
        (r#","rt":{"rtv":3}"#, Ok(())),
        (r#","rt":{"nu":["Csensor"]}"#, Ok(())),
        (r#","rt":4"#, Ok(())),
        (r#","rt":{"rtv":4,"nu":["Csensor"]}"#, Ok(())),
        (r#","rt":5"#, Ok(())),
        (r#","rt":1"#, Err(Rsc::AcceptedNonBlockingSynch)),
        (r#","rt":{"rtv":1}"#, Err(Rsc::AcceptedNonBlockingSynch)),
        (r#","rt":2"#, Err(Rsc::AcceptedNonBlockingAsynch)),
        (r#","rt":{"rtv":2,"nu":["Csensor"]}"#, Err(Rsc::AcceptedNonBlockingAsynch)),
        (r#","rt":0"#, Err(Rsc::BadRequest)),
        (r#","rt":"blocking""#, Err(Rsc::BadRequest)),
    ] {
        let answer = sensor.primitive(&read(members)).await;
        match expected {
            Ok(()) => drop(answer.resource()),
            Err(status) => assert_eq!(answer.0.status, status, "{members}"),
        }
    }
}

#[tokio::test]
async fn what_the_cse_cannot_do_it_says() {
    let (_cse, sensor) = sensor().await;
    for name in ["sqi", "tqi", "asi", "auri"] {
        let wanted = sensor.primitive(&read(&format!(r#","{name}":true"#))).await;
        wanted.refused(Rsc::NotImplemented, name);
        sensor.primitive(&read(&format!(r#","{name}":false"#))).await.resource();
    }
    for accepted in [r#","ec":3"#, r#","da":true"#, r#","vsi":"x""#, r#","ot":"20260101T120000""#, r#","tids":["x"]"#] {
        sensor.primitive(&read(accepted)).await.resource();
    }
    sensor.primitive(&read(r#","zzz":1"#)).await.refused(Rsc::BadRequest, "zzz");
    sensor.primitive(r#"{"op":2,"to":"Csensor","fr":null}"#).await.refused(Rsc::BadRequest, "'fr'");
    sensor.primitive(r#"{"op":2,"to":"Csensor","fr":""}"#).await.refused(Rsc::BadRequest, "'fr'");
    sensor.primitive(r#"{"op":1,"to":"Csensor","fr":null,"ty":3,"pc":{}}"#).await.refused(Rsc::BadRequest, "'fr'");
    sensor.primitive(r#"{"op":7,"to":"Csensor"}"#).await.refused(Rsc::BadRequest, "'op'");
    sensor.primitive(r#"{"op":2}"#).await.refused(Rsc::BadRequest, "'to'");
}

#[tokio::test]
async fn what_has_expired_is_deleted() {
    let (cse, sensor) = sensor().await;
    sensor.container("Csensor", "log").await.created();
    sensor.instance("Csensor/log", "1").await.created();
    sensor.update("Csensor/log", r#"{"m2m:cnt":{"lbl":["x"]}}"#).await.updated();
    let short = r#"{"m2m:cnt":{"rn":"short","et":"20260101T120005"}}"#;
    sensor.create("Csensor", cse_core::schema::Ty::CONTAINER, short).await.created();
    sensor.instance("Csensor/short", "1").await.created();
    cse.pass(Duration::from_secs(6)).await;
    sensor.retrieve("Csensor/short").await.refused(Rsc::NotFound, "short");
    sensor.retrieve("Csensor/short/la").await.refused(Rsc::NotFound, "short");
    sensor.update("Csensor/short", r#"{"m2m:cnt":{"et":null}}"#).await.refused(Rsc::NotFound, "short");
    assert_eq!(sensor.discover("Csensor", "").await.len(), 2);
    sensor.container("Csensor", "short").await.created();
    assert_eq!(sensor.retrieve("Csensor/short").await.resource().int("cni"), Some(0));
}
