//! Keeps requests in order that have to arrive so: over several connections they would overtake one another. Each
//! originator has a line of its own to each target at each host, so that none waits for another.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use cse_core::ports::OutgoingRequest;
use cse_core::value::Text;
use tokio::sync::OwnedMutexGuard;

/// Lines in which requests wait or travel. They are as many as requests at most, which the core bounds.
#[derive(Debug, Default)]
pub(super) struct Lines(Mutex<HashMap<Key, Arc<tokio::sync::Mutex<()>>>>);

/// Originator, target, and scheme, host and port.
type Key = (Text, Text, String);

/// The first place in a line, until it is dropped.
#[derive(Debug)]
pub(super) struct First<'a> {
    lines: &'a Lines,
    key: Key,
    guard: Option<OwnedMutexGuard<()>>,
}

impl Lines {
    /// Waits until those before it in its line are answered or given up; `None` at once if order does not matter. The
    /// place in the line is taken when this is first polled.
    pub(super) async fn first(&self, outgoing: &OutgoingRequest) -> Option<First<'_>> {
        let key = outgoing.in_order.then(|| key_of(outgoing))?;
        let line = Arc::clone(self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(key.clone()).or_default());
        // Made before the wait, so that a line is also left by those who give up waiting.
        let mut first = First { lines: self, key, guard: None };
        first.guard = Some(line.lock_owned().await);
        Some(first)
    }
}

impl Drop for First<'_> {
    fn drop(&mut self) {
        self.guard = None;
        let mut lines = self.lines.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.get(&self.key).is_some_and(|line| Arc::strong_count(line) == 1) {
            lines.remove(&self.key);
        }
    }
}

fn key_of(outgoing: &OutgoingRequest) -> Key {
    let (originator, target) = (outgoing.request.from.clone().unwrap_or_default(), outgoing.request.to.clone());
    let url = outgoing.destination.as_str();
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    (originator, target, format!("{scheme}://{host}").to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use cse_core::codec::Serialization;
    use cse_core::ports::{Destination, Patience};
    use cse_core::primitive::{Operation, Request};
    use futures_util::FutureExt;

    use super::*;

    fn outgoing(from: &str, url: &str, in_order: bool) -> OutgoingRequest {
        OutgoingRequest {
            destination: Destination::Url(url.into()),
            request: Request::new(Operation::Create, "/id-in/cse-in", from, "1"),
            serialization: Serialization::Json,
            timeout: Duration::from_secs(1),
            patience: Patience::default(),
            in_order,
        }
    }

    #[test]
    fn one_of_a_line_goes_at_a_time_in_order_and_other_lines_do_not_wait() {
        let lines = Lines::default();
        let one = outgoing("/id-mn/Ca", "http://in.example:8080/x", true);
        let first = lines.first(&one).now_or_never().expect("free").expect("a line");
        let mut second = Box::pin(lines.first(&one));
        let mut third = Box::pin(lines.first(&one));
        assert!(second.as_mut().now_or_never().is_none() && third.as_mut().now_or_never().is_none());
        let other = outgoing("/id-mn/Cb", "http://in.example:8080/x", true);
        let elsewhere = outgoing("/id-mn/Ca", "http://other.example/x", true);
        let mut aside = outgoing("/id-mn/Ca", "http://in.example:8080/x", true);
        aside.request.to = "/id-in/cse-in/aside".into();
        assert!(lines.first(&other).now_or_never().expect("free").is_some());
        assert!(lines.first(&elsewhere).now_or_never().expect("free").is_some());
        assert!(lines.first(&aside).now_or_never().expect("free").is_some());
        assert!(
            lines
                .first(&outgoing("/id-mn/Ca", "http://in.example:8080/y", false))
                .now_or_never()
                .expect("free")
                .is_none()
        );
        drop(first);
        assert!(third.as_mut().now_or_never().is_none(), "the second was before it");
        let held = second.as_mut().now_or_never().expect("its turn");
        drop(third);
        drop((held, second));
        assert!(lines.0.lock().expect("not poisoned").is_empty());
    }

    #[test]
    fn who_gives_up_waiting_leaves_nothing_behind() {
        let lines = Lines::default();
        let one = outgoing("/id-mn/Ca", "http://in.example/x", true);
        let first = lines.first(&one).now_or_never().expect("free");
        let mut second = Box::pin(lines.first(&one));
        assert!(second.as_mut().now_or_never().is_none());
        drop(first);
        drop(second);
        assert!(lines.0.lock().expect("not poisoned").is_empty());
    }
}
