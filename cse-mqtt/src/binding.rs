//! Requests that come in over MQTT: from the topic and the payload to the CSE and back to an answer.
//!
//! One task takes messages in the order of arrival and gives each to the CSE before it looks at the next. Requests of one
//! originator keep their order ([`Lanes`]); those of different originators run side by side. Answers to requests of the CSE
//! do not come this way ([`addressing`]), so they wait for none of these. The answer is published first, then the
//! request is acknowledged: a crash in between brings the request again, and the record of the CSE answers it.

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use cse_core::error::Error;
use cse_core::id::CseIdentity;
use cse_core::ports::{BoxFuture, Dispatch};
use cse_core::primitive::{Binding, Context, Operation, Redelivery, ReleaseVersion, Request, Response, ResponseType};
use cse_core::value::Text;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use rustc_hash::FxHashMap;
use tokio::task::coop::{consume_budget, unconstrained};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use crate::correlation::Correlation;
use crate::expiry::time_left;
use crate::hop::{self, Hop};
use crate::lanes::{Class, Lanes, Place, is_poll};
use crate::legacy::Drafts;
use crate::link::{Acknowledgement, Inbound, Link, Publisher, Receipt, Refused, Subscription, Vouched};
use crate::options::BindingOptions;
use crate::redelivery::Recall;
use crate::security::Deletion;
use crate::stats::MqttStats;
use crate::topic::{Topics, level_of};

mod addressing;
mod reading;

use addressing::Addressed;
use reading::{Accepted, Reply};

/// How often slow requests are looked for, so an early acknowledgement comes up to this much later.
const SLOW_CHECK: Duration = Duration::from_millis(500);

/// One originator has at most one of so many places for requests that are carried out, so that a flood of its requests,
/// however long each takes, leaves places for others.
const ORIGINATOR_SHARE: usize = 4;

/// Polls have at most one of so many places for requests that are carried out, however many wait for how long.
const POLLS_SHARE: usize = 4;

/// What all parts of a binding share.
#[derive(Clone)]
pub(crate) struct Common {
    pub(crate) identity: Arc<CseIdentity>,
    pub(crate) topics: Arc<Topics>,
    pub(crate) options: Arc<BindingOptions>,
    pub(crate) stats: Arc<MqttStats>,
    pub(crate) correlation: Arc<Correlation>,
    pub(crate) drafts: Arc<Drafts>,
    /// The topic level of the only entity whose requests are taken, if there is one.
    pub(crate) only_peer: Option<Arc<str>>,
}

impl Common {
    pub(crate) fn new(identity: &CseIdentity, options: BindingOptions) -> Self {
        let stats: Arc<MqttStats> = Arc::default();
        let topics = Topics::new(identity, &options.topic_prefix);
        Self {
            identity: Arc::new(identity.clone()),
            only_peer: options.only_peer.as_deref().map(|peer| level_of(peer).unwrap_or_default().into()),
            drafts: Arc::new(Drafts::new(identity, &topics, options.early_draft.clone())),
            topics: Arc::new(topics),
            correlation: Correlation::new(identity.clone(), options.pending_requests_max, Arc::clone(&stats)),
            options: Arc::new(options),
            stats,
        }
    }

    /// What the link to our own broker is subscribed to.
    pub(crate) fn subscriptions(&self) -> Vec<Subscription> {
        if let Some(peer) = &self.only_peer {
            return Subscription::needed(self.topics.filters_of_peer(peer)).collect();
        }
        // A broker that serves one service provider may know nothing of absolute identifiers.
        let absolute = Subscription::wanted(self.topics.absolute_filters());
        let drafts = self.drafts.subscriptions();
        Subscription::needed(self.topics.filters()).chain(absolute).chain(drafts).collect()
    }
}

/// A request that is being carried out.
struct Running {
    reply: Reply,
    request_identifier: Text,
    release_version: Option<ReleaseVersion>,
    wants_answer: bool,
    /// When the answer is of no use any more (`rset`).
    answer_expires: Option<Instant>,
    acknowledgement: Option<Box<dyn Acknowledgement>>,
    /// Where others wait for this one.
    lane: Option<Place>,
    is_poll: bool,
    /// Holds what the sender is subscribed to until it has the answer.
    _deletion: Option<Deletion>,
}

/// A request that can be carried out, with its number and the bytes of its message.
struct Ready {
    number: u64,
    request: Request,
    bytes: usize,
}

/// The number of a running request and what became of it; `None` if it panicked.
type Finished = (u64, Option<Response>);

/// The receiving side of a binding.
pub(crate) struct Receiver<D> {
    common: Common,
    dispatch: D,
    publisher: Arc<dyn Publisher>,
    recall: Recall,
    futures: FuturesUnordered<BoxFuture<'static, Finished>>,
    /// Requests that are being carried out, or wait for others of their originator.
    running: FxHashMap<u64, Running>,
    lanes: Lanes<Ready>,
    /// Requests whose turn has come.
    released: VecDeque<Ready>,
    is_stopping: bool,
    /// When the running requests came, by number.
    arrivals: VecDeque<(Instant, u64)>,
    waiting_bytes: usize,
    /// How many of the running requests are polls.
    polls: usize,
    next_number: u64,
}

impl<D: Dispatch> Receiver<D> {
    pub(crate) fn new(common: Common, dispatch: D, publisher: Arc<dyn Publisher>, recall: Recall) -> Self {
        let BindingOptions { concurrent_requests_max, waiting_per_originator_max, .. } = *common.options;
        let lanes = Lanes::new(concurrent_requests_max.div_ceil(ORIGINATOR_SHARE), waiting_per_originator_max);
        Self {
            common,
            dispatch,
            publisher,
            recall,
            futures: FuturesUnordered::new(),
            running: FxHashMap::default(),
            lanes,
            released: VecDeque::new(),
            is_stopping: false,
            arrivals: VecDeque::new(),
            waiting_bytes: 0,
            polls: 0,
            next_number: 0,
        }
    }

    /// Takes requests until told to stop or the link ends, then lets the running ones end.
    pub(crate) async fn serve<L: Link>(mut self, mut link: L, stop: impl Future<Output = ()> + Send) {
        let mut stop = pin!(stop);
        let mut slow_check = interval(SLOW_CHECK);
        slow_check.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = &mut stop => break,
                Some(finished) = self.futures.next(), if !self.futures.is_empty() => self.finish(finished),
                now = slow_check.tick() => self.acknowledge_slow(now),
                inbound = link.receive(), if self.has_room() => match inbound {
                    Some(inbound) => self.take(inbound),
                    None => break,
                },
            }
            // A link with a full queue is always ready; others on this thread want their turn.
            consume_budget().await;
        }
        // What waits is not acknowledged and comes again.
        self.is_stopping = true;
        let grace = self.common.options.stop_grace;
        let finish_all = async {
            while let Some(finished) = self.futures.next().await {
                self.finish(finished);
            }
        };
        if timeout(grace, finish_all).await.is_err() {
            tracing::warn!(requests = self.futures.len(), "requests did not end in time; they will be redelivered");
        }
        if timeout(grace, link.close()).await.is_err() {
            tracing::warn!("the broker did not take all messages in time");
        }
    }

    fn has_room(&self) -> bool {
        let options = &self.common.options;
        let waiting = self.lanes.waiting() + self.released.len();
        waiting < options.waiting_requests_max && self.waiting_bytes < options.waiting_bytes_max
    }

    /// Takes the next message. Answers to our own requests are not among them: the link has taken these.
    fn take(&mut self, inbound: Inbound) {
        let Common { drafts, stats, options, topics, only_peer, .. } = &self.common;
        stats.received.increment();
        let restricted = options.restricted.as_ref();
        let topic = Arc::clone(&inbound.topic);
        let (read, claimed) = match self.common.addressed(&topic) {
            Addressed::Request(topic) if self.common.is_for_others(&topic) => {
                stats.unknown_topics.increment();
                tracing::warn!(topic = &*inbound.topic, "request of somebody who has nothing to ask here");
                return acknowledge(inbound.acknowledgement);
            }
            Addressed::Request(topic) => {
                let level = topics.relative_level(topic.originator);
                let peer = only_peer.as_ref().map(|_| Vouched::Cse);
                let vouched = inbound.vouched.or(peer).or_else(|| restricted?.vouch(level));
                let hop = Hop { kind: topic.kind, level, vouched };
                (self.common.read(&topic, hop, &inbound.payload), hop::claimed_credential(&topic))
            }
            Addressed::DraftRequest(topic) => {
                // These topics do not say who speaks, so they are nobody's.
                let vouched = inbound.vouched.or(restricted.map(|_| Vouched::Not));
                (self.common.read_draft(&topic, vouched, &inbound.payload), None)
            }
            Addressed::UnservedDraft => {
                drafts.notice(&topic, &inbound.payload, stats);
                return acknowledge(inbound.acknowledgement);
            }
            Addressed::Answer(_) | Addressed::DraftAnswer | Addressed::Elsewhere => {
                stats.unknown_topics.increment();
                tracing::warn!(topic = &*topic, "message on a topic that is not for this CSE");
                return acknowledge(inbound.acknowledgement);
            }
        };
        match read {
            Ok(accepted) => self.admit(accepted, claimed, inbound),
            Err(refusal) => self.refuse(refusal.map(|(response, reply)| (*response, reply)), inbound.acknowledgement),
        }
    }

    /// Answers what is not carried out, if there is an answer to it.
    fn refuse(&self, refusal: Option<(Response, Reply)>, acknowledgement: Option<Box<dyn Acknowledgement>>) {
        match refusal.map(|(response, reply)| self.try_publish(&reply, response, None)) {
            None => acknowledge(acknowledgement),
            Some(Ok(mut receipt)) => acknowledge_answered(receipt.as_mut(), acknowledgement),
            Some(Err(())) => {}
        }
    }

    /// Gives a request its place: with the CSE, or behind others.
    fn admit(&mut self, accepted: Accepted, claimed: Option<Text>, inbound: Inbound) {
        let Accepted { mut request, reply, registrant } = accepted;
        let class = Class::of(&request);
        let place = self.lanes.place_of(self.originator(&reply, &request), &request, &self.common.identity);
        let wants_answer = request.response_type != ResponseType::NoResponse;
        let is_poll = is_poll(&request);
        if is_poll && self.polls >= self.common.options.concurrent_requests_max.div_ceil(POLLS_SHARE) {
            self.common.stats.polls_refused.increment();
            let error = Error::Busy("too many wait at polling channels over MQTT; try again later");
            let response = Response::error(request.request_identifier, &error).in_release(request.release_version);
            return self.refuse(wants_answer.then_some((response, reply)), inbound.acknowledgement);
        }
        if class.is_some_and(|class| !self.lanes.has_room(&place, class)) {
            self.common.stats.refused_as_too_many.increment();
            tracing::debug!(?place, "too many requests of one originator wait");
            let error =
                Error::Busy("too many requests of this originator are waiting; try again when some are answered");
            let response = Response::error(request.request_identifier, &error).in_release(request.release_version);
            return self.refuse(wants_answer.then_some((response, reply)), inbound.acknowledgement);
        }
        let redelivery = self.recall.judge(inbound.duplicate, &reply.originator, &request.request_identifier);
        if redelivery == Redelivery::Possible {
            self.common.stats.possible_redeliveries.increment();
        }
        let peer = hop::with_credential(claimed, inbound.peer);
        let peer = match &self.common.options.restricted {
            Some(broker) => broker.bind(&self.common.identity, peer),
            None => peer,
        };
        let security = self.common.options.security.as_ref();
        let deletion =
            security.filter(|_| request.operation == Operation::Delete).and_then(|it| it.begin_deletion(&peer));
        let sender = request.context.sender.take();
        request.context = Context { binding: Binding::Mqtt, peer, sender, redelivery, registrant };
        let mut running = Running {
            reply,
            request_identifier: request.request_identifier.clone(),
            release_version: request.release_version,
            wants_answer,
            answer_expires: request.result_expiration.and_then(|until| Instant::now().checked_add(time_left(until))),
            acknowledgement: inbound.acknowledgement,
            lane: class.map(|_| place.clone()),
            is_poll,
            _deletion: deletion,
        };
        if is_poll {
            // It changes nothing and may be sent again; the acknowledgements behind it, which keep their order
            // towards a broker, must not wait for its answer.
            acknowledge(running.acknowledgement.take());
            self.polls += 1;
        }
        let number = self.next_number;
        self.next_number += 1;
        self.running.insert(number, running);
        let ready = Ready { number, request, bytes: inbound.payload.len() };
        self.waiting_bytes += ready.bytes;
        let now = match class {
            Some(class) => self.lanes.enter(&place, class, ready),
            None => Some(ready),
        };
        self.released.extend(now);
        self.start_waiting();
        if self.common.options.acknowledge_after.is_some() && self.running.contains_key(&number) {
            self.arrivals.push_back((Instant::now(), number));
        }
    }

    /// Starts those whose turn has come, as far as there are places.
    fn start_waiting(&mut self) {
        while self.futures.len() < self.common.options.concurrent_requests_max && !self.is_stopping {
            let Some(ready) = self.released.pop_front() else { return };
            self.waiting_bytes -= ready.bytes;
            self.carry_out(ready.number, ready.request);
        }
    }

    /// In one form, whatever the spelling. A CSE passes on requests of many, which do not wait for one another.
    fn originator(&self, reply: &Reply, request: &Request) -> Text {
        match &request.from {
            Some(from) => self.common.identity.canonical_originator(from).as_str().into(),
            None => reply.originator.clone(),
        }
    }

    fn carry_out(&mut self, number: u64, request: Request) {
        self.common.stats.dispatched.increment();
        let dispatch = self.dispatch.clone();
        let work = async move { dispatch.dispatch(request).await };
        let mut future: BoxFuture<'static, Finished> =
            Box::pin(AssertUnwindSafe(work).catch_unwind().map(move |response| (number, response.ok())));
        // The first poll happens here, before the next message is looked at: that is the order of effects. It must not
        // be put off for fairness to other tasks, so it is unconstrained; the loop yields instead. What is not
        // ready at once is polled again as soon as it is among the others.
        match unconstrained(&mut future).now_or_never() {
            Some(finished) => self.finish_one(finished),
            None => self.futures.push(future),
        }
    }

    fn finish(&mut self, finished: Finished) {
        self.finish_one(finished);
        while self.arrivals.front().is_some_and(|(_, number)| !self.running.contains_key(number)) {
            self.arrivals.pop_front();
        }
        self.start_waiting();
    }

    fn finish_one(&mut self, (number, response): Finished) {
        let Some(running) = self.running.remove(&number) else { return };
        if let Some(place) = &running.lane {
            self.lanes.leave(place, &mut self.released);
        }
        self.polls -= usize::from(running.is_poll);
        let response = response.unwrap_or_else(|| {
            self.common.stats.panics.increment();
            tracing::error!(request_identifier = running.request_identifier.as_str(), "a request panicked");
            Response::error(running.request_identifier.clone(), &Error::Internal).in_release(running.release_version)
        });
        if running.wants_answer {
            self.publish_followed(&running.reply, response, running.answer_expires, running.acknowledgement);
        } else {
            self.common.stats.unanswered_by_wish.increment();
            self.recall.answered(&running.reply.originator, &running.request_identifier, None);
            acknowledge(running.acknowledgement);
        }
    }

    /// Publishes an answer, acknowledges the request when that may be done, and remembers to follow the answer.
    fn publish_followed(
        &mut self,
        reply: &Reply,
        response: Response,
        expires: Option<Instant>,
        acknowledgement: Option<Box<dyn Acknowledgement>>,
    ) {
        let request_identifier = response.request_identifier.clone();
        match self.try_publish(reply, response, expires) {
            Ok(mut receipt) => {
                acknowledge_answered(receipt.as_mut(), acknowledgement);
                self.recall.answered(&reply.originator, &request_identifier, receipt);
                if let Recall::Followed(answers) = &mut self.recall {
                    self.common.stats.answers_forgotten.add(answers.take_forgotten());
                }
            }
            Err(()) => self.recall.answered(&reply.originator, &request_identifier, None),
        }
    }

    fn try_publish(
        &self,
        reply: &Reply,
        response: Response,
        expires: Option<Instant>,
    ) -> Result<Option<Box<dyn Receipt>>, ()> {
        let Reply { topic, originator, form } = reply;
        let expiry = expires.map(|expires| expires.saturating_duration_since(Instant::now()));
        let (request_identifier, release_version) = (response.request_identifier.clone(), response.release_version);
        let published = match self.publisher.publish_answer(topic.clone(), form.answer(response), expiry) {
            Err(Refused::TooLarge(bytes)) => {
                let text = format!("the result has {bytes} bytes, more than the MQTT broker takes");
                let response = Response::error(request_identifier, &Error::TooLarge(text)).in_release(release_version);
                self.publisher.publish_answer(topic.clone(), form.answer(response), expiry)
            }
            other => other,
        };
        match published {
            Ok(receipt) => {
                self.common.stats.answered.increment();
                Ok(receipt)
            }
            Err(refused) => {
                self.common.stats.answers_refused.increment();
                tracing::warn!(originator = originator.as_str(), %refused, "answer could not be published");
                Err(())
            }
        }
    }

    /// Acknowledges requests that take long, see [`BindingOptions::acknowledge_after`].
    fn acknowledge_slow(&mut self, now: Instant) {
        let Some(limit) = self.common.options.acknowledge_after else { return };
        while let Some(&(arrival, number)) = self.arrivals.front() {
            if now.saturating_duration_since(arrival) < limit {
                return;
            }
            self.arrivals.pop_front();
            if let Some(acknowledgement) =
                self.running.get_mut(&number).and_then(|running| running.acknowledgement.take())
            {
                self.common.stats.acknowledged_early.increment();
                acknowledgement.acknowledge();
            }
        }
    }
}

fn acknowledge(acknowledgement: Option<Box<dyn Acknowledgement>>) {
    if let Some(acknowledgement) = acknowledgement {
        acknowledgement.acknowledge();
    }
}

/// Acknowledges a request whose answer has been published.
fn acknowledge_answered(answer: Option<&mut Box<dyn Receipt>>, acknowledgement: Option<Box<dyn Acknowledgement>>) {
    match (answer, acknowledgement) {
        (Some(answer), Some(acknowledgement)) => answer.acknowledge_when_safe(acknowledgement),
        (None, acknowledgement) => acknowledge(acknowledgement),
        (Some(_), None) => {}
    }
}

#[cfg(test)]
mod tests;
