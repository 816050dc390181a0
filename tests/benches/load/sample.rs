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

    /// Takes over those of another connection.
    pub(crate) fn merge(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// The latency that `percent` of the requests did not exceed.
    fn percentile(&self, percent: usize) -> Duration {
        let at = (self.0.len() * percent / 100).min(self.0.len().saturating_sub(1));
        self.0.get(at).map_or(Duration::ZERO, |micros| Duration::from_micros(u64::from(*micros)))
    }
}

impl Latencies {
    /// A sample of a rate, with no process to account for.
    pub(crate) fn into_sample(mut self, per_second: f64) -> Sample {
        self.0.sort_unstable();
        let (p50, p99) = (self.percentile(50), self.percentile(99));
        Sample { per_second, p50, p99, cpu_per_request: None, resident_bytes: None }
    }
}

/// What was measured.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sample {
    pub(crate) per_second: f64,
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
    /// CPU time of the other process for one request, user and system.
    pub(crate) cpu_per_request: Option<Duration>,
    /// Its resident memory at the end.
    pub(crate) resident_bytes: Option<u64>,
}

/// The beginning of a measurement.
pub(crate) struct Stopwatch {
    process: u32,
    cpu: Duration,
    began: Instant,
}

impl Stopwatch {
    /// Begins, on a process that serves.
    pub(crate) fn start(process: u32) -> Result<Self> {
        Ok(Self { process, cpu: cpu_time(process)?, began: Instant::now() })
    }

    /// Ends: these are the requests that were answered in between.
    pub(crate) fn stop(self, latencies: Latencies) -> Result<Sample> {
        let elapsed = self.began.elapsed();
        let cpu = cpu_time(self.process)?.saturating_sub(self.cpu);
        let count = latencies.count() as f64;
        Ok(Sample {
            cpu_per_request: Some(cpu.div_f64(count.max(1.0))),
            resident_bytes: Some(resident_bytes(self.process)?),
            ..latencies.into_sample(count / elapsed.as_secs_f64())
        })
    }
}
