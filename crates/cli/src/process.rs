//! Statistics of this process from the operating system: open files, processor time, memory.

use std::env;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{
    Resource, Rlimit, Signal, geteuid, getrlimit, set_parent_process_death_signal, setrlimit,
};
use rustix::thread::disable_transparent_huge_pages;
use rustix::time::{ClockId, clock_gettime};

/// Raises the limit of open files to what the operator allows at most: every connection is one,
/// and the usual soft limit of 1 024 is for programs that use `select`. The answer is the limit
/// that now holds, `None` if there is none.
pub fn raise_open_files() -> Option<u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum {
        return current;
    }
    match setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        Ok(()) => maximum,
        Err(_) => current,
    }
}

/// Has the kernel kill this process when the thread ends that started it.
///
/// # Errors
/// Where the kernel cannot do that.
pub fn die_with_parent() -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    Ok(())
}

/// Has this process do without huge pages. The allocator asks for them, which is for programs that
/// fill them: a node lives in a few megabytes, and would take up eight at once.
pub fn do_without_huge_pages() {
    // Where the kernel does not know them, there is nothing to do without.
    let _ = disable_transparent_huge_pages(true);
}

/// Where this user's nodes without a data directory make their control sockets: the directory of
/// the XDG base directory specification, else the nearest thing to it.
pub fn runtime_directory() -> PathBuf {
    let user = geteuid();
    match env::var_os("XDG_RUNTIME_DIR").filter(|directory| !directory.is_empty()) {
        Some(directory) => Path::new(&directory).join("voiddht"),
        None if user.is_root() => PathBuf::from("/run/voiddht"),
        None => PathBuf::from(format!("/tmp/voiddht-{}", user.as_raw())),
    }
}

/// Processor time of all threads of this process so far.
pub fn processor_time() -> Duration {
    let spent = clock_gettime(ClockId::ProcessCPUTime);
    let seconds = u64::try_from(spent.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(spent.tv_nsec).unwrap_or(0))
}

/// Bytes of this process that lie in memory.
///
/// # Errors
/// Where there is no `/proc`.
pub fn resident_bytes() -> io::Result<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm")?;
    let pages = statm.split_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok());
    let pages = pages.ok_or_else(|| io::Error::other("/proc/self/statm is not as it should be"))?;
    Ok(pages * rustix::param::page_size() as u64)
}

/// Bytes that the process with this ID takes up: its own, and its share of those that it has in
/// common with others (proc_pid_smaps(5), Pss).
///
/// # Errors
/// Where there is no such process, or no `/proc`.
pub fn proportional_bytes_of(process: u32) -> io::Result<u64> {
    kibibytes_in(&format!("/proc/{process}/smaps_rollup"), "Pss:")
}

/// The most bytes of this process that ever lay in memory.
///
/// # Errors
/// Where there is no `/proc`.
pub fn peak_resident_bytes() -> io::Result<u64> {
    kibibytes_in("/proc/self/status", "VmHWM:")
}

/// What a line of a file of `/proc` says, in bytes.
fn kibibytes_in(path: &str, name: &str) -> io::Result<u64> {
    let text = std::fs::read_to_string(path)?;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let kibibytes =
        line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
    let wrong = || io::Error::other(format!("{path} is not as it should be"));
    Ok(kibibytes.ok_or_else(wrong)? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figures_are_of_this_process() {
        assert!(raise_open_files().is_none_or(|files| files > 0));
        assert_eq!(getrlimit(Resource::Nofile).current, getrlimit(Resource::Nofile).maximum);
        assert!(processor_time() > Duration::ZERO);
        assert!(resident_bytes().unwrap() > 100 * 1024);
        assert!(proportional_bytes_of(std::process::id()).unwrap() > 100 * 1024);
        assert!(peak_resident_bytes().unwrap() >= resident_bytes().unwrap() / 2);
    }
}
