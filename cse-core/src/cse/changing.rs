//! Changes on their way through the writer: asked about where the network has a say, made once, answered in time.

use std::pin::pin;
use std::sync::Arc;

use futures_util::FutureExt;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::oneshot;
use tracing::Span;

use super::Cse;
use crate::access::elsewhere;
use crate::digest;
use crate::error::Error;
use crate::id::Seq;
use crate::op::{self, Answers, Cx};
use crate::outbox::Release;
use crate::ports::{ReplyKey, Store};
use crate::primitive::{Redelivery, Request, Response};
use crate::time::Timestamp;
use crate::writer::{Change, Job, Outcome};

/// How often the network may be asked for one change, besides for policies of other CSEs.
const ROUNDS_MAX: u8 = 4;

impl<S: Store> Cse<S> {
    /// Makes a change, once however often the request is delivered.
    pub(super) async fn change(&self, request: Request, cx: Cx, answers: Answers) -> Result<Response, Error> {
        if request.context.redelivery == Redelivery::Never {
            return self.change_now(request, cx, answers, None).await;
        }
        let key = digest::of(&request);
        if request.context.redelivery != Redelivery::New {
            self.0.under_way.wait(key).await;
        }
        let _place = self.0.under_way.begin(key);
        self.change_now(request, cx, answers, Some(key)).await
    }

    /// Has the writer make a change; asks the network where the writer wants that first.
    async fn change_now(
        &self,
        request: Request,
        cx: Cx,
        answers: Answers,
        key: Option<ReplyKey>,
    ) -> Result<Response, Error> {
        let deadline = cx.deadline;
        let mut change = (request, cx, answers);
        let mut lease = None;
        for _ in 0..ROUNDS_MAX + elsewhere::ROUNDS_MAX {
            let (reply, outcome) = oneshot::channel();
            let (request, cx, answers) = change;
            let job = Job::Change(Box::new(Change { request, cx, answers, key, span: Span::current(), reply }));
            self.enqueue(job, deadline).await?;
            match outcome.await.map_err(|_| Error::Internal)? {
                Outcome::Done(response, release) => {
                    drop(lease);
                    if let Some(release) = release {
                        self.hold(release, deadline).await;
                    }
                    return Ok(response);
                }
                Outcome::Ask(question, back) => {
                    change = *back;
                    let asking = Box::pin(async {
                        let leased = match &question {
                            op::Question::Block { resource, .. } => Some(*resource),
                            op::Question::Original(write_back) => Some(write_back.copy),
                            op::Question::Verify { .. }
                            | op::Question::Members { .. }
                            | op::Question::Policies(_)
                            | op::Question::Stem(_) => None,
                        };
                        if let Some(resource) = leased
                            && lease.is_none()
                        {
                            lease = Some(self.lease(resource).lock_owned().await);
                        }
                        self.ask(question, &mut change.2, deadline).await
                    });
                    // What waits for an answer, or for others that do, must not wait beyond its own time.
                    let time_left = self.0.clock.sleep(deadline.since(self.0.clock.now()));
                    tokio::select! {
                        biased;
                        asked = asking => asked?,
                        () = time_left => {
                            return Err(Error::Expired("the request expired while another entity was asked"));
                        }
                    }
                }
            }
        }
        Err(Error::Busy("what has to be asked of others for this change keeps changing"))
    }

    /// Waits until the notifications of a change are on their way, within the bound and long before the answer would
    /// be of no more use.
    async fn hold(&self, release: Release, deadline: Timestamp) {
        let clock = &self.0.clock;
        let longest = self.0.settings.notification_hold_max.min(deadline.since(clock.now()) / 2);
        let mut release = pin!(release.wait());
        if longest.is_zero() || release.as_mut().now_or_never().is_some() {
            return;
        }
        self.0.metrics.answers_held.increment();
        tokio::select! {
            () = release => {}
            () = clock.sleep(longest) => {}
        }
    }

    /// Puts a change into the queue of the writer; while that is full, waits for a place as long as the request lives.
    pub(crate) async fn enqueue(&self, job: Job, deadline: Timestamp) -> Result<(), Error> {
        let job = match self.0.jobs.try_send(job) {
            Ok(()) => return Ok(()),
            Err(TrySendError::Closed(_)) => return Err(Error::Busy("it is shutting down")),
            Err(TrySendError::Full(job)) => job,
        };
        let clock = &self.0.clock;
        tokio::select! {
            sent = self.0.jobs.send(job) => sent.map_err(|_| Error::Busy("it is shutting down")),
            () = clock.sleep(deadline.since(clock.now())) => Err(Error::Busy("too many changes wait to be carried out")),
        }
    }

    fn lease(&self, resource: Seq) -> Arc<tokio::sync::Mutex<()>> {
        let mut leases = self.0.leases.lock();
        // Those that nobody holds or waits for.
        leases.retain(|_, lease| Arc::strong_count(lease) > 1);
        Arc::clone(leases.entry(resource).or_default())
    }
}
