#!/usr/bin/env bash
# mimalloc 3 (crate mimalloc 0.1.52): what a program has freed stays in its memory for as long as it idles,
# though the purge delay is a second by default. The time is looked at only when the same thread allocates
# or frees again: with a purge delay of 0, the free itself gives the memory back. Expected: that the
# delay is how long it takes.
#
# After a burst of 2 000 values of 60 000 bytes, all of 128 MiB are held ten seconds later; with
# MIMALLOC_PURGE_DELAY=0 six, at once.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/src"
cat >"$work/Cargo.toml" <<'TOML'
[package]
name = "finding"
version = "0.0.0"
edition = "2021"
[dependencies]
mimalloc = "=0.1.52"
TOML
cat >"$work/src/main.rs" <<'RUST'
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Mebibytes of heap and stacks in memory.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("a line");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") >> 10
}

fn main() {
    let values: Vec<Vec<u8>> = (0..2000).map(|_| vec![1; 60_000]).collect();
    let full = resident();
    drop(values);
    std::thread::sleep(std::time::Duration::from_secs(10));
    println!("full: {full} MiB, freed and idle for ten seconds: {} MiB", resident());
}
RUST
cd "$work"
cargo build --quiet --release
by_default=$(env -u MIMALLOC_PURGE_DELAY target/release/finding)
at_once=$(MIMALLOC_PURGE_DELAY=0 target/release/finding)
echo "mimalloc 0.1.52, by default: $by_default"
echo "MIMALLOC_PURGE_DELAY=0:      $at_once"
held() { sed -n 's/.*seconds: \([0-9]*\) MiB/\1/p' <<<"$1"; }
(($(held "$by_default") > 80 && $(held "$at_once") < 20)) || {
    echo "the behaviour has changed" >&2
    exit 1
}
