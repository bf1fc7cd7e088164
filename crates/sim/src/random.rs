//! Random scenarios: the seed determines the size of a network, its faults, adversaries, workload,
//! and all events. All checkers are on; stored values must be found.
//!
//! A scenario is short, so that hundreds of fresh ones can be run after each change. `plan` draws
//! it, [`run`] executes it, `judge` has the expected result of each GET.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use rand::RngExt;
use rand::seq::SliceRandom;
use voiddht_core::config::ConfigError;
use voiddht_core::event::{Command, Outcome};
use voiddht_wire::Key;

use crate::adversary::Placement;
use crate::checker::{self, ReplicaSets};
use crate::growth::Growth;
use crate::host::{HostId, HostOptions};
use crate::world::{Death, World};

mod judge;
mod plan;

use judge::{Judge, Publication};
pub use plan::{Fault, Plan};

/// Operations in flight.
const AT_ONCE: usize = 8;
/// How long faults and newcomers have to be noticed, in virtual time.
const SETTLE: Duration = Duration::from_secs(45);

/// How long a node with another key may be refused: its peers ask the owner of the ID for a while,
/// and then it has to come again.
const RETURN: Duration = Duration::from_secs(180);

/// What came of one seed.
#[derive(Clone, Debug)]
pub struct Ran {
    /// What happened.
    pub plan: Plan,
    /// Distinguishes two runs: the same seed has the same one.
    pub trace_hash: u64,
    /// Events that happened.
    pub events: u64,
    /// GETs whose end was judged.
    pub gets: u64,
    /// GETs that were wrong, or found nothing, by such an accident as happens where a share of the
    /// nodes is hostile: five malicious nodes were asked first, or malicious nodes held half of a
    /// replica set.
    pub unlucky: u64,
    /// What must not have been, in words.
    pub violations: Vec<String>,
}

/// How many unlucky GETs chance explains among so many: more are a fault. Where a fifth of the
/// nodes lie, in one of the nine kinds, half of a replica set lies once in 400 keys, and five
/// malicious nodes are asked first once in 3 000 GETs.
pub fn luck(gets: u64) -> u64 {
    3 + gets / 500
}

/// Runs the scenario of a seed.
///
/// # Errors
/// If the settings that were drawn contradict each other.
pub fn run(seed: u64) -> Result<Ran, ConfigError> {
    let plan = Plan::draw(seed);
    let mut stage = Stage::new(plan)?;
    stage.play()?;
    Ok(stage.end())
}

struct Stage {
    plan: Plan,
    world: World,
    published: BTreeMap<Key, Publication>,
    judge: Judge,
}

impl Stage {
    fn new(plan: Plan) -> Result<Self, ConfigError> {
        let config = plan.config.clone();
        let mut world = World::new(config.clone(), plan.seed);
        for checker in checker::standard(&config.node) {
            world.watch(checker);
        }
        world.watch(Box::new(ReplicaSets::new(config.node.k, plan.least_overlap())));
        let judge = Judge::new(config.node.k);
        let mut stage = Self { plan, world, published: BTreeMap::new(), judge };
        stage.grow()?;
        Ok(stage)
    }

    fn play(&mut self) -> Result<(), ConfigError> {
        if self.plan.hostile_first {
            self.infiltrate()?;
        }
        self.put(0..self.plan.values, 0);
        self.put(0..self.plan.values / 2, 1);
        if !self.plan.hostile_first {
            self.infiltrate()?;
        }
        self.get();
        self.break_something()?;
        if self.plan.fault != Fault::Partition {
            self.get();
        }
        self.mend()?;
        let interval = self.plan.config.node.upkeep_interval;
        self.world.pass(interval.mul_f64(1.25));
        self.get();
        self.world.survey();
        Ok(())
    }

    fn grow(&mut self) -> Result<(), ConfigError> {
        // Half of the clocks are right, half are wrong alike.
        let (nodes, at_once) = (self.plan.nodes, self.plan.at_once);
        for (count, clock_skew) in [(nodes - nodes / 2, 0), (nodes / 2, self.plan.clock_skew)] {
            let options =
                HostOptions { clock_skew, disk: self.plan.disk, ..HostOptions::default() };
            self.world.grow(count, Growth { at_once, options, ..Growth::default() })?;
        }
        self.world.pass(SETTLE);
        Ok(())
    }

    fn infiltrate(&mut self) -> Result<(), ConfigError> {
        if let Some(mut adversaries) = self.plan.adversaries {
            let key = self.plan.key(0);
            adversaries.key = Some(key);
            if let Placement::Ground { point, .. } = &mut adversaries.placement {
                *point = key;
            }
            self.world.infiltrate(&adversaries)?;
            self.world.pass(SETTLE);
        }
        Ok(())
    }

    /// Puts values of these numbers, in this edition of theirs.
    fn put(&mut self, numbers: std::ops::Range<u64>, edition: u32) {
        // A self-verifying value has no second edition.
        let numbers: Vec<u64> =
            numbers.filter(|number| edition == 0 || !self.plan.proves(*number)).collect();
        let commands = numbers.iter().map(|number| {
            let (key, value) = (self.plan.key(*number), self.plan.value(*number, edition));
            let publication = voiddht_wire::Publication::new(key, value);
            (self.any(), Command::Put(publication.ttl(self.plan.ttl)))
        });
        let commands: Vec<_> = commands.collect();
        let ends = self.world.now() + self.plan.ttl;
        let outcomes = self.world.run_commands(commands, AT_ONCE);
        for (number, outcome) in numbers.into_iter().zip(outcomes) {
            let value = self.plan.value(number, edition);
            let stored = match outcome {
                Some(Outcome::Put { receipt, .. }) => receipt.stored,
                _ => 0,
            };
            self.published(self.plan.key(number), value, stored).ends = ends;
        }
        self.world.pass(Duration::from_secs(2));
    }

    fn published(&mut self, key: Key, value: Bytes, stored: usize) -> &mut Publication {
        let publication = self.published.entry(key).or_default();
        publication.publish(value, stored);
        publication
    }

    /// Gets every value twice, each time somewhere.
    fn get(&mut self) {
        let keys: Vec<Key> = self.published.keys().flat_map(|key| [*key, *key]).collect();
        let commands: Vec<_> =
            keys.iter().map(|key| (self.any(), Command::Get { key: *key })).collect();
        let hosts: Vec<HostId> = commands.iter().map(|(host, _)| *host).collect();
        let outcomes = self.world.run_commands(commands, AT_ONCE);
        for ((key, host), outcome) in keys.into_iter().zip(hosts).zip(outcomes) {
            if let Some(publication) = self.published.get(&key)
                && let Some(outcome) = outcome
            {
                self.judge.get(&self.world, host, key, publication, &outcome);
            }
        }
    }

    fn break_something(&mut self) -> Result<(), ConfigError> {
        match self.plan.fault {
            Fault::Nothing => {}
            Fault::Killed(share) => self.kill(share, Death::Killed),
            Fault::Silent(share) => self.kill(share, Death::Silent),
            Fault::Leaving(share) => {
                for host in self.some_honest(share) {
                    self.world.run_commands(vec![(host, Command::Leave)], 1);
                    self.world.stop(host);
                }
            }
            Fault::Partition => self.world.split(|host| (host.0 % 2) as u8),
            Fault::Pairs(share) => {
                let pairs = self.world.some_pairs(share);
                self.world.cut(pairs);
            }
            Fault::Reinstalled(turns) => {
                for _ in 0..turns {
                    let victim = self.any();
                    self.world.kill(victim, Death::Silent);
                    let peers: Vec<_> = (0..3).map(|_| self.world_address()).collect();
                    let host = self.world.reinstall(victim)?;
                    self.world.command(host, Command::join(peers));
                    self.world.pass(RETURN);
                }
            }
            Fault::Churn(turns) => {
                for turn in 0..turns {
                    let death = if turn % 2 == 0 { Death::Killed } else { Death::Silent };
                    let victim = self.any();
                    self.world.kill(victim, death);
                    let growth = Growth {
                        options: HostOptions { disk: self.plan.disk, ..HostOptions::default() },
                        ..Growth::default()
                    };
                    let peers: Vec<_> = (0..growth.peers).map(|_| self.world_address()).collect();
                    let host = self.world.add(growth.options)?;
                    self.world.command(host, Command::join(peers));
                    self.world.pass(Duration::from_secs(15));
                }
            }
        }
        self.world.pass(SETTLE);
        Ok(())
    }

    /// What can come back comes back.
    fn mend(&mut self) -> Result<(), ConfigError> {
        if matches!(self.plan.fault, Fault::Partition | Fault::Pairs(_)) {
            self.world.pass(SETTLE * 4);
            self.world.heal();
            self.world.pass(self.plan.config.node.upkeep_interval);
        }
        if self.plan.disk.is_some() && matches!(self.plan.fault, Fault::Killed(_)) {
            let dead = (0..self.world.hosts().len() as u32).map(HostId);
            let dead: Vec<HostId> =
                dead.filter(|host| self.world.host(*host).node().is_none()).collect();
            for host in dead {
                let peer = self.world_address();
                self.world.restart(host)?;
                self.world.command(host, Command::join([peer]));
            }
        }
        Ok(())
    }

    fn kill(&mut self, share: f64, death: Death) {
        for host in self.some_honest(share) {
            self.world.kill(host, death);
        }
    }

    fn honest(&self) -> Vec<HostId> {
        self.world.honest().map(|(host, _)| host).collect()
    }

    fn some_honest(&mut self, share: f64) -> Vec<HostId> {
        let mut honest = self.honest();
        honest.shuffle(self.world.random());
        honest.truncate((honest.len() as f64 * share) as usize);
        honest
    }

    fn any(&mut self) -> HostId {
        let honest = self.honest();
        honest[self.world.random().random_range(0..honest.len())]
    }

    fn world_address(&mut self) -> voiddht_wire::PeerAddress {
        let host = self.any();
        self.world.host(host).info().address
    }

    fn end(self) -> Ran {
        let Judge { gets, unlucky, mut violations, .. } = self.judge;
        violations.extend(self.world.violations().kept().iter().map(ToString::to_string));
        Ran {
            trace_hash: self.world.trace_hash(),
            events: self.world.events(),
            plan: self.plan,
            gets,
            unlucky,
            violations,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_is_the_same_run() {
        for seed in [1, 2] {
            let (one, other) = (run(seed).unwrap(), run(seed).unwrap());
            assert_eq!((one.trace_hash, one.events), (other.trace_hash, other.events));
            assert_eq!(one.violations, Vec::<String>::new(), "seed {seed}: {}", one.plan);
        }
    }

    #[test]
    fn plans_differ_and_all_kinds_of_faults_and_adversaries_are_drawn() {
        let plans: Vec<Plan> = (0..400).map(Plan::draw).collect();
        for kind in crate::adversary::Kind::ALL {
            assert!(plans.iter().any(|plan| plan.adversaries.is_some_and(|it| it.kind == kind)));
        }
        for fault in [
            Fault::Nothing,
            Fault::Killed(0.0),
            Fault::Silent(0.0),
            Fault::Leaving(0.0),
            Fault::Partition,
            Fault::Pairs(0.0),
            Fault::Churn(0),
            Fault::Reinstalled(0),
        ] {
            let same = |plan: &&Plan| {
                std::mem::discriminant(&plan.fault) == std::mem::discriminant(&fault)
            };
            assert!(plans.iter().filter(same).count() > 20, "{fault:?}");
        }
        assert!(plans.iter().any(|plan| plan.adversaries.is_none()));
    }
}
