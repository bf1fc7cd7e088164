//! What the operating system says about this process, under the names that Prometheus' own
//! libraries give it. Where there is no `/proc`, less is known.

use rustix::param::clock_ticks_per_second;
use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

use super::family::MetricKind;
use super::metric::Metric;

pub(super) const METRICS: &[Metric] = &[
    Metric::process(
        "process_start_time_seconds",
        MetricKind::Gauge,
        "When the process started, in seconds since 1970.",
        start_seconds,
    )
    .watch("it restarts again and again"),
    Metric::process(
        "process_cpu_seconds_total",
        MetricKind::Counter,
        "Processor time of this process, in seconds.",
        || {
            let spent = clock_gettime(ClockId::ProcessCPUTime);
            Some(spent.tv_sec as f64 + spent.tv_nsec as f64 / 1e9)
        },
    ),
    Metric::process(
        "process_resident_memory_bytes",
        MetricKind::Gauge,
        "Resident memory of this process.",
        resident_bytes,
    ),
    Metric::process("process_open_fds", MetricKind::Gauge, "Open files of this process.", || {
        Some(std::fs::read_dir("/proc/self/fd").ok()?.count() as f64)
    }),
    Metric::process(
        "process_max_fds",
        MetricKind::Gauge,
        "Files that this process may have open.",
        || getrlimit(Resource::Nofile).current.map(|most| most as f64),
    ),
];

fn resident_bytes() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some((kibibytes * 1024) as f64)
}

/// When the machine booted, and how long after that this process started.
fn start_seconds() -> Option<f64> {
    let machine = std::fs::read_to_string("/proc/stat").ok()?;
    let booted: u64 =
        machine.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    let process = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name of the program, in brackets, may hold anything: fields are counted from behind it.
    // The start is field 22 of proc(5), the twentieth from there.
    let (_, fields) = process.rsplit_once(')')?;
    let ticks: u64 = fields.split_whitespace().nth(19)?.parse().ok()?;
    Some(booted as f64 + ticks as f64 / clock_ticks_per_second() as f64)
}

#[cfg(test)]
mod tests {
    use std::time::{SystemTime, UNIX_EPOCH};

    use super::*;

    #[test]
    fn the_process_started_before_now_and_not_long_ago() {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
        let age = now - start_seconds().unwrap();
        // btime is whole seconds; a test takes minutes at most.
        assert!((-2.0..3600.0).contains(&age), "{age}");
    }
}
