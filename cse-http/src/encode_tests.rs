//! Each header of an answer, and each form of body.

use std::time::Duration;

use cse_core::codec::Serialization;
use cse_core::error::{Error, Rsc};
use cse_core::primitive::ReleaseVersion;
use cse_core::time::{AbsRelTimestamp, Timestamp};
use cse_core::value::Map;
use http_body_util::BodyExt;

use super::*;
use crate::media::MediaType;
use crate::negotiation::Answer;

fn form() -> AnswerForm {
    AnswerForm {
        request_identifier: Some("r1".into()),
        release_version: Some(ReleaseVersion::R3),
        format: Answer { media_type: MediaType::DEFAULT, is_open: false },
        wrapped: false,
    }
}

async fn body_of(answer: http::Response<Body>) -> String {
    let bytes = answer.into_body().collect().await.expect("a body").to_bytes();
    String::from_utf8(bytes.to_vec()).expect("text")
}

#[tokio::test]
async fn each_parameter_gives_its_header() {
    let mut response = Response::new(Rsc::Created, "r1");
    response.release_version = Some(ReleaseVersion::R2a);
    response.content = Some(Map::single("m2m:cnt", Map::single("ri", "cnt1")));
    response.from = Some("/id-in".into());
    response.originating_timestamp = Timestamp::parse("20260102T030405");
    response.result_expiration = Some(AbsRelTimestamp::Relative(Duration::from_secs(5)));
    response.event_category = Some(4);
    response.content_complete = Some(false);
    response.content_offset = Some(17);
    response.vendor_information = Some("vendor".into());
    response.created_at = Some("/id-in/cse-in/cnt".into());
    let answer = encode(response, &form());
    assert_eq!(answer.status(), 201);
    for (name, value) in [
        ("x-m2m-rsc", "2001"),
        ("x-m2m-ri", "r1"),
        ("x-m2m-rvi", "2a"),
        ("x-m2m-origin", "/id-in"),
        ("x-m2m-ot", "20260102T030405,000000"),
        ("x-m2m-rst", "5000"),
        ("x-m2m-ec", "4"),
        ("x-m2m-cts", "1"),
        ("x-m2m-cto", "17"),
        ("x-m2m-vsi", "vendor"),
        ("content-location", "/id-in/cse-in/cnt"),
        ("content-type", "application/json"),
    ] {
        assert_eq!(answer.headers()[name], value, "{name}");
    }
    assert_eq!(answer.headers().len(), 12);
    assert_eq!(body_of(answer).await, r#"{"m2m:cnt":{"ri":"cnt1"}}"#);
}

#[tokio::test]
async fn without_content_there_is_no_body() {
    let answer = encode(Response::new(Rsc::Deleted, "r1"), &form());
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers().len(), 2, "{:?}", answer.headers());
    assert!(!answer.headers().contains_key(CONTENT_TYPE));
    assert_eq!(body_of(answer).await, "");
}

#[tokio::test]
async fn an_error_says_why() {
    let response = Response::error("r1", &Error::NotFound("cse/x".into()));
    let answer = encode(response, &form());
    assert_eq!(answer.status(), 404);
    assert_eq!(answer.headers()["x-m2m-rsc"], "4004");
    assert_eq!(body_of(answer).await, r#"{"m2m:dbg":"no resource at 'cse/x'"}"#);
}

#[tokio::test]
async fn the_body_may_be_the_whole_primitive() {
    let media_type = MediaType { payload: Payload::ResponsePrimitive, serialization: Serialization::Json };
    let format = Answer { media_type, is_open: false };
    let answer = encode(Response::new(Rsc::Ok, "r1"), &AnswerForm { format, ..form() });
    assert_eq!(answer.headers()[CONTENT_TYPE], "application/vnd.onem2m-prsp+json");
    assert_eq!(body_of(answer).await, r#"{"rsc":2000,"rqi":"r1"}"#);
    let wrapped = encode(Response::new(Rsc::Ok, "r1"), &AnswerForm { format, wrapped: true, ..form() });
    assert_eq!(body_of(wrapped).await, r#"{"m2m:rsp":{"rsc":2000,"rqi":"r1"}}"#);
    let nameless = AnswerForm { format, request_identifier: None, ..form() };
    let answer = encode_refusal(Refusal::new(nameless, &Error::MissingParameter("rqi")));
    assert!(!body_of(answer).await.contains("\"rqi\""));
}

#[tokio::test]
async fn a_refusal_may_have_a_status_of_its_own() {
    let refusal = Refusal::new(AnswerForm { request_identifier: None, ..form() }, &Error::MissingParameter("rqi"));
    let answer = encode_refusal(refusal.with_status(StatusCode::METHOD_NOT_ALLOWED));
    assert_eq!(answer.status(), 405);
    assert_eq!(answer.headers()[ALLOW], "GET, HEAD, POST, PUT, DELETE");
    assert!(!answer.headers().contains_key("x-m2m-ri"));
    assert_eq!(answer.headers()["x-m2m-rvi"], "3");
}

#[test]
fn text_that_no_header_can_carry_is_left_out() {
    let mut response = Response::new(Rsc::Ok, "line\r\nbreak");
    response.vendor_information = Some("caf\u{e9}".into());
    let answer = encode(response, &form());
    assert!(!answer.headers().contains_key("x-m2m-ri"));
    assert_eq!(answer.headers()["x-m2m-vsi"].as_bytes(), "caf\u{e9}".as_bytes());
}
