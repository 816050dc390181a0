//! When this CSE takes requests: the `<schedule>` below its CSEBase (TS-0001 §9.6.9), at hand for each request.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::RwLock;

use crate::behaviour::schedule::{Schedule, Window};
use crate::cache::Committed;
use crate::id::Seq;
use crate::ports::{Snapshot, Store, StoreError};
use crate::resource::Resource;
use crate::schema::Ty;
use crate::time::Timestamp;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Availability {
    /// Whether there is a schedule; mostly there is none, and nobody has to take the lock.
    is_limited: AtomicBool,
    schedule: RwLock<Option<Own>>,
}

#[derive(Debug)]
struct Own {
    seq: Seq,
    schedule: Arc<Schedule>,
    expires: Option<Timestamp>,
}

impl Own {
    fn of(resource: &Resource) -> Self {
        let schedule = Arc::new(Schedule::compile(&resource.attributes));
        Self { seq: resource.seq, schedule, expires: resource.expiration_time }
    }
}

impl Availability {
    /// Reads the schedule.
    pub(crate) async fn load<S: Store>(store: &S) -> Result<Self, StoreError> {
        let mut snapshot = store.snapshot().await?;
        let schedules = snapshot.children(Seq::CSE_BASE, &[Ty::SCHEDULE], Seq::START, 1).await?;
        let availability = Self::default();
        if let Some(schedule) = schedules.first() {
            availability.put(Some(Own::of(schedule)));
        }
        Ok(availability)
    }

    /// Takes over what was committed.
    pub(crate) fn commit(&self, committed: &Committed) {
        if self.is_limited.load(Ordering::Acquire) {
            let seq = self.schedule.read().as_ref().map(|own| own.seq);
            if seq.is_some_and(|seq| committed.deleted.contains(&seq)) {
                self.put(None);
            }
        }
        let is_own = |resource: &Resource| resource.ty == Ty::SCHEDULE && resource.parent == Some(Seq::CSE_BASE);
        if let Some(schedule) = committed.changed.iter().rfind(|node| is_own(&node.resource)) {
            self.put(Some(Own::of(&schedule.resource)));
        }
    }

    /// Whether requests are taken.
    pub(crate) fn window(&self, now: Timestamp) -> Window {
        if !self.is_limited.load(Ordering::Acquire) {
            return Window::Open;
        }
        let schedule = self.schedule.read();
        let valid = schedule.as_ref().filter(|own| own.expires.is_none_or(|expires| expires > now));
        valid.map(|own| own.schedule.window(now)).unwrap_or_default()
    }

    fn put(&self, own: Option<Own>) {
        let is_limited = own.is_some();
        *self.schedule.write() = own;
        self.is_limited.store(is_limited, Ordering::Release);
    }
}
