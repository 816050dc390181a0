//! From a message to a request that may be carried out, or to what is answered instead.

use cse_core::codec::Serialization;
use cse_core::error::Error;
use cse_core::primitive::{Request, Response};
use cse_core::value::{Name, Text};

use super::Common;
use crate::form::{Form, appearance};
use crate::hop::{self, Hop};
use crate::legacy::{DraftTopic, Names};
use crate::link::Vouched;
use crate::salvage;
use crate::topic::{Format, Topic, TopicKind, level_of};

/// Where the answer to a request goes.
pub(super) struct Reply {
    pub(super) topic: String,
    /// Who asked on this hop, in the spelling of the request.
    pub(super) originator: Text,
    pub(super) form: Form,
}

/// A request that is to be carried out.
pub(super) struct Accepted {
    pub(super) request: Request,
    pub(super) reply: Reply,
    pub(super) registrant: Option<Text>,
}

/// An answer that refuses a message, and where it goes.
type Refusal = (Box<Response>, Reply);

impl Common {
    /// Reads the request of a message, or says what to answer, if anything.
    pub(super) fn read(&self, topic: &Topic<'_>, hop: Hop<'_>, payload: &[u8]) -> Result<Accepted, Option<Refusal>> {
        let Self { identity, topics, drafts, stats, .. } = self;
        let (decoded, written_as) = match topic.format {
            Format::Absent => (Serialization::Json.decode_primitive(payload), Some(Serialization::Json)),
            Format::Named(serialization) => (serialization.decode_primitive(payload), Some(serialization)),
            Format::Unknown(name) => (Err(Error::UnsupportedMediaType(name.chars().take(32).collect())), None),
        };
        let mut form = Form::bare(written_as.unwrap_or(Serialization::Json));
        let reply = |form: Form| {
            // Requests have answers, so there is a topic for it.
            let name = topics.answer(topic, form.serialization).unwrap_or_default();
            Reply { topic: name, originator: topic.originator.into(), form }
        };
        let decoded = decoded.map(|primitive| {
            form.wrapped = primitive.wrapped;
            Request::from_map(primitive.parameters)
        });
        let failure = match decoded {
            Ok(Ok(mut request)) => {
                if let Err(error) = hop::check(identity, hop, &mut request) {
                    return Err(Some((self.refuse(topic.originator, request, &error), reply(form))));
                }
                request.from.as_deref().inspect(|from| drafts.heard_otherwise(from));
                request.context.sender = Some(hop::sender(identity, hop, &request));
                return Ok(Accepted { request, reply: reply(form), registrant: registrant(topic) });
            }
            Ok(Err(failure)) => {
                tracing::debug!(originator = topic.originator, error = %failure.error, "not a request");
                failure.response()
            }
            Err(error) => {
                if matches!(error, Error::UnsupportedMediaType(_)) {
                    stats.unsupported_serializations.increment();
                }
                tracing::debug!(originator = topic.originator, %error, "payload that cannot be read");
                form.wrapped = salvage::is_wrapped(payload, form.serialization);
                salvage::request_identifier(payload, written_as).map(|rqi| Response::error(rqi, &error))
            }
        };
        Err(self.undecodable(topic.originator, payload, failure).map(|response| (response, reply(form))))
    }

    /// As [`Common::read`], of a message in the form of the early draft. Only the originator in the primitive tells
    /// where the answer goes, so without one there is none, and nothing is carried out.
    pub(super) fn read_draft(
        &self,
        topic: &DraftTopic<'_>,
        vouched: Option<Vouched>,
        payload: &[u8],
    ) -> Result<Accepted, Option<Refusal>> {
        let Self { identity, drafts, stats, .. } = self;
        let mut form = Form::bare(appearance(payload));
        let primitive = form.serialization.decode_primitive(payload).map_err(|error| {
            tracing::debug!(%error, "payload in the form of the early draft that cannot be read");
            self.undecodable("", payload, None);
            None
        })?;
        let (names, mut parameters) = Names::read_request(&primitive.parameters);
        (form.wrapped, form.names) = (primitive.wrapped, names);
        let from = Text::from(parameters.text("fr").unwrap_or_default());
        if drafts.is_echo(&from) {
            return Err(None);
        }
        stats.early_draft_requests.increment();
        let Some(answer) = topic.answer(&from) else {
            self.undecodable(&from, payload, None);
            return Err(None);
        };
        let reply = Reply { topic: answer, originator: from.clone(), form };
        if !parameters.contains("to") {
            parameters.push(Name::new_static("to"), topic.target());
        }
        let mut request = match Request::from_map(parameters) {
            Ok(request) => request,
            Err(failure) => {
                tracing::debug!(originator = from.as_str(), error = %failure.error, "not a request");
                let refused = self.undecodable(&from, payload, failure.response());
                return Err(refused.map(|response| (response, reply)));
            }
        };
        let level = level_of(&from).unwrap_or_default();
        let hop = Hop { kind: TopicKind::Request, level: &level, vouched };
        if let Err(error) = hop::check(identity, hop, &mut request) {
            return Err(Some((self.refuse(&from, request, &error), reply)));
        }
        drafts.heard(&from, topic, names);
        Ok(Accepted { request, reply, registrant: None })
    }

    /// The answer to a request whose originator is not who it should be.
    fn refuse(&self, originator: &str, request: Request, error: &Error) -> Box<Response> {
        if matches!(error, Error::OriginatorMismatch(_)) {
            self.stats.originator_mismatches.increment();
            tracing::warn!(originator, %error, "originators do not agree");
        }
        Box::new(Response::error(request.request_identifier, error).in_release(request.release_version))
    }

    /// Counts a payload that is no request; gives the answer to it, if there can be one.
    fn undecodable(&self, originator: &str, payload: &[u8], answer: Option<Response>) -> Option<Box<Response>> {
        self.stats.undecodable.increment();
        if answer.is_none() {
            self.stats.undecodable_unanswered.increment();
            let bytes = payload.len();
            tracing::warn!(originator, bytes, "payload that is no request and names none to answer: not answered");
        }
        answer.map(Box::new)
    }
}

/// Who registers, by the topic, unless that is a name that says nothing.
fn registrant(topic: &Topic<'_>) -> Option<Text> {
    let registers = topic.kind == TopicKind::RegistrationRequest && !matches!(topic.originator, "" | "C" | "S");
    registers.then(|| topic.originator.into())
}
