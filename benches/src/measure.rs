//! The workload of every system, and its timing.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use anyhow::Result;
use futures::{StreamExt, stream};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

use crate::network::{Death, Item, Network};
use crate::process;
use crate::progress::Progress;
use crate::rows::{self, Figures};

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) nodes: usize,
    /// The most values that are put, and got, one at a time.
    pub(crate) values: usize,
    /// How long each measurement may take, in seconds.
    pub(crate) seconds: u64,
}

/// Operations in flight under load.
const AT_ONCE: usize = 64;
/// The share of the nodes that die, in percent.
const DYING: usize = 30;
/// How long a network is left alone before its memory is read: connections come and go while
/// nodes join.
const SETTLING: Duration = Duration::from_secs(3);
/// How long values are put, and then got, before anything is timed: then routing tables are full,
/// connections made, and the allocator warm. Who has the most to do, for each pair of nodes a
/// connection by handshake, is through with it.
const WARMING: Duration = Duration::from_secs(4);
/// An operation that takes longer has failed. The systems' own limits are shorter, where they
/// have any.
const OPERATION_DEADLINE: Duration = Duration::from_secs(30);
/// The work is the same in every run, as far as it does not depend on the clock.
const SEED: u64 = 7;

/// All rows of one system.
pub(crate) async fn measure<N: Network>(name: &'static str, plan: &Plan) -> Result<Figures> {
    let progress = Progress::new(name, 12);
    let mut figures = Figures::new();
    measure_living::<N>(plan, &progress, &mut figures).await?;
    for death in [Death::Killed, Death::Silent] {
        measure_dying::<N>(plan, death, &progress, &mut figures).await?;
    }
    Ok(figures)
}

async fn measure_living<N: Network>(
    plan: &Plan,
    progress: &Progress,
    figures: &mut Figures,
) -> Result<()> {
    let mut set = |row: &str, value: f64| insert(figures, row, value);
    progress.step("joining");
    let (memory_before, started) = (process::own_memory()?, Instant::now());
    let network = N::start(plan.nodes, 0).await?;
    set(rows::JOINED, started.elapsed().as_secs_f64());
    progress.step("idle");
    tokio::time::sleep(SETTLING).await;
    let grown = process::own_memory()?.saturating_sub(memory_before);
    set(rows::MEMORY, grown as f64 / plan.nodes as f64 / f64::from(1 << 20));

    let work = Work::new(&network, plan.nodes);
    progress.step("warming up");
    work.warm_up().await;
    let lasts = Duration::from_secs(plan.seconds);
    progress.step("PUT, one at a time");
    let put = work.run(Operation::Put, 1, plan.values, lasts).await;
    progress.step("GET, one at a time");
    let get = work.run(Operation::Get, 1, plan.values, lasts).await;
    progress.step("PUT, 64 at once");
    let puts = work.run(Operation::Put, AT_ONCE, usize::MAX, lasts).await;
    progress.step("GET, 64 at once");
    let gets = work.run(Operation::Get, AT_ONCE, usize::MAX, lasts).await;

    set(rows::GET_P50, get.percentile(50));
    set(rows::GET_P99, get.percentile(99));
    set(rows::PUT_P50, put.percentile(50));
    set(rows::PUT_P99, put.percentile(99));
    set(rows::GET_RATE, gets.per_second());
    set(rows::PUT_RATE, puts.per_second());
    set(rows::GET_PROCESSOR, gets.processor_milliseconds());
    set(rows::PUT_PROCESSOR, puts.processor_milliseconds());
    if let Some(own_store) = gets.own_store {
        set(rows::OWN_STORE, gets.percent(own_store));
    }
    let all = [put, get, puts, gets];
    let (failed, tried) = all
        .iter()
        .fold((0, 0), |(failed, tried), each| (failed + each.failed, tried + each.tried()));
    set(rows::FAILED, 100.0 * failed as f64 / tried as f64);
    Ok(())
}

/// A network of its own for each death, because the dying nodes need a thread of their own.
async fn measure_dying<N: Network>(
    plan: &Plan,
    death: Death,
    progress: &Progress,
    figures: &mut Figures,
) -> Result<()> {
    let [p50, p99, failed, count] = match death {
        Death::Killed => {
            [rows::KILLED_P50, rows::KILLED_P99, rows::KILLED_FAILED, rows::KILLED_COUNT]
        }
        Death::Silent => {
            [rows::SILENT_P50, rows::SILENT_P99, rows::SILENT_FAILED, rows::SILENT_COUNT]
        }
    };
    progress.step("joining again");
    let doomed = plan.nodes * DYING / 100;
    let mut network = N::start(plan.nodes, doomed).await?;
    let items = {
        let work = Work::new(&network, plan.nodes);
        work.warm_up().await;
        work.items.into_inner()
    };
    progress.step("GET among the dead");
    network.kill(death).await?;
    // Values that dead nodes have put are got too; only the asking node must live.
    let work = Work { items: items.into(), ..Work::new(&network, plan.nodes - doomed) };
    // Twice as long: where a GET waits for dead nodes, few fit.
    let lasts = Duration::from_secs(2 * plan.seconds);
    let gets = work.run(Operation::Get, 1, plan.values, lasts).await;
    let mut set = |row: &str, value: f64| insert(figures, row, value);
    set(p50, gets.percentile(50));
    set(p99, gets.percentile(99));
    set(failed, gets.percent(gets.failed));
    set(count, gets.tried() as f64);
    Ok(())
}

/// Where nothing has succeeded there is no figure.
fn insert(figures: &mut Figures, row: &str, value: f64) {
    if value.is_finite() {
        figures.insert(row.to_owned(), value);
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    Put,
    Get,
}

/// Operations at random nodes, for random keys.
#[derive(Debug)]
struct Work<'a, N> {
    network: &'a N,
    /// The nodes that are asked: the first ones.
    nodes: usize,
    random: RefCell<ChaCha8Rng>,
    /// What was put, and by which node.
    items: RefCell<Vec<(usize, Item)>>,
}

/// An operation that brought what it should.
#[derive(Clone, Copy, Debug, Default)]
struct Success {
    /// Whether the asking node answered itself, if that is told.
    own_store: Option<bool>,
}

/// How many operations went.
#[derive(Debug, Default)]
struct Measured {
    /// How long each took that succeeded.
    latencies: Vec<Duration>,
    /// Those that brought an error, another value, nothing, or nothing in time.
    failed: usize,
    /// Those that the asking node answered itself; `None` where that is not told.
    own_store: Option<usize>,
    took: Duration,
    processor_time: Duration,
}

impl<'a, N: Network> Work<'a, N> {
    fn new(network: &'a N, nodes: usize) -> Self {
        let random = RefCell::new(ChaCha8Rng::seed_from_u64(SEED));
        Self { network, nodes, random, items: RefCell::default() }
    }

    async fn warm_up(&self) {
        self.run(Operation::Put, AT_ONCE, usize::MAX, WARMING).await;
        self.run(Operation::Get, AT_ONCE, usize::MAX, WARMING).await;
    }

    /// Keeps this many operations in flight until so many have begun, or so long has passed.
    async fn run(
        &self,
        operation: Operation,
        at_once: usize,
        count: usize,
        lasts: Duration,
    ) -> Measured {
        let (started, spent) = (Instant::now(), process::processor_time());
        let measured = RefCell::new(Measured::default());
        let begin = |_| async {
            let begun = Instant::now();
            let working = async {
                match operation {
                    Operation::Put => self.put().await,
                    Operation::Get => self.get().await,
                }
            };
            let ended = tokio::time::timeout(OPERATION_DEADLINE, working).await;
            let mut measured = measured.borrow_mut();
            match ended {
                Ok(Some(Success { own_store })) => {
                    measured.latencies.push(begun.elapsed());
                    if let Some(own_store) = own_store {
                        *measured.own_store.get_or_insert(0) += usize::from(own_store);
                    }
                }
                Ok(None) | Err(_) => measured.failed += 1,
            }
        };
        stream::iter(0..count)
            .take_while(|_| std::future::ready(started.elapsed() < lasts))
            .map(begin)
            .buffer_unordered(at_once)
            .for_each(|()| std::future::ready(()))
            .await;
        let mut measured = measured.into_inner();
        measured.took = started.elapsed();
        measured.processor_time = process::processor_time().saturating_sub(spent);
        measured.latencies.sort_unstable();
        measured
    }

    /// `None` is failure.
    async fn put(&self) -> Option<Success> {
        let (node, item) = {
            let mut random = self.random.borrow_mut();
            (random.random_range(..self.nodes), Item::random(&mut random))
        };
        self.network.put(node, &item).await.ok()?;
        self.items.borrow_mut().push((node, item));
        Some(Success::default())
    }

    /// At any node but the one that put it; `None` is failure.
    async fn get(&self) -> Option<Success> {
        let (node, item) = {
            let (mut random, items) = (self.random.borrow_mut(), self.items.borrow());
            if items.is_empty() {
                return None;
            }
            let (put_by, item) = &items[random.random_range(..items.len())];
            let mut node = random.random_range(..self.nodes);
            while node == *put_by {
                node = random.random_range(..self.nodes);
            }
            (node, item.clone())
        };
        let found = self.network.get(node, &item).await.ok()??;
        (found.value == item.value).then_some(Success { own_store: found.own_store })
    }
}

impl Measured {
    fn tried(&self) -> usize {
        self.latencies.len() + self.failed
    }

    fn percent(&self, part: usize) -> f64 {
        100.0 * part as f64 / self.tried() as f64
    }

    /// In milliseconds, by the nearest rank: of few operations, the 99th is the slowest.
    fn percentile(&self, percent: usize) -> f64 {
        let rank = (self.latencies.len() * percent).div_ceil(100);
        let latency = self.latencies.get(rank.saturating_sub(1));
        latency.map_or(f64::NAN, |latency| latency.as_secs_f64() * 1000.0)
    }

    fn per_second(&self) -> f64 {
        self.latencies.len() as f64 / self.took.as_secs_f64()
    }

    /// Of all threads, for each operation.
    fn processor_milliseconds(&self) -> f64 {
        self.processor_time.as_secs_f64() * 1000.0 / self.tried() as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        let latencies = (1..=200).map(Duration::from_millis).collect();
        let measured = Measured { latencies, ..Measured::default() };
        assert_eq!((measured.percentile(50), measured.percentile(99)), (100.0, 198.0));
        assert!(Measured::default().percentile(50).is_nan());
    }
}
