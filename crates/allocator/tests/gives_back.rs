//! What the process holds once much has been freed, and nothing is allocated any more. Linux tells that
//! in `/proc`.

#![cfg(target_os = "linux")]

use std::fs;
use std::hint::black_box;

/// Kibibytes of heap and stacks in memory (proc_pid_status(5), RssAnon).
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse().unwrap()
}

#[test]
fn a_burst_of_values_leaves_next_to_nothing() {
    voiddht_allocator::give_back_freed_memory();
    let before = resident();
    let values: Vec<Vec<u8>> = (0..2000).map(|_| black_box(vec![1; 60_000])).collect();
    let full = resident();
    assert!(full > before + 100_000, "{before} to {full} KiB");
    drop(values);
    let after = resident();
    assert!(after < before + 8_000, "{before} to {full} to {after} KiB");
}
