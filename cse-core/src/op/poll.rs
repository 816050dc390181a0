//! What a polling channel is asked, and what goes by it (TS-0004 §7.4.22): its owner fetches a request with RETRIEVE and
//! answers it with NOTIFY.

use super::route::Channel;
use super::{Cx, answer};
use crate::cse::Cse;
use crate::error::{Error, Rsc};
use crate::node::Node;
use crate::ports::{SendError, Sent, Store};
use crate::primitive::{Operation, Request, Response, ResponseType};
use crate::schema::keys;
use crate::time::Timestamp;
use crate::value::{Map, Value};

impl<S: Store> Cse<S> {
    /// Carries out a request to the `<pollingChannelURI>` of a channel.
    pub(crate) async fn at_polling_channel(
        &self,
        request: &Request,
        cx: &Cx,
        channel: &Node,
    ) -> Result<Response, Error> {
        let operation = request.operation;
        if !matches!(operation, Operation::Retrieve | Operation::Notify) {
            let target = "virtual resource 'pcu'".into();
            return Err(Error::OperationNotAllowed { operation: operation.name(), target });
        }
        // Not even who may do everything takes requests away from their receiver, or answers in its name.
        if cx.requester.originator != channel.creator {
            return Err(Error::NoPrivilege {
                originator: cx.requester.originator.to_string(),
                operation: operation.name(),
                target: cx.target.to_string(),
            });
        }
        if operation == Operation::Notify {
            return self.answered_by_channel(request, channel);
        }
        if !matches!(request.response_type, ResponseType::Blocking | ResponseType::FlexBlocking) {
            return Err(Error::parameter("rt", "must be 3 (blocking) or absent where requests are fetched"));
        }
        self.fetch(request, cx, channel).await
    }

    /// Waits until there is a request for the owner of the channel.
    async fn fetch(&self, request: &Request, cx: &Cx, channel: &Node) -> Result<Response, Error> {
        let shared = &self.0;
        let (poll, has_missed) = shared.polling.poll(channel.seq)?;
        // Whoever deletes it from now on tells; who did so just before could not.
        if shared.view().node(channel.seq).await?.is_none() {
            shared.polling.deleted(&[channel.seq]);
            return Err(Error::NotFound(cx.target.to_string()));
        }
        if has_missed {
            shared.outbox.polled(channel.seq, &channel.creator);
        }
        let aggregates = channel.attributes.bool(keys::REQUEST_AGGREGATION) == Some(true);
        let longest = cx.deadline.since(shared.clock.now()).min(shared.settings.poll_time_max);
        let requests = tokio::select! {
            biased;
            requests = poll.requests(aggregates) => requests?,
            () = shared.clock.sleep(longest) => return Err(Error::Expired("no request came in time")),
        };
        let mut primitives = requests.iter().map(|request| Value::Map(request.to_map()));
        let content = if aggregates {
            let primitives = Value::List(primitives.collect());
            Map::single("m2m:agrp", Map::single("m2m:rqp", primitives))
        } else {
            Map::single("m2m:rqp", primitives.next().ok_or(Error::Internal)?)
        };
        Ok(answer(request, Rsc::Ok, Some(content)))
    }

    /// Takes the owner's answer to a request that it has fetched.
    fn answered_by_channel(&self, request: &Request, channel: &Node) -> Result<Response, Error> {
        let content = request.content.as_ref().and_then(Map::only);
        let Some((_, Value::Map(response))) = content.filter(|(name, _)| *name == "m2m:rsp") else {
            let problem =
                "a NOTIFY to a pollingChannelURI contains 'm2m:rsp', the answer to a request that was fetched";
            return Err(Error::InvalidContent(problem.into()));
        };
        let response = Response::from_map(response.clone())?;
        let identifier = response.request_identifier.clone();
        if !self.0.polling.answer(channel.seq, response) {
            let problem = format!("the request '{identifier}', which was not fetched, has expired, or is answered");
            return Err(Error::NotFound(problem));
        }
        Ok(answer(request, Rsc::Ok, None))
    }

    /// Has a request fetched from a polling channel.
    pub(super) async fn send_by_channel(
        &self,
        channel: Channel,
        request: Request,
        expires: Timestamp,
    ) -> Result<Sent, SendError> {
        self.0.polling.put(channel.seq, request, channel.is_patient)?.answer(expires).await
    }
}
