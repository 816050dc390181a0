//! Waiting for conditions, with one generous deadline for all.

use std::future::Future;
use std::thread;
use std::time::{Duration, Instant};

/// Longest wait for anything. Far more than it takes, so that a busy machine makes no test fail.
pub const DEADLINE: Duration = Duration::from_secs(60);
/// Pause between two looks.
const LOOK: Duration = Duration::from_millis(10);

/// Waits until something holds.
///
/// # Panics
/// If it does not within [`DEADLINE`].
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + DEADLINE;
    while !holds() {
        assert!(Instant::now() < end, "did not happen: {what}");
        thread::sleep(LOOK);
    }
}

/// Waits until an answer is the wanted one, and gives it.
///
/// # Panics
/// If there is none within [`DEADLINE`].
pub async fn until_some<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let looking = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    in_time(what, looking).await
}

/// Gives what a future gives.
///
/// # Panics
/// If it does not within [`DEADLINE`].
pub async fn in_time<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(DEADLINE, future).await {
        Ok(value) => value,
        Err(_) => panic!("did not happen: {what}"),
    }
}
