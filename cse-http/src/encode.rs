//! From a response primitive to an HTTP response (TS-0009 §6.3, §6.4).

use axum::body::Body;
use cse_core::codec::Root;
use cse_core::primitive::Response;
use http::header::{ALLOW, CONTENT_LOCATION, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, StatusCode};

use crate::answer::{AnswerForm, Refusal};
use crate::decode::METHODS;
use crate::header;
use crate::media::Payload;

/// Writes an answer.
pub(crate) fn encode(response: Response, form: &AnswerForm) -> http::Response<Body> {
    let status = StatusCode::from_u16(response.status.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut headers = HeaderMap::with_capacity(12);
    put_headers(&mut headers, &response, form);
    let media_type = form.format.media_type;
    let body = if media_type.payload == Payload::ResponsePrimitive {
        let mut map = response.into_map();
        if form.request_identifier.is_none() {
            map.remove("rqi");
        }
        Some(media_type.serialization.encode_primitive(Root::Response, map, form.wrapped))
    } else {
        response.content.map(|content| media_type.serialization.encode_content(&content))
    };
    let body = match body {
        Some(bytes) => {
            headers.insert(CONTENT_TYPE, media_type.header_value());
            Body::from(bytes)
        }
        None => Body::empty(),
    };
    let mut answer = http::Response::new(body);
    *answer.status_mut() = status;
    *answer.headers_mut() = headers;
    answer
}

/// Writes a refusal.
pub(crate) fn encode_refusal(refusal: Refusal) -> http::Response<Body> {
    let mut answer = encode(refusal.response, &refusal.form);
    if let Some(status) = refusal.http_status {
        *answer.status_mut() = status;
        if status == StatusCode::METHOD_NOT_ALLOWED {
            answer.headers_mut().insert(ALLOW, HeaderValue::from_static(METHODS));
        }
    }
    answer
}

fn put_headers(headers: &mut HeaderMap, response: &Response, form: &AnswerForm) {
    headers.insert(header::RESPONSE_STATUS, HeaderValue::from(response.status.code()));
    if form.request_identifier.is_some() {
        put(headers, header::REQUEST_IDENTIFIER, Some(&response.request_identifier));
    }
    if let Some(version) = response.release_version {
        headers.insert(header::RELEASE_VERSION, HeaderValue::from_static(version.as_str()));
    }
    put(headers, header::ORIGIN, response.from.as_deref());
    put(headers, header::VENDOR_INFORMATION, response.vendor_information.as_deref());
    if let Some(time) = response.originating_timestamp {
        put(headers, header::ORIGINATING_TIMESTAMP, Some(&time.to_string()));
    }
    if let Some(expiration) = response.result_expiration {
        let value = cse_core::value::Value::from(expiration);
        put(headers, header::RESULT_EXPIRATION, value.as_text());
    }
    if let Some(category) = response.event_category {
        headers.insert(header::EVENT_CATEGORY, HeaderValue::from(category));
    }
    if let Some(complete) = response.content_complete {
        headers.insert(header::CONTENT_STATUS, HeaderValue::from_static(if complete { "2" } else { "1" }));
    }
    if let Some(offset) = response.content_offset {
        headers.insert(header::CONTENT_OFFSET, HeaderValue::from(offset));
    }
    put(headers, CONTENT_LOCATION, response.created_at.as_deref());
}

/// Sets a header. Text that no header can carry, such as a line break, is left out.
fn put(headers: &mut HeaderMap, name: HeaderName, text: Option<&str>) {
    if let Some(value) = text.and_then(|text| HeaderValue::from_bytes(text.as_bytes()).ok()) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
#[path = "encode_tests.rs"]
mod tests;
