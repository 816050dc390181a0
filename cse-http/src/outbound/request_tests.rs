//! What is sent, and that a receiver with our own decoder understands it.

use std::time::Duration;

use cse_core::ports::Destination;
use cse_core::primitive::{AttributeCondition, FilterUsage, ReleaseVersion, ResultContent};
use cse_core::schema::Ty;
use cse_core::time::{AbsRelTimestamp, Timestamp};
use http_body_util::BodyExt;

use super::*;
use crate::decode::decode;
use crate::options::HttpOptions;

fn outgoing(destination: &str, request: Request) -> OutgoingRequest {
    OutgoingRequest {
        destination: Destination::Url(destination.into()),
        request,
        serialization: Serialization::Json,
        timeout: Duration::from_secs(1),
        patience: cse_core::ports::Patience::default(),
        in_order: false,
    }
}

fn notification() -> Request {
    let mut request = Request::new(Operation::Notify, "Cae", "/id-in", "r1");
    request.content = Some(Map::single("m2m:sgn", Map::single("vrq", true)));
    request
}

fn encoded(destination: &str, request: Request) -> http::Request<Full<Bytes>> {
    encode(&outgoing(destination, request)).expect("can be sent")
}

#[test]
fn a_notification_goes_to_its_url_as_it_is() {
    for (destination, uri) in [
        ("http://a.example:8080/n?x=1&y=a+b", "http://a.example:8080/n?x=1&y=a+b"),
        ("http://a.example", "http://a.example/"),
        ("http://a.example/n/", "http://a.example/n/"),
        ("http://user:secret@a.example/n#part", "http://a.example/n"),
        ("http://a.example/a b?c=\"d\"", "http://a.example/a%20b?c=%22d%22"),
        ("http://[2001:db8::1]:80/n", "http://[2001:db8::1]/n"),
    ] {
        let message = encoded(destination, notification());
        assert_eq!(message.uri(), uri);
        assert_eq!(message.method(), Method::POST);
    }
}

#[test]
fn a_notification_by_way_of_a_cse_names_its_target() {
    for (point_of_access, to, uri) in [
        ("http://mn.example:8080", "/id-mn/Cae", "http://mn.example:8080/~/id-mn/Cae"),
        ("http://mn.example/in/", "/id-mn", "http://mn.example/in/~/id-mn"),
        ("http://mn.example", "//other.example/id-x/Cae", "http://mn.example/_/other.example/id-x/Cae"),
    ] {
        let mut outgoing = outgoing("", notification());
        outgoing.destination = Destination::PointOfAccess { url: point_of_access.into(), entity: "/id-mn".into() };
        outgoing.request.to = to.into();
        assert_eq!(encode(&outgoing).expect("can be sent").uri(), uri);
    }
    let mut outgoing = outgoing("", notification());
    outgoing.destination = Destination::PointOfAccess { url: "http://a.example/n".into(), entity: "Cae".into() };
    assert_eq!(encode(&outgoing).expect("can be sent").uri(), "http://a.example/n");
}

#[tokio::test]
async fn a_notification_has_its_headers_and_its_content() {
    let mut request = notification();
    request.event_category = Some(4);
    request.group_request_identifier = Some("g1".into());
    request.request_expiration = Some(AbsRelTimestamp::Relative(Duration::from_secs(5)));
    let message = encoded("http://a.example/n", request);
    for (name, value) in [
        ("x-m2m-origin", "/id-in"),
        ("x-m2m-ri", "r1"),
        ("x-m2m-rvi", "3"),
        ("x-m2m-ec", "4"),
        ("x-m2m-gid", "g1"),
        ("x-m2m-ret", "5000"),
        ("content-type", "application/json"),
        ("accept", "application/json"),
    ] {
        assert_eq!(message.headers()[name], value, "{name}");
    }
    assert_eq!(message.headers().len(), 8);
    let body = message.into_body().collect().await.expect("a body").to_bytes();
    assert_eq!(body, r#"{"m2m:sgn":{"vrq":true}}"#);
}

#[test]
fn a_notification_is_written_as_its_receiver_wants() {
    for (serialization, media_type) in
        [(Serialization::Cbor, "application/cbor"), (Serialization::Xml, "application/xml")]
    {
        let outgoing = OutgoingRequest { serialization, ..outgoing("http://a.example/n", notification()) };
        let message = encode(&outgoing).expect("can be sent");
        assert!(["content-type", "accept"].iter().all(|name| message.headers()[*name] == media_type), "{message:?}");
    }
}

#[test]
fn what_cannot_be_sent_is_unsupported() {
    for destination in ["http://", "http://a b/", "nonsense"] {
        let refused = encode(&outgoing(destination, notification()));
        assert!(matches!(refused, Err(SendError::Unsupported(_))), "{destination}");
    }
    let mut mqtt = outgoing("", notification());
    mqtt.destination = Destination::MqttEntity("Cae".into());
    assert!(matches!(encode(&mqtt), Err(SendError::Unsupported(_))));
}

#[test]
fn a_point_of_access_is_a_prefix() {
    for (point_of_access, to, url) in [
        ("http://a.example", "cse/x", "http://a.example/cse/x"),
        ("http://a.example/", "/id-mn/cse/x", "http://a.example/~/id-mn/cse/x"),
        ("http://a.example:8080/m2m/", "//sp.example/id-mn", "http://a.example:8080/m2m/_/sp.example/id-mn"),
        ("http://a.example/m2m?x=1", "x y", "http://a.example/m2m/x%20y"),
    ] {
        assert_eq!(target_url(point_of_access, to), url);
    }
}

/// A request with everything that HTTP can carry.
fn full(operation: Operation) -> Request {
    let mut request = Request::new(operation, "/id-mn/cse-mn/a", "/id-in/Cae", "r 1");
    request.release_version = Some(ReleaseVersion::R4);
    request.originating_timestamp = Timestamp::parse("20260102T030405,000006");
    request.request_expiration = Some(AbsRelTimestamp::Relative(Duration::from_secs(5)));
    request.result_expiration = Timestamp::parse("20260102T030406").map(AbsRelTimestamp::Absolute);
    request.operation_execution_time = Timestamp::parse("20260102T030404").map(AbsRelTimestamp::Absolute);
    request.response_type = ResponseType::NonBlockingAsynch;
    request.notification_uris = Some(vec!["http://a.example/n".into(), "/id-in/Cae".into()]);
    request.result_persistence = Some(AbsRelTimestamp::Relative(Duration::from_secs(60)));
    request.result_content = Some(ResultContent::Attributes);
    request.event_category = Some(100);
    request.group_request_identifier = Some("g1".into());
    request.vendor_information = Some("caf\u{e9}".into());
    request.passive.push("msu", "user");
    request.passive.push("omr", "map");
    request.passive.push("tkns", Value::text_list(["a.b.c", "d.e.f"]));
    request.passive.push("aus", Value::text_list(["aa", "bb"]));
    request.passive.push("da", true);
    request.passive.push("rids", Value::text_list(["role@issuer.example"]));
    request
}

async fn at_receiver(request: &Request) -> Request {
    let message = encoded("http://b.example/m2m", request.clone());
    let (parts, body) = message.into_parts();
    let body = body.collect().await.expect("a body").to_bytes();
    let mut options = HttpOptions::new(|name| ["con", "rn"].contains(&name));
    options.root_path = crate::RootPath::parse("/m2m").expect("a path");
    match decode(&parts, &body, None, &options) {
        Ok(decoded) => decoded.request,
        Err(refusal) => panic!("{refusal:?}"),
    }
}

#[tokio::test]
async fn a_receiver_finds_what_was_sent() {
    let content = || Some(Map::single("m2m:cnt", Map::single("lbl", Value::text_list(["a"]))));
    let mut create = full(Operation::Create);
    create.resource_type = Some(Ty::CONTAINER);
    create.content = content();
    let mut update = full(Operation::Update);
    update.content = content();
    let mut retrieve = full(Operation::Retrieve);
    retrieve.content = Some(Map::single("m2m:atrl", Value::text_list(["ri", "lbl"])));
    retrieve.unstructured_addresses = true;
    let mut discover = full(Operation::Retrieve);
    discover.filter_criteria = Some(Box::new(FilterCriteria {
        usage: FilterUsage::Discovery,
        created_before: Timestamp::parse("20260102T030405"),
        labels: vec!["a+b".into(), "c&d=e".into()],
        resource_type: vec![Ty::CONTAINER, Ty::AE],
        limit: Some(5),
        attribute: vec![
            AttributeCondition { name: "con".into(), value: "1 +2*".into() },
            AttributeCondition { name: "con".into(), value: "\u{e9}".into() },
        ],
        child_attribute: vec![AttributeCondition { name: "rn".into(), value: "x".into() }],
        ..FilterCriteria::default()
    }));
    for request in [create, update, retrieve, discover, full(Operation::Delete)] {
        assert_eq!(at_receiver(&request).await.to_map(), request.to_map(), "{}", request.operation);
    }
}
