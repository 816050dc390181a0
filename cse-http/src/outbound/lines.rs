//! Keeps requests in order that have to arrive so: over several connections they would overtake one another. Each
//! originator has a line of its own to each target at each host, so that none waits for another.
//!
//! In a line one request is under way at a time, unless the target is at the CSE to which it goes and that has said that
//! it keeps the order of several ([`crate::order`]).

use std::collections::hash_map::RandomState;
use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::BuildHasher;
use std::sync::{Mutex, MutexGuard, PoisonError};

use cse_core::ports::{Destination, OutgoingRequest};
use cse_core::value::Text;
use tokio::sync::oneshot;

use crate::order::Place;

/// Requests of one line that are under way to a host that keeps their order.
const UNDER_WAY_MAX: usize = 16;

/// Hosts that are known to keep the order; at more all are asked anew.
const HOSTS_MAX: usize = 1024;

/// Lines in which requests wait or travel. They are as many as requests at most, which the core bounds.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// Makes the names of lines towards receivers, which nobody else can guess.
    naming: RandomState,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    lines: HashMap<Key, VecDeque<Waiter>>,
    keeping: HashSet<String>,
    numbers: u64,
}

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct Key {
    originator: Text,
    target: Text,
    /// Scheme, host and port.
    host: String,
    /// Whether the target is at the CSE that is asked, which has not to pass the request on.
    is_there: bool,
}

/// A request in a line, from when it comes until it is answered or given up.
#[derive(Debug)]
struct Waiter {
    number: u64,
    /// What it waits for; `None` for those under way, which are the first ones.
    go: Option<oneshot::Sender<()>>,
}

/// A place in a line, until it is dropped.
#[derive(Debug)]
pub(super) struct InLine<'a> {
    lines: &'a Lines,
    key: Key,
    number: u64,
}

impl Lines {
    /// Waits until a request may leave; `None` at once if order does not matter. The place in the line is taken when this
    /// is first polled.
    pub(super) async fn turn(&self, outgoing: &OutgoingRequest) -> Option<InLine<'_>> {
        let key = outgoing.in_order.then(|| Key::of(outgoing))?;
        // Made before the wait, so that a line is also left by those who give up waiting.
        let (in_line, go) = self.enter(key);
        if let Some(go) = go {
            // The other end stays as long as the place.
            let _ = go.await;
        }
        Some(in_line)
    }

    fn enter(&self, key: Key) -> (InLine<'_>, Option<oneshot::Receiver<()>>) {
        let mut state = self.state();
        state.numbers += 1;
        let number = state.numbers;
        let together = state.together(&key);
        let line = state.lines.entry(key.clone()).or_default();
        let (go, gone) = (line.len() >= together).then(oneshot::channel).unzip();
        line.push_back(Waiter { number, go });
        (InLine { lines: self, key, number }, gone)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn together(&self, key: &Key) -> usize {
        if key.is_there && self.keeping.contains(&key.host) { UNDER_WAY_MAX } else { 1 }
    }
}

impl InLine<'_> {
    /// What the request says of its place. Those before it that are given up by now are not named.
    pub(super) fn place(&self) -> Place {
        let state = self.lines.state();
        let before = state.lines.get(&self.key).and_then(|line| line.iter().rfind(|other| other.number < self.number));
        let line = self.lines.naming.hash_one(&self.key);
        Place { line, number: self.number, after: before.map(|other| other.number) }
    }

    /// Notes whether the host keeps the order, as its answer says.
    pub(super) fn heard(&self, keeps: bool) {
        let mut state = self.lines.state();
        if state.keeping.contains(&self.key.host) == keeps {
            return;
        }
        if !keeps {
            state.keeping.remove(&self.key.host);
            return;
        }
        if state.keeping.len() >= HOSTS_MAX {
            state.keeping.clear();
        }
        state.keeping.insert(self.key.host.clone());
    }
}

impl Drop for InLine<'_> {
    fn drop(&mut self) {
        let mut state = self.lines.state();
        let together = state.together(&self.key);
        let Some(line) = state.lines.get_mut(&self.key) else { return };
        line.retain(|waiter| waiter.number != self.number);
        for go in line.iter_mut().take(together).filter_map(|waiter| waiter.go.take()) {
            // It leaves the line by itself if it has given up.
            let _ = go.send(());
        }
        if line.is_empty() {
            state.lines.remove(&self.key);
        }
    }
}

impl Key {
    fn of(outgoing: &OutgoingRequest) -> Self {
        let url = outgoing.destination.as_str();
        let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let target = outgoing.request.to.clone();
        let is_there = matches!(&outgoing.destination, Destination::PointOfAccess { entity, .. }
            if target.strip_prefix(entity.as_str()).is_some_and(|rest| rest.starts_with('/')));
        Self {
            originator: outgoing.request.from.clone().unwrap_or_default(),
            target,
            host: format!("{scheme}://{host}").to_ascii_lowercase(),
            is_there,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use cse_core::codec::Serialization;
    use cse_core::ports::Patience;
    use cse_core::primitive::{Operation, Request};
    use futures_util::FutureExt;

    use super::*;

    fn outgoing(from: &str, url: &str, in_order: bool) -> OutgoingRequest {
        OutgoingRequest {
            destination: Destination::PointOfAccess { url: url.into(), entity: "/id-in".into() },
            request: Request::new(Operation::Create, "/id-in/cse-in", from, "1"),
            serialization: Serialization::Json,
            timeout: Duration::from_secs(1),
            patience: Patience::default(),
            in_order,
        }
    }

    fn now<'a>(lines: &'a Lines, outgoing: &OutgoingRequest) -> InLine<'a> {
        lines.turn(outgoing).now_or_never().expect("free").expect("a line")
    }

    #[test]
    fn one_of_a_line_goes_at_a_time_in_order_and_other_lines_do_not_wait() {
        let lines = Lines::default();
        let one = outgoing("/id-mn/Ca", "http://in.example:8080/x", true);
        let first = now(&lines, &one);
        let mut second = Box::pin(lines.turn(&one));
        let mut third = Box::pin(lines.turn(&one));
        assert!(second.as_mut().now_or_never().is_none() && third.as_mut().now_or_never().is_none());
        let mut aside = outgoing("/id-mn/Ca", "http://in.example:8080/x", true);
        aside.request.to = "/id-in/cse-in/aside".into();
        for other in [
            outgoing("/id-mn/Cb", "http://in.example:8080/x", true),
            outgoing("/id-mn/Ca", "http://other.example/x", true),
            aside,
        ] {
            now(&lines, &other);
        }
        let careless = outgoing("/id-mn/Ca", "http://in.example:8080/y", false);
        assert!(lines.turn(&careless).now_or_never().expect("free").is_none());
        drop(first);
        assert!(third.as_mut().now_or_never().is_none(), "the second was before it");
        let held = second.as_mut().now_or_never().expect("its turn");
        drop(third);
        drop((held, second));
        assert!(lines.state().lines.is_empty());
    }

    #[test]
    fn who_gives_up_waiting_leaves_nothing_behind() {
        let lines = Lines::default();
        let one = outgoing("/id-mn/Ca", "http://in.example/x", true);
        let first = now(&lines, &one);
        let mut second = Box::pin(lines.turn(&one));
        assert!(second.as_mut().now_or_never().is_none());
        drop(first);
        drop(second);
        assert!(lines.state().lines.is_empty());
    }

    #[test]
    fn several_go_to_a_host_that_keeps_their_order_each_naming_the_one_before() {
        let lines = Lines::default();
        let one = outgoing("/id-mn/Ca", "http://in.example/x", true);
        let first = now(&lines, &one);
        let mut waiting: Vec<_> = (0..UNDER_WAY_MAX + 1).map(|_| Box::pin(lines.turn(&one))).collect();
        assert!(waiting.iter_mut().all(|turn| turn.as_mut().now_or_never().is_none()));
        assert_eq!(first.place().after, None);
        first.heard(true);
        let line = first.place().line;
        drop(first);
        let mut last = waiting.pop().expect("the last");
        let mut under_way: Vec<InLine<'_>> =
            waiting.into_iter().map(|turn| turn.now_or_never().expect("free").expect("a line")).collect();
        assert!(last.as_mut().now_or_never().is_none(), "so many and no more");
        let places: Vec<Place> = under_way.iter().map(InLine::place).collect();
        assert_eq!(places[0].after, None);
        assert!(places.windows(2).all(|pair| pair[1].after == Some(pair[0].number)));
        assert!(places.iter().all(|place| place.line == line));
        // One in the middle is answered: those behind it that leave now come after the one before it.
        drop(under_way.remove(4));
        assert_eq!(under_way[4].place().after, Some(places[3].number));
        let last = last.now_or_never().expect("its turn").expect("a line");
        last.heard(false);
        assert!(lines.turn(&one).now_or_never().is_none(), "one at a time again");
        drop((under_way, last));
        assert!(lines.state().lines.is_empty());
    }

    #[test]
    fn what_a_host_has_to_pass_on_goes_one_at_a_time() {
        let lines = Lines::default();
        let mut one = outgoing("/id-mn/Ca", "http://in.example/x", true);
        one.request.to = "/id-in2/cse-in".into();
        let first = now(&lines, &one);
        first.heard(true);
        assert!(lines.turn(&one).now_or_never().is_none());
    }

    #[test]
    fn hosts_are_not_remembered_without_end() {
        let lines = Lines::default();
        for index in 0..=HOSTS_MAX {
            now(&lines, &outgoing("/id-mn/Ca", &format!("http://{index}.example/x"), true)).heard(true);
        }
        assert_eq!(lines.state().keeping.len(), 1);
    }
}
