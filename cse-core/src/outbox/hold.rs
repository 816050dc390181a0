//! Back-pressure on those who cause notifications faster than these go out.
//!
//! Their changes are made at once; the answers to them wait until the notifications are on their way, are given up, or
//! wait for a target that cannot be reached now, and no longer than
//! [`notification_hold_max`](crate::settings::Settings::notification_hold_max).

use std::convert::Infallible;
use std::sync::Arc;

use tokio::sync::oneshot;

/// Keeps an answer waiting as long as any clone of it lives.
#[derive(Clone)]
pub(crate) struct Hold {
    _lives: Arc<oneshot::Sender<Infallible>>,
}

/// The other end of a [`Hold`].
pub(crate) struct Release(oneshot::Receiver<Infallible>);

impl Hold {
    pub(crate) fn new() -> (Self, Release) {
        let (sender, receiver) = oneshot::channel();
        (Self { _lives: Arc::new(sender) }, Release(receiver))
    }
}

impl Release {
    /// Waits until nothing holds any more.
    pub(crate) async fn wait(self) {
        // Nothing is ever sent: it ends when the sender is gone.
        drop(self.0.await);
    }
}
