//! Requests that arrive with a place in a line: each begins after the one before it, whichever connection is faster.

use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cse_core::error::Error;
use lru::LruCache;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::Place;

/// Lines that are remembered. Of one that was forgotten a request may wait in vain for one that has begun.
const LINES_MAX: NonZeroUsize = NonZeroUsize::new(4096).expect("not zero");

/// How long a request waits for the one before it, which may have been lost on its way.
const PATIENCE: Duration = Duration::from_secs(5);

/// See the module.
#[derive(Debug)]
pub(crate) struct Arrivals(Mutex<LruCache<u64, Line>>);

#[derive(Debug, Default)]
struct Line {
    /// The highest number that has begun, or is not waited for any more.
    begun: u64,
    /// Those that wait, with the number for which they do. Senders have few under way in a line.
    waiting: Vec<(u64, oneshot::Sender<()>)>,
}

impl Line {
    fn pass(&mut self, number: u64) {
        self.begun = self.begun.max(number);
        let begun = self.begun;
        for (_, waiting) in self.waiting.extract_if(.., |(after, _)| *after <= begun) {
            // It may have given up.
            let _ = waiting.send(());
        }
    }
}

/// It is a request's turn; when this is dropped it has begun, and those behind it may.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    arrivals: &'a Arrivals,
    place: Place,
}

impl Arrivals {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(LruCache::new(LINES_MAX)))
    }

    /// Waits for the request before this one, within reason.
    ///
    /// # Errors
    /// [`Error::Expired`] when later ones have not waited for this.
    pub(crate) async fn turn(&self, place: Place) -> Result<Turn<'_>, Error> {
        let waiting = {
            let mut lines = self.lines();
            let line = lines.get_or_insert_mut(place.line, Line::default);
            if place.number <= line.begun {
                return Err(Error::Expired("requests that follow it were carried out without it, as it came late"));
            }
            place.after.filter(|after| *after > line.begun).map(|after| {
                let (sender, receiver) = oneshot::channel();
                line.waiting.push((after, sender));
                receiver
            })
        };
        if let Some(waiting) = waiting
            && timeout(PATIENCE, waiting).await.is_err()
        {
            // From now on it is too late for those before.
            self.pass(place.line, place.number - 1);
        }
        Ok(Turn { arrivals: self, place })
    }

    fn pass(&self, line: u64, number: u64) {
        self.lines().get_or_insert_mut(line, Line::default).pass(number);
    }

    fn lines(&self) -> MutexGuard<'_, LruCache<u64, Line>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.arrivals.pass(self.place.line, self.place.number);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn place(number: u64, after: Option<u64>) -> Place {
        Place { line: 1, number, after }
    }

    #[tokio::test]
    async fn each_begins_after_the_one_before_it() {
        let arrivals = Arrivals::new();
        let mut third = Box::pin(arrivals.turn(place(3, Some(2))));
        let mut second = Box::pin(arrivals.turn(place(2, Some(1))));
        assert!(third.as_mut().now_or_never().is_none() && second.as_mut().now_or_never().is_none());
        let elsewhere = Place { line: 2, number: 9, after: None };
        assert!(arrivals.turn(elsewhere).now_or_never().is_some_and(|turn| turn.is_ok()), "another line");
        let first = arrivals.turn(place(1, None)).now_or_never().expect("at once").expect("a turn");
        assert!(second.as_mut().now_or_never().is_none(), "the first is not under way yet");
        drop(first);
        let turn = second.as_mut().now_or_never().expect("its turn").expect("a turn");
        assert!(third.as_mut().now_or_never().is_none());
        drop(turn);
        assert!(third.now_or_never().is_some_and(|turn| turn.is_ok()));
        let fourth = arrivals.turn(place(4, Some(3)));
        assert!(fourth.now_or_never().is_some_and(|turn| turn.is_ok()), "the third has begun before");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_lost_is_waited_for_within_reason_and_refused_when_it_comes_late() {
        let arrivals = Arrivals::new();
        let third = arrivals.turn(place(3, Some(2))).await.expect("a turn");
        for late in [1, 2] {
            assert!(matches!(arrivals.turn(place(late, None)).await, Err(Error::Expired(_))));
        }
        drop(third);
        assert!(matches!(arrivals.turn(place(3, None)).await, Err(Error::Expired(_))), "it was here");
        arrivals.turn(place(4, Some(3))).now_or_never().expect("at once").expect("a turn");
    }

    #[tokio::test]
    async fn who_gives_up_waiting_holds_nobody_up() {
        let arrivals = Arrivals::new();
        let mut second = Box::pin(arrivals.turn(place(2, Some(1))));
        assert!(second.as_mut().now_or_never().is_none());
        drop(second);
        drop(arrivals.turn(place(1, None)).await.expect("a turn"));
        assert!(arrivals.turn(place(3, Some(1))).now_or_never().is_some_and(|turn| turn.is_ok()));
    }

    #[tokio::test]
    async fn lines_are_forgotten_when_there_are_many() {
        let arrivals = Arrivals::new();
        for line in 0..2 * LINES_MAX.get() as u64 {
            drop(arrivals.turn(Place { line, number: 1, after: None }).await.expect("a turn"));
        }
        assert_eq!(arrivals.lines().len(), LINES_MAX.get());
    }
}
