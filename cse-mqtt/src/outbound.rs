//! Requests of this CSE: its own, such as notifications, and those of others that it passes on.
//!
//! A request goes out on `/oneM2M/req/<this CSE>/<entity>/...` over our own broker or another one, and its answer
//! comes back on the matching response topic. The path of a point of access stands before both topics (TS-0010 §7.6
//! as of release 3); that of a notification URI is the whole topic: it is published to as it is, and what the
//! broker has acknowledged has then arrived as far as anybody can know.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cse_core::codec::Serialization;
use cse_core::ports::{BoxFuture, Destination, Outbound, OutgoingRequest, Patience, SendError, Sent};
use cse_core::primitive::ResponseType;
use cse_core::value::Text;
use lru::LruCache;
use parking_lot::Mutex;
use percent_encoding::percent_decode_str;
use tokio::time::{Instant, timeout_at};
use url::Url;

use crate::binding::Common;
use crate::correlation::Answers;
use crate::expiry::time_left;
use crate::form::Form;
use crate::legacy;
use crate::link::{Progress, Publisher, Receipt, Refused};
use crate::options::{Login, Password};
use crate::pool::{Authority, Lease, Pool};
use crate::topic::{Format, TopicKind, is_publishable, level_of, normal_prefix};

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
    /// What URLs lead to that were read before.
    places: Mutex<LruCache<Text, Arc<Place>>>,
}

/// Where a URL leads.
#[derive(Debug)]
struct Place {
    /// `None` for our own.
    broker: Option<Authority>,
    /// Without its first slash.
    path: String,
}

/// URLs whose places are remembered.
const PLACES_MAX: NonZeroUsize = NonZeroUsize::new(256).expect("not zero");

/// Which broker, which topic, and whose answer.
struct Route {
    broker: Option<Authority>,
    topic: String,
    form: Form,
    /// Who answers; `None` if no answer is to be expected.
    answers: Option<Answers>,
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
        let places = Mutex::new(LruCache::new(PLACES_MAX));
        Self { inner: Arc::new(Inner { common, own, own_authorities, pool, places }) }
    }
}

impl MqttOutbound {
    /// Whether a URL leads to the broker that the binding is connected to anyway.
    pub fn is_at_own_broker(&self, url: &str) -> bool {
        self.inner.place(url).is_ok_and(|place| place.broker.is_none())
    }
}

impl Outbound for MqttOutbound {
    fn reaches(&self, destination: &Destination) -> bool {
        destination.url().is_none_or(|url| url.split_once("://").is_some_and(|(scheme, _)| is_mqtt(scheme)))
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
        let payload = route.form.request(&request);
        let expiry = request.request_expiration.map(time_left);
        let expects_answer = route.answers.is_some() && request.response_type != ResponseType::NoResponse;

        let mut waiting = self
            .common
            .correlation
            .wait(request.request_identifier, route.answers.clone())
            .map_err(|error| SendError::Unreachable(error.to_string()))?;
        // Held until the end: a connection in use is not idle.
        let (mut receipt, _lease) = self.publish(route, payload, expiry)?;
        self.common.stats.sent.increment();

        let taken_over = tokio::select! {
            biased;
            Ok(response) = &mut waiting.answer => return Ok(Sent::Answered(Box::new(response))),
            progress = timeout_at(deadline, receipt.settled()) => progress.unwrap_or(Progress::Waiting),
        };
        match taken_over {
            Progress::Waiting if !receipt.may_arrive() => {
                return Err(SendError::Unreachable("the broker is away".into()));
            }
            Progress::Waiting => {
                return Err(SendError::Unconfirmed("no acknowledgement from the broker in time".into()));
            }
            Progress::NoReceiver => return Err(SendError::Unreachable("nobody is subscribed to the topic".into())),
            Progress::Lost => return Err(SendError::Unreachable("the broker could not take the message".into())),
            Progress::TakenOver | Progress::Received if !expects_answer => return Ok(Sent::Unanswerable),
            Progress::TakenOver | Progress::Received => {}
        }
        let until = match outgoing.patience {
            Patience::UntilTimeout => deadline,
            Patience::AtMost(patience) | Patience::UntilReceived(patience) => deadline.min(Instant::now() + patience),
        };
        let receipt_suffices = matches!(outgoing.patience, Patience::UntilReceived(_));
        let answered = tokio::select! {
            biased;
            answered = timeout_at(until, &mut waiting.answer) => answered,
            _ = receipt.received(), if receipt_suffices => return Self::unanswered(receipt.progress()),
        };
        match answered {
            Ok(Ok(response)) => Ok(Sent::Answered(Box::new(response))),
            _ => Self::unanswered(receipt.progress()),
        }
    }

    fn unanswered(progress: Progress) -> Result<Sent, SendError> {
        if progress == Progress::Lost {
            return Err(SendError::Unreachable("the broker could not keep the message".into()));
        }
        Ok(Sent::Unanswered)
    }

    fn publish(
        &self,
        route: Route,
        payload: Bytes,
        expiry: Option<Duration>,
    ) -> Result<(Box<dyn Receipt>, Option<Lease>), SendError> {
        let lease = match &route.broker {
            None => None,
            Some(authority) => {
                let lease = self.pool.lease(authority);
                Some(lease.ok_or_else(|| SendError::Unreachable("too many other brokers in use".into()))?)
            }
        };
        let publisher: &dyn Publisher = match &lease {
            None => &*self.own,
            Some(lease) => &lease.publisher,
        };
        let topics = &self.common.topics;
        let listening = match &route.answers {
            // The binding itself listens there.
            Some(answers) if lease.is_none() && answers.prefix == topics.prefix() => Ok(()),
            Some(answers) => publisher.listen(&topics.response_filters(&answers.prefix)),
            None => Ok(()),
        };
        match listening.and_then(|()| publisher.publish_request(route.topic, payload, expiry)) {
            Ok(receipt) => Ok((receipt, lease)),
            Err(refused @ (Refused::TooLarge(_) | Refused::InvalidTopic)) => {
                Err(SendError::Unsupported(refused.to_string()))
            }
            Err(refused) => Err(SendError::Unreachable(refused.to_string())),
        }
    }

    fn route(&self, outgoing: &OutgoingRequest) -> Result<Route, SendError> {
        let written_as = outgoing.serialization;
        match &outgoing.destination {
            Destination::MqttEntity(entity) => self.to_entity(None, self.common.topics.prefix(), entity, written_as),
            Destination::PointOfAccess { url, entity } => {
                let place = self.place(url)?;
                let route = self.to_entity(place.broker.clone(), normal_prefix(&place.path), entity, written_as)?;
                Ok(self.by_own_broker_if_it_is_there(route))
            }
            Destination::Url(url) => {
                let place = self.place(url)?;
                let (broker, topic) = (place.broker.clone(), place.path.clone());
                if !is_publishable(&topic) {
                    return Err(unsupported("without a topic in its path", url));
                }
                let (written_as, answers) = self.read_freely_chosen(broker.as_ref(), &topic, written_as);
                Ok(Route { broker, topic, form: Form::bare(written_as), answers })
            }
        }
    }

    /// Others may know our broker by names that nobody has told us: of DNS, of a NAT, of a forwarded port. An entity that
    /// is a client of our broker and listens there has no better place.
    fn by_own_broker_if_it_is_there(&self, mut route: Route) -> Route {
        if route.broker.is_some()
            && let Some(answers) = &mut route.answers
            && answers.entity.as_ref().is_some_and(|entity| self.own.is_heard_by(&route.topic, entity))
        {
            route.broker = None;
            answers.broker = None;
        }
        route
    }

    /// The broker that a URL names, unless it is our own, and the path without its first slash.
    fn place(&self, text: &str) -> Result<Arc<Place>, SendError> {
        if let Some(known) = self.places.lock().get(text) {
            return Ok(Arc::clone(known));
        }
        let place = Arc::new(self.read_place(text)?);
        self.places.lock().put(text.into(), Arc::clone(&place));
        Ok(place)
    }

    fn read_place(&self, text: &str) -> Result<Place, SendError> {
        let url = Url::parse(text).map_err(|_| unsupported("no URL", text))?;
        let authority = authority(&url).ok_or_else(|| unsupported("no mqtt URL with a host", text))?;
        let is_own = self.own_authorities.contains(&format!("{}:{}", authority.host, authority.port));
        let path = url.path().strip_prefix('/').unwrap_or(url.path());
        let path =
            percent_decode_str(path).decode_utf8().map_err(|_| unsupported("without a topic in its path", text))?;
        Ok(Place { broker: (!is_own).then_some(authority), path: path.into_owned() })
    }

    /// To an entity by its identifier.
    fn to_entity(
        &self,
        broker: Option<Authority>,
        prefix: &str,
        identifier: &str,
        written_as: Serialization,
    ) -> Result<Route, SendError> {
        let identifier = self.common.identity.canonical_originator(identifier);
        let prefix_owned = prefix.to_owned();
        if let Some(manner) = self.common.drafts.manner_of(&identifier) {
            let topic = legacy::request_topic(prefix, manner, &identifier);
            if !is_publishable(&topic) {
                return Err(unsupported("no identifier of an entity", identifier.as_str()));
            }
            let form = Form { names: manner.names, ..Form::bare(legacy::serialization(written_as)) };
            let answers = Some(Answers { prefix: prefix_owned, entity: None, broker: broker.clone() });
            return Ok(Route { broker, topic, form, answers });
        }
        let level = level_of(identifier.as_str());
        let level = level.ok_or_else(|| unsupported("no identifier of an entity", identifier.as_str()))?;
        let topic = self.common.topics.request(prefix, &level, written_as);
        if !is_publishable(&topic) {
            return Err(unsupported("no prefix of a topic", prefix));
        }
        let answers = Some(Answers { prefix: prefix_owned, entity: Some(level), broker: broker.clone() });
        Ok(Route { broker, topic, form: Form::bare(written_as), answers })
    }

    /// What a freely chosen topic says: if it is one of TS-0010, how the payload is written, whatever else was said;
    /// and if it is that of a request of this CSE, whose answer to expect.
    fn read_freely_chosen(
        &self,
        broker: Option<&Authority>,
        topic: &str,
        written_as: Serialization,
    ) -> (Serialization, Option<Answers>) {
        let topics = &self.common.topics;
        let Some(topic) = topics.parse_any(topic) else {
            return (written_as, None);
        };
        let written_as = match topic.format {
            Format::Named(serialization) => serialization,
            Format::Absent | Format::Unknown(_) => written_as,
        };
        let asked_by_us = topic.kind == TopicKind::Request && topics.is_own(topic.originator);
        let answers = asked_by_us.then(|| Answers {
            prefix: topic.prefix.to_owned(),
            entity: Some(topic.receiver.to_owned()),
            broker: broker.cloned(),
        });
        (written_as, answers)
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
    // An IPv6 address stands in brackets in URLs, and nowhere else.
    let host = url.host_str().map(|host| host.trim_matches(['[', ']'])).filter(|host| !host.is_empty())?;
    let host = host.to_ascii_lowercase();
    let login = (!url.username().is_empty()).then(|| Login {
        username: decoded(url.username()),
        password: Password::new(decoded(url.password().unwrap_or_default())),
    });
    Some(Authority { host, port: url.port().unwrap_or(default_port), tls, login })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_of_access_name_a_broker() {
        // TS-0010 §7.6: the ports are the registered ones.
        for (text, expected) in [
            ("mqtt://broker.example", Some(("broker.example", 1883, false))),
            ("mqtts://broker.example", Some(("broker.example", 8883, true))),
            ("mqtt://broker.example:8883/plant/7", Some(("broker.example", 8883, false))),
            ("MQTTS://Broker.Example:1883", Some(("broker.example", 1883, true))),
            ("mqtt://192.0.2.7", Some(("192.0.2.7", 1883, false))),
            ("mqtt://[2001:db8::7]", Some(("2001:db8::7", 1883, false))),
            ("mqtts://[::1]:9", Some(("::1", 9, true))),
            ("mqtt:///topic", None),
            ("http://broker.example", None),
            ("ws://broker.example", None),
        ] {
            let found = authority(&Url::parse(text).expect("a URL"));
            let found = found.as_ref().map(|found| (found.host.as_str(), found.port, found.tls));
            assert_eq!(found, expected, "{text}");
        }
        let url = Url::parse("mqtt://us%40er:pass%20word@broker.example").expect("a URL");
        let login = authority(&url).and_then(|found| found.login).expect("a login");
        assert_eq!((login.username.as_str(), login.password.reveal()), ("us@er", "pass word"));
    }
}
