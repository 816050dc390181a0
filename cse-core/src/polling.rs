//! Requests that wait in polling channels for those who fetch them (TS-0001 §9.6.21, TS-0004 §7.4.22).
//!
//! A request is with its sender all the time: the sender waits for the answer, and when it stops waiting the request is
//! gone from here, too. Fetching does not take a request out, since nobody can know whether the answer to the poll
//! arrives: who does not answer in time is given it again. So nothing here has to be durable; notifications are kept in
//! the outbox until they are answered.

mod poll;

pub(crate) use poll::Poll;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use tokio::sync::{Notify, oneshot};

use crate::error::Error;
use crate::id::Seq;
use crate::ports::{Clock, SendError, Sent};
use crate::primitive::{Request, Response};
use crate::resource::approximate_bytes;
use crate::settings::Settings;
use crate::time::Timestamp;

/// See the module.
pub(crate) struct Polling {
    inner: Mutex<Inner>,
    limits: Limits,
    clock: Arc<dyn Clock>,
}

struct Limits {
    per_channel: usize,
    requests: usize,
    bytes: usize,
    polls: usize,
    /// How long the owner of a channel has to answer what it fetched.
    answer: Duration,
}

#[derive(Default)]
struct Inner {
    channels: FxHashMap<Seq, Channel>,
    requests: usize,
    bytes: usize,
    polls: usize,
    /// Of the next request or poll.
    number: u64,
    is_closed: bool,
}

struct Channel {
    /// In the order in which they came.
    waiting: BTreeMap<u64, Waiting>,
    /// Who waits for a request.
    poll: Option<(u64, Arc<Notify>)>,
    /// When the last poll ended.
    polled: Option<Timestamp>,
    /// Whether something may have been sent in vain since the last poll began.
    has_missed: bool,
}

impl Default for Channel {
    fn default() -> Self {
        // An earlier process may have tried.
        Self { waiting: BTreeMap::new(), poll: None, polled: None, has_missed: true }
    }
}

impl Channel {
    /// Whether somebody fetches, or did so a moment ago.
    fn is_polled(&self, now: Timestamp, grace: Duration) -> bool {
        self.poll.is_some() || self.polled.is_some_and(|polled| polled.plus(grace) > now)
    }

    fn is_unused(&self) -> bool {
        self.waiting.is_empty() && self.poll.is_none() && self.polled.is_none()
    }
}

/// A request that waits to be fetched or answered.
struct Waiting {
    request: Request,
    bytes: usize,
    since: Timestamp,
    fetched: Option<Timestamp>,
    answer: oneshot::Sender<Response>,
}

impl Polling {
    pub(crate) fn new(settings: &Settings, clock: Arc<dyn Clock>) -> Self {
        let limits = Limits {
            per_channel: settings.polling_requests_per_channel_max,
            requests: settings.polling_requests_max,
            bytes: settings.polling_bytes_max,
            polls: settings.polls_max,
            answer: settings.notification_timeout,
        };
        Self { inner: Mutex::default(), limits, clock }
    }

    /// Begins to wait for requests; an earlier poll of the same channel ends, since its sender may be gone. Also says
    /// whether something may have been sent in vain before.
    ///
    /// # Errors
    /// [`Error::Busy`].
    pub(crate) fn poll(&self, channel: Seq) -> Result<(Poll<'_>, bool), Error> {
        let mut inner = self.inner.lock();
        if inner.is_closed {
            return Err(Error::Busy("it is shutting down"));
        }
        let Inner { channels, polls, number, .. } = &mut *inner;
        let state = channels.entry(channel).or_default();
        match &state.poll {
            Some((_, before)) => before.notify_one(),
            None if *polls >= self.limits.polls => return Err(Error::Busy("too many wait at polling channels")),
            None => *polls += 1,
        }
        *number += 1;
        let wake = Arc::new(Notify::new());
        state.poll = Some((*number, Arc::clone(&wake)));
        let has_missed = std::mem::replace(&mut state.has_missed, false);
        Ok((Poll::new(self, channel, *number, wake), has_missed))
    }

    /// Whether somebody fetches from a channel. If not, whoever begins to is told that something may have been missed.
    pub(crate) fn is_polled(&self, channel: Seq) -> bool {
        let now = self.clock.now();
        self.inner.lock().is_polled(channel, now, self.limits.answer)
    }

    /// Puts a request into a channel. Unless it is patient, only while the channel is polled.
    ///
    /// # Errors
    /// [`SendError::Unreachable`], also at the bounds.
    pub(crate) fn put(&self, channel: Seq, request: Request, is_patient: bool) -> Result<Place<'_>, SendError> {
        let unreachable = |problem: &str| Err(SendError::Unreachable(problem.into()));
        let now = self.clock.now();
        let bytes = 256 + request.content.as_ref().map_or(0, approximate_bytes);
        let mut inner = self.inner.lock();
        let is_full = inner.requests >= self.limits.requests || inner.bytes + bytes > self.limits.bytes;
        let is_polled = inner.is_polled(channel, now, self.limits.answer);
        let Inner { channels, requests, bytes: bytes_waiting, number, .. } = &mut *inner;
        if !is_patient && !is_polled {
            return unreachable("nobody fetches from its polling channel");
        }
        let state = channels.entry(channel).or_default();
        if is_full || state.waiting.len() >= self.limits.per_channel {
            state.has_missed = true;
            return unreachable("too many requests wait in its polling channel, or in all");
        }
        *number += 1;
        *requests += 1;
        *bytes_waiting += bytes;
        let (answer, answered) = oneshot::channel();
        state.waiting.insert(*number, Waiting { request, bytes, since: now, fetched: None, answer });
        if let Some((_, wake)) = &state.poll {
            wake.notify_one();
        }
        Ok(Place { polling: self, channel, number: *number, is_patient, answered })
    }

    /// Hands an answer over to the one who waits for it; `false` if no such request was fetched from the channel.
    pub(crate) fn answer(&self, channel: Seq, response: Response) -> bool {
        let mut inner = self.inner.lock();
        let Some(state) = inner.channels.get(&channel) else { return false };
        let number = state.waiting.iter().find_map(|(number, waiting)| {
            let is_it = waiting.fetched.is_some() && waiting.request.request_identifier == response.request_identifier;
            is_it.then_some(*number)
        });
        let waiting = number.and_then(|number| inner.take_out(channel, number));
        waiting.is_some_and(|waiting| waiting.answer.send(response).is_ok())
    }

    /// Forgets channels that are among these resources; who waits for them, on either side, is told.
    pub(crate) fn deleted(&self, resources: &[Seq]) {
        let mut inner = self.inner.lock();
        if inner.channels.is_empty() {
            return;
        }
        for resource in resources {
            let Some(state) = inner.channels.remove(resource) else { continue };
            inner.requests -= state.waiting.len();
            inner.bytes -= state.waiting.values().map(|waiting| waiting.bytes).sum::<usize>();
            if let Some((_, wake)) = &state.poll {
                inner.polls -= 1;
                wake.notify_one();
            }
        }
    }

    /// How many polls, and how many requests, are waiting.
    pub(crate) fn waiting(&self) -> (usize, usize) {
        let inner = self.inner.lock();
        (inner.polls, inner.requests)
    }

    /// Ends all polls and takes no more.
    pub(crate) fn close(&self) {
        let mut inner = self.inner.lock();
        inner.is_closed = true;
        for (_, wake) in inner.channels.values().filter_map(|state| state.poll.as_ref()) {
            wake.notify_one();
        }
    }
}

impl Inner {
    fn is_polled(&mut self, channel: Seq, now: Timestamp, grace: Duration) -> bool {
        let Some(state) = self.channels.get_mut(&channel) else { return false };
        let is_polled = state.is_polled(now, grace);
        state.has_missed |= !is_polled;
        is_polled
    }

    fn take_out(&mut self, channel: Seq, number: u64) -> Option<Waiting> {
        let waiting = self.channels.get_mut(&channel)?.waiting.remove(&number)?;
        self.requests -= 1;
        self.bytes -= waiting.bytes;
        // What nobody has polled since the start says nothing; it may even have been deleted.
        if self.channels.get(&channel).is_some_and(Channel::is_unused) {
            self.channels.remove(&channel);
        }
        Some(waiting)
    }
}

/// A request in a channel. It leaves with this.
pub(crate) struct Place<'a> {
    polling: &'a Polling,
    channel: Seq,
    number: u64,
    is_patient: bool,
    answered: oneshot::Receiver<Response>,
}

impl Place<'_> {
    /// Waits for the answer: a patient one until it expires; others as long as the channel is polled, and once the
    /// request was fetched as long as the owner has to answer.
    ///
    /// # Errors
    /// [`SendError::Unreachable`], and [`SendError::Unconfirmed`] once it was fetched.
    pub(crate) async fn answer(mut self, expires: Timestamp) -> Result<Sent, SendError> {
        let clock = Arc::clone(&self.polling.clock);
        loop {
            let until = if self.is_patient { Some(expires) } else { self.patience_ends() };
            let now = clock.now();
            let Some(until) = until.filter(|until| *until > now) else {
                return Err(self.give_up());
            };
            tokio::select! {
                biased;
                answered = &mut self.answered => return match answered {
                    Ok(response) => Ok(Sent::Answered(Box::new(response))),
                    Err(_) => Err(SendError::Unreachable("its polling channel was deleted".into())),
                },
                () = clock.sleep(until.since(now)) => {}
            }
        }
    }

    fn patience_ends(&self) -> Option<Timestamp> {
        let inner = self.polling.inner.lock();
        let state = inner.channels.get(&self.channel)?;
        let waiting = state.waiting.get(&self.number)?;
        let last = match (waiting.fetched, &state.poll) {
            (Some(fetched), _) => fetched,
            (None, Some(_)) => self.polling.clock.now(),
            (None, None) => state.polled.map_or(waiting.since, |polled| polled.max(waiting.since)),
        };
        Some(last.plus(self.polling.limits.answer))
    }

    /// Notes that the request leaves without an answer; says why there is none.
    fn give_up(&self) -> SendError {
        let mut inner = self.polling.inner.lock();
        let Some(state) = inner.channels.get_mut(&self.channel) else {
            return SendError::Unreachable("its polling channel was deleted".into());
        };
        state.has_missed = true;
        match state.waiting.get(&self.number) {
            Some(Waiting { fetched: Some(_), .. }) => {
                SendError::Unconfirmed("it fetched the request and did not answer in time".into())
            }
            _ => SendError::Unreachable("it did not fetch the request from its polling channel in time".into()),
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        drop(self.polling.inner.lock().take_out(self.channel, self.number));
    }
}
