//! Steps that change the population: hosts join, die, leave, return, and are partitioned.

use std::time::Duration;

use rand::seq::SliceRandom;
use voiddht_core::config::ConfigError;
use voiddht_core::event::{Command, Outcome};
use voiddht_core::time::Moment;
use voiddht_wire::PeerAddress;

use super::stage::{Stage, named, value_key};
use crate::adversary::{Infiltration, Placement};
use crate::growth::Growth;
use crate::host::{DiskOptions, HostId, HostOptions};
use crate::scenario::{Grow, Infiltrate, Kill, Leave, Return, Span, Split, Start, Surround, Wait};

/// Of the nodes that are there, how many more start at the same moment: a network doubles within
/// about seventy pauses.
const SHARE_AT_ONCE: f64 = 0.01;
/// Peers given to a node that joins.
const PEERS: usize = 3;
/// How long nodes around a key have to make themselves known.
const SETTLE: Duration = Duration::from_secs(60);
/// The pause between two that leave.
const LEAVE_PAUSE: Duration = Duration::from_secs(1);
/// The longest that a leaving node may take.
const LEAVE_PATIENCE: Duration = Duration::from_secs(60);
/// Parts in which time passes, so that progress is seen.
const PARTS: u32 = 100;
/// How long a commit takes.
const COMMIT: Duration = Duration::from_millis(1);

impl Stage<'_> {
    pub(super) fn grow(&mut self, grow: &Grow) -> Result<(), ConfigError> {
        self.disk = grow.disk;
        let usual = Growth::default();
        let growth = Growth {
            at_once: grow.at_once.unwrap_or(1),
            share: if grow.at_once.is_some() { 0.0 } else { SHARE_AT_ONCE },
            pause: grow.pause.map_or(usual.pause, |span| span.0),
            peers: grow.peers,
            options: self.host_options(),
        };
        let first = self.world.hosts().len();
        let (count, world, progress) = (grow.nodes, &mut self.world, &mut self.progress);
        let mut joined = |done: usize| progress.tell(done as u64, count as u64);
        let grown = match grow.start {
            Start::Joined => world.grow_watched(count, growth, &mut joined)?,
            Start::Warm => world.grow_warm(count, growth.options, &mut joined)?,
        };
        let new = (first..self.world.hosts().len()).map(|index| HostId(index as u32));
        self.honest.extend(new);
        self.row.set("joined", grown.joined as f64 / count as f64);
        self.row.set("join-s", grown.took.as_secs_f64());
        Ok(())
    }

    pub(super) fn host_options(&self) -> HostOptions {
        let disk = self.disk.then_some(DiskOptions { commit: COMMIT, failing: 0.0 });
        HostOptions { disk, ..HostOptions::default() }
    }

    /// Lets honest nodes turn hostile, until as many are.
    pub(super) fn infiltrate(&mut self, plan: &Infiltrate) -> Result<(), ConfigError> {
        let running = self.world.hosts().iter().filter(|host| host.node().is_some()).count() as f64;
        let wanted = (running * plan.share).round() - (running - self.honest.len() as f64);
        let share = (wanted / self.honest.len().max(1) as f64).clamp(0.0, 1.0);
        self.world.infiltrate(&Infiltration::new(plan.kind, Placement::Share(share)))?;
        let world = &self.world;
        self.honest.retain(|host| world.host(*host).is_honest());
        self.row.set("adversaries", 1.0 - self.honest.len() as f64 / running);
        Ok(())
    }

    /// Lets new nodes come close to the values' keys.
    pub(super) fn surround(&mut self, plan: &Surround) -> Result<(), ConfigError> {
        let numbers: Vec<u64> = match plan.next_values {
            Some(count) => (self.next_value..self.next_value + count).collect(),
            None => self.values.iter().map(|value| value.number).collect(),
        };
        for number in numbers {
            let Surround { count, among, .. } = *plan;
            let placement = Placement::Ground { point: value_key(number), count, among };
            let around =
                Infiltration { sites: plan.sites, ..Infiltration::new(plan.kind, placement) };
            self.world.infiltrate(&around)?;
        }
        let began = self.world.now();
        let end = began + plan.settle.map_or(SETTLE, |span| span.0);
        self.pass_until(end, began, end);
        Ok(())
    }

    pub(super) fn kill(&mut self, kill: &Kill) {
        for host in self.draw(kill.share) {
            self.world.kill(host, kill.how.into());
            self.dead.push(host);
        }
        self.row.set("dead", kill.share);
        self.row.set("theory-lost", kill.share.powi(self.k() as i32));
    }

    pub(super) fn leave(&mut self, leave: &Leave) {
        let pause = leave.pause.map_or(LEAVE_PAUSE, |span| span.0);
        let leaving = self.draw(leave.share);
        let of = leaving.len() as u64;
        for (done, host) in leaving.into_iter().enumerate() {
            self.world.command(host, Command::Leave);
            let end = self.world.now() + LEAVE_PATIENCE;
            while let Some(ended) = self.world.run_until_ended(end) {
                if ended.host == host && matches!(ended.outcome, Outcome::Left { .. }) {
                    break;
                }
            }
            self.world.stop(host);
            self.dead.push(host);
            self.world.run_until(self.world.now() + pause);
            self.progress.tell(done as u64, of);
        }
    }

    pub(super) fn return_dead(&mut self, back: &Return) -> Result<(), ConfigError> {
        let count = (self.dead.len() as f64 * back.share).round() as usize;
        self.dead.shuffle(self.world.random());
        for host in self.dead.split_off(self.dead.len() - count) {
            self.start_again(host)?;
        }
        Ok(())
    }

    /// Starts a dead host, and lets it join through the contacts that its disk remembers, or through
    /// given peers.
    pub(super) fn start_again(&mut self, host: HostId) -> Result<(), ConfigError> {
        let peers = self.some_addresses();
        self.world.restart(host)?;
        self.world.command(host, Command::join(peers));
        self.honest.push(host);
        Ok(())
    }

    /// Addresses of some hosts that run.
    pub(super) fn some_addresses(&mut self) -> Vec<PeerAddress> {
        let hosts: Vec<_> = (0..PEERS).filter_map(|_| self.any()).collect();
        hosts.into_iter().map(|host| self.world.host(host).info().address).collect()
    }

    pub(super) fn split(&mut self, split: &Split) {
        self.world.split(|host| (host.0 % u32::from(split.parts)) as u8);
    }

    pub(super) fn wait(&mut self, wait: &Wait) {
        let began = self.world.now();
        let end = began + wait.span.0;
        if let Some(Span(every)) = wait.sample {
            let every = every.max(wait.span.0 / 10_000).max(Duration::from_millis(1));
            self.sample(began, wait.name.as_ref());
            while self.world.now() + every <= end {
                self.pass_until(self.world.now() + every, began, end);
                self.sample(began, wait.name.as_ref());
            }
        }
        while self.world.now() < end {
            let next = self.world.now() + (wait.span.0 / PARTS).max(Duration::from_micros(1));
            self.pass_until(next.min(end), began, end);
        }
        self.sample(began, wait.name.as_ref());
    }

    /// Takes the figures of the values' replicas.
    pub(super) fn sample(&mut self, began: Moment, name: Option<&String>) {
        if self.values.is_empty() {
            return;
        }
        let census = self.census();
        let k = self.k().min(self.honest.len()).max(1) as f64;
        let seconds = self.world.now().since(began).as_secs_f64();
        let figures = [
            ("replicas", census.replicas),
            ("replicas-least", census.least),
            ("overlap", census.replicas / k),
        ];
        for (figure, value) in figures {
            let figure = named(name, figure);
            self.row.series.entry(figure.clone()).or_default().push((seconds, value));
            self.row.set(figure, value);
        }
    }

    fn pass_until(&mut self, until: Moment, began: Moment, end: Moment) {
        self.world.run_until(until);
        while self.world.next_ended().is_some() {}
        let millis = |moment: Moment| moment.since(began).as_millis() as u64;
        self.progress.tell(millis(until), millis(end));
    }

    /// Takes a random share out of the hosts that run.
    fn draw(&mut self, share: f64) -> Vec<HostId> {
        let count = (self.honest.len() as f64 * share).round() as usize;
        self.honest.shuffle(self.world.random());
        self.honest.split_off(self.honest.len() - count)
    }
}
