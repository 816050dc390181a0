//! Tasks with names, owners and an end: run until a signal, stop in stages, never limp on.

use std::collections::HashMap;
use std::future::Future;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::timeout;
use tracing::{error, info, warn};

/// In which order tasks are stopped: what brings work in first, what does the work later.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) enum Stage {
    /// What says goodbye to others: everything it needs for that is there yet.
    Farewell,
    /// Bindings and the embedded broker: they take nothing new and answer what they have.
    Bindings,
    /// The CSE: it finishes what it has begun.
    Core,
    /// What is there to watch all this.
    Ground,
}

const STAGES: [Stage; 4] = [Stage::Farewell, Stage::Bindings, Stage::Core, Stage::Ground];

/// How the server ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Ended {
    /// It was asked to, and finished what it had begun.
    Politely,
    /// It was asked to, and then asked again or out of time.
    Hard,
    /// A task ended by itself, which none should.
    Crashed {
        /// Its name.
        task: &'static str,
    },
}

/// All long-lived tasks of the server.
pub(crate) struct Lifecycle {
    tasks: JoinSet<()>,
    names: HashMap<Id, (Stage, &'static str)>,
    stops: [watch::Sender<bool>; STAGES.len()],
    stopping: watch::Sender<bool>,
}

impl Lifecycle {
    pub(crate) fn new() -> Self {
        let sender = || watch::channel(false).0;
        Self {
            tasks: JoinSet::new(),
            names: HashMap::new(),
            stops: [sender(), sender(), sender(), sender()],
            stopping: sender(),
        }
    }

    /// Says `true` as soon as the server stops.
    pub(crate) fn stopping(&self) -> watch::Receiver<bool> {
        self.stopping.subscribe()
    }

    /// Says `true` when that stage is to stop.
    pub(crate) fn stop_of(&self, stage: Stage) -> watch::Receiver<bool> {
        self.stops[stage as usize].subscribe()
    }

    /// Runs a task that ends when its stage is to stop, and not before.
    pub(crate) fn spawn(&mut self, stage: Stage, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let handle = self.tasks.spawn(task);
        self.names.insert(handle.id(), (stage, name));
    }

    /// Waits for a request to stop or the end of a task, then stops everything within `grace`.
    ///
    /// `requested` ends with each request to stop: the second is taken as impatience.
    pub(crate) async fn run(mut self, mut requested: impl AsyncFnMut(), grace: Duration) -> Ended {
        let crashed = tokio::select! {
            () = requested() => {
                info!("stopping");
                None
            }
            Some(ended) = self.tasks.join_next_with_id() => {
                let task = self.ended(&ended);
                error!(task, failure = ended.err().map(tracing::field::display), "a task ended by itself; stopping");
                Some(task)
            }
        };
        self.stopping.send_replace(true);
        let finished = tokio::select! {
            finished = timeout(grace, self.stop()) => finished.is_ok(),
            () = requested() => false,
        };
        if !finished {
            let mut left: Vec<_> = self.names.values().map(|(_, name)| *name).collect();
            left.sort_unstable();
            warn!(tasks = left.join(", "), "not everything could be finished; stopping hard");
            self.tasks.shutdown().await;
        }
        match crashed {
            Some(task) => Ended::Crashed { task },
            None if finished => Ended::Politely,
            None => Ended::Hard,
        }
    }

    /// Drops all tasks where they are: for a start that failed before anything was served.
    pub(crate) async fn abort(mut self) {
        self.tasks.shutdown().await;
    }

    /// Stops stage after stage.
    async fn stop(&mut self) {
        for stage in STAGES {
            self.stops[stage as usize].send_replace(true);
            while self.names.values().any(|(of, _)| *of == stage) {
                let Some(ended) = self.tasks.join_next_with_id().await else {
                    break;
                };
                let task = self.ended(&ended);
                if let Err(failure) = ended {
                    error!(task, %failure, "a task failed while stopping");
                }
            }
        }
    }

    /// Forgets a task that has ended; its name.
    fn ended(&mut self, ended: &Result<(Id, ()), JoinError>) -> &'static str {
        let id = match ended {
            Ok((id, ())) => *id,
            Err(failure) => failure.id(),
        };
        self.names.remove(&id).map_or("unknown", |(_, name)| name)
    }
}

/// Ends when `stop` says `true`, or nobody is left who could.
pub(crate) async fn stopped(mut stop: watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parking_lot::Mutex;
    use tokio::sync::Notify;

    use super::*;

    const GRACE: Duration = Duration::from_secs(5);

    type Log = Arc<Mutex<Vec<&'static str>>>;

    fn polite(lifecycle: &mut Lifecycle, stage: Stage, name: &'static str, log: &Log) {
        let (stop, log) = (lifecycle.stop_of(stage), Arc::clone(log));
        lifecycle.spawn(stage, name, async move {
            stopped(stop).await;
            // Later stages must wait for this, however slow it is.
            tokio::task::yield_now().await;
            log.lock().push(name);
        });
    }

    /// Requests that come as often as the given number says, and never again.
    fn requests(count: usize) -> impl AsyncFnMut() {
        let mut left = count;
        async move || {
            if left == 0 {
                std::future::pending::<()>().await;
            }
            left -= 1;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn stages_stop_in_their_order() {
        let log = Log::default();
        let mut lifecycle = Lifecycle::new();
        polite(&mut lifecycle, Stage::Ground, "monitoring", &log);
        polite(&mut lifecycle, Stage::Core, "cse", &log);
        polite(&mut lifecycle, Stage::Bindings, "http", &log);
        polite(&mut lifecycle, Stage::Farewell, "uplink", &log);
        let stopping = lifecycle.stopping();
        assert_eq!(lifecycle.run(requests(1), GRACE).await, Ended::Politely);
        assert_eq!(*log.lock(), ["uplink", "http", "cse", "monitoring"]);
        assert!(*stopping.borrow());
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_ends_by_itself_stops_the_others() {
        for panics in [false, true] {
            let log = Log::default();
            let mut lifecycle = Lifecycle::new();
            polite(&mut lifecycle, Stage::Core, "cse", &log);
            lifecycle.spawn(Stage::Bindings, "http", async move {
                assert!(!panics, "on purpose");
            });
            assert_eq!(lifecycle.run(requests(0), GRACE).await, Ended::Crashed { task: "http" });
            assert_eq!(*log.lock(), ["cse"]);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_does_not_end_is_cut_off() {
        for asked in [1, 2] {
            let dropped = Arc::new(Notify::new());
            let held = Arc::clone(&dropped);
            let mut lifecycle = Lifecycle::new();
            lifecycle.spawn(Stage::Bindings, "http", async move {
                let _held = held;
                std::future::pending::<()>().await;
            });
            assert_eq!(lifecycle.run(requests(asked), GRACE).await, Ended::Hard);
            assert_eq!(Arc::strong_count(&dropped), 1, "the task was dropped");
        }
    }
}
