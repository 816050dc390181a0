//! The task that carries out accepted requests, as many at a time as the settings allow, each by the ordinary path.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{oneshot, watch};
use tracing::Instrument;

use super::{Extent, Progress, Step, pending, stored};
use crate::address::Target;
use crate::behaviour::request::{BEGUN, TARGET};
use crate::cse::{Cse, span_of};
use crate::error::{Error, Rsc};
use crate::id::Seq;
use crate::node::Node;
use crate::op::fan_out::Through;
use crate::ports::{BoxFuture, Store};
use crate::primitive::{Operation, Redelivery, Request, Response, ResponseType};
use crate::time::Timestamp;
use crate::writer::Job;

/// The longest sleep, so that a clock that is set forward is noticed.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// What is to be done with a request that was tried.
enum Outcome {
    /// Nothing: it is done, or gone, or left for the next start.
    Settled,
    /// It is to be tried again after a pause that grows, and at that time at the latest.
    Again(Option<Timestamp>),
}

/// Runs until stopped. What is under way then is carried out after the next start, unless it is done by then.
pub(crate) async fn run<S: Store>(cse: Cse<S>, mut stop: watch::Receiver<bool>) {
    let mut under_way: FuturesUnordered<BoxFuture<'static, (Seq, Outcome)>> = FuturesUnordered::new();
    let width = cse.0.settings.non_blocking_width.max(1);
    let shared = Arc::clone(&cse.0);
    let (book, clock) = (&shared.non_blocking, &shared.clock);
    loop {
        while under_way.len() < width
            && let Some(seq) = book.take_due(clock.now())
        {
            let cse = cse.clone();
            under_way.push(Box::pin(async move { (seq, carry_out(&cse, seq).await) }));
        }
        let pause = match book.next_due() {
            Some(at) if under_way.len() < width => at.since(clock.now()).min(LONGEST_PAUSE),
            _ => LONGEST_PAUSE,
        };
        tokio::select! {
            Some((seq, outcome)) = under_way.next(), if !under_way.is_empty() => {
                if let Outcome::Again(latest) = outcome {
                    let settings = &shared.settings;
                    let until = clock.now().plus(settings.retry_pause(book.attempt(seq)));
                    book.postpone(seq, latest.map_or(until, |latest| latest.min(until)));
                }
            }
            () = book.changed() => {}
            () = clock.sleep(pause) => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
    }
}

async fn carry_out<S: Store>(cse: &Cse<S>, seq: Seq) -> Outcome {
    let node = match pending(&mut cse.0.view(), seq).await {
        Ok(Some(node)) => node,
        Ok(None) => return Outcome::Settled,
        Err(_) => return Outcome::Again(None),
    };
    // Without it there is nothing to be carried out, and nobody to be told.
    let Ok(asked) = stored::request_of(&node) else { return Outcome::Settled };
    let manner = Manner::of(cse, &asked);
    if is_too_late(cse, &node, &asked) {
        let error = Error::Expired("the answer was lost, and it is too late to ask again without doing it twice");
        return finish(cse, seq, Response::error(asked.request_identifier, &error), Extent::Whole).await;
    }
    if manner.is_marked() && !node.attributes.contains(BEGUN) {
        if note(cse, seq, Progress::Begun).await.is_err() {
            return Outcome::Settled;
        }
        match pending(&mut cse.0.view(), seq).await {
            Ok(Some(node)) if node.attributes.contains(BEGUN) => {}
            Ok(None) => return Outcome::Settled,
            _ => return Outcome::Again(None),
        }
    }
    // The time that any other request has: it takes up a place.
    let until = cse.0.clock.now().plus(cse.0.settings.request_timeout);
    let patient_until = patient_until(cse, &node, &asked);
    let through = Through::fulfilling((manner == Manner::AtOnce).then_some(seq), until);
    let is_partial = Arc::clone(&through.is_partial);
    let request = to_carry_out(asked, manner, &node);
    let identifier = request.request_identifier.clone();
    let span = span_of(&request);
    let result = cse.attempt(request, through).instrument(span).await;
    let is_unanswered = manner == Manner::PassedOn && matches!(result, Err(Error::Expired(_)));
    let response = result.unwrap_or_else(|error| Response::error(identifier, &error));
    let extent = if is_partial.load(Ordering::Relaxed) { Extent::Partial } else { Extent::Whole };
    if response.status == Rsc::InternalServerError && *cse.0.stop.borrow() {
        return Outcome::Settled;
    }
    let is_unreachable = response.status == Rsc::TargetNotReachable;
    if (is_unreachable || is_unanswered) && cse.0.clock.now() < patient_until {
        if is_unreachable {
            // Nobody was asked, so it can be recalled again.
            drop(note(cse, seq, Progress::Postponed).await);
        } else {
            drop(note(cse, seq, Progress::Forwarded).await);
        }
        let opening = if is_unreachable { cse.opening_of(target_of(&node)).await } else { None };
        return Outcome::Again(Some(opening.map_or(patient_until, |opening| opening.min(patient_until))));
    }
    finish(cse, seq, response, extent).await
}

/// Puts the result into the `<request>`, where it is not yet.
async fn finish<S: Store>(cse: &Cse<S>, seq: Seq, response: Response, extent: Extent) -> Outcome {
    match pending(&mut cse.0.view(), seq).await {
        Ok(Some(_)) => {}
        Ok(None) => return Outcome::Settled,
        Err(_) => return Outcome::Again(None),
    }
    if note(cse, seq, Progress::Done(Box::new(response), extent)).await.is_err() {
        return Outcome::Settled;
    }
    match pending(&mut cse.0.view(), seq).await {
        Ok(None) => Outcome::Settled,
        // The store failed.
        Ok(Some(_)) | Err(_) => Outcome::Again(None),
    }
}

/// What the request of a `<request>` is for.
fn target_of(node: &Node) -> &str {
    node.attributes.text(TARGET).unwrap_or_default()
}

/// How a request comes to its result.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Manner {
    /// Effect and result are one commit.
    AtOnce,
    /// It has no effect.
    Harmless,
    /// It reaches many resources, or an entity that is registered here.
    Irrevocable,
    /// It is passed on to another CSE, which knows a repetition as such.
    PassedOn,
}

impl Manner {
    fn of<S: Store>(cse: &Cse<S>, request: &Request) -> Self {
        let target = match Target::of(&request.to, &cse.0.settings.identity) {
            Target::Local(target, _) => target,
            Target::Remote => return Self::PassedOn,
        };
        match request.operation {
            Operation::Retrieve => Self::Harmless,
            Operation::Create | Operation::Update | Operation::Delete if !target.contains("/fopt") => Self::AtOnce,
            _ => Self::Irrevocable,
        }
    }

    /// Whether it has to be said before it begins.
    fn is_marked(self) -> bool {
        matches!(self, Self::Irrevocable | Self::PassedOn)
    }
}

/// Whether a change may have been made so long ago that nobody would know a repetition as one.
fn is_too_late<S: Store>(cse: &Cse<S>, node: &Node, asked: &Request) -> bool {
    let begun = node.attributes.text(BEGUN).and_then(Timestamp::parse);
    let is_change = matches!(asked.operation, Operation::Create | Operation::Update | Operation::Delete);
    is_change && begun.is_some_and(|begun| begun.plus(cse.0.settings.reply_lifetime) <= cse.0.clock.now())
}

/// Until when it is tried to reach a target that cannot be reached.
fn patient_until<S: Store>(cse: &Cse<S>, node: &Node, asked: &Request) -> Timestamp {
    let received = node.creation_time;
    let named = asked.request_expiration.or(asked.result_expiration).map(|time| time.at(received));
    named.unwrap_or_else(|| {
        let begins = asked.operation_execution_time.map_or(received, |time| time.at(received).max(received));
        begins.plus(cse.0.settings.non_blocking_persistence)
    })
}

/// The request as it is carried out. A repetition of it is equal.
fn to_carry_out(mut request: Request, manner: Manner, node: &Node) -> Request {
    request.operation_execution_time = None;
    request.result_persistence = None;
    request.response_type = ResponseType::Blocking;
    request.notification_uris = None;
    if manner.is_marked() {
        // A repetition is one of this <request>, and of no other request in the same words.
        request.context.redelivery = Redelivery::Possible;
        request.context.registrant = Some(node.id.clone());
    }
    request
}

/// Has the writer note something; returns when that is committed, or was not.
async fn note<S: Store>(cse: &Cse<S>, of: Seq, what: Progress) -> Result<(), Error> {
    let (done, is_done) = oneshot::channel();
    let stopping = |_| Error::Busy("it is shutting down");
    cse.0.jobs.send(Job::NonBlocking(Step { of, what, done })).await.map_err(stopping)?;
    drop(is_done.await);
    Ok(())
}
