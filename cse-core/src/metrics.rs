//! What the CSE counts. Read by the server for its metrics page.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::outbox::Loss;

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// One more.
    pub(crate) fn increment(&self) {
        self.add(1);
    }

    /// Some more.
    pub(crate) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// The number now.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Name, help text, label and value of a counter.
pub type Sample = (&'static str, &'static str, Option<(&'static str, &'static str)>, u64);

/// Counters of a CSE.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Requests by operation: CREATE, RETRIEVE, UPDATE, DELETE, NOTIFY.
    pub requests: [Counter; 5],
    /// Requests that were answered with a status code of 4000 or more.
    pub refused: Counter,
    /// Commits.
    pub commits: Counter,
    /// Requests that were answered from the record of earlier ones.
    pub redeliveries: Counter,
    /// Requests that were passed on to another CSE.
    pub forwarded: Counter,
    /// Those of them that met nobody, or no answer in time.
    pub forward_failed: Counter,
    /// Access control policies that were read at other CSEs.
    pub policies_read: Counter,
    /// Attempts to read one that failed.
    pub policies_unreadable: Counter,
    /// Resources deleted because they had expired.
    pub expired: Counter,
    /// Notifications that arrived.
    pub notifications_delivered: Counter,
    /// Attempts to notify that failed and will be repeated.
    pub notifications_retried: Counter,
    /// Notifications that were given up.
    pub notifications_given_up: Counter,
    /// Notifications that were never stored, because too many waited already.
    pub notifications_dropped: Counter,
    /// Notifications that were given up, by reason.
    pub notifications_lost: [Counter; 4],
    /// Non-blocking requests that were given up because their targets could not be reached in time.
    pub non_blocking_given_up: Counter,
    /// Non-blocking requests that were refused because as many are kept as may be.
    pub non_blocking_refused: Counter,
    /// What was done for copies at other CSEs, or needed not be done any more.
    pub announced: Counter,
    /// Attempts to do so that came to nothing and are repeated.
    pub announcements_retried: Counter,
    /// What another CSE refused to do for a copy.
    pub announcements_refused: Counter,
    /// What was never stored, because too much waited already.
    pub announcements_dropped: Counter,
    /// Answers to changes that were held back until their notifications were on their way.
    pub answers_held: Counter,
    /// Attempts to register with the registrar, to refresh that, or to look whether it holds.
    pub uplink_attempts: Counter,
    /// Those that failed.
    pub uplink_failures: Counter,
    /// Observations of reads that were dropped because the writer was behind.
    pub observations_dropped: Counter,
}

impl Metrics {
    /// Each counter, for a metrics page; requests once per operation.
    pub fn snapshot(&self) -> Vec<Sample> {
        let operations = ["create", "retrieve", "update", "delete", "notify"];
        let mut all: Vec<_> = operations
            .iter()
            .zip(&self.requests)
            .map(|(name, counter)| ("requests", "Requests by operation", Some(("operation", *name)), counter.get()))
            .collect();
        let lost = Loss::NAMES.iter().zip(&self.notifications_lost);
        all.extend(lost.map(|(name, counter)| {
            ("notifications_lost", "Notifications given up by reason", Some(("reason", *name)), counter.get())
        }));
        for (name, help, counter) in [
            ("requests_refused", "Requests answered with 4000 or above", &self.refused),
            ("commits", "Commits to the store", &self.commits),
            ("redeliveries", "Requests answered from the record", &self.redeliveries),
            ("forwarded", "Requests passed on to another CSE", &self.forwarded),
            ("forward_failed", "Requests passed on that met nobody, or no answer in time", &self.forward_failed),
            ("policies_read", "Access control policies read at other CSEs", &self.policies_read),
            (
                "policies_unreadable",
                "Failed attempts to read access control policies at other CSEs",
                &self.policies_unreadable,
            ),
            ("resources_expired", "Resources deleted at their expiration", &self.expired),
            ("notifications_delivered", "Notifications that arrived", &self.notifications_delivered),
            ("notification_retries", "Failed attempts to notify", &self.notifications_retried),
            ("notifications_given_up", "Notifications given up", &self.notifications_given_up),
            ("notifications_dropped", "Notifications dropped because too many waited", &self.notifications_dropped),
            (
                "non_blocking_given_up",
                "Non-blocking requests whose targets were not reached",
                &self.non_blocking_given_up,
            ),
            ("non_blocking_refused", "Non-blocking requests refused at a bound", &self.non_blocking_refused),
            ("announced", "Announcements done", &self.announced),
            ("announcement_retries", "Failed attempts to announce", &self.announcements_retried),
            ("announcements_refused", "Announcements that other CSEs refused", &self.announcements_refused),
            ("announcements_dropped", "Announcements dropped because too many waited", &self.announcements_dropped),
            ("answers_held", "Answers held back until notifications were on their way", &self.answers_held),
            ("uplink_attempts", "Attempts to be, stay and find ourselves registered", &self.uplink_attempts),
            ("uplink_failures", "Failed attempts to be, stay and find ourselves registered", &self.uplink_failures),
            ("observations_dropped", "Observed reads not notified", &self.observations_dropped),
        ] {
            all.push((name, help, None, counter.get()));
        }
        all
    }
}
