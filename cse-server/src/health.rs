//! Whether the server can be used now: what `/readyz` says.

use std::sync::Arc;
use std::time::Duration;

use cse_core::ports::BoxFuture;
use serde_json::{Map, Value, json};
use tokio::sync::{Mutex, watch};
use tokio::time::{Instant, timeout};

/// How long a probe may take until the part counts as down.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a report is given out again, so that eager probes cost nothing.
const REPORT_LIFETIME: Duration = Duration::from_millis(500);

/// Looks whether a part works; the error says what does not.
pub(crate) type Probe = Box<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

/// What a part is needed for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Role {
    /// Nothing works without it.
    Needed,
    /// One of the ways in; one is enough.
    Binding,
    /// What others do with it: told, but no reason to send nobody here.
    Told,
}

struct Part {
    name: &'static str,
    role: Role,
    probe: Probe,
}

/// The state of all parts at one time.
#[derive(Debug)]
pub(crate) struct Report {
    /// Whether requests can be served by some binding.
    pub(crate) ready: bool,
    /// The report in JSON.
    pub(crate) json: Value,
}

/// Probes the parts when asked.
pub(crate) struct Health {
    parts: Vec<Part>,
    stopping: watch::Receiver<bool>,
    // Held while probing, so that any number of questions cause one probe. Nothing else takes it.
    latest: Mutex<Option<(Instant, Arc<Report>)>>,
}

impl Health {
    /// Without parts yet; not ready once `stopping` says `true`.
    pub(crate) fn new(stopping: watch::Receiver<bool>) -> Self {
        Self { parts: Vec::new(), stopping, latest: Mutex::default() }
    }

    /// Adds a part.
    pub(crate) fn part(&mut self, name: &'static str, role: Role, probe: Probe) {
        self.parts.push(Part { name, role, probe });
    }

    /// The state now, at most half a second old.
    pub(crate) async fn report(&self) -> Arc<Report> {
        let stopping = *self.stopping.borrow();
        let mut latest = self.latest.lock().await;
        if let Some((at, report)) = &*latest
            && at.elapsed() < REPORT_LIFETIME
            && !stopping
        {
            return Arc::clone(report);
        }
        let report = Arc::new(self.probe(stopping).await);
        *latest = Some((Instant::now(), Arc::clone(&report)));
        report
    }

    async fn probe(&self, stopping: bool) -> Report {
        let probes = self.parts.iter().map(|part| async move {
            timeout(PROBE_TIMEOUT, (part.probe)()).await.unwrap_or_else(|_| Err("does not answer".into()))
        });
        let states = futures_util::future::join_all(probes).await;
        let up = |role| {
            let mut states = self.parts.iter().zip(&states).filter(move |(part, _)| part.role == role);
            move |every: bool| {
                if every { states.all(|(_, state)| state.is_ok()) } else { states.any(|(_, s)| s.is_ok()) }
            }
        };
        let ready = !stopping && up(Role::Needed)(true) && up(Role::Binding)(false);
        let parts: Map<String, Value> = self
            .parts
            .iter()
            .zip(&states)
            .map(|(part, state)| {
                let state = match state {
                    Ok(()) => json!({"state": "up"}),
                    Err(problem) => json!({"state": "down", "problem": problem}),
                };
                (part.name.to_owned(), state)
            })
            .collect();
        let status = match (stopping, ready) {
            (true, _) => "stopping",
            (false, true) => "ready",
            (false, false) => "unavailable",
        };
        Report { ready, json: json!({"status": status, "parts": parts}) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixed(state: Result<(), &'static str>) -> Probe {
        Box::new(move || Box::pin(async move { state.map_err(str::to_owned) }))
    }

    fn health(parts: &[(&'static str, Role, Result<(), &'static str>)]) -> (watch::Sender<bool>, Health) {
        let (stop, stopping) = watch::channel(false);
        let mut health = Health::new(stopping);
        for (name, role, state) in parts {
            health.part(name, *role, fixed(*state));
        }
        (stop, health)
    }

    #[tokio::test]
    async fn one_binding_is_enough_but_the_store_is_needed() {
        use Role::{Binding, Needed};
        for (store, http, mqtt, ready) in [
            (Ok(()), Ok(()), Ok(()), true),
            (Ok(()), Err("x"), Ok(()), true),
            (Ok(()), Err("x"), Err("x"), false),
            (Err("x"), Ok(()), Ok(()), false),
        ] {
            let uplink = ("uplink", Role::Told, Err("x"));
            let (_stop, health) =
                health(&[("store", Needed, store), ("http", Binding, http), ("mqtt", Binding, mqtt), uplink]);
            let report = health.report().await;
            assert_eq!(report.ready, ready, "{}", report.json);
        }
    }

    #[tokio::test]
    async fn every_part_is_named() {
        let (_stop, health) = health(&[("store", Role::Needed, Err("disk full")), ("http", Role::Binding, Ok(()))]);
        assert_eq!(
            health.report().await.json,
            json!({
                "status": "unavailable",
                "parts": {"store": {"state": "down", "problem": "disk full"}, "http": {"state": "up"}},
            })
        );
    }

    #[tokio::test]
    async fn a_server_that_stops_is_not_ready() {
        let (stop, health) = health(&[("http", Role::Binding, Ok(()))]);
        assert!(health.report().await.ready);
        stop.send(true).expect("received");
        let report = health.report().await;
        assert!(!report.ready);
        assert_eq!(report.json["status"], "stopping");
    }

    #[tokio::test(start_paused = true)]
    async fn a_part_that_does_not_answer_is_down() {
        let (_stop, stopping) = watch::channel(false);
        let mut health = Health::new(stopping);
        health.part("store", Role::Needed, Box::new(|| Box::pin(std::future::pending())));
        health.part("http", Role::Binding, fixed(Ok(())));
        let report = health.report().await;
        assert!(!report.ready);
        assert_eq!(report.json["parts"]["store"]["problem"], "does not answer");
    }
}
