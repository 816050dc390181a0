//! The writer's part in a request that changes something: answers it from the record, or decides it and takes over its
//! effects together with what is remembered of it.

use std::ops::Range;

use tokio::sync::oneshot;
use tracing::Span;

use crate::access::authorize::Permit;
use crate::access::elsewhere;
use crate::access::policy::Access;
use crate::announce;
use crate::error::{Error, Rsc};
use crate::id::Seq;
use crate::metrics::Metrics;
use crate::non_blocking::{self, Book, Extent};
use crate::op::forward::maker_of;
use crate::op::{self, Answers, Cx, Decided, Question, Refusal};
use crate::outbox::Release;
use crate::overlay::Effects;
use crate::ports::{ReplyKey, Store};
use crate::primitive::{Operation, Redelivery, Request, Response};
use crate::record::{self, Record};
use crate::view::{Source, View, WriteSource};

/// A request that changes something, and where the outcome goes.
pub(crate) struct Change {
    pub(crate) request: Request,
    pub(crate) cx: Cx,
    pub(crate) answers: Answers,
    /// Under which the answer is remembered, if it is.
    pub(crate) key: Option<ReplyKey>,
    /// Of the request, for the log.
    pub(crate) span: Span,
    pub(crate) reply: oneshot::Sender<Outcome>,
}

/// What became of a change.
pub(crate) enum Outcome {
    /// It is decided, and durable if it was made; the answer may have to wait until its notifications are on their way.
    Done(Response, Option<Release>),
    /// The network has to be asked; the change comes back.
    Ask(Question, Box<(Request, Cx, Answers)>),
}

/// A decided change whose answer waits for the commit.
pub(super) struct Waiting {
    pub(super) reply: oneshot::Sender<Outcome>,
    pub(super) response: Response,
    /// Its notifications among those of the group.
    pub(super) left: Range<usize>,
}

impl Change {
    /// Decides the change and takes over its effects.
    pub(super) async fn run<S: Store>(
        mut self: Box<Self>,
        view: &mut View<'_, WriteSource<'_, S>>,
        metrics: &Metrics,
        book: &Book,
        waiting: &mut Vec<Waiting>,
    ) {
        if let Some(key) = self.key {
            match earlier_answer(view, key, &self.request).await {
                Ok(Some(response)) => {
                    metrics.redeliveries.increment();
                    tracing::debug!(request = %self.request.request_identifier, "answered a redelivery from the record");
                    waiting.push(Waiting { reply: self.reply, response, left: 0..0 });
                    return;
                }
                Ok(None) => {}
                Err(error) => {
                    let response = Response::error(self.request.request_identifier, &error);
                    waiting.push(Waiting { reply: self.reply, response, left: 0..0 });
                    return;
                }
            }
        }
        let is_accepted_only = self.request.response_type.is_non_blocking();
        if let Some(refusal) = recalled(view, &self).await {
            let response = Response::error(self.request.request_identifier, &refusal);
            waiting.push(Waiting { reply: self.reply, response, left: 0..0 });
            return;
        }
        let decided = if self.cx.deadline <= view.now {
            Err(Refusal::Error(Error::Expired("the request expired before it could be carried out")))
        } else {
            let request = &self.request;
            match request.operation {
                _ if is_accepted_only => non_blocking::accept(view, &self.cx, request, book, metrics).await,
                Operation::Create => op::create::decide(view, &self.cx, request, &mut self.answers).await,
                Operation::Update => op::update::decide(view, &self.cx, request, &mut self.answers).await,
                Operation::Delete => op::delete::decide(view, &self.cx, request).await,
                Operation::Notify => view.collect_from_afar(&self.cx, request).await,
                Operation::Retrieve => Err(Error::Internal.into()),
            }
        };
        let lacking = view.take_lacking();
        let decided = match lacking.is_empty() || self.answers.policies_read >= elsewhere::ROUNDS_MAX {
            true => decided,
            false => Err(Refusal::Ask(Question::Policies(lacking))),
        };
        let nothing = || Effects::new(Permit::internal("a refused attempt may be monitored"));
        let (mut effects, mut response) = match decided {
            Ok(Decided { effects, response }) => (effects, response),
            Err(Refusal::Error(error)) => (nothing(), Response::error(self.request.request_identifier.clone(), &error)),
            Err(Refusal::Ask(question)) => {
                let change = *self;
                let back = Box::new((change.request, change.cx, change.answers));
                drop(change.reply.send(Outcome::Ask(question, back)));
                return;
            }
        };
        let observed = match is_accepted_only {
            true => Ok(()),
            false => observe(view, &self.cx, &self.request, &mut effects).await,
        };
        let noted = match (observed, self.answers.fulfils) {
            (Ok(()), Some(of)) => non_blocking::note_result(view, of, &response, Extent::Whole, &mut effects).await,
            (observed, _) => observed,
        };
        let settled = match noted {
            Ok(()) => announce::settle::settle(view, &mut effects).await,
            failed => failed,
        };
        // The IN-CSE believes that an AE is here which is not.
        let settled = match (settled, &self.answers.stem) {
            (Ok(()), Some(stem)) if !response.is_success() => {
                announce::record::leave(view, stem, Seq::CSE_BASE, &mut effects).await
            }
            (settled, _) => settled,
        };
        if let Err(error) = settled {
            effects = nothing();
            response = Response::error(self.request.request_identifier.clone(), &error);
        }
        let at = view.now;
        let first = view.source.overlay.outbox.len();
        view.source.apply(effects);
        let left = first..view.source.overlay.outbox.len();
        // What failed here may go well the next time.
        let is_final = response.status != Rsc::InternalServerError;
        if let Some(key) = self.key.filter(|_| is_final) {
            let record = Record::Answered(response.clone());
            let made_by = maker_of(&self.request);
            view.source.overlay.remember(record.into_reply(key, at, made_by.as_deref()));
        }
        waiting.push(Waiting { reply: self.reply, response, left });
    }
}

/// Why a change is not to be made that carries out a non-blocking request: that has been recalled, or is done.
async fn recalled<Q: Source>(view: &mut View<'_, Q>, change: &Change) -> Option<Error> {
    match non_blocking::pending(view, change.answers.fulfils?).await {
        Ok(Some(_)) => None,
        Ok(None) => Some(Error::Expired("the <request> is gone")),
        Err(error) => Some(error),
    }
}

/// Tells whoever monitors accesses to the target.
async fn observe<Q: Source>(
    view: &mut View<'_, Q>,
    cx: &Cx,
    request: &Request,
    effects: &mut Effects,
) -> Result<(), Error> {
    let Some(node) = view.plain(&cx.target).await? else {
        return Ok(());
    };
    let access = Access::from(request.operation);
    view.notify_of_attempt(&node, &cx.requester, request.operation, access, effects).await
}

/// The answer to the same request, if this may be a redelivery of it.
async fn earlier_answer<Q: Source>(
    view: &mut View<'_, Q>,
    key: ReplyKey,
    request: &Request,
) -> Result<Option<Response>, Error> {
    let redelivery = request.context.redelivery;
    // Two devices that ask for an identity in the same words must not get the same one.
    if matches!(redelivery, Redelivery::PossibleWithin(_)) && is_anonymous(request) {
        return Ok(None);
    }
    Ok(match record::earlier(view, key, redelivery).await? {
        Some((_, Record::Answered(response))) => Some(response),
        // It went to another CSE when this one had another name; it did nothing here.
        Some((_, Record::PassedOn(_) | Record::KeptBack(_))) | None => None,
    })
}

/// Whether nothing tells the originator from others: it has no identifier of its own yet, and no credential.
fn is_anonymous(request: &Request) -> bool {
    let unnamed = |from: &str| matches!(from, "" | "C" | "S" | "/C" | "/S");
    request.context.registrant.is_none() && request.from.as_deref().is_none_or(unnamed)
}
