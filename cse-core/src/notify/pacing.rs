//! What the writer remembers of rate windows and held events, so that it need not ask the store at each event.

use std::num::NonZeroUsize;
use std::time::Duration;

use lru::LruCache;

use crate::behaviour::subscription::RateLimit;
use crate::id::Seq;
use crate::time::Timestamp;

/// Subscriptions (and collecting groups) that are remembered.
const REMEMBERED_MAX: usize = 10_000;

/// Rate windows and counts of held events. After a restart each rate window begins anew.
pub(crate) struct Pacing {
    windows: LruCache<Seq, Window, rustc_hash::FxBuildHasher>,
    held: LruCache<Seq, u64, rustc_hash::FxBuildHasher>,
}

struct Window {
    began: Timestamp,
    sent: u64,
}

/// Whether a notification fits in a rate window.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Admission {
    /// Yes.
    Now,
    /// No; the next window begins then.
    Later(Timestamp),
}

impl Pacing {
    pub(crate) fn new() -> Self {
        let capacity = NonZeroUsize::new(REMEMBERED_MAX).unwrap_or(NonZeroUsize::MIN);
        let hasher = rustc_hash::FxBuildHasher;
        Self { windows: LruCache::with_hasher(capacity, hasher), held: LruCache::with_hasher(capacity, hasher) }
    }

    /// Forgets everything, after a commit that failed.
    pub(crate) fn clear(&mut self) {
        self.windows.clear();
        self.held.clear();
    }

    /// Whether one more notification fits in the subscription's rate window; counts it if so.
    pub(super) fn admit(&mut self, subscription: Seq, limit: RateLimit, now: Timestamp) -> Admission {
        // A window of no length would never end.
        let length = limit.window.max(Duration::from_millis(1));
        let window = self.windows.get_or_insert_mut(subscription, || Window { began: now, sent: 0 });
        if now >= window.began.plus(length) {
            *window = Window { began: now, sent: 0 };
        }
        if window.sent < limit.number {
            window.sent += 1;
            return Admission::Now;
        }
        Admission::Later(window.began.plus(length))
    }

    /// How many events are held, if that is known.
    pub(super) fn held(&mut self, of: Seq) -> Option<u64> {
        self.held.get(&of).copied()
    }

    /// Notes how many events are held.
    pub(super) fn set_held(&mut self, of: Seq, count: u64) {
        self.held.put(of, count);
    }
}
