//! What the operating system says about this process, under the names that Prometheus' own
//! libraries give it.

use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

use super::exposition::{Exposition, Kind};

/// Writes what is known; where there is no `/proc`, less is.
pub(super) fn expose(exposition: &mut Exposition) {
    let spent = clock_gettime(ClockId::ProcessCPUTime);
    let seconds = spent.tv_sec as f64 + spent.tv_nsec as f64 / 1e9;
    let help = "Processor time of this process, in seconds.";
    let name = "process_cpu_seconds_total";
    exposition.family(name, Kind::Counter, help).sample(&[], seconds);
    if let Some(bytes) = resident_bytes() {
        let help = "Memory of this process that is resident.";
        let name = "process_resident_memory_bytes";
        exposition.family(name, Kind::Gauge, help).sample(&[], bytes);
    }
    if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
        let help = "Files that this process has open.";
        exposition.family("process_open_fds", Kind::Gauge, help).sample(&[], open.count());
    }
    if let Some(most) = getrlimit(Resource::Nofile).current {
        let help = "Files that this process may have open.";
        exposition.family("process_max_fds", Kind::Gauge, help).sample(&[], most);
    }
}

fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kibibytes * 1024)
}
