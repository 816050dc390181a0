//! From a request to the attributes of a `<request>`, and back when it is carried out.

use crate::behaviour::request::{
    META_INFORMATION, OPERATION_RESULT, ORIGINATOR, PEER, REQUEST, REQUEST_ID, REQUEST_STATUS, Status, TARGET,
};
use crate::error::{Error, Rsc};
use crate::id::{Originator, Peer};
use crate::node::Node;
use crate::primitive::{Binding, Context, Redelivery, Request, Response};
use crate::schema::{complex, keys};
use crate::time::{AbsRelTimestamp, Timestamp};
use crate::value::{Map, Value};

/// The attributes of a `<request>` whose request was received at `now`. Times become absolute, or they would mean
/// something else when they are read again.
pub(super) fn attributes_of(request: &Request, originator: &Originator, now: Timestamp) -> Map {
    let mut request = request.clone();
    let absolute = |time: &mut Option<AbsRelTimestamp>| {
        *time = time.map(|time| AbsRelTimestamp::Absolute(time.at(now)));
    };
    absolute(&mut request.request_expiration);
    absolute(&mut request.result_expiration);
    absolute(&mut request.operation_execution_time);
    let content = request.content.take();
    let primitive = request.to_map();
    let meta: Map = primitive
        .iter()
        .filter(|(name, _)| complex::META_INFORMATION.member(name).is_some())
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let mut result = Map::with_capacity(2);
    result.push("rsc", i64::from(Rsc::Accepted.code()));
    result.push("rqi", request.request_identifier.clone());

    let mut attributes = Map::with_capacity(12);
    attributes.push(keys::LABELS, Value::text_list([originator.text().clone()]));
    attributes.push(keys::OPERATION, request.operation as i64);
    attributes.push(TARGET, request.to.clone());
    attributes.push(ORIGINATOR, originator);
    attributes.push(REQUEST_ID, request.request_identifier.clone());
    attributes.push(META_INFORMATION, meta);
    if let Some(content) = content {
        attributes.push(keys::PRIMITIVE_CONTENT, content);
    }
    attributes.push(REQUEST_STATUS, Status::Pending as i64);
    attributes.push(OPERATION_RESULT, result);
    attributes.push(REQUEST, primitive);
    attributes.push(PEER, peer_to_map(&request.context));
    attributes
}

/// The request that a pending `<request>` stands for, as it was received.
///
/// # Errors
/// [`Error::Internal`] if the store gave back something else than was put in.
pub(super) fn request_of(node: &Node) -> Result<Request, Error> {
    let broken = |problem: &dyn std::fmt::Debug| {
        tracing::error!(request = %node.id, ?problem, "a <request> cannot be read");
        Error::Internal
    };
    let Some(Value::Map(primitive)) = node.attributes.get(REQUEST) else {
        return Err(broken(&"it has no request"));
    };
    let mut primitive = primitive.clone();
    if let Some(content) = node.attributes.get(keys::PRIMITIVE_CONTENT) {
        primitive.insert(keys::PRIMITIVE_CONTENT, content.clone());
    }
    let mut request = Request::from_map(primitive).map_err(|failure| broken(&failure.error))?;
    request.context = match node.attributes.get(PEER) {
        Some(Value::Map(peer)) => peer_from_map(peer),
        _ => return Err(broken(&"it has no peer")),
    };
    Ok(request)
}

/// The response as `ors` has it, which knows fewer parameters.
pub(super) fn result_of(response: Response) -> Map {
    let known = |name: &str| complex::OPERATION_RESULT.member(name).is_some();
    response.into_map().into_iter().filter(|(name, _)| known(name)).collect()
}

fn peer_to_map(context: &Context) -> Map {
    let Peer { address, authenticated, credential, identifier } = &context.peer;
    let mut map = Map::with_capacity(6);
    map.push("internal", context.binding == Binding::Internal);
    map.push("authenticated", *authenticated);
    let texts = [("credential", credential), ("identifier", identifier), ("sender", &context.sender)];
    for (name, text) in texts {
        if let Some(text) = text {
            map.push(name, text.clone());
        }
    }
    if let Some(address) = address {
        map.push("address", address.to_string());
    }
    map
}

fn peer_from_map(map: &Map) -> Context {
    let text = |name: &str| map.text(name).map(Into::into);
    let peer = Peer {
        address: map.text("address").and_then(|address| address.parse().ok()),
        authenticated: map.bool("authenticated") == Some(true),
        credential: text("credential"),
        identifier: text("identifier"),
    };
    // Beyond that it is the CSE's own, nothing depends on the binding any more.
    let binding = if map.bool("internal") == Some(true) { Binding::Internal } else { Binding::Mqtt };
    Context { binding, peer, redelivery: Redelivery::Never, registrant: None, sender: text("sender") }
}
