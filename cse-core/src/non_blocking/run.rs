//! The task that carries out accepted requests, as many at a time as the settings allow, each by the ordinary path; those
//! of one originator for one other CSE one after another.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{oneshot, watch};
use tracing::Instrument;

use super::book::{Turn, patient_until};
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
    Again(Option<Timestamp>, Why),
}

/// Why a request is to be tried again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Why {
    /// The store failed, or no CSE on the way could be reached.
    NoWay,
    /// There was no answer.
    NoAnswer,
    /// All CSEs on the way are there, the entity behind them is not.
    EntityAway,
}

/// Runs until stopped. What is under way then is carried out after the next start, unless it is done by then.
pub(crate) async fn run<S: Store>(cse: Cse<S>, mut stop: watch::Receiver<bool>) {
    let mut under_way: FuturesUnordered<BoxFuture<'static, (Turn, Outcome)>> = FuturesUnordered::new();
    let width = cse.0.settings.non_blocking_width.max(1);
    let shared = Arc::clone(&cse.0);
    let (book, clock) = (&shared.non_blocking, &shared.clock);
    let mut line = shared.line.subscribe();
    loop {
        while under_way.len() < width
            && let Some(turn) = book.take_due(clock.now())
        {
            let cse = cse.clone();
            under_way.push(Box::pin(async move {
                let outcome = match &turn {
                    Turn::Free(seq) | Turn::InLane(_, seq) => carry_out(&cse, *seq).await,
                    Turn::TooLate(seq) => give_up(&cse, *seq).await,
                };
                (turn, outcome)
            }));
        }
        let pause = match book.next_due() {
            Some(at) if under_way.len() < width => at.since(clock.now()).min(LONGEST_PAUSE),
            _ => LONGEST_PAUSE,
        };
        // What is due and finds no place now has its turn when another one ends.
        let pause = pause.max(Duration::from_millis(1));
        tokio::select! {
            Some((turn, outcome)) = under_way.next(), if !under_way.is_empty() => ended(&cse, turn, outcome),
            () = book.changed() => {}
            Ok(()) = line.changed() => book.line_is_back(),
            () = clock.sleep(pause) => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
    }
}

/// Notes when a request is to be tried again, and what that means for those behind it.
fn ended<S: Store>(cse: &Cse<S>, turn: Turn, outcome: Outcome) {
    let shared = &cse.0;
    let (book, now) = (&shared.non_blocking, shared.clock.now());
    let later = |seq, latest: Option<Timestamp>| {
        let until = now.plus(shared.settings.retry_pause(book.attempt(seq)));
        latest.map_or(until, |latest| latest.min(until))
    };
    match (turn, outcome) {
        (Turn::Free(_) | Turn::TooLate(_), Outcome::Settled) => {}
        (Turn::Free(seq) | Turn::TooLate(seq), Outcome::Again(latest, _)) => book.postpone(seq, later(seq, latest)),
        (Turn::InLane(lane, _), Outcome::Settled) => book.done(&lane),
        (Turn::InLane(lane, seq), Outcome::Again(latest, Why::EntityAway)) => {
            book.leave_lane(&lane, seq, later(seq, latest));
        }
        (Turn::InLane(lane, seq), Outcome::Again(latest, why)) => {
            if why == Why::NoAnswer {
                // Whether the line is at fault is soon known.
                cse.check_uplink();
                if !book.is_worth_waiting_for(&lane, *shared.line.borrow()) {
                    return book.leave_lane(&lane, seq, later(seq, latest));
                }
            }
            book.failed(&lane, seq, now);
        }
    }
}

async fn carry_out<S: Store>(cse: &Cse<S>, seq: Seq) -> Outcome {
    let node = match pending(&mut cse.0.view(), seq).await {
        Ok(Some(node)) => node,
        Ok(None) => return Outcome::Settled,
        Err(_) => return Outcome::Again(None, Why::NoWay),
    };
    // Without it there is nothing to be carried out, and nobody to be told.
    let Ok(asked) = stored::request_of(&node) else { return Outcome::Settled };
    let manner = Manner::of(cse, &asked);
    let was_begun = node.attributes.contains(BEGUN);
    if manner == Manner::Irrevocable && is_too_late(cse, &node, &asked) {
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
            _ => return Outcome::Again(None, Why::NoWay),
        }
    }
    // The time that any other request has: it takes up a place. The next CSE, which counts its own, answers before.
    let timeout = cse.0.settings.request_timeout;
    let until = cse.0.clock.now().plus(if manner == Manner::PassedOn { timeout + timeout / 2 } else { timeout });
    let is_remote = manner == Manner::PassedOn;
    let patient_until = patient_until(&node, is_remote, &cse.0.settings);
    let mut through = Through::fulfilling((manner == Manner::AtOnce).then_some(seq), until);
    through.passed_on_as = is_remote.then(|| cse.0.lasting_identifier(node.creation_time, seq));
    let is_partial = Arc::clone(&through.is_partial);
    let is_notification = asked.operation == Operation::Notify;
    let request = to_carry_out(asked, manner, &node);
    let identifier = request.request_identifier.clone();
    let span = span_of(&request);
    let result = cse.attempt(request, through).instrument(span).await;
    // A CSE on the way may say so, too.
    let is_unanswered = is_remote
        && match &result {
            Ok(response) => response.status == Rsc::RequestTimeout,
            Err(error) => matches!(error, Error::Expired(_)),
        };
    let is_answered = result.is_ok();
    // An earlier attempt may have had its effect, whatever is said of this one.
    let is_in_doubt = is_remote && was_begun && matches!(result, Err(Error::NoRoute { .. } | Error::NotReachable(_)));
    let response = result.unwrap_or_else(|error| Response::error(identifier, &error));
    let extent = if is_partial.load(Ordering::Relaxed) { Extent::Partial } else { Extent::Whole };
    if response.status == Rsc::InternalServerError && *cse.0.stop.borrow() {
        return Outcome::Settled;
    }
    let is_unreachable = response.status == Rsc::TargetNotReachable;
    if (is_unreachable || is_unanswered || is_in_doubt) && cse.0.clock.now() < patient_until {
        if is_unreachable && !(is_remote && was_begun) {
            // Nobody was asked, so it can be recalled again.
            drop(note(cse, seq, Progress::Postponed).await);
        } else {
            drop(note(cse, seq, Progress::Forwarded).await);
        }
        // The hosting CSE does not say so of its own resources, so it is the line to it. Of entities it does.
        let why = match (is_unanswered, is_answered && is_notification) {
            (true, _) => Why::NoAnswer,
            (false, true) => Why::EntityAway,
            (false, false) => Why::NoWay,
        };
        let opening = if is_unreachable { cse.opening_of(target_of(&node)).await } else { None };
        let latest = opening.map_or(patient_until, |opening| opening.min(patient_until));
        return Outcome::Again(Some(latest), why);
    }
    if is_unreachable || is_unanswered {
        cse.0.metrics.non_blocking_given_up.increment();
    }
    if is_in_doubt {
        let error = Error::Expired("the answer was lost, and the other CSE cannot be asked again");
        return finish(cse, seq, Response::error(response.request_identifier, &error), extent).await;
    }
    finish(cse, seq, response, extent).await
}

/// Gives up a request for another CSE that could not be reached in time.
async fn give_up<S: Store>(cse: &Cse<S>, seq: Seq) -> Outcome {
    let node = match pending(&mut cse.0.view(), seq).await {
        Ok(Some(node)) => node,
        Ok(None) => return Outcome::Settled,
        Err(_) => return Outcome::Again(None, Why::NoWay),
    };
    let Ok(asked) = stored::request_of(&node) else { return Outcome::Settled };
    let error = if node.attributes.contains(BEGUN) {
        Error::Expired("the next CSE did not answer in time")
    } else if asked.request_expiration.is_some() {
        Error::Expired("the request expired (rqet) before its target could be reached")
    } else {
        Error::NotReachable(asked.to.to_string())
    };
    cse.0.metrics.non_blocking_given_up.increment();
    finish(cse, seq, Response::error(asked.request_identifier, &error), Extent::Whole).await
}

/// Puts the result into the `<request>`, where it is not yet.
async fn finish<S: Store>(cse: &Cse<S>, seq: Seq, response: Response, extent: Extent) -> Outcome {
    match pending(&mut cse.0.view(), seq).await {
        Ok(Some(_)) => {}
        Ok(None) => return Outcome::Settled,
        Err(_) => return Outcome::Again(None, Why::NoWay),
    }
    if note(cse, seq, Progress::Done(Box::new(response), extent)).await.is_err() {
        return Outcome::Settled;
    }
    match pending(&mut cse.0.view(), seq).await {
        Ok(None) => Outcome::Settled,
        // The store failed.
        Ok(Some(_)) | Err(_) => Outcome::Again(None, Why::NoWay),
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
