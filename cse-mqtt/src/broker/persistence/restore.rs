//! From what is stored to a broker that goes on with it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;
use tracing::warn;

use super::{Journal, Persister, StoredSession};
use crate::broker::filter::TopicFilter;
use crate::broker::limits::Limits;
use crate::broker::policy::Policy;
use crate::broker::session::{Session, Wish};
use crate::broker::{Broker, Core};

impl Broker {
    /// A broker that goes on with `sessions`, as they were stored, and stores its kept sessions while the persister
    /// runs.
    ///
    /// Each session waits for its client as long as was left to it; the time in which no broker ran counts. One that
    /// was connected when the process ended waits from now on. Messages that an earlier process may have sent are sent
    /// first, with DUP and the packet identifiers they had.
    pub fn restored(limits: Limits, policy: Arc<dyn Policy>, sessions: Vec<StoredSession>) -> (Self, Persister) {
        let journal = Arc::new(Journal::default());
        let core = Arc::new(Core::new(limits, policy, Some(Arc::clone(&journal))));
        let last_id = sessions.iter().map(|stored| stored.record.id).max().unwrap_or(0);
        core.last_id.store(last_id, Ordering::Relaxed);
        for stored in sessions {
            core.restore(&journal, stored);
        }
        (Self { core: Arc::clone(&core) }, Persister::new(core, journal))
    }
}

impl Core {
    fn restore(&self, journal: &Arc<Journal>, mut stored: StoredSession) {
        let record = &stored.record;
        let left = match record.ends {
            // Zero if it has ended.
            Some(ends) => ends.duration_since(SystemTime::now()).unwrap_or(Duration::ZERO),
            None => record.expiry,
        };
        let left = left.min(record.expiry).min(self.limits.offline_expiry);
        let until = Instant::now() + left;
        let subscriptions = std::mem::take(&mut stored.subscriptions);
        let session = Session::restored(self, journal, stored, until);
        if left.is_zero() {
            self.stats.sessions_expired.increment();
            self.router.remove_session(&session);
            return;
        }
        for subscription in subscriptions {
            // Granted once, so whatever the limits are now.
            match TopicFilter::parse(&subscription.key.filter, usize::MAX, usize::MAX) {
                Ok(filter) => {
                    let wish = Wish { qos: subscription.qos, no_local: subscription.no_local };
                    session.resubscribed(&filter, wish);
                    self.router.resubscribe(&session, &filter, wish);
                }
                Err(problem) => {
                    let client_id = &*session.client_id;
                    warn!(client_id, filter = &*subscription.key.filter, %problem, "stored subscription left out");
                }
            }
        }
        self.adopt(session);
    }
}
