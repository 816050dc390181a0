//! Answers to requests that were passed on, on their way into the record.
//!
//! Nobody waits for them, and one that is lost in a crash does no harm: the next CSE remembers it as well. So they cause
//! no commit of their own but are part of the next one, or of one after a while if there is none. And the writer knows
//! by itself which identifier was given last to each request that is not answered yet, so it need not ask the store
//! for that.

use std::num::NonZeroUsize;
use std::time::Duration;

use lru::LruCache;

use super::PassedOn;
use crate::ports::{BoxFuture, Clock, ReplyKey};
use crate::resource::approximate_bytes;
use crate::value::Text;

/// How long an answer waits for a commit at most.
const WAIT_MAX: Duration = Duration::from_millis(50);
/// Answers that wait.
const ANSWERS_MAX: usize = 256;
/// Bytes of their contents, roughly.
const BYTES_MAX: usize = 256 * 1024;
/// Requests without answer whose identifiers are known; more than are under way at a time. For others the store is
/// asked.
const IDENTIFIERS_MAX: NonZeroUsize = NonZeroUsize::new(1_024).unwrap();

/// See the module.
pub(super) struct Answered {
    waiting: Vec<PassedOn>,
    bytes: usize,
    /// Ends when they have waited long enough; there is one while any wait.
    due: Option<BoxFuture<'static, ()>>,
    /// The identifier that each request got last.
    given: LruCache<ReplyKey, Text>,
}

impl Answered {
    pub(super) fn new() -> Self {
        Self { waiting: Vec::new(), bytes: 0, due: None, given: LruCache::new(IDENTIFIERS_MAX) }
    }

    /// One more waits.
    pub(super) fn add(&mut self, answer: PassedOn, clock: &dyn Clock) {
        self.bytes = self.bytes.saturating_add(
            answer.response.as_ref().and_then(|response| response.content.as_ref()).map_or(0, approximate_bytes),
        );
        self.waiting.push(answer);
        self.due.get_or_insert_with(|| clock.sleep(WAIT_MAX));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether no more may wait.
    pub(super) fn is_full(&self) -> bool {
        self.waiting.len() >= ANSWERS_MAX || self.bytes >= BYTES_MAX
    }

    /// Ends when those that wait have waited long enough, never if none wait. Cancel safe.
    pub(super) async fn due(&mut self) {
        match &mut self.due {
            Some(due) => {
                due.await;
                self.due = None;
            }
            None => std::future::pending().await,
        }
    }

    /// Those that wait, in order; they are part of the next commit.
    pub(super) fn take(&mut self) -> Vec<PassedOn> {
        (self.bytes, self.due) = (0, None);
        std::mem::take(&mut self.waiting)
    }

    /// A request has this identifier now.
    pub(super) fn given(&mut self, key: ReplyKey, identifier: &Text) {
        self.given.put(key, identifier.clone());
    }

    /// The identifier that an equal request got last, if that is known here. It is answered.
    pub(super) fn settle(&mut self, key: ReplyKey, identifier: &Text) -> Option<bool> {
        let is_latest = self.given.peek(&key)? == identifier;
        if is_latest {
            self.given.pop(&key);
        }
        Some(is_latest)
    }

    /// What was given in a group that was not committed counts for nothing.
    pub(super) fn forget_given(&mut self) {
        self.given.clear();
    }
}
