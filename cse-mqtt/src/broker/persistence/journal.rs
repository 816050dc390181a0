//! Which sessions differ from what is stored of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::broker::session::Session;

/// The sessions that the [`Persister`](super::Persister) has to look at. Bounded by the number of sessions, since each
/// lists itself once.
#[derive(Default)]
pub(crate) struct Journal {
    listed: Mutex<Vec<Arc<Session>>>,
    /// Somebody waits for the commit.
    urgent: AtomicBool,
    changed: Notify,
}

/// How much one commit may still take. What is beyond waits for the next one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    pub(crate) messages: usize,
    pub(crate) bytes: usize,
}

/// What a commit stores of one session, to tell the session afterwards.
pub(crate) struct Collected {
    pub(crate) session: Arc<Session>,
    pub(crate) part: crate::broker::session::Part,
}

impl Budget {
    pub(crate) fn is_spent(&self) -> bool {
        self.messages == 0 || self.bytes == 0
    }

    pub(crate) fn spend(&mut self, bytes: usize) {
        self.messages = self.messages.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

impl Journal {
    /// Lists a session that is not listed yet.
    pub(crate) fn list(&self, session: Arc<Session>) {
        let first = {
            let mut listed = self.listed.lock();
            listed.push(session);
            listed.len() == 1
        };
        if first {
            self.changed.notify_one();
        }
    }

    /// Somebody waits for what a listed session has noted.
    pub(crate) fn hurry(&self) {
        if !self.urgent.swap(true, Ordering::AcqRel) {
            self.changed.notify_one();
        }
    }

    /// Takes the list, oldest first.
    pub(crate) fn take(&self) -> Vec<Arc<Session>> {
        self.urgent.store(false, Ordering::Release);
        std::mem::take(&mut *self.listed.lock())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.listed.lock().is_empty()
    }

    pub(crate) fn is_urgent(&self) -> bool {
        self.urgent.load(Ordering::Acquire)
    }

    /// Waits until something may have changed. Cancel safe.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }
}
