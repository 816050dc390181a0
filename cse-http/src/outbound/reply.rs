//! From an HTTP response to a response primitive, lenient: the peer may be no oneM2M entity.

use bytes::Bytes;
use cse_core::codec::Serialization;
use cse_core::error::Rsc;
use cse_core::ports::SendError;
use cse_core::primitive::{Operation, Request, Response};
use cse_core::value::Map;
use http::header::CONTENT_LOCATION;
use http::{HeaderMap, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use tracing::debug;

use crate::header;
use crate::media::{ContentType, Payload};

/// Reads the answer to `request`.
pub(super) async fn decode(
    answer: http::Response<Incoming>,
    request: &Request,
    bytes_max: usize,
) -> Result<Response, SendError> {
    let (parts, body) = answer.into_parts();
    // What a notification's receiver writes beyond its status seldom matters and must not make it a failure.
    let is_notification = request.operation == Operation::Notify;
    let body = match Limited::new(body, bytes_max).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) if is_notification => {
            debug!(%error, "the answer to a notification has an unreadable body");
            Bytes::new()
        }
        Err(error) if error.is::<LengthLimitError>() => {
            let mut response = Response::new(Rsc::InternalServerError, request.request_identifier.clone());
            let text = format!("the answer of the other CSE is larger than {bytes_max} bytes");
            response.content = Some(Map::single("m2m:dbg", text));
            return Ok(response);
        }
        Err(error) => return Err(SendError::Unconfirmed(format!("the answer broke off: {error}"))),
    };
    Ok(response(parts.status, &parts.headers, &body, request))
}

fn response(http_status: StatusCode, headers: &HeaderMap, body: &Bytes, request: &Request) -> Response {
    let own_status =
        text(headers, &header::RESPONSE_STATUS).and_then(|code| code.parse().ok()).and_then(Rsc::from_code);
    let status = own_status.unwrap_or_else(|| status_of(http_status));
    let mut response = match content(headers, body) {
        Some((Payload::ResponsePrimitive, map)) => {
            Response::from_map(map).unwrap_or_else(|_| Response::new(status, request.request_identifier.clone()))
        }
        Some((_, map)) => with_headers(status, headers, Some(map)),
        None => with_headers(status, headers, None),
    };
    // The answer on this connection belongs to this request, whatever it says.
    response.request_identifier = request.request_identifier.clone();
    response
}

fn with_headers(status: Rsc, headers: &HeaderMap, content: Option<Map>) -> Response {
    let mut map = Map::with_capacity(10);
    map.push("rsc", i64::from(status.code()));
    map.push("rqi", "");
    for (name, parameter) in [
        (header::RELEASE_VERSION, "rvi"),
        (header::ORIGIN, "fr"),
        (header::ORIGINATING_TIMESTAMP, "ot"),
        (header::RESULT_EXPIRATION, "rset"),
        (header::EVENT_CATEGORY, "ec"),
        (header::CONTENT_STATUS, "cnst"),
        (header::CONTENT_OFFSET, "cnot"),
        (header::VENDOR_INFORMATION, "vsi"),
    ] {
        if let Some(text) = text(headers, &name) {
            map.push(parameter, text);
        }
    }
    let mut response = Response::from_map(map).unwrap_or_else(|_| Response::new(status, ""));
    response.content = content;
    response.created_at = text(headers, &CONTENT_LOCATION).map(Into::into);
    response
}

/// The body, if it is an object in a serialization that can be read.
fn content(headers: &HeaderMap, body: &Bytes) -> Option<(Payload, Map)> {
    if body.is_empty() {
        return None;
    }
    let (payload, serialization) = match ContentType::of(headers) {
        Ok(Some(content_type)) => {
            let media = content_type.media_type?;
            (media.payload, media.serialization)
        }
        Ok(None) => (Payload::Content, Serialization::Json),
        Err(_) => return None,
    };
    let map = match payload {
        Payload::ResponsePrimitive => serialization.decode_primitive(body).ok()?.parameters,
        _ => serialization.decode_content(body).ok()?,
    };
    Some((payload, map))
}

fn text<'a>(headers: &'a HeaderMap, name: &http::HeaderName) -> Option<&'a str> {
    header::text(headers, name).ok().flatten().filter(|text| !text.is_empty())
}

/// What an HTTP status means where no response status code is given: TS-0009's table backwards, as far as the
/// meaning is the same for any server.
fn status_of(status: StatusCode) -> Rsc {
    match status.as_u16() {
        200..=299 => Rsc::Ok,
        // A redirection is not followed, so the target was not reached.
        300..=399 => Rsc::TargetNotReachable,
        401 | 403 => Rsc::OriginatorHasNoPrivilege,
        404 | 410 => Rsc::NotFound,
        405 => Rsc::OperationNotAllowed,
        406 => Rsc::NotAcceptable,
        408 | 504 => Rsc::RequestTimeout,
        409 => Rsc::Conflict,
        415 => Rsc::UnsupportedMediaType,
        400..=499 => Rsc::BadRequest,
        501 => Rsc::NotImplemented,
        502 | 503 => Rsc::TargetNotReachable,
        _ => Rsc::InternalServerError,
    }
}

#[cfg(test)]
mod tests {
    use http::header::{CONTENT_TYPE, HeaderName};

    use super::*;

    fn read(status: u16, heads: &[(HeaderName, &'static str)], body: &'static str) -> Response {
        let headers = heads.iter().map(|(name, value)| (name.clone(), http::HeaderValue::from_static(value))).collect();
        let request = Request::new(Operation::Notify, "x", "/id-in", "own");
        let status = StatusCode::from_u16(status).expect("a status");
        response(status, &headers, &Bytes::from_static(body.as_bytes()), &request)
    }

    #[test]
    fn the_response_status_code_counts_if_there_is_one() {
        for (http, rsc, code) in [
            (200, "2004", 2004),
            (500, "4103", 4103),
            (200, "", 2000),
            (200, "nonsense", 2000),
            (403, "9999", 4103),
            (204, "", 2000),
            (301, "", 5103),
            (400, "", 4000),
            (404, "", 4004),
            (405, "", 4005),
            (406, "", 5207),
            (408, "", 4008),
            (409, "", 4105),
            (413, "", 4000),
            (415, "", 4015),
            (500, "", 5000),
            (501, "", 5001),
            (503, "", 5103),
            (599, "", 5000),
        ] {
            assert_eq!(read(http, &[(header::RESPONSE_STATUS, rsc)], "").status.code(), code, "{http} {rsc}");
        }
    }

    #[test]
    fn each_header_gives_its_parameter() {
        let response = read(
            201,
            &[
                (header::RESPONSE_STATUS, "2001"),
                (header::REQUEST_IDENTIFIER, "another"),
                (header::RELEASE_VERSION, "3"),
                (header::ORIGIN, "/id-mn"),
                (header::ORIGINATING_TIMESTAMP, "20260102T030405"),
                (header::RESULT_EXPIRATION, "5000"),
                (header::EVENT_CATEGORY, "4"),
                (header::CONTENT_STATUS, "1"),
                (header::CONTENT_OFFSET, "17"),
                (header::VENDOR_INFORMATION, "vendor"),
                (CONTENT_LOCATION, "/id-mn/cse-mn/x"),
                (CONTENT_TYPE, "application/vnd.onem2m-res+json; charset=utf-8"),
            ],
            r#"{"m2m:cnt":{}}"#,
        );
        assert_eq!(response.request_identifier, "own");
        assert_eq!(response.release_version.map(|version| version.as_str()), Some("3"));
        assert_eq!(response.from.as_deref(), Some("/id-mn"));
        assert!(response.originating_timestamp.is_some() && response.result_expiration.is_some());
        assert_eq!(response.event_category, Some(4));
        assert_eq!((response.content_complete, response.content_offset), (Some(false), Some(17)));
        assert_eq!(response.vendor_information.as_deref(), Some("vendor"));
        assert_eq!(response.created_at.as_deref(), Some("/id-mn/cse-mn/x"));
        assert!(response.content.expect("there").contains("m2m:cnt"));
    }

    #[test]
    fn a_body_that_means_nothing_is_left_out() {
        for (content_type, body) in [
            ("text/html", "<p>thanks</p>"),
            ("application/json", "\"ok\""),
            ("application/json", "{"),
            ("application/xml", "<x>"),
            ("application/json;ty=1;ty=2", "{}"),
        ] {
            assert_eq!(read(200, &[(CONTENT_TYPE, content_type)], body).content, None, "{content_type} {body}");
        }
        assert!(read(200, &[], "{\"m2m:uril\":[]}").content.is_some());
    }

    #[test]
    fn the_body_may_be_the_whole_primitive() {
        let whole = [(CONTENT_TYPE, "application/vnd.onem2m-prsp+json")];
        for body in [r#"{"rsc":4004,"rqi":"other"}"#, r#"{"m2m:rsp":{"rsc":4004,"rqi":"other"}}"#] {
            let response = read(200, &whole, body);
            assert_eq!((response.status.code(), response.request_identifier.as_str()), (4004, "own"));
        }
        assert_eq!(read(200, &whole, r#"{"pc":{}}"#).status.code(), 2000);
    }
}
