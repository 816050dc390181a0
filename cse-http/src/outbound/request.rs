//! From a request primitive to an HTTP request: the reverse of `decode`.

use bytes::Bytes;
use cse_core::codec::Serialization;
use cse_core::ports::{Destination, OutgoingRequest, SendError};
use cse_core::primitive::{FilterCriteria, Operation, Request, ResponseType};
use cse_core::value::{Map, Text, Value};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, Method, Uri};
use http_body_util::Full;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use url::Url;

use crate::address::path_from_to;
use crate::header;
use crate::media::MediaType;

/// What stays as it is in a query value.
const ESCAPED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The URL of the resource `to` at a CSE whose point of access is given (TS-0009 §6.2.2).
///
/// A path in the point of access is kept in front; its query and fragment have no meaning there.
pub fn target_url(point_of_access: &str, to: &str) -> String {
    let base = point_of_access.split(['?', '#']).next().unwrap_or_default();
    format!("{}{}", base.trim_end_matches('/'), path_from_to(to))
}

/// The HTTP request. A NOTIFY goes to the URL of an AE, or of a notification target, as it is; every other operation,
/// and every request to a CSE, to the resource below it.
pub(super) fn encode(outgoing: &OutgoingRequest) -> Result<http::Request<Full<Bytes>>, SendError> {
    let Some(destination) = outgoing.destination.url() else {
        return Err(SendError::Unsupported(outgoing.destination.as_str().into()));
    };
    let request = &outgoing.request;
    let serialization = outgoing.serialization;
    let is_to_cse =
        matches!(&outgoing.destination, Destination::PointOfAccess { entity, .. } if entity.starts_with('/'));
    let url = if request.operation == Operation::Notify && !is_to_cse {
        destination.to_string()
    } else {
        let mut url = target_url(destination, &request.to);
        append_query(&mut url, request);
        url
    };
    let uri = parse(&url).ok_or_else(|| SendError::Unsupported(format!("'{destination}' is no URL to send to")))?;

    let mut message = http::Request::new(Full::default());
    *message.method_mut() = match request.operation {
        Operation::Create | Operation::Notify => Method::POST,
        Operation::Retrieve => Method::GET,
        Operation::Update => Method::PUT,
        Operation::Delete => Method::DELETE,
    };
    *message.uri_mut() = uri;
    put_headers(message.headers_mut(), request);
    message.headers_mut().insert(ACCEPT, MediaType::content(serialization).header_value());
    if let Some(content) = request.content.as_ref().filter(|_| request.operation != Operation::Retrieve) {
        message.headers_mut().insert(CONTENT_TYPE, content_type(request, serialization));
        *message.body_mut() = Full::from(serialization.encode_content(content));
    }
    Ok(message)
}

/// A URI that a request can be sent to; user name, password and fragment stay behind.
fn parse(text: &str) -> Option<Uri> {
    let mut url = Url::parse(text).ok()?;
    url.host_str()?;
    url.set_fragment(None);
    url.set_username("").ok()?;
    url.set_password(None).ok()?;
    Uri::try_from(String::from(url)).ok()
}

fn content_type(request: &Request, serialization: Serialization) -> HeaderValue {
    let media_type = MediaType::content(serialization);
    match request.resource_type {
        Some(ty) => HeaderValue::try_from(format!("{media_type};ty={}", ty.0)).unwrap_or(media_type.header_value()),
        None => media_type.header_value(),
    }
}

fn put_headers(headers: &mut HeaderMap, request: &Request) {
    let mut put = |name: HeaderName, text: &str| {
        // Text that no header can carry, such as a line break, cannot be sent over HTTP.
        if let Ok(value) = HeaderValue::from_bytes(text.as_bytes()) {
            headers.insert(name, value);
        }
    };
    put(header::ORIGIN, request.from.as_deref().unwrap_or_default());
    put(header::REQUEST_IDENTIFIER, &request.request_identifier);
    if let Some(version) = request.release_version {
        put(header::RELEASE_VERSION, version.as_str());
    }
    for (name, value) in [
        (header::ORIGINATING_TIMESTAMP, request.originating_timestamp.map(Value::from)),
        (header::REQUEST_EXPIRATION, request.request_expiration.map(Value::from)),
        (header::RESULT_EXPIRATION, request.result_expiration.map(Value::from)),
        (header::OPERATION_EXECUTION, request.operation_execution_time.map(Value::from)),
        (header::EVENT_CATEGORY, request.event_category.map(|category| Value::from(category.to_string()))),
        (header::GROUP_REQUEST, request.group_request_identifier.clone().map(Value::from)),
        (header::VENDOR_INFORMATION, request.vendor_information.clone().map(Value::from)),
        (header::SERVICE_USER, request.passive.get("msu").cloned()),
        (header::ONTOLOGY_MAPPING, request.passive.get("omr").cloned()),
        (AUTHORIZATION, request.passive.get("tkns").map(|tokens| Value::from(joined(tokens, "+")))),
        (header::AUTHORIZATION_SIGNATURES, request.passive.get("aus").map(|all| Value::from(joined(all, "+")))),
        (header::RESPONSE_TYPE_URIS, request.notification_uris.as_ref().map(|uris| Value::from(uris.join("&")))),
    ] {
        if let Some(text) = value.as_ref().and_then(Value::as_text) {
            put(name, text);
        }
    }
}

fn joined(list: &Value, separator: &str) -> String {
    match list {
        Value::List(items) => items.iter().map(plain).collect::<Vec<_>>().join(separator),
        single => plain(single).into(),
    }
}

/// A scalar as text.
fn plain(value: &Value) -> Text {
    match value {
        Value::Text(text) => text.clone(),
        Value::Int(int) => int.to_string().into(),
        Value::UInt(int) => int.to_string().into(),
        Value::Float(float) => float.to_string().into(),
        Value::Bool(flag) => flag.to_string().into(),
        Value::Null | Value::List(_) | Value::Map(_) => Text::default(),
    }
}

fn append_query(url: &mut String, request: &Request) {
    let mut query = QueryText { url, separator: '?' };
    if request.response_type != ResponseType::Blocking {
        query.pair("rt", &request.response_type.code().to_string());
    }
    if let Some(persistence) = request.result_persistence {
        query.value("rp", &Value::from(persistence));
    }
    if let Some(content) = request.result_content {
        query.pair("rcn", &content.code().to_string());
    }
    if request.unstructured_addresses {
        query.pair("drt", "2");
    }
    for name in ["da", "tqi", "asi", "auri", "sqi", "rids", "tids", "ltids"] {
        if let Some(value) = request.passive.get(name) {
            query.value(name, value);
        }
    }
    if let Some(criteria) = &request.filter_criteria {
        query.criteria(criteria);
    }
    let attributes = request.content.as_ref().filter(|_| request.operation == Operation::Retrieve);
    if let Some(attributes) = attributes.and_then(|content| content.get("m2m:atrl")) {
        query.value("atrl", attributes);
    }
}

struct QueryText<'a> {
    url: &'a mut String,
    separator: char,
}

impl QueryText<'_> {
    fn pair(&mut self, name: &str, value: &str) {
        self.begin(name);
        self.url.extend(utf8_percent_encode(value, &ESCAPED));
    }

    fn value(&mut self, name: &str, value: &Value) {
        let Value::List(items) = value else {
            return self.pair(name, &plain(value));
        };
        for (index, item) in items.iter().enumerate() {
            if index == 0 {
                self.begin(name);
            } else {
                self.url.push('+');
            }
            self.url.extend(utf8_percent_encode(&plain(item), &ESCAPED));
        }
    }

    fn begin(&mut self, name: &str) {
        self.url.push(std::mem::replace(&mut self.separator, '&'));
        self.url.extend(utf8_percent_encode(name, &ESCAPED));
        self.url.push('=');
    }

    fn criteria(&mut self, criteria: &FilterCriteria) {
        for (name, value) in criteria.to_map().iter() {
            let prefix = match name.as_str() {
                "atr" => "",
                "catr" => "c.",
                "patr" => "p.",
                _ => {
                    self.value(name, value);
                    continue;
                }
            };
            for condition in value.as_list().unwrap_or_default().iter().filter_map(Value::as_map) {
                self.condition(prefix, condition);
            }
        }
    }

    fn condition(&mut self, prefix: &str, condition: &Map) {
        if let (Some(name), Some(value)) = (condition.text("nm"), condition.get("val")) {
            self.pair(&format!("{prefix}{name}"), &plain(value));
        }
    }
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
