//! One who waits at a polling channel for requests.

use std::sync::Arc;

use tokio::sync::Notify;

use super::Polling;
use crate::error::Error;
use crate::id::Seq;
use crate::primitive::Request;
use crate::time::Timestamp;

/// Requests that are given at once where they are aggregated.
const AGGREGATED_MAX: usize = 100;
/// Bytes of these, roughly; one request may go beyond.
const AGGREGATED_BYTES_MAX: usize = 1024 * 1024;

/// A poll. It ends with this.
pub(crate) struct Poll<'a> {
    polling: &'a Polling,
    channel: Seq,
    number: u64,
    wake: Arc<Notify>,
}

/// What there is for a poll now.
enum Found {
    Requests(Vec<Request>),
    /// Nothing until a request comes, or until one that was fetched and not answered has its turn again.
    Nothing(Option<Timestamp>),
    Over(Error),
}

impl<'a> Poll<'a> {
    pub(super) fn new(polling: &'a Polling, channel: Seq, number: u64, wake: Arc<Notify>) -> Self {
        Self { polling, channel, number, wake }
    }

    /// Waits for requests: one, or with `aggregates` all that there are. Cancel safe.
    ///
    /// # Errors
    /// When another poll has taken the place of this one, the channel was deleted, or the CSE stops.
    pub(crate) async fn requests(&self, aggregates: bool) -> Result<Vec<Request>, Error> {
        let clock = &self.polling.clock;
        loop {
            let due = match self.find(aggregates) {
                Found::Requests(requests) => return Ok(requests),
                Found::Over(error) => return Err(error),
                Found::Nothing(due) => due,
            };
            let due = async {
                match due {
                    Some(due) => clock.sleep(due.since(clock.now())).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.wake.notified() => {}
                () = due => {}
            }
        }
    }

    fn find(&self, aggregates: bool) -> Found {
        let now = self.polling.clock.now();
        let time_to_answer = self.polling.limits.answer;
        let mut inner = self.polling.inner.lock();
        if inner.is_closed {
            return Found::Over(Error::Busy("it is shutting down"));
        }
        let Some(state) = inner.channels.get_mut(&self.channel) else {
            return Found::Over(Error::NotFound("the polling channel, which was deleted".into()));
        };
        if state.poll.as_ref().is_none_or(|(number, _)| *number != self.number) {
            return Found::Over(Error::Expired("a later poll has taken the place of this one"));
        }
        let (mut found, mut bytes, mut next_due) = (Vec::new(), 0, None::<Timestamp>);
        for waiting in state.waiting.values_mut() {
            if let Some(due) = waiting.fetched.map(|fetched| fetched.plus(time_to_answer)).filter(|due| *due > now) {
                next_due = Some(next_due.map_or(due, |next| next.min(due)));
                continue;
            }
            bytes += waiting.bytes;
            if !found.is_empty() && (!aggregates || found.len() >= AGGREGATED_MAX || bytes > AGGREGATED_BYTES_MAX) {
                break;
            }
            waiting.fetched = Some(now);
            found.push(waiting.request.clone());
        }
        if found.is_empty() { Found::Nothing(next_due) } else { Found::Requests(found) }
    }
}

impl Drop for Poll<'_> {
    fn drop(&mut self) {
        let now = self.polling.clock.now();
        let mut inner = self.polling.inner.lock();
        let Some(state) = inner.channels.get_mut(&self.channel) else { return };
        if state.poll.as_ref().is_some_and(|(number, _)| *number == self.number) {
            state.poll = None;
            state.polled = Some(now);
            inner.polls -= 1;
        }
    }
}
