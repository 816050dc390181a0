//! The task that carries out accepted requests, as many at a time as the settings allow, each by the ordinary path.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{oneshot, watch};

use super::{Progress, Step, pending, stored};
use crate::address::Target;
use crate::behaviour::request::BEGUN;
use crate::cse::Cse;
use crate::error::{Error, Rsc};
use crate::id::Seq;
use crate::node::Node;
use crate::op::fan_out::Through;
use crate::ports::{BoxFuture, Store};
use crate::primitive::{Operation, Redelivery, Request, ResponseType};
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
                    let factor = 2_u32.saturating_pow(book.attempt(seq).min(16));
                    let pause = settings.notification_retry_first.saturating_mul(factor);
                    let until = clock.now().plus(pause.min(settings.notification_retry_max));
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
    if manner == Manner::Irrevocable && !node.attributes.contains(BEGUN) {
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
    let request = to_carry_out(asked, manner, &node);
    let response = cse.answer(request, through).await;
    let is_ours = response.status == Rsc::InternalServerError;
    if is_ours && *cse.0.stop.borrow() {
        return Outcome::Settled;
    }
    if response.status == Rsc::TargetNotReachable && cse.0.clock.now() < patient_until {
        // Nobody was asked, so it can be recalled again.
        drop(note(cse, seq, Progress::Postponed).await);
        return Outcome::Again(Some(patient_until));
    }
    match pending(&mut cse.0.view(), seq).await {
        Ok(Some(_)) => {}
        Ok(None) => return Outcome::Settled,
        Err(_) => return Outcome::Again(None),
    }
    if note(cse, seq, Progress::Done(Box::new(response))).await.is_err() {
        return Outcome::Settled;
    }
    match pending(&mut cse.0.view(), seq).await {
        Ok(None) => Outcome::Settled,
        // The store failed.
        Ok(Some(_)) | Err(_) => Outcome::Again(None),
    }
}

/// How a request comes to its result.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Manner {
    /// Effect and result are one commit.
    AtOnce,
    /// It has no effect.
    Harmless,
    /// It leaves this CSE, or has many effects.
    Irrevocable,
}

impl Manner {
    fn of<S: Store>(cse: &Cse<S>, request: &Request) -> Self {
        let is_simple = match Target::of(&request.to, &cse.0.settings.identity) {
            Target::Local(target, _) => !target.contains("/fopt"),
            Target::Remote => false,
        };
        match request.operation {
            Operation::Retrieve => Self::Harmless,
            Operation::Create | Operation::Update | Operation::Delete if is_simple => Self::AtOnce,
            _ => Self::Irrevocable,
        }
    }
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
    if manner == Manner::Irrevocable {
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
