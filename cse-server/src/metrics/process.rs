//! Samples of the process, as far as the system tells.

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use super::{Measure, Sample};

/// Samples of the process.
pub(crate) struct ProcessSamples {
    started_s: f64,
}

impl ProcessSamples {
    /// For a process that starts now.
    pub(crate) fn starting() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { started_s: since_epoch.as_secs_f64() }
    }

    /// The samples now.
    pub(crate) fn samples(&self) -> Vec<Sample> {
        let started = Sample {
            value: Measure::GaugeSeconds(self.started_s),
            ..Sample::gauge("process_start_time_seconds", "When the server was started, in seconds since 1970", 0)
        };
        let memory = resident_bytes()
            .map(|bytes| Sample::gauge("process_resident_memory_bytes", "Memory of the process that is in RAM", bytes));
        let files =
            open_files().map(|count| Sample::gauge("process_open_fds", "Files and connections that are open", count));
        [Some(started), memory, files].into_iter().flatten().collect()
    }
}

fn resident_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

fn open_files() -> Option<u64> {
    u64::try_from(fs::read_dir("/proc/self/fd").ok()?.count()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn the_system_tells_memory_and_files() {
        assert!(resident_bytes().is_some_and(|bytes| bytes > 100_000));
        assert!(open_files().is_some_and(|count| count >= 3));
    }
}
