//! Following one published message until its receivers have acknowledged it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::hold::Hold;

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

/// What handle, guards and holds share.
pub(crate) struct Shared {
    pending: AtomicU32,
    acknowledged: AtomicBool,
    unconfirmed: AtomicBool,
    lost: AtomicBool,
    settled: Notify,
    /// Receivers that are to store the message and have neither done so nor acknowledged it.
    unsafe_with: AtomicU32,
    when_safe: Mutex<Option<Box<dyn FnOnce() + Send>>>,
    safe: Notify,
}

/// Tells what became of one published message.
#[derive(Clone, Debug)]
pub struct DeliveryHandle(Arc<Shared>);

impl DeliveryHandle {
    /// A handle that counts its maker as pending, until [`DeliveryHandle::routed`].
    pub(crate) fn new() -> Self {
        Self(Arc::new(Shared {
            pending: AtomicU32::new(1),
            acknowledged: AtomicBool::new(false),
            unconfirmed: AtomicBool::new(false),
            lost: AtomicBool::new(false),
            settled: Notify::new(),
            unsafe_with: AtomicU32::new(0),
            when_safe: Mutex::default(),
            safe: Notify::new(),
        }))
    }

    pub(crate) fn hold(&self) -> Hold {
        self.0.unsafe_with.fetch_add(1, Ordering::Relaxed);
        Hold::publisher(Arc::clone(&self.0))
    }

    /// Whether the message is as safe as it gets: each receiver that stores messages has stored it, or acknowledged
    /// it, or is gone.
    pub fn is_safe(&self) -> bool {
        self.0.unsafe_with.load(Ordering::Acquire) == 0
    }

    /// Waits until [`DeliveryHandle::is_safe`]. Cancel safe.
    pub async fn safe(&self) {
        loop {
            let mut safe = std::pin::pin!(self.0.safe.notified());
            safe.as_mut().enable();
            if self.is_safe() {
                return;
            }
            safe.await;
        }
    }

    /// Calls `then` when [`DeliveryHandle::is_safe`], now or later, on whichever task sees it. A second call replaces
    /// what waits.
    pub fn when_safe(&self, then: impl FnOnce() + Send + 'static) {
        let mut when_safe = self.0.when_safe.lock();
        if self.is_safe() {
            drop(when_safe);
            then();
        } else {
            *when_safe = Some(Box::new(then));
        }
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
    state: Arc<Shared>,
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

impl Shared {
    /// One receiver less that has to store the message.
    pub(crate) fn one_safe(&self) {
        if self.unsafe_with.fetch_sub(1, Ordering::AcqRel) == 1 {
            let then = self.when_safe.lock().take();
            if let Some(then) = then {
                then();
            }
            self.safe.notify_waiters();
        }
    }

    fn settle_one(&self) {
        if self.pending.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.settled.notify_waiters();
        }
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("pending", &self.pending).finish_non_exhaustive()
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
