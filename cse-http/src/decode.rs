//! From an HTTP request to a request primitive (TS-0009 §6.2 to §6.4).
//!
//! Everything becomes one tree of text values, so that parameters are checked in one place for all bindings.

use std::net::IpAddr;

use bytes::Bytes;
use cse_core::error::Error;
use cse_core::id::Peer;
use cse_core::primitive::{Binding, Context, Operation, Redelivery, Request};
use cse_core::value::{Map, Text, Value};
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderMap, HeaderName, Method, StatusCode};

use crate::address::to_from_path;
use crate::answer::{AnswerForm, Refusal};
use crate::header;
use crate::media::{MediaType, Payload};
use crate::negotiation::{Formats, method_has_body};
use crate::options::HttpOptions;
use crate::order::Place;
use crate::query::Query;

/// Methods that are answered, for `Allow`.
pub(crate) const METHODS: &str = "GET, HEAD, POST, PUT, DELETE";

/// Headers that carry a request parameter as it is. The list-valued and the special ones are read by name.
const PARAMETERS: [(HeaderName, &str); 11] = [
    (header::REQUEST_IDENTIFIER, "rqi"),
    (header::RELEASE_VERSION, "rvi"),
    (header::ORIGINATING_TIMESTAMP, "ot"),
    (header::REQUEST_EXPIRATION, "rqet"),
    (header::RESULT_EXPIRATION, "rset"),
    (header::OPERATION_EXECUTION, "oet"),
    (header::EVENT_CATEGORY, "ec"),
    (header::GROUP_REQUEST, "gid"),
    (header::VENDOR_INFORMATION, "vsi"),
    (header::SERVICE_USER, "msu"),
    (header::ONTOLOGY_MAPPING, "omr"),
];

/// A request that can be dispatched, and how its answer is written.
#[derive(Debug)]
pub(crate) struct Decoded {
    pub(crate) request: Request,
    pub(crate) form: AnswerForm,
    pub(crate) place: Option<Place>,
}

/// Decodes a request whose body has arrived completely.
pub(crate) fn decode(
    parts: &Parts,
    body: &Bytes,
    peer: Option<IpAddr>,
    options: &HttpOptions,
) -> Result<Decoded, Box<Refusal>> {
    let formats = Formats::of(parts);
    let mut form = AnswerForm::in_format(&parts.headers, formats.answer);
    let refuse = |form: &AnswerForm, error: &Error| Box::new(Refusal::new(form.clone(), error));

    if method_has_body(&parts.method).is_none() {
        let error = Error::OperationNotAllowed {
            operation: "an HTTP method other than GET, HEAD, POST, PUT and DELETE",
            target: "resources of a CSE".into(),
        };
        return Err(Box::new(Refusal::new(form, &error).with_status(StatusCode::METHOD_NOT_ALLOWED)));
    }
    if let Some(problem) = &formats.problem {
        return Err(refuse(&form, problem));
    }
    let map = match formats.body {
        Some(MediaType { payload: Payload::RequestPrimitive, serialization }) => {
            let decoded = serialization.decode_primitive(body).map_err(|error| refuse(&form, &error))?;
            form.wrapped = decoded.wrapped;
            whole_primitive(parts, decoded.parameters)
        }
        _ => primitive(parts, body, &formats, options),
    };
    let map = map.map_err(|error| refuse(&form, &error))?;

    let place = Place::of(&parts.headers).map_err(|error| refuse(&form, &error))?;
    let mut request =
        Request::from_map(map).map_err(|failure| Box::new(Refusal::undecodable(form.clone(), &failure)))?;
    request.context = Context {
        binding: Binding::Http,
        peer: Peer { address: peer, ..Peer::default() },
        sender: None,
        redelivery: options.remember.map_or(Redelivery::Never, Redelivery::PossibleWithin),
        registrant: None,
    };
    form.request_identifier = Some(request.request_identifier.clone());
    form.release_version = request.release_version;
    Ok(Decoded { request, form, place })
}

fn primitive(parts: &Parts, body: &Bytes, formats: &Formats<'_>, options: &HttpOptions) -> Result<Map, Error> {
    let resource_type = formats.content_type.and_then(|content_type| content_type.resource_type);
    let operation = match parts.method {
        Method::POST if resource_type.is_some() => Operation::Create,
        Method::POST => Operation::Notify,
        Method::PUT => Operation::Update,
        Method::DELETE => Operation::Delete,
        _ => Operation::Retrieve,
    };
    let mut map = Map::with_capacity(10);
    map.push("op", operation as i64);
    map.push("to", to_from_path(options.root_path.as_str(), parts.uri.path())?.as_ref());
    if let Some(resource_type) = resource_type {
        map.push("ty", resource_type);
    }
    header_parameters(&mut map, &parts.headers)?;
    let query = Query::parse(parts.uri.query().unwrap_or_default(), options.is_attribute)?;
    for (name, value) in query.parameters {
        map.push(name, value);
    }
    notification_uris(&mut map, &parts.headers)?;
    if !body.is_empty() {
        map.push("pc", content(operation, body, formats.body)?);
    }
    if !query.attributes.is_empty() {
        if operation != Operation::Retrieve {
            return Err(Error::ParameterNotAllowed { name: "atrl", operation: operation.name().into() });
        }
        map.push("pc", Map::single("m2m:atrl", query.attributes));
    }
    Ok(map)
}

/// A primitive that travels as a whole. What it leaves out is taken from where it is otherwise.
fn whole_primitive(parts: &Parts, mut map: Map) -> Result<Map, Error> {
    if parts.method != Method::POST {
        return Err(Error::parameter("Content-Type", "goes with POST only: the body is a whole request primitive"));
    }
    for (name, parameter) in
        [(header::REQUEST_IDENTIFIER, "rqi"), (header::ORIGIN, "fr"), (header::RELEASE_VERSION, "rvi")]
    {
        if !map.contains(parameter)
            && let Some(text) = header::text(&parts.headers, &name)?.filter(|text| !text.is_empty())
        {
            map.push(parameter, text);
        }
    }
    Ok(map)
}

fn content(operation: Operation, body: &Bytes, body_type: Option<MediaType>) -> Result<Map, Error> {
    if matches!(operation, Operation::Retrieve | Operation::Delete) {
        return Err(Error::ParameterNotAllowed { name: "pc", operation: format!("{operation} over HTTP") });
    }
    let body_type = body_type.ok_or_else(|| Error::UnsupportedMediaType("no Content-Type".into()))?;
    body_type.serialization.decode_content(body)
}

fn header_parameters(map: &mut Map, headers: &HeaderMap) -> Result<(), Error> {
    // An empty originator is how some AEs register that want an AE-ID: the same as none.
    if let Some(from) = header::text(headers, &header::ORIGIN)?.filter(|from| !from.is_empty()) {
        map.push("fr", from);
    }
    for (name, parameter) in &PARAMETERS {
        if let Some(text) = header::text(headers, name)? {
            map.push(*parameter, text);
        }
    }
    if let Some(tokens) = header::text(headers, &AUTHORIZATION)?.and_then(tokens) {
        map.push("tkns", tokens);
    }
    if let Some(signatures) = header::text(headers, &header::AUTHORIZATION_SIGNATURES)? {
        map.push("aus", Value::text_list(signatures.split(['+', ' ']).filter(|item| !item.is_empty())));
    }
    Ok(())
}

/// The tokens in an `Authorization`. Credentials of other schemes are none of the primitive's and must not be
/// passed on with it.
fn tokens(text: &str) -> Option<Value> {
    let tokens = match text.split_once(' ') {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("bearer") => rest.trim(),
        Some(_) => return None,
        None => text,
    };
    let is_token = |item: &str| {
        item.contains('.') && item.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.=".contains(&byte))
    };
    let items: Vec<&str> = tokens.split('+').collect();
    items.iter().all(|item| is_token(item)).then(|| Value::text_list(items))
}

/// `X-M2M-RTU` makes the plain `rt` of the query a whole response type.
fn notification_uris(map: &mut Map, headers: &HeaderMap) -> Result<(), Error> {
    let Some(text) = header::text(headers, &header::RESPONSE_TYPE_URIS)? else {
        return Ok(());
    };
    let uris: Vec<Text> = text.split('&').map(str::trim).filter(|uri| !uri.is_empty()).map(Text::from).collect();
    let mut response_type = Map::with_capacity(2);
    if let Some(value) = map.remove("rt") {
        response_type.push("rtv", value);
    }
    response_type.push("nu", uris);
    map.push("rt", response_type);
    Ok(())
}

#[cfg(test)]
#[path = "decode_tests.rs"]
mod tests;
