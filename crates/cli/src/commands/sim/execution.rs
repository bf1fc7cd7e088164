//! The worlds of a scenario, each on a thread of its own, as many at a time as there are processors.

use std::num::NonZero;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use voiddht_sim::run::{self, Ran};
use voiddht_sim::scenario::{Plan, Point};

use super::progress::Progress;
use super::table::words;
use crate::outcome::Failure;
use crate::output::Output;

/// Runs every world, and returns what came out in the order of the scenario.
pub(super) fn run(
    plan: &Plan,
    seed: u64,
    threads: Option<usize>,
    output: &Output,
) -> Result<Vec<Ran>, Failure> {
    let jobs: Vec<(&Point, u32)> = plan.jobs().collect();
    let usual = || thread::available_parallelism().map_or(1, NonZero::get);
    let threads = threads.unwrap_or_else(usual).min(jobs.len());
    let progress = Progress::new(&plan.name, jobs.len(), output);
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some((point, repetition)) = jobs.get(number) else { return };
                    let mut bar = progress.begin(words(&point.settings));
                    let ran = run::run_point(point, seed, *repetition, &mut |step| bar.show(step));
                    progress.end(bar);
                    // A thread that panicked ends the scope in a panic of its own.
                    if let Ok(mut results) = results.lock() {
                        results.push((number, ran));
                    }
                }
            });
        }
    });
    progress.finish();
    let mut results = results.into_inner().map_err(|_| Failure::failed("a world panicked"))?;
    results.sort_unstable_by_key(|(number, _)| *number);
    results.into_iter().map(|(_, ran)| ran.map_err(Failure::failed)).collect()
}
