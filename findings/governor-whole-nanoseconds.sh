#!/usr/bin/env bash
# governor 0.10.4: Quota::per_second(n) stores the interval per cell in whole nanoseconds, rounded
# down. As a limit of bytes per second it lets through up to twice its rate: 333 MB/s when set to
# 300 MB/s, 1000 when set to 510 or to 625 (5 Gbit/s), but only 1000 when set to 1250 (10 Gbit/s).
# Expected: the rate that was set, within a few per cent, or an error; n may be any u32 but 0.
#
# 125 MB/s (1 Gbit/s) is exact, as is every n that divides 10^9, so a test with round numbers
# passes. Quota::replenish_interval() returns the rounded value. Count in larger units: with
# kilobytes as cells, the same limits are exact. The clock here is governor's fake clock: the result
# depends on no timing.
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
governor = "=0.10.4"
TOML
cat >"$work/src/main.rs" <<'RUST'
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::FakeRelativeClock;
use governor::{Quota, RateLimiter};

/// How many cells pass in one second, taken this many at a time, after the burst is used up.
fn passed(per_second: u32, at_a_time: u32) -> u64 {
    let cells = |number| NonZeroU32::new(number).expect("not zero");
    let quota = Quota::per_second(cells(per_second)).allow_burst(cells(100 * at_a_time));
    let clock = FakeRelativeClock::default();
    let limiter = RateLimiter::direct_with_clock(quota, clock.clone());
    let take_all = || {
        let take = || limiter.check_n(cells(at_a_time)).expect("less than the burst").is_ok();
        std::iter::repeat_with(take).take_while(|&taken| taken).count() as u64
    };
    take_all();
    let steps = (0..1_000_000).map(|_| {
        clock.advance(Duration::from_micros(1));
        take_all()
    });
    steps.sum::<u64>() * u64::from(at_a_time)
}

fn main() {
    for megabytes in [100, 125, 300, 510, 625, 1250] {
        let bytes = passed(megabytes * 1_000_000, 1000) / 1_000_000;
        let kilobytes = passed(megabytes * 1000, 1) / 1000;
        println!("{megabytes} MB/s: {bytes} pass as bytes, {kilobytes} as kilobytes");
    }
}
RUST
seen=$(cd "$work" && cargo run --quiet --release)
echo "governor 0.10.4:"
echo "$seen"
wanted='100 MB/s: 100 pass as bytes, 100 as kilobytes
125 MB/s: 125 pass as bytes, 125 as kilobytes
300 MB/s: 333 pass as bytes, 300 as kilobytes
510 MB/s: 1000 pass as bytes, 510 as kilobytes
625 MB/s: 1000 pass as bytes, 625 as kilobytes
1250 MB/s: 1000 pass as bytes, 1250 as kilobytes'
[ "$seen" = "$wanted" ] || {
    echo "the behaviour has changed; it was:" >&2
    echo "$wanted" >&2
    exit 1
}
