//! One measured line: how many, how fast, at what cost.

use std::time::{Duration, Instant};

use super::machine::{cpu_time, resident_bytes};
use crate::Result;

/// Latencies of answered requests.
#[derive(Default)]
pub(crate) struct Latencies(Vec<u32>);

impl Latencies {
    /// Adds one that began at that time and ends now.
    pub(crate) fn add(&mut self, began: Instant) {
        self.0.push(u32::try_from(began.elapsed().as_micros()).unwrap_or(u32::MAX));
    }

    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// Takes over others.
    pub(crate) fn merge(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// The latency that so many of 1,000 requests did not exceed; of sorted ones.
    fn per_mille(&self, share: usize) -> Duration {
        let at = (self.0.len() * share / 1_000).min(self.0.len().saturating_sub(1));
        self.0.get(at).map_or(Duration::ZERO, |micros| Duration::from_micros(u64::from(*micros)))
    }
}

/// What was measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(crate) per_second: f64,
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
    pub(crate) p999: Duration,
    pub(crate) longest: Duration,
    /// CPU time of the processes that serve for one request, user and system.
    pub(crate) cpu_per_request: Option<Duration>,
    /// Their resident memory at the end.
    pub(crate) resident_bytes: Option<u64>,
}

/// The slices of one line.
#[derive(Default)]
pub(crate) struct Tally {
    latencies: Latencies,
    count: usize,
    elapsed: Duration,
    cpu: Option<Duration>,
    resident_bytes: Option<u64>,
}

impl Tally {
    /// Adds what was done in a time; `per` latency, since a commit is of many rows.
    pub(crate) fn add(&mut self, latencies: Latencies, per: usize, elapsed: Duration) {
        self.count += latencies.count() * per;
        self.latencies.merge(latencies);
        self.elapsed += elapsed;
    }

    pub(crate) fn into_sample(mut self) -> Sample {
        self.latencies.0.sort_unstable();
        Sample {
            per_second: self.count as f64 / self.elapsed.as_secs_f64(),
            p50: self.latencies.per_mille(500),
            p99: self.latencies.per_mille(990),
            p999: self.latencies.per_mille(999),
            longest: self.latencies.per_mille(1_000),
            cpu_per_request: self.cpu.map(|cpu| cpu.div_f64(self.count.max(1) as f64)),
            resident_bytes: self.resident_bytes,
        }
    }
}

/// The beginning of a slice.
pub(crate) struct Stopwatch {
    processes: Vec<u32>,
    cpu: Duration,
    began: Instant,
}

impl Stopwatch {
    /// Begins, on the processes that serve.
    pub(crate) fn start(processes: &[u32]) -> Result<Self> {
        Ok(Self { cpu: cpu_times(processes)?, processes: processes.to_vec(), began: Instant::now() })
    }

    /// Ends: these are the requests that were answered in between.
    pub(crate) fn stop(self, latencies: Latencies, tally: &mut Tally) -> Result<()> {
        tally.add(latencies, 1, self.began.elapsed());
        let cpu = cpu_times(&self.processes)?.saturating_sub(self.cpu);
        tally.cpu = Some(tally.cpu.unwrap_or_default() + cpu);
        let resident = self.processes.iter().map(|process| resident_bytes(*process)).sum::<Result<u64>>()?;
        tally.resident_bytes = Some(resident);
        Ok(())
    }
}

fn cpu_times(processes: &[u32]) -> Result<Duration> {
    processes.iter().map(|process| cpu_time(*process)).sum()
}
