//! Remembered requests that are being carried out now. Their answers are not in the record yet, so a redelivery that
//! comes meanwhile has to wait for them.

use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use tokio::sync::Notify;

use crate::ports::ReplyKey;

/// Remembered requests that are being carried out: a redelivery waits for the answer to the first.
#[derive(Default)]
pub(crate) struct UnderWay {
    counts: Mutex<FxHashMap<ReplyKey, usize>>,
    ended: Notify,
}

impl UnderWay {
    /// Waits until no equal request is being carried out.
    pub(crate) async fn wait(&self, key: ReplyKey) {
        loop {
            let ended = self.ended.notified();
            tokio::pin!(ended);
            ended.as_mut().enable();
            if !self.has(key) {
                return;
            }
            ended.await;
        }
    }

    /// Whether an equal request is being carried out.
    pub(crate) fn has(&self, key: ReplyKey) -> bool {
        self.counts.lock().contains_key(&key)
    }

    /// One more is carried out, until the returned place is dropped.
    pub(crate) fn begin(&self, key: ReplyKey) -> Place<'_> {
        *self.counts.lock().entry(key).or_default() += 1;
        Place { under_way: self, key }
    }
}

/// See [`UnderWay::begin`].
pub(crate) struct Place<'a> {
    under_way: &'a UnderWay,
    key: ReplyKey,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut counts = self.under_way.counts.lock();
        if let Some(count) = counts.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.key);
                self.under_way.ended.notify_waiters();
            }
        }
    }
}
