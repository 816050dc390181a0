//! What the operating system says of processes and of the machine (Linux).

use std::fs;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::Result;

/// Clock ticks per second in `/proc`, the same on all common machines.
const TICKS_PER_SECOND: f64 = 100.0;

/// CPU time that a process has used, user and system.
pub(crate) fn cpu_time(process: u32) -> Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The name in parentheses may contain anything; the fields behind it begin with the third.
    let fields = stat.rsplit_once(')').map(|(_, fields)| fields).ok_or("/proc/PID/stat is not as expected")?;
    let mut times = fields.split_whitespace().skip(11).map(str::parse::<f64>);
    let (Some(Ok(user)), Some(Ok(system))) = (times.next(), times.next()) else {
        return Err("/proc/PID/stat has no CPU times".into());
    };
    Ok(Duration::from_secs_f64((user + system) / TICKS_PER_SECOND))
}

/// Resident memory of a process.
pub(crate) fn resident_bytes(process: u32) -> Result<u64> {
    status_bytes(process, "VmRSS:")
}

/// The most that was resident since a process began.
pub(crate) fn peak_bytes(process: u32) -> Result<u64> {
    status_bytes(process, "VmHWM:")
}

fn status_bytes(process: u32, name: &str) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let line = line.ok_or_else(|| format!("no {name} in /proc/PID/status"))?;
    let kib = line.trim().trim_end_matches("kB").trim().parse::<u64>()?;
    Ok(kib * 1024)
}

/// Says what it is measured on, as far as it matters.
pub(crate) fn print(data: &Path) -> Result<()> {
    let cpus = std::thread::available_parallelism()?;
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find(|line| line.starts_with("model name")).and_then(|line| line.split(": ").nth(1));
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    println!("machine: {cpus} CPUs ({}), Linux {}", model.unwrap_or("unknown"), kernel.trim());
    println!("load generator: one thread on the same CPUs; data on {}", filesystem(data));
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("load average before: {}", load.split(' ').next().unwrap_or("unknown"));
    let (p50, p99, max) = sync_times(data)?;
    println!("one page written and synced to disk: p50 {p50:.2} ms, p99 {p99:.2} ms, longest {max:.2} ms");
    Ok(())
}

/// What a durable commit waits for at least: the median, the 99th percentile and the longest, in milliseconds.
fn sync_times(data: &Path) -> Result<(f64, f64, f64)> {
    const TIMES: usize = 500;
    let mut file = fs::File::create(data.join("sync"))?;
    let mut times = Vec::with_capacity(TIMES);
    for _ in 0..TIMES {
        let began = Instant::now();
        file.write_all(&[1; 4096])?;
        file.sync_data()?;
        times.push(began.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_unstable_by(f64::total_cmp);
    Ok((times[TIMES / 2], times[TIMES * 99 / 100], times[TIMES - 1]))
}

/// The type of the filesystem with the longest matching mount point.
fn filesystem(path: &Path) -> String {
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    let mount = |line: &str| {
        let mut fields = line.split(' ').skip(1).map(str::to_owned);
        Some((fields.next()?, fields.next()?))
    };
    let found = mounts.lines().filter_map(mount).filter(|(point, _)| path.starts_with(point));
    found.max_by_key(|(point, _)| point.len()).map_or_else(|| "an unknown filesystem".into(), |(_, kind)| kind)
}
