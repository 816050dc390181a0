//! Following one published message until its receivers have acknowledged it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use tokio::sync::Notify;

/// What became of a message published with tracking.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DeliveryStatus {
    /// At least one receiver has not acknowledged it yet, connected or not.
    Pending,
    /// All receivers have acknowledged it (PUBACK, PUBREC, or the acceptance of a link).
    Acknowledged,
    /// No receiver is pending, but at least one takes QoS 0, which has no acknowledgement.
    Unconfirmed,
    /// At least one receiver will not get it (queue full, session forgotten), or there was none.
    Lost,
}

#[derive(Debug)]
struct State {
    pending: AtomicU32,
    acknowledged: AtomicBool,
    unconfirmed: AtomicBool,
    lost: AtomicBool,
    settled: Notify,
}

/// Tells what became of one published message.
#[derive(Clone, Debug)]
pub struct DeliveryHandle(Arc<State>);

impl DeliveryHandle {
    /// A handle that counts its maker as pending, until [`DeliveryHandle::routed`].
    pub(crate) fn new() -> Self {
        Self(Arc::new(State {
            pending: AtomicU32::new(1),
            acknowledged: AtomicBool::new(false),
            unconfirmed: AtomicBool::new(false),
            lost: AtomicBool::new(false),
            settled: Notify::new(),
        }))
    }

    pub(crate) fn guard(&self) -> DeliveryGuard {
        self.0.pending.fetch_add(1, Ordering::Relaxed);
        DeliveryGuard { state: Arc::clone(&self.0), outcome: Outcome::Lost }
    }

    /// All receivers are known now.
    pub(crate) fn routed(&self) {
        self.0.settle_one();
    }

    /// Whether all receivers, and at least one, have acknowledged the message.
    pub fn is_acknowledged(&self) -> bool {
        self.status() == DeliveryStatus::Acknowledged
    }

    /// What is known now.
    pub fn status(&self) -> DeliveryStatus {
        let state = &*self.0;
        if state.pending.load(Ordering::Acquire) > 0 {
            DeliveryStatus::Pending
        } else if state.lost.load(Ordering::Relaxed) {
            DeliveryStatus::Lost
        } else if state.unconfirmed.load(Ordering::Relaxed) {
            DeliveryStatus::Unconfirmed
        } else if state.acknowledged.load(Ordering::Relaxed) {
            DeliveryStatus::Acknowledged
        } else {
            DeliveryStatus::Lost
        }
    }

    /// Waits until nothing is pending. A receiver that stays offline keeps it waiting until its session expires, so
    /// callers put their own limit on it. Cancel safe.
    pub async fn wait(&self) -> DeliveryStatus {
        loop {
            let mut settled = std::pin::pin!(self.0.settled.notified());
            settled.as_mut().enable();
            match self.status() {
                DeliveryStatus::Pending => settled.await,
                status => return status,
            }
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Outcome {
    Acknowledged,
    Unconfirmed,
    Lost,
}

/// One receiver's share of a tracked message. It travels with the message: where the message is dropped, for whatever
/// reason, so is this, and the message counts as lost.
#[derive(Debug)]
pub(crate) struct DeliveryGuard {
    state: Arc<State>,
    outcome: Outcome,
}

impl DeliveryGuard {
    pub(crate) fn acknowledged(mut self) {
        self.outcome = Outcome::Acknowledged;
    }

    pub(crate) fn unconfirmed(mut self) {
        self.outcome = Outcome::Unconfirmed;
    }
}

impl Drop for DeliveryGuard {
    fn drop(&mut self) {
        let flag = match self.outcome {
            Outcome::Acknowledged => &self.state.acknowledged,
            Outcome::Unconfirmed => &self.state.unconfirmed,
            Outcome::Lost => &self.state.lost,
        };
        flag.store(true, Ordering::Relaxed);
        self.state.settle_one();
    }
}

impl State {
    fn settle_one(&self) {
        if self.pending.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.settled.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_weakest_outcome_counts() {
        let nobody = DeliveryHandle::new();
        assert_eq!(nobody.status(), DeliveryStatus::Pending);
        nobody.routed();
        assert_eq!(nobody.status(), DeliveryStatus::Lost);

        let handle = DeliveryHandle::new();
        let (first, second, third) = (handle.guard(), handle.guard(), handle.guard());
        handle.routed();
        first.acknowledged();
        assert_eq!(handle.status(), DeliveryStatus::Pending);
        second.unconfirmed();
        third.acknowledged();
        assert_eq!(handle.status(), DeliveryStatus::Unconfirmed);

        let handle = DeliveryHandle::new();
        let (first, second) = (handle.guard(), handle.guard());
        handle.routed();
        first.acknowledged();
        drop(second);
        assert_eq!(handle.status(), DeliveryStatus::Lost);
    }

    #[tokio::test]
    async fn waiting_ends_with_the_acknowledgement() {
        let handle = DeliveryHandle::new();
        let guard = handle.guard();
        handle.routed();
        let (status, ()) = tokio::join!(handle.wait(), async { guard.acknowledged() });
        assert_eq!(status, DeliveryStatus::Acknowledged);
        assert!(handle.is_acknowledged());
    }
}
