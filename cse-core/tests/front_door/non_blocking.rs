//! Non-blocking requests: accepted at once, carried out once, with the result in a `<request>` (TS-0001 §8.2.2).

use std::sync::Arc;
use std::time::Duration;

use cse_core::codec::{Root, Serialization};
use cse_core::error::Rsc;
use cse_core::primitive::{Binding, Operation, Redelivery, Request, ResponseType};
use cse_core::schema::Ty;
use cse_core::time::{AbsRelTimestamp, Timestamp};
use cse_core::value::{Map, Value};

use crate::harness::{Actor, Answer, Play, TestCse, inner, json};

const SYNCH: ResponseType = ResponseType::NonBlockingSynch;
pub(crate) const ASYNCH: ResponseType = ResponseType::NonBlockingAsynch;
const PENDING: Option<i64> = Some(3);

/// A CSE with a container of a sensor.
pub(crate) async fn with_log() -> (Arc<TestCse>, Actor) {
    with_log_and(|_| {}).await
}

async fn with_log_and(change: impl FnOnce(&mut cse_core::settings::Settings)) -> (Arc<TestCse>, Actor) {
    let cse = TestCse::with(change).await;
    let sensor = cse.register("Csensor", "sensor").await;
    sensor.container("cse-in/sensor", "log").await.created();
    (cse, sensor)
}

/// A request to store a value.
pub(crate) fn store(from: &str, value: &str) -> Request {
    let mut request = Request::new(Operation::Create, "cse-in/sensor/log", from, format!("store-{}", &value[..1]));
    request.resource_type = Some(Ty::CONTENT_INSTANCE);
    request.content = Some(json(&format!(r#"{{"m2m:cin":{{"con":"{value}"}}}}"#)));
    request.response_type = SYNCH;
    request.release_version = cse_core::primitive::ReleaseVersion::parse("3");
    request
}

/// Sends a request and returns the address of the `<request>` that was made of it.
#[track_caller]
pub(crate) fn accepted(answer: &cse_core::primitive::Response) -> String {
    let text = answer.debug_text().unwrap_or_default();
    let accepted = [Rsc::AcceptedNonBlockingSynch, Rsc::AcceptedNonBlockingAsynch];
    assert!(accepted.contains(&answer.status), "{} {text}", answer.status);
    answer.content.as_ref().unwrap().text("m2m:uri").unwrap().to_owned()
}

pub(crate) async fn accept(cse: &TestCse, request: Request) -> String {
    accepted(&cse.send(request).await)
}

/// Waits until a `<request>` has its result, and returns its attributes.
pub(crate) async fn result(actor: &Actor, uri: &str) -> Map {
    actor.cse.until(async || actor.retrieve(uri).await.resource().int("rs") != PENDING).await;
    actor.retrieve(uri).await.resource()
}

pub(crate) fn map<'a>(map: &'a Map, name: &str) -> &'a Map {
    map.get(name).and_then(Value::as_map).unwrap_or_else(|| panic!("no object {name} in {map:?}"))
}

pub(crate) async fn count(sensor: &Actor) -> Option<i64> {
    sensor.retrieve("cse-in/sensor/log").await.resource().int("cni")
}

fn seconds(seconds: u64) -> AbsRelTimestamp {
    AbsRelTimestamp::Relative(Duration::from_secs(seconds))
}

/// A CSE in which nothing is carried out until the execution time of a request.
pub(crate) fn later(mut request: Request) -> Request {
    request.operation_execution_time = Some(seconds(60));
    request
}

#[tokio::test]
async fn the_request_is_answered_at_once_and_its_result_can_be_polled() {
    let (cse, sensor) = with_log().await;
    let answer = cse.send(later(store("Csensor", "7"))).await;
    assert_eq!((answer.status, answer.request_identifier.as_str()), (Rsc::AcceptedNonBlockingSynch, "store-7"));
    let uri = accepted(&answer);
    assert!(uri.starts_with("/id-in/req"), "{uri}");

    let waiting = sensor.retrieve(&uri).await.resource();
    assert_eq!((waiting.int("ty"), waiting.int("op"), waiting.int("rs")), (Some(17), Some(1), PENDING));
    assert_eq!((waiting.text("tg"), waiting.text("org")), (Some("cse-in/sensor/log"), Some("Csensor")));
    assert_eq!((waiting.text("rid"), waiting.text("pi")), (Some("store-7"), Some("id-in")));
    assert_eq!(waiting.texts("lbl").collect::<Vec<_>>(), ["Csensor"]);
    assert_eq!(map(&waiting, "ors"), &json(r#"{"rsc":1000,"rqi":"store-7"}"#));
    assert_eq!(map(&waiting, "pc"), &json(r#"{"m2m:cin":{"con":"7"}}"#));
    let meta = map(&waiting, "mi");
    assert_eq!((meta.int("ty"), meta.text("oet")), (Some(4), Some("20260101T120100,000000")));
    assert_eq!(map(meta, "rt").int("rtv"), Some(1));
    assert!(waiting.iter().all(|(name, _)| !name.starts_with('@')), "{waiting:?}");
    assert_eq!(count(&sensor).await, Some(0));

    cse.pass(Duration::from_secs(60)).await;
    let done = result(&sensor, &uri).await;
    assert_eq!(done.int("rs"), Some(1));
    let ors = map(&done, "ors");
    assert_eq!((ors.int("rsc"), ors.text("rqi")), (Some(2001), Some("store-7")));
    assert_eq!(map(map(ors, "pc"), "m2m:cin").text("con"), Some("7"));
    assert_eq!(count(&sensor).await, Some(1));
}

#[tokio::test]
async fn a_read_a_discovery_and_a_refusal_are_results_too() {
    let (cse, sensor) = with_log().await;
    sensor.instance("cse-in/sensor/log", "5").await.created();
    let answer = sensor.primitive(r#"{"op":2,"to":"cse-in/sensor/log/la","rt":{"rtv":1}}"#).await;
    let done = result(&sensor, &accepted(&answer.0)).await;
    assert_eq!((done.int("rs"), map(&done, "ors").int("rsc")), (Some(1), Some(2000)));
    assert_eq!(map(map(map(&done, "ors"), "pc"), "m2m:cin").text("con"), Some("5"));

    let found = sensor.primitive(r#"{"op":2,"to":"cse-in","rt":{"rtv":1},"fc":{"fu":1,"ty":[3]}}"#).await;
    let done = result(&sensor, &accepted(&found.0)).await;
    let list: Vec<_> = map(map(&done, "ors"), "pc").texts("m2m:uril").map(str::to_owned).collect();
    assert_eq!(list, ["cse-in/sensor/log"]);
    assert_eq!(map(map(&done, "mi"), "fc").int("fu"), Some(1));

    for (members, status) in [
        (r#"{"op":2,"to":"cse-in/sensor/nothing","rt":{"rtv":1}}"#, 4004),
        (r#"{"op":3,"to":"cse-in/sensor/log","rt":{"rtv":1},"pc":{"m2m:cnt":{"cni":1}}}"#, 4000),
        (r#"{"op":4,"to":"cse-in","rt":{"rtv":1}}"#, 4103),
    ] {
        let uri = accepted(&sensor.primitive(members).await.0);
        let done = result(&sensor, &uri).await;
        assert_eq!((done.int("rs"), map(&done, "ors").int("rsc")), (Some(2), Some(status)), "{members}");
        assert!(map(map(&done, "ors"), "pc").contains("m2m:dbg"), "{done:?}");
    }
    assert_eq!(cse.network.count(), 0);
}

#[tokio::test]
async fn changes_of_all_kinds_are_carried_out() {
    let (_cse, sensor) = with_log().await;
    let update = r#"{"op":3,"to":"cse-in/sensor/log","rt":{"rtv":1},"pc":{"m2m:cnt":{"lbl":["a"]}}}"#;
    let done = result(&sensor, &accepted(&sensor.primitive(update).await.0)).await;
    assert_eq!(map(&done, "ors").int("rsc"), Some(2004));
    assert_eq!(sensor.retrieve("cse-in/sensor/log").await.resource().int("st"), Some(1));
    let delete = r#"{"op":4,"to":"cse-in/sensor/log","rt":{"rtv":1}}"#;
    let done = result(&sensor, &accepted(&sensor.primitive(delete).await.0)).await;
    assert_eq!(map(&done, "ors").int("rsc"), Some(2002));
    sensor.retrieve("cse-in/sensor/log").await.refused(Rsc::NotFound, "log");
}

#[tokio::test]
async fn the_result_is_sent_to_the_originator() {
    let (cse, sensor) = with_log().await;
    let mut request = store("Csensor", "7");
    request.response_type = ASYNCH;
    let answer = cse.send(request).await;
    assert_eq!(answer.status, Rsc::AcceptedNonBlockingAsynch);
    let uri = accepted(&answer);
    let sent = cse.network.sent(1).await;
    let (destination, notify) = &sent[0];
    assert_eq!((destination.as_str(), notify.operation), ("Csensor", Operation::Notify));
    assert_eq!(notify.from.as_deref(), Some("/id-in"));
    let rsp = map(notify.content.as_ref().unwrap(), "m2m:rsp");
    assert_eq!((rsp.int("rsc"), rsp.text("rqi"), rsp.text("rvi")), (Some(2001), Some("store-7"), Some("3")));
    assert_eq!(map(map(rsp, "pc"), "m2m:cin").text("con"), Some("7"));
    assert_eq!(result(&sensor, &uri).await.int("rs"), Some(1));
    assert_eq!(cse.network.count(), 1);
}

#[tokio::test]
async fn the_result_is_sent_to_those_that_the_request_names() {
    let (cse, sensor) = with_log().await;
    let create = |nu: &str| {
        format!(
            r#"{{"op":1,"to":"cse-in/sensor/log","ty":4,"rt":{{"rtv":2,"nu":[{nu}]}},"pc":{{"m2m:cin":{{"con":"1"}}}}}}"#
        )
    };
    accepted(&sensor.primitive(&create(r#""http://127.0.0.1:9/a","Csensor""#)).await.0);
    let mut sent: Vec<String> =
        cse.network.sent(2).await.iter().map(|(destination, _)| destination.as_str().to_owned()).collect();
    sent.sort();
    assert_eq!(sent, ["Csensor", "http://127.0.0.1:9/a"]);
    cse.network.clear();

    // An empty list: nobody. What comes after it is there, so nothing came before.
    let uri = accepted(&sensor.primitive(&create("")).await.0);
    assert_eq!(result(&sensor, &uri).await.int("rs"), Some(1));
    accepted(&sensor.primitive(&create(r#""http://127.0.0.1:9/last""#)).await.0);
    let sent = cse.network.sent(1).await;
    assert_eq!((sent.len(), sent[0].0.as_str()), (1, "http://127.0.0.1:9/last"));
}

#[tokio::test]
async fn a_result_is_sent_until_it_arrives_but_not_beyond_its_time() {
    let (cse, sensor) = with_log().await;
    cse.network.cut("http://127.0.0.1:9/");
    let create = |rset: &str| {
        let rt = r#""rt":{"rtv":2,"nu":["http://127.0.0.1:9/a"]}"#;
        format!(r#"{{"op":1,"to":"cse-in/sensor/log","ty":4,{rt},{rset}"pc":{{"m2m:cin":{{"con":"1"}}}}}}"#)
    };
    let short = accepted(&sensor.primitive(&create(r#""rset":"30000","#)).await.0);
    let long = accepted(&sensor.primitive(&create("")).await.0);
    assert_eq!(result(&sensor, &short).await.int("rs"), Some(1));
    assert_eq!(result(&sensor, &long).await.int("rs"), Some(1));
    cse.until(async || !cse.network.tried().is_empty()).await;
    cse.pass(Duration::from_secs(60)).await;
    cse.network.mend();
    cse.until(async || cse.network.count() > 0).await;
    let given_up = || cse.cse.metrics().notifications_given_up.get();
    cse.until(async || given_up() == 1).await;
    let sent = cse.network.sent(1).await;
    assert_eq!(sent.len(), 1);
    assert!(!map(sent[0].1.content.as_ref().unwrap(), "m2m:rsp").contains("rset"));
    sensor.retrieve(&short).await.refused(Rsc::NotFound, "req");
}

#[tokio::test]
async fn flex_blocking_and_no_response_are_carried_out_before_the_answer() {
    let (cse, sensor) = with_log().await;
    for response_type in [ResponseType::FlexBlocking, ResponseType::NoResponse] {
        let mut request = store("Csensor", "1");
        request.response_type = response_type;
        Answer(cse.send(request).await).created();
    }
    assert_eq!(count(&sensor).await, Some(2));
    assert_eq!(cse.cse.non_blocking_requests(), 0);
}

#[tokio::test]
async fn what_cannot_be_accepted_is_refused_at_once() {
    let (cse, sensor) = with_log().await;
    let uri = accept(&cse, later(store("Csensor", "1"))).await;
    let on_request = |op: u8| format!(r#"{{"op":{op},"to":"{uri}","rt":{{"rtv":1}}}}"#);
    for rt in [r#"{"rtv":1}"#, r#"{"rtv":2}"#] {
        for op in [2, 4] {
            let members = format!(r#"{{"op":{op},"to":"{uri}","rt":{rt}}}"#);
            sensor.primitive(&members).await.refused(Rsc::BadRequest, "blocking");
        }
    }
    sensor.primitive(&on_request(2).replace("\"rtv\":1", "\"rtv\":4")).await.resource();
    let named = r#"{"op":2,"to":"cse-in","rt":{"rtv":1,"nu":["http://127.0.0.1:9/"]}}"#;
    sensor.primitive(named).await.refused(Rsc::BadRequest, "rt/nu");
    let many = vec!["\"Csensor\""; 101].join(",");
    let many = format!(r#"{{"op":2,"to":"cse-in","rt":{{"rtv":2,"nu":[{many}]}}}}"#);
    sensor.primitive(&many).await.refused(Rsc::BadRequest, "100");
    let registers = r#"{"op":1,"to":"cse-in","ty":2,"rt":{"rtv":1},"pc":{"m2m:ae":{"api":"N","rr":true}}}"#;
    cse.originator("Cnew").primitive(registers).await.refused(Rsc::BadRequest, "registration");
    let stranger = cse.originator("Cstranger").primitive(r#"{"op":2,"to":"cse-in","rt":{"rtv":1}}"#).await;
    stranger.refused(Rsc::OriginatorNotAuthenticated, "Cstranger");
    for (members, status, hint) in [
        (r#""oet":"5000","rqet":"1000""#, Rsc::BadRequest, "oet"),
        (r#""oet":"5000","rset":"1000""#, Rsc::BadRequest, "oet"),
        (r#""rqet":"5000","rset":"1000""#, Rsc::BadRequest, "rset"),
        (r#""rp":"20200101T000000""#, Rsc::BadRequest, "rp"),
        (r#""rqet":"20200101T000000""#, Rsc::RequestTimeout, "rqet"),
        (r#""oet":"20360101T000000""#, Rsc::NotImplemented, "execution time"),
    ] {
        let members = format!(r#"{{"op":2,"to":"cse-in","rt":{{"rtv":1}},{members}}}"#);
        sensor.primitive(&members).await.refused(status, hint);
    }
    assert_eq!(cse.cse.non_blocking_requests(), 1);
}

#[tokio::test]
async fn a_request_resource_is_the_originators_and_nobody_makes_or_changes_it() {
    let (cse, sensor) = with_log().await;
    let other = cse.register("Cother", "other").await;
    let uri = accept(&cse, later(store("Csensor", "1"))).await;
    let create = r#"{"m2m:req":{"op":1}}"#;
    cse.admin().create("cse-in", Ty::REQUEST, create).await.refused(Rsc::OperationNotAllowed, "request");
    for content in [r#"{"m2m:req":{"cstn":"Cother"}}"#, r#"{"m2m:req":{"lbl":["a"]}}"#] {
        sensor.update(&uri, content).await.refused(Rsc::OperationNotAllowed, "request");
    }
    other.retrieve(&uri).await.refused(Rsc::OriginatorHasNoPrivilege, "Cother");
    other.delete(&uri).await.refused(Rsc::OriginatorHasNoPrivilege, "Cother");
    assert_eq!(cse.admin().retrieve(&uri).await.resource().int("rs"), PENDING);
    let base = cse.admin().retrieve("cse-in").await.resource();
    let types: Vec<_> = base.get("srt").unwrap().as_list().unwrap().iter().filter_map(Value::as_int).collect();
    assert!(types.contains(&17), "{types:?}");
}

#[tokio::test]
async fn to_delete_a_pending_one_recalls_it() {
    let (cse, sensor) = with_log().await;
    let uri = accept(&cse, later(store("Csensor", "1"))).await;
    sensor.delete(&uri).await.deleted();
    assert_eq!(cse.cse.non_blocking_requests(), 0);
    let next = accept(&cse, later(store("Csensor", "2"))).await;
    cse.pass(Duration::from_secs(60)).await;
    assert_eq!(result(&sensor, &next).await.int("rs"), Some(1));
    assert_eq!(count(&sensor).await, Some(1));
    // What is done can be cleared away.
    sensor.delete(&next).await.deleted();
    assert_eq!(cse.cse.non_blocking_requests(), 0);
}

#[tokio::test]
async fn what_has_left_the_cse_cannot_be_recalled() {
    let (cse, sensor) = with_log().await;
    cse.register("Clamp", "lamp").await;
    let all = r#"{"m2m:acp":{"rn":"all","pv":{"acr":[{"acor":["all"],"acop":63}]},"pvs":{"acr":[{"acor":["CAdmin"],"acop":63}]}}}"#;
    cse.admin().create("cse-in", Ty::ACCESS_CONTROL_POLICY, all).await.created();
    cse.admin().update("cse-in/lamp", r#"{"m2m:ae":{"acpi":["cse-in/all"]}}"#).await.updated();
    cse.network.play([Play::Hang]);
    let notify = r#"{"op":5,"to":"cse-in/lamp","rt":{"rtv":1},"pc":{"m2m:sgn":{"vrq":true}}}"#;
    let uri = accepted(&sensor.primitive(notify).await.0);
    cse.network.sent(1).await;
    sensor.delete(&uri).await.refused(Rsc::UnableToRecallRequest, "recalled");
    assert_eq!(sensor.retrieve(&uri).await.resource().int("rs"), PENDING);
    // Whether it arrived before a crash cannot be known, so it is sent again.
    cse.cse.stop();
    let again = TestCse::on(cse.store.clone(), TestCse::settings(), Arc::clone(&cse.clock)).await;
    let sensor = again.originator("Csensor");
    let done = result(&sensor, &uri).await;
    assert_eq!((done.int("rs"), map(&done, "ors").int("rsc")), (Some(1), Some(2000)));
    assert_eq!(again.network.count(), 1);
    sensor.delete(&uri).await.deleted();
}

#[tokio::test]
async fn an_unreachable_target_is_tried_until_the_request_expires() {
    let (cse, _sensor) = with_log().await;
    cse.network.cut("Csensor");
    let admin = cse.admin();
    let notify = |rqet: &str| {
        format!(r#"{{"op":5,"to":"cse-in/sensor","rt":{{"rtv":1}},{rqet}"pc":{{"m2m:sgn":{{"vrq":true}}}}}}"#)
    };
    let given_up = accepted(&admin.primitive(&notify(r#""rqet":"5000","#)).await.0);
    let done = result(&admin, &given_up).await;
    assert!(cse.network.tried().len() > 1);
    assert_eq!((done.int("rs"), map(&done, "ors").int("rsc")), (Some(2), Some(4008)));
    let patient = accepted(&admin.primitive(&notify("")).await.0);
    let before = cse.network.tried().len();
    cse.until(async || cse.network.tried().len() > before).await;
    assert_eq!(admin.retrieve(&patient).await.resource().int("rs"), PENDING);
    cse.network.mend();
    let done = result(&admin, &patient).await;
    assert_eq!((done.int("rs"), map(&done, "ors").int("rsc")), (Some(1), Some(2000)));
    assert_eq!(cse.network.count(), 1);
}

#[tokio::test]
async fn a_redelivery_gets_the_same_address_and_has_no_effect() {
    let (cse, sensor) = with_log().await;
    let send = async |redelivery| {
        let mut request = store("Csensor", "1");
        request.context.redelivery = redelivery;
        accept(&cse, request).await
    };
    let first = send(Redelivery::New).await;
    assert_eq!(send(Redelivery::Possible).await, first);
    assert_eq!(result(&sensor, &first).await.int("rs"), Some(1));
    assert_eq!(send(Redelivery::Possible).await, first);
    assert_eq!(count(&sensor).await, Some(1));
    let second = send(Redelivery::New).await;
    assert_ne!(second, first);
    assert_eq!(result(&sensor, &second).await.int("rs"), Some(1));
    assert_eq!(count(&sensor).await, Some(2));
}

#[tokio::test]
async fn results_go_to_entities_here_only_if_the_originator_may_notify_them() {
    let (cse, sensor) = with_log().await;
    let lamp = cse.register("Clamp", "lamp").await;
    let ask = r#"{"op":2,"to":"cse-in/sensor/log","rt":{"rtv":2,"nu":["Clamp"]}}"#;
    for ask in [ask.to_owned(), ask.replace("\"Clamp\"", "\"cse-in/lamp\""), ask.replace("Clamp", "/id-in/Clamp")] {
        sensor.primitive(&ask).await.refused(Rsc::OriginatorHasNoPrivilege, "NOTIFY");
    }
    assert_eq!(cse.cse.non_blocking_requests(), 0);
    let policy = r#"{"m2m:acp":{"rn":"p","pv":{"acr":[{"acor":["Csensor"],"acop":16},{"acor":["Clamp"],"acop":63}]},
        "pvs":{"acr":[{"acor":["CAdmin"],"acop":63}]}}}"#;
    cse.admin().create("cse-in", Ty::ACCESS_CONTROL_POLICY, policy).await.created();
    lamp.update("cse-in/lamp", r#"{"m2m:ae":{"acpi":["cse-in/p"]}}"#).await.updated();
    accepted(&sensor.primitive(ask).await.0);
    assert_eq!(cse.network.sent(1).await[0].0.as_str(), "Clamp");
}

#[tokio::test]
async fn a_subscription_tells_of_the_result() {
    let (cse, sensor) = with_log().await;
    let uri = accept(&cse, later(store("Csensor", "1"))).await;
    sensor.create(&uri, Ty::SUBSCRIPTION, r#"{"m2m:sub":{"rn":"s","nu":["Csensor"]}}"#).await.created();
    cse.pass(Duration::from_secs(60)).await;
    let sent = cse.network.sent(1).await;
    let sgn = map(sent[0].1.content.as_ref().unwrap(), "m2m:sgn");
    let told = map(map(map(sgn, "nev"), "rep"), "m2m:req");
    assert_eq!((told.int("rs"), map(told, "ors").int("rsc")), (Some(1), Some(2001)));
    assert!(told.iter().all(|(name, _)| !name.starts_with('@')), "{told:?}");
}

#[tokio::test]
async fn a_result_is_kept_as_long_as_the_request_says() {
    let (cse, sensor) = with_log().await;
    let expires = async |uri: &str| {
        let resource = sensor.retrieve(uri).await.resource();
        Timestamp::parse(resource.text("et").unwrap())
            .unwrap()
            .since(Timestamp::parse(resource.text("ct").unwrap()).unwrap())
    };
    let hour = Duration::from_secs(3_600);
    let with = |persistence, result_expiration| {
        let mut request = later(store("Csensor", "1"));
        (request.result_persistence, request.result_expiration) = (persistence, result_expiration);
        request
    };
    let minute = Duration::from_secs(60);
    for (request, longest) in [
        (with(None, None), minute + 2 * hour),
        (with(Some(seconds(30)), None), minute + hour + Duration::from_secs(30)),
        (with(None, Some(seconds(90))), Duration::from_secs(90)),
        (with(Some(seconds(86_400 * 365)), None), Duration::from_secs(7 * 86_400)),
    ] {
        let uri = accept(&cse, request).await;
        assert_eq!(expires(&uri).await, longest);
    }
    let uri = accept(&cse, with(Some(seconds(30)), None)).await;
    cse.pass(minute).await;
    result(&sensor, &uri).await;
    let kept = expires(&uri).await;
    assert!(kept >= Duration::from_secs(90) && kept < Duration::from_secs(120), "{kept:?}");
    cse.pass(Duration::from_secs(30)).await;
    sensor.retrieve(&uri).await.refused(Rsc::NotFound, "req");
    cse.pass(3 * hour).await;
    cse.until(async || cse.cse.non_blocking_requests() == 1).await;
}

#[tokio::test]
async fn the_number_of_requests_is_bounded() {
    let (cse, sensor) = with_log_and(|settings| {
        settings.non_blocking_per_originator_max = 3;
        settings.non_blocking_max = 5;
    })
    .await;
    let other = cse.register("Cother", "other").await;
    cse.register("Cthird", "third").await;
    let all: Vec<_> = (0..5).map(|value| cse.send(later(store("Csensor", &value.to_string())))).collect();
    let answers = futures_util::future::join_all(all).await;
    let uris: Vec<_> = answers.iter().filter(|answer| answer.is_success()).map(accepted).collect();
    assert_eq!(uris.len(), 3, "also when they come at once");
    Answer(cse.send(later(store("Csensor", "9"))).await).refused(Rsc::NotAcceptable, "'Csensor' has 3");
    let second = accept(&cse, later(store("Cother", "1"))).await;
    accept(&cse, later(store("Cother", "2"))).await;
    Answer(cse.send(later(store("Cthird", "1"))).await).refused(Rsc::NotAcceptable, "as many");
    other.delete(&second).await.deleted();
    accept(&cse, later(store("Cthird", "1"))).await;
    sensor.delete(&uris[0]).await.deleted();
    accept(&cse, later(store("Csensor", "8"))).await;
}

#[tokio::test]
async fn the_bytes_of_requests_and_results_are_bounded() {
    let (cse, sensor) = with_log_and(|settings| {
        settings.non_blocking_bytes_max = 20_000;
        settings.non_blocking_result_bytes_max = 4_000;
    })
    .await;
    let large = "x".repeat(6_000);
    let created = result(&sensor, &accept(&cse, store("Csensor", &large)).await).await;
    assert_eq!((created.int("rs"), map(&created, "ors").int("rsc")), (Some(1), Some(2001)));
    assert!(!map(&created, "ors").contains("pc"));
    let read = sensor.primitive(r#"{"op":2,"to":"cse-in/sensor/log/la","rt":{"rtv":1}}"#).await;
    let read = result(&sensor, &accepted(&read.0)).await;
    assert_eq!((read.int("rs"), map(&read, "ors").int("rsc")), (Some(2), Some(5207)));
    accept(&cse, later(store("Csensor", &large))).await;
    accept(&cse, later(store("Csensor", &large))).await;
    Answer(cse.send(later(store("Csensor", "1"))).await).refused(Rsc::NotAcceptable, "as many");
}

#[tokio::test]
async fn more_are_accepted_than_are_carried_out_at_once() {
    let (cse, sensor) = with_log_and(|settings| settings.non_blocking_width = 2).await;
    let all: Vec<_> = (0..50).map(|value| cse.send(store("Csensor", &value.to_string()))).collect();
    let uris: Vec<_> = futures_util::future::join_all(all).await.iter().map(accepted).collect();
    for uri in &uris {
        assert_eq!(result(&sensor, uri).await.int("rs"), Some(1));
    }
    assert_eq!(count(&sensor).await, Some(50));
}

#[tokio::test]
async fn rights_are_those_of_the_peer_that_asked() {
    let (cse, sensor) = with_log().await;
    let policy = r#"{"m2m:acp":{"rn":"p","pv":{"acr":[
        {"acor":["Csensor"],"acop":63,"acaf":true},
        {"acor":["Csensor"],"acop":63,"acco":[{"acip":{"ipv4":["10.0.0.7"]}}]}
        ]},"pvs":{"acr":[{"acor":["CAdmin"],"acop":63}]}}}"#;
    cse.admin().create("cse-in", Ty::ACCESS_CONTROL_POLICY, policy).await.created();
    cse.admin().update("cse-in/sensor/log", r#"{"m2m:cnt":{"acpi":["cse-in/p"]}}"#).await.updated();
    for (address, authenticated, status) in
        [(None, true, 2001), (None, false, 4103), (Some("10.0.0.7"), false, 2001), (Some("10.0.0.8"), false, 4103)]
    {
        let mut request = store("Csensor", "1");
        request.context.binding = Binding::Http;
        request.context.peer.authenticated = authenticated;
        request.context.peer.address = address.map(|address| address.parse().unwrap());
        let uri = accept(&cse, request).await;
        let done = result(&sensor, &uri).await;
        assert_eq!(map(&done, "ors").int("rsc"), Some(status), "{address:?} {authenticated}");
    }
}

#[tokio::test]
async fn all_serializations_carry_a_request_resource() {
    let (cse, sensor) = with_log().await;
    let members = r#"{"op":2,"to":"cse-in","rt":{"rtv":1},"fc":{"fu":1,"lbl":["a b"]},"rp":"60000"}"#;
    for uri in [accept(&cse, store("Csensor", "7")).await, accepted(&sensor.primitive(members).await.0)] {
        result(&sensor, &uri).await;
        let resource = sensor.retrieve(&uri).await.ok();
        for serialization in [Serialization::Json, Serialization::Xml, Serialization::Cbor] {
            let mut response = cse_core::primitive::Response::new(Rsc::Ok, "r");
            response.content = Some(resource.clone());
            let bytes = serialization.encode_primitive(Root::Response, response.into_map(), true);
            let back = serialization.decode_primitive(&bytes).unwrap().parameters;
            let back = inner(map(&back, "pc").clone());
            assert_eq!(map(&back, "ors").text("rqi"), inner(resource.clone()).text("rid"), "{serialization:?}");
            assert_eq!(
                map(&back, "ors").get("pc"),
                map(&inner(resource.clone()), "ors").get("pc"),
                "{serialization:?}"
            );
        }
    }
}
