//! The order in which the requests of one originator leave for one next CSE: that in which they came, although each has its
//! identifier written down before, and what has become of these writings may be noticed in any order.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::task::unconstrained;

use crate::ports::begin_in_turn;

/// Requests of one originator for one next CSE that have not left yet: the first one has the lock.
pub(crate) type Line = Arc<Mutex<()>>;

/// A place in such a line, until it is dropped.
pub(crate) enum Turn {
    Come(OwnedMutexGuard<()>),
    Waiting(BoxFuture<'static, OwnedMutexGuard<()>>),
}

impl Turn {
    /// Takes the last place.
    pub(crate) fn last_in(line: &Line) -> Self {
        let mut waiting = Arc::clone(line).lock_owned().boxed();
        match unconstrained(&mut waiting).now_or_never() {
            Some(first) => Self::Come(first),
            None => Self::Waiting(waiting),
        }
    }

    /// Waits for its turn, if it is to have one, and lets the next one have it when the sending has begun.
    pub(crate) async fn send<Sending: Future>(turn: Option<Self>, sending: Sending) -> Sending::Output {
        let first = match turn {
            Some(Self::Come(first)) => first,
            Some(Self::Waiting(waiting)) => waiting.await,
            None => return sending.await,
        };
        begin_in_turn(first, sending).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_begins_when_those_before_it_have_begun_or_given_up() {
        let line = Line::default();
        let [first, second, third, fourth] = [(); 4].map(|()| Turn::last_in(&line));
        let begun = parking_lot::Mutex::new(Vec::new());
        let sending = |number: u32| {
            let begun = &begun;
            async move {
                begun.lock().push(number);
                std::future::pending::<()>().await;
            }
        };
        let mut fourth = Box::pin(Turn::send(Some(fourth), sending(4)));
        assert!(fourth.as_mut().now_or_never().is_none());
        let mut second = Box::pin(Turn::send(Some(second), sending(2)));
        assert!(second.as_mut().now_or_never().is_none() && begun.lock().is_empty());
        drop(third);
        let mut first = Box::pin(Turn::send(Some(first), sending(1)));
        assert!(first.as_mut().now_or_never().is_none(), "it is not answered");
        assert!(fourth.as_mut().now_or_never().is_none() && *begun.lock() == [1]);
        assert!(second.as_mut().now_or_never().is_none());
        assert!(fourth.as_mut().now_or_never().is_none());
        assert_eq!(*begun.lock(), [1, 2, 4]);
    }
}
