//! One list of deadlines, of which this task knows the next: expiration of resources, batches, rate windows.
//!
//! The list itself is in the store; nothing scans the tree.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::{oneshot, watch};

use crate::cse::Shared;
use crate::ports::{Snapshot, Store, StoreError};
use crate::time::Timestamp;
use crate::writer::Job;

/// Runs until stopped: tells the writer when something is due.
pub(crate) async fn run<S: Store>(shared: Arc<Shared<S>>, mut stop: watch::Receiver<bool>) {
    let work = async {
        look_up(&shared).await;
        loop {
            let next = shared.next_due.load(Ordering::Acquire);
            let now = shared.clock.now();
            if next > now.micros() {
                let pause = Timestamp::from_micros(next).since(now).min(LONGEST_PAUSE);
                tokio::select! {
                    () = shared.clock.sleep(pause) => {}
                    () = shared.due_changed.notified() => {}
                }
                continue;
            }
            shared.next_due.store(i64::MAX, Ordering::Release);
            let (done, is_done) = oneshot::channel();
            if shared.jobs.send(Job::Due(done)).await.is_err() {
                return;
            }
            drop(is_done.await);
            look_up(&shared).await;
            // What falls due in quick succession is served together.
            shared.clock.sleep(shared.settings.expiration_interval).await;
        }
    };
    tokio::select! {
        () = work => {}
        _ = stop.wait_for(|stop| *stop) => {}
    }
}

/// The longest sleep, so that a clock that is set forward is noticed.
const LONGEST_PAUSE: std::time::Duration = std::time::Duration::from_secs(60);

/// Asks the store what is due next.
async fn look_up<S: Store>(shared: &Shared<S>) {
    match next(shared).await {
        Ok(Some(time)) => {
            shared.next_due.fetch_min(time.micros(), Ordering::AcqRel);
        }
        Ok(None) => {}
        Err(error) => tracing::error!(%error, "the next deadline cannot be looked up"),
    }
}

async fn next<S: Store>(shared: &Shared<S>) -> Result<Option<Timestamp>, StoreError> {
    let mut snapshot = shared.store.snapshot().await?;
    let expiration = snapshot.next_expiration().await?;
    let deadline = snapshot.next_deadline().await?;
    Ok(expiration.into_iter().chain(deadline).min())
}
