//! A chaos test in progress: the network, the load on it, and the steps that the cases share.

use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use clap::Args;
use rand::rngs::ChaCha8Rng;
use voiddht_cli::arguments::values::number;
use voiddht_cli::outcome::Failure;
use voiddht_cli::progress::Progress;
use voiddht_core::config::K;
use voiddht_wire::limits::MAX_VALUE_BYTES;

use super::census;
use super::load::{Load, Stored};
use super::report::{Report, seconds};
use crate::fleet::Fleet;

/// What a machine that is busy with other things may need longer.
const BUSY_PATIENCE: Duration = Duration::from_secs(60);
/// Operations in flight where a test puts or gets many values.
pub(super) const AT_ONCE: usize = 32;

/// Size of a chaos test.
#[derive(Clone, Debug, Args)]
pub(super) struct Options {
    /// Nodes of the network [default: 32; 16 for rolling-restart and partition, 20 for rotation]
    #[arg(long, value_name = "NUMBER", value_parser = number::<usize>(2..=1000))]
    pub(super) nodes: Option<usize>,

    /// Values that are put before the fault
    #[arg(long, value_name = "NUMBER", default_value_t = 1000, value_parser = number::<usize>(1..=1_000_000))]
    pub(super) values: usize,

    /// Bytes of each value
    #[arg(long, value_name = "BYTES", default_value_t = 100, value_parser = number::<usize>(1..=MAX_VALUE_BYTES))]
    pub(super) value_size: usize,

    /// The nodes' upkeep interval: an hour in real networks, shorter here to bound the wait
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = number::<u64>(1..=86_400))]
    pub(super) upkeep_interval: u64,

    /// How long churn and a partition last, or a rotation waits for renewed connections
    /// [default: 180; 60 for partition, 630 for rotation]
    #[arg(long, value_name = "SECONDS", value_parser = number::<u64>(1..=86_400))]
    pub(super) seconds: Option<u64>,

    /// Report times without judging them, and wait longer: for a busy machine
    #[arg(long)]
    pub(super) untimed: bool,

    /// Parent of the temporary directory, which is kept on a failure
    #[arg(long, value_name = "DIR")]
    pub(super) directory: Option<PathBuf>,

    /// Repeats the random choices of another run: keys, values, nodes to ask and to kill
    #[arg(long, value_name = "NUMBER", value_parser = number::<u64>(0..=u64::MAX))]
    pub(super) seed: Option<u64>,
}

/// One case in progress.
#[derive(Debug)]
pub(super) struct Trial {
    pub(super) options: Options,
    pub(super) fleet: Fleet,
    pub(super) load: Rc<Load>,
    pub(super) random: ChaCha8Rng,
    pub(super) progress: Progress,
}

impl Trial {
    pub(super) fn nodes(&self, usual: usize) -> usize {
        self.options.nodes.unwrap_or(usual)
    }

    /// Starts a network on loopback.
    pub(super) async fn found(&mut self, nodes: usize) -> Result<(), Failure> {
        self.progress.step("starting nodes", nodes);
        self.fleet.found(nodes, || self.progress.advance()).await
    }

    /// How long something may take that should be over within this.
    fn patience(&self, within: Duration) -> Duration {
        if self.options.untimed { within * 10 + BUSY_PATIENCE } else { within }
    }

    /// That something took no longer than this; where times are not judged, how long it took.
    pub(super) fn promise_within(
        &self,
        report: &mut Report,
        what: &str,
        took: Duration,
        most: Duration,
    ) {
        match self.options.untimed {
            true => report.tell(what, seconds(took)),
            false => report.promise(what, seconds(took), took < most),
        }
    }

    /// Waits until each of these values lies on k nodes, or all that run, for one upkeep interval
    /// from `since` at most.
    pub(super) async fn promise_replicas(
        &mut self,
        values: &[Stored],
        since: Instant,
        report: &mut Report,
    ) -> Result<(), Failure> {
        let living = self.fleet.running();
        let (wanted, asked) = (K.min(living.len()), self.fleet.p2p_of(&living));
        let interval = Duration::from_secs(self.options.upkeep_interval);
        let patience = self.patience(interval);
        let pause = (interval / 20).clamp(Duration::from_millis(200), Duration::from_secs(2));
        self.progress.step(&format!("until every value lies on {wanted} nodes"), values.len());
        let (mut after, mut first) = (Duration::ZERO, None);
        let holders = loop {
            let holders = census::holders(&asked, values, &mut self.random).await?;
            let enough = holders.iter().filter(|count| **count >= wanted).count();
            self.progress.reach(enough);
            first.get_or_insert(enough);
            let is_over = after >= patience;
            after = since.elapsed();
            if enough == values.len() || is_over {
                break holders;
            }
            tokio::time::sleep(pause.min(patience.saturating_sub(after))).await;
        };
        report.tell("of these, at the first look", first.unwrap_or(0));
        let within = if self.options.untimed { patience } else { interval };
        let what = format!("on {wanted} nodes within {}", seconds(within));
        report.promise_held(&what, &holders, wanted);
        report.tell("after", seconds(after));
        Ok(())
    }

    /// Puts values, and makes sure that they were stored.
    pub(super) async fn put_values(&mut self, values: usize) -> Result<(), Failure> {
        self.progress.step("putting values", values);
        let before = self.load.stored().len();
        self.load.put(values, AT_ONCE, &self.progress).await?;
        match self.load.stored().len() - before {
            stored if stored == values => Ok(()),
            stored => Err(Failure::Failed(format!("only {stored} of {values} values were stored"))),
        }
    }
}
