//! Requests of this CSE that wait for an answer, by request identifier.

use std::sync::Arc;

use cse_core::codec::Serialization;
use cse_core::error::Error;
use cse_core::id::CseIdentity;
use cse_core::primitive::Response;
use cse_core::value::Text;
use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use tokio::sync::oneshot;

use crate::form::appearance;
use crate::legacy::Names;
use crate::pool::Authority;
use crate::stats::MqttStats;
use crate::topic::{Format, Topic, same_entity};

/// Where the answer to a request comes from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Answers {
    /// What stands before the topics of the request and its answer.
    pub(crate) prefix: String,
    /// Level of the entity that has to answer; `None` where topics do not say (early draft).
    pub(crate) entity: Option<String>,
    /// The broker that brings the answer; `None` for our own. Another one knows our request identifiers, too, and may
    /// not answer for those who are asked elsewhere.
    pub(crate) broker: Option<Authority>,
}

struct Waiter {
    /// Who has to answer; `None` if nobody, since the topic of the request was freely chosen.
    answers: Option<Answers>,
    answer: oneshot::Sender<Response>,
}

/// Requests that wait. Bounded; who waits also has the deadline.
pub(crate) struct Correlation {
    identity: CseIdentity,
    waiting: Mutex<FxHashMap<Text, Waiter>>,
    max: usize,
    stats: Arc<MqttStats>,
}

/// The place in the table; given up when dropped.
pub(crate) struct Waiting {
    correlation: Arc<Correlation>,
    request_identifier: Text,
    /// The answer, when it comes.
    pub(crate) answer: oneshot::Receiver<Response>,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.correlation.waiting.lock().remove(&self.request_identifier);
    }
}

/// Why a request cannot wait for an answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum CannotWait {
    #[error("too many requests of this CSE wait for an answer")]
    Full,
    #[error("a request with this identifier is waiting already")]
    Twice,
}

impl Correlation {
    pub(crate) fn new(identity: CseIdentity, max: usize, stats: Arc<MqttStats>) -> Arc<Self> {
        Arc::new(Self { identity, waiting: Mutex::default(), max, stats })
    }

    /// Waits for the answer to a request, from that entity if there is one.
    pub(crate) fn wait(
        self: &Arc<Self>,
        request_identifier: Text,
        answers: Option<Answers>,
    ) -> Result<Waiting, CannotWait> {
        let (sender, answer) = oneshot::channel();
        let mut waiting = self.waiting.lock();
        if waiting.len() >= self.max {
            return Err(CannotWait::Full);
        }
        if waiting.contains_key(&request_identifier) {
            return Err(CannotWait::Twice);
        }
        waiting.insert(request_identifier.clone(), Waiter { answers, answer: sender });
        Ok(Waiting { correlation: Arc::clone(self), request_identifier, answer })
    }

    /// Takes a message from a response topic to whoever waits for it. `broker` has brought it, if that is not our own.
    pub(crate) fn on_response(&self, broker: Option<&Authority>, topic: &Topic<'_>, payload: &[u8]) {
        self.take(topic.receiver, read(topic.format, payload), |answers| {
            let from = answers.entity.as_ref();
            answers.broker.as_ref() == broker
                && answers.prefix == topic.prefix
                && from.is_some_and(|entity| same_entity(&self.identity, entity, topic.receiver))
        });
    }

    /// Takes a message from a response topic in the form of the early draft.
    pub(crate) fn on_draft_response(&self, payload: &[u8]) {
        let decoded = appearance(payload).decode_primitive(payload);
        let response = decoded.and_then(|primitive| Response::from_map(Names::read_response(&primitive.parameters)));
        self.take("", response, |answers| answers.entity.is_none());
    }

    /// Takes a response to whoever waits for it, if `is_from` says that it comes from where it should.
    fn take(&self, entity: &str, response: Result<Response, Error>, is_from: impl Fn(&Answers) -> bool) {
        let response = match response {
            Ok(response) => response,
            Err(error) => {
                self.stats.responses_undecodable.increment();
                tracing::warn!(entity, %error, "response that cannot be read");
                return;
            }
        };
        let mut waiting = self.waiting.lock();
        let waiter = waiting.get(&response.request_identifier);
        let expected = waiter.is_some_and(|waiter| waiter.answers.as_ref().is_some_and(&is_from));
        let waiter = if expected { waiting.remove(&response.request_identifier) } else { None };
        drop(waiting);
        match waiter {
            Some(waiter) => {
                self.stats.responses_matched.increment();
                // Whoever waited may have given up in this very moment.
                let _ = waiter.answer.send(response);
            }
            None => {
                self.stats.responses_unmatched.increment();
                let request_identifier = response.request_identifier.as_str();
                tracing::debug!(entity, request_identifier, "response that nobody waits for");
            }
        }
    }
}

/// Reads a response as its topic says. Where that says nothing, or something else than is true (some clients answer
/// everything in JSON, on the topic of the request), it is read as it looks.
fn read(format: Format<'_>, payload: &[u8]) -> Result<Response, Error> {
    let decode = |serialization: Serialization| {
        serialization.decode_primitive(payload).and_then(|primitive| Response::from_map(primitive.parameters))
    };
    let appears = appearance(payload);
    match format {
        Format::Named(named) if named != appears => decode(named).or_else(|error| decode(appears).map_err(|_| error)),
        Format::Named(named) => decode(named),
        Format::Absent | Format::Unknown(_) => decode(appears),
    }
}

#[cfg(test)]
mod tests {
    use cse_core::error::Rsc;
    use cse_core::id::CseType;

    use super::*;
    use crate::topic::TopicKind;

    fn correlation(max: usize) -> Arc<Correlation> {
        let identity = CseIdentity::new("//cse.example", "/id-in", "cse-in", CseType::In).expect("valid");
        Correlation::new(identity, max, Arc::default())
    }

    fn from(entity: &str) -> Option<Answers> {
        Some(Answers { prefix: String::new(), entity: Some(entity.into()), broker: None })
    }

    fn answer(correlation: &Correlation, entity: &str, payload: &str) {
        answer_under(correlation, "", entity, payload);
    }

    fn answer_under(correlation: &Correlation, prefix: &str, entity: &str, payload: &str) {
        let topic = Topic {
            prefix,
            kind: TopicKind::Response,
            originator: "id-in",
            receiver: entity,
            format: Format::Named(Serialization::Json),
        };
        correlation.on_response(None, &topic, payload.as_bytes());
    }

    #[test]
    fn answers_find_their_request() {
        let correlation = correlation(10);
        let mut waiting = correlation.wait("1".into(), from("Cx")).expect("room");
        answer(&correlation, "Cx", "{");
        answer(&correlation, "Cx", r#"{"rsc":2000,"rqi":"2"}"#);
        answer(&correlation, "Cy", r#"{"rsc":2000,"rqi":"1"}"#);
        answer_under(&correlation, "plant", "Cx", r#"{"rsc":2000,"rqi":"1"}"#);
        assert!(waiting.answer.try_recv().is_err(), "none of these was the answer");
        answer(&correlation, "id-in:Cx", r#"{"rsc":2000,"rqi":"1"}"#);
        assert_eq!(waiting.answer.try_recv().expect("answered").status, Rsc::Ok);
        answer(&correlation, "Cx", r#"{"rsc":2000,"rqi":"1"}"#);
        let stats = &correlation.stats;
        assert_eq!((stats.responses_matched.get(), stats.responses_unmatched.get()), (1, 4));
        assert_eq!(stats.responses_undecodable.get(), 1);
    }

    #[test]
    fn another_broker_does_not_answer_for_ours_nor_anybody_to_a_free_topic() {
        let host = |host: &str| Authority { host: host.to_owned(), port: 1883, tls: false, login: None };
        let correlation = correlation(10);
        let mut here = correlation.wait("1".into(), from("Cx")).expect("room");
        let there = from("Cx").map(|answers| Answers { broker: Some(host("b.example")), ..answers });
        let mut there = correlation.wait("2".into(), there).expect("room");
        let mut free = correlation.wait("3".into(), None).expect("room");
        let topic = Topic {
            prefix: "",
            kind: TopicKind::Response,
            originator: "id-in",
            receiver: "Cx",
            format: Format::Named(Serialization::Json),
        };
        let answers = [1, 2, 3].map(|rqi| format!(r#"{{"rsc":2000,"rqi":"{rqi}"}}"#));
        for answer in &answers {
            correlation.on_response(Some(&host("evil.example")), &topic, answer.as_bytes());
        }
        correlation.on_response(Some(&host("b.example")), &topic, answers[0].as_bytes());
        correlation.on_response(None, &topic, answers[1].as_bytes());
        correlation.on_response(None, &topic, answers[2].as_bytes());
        for waiting in [&mut here, &mut there, &mut free] {
            assert!(waiting.answer.try_recv().is_err());
        }
        correlation.on_response(None, &topic, answers[0].as_bytes());
        correlation.on_response(Some(&host("b.example")), &topic, answers[1].as_bytes());
        assert!(here.answer.try_recv().is_ok() && there.answer.try_recv().is_ok());
    }

    #[test]
    fn answers_may_be_written_in_any_way() {
        for (format, payload) in [
            (Format::Named(Serialization::Json), &br#"{"rsc":2000,"rqi":"1"}"#[..]),
            (Format::Named(Serialization::Json), br#"{"m2m:rsp":{"rsc":2000,"rqi":"1"}}"#),
            (Format::Named(Serialization::Cbor), b"\xa2\x63rsc\x19\x07\xd0\x63rqi\x611"),
            (Format::Named(Serialization::Cbor), b"\xa1\x67m2m:rsp\xa2\x63rsc\x19\x07\xd0\x63rqi\x611"),
            (Format::Named(Serialization::Xml), b"<m2m:rsp><rsc>2000</rsc><rqi>1</rqi></m2m:rsp>"),
            (Format::Named(Serialization::Xml), br#"{"rsc":2000,"rqi":"1"}"#),
            (Format::Absent, b"<m2m:rsp><rsc>2000</rsc><rqi>1</rqi></m2m:rsp>"),
            (Format::Absent, br#"{"m2m:rsp":{"rsc":"2000","rqi":1}}"#),
            (Format::Absent, b"\xa2\x63rsc\x19\x07\xd0\x63rqi\x611"),
            (Format::Unknown("?"), b"\xa2\x63rsc\x19\x07\xd0\x63rqi\x611"),
        ] {
            let correlation = correlation(1);
            let mut waiting = correlation.wait("1".into(), from("Cx")).expect("room");
            let topic = Topic { prefix: "", kind: TopicKind::Response, originator: "id-in", receiver: "Cx", format };
            correlation.on_response(None, &topic, payload);
            assert_eq!(waiting.answer.try_recv().expect("answered").status, Rsc::Ok, "{}", payload.escape_ascii());
        }
    }

    #[test]
    fn the_table_is_bounded_and_places_are_given_back() {
        let correlation = correlation(2);
        let first = correlation.wait("1".into(), None).expect("room");
        assert_eq!(correlation.wait("1".into(), None).err(), Some(CannotWait::Twice));
        let _second = correlation.wait("2".into(), None).expect("room");
        assert_eq!(correlation.wait("3".into(), None).err(), Some(CannotWait::Full));
        drop(first);
        assert!(correlation.wait("1".into(), None).is_ok());
    }
}
