//! Requests of this CSE: notifications now, forwarded requests later.
//!
//! A request goes out on `/oneM2M/req/<this CSE>/<entity>/...` over our own broker or another one, and its answer
//! comes back on the matching response topic. A notification URI with a path is published to as it is, and what
//! the broker has acknowledged has then arrived as far as anybody can know.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cse_core::codec::{Root, Serialization};
use cse_core::ports::{BoxFuture, Destination, Outbound, OutgoingRequest, SendError, Sent};
use cse_core::primitive::ResponseType;
use percent_encoding::percent_decode_str;
use tokio::time::{Instant, timeout_at};
use url::Url;

use crate::binding::Common;
use crate::expiry::time_left;
use crate::link::{Progress, Publisher, Receipt, Refused};
use crate::options::{Login, Password};
use crate::pool::{Authority, Lease, Pool};
use crate::topic::{Format, TopicKind, entity_of, is_publishable, level_of};

/// Schemes of brokers, with the port of each and whether there is TLS (TS-0010 §7.2).
const SCHEMES: [(&str, u16, bool); 2] = [("mqtt", 1883, false), ("mqtts", 8883, true)];

/// Sends requests over MQTT.
pub struct MqttOutbound {
    inner: Arc<Inner>,
}

struct Inner {
    common: Common,
    own: Arc<dyn Publisher>,
    /// `host:port` that lead to our own broker.
    own_authorities: Vec<String>,
    pool: Arc<Pool>,
}

/// Which broker, which topic, and whose answer.
struct Route {
    broker: Option<Authority>,
    topic: String,
    written_as: Serialization,
    /// Level of the entity that answers; `None` if no answer is to be expected.
    entity: Option<String>,
}

impl MqttOutbound {
    pub(crate) fn new(common: Common, own: Arc<dyn Publisher>, pool: Arc<Pool>) -> Self {
        let own_authorities = common
            .options
            .own_points_of_access
            .iter()
            .filter_map(|text| Url::parse(text).ok())
            .filter_map(|url| authority(&url))
            .map(|authority| format!("{}:{}", authority.host, authority.port))
            .collect();
        Self { inner: Arc::new(Inner { common, own, own_authorities, pool }) }
    }
}

impl Outbound for MqttOutbound {
    fn reaches(&self, destination: &Destination) -> bool {
        match destination {
            Destination::MqttEntity(_) => true,
            Destination::Url(text) => text.split_once("://").is_some_and(|(scheme, _)| is_mqtt(scheme)),
        }
    }

    fn send(&self, request: OutgoingRequest) -> BoxFuture<'static, Result<Sent, SendError>> {
        let inner = Arc::clone(&self.inner);
        Box::pin(async move { inner.send(request).await })
    }
}

impl Inner {
    async fn send(&self, outgoing: OutgoingRequest) -> Result<Sent, SendError> {
        let deadline = Instant::now() + outgoing.timeout;
        let route = self.route(&outgoing)?;
        let request = outgoing.request;
        let payload = Bytes::from(route.written_as.encode_primitive(Root::Request, request.to_map(), false));
        let expiry = request.request_expiration.map(time_left);
        let expects_answer = route.entity.is_some() && request.response_type != ResponseType::NoResponse;

        let mut waiting = self
            .common
            .correlation
            .wait(request.request_identifier, route.entity)
            .map_err(|error| SendError::Unreachable(error.to_string()))?;
        // Held until the end: a connection in use is not idle.
        let (mut receipt, _lease) = self.publish(route.broker.as_ref(), route.topic, payload, expiry)?;
        self.common.stats.sent.increment();

        let taken_over = tokio::select! {
            biased;
            Ok(response) = &mut waiting.answer => return Ok(Sent::Answered(Box::new(response))),
            progress = timeout_at(deadline, receipt.settled()) => progress.unwrap_or(Progress::Waiting),
        };
        match taken_over {
            Progress::Waiting => {
                return Err(SendError::Unreachable("no acknowledgement from the broker in time".into()));
            }
            Progress::NoReceiver => return Err(SendError::Unreachable("nobody is subscribed to the topic".into())),
            Progress::Lost => return Err(SendError::Unreachable("the broker could not take the message".into())),
            Progress::TakenOver | Progress::Received if !expects_answer => return Ok(Sent::Unanswerable),
            Progress::TakenOver | Progress::Received => {}
        }
        match timeout_at(deadline, &mut waiting.answer).await {
            Ok(Ok(response)) => Ok(Sent::Answered(Box::new(response))),
            _ if receipt.progress() == Progress::Lost => {
                Err(SendError::Unreachable("the broker could not keep the message".into()))
            }
            _ => Ok(Sent::Unanswered),
        }
    }

    fn publish(
        &self,
        broker: Option<&Authority>,
        topic: String,
        payload: Bytes,
        expiry: Option<Duration>,
    ) -> Result<(Box<dyn Receipt>, Option<Lease>), SendError> {
        let lease = match broker {
            None => None,
            Some(authority) => {
                let lease = self.pool.lease(authority);
                Some(lease.ok_or_else(|| SendError::Unreachable("too many other brokers in use".into()))?)
            }
        };
        let published = match &lease {
            None => self.own.publish_request(topic, payload, expiry),
            Some(lease) => lease.publisher.publish_request(topic, payload, expiry),
        };
        match published {
            Ok(receipt) => Ok((receipt, lease)),
            Err(refused @ (Refused::TooLarge(_) | Refused::InvalidTopic)) => {
                Err(SendError::Unsupported(refused.to_string()))
            }
            Err(refused) => Err(SendError::Unreachable(refused.to_string())),
        }
    }

    fn route(&self, outgoing: &OutgoingRequest) -> Result<Route, SendError> {
        let written_as = outgoing.serialization;
        let to_entity = |identifier: &str, broker| {
            let identifier = self.common.identity.canonical_originator(identifier);
            let level = level_of(identifier.as_str());
            let level = level.ok_or_else(|| unsupported("not an identifier of an entity", identifier.as_str()))?;
            let topic = self.common.topics.request(&level, written_as);
            Ok(Route { broker, topic, written_as, entity: Some(level) })
        };
        let text = match &outgoing.destination {
            Destination::MqttEntity(identifier) => return to_entity(identifier, None),
            Destination::Url(text) => text,
        };
        let url = Url::parse(text).map_err(|_| unsupported("not a URL", text))?;
        let authority = authority(&url).ok_or_else(|| unsupported("not an mqtt URL with a host", text))?;
        let is_own = self.own_authorities.contains(&format!("{}:{}", authority.host, authority.port));
        let broker = (!is_own).then_some(authority);
        // TS-0010: a point of access has no path here, a notification URI has one, which is the topic.
        let path = url.path().strip_prefix('/').unwrap_or(url.path());
        if path.is_empty() {
            return to_entity(&outgoing.request.to, broker);
        }
        let topic = percent_decode_str(path).decode_utf8().map_err(|_| unsupported("not a topic", text))?.into_owned();
        if !is_publishable(&topic) {
            return Err(unsupported("not a topic", text));
        }
        // A topic of TS-0010's form says to its subscribers how the payload is written, whatever else was said.
        let written_as = match self.common.topics.parse(&topic).map(|topic| topic.format) {
            Some(Format::Named(serialization)) => serialization,
            _ => written_as,
        };
        let entity = self.answering_entity(&topic);
        Ok(Route { broker, topic, written_as, entity })
    }

    /// Whose answer to expect on a freely chosen topic: only if the topic is that of a request of this CSE.
    fn answering_entity(&self, topic: &str) -> Option<String> {
        let topics = &self.common.topics;
        let topic = topics.parse(topic)?;
        let asked_by_us = topic.originator == topics.own_level()
            || entity_of(&self.common.identity, topic.originator).as_str() == self.common.identity.cse_id;
        (topic.kind == TopicKind::Request && asked_by_us).then(|| topic.receiver.to_owned())
    }
}

fn unsupported(problem: &str, text: &str) -> SendError {
    SendError::Unsupported(format!("'{text}' is {problem}"))
}

fn is_mqtt(scheme: &str) -> bool {
    SCHEMES.iter().any(|(known, ..)| scheme.eq_ignore_ascii_case(known))
}

/// The broker that a URL names; `None` for other schemes than those of MQTT.
fn authority(url: &Url) -> Option<Authority> {
    let (_, default_port, tls) = *SCHEMES.iter().find(|(scheme, ..)| url.scheme() == *scheme)?;
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let host = url.host_str().filter(|host| !host.is_empty())?.to_ascii_lowercase();
    let login = (!url.username().is_empty()).then(|| Login {
        username: decoded(url.username()),
        password: Password::new(decoded(url.password().unwrap_or_default())),
    });
    Some(Authority { host, port: url.port().unwrap_or(default_port), tls, login })
}
