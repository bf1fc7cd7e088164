//! `dht sim random`: many short scenarios, each drawn from a seed of its own, all checkers on.

use std::num::NonZero;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};
use voiddht_sim::random::{self, Ran};

use crate::outcome::{Exit, Failure};
use crate::output::Output;

/// The word on the command line.
pub(super) const NAME: &str = "random";
/// What it shows, for the list.
pub(super) const ABOUT: &str =
    "Short scenarios drawn from seeds: any size, fault, adversary and work, all checkers on";

/// Runs `count` scenarios with the seeds from `first` on.
pub(super) fn run(
    first: u64,
    count: u64,
    threads: Option<usize>,
    output: &Output,
) -> Result<Exit, Failure> {
    let began = Instant::now();
    let all = run_all(first, count as usize, threads)?;
    let (mut events, mut gets, mut unlucky, mut failed) = (0, 0, 0, 0);
    for ran in &all {
        events += ran.events;
        gets += ran.gets;
        unlucky += ran.unlucky;
        if !ran.violations.is_empty() {
            failed += 1;
            output.line(format_args!("  BROKEN by seed {}: {}", ran.plan.seed, ran.plan))?;
            for violation in ran.violations.iter().take(5) {
                output.line(format_args!("    {violation}"))?;
            }
            output.line(format_args!("    again: dht sim random --seed {}", ran.plan.seed))?;
        }
    }
    if let [only] = all.as_slice() {
        output.line(format_args!("  {}\n  trace {:016x}", only.plan, only.trace_hash))?;
    }
    output.line(format_args!(
        "  {count} scenarios, {failed} broken; {gets} GETs, {unlucky} of them unlucky among hostile \
         nodes ({} are explained); {events} events in {:.1} s",
        random::luck(gets),
        began.elapsed().as_secs_f64()
    ))?;
    let is_unexplained = unlucky > random::luck(gets);
    Ok(if failed > 0 || is_unexplained { Exit::Negative } else { Exit::Success })
}

fn run_all(first: u64, count: usize, threads: Option<usize>) -> Result<Vec<Ran>, Failure> {
    let usual = || thread::available_parallelism().map_or(1, NonZero::get);
    let threads = threads.unwrap_or_else(usual).min(count);
    let bar = ProgressBar::new(count as u64);
    let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} scenarios {elapsed}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::with_capacity(count));
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        return;
                    }
                    let ran = random::run(first.wrapping_add(number as u64));
                    bar.inc(1);
                    // A thread that panicked ends the scope in a panic of its own.
                    if let Ok(mut results) = results.lock() {
                        results.push((number, ran));
                    }
                }
            });
        }
    });
    bar.finish_and_clear();
    let mut results = results.into_inner().map_err(|_| Failure::failed("a world panicked"))?;
    results.sort_unstable_by_key(|(number, _)| *number);
    results.into_iter().map(|(_, ran)| ran.map_err(Failure::failed)).collect()
}
