//! Experiments with kept values: whether they stay while nodes come and go, and what they cost.
//!
//! Each function is one world, and follows from its seed. `docs/signed-values.md` shows what they come
//! to; `cargo run --release -p voiddht-sim --example signed` runs them.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use rand::RngExt;
use voiddht_core::event::{Command, Outcome};
use voiddht_core::kept::{KeepRequest, KeptState};
use voiddht_core::time::Moment;
use voiddht_wire::{Key, Publication};

use crate::growth::Growth;
use crate::host::{DiskOptions, HostId, HostOptions, State};
use crate::signed::{ExperimentError, owner, sign};
use crate::traffic::Traffic;
use crate::world::{Death, World, WorldConfig};

/// TTL of kept values.
const TTL: Duration = Duration::from_secs(3600);
/// How long the keeper is off each day.
const KEEPER_OFF: Duration = Duration::from_secs(30 * 60);
/// How long a node is away between two sessions.
const AWAY: Duration = Duration::from_secs(60);
/// The keeper: with a disk.
const KEEPER: HostId = HostId(0);
/// Nodes that do not leave, as a network has them: peers to join through.
const STEADY: u32 = 4;

/// What a long run comes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Endurance {
    /// GETs, each hour one of each value.
    pub gets: u64,
    /// Those that returned the value.
    pub right: u64,
    /// Sessions of nodes that ended.
    pub sessions: u64,
    /// GETs of values one TTL after `unkeep`.
    pub gets_after: u64,
    /// Those that still returned the value.
    pub right_after: u64,
    /// Values that are kept no longer, though they should be.
    pub lost: u64,
}

/// Half of `values` values signed and half plain are kept at a TTL of one hour by one node of `nodes`,
/// for so many days. Sessions of the others last an hour on average, and end by a kill; the keeper is
/// off for half an hour each day. Each value is got each hour, at a random node.
///
/// # Errors
/// [`ExperimentError`].
pub fn endurance(
    nodes: usize,
    values: u64,
    days: u64,
    seed: u64,
) -> Result<Endurance, ExperimentError> {
    let mut stage = Stage::new(nodes, seed)?;
    let kept = stage.keep_all(values)?;
    let mut endurance = Endurance::default();
    for hour in 0..24 * days {
        let off = (hour % 24 == 12).then_some(KEEPER_OFF);
        stage.churn_for(Duration::from_secs(3600), off, &mut endurance);
        let right = stage.get_all(&kept);
        endurance.gets += kept.len() as u64;
        endurance.right += right;
    }
    if let Some(keeper) = stage.world.host(KEEPER).node() {
        let is_lost = |state: KeptState| state != KeptState::Kept;
        endurance.lost = keeper.kept().iter().filter(|kept| is_lost(kept.state)).count() as u64;
    }
    let unkeep = kept.iter().map(|(key, _)| (KEEPER, Command::Unkeep { key: *key })).collect();
    stage.world.run_commands(unkeep, 8);
    stage.churn_for(TTL, None, &mut endurance);
    endurance.gets_after = kept.len() as u64;
    endurance.right_after = stage.get_all(&kept);
    Ok(endurance)
}

/// What one round of republishing costs, beside as many PUTs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Costs {
    /// Lookups of the PUTs: one each.
    pub put_lookups: u64,
    /// What the node sent for them.
    pub put: Traffic,
    /// Lookups of the round.
    pub kept_lookups: u64,
    /// What the node sent for it, and for nothing else: what an idle node sends is taken off.
    pub kept: Traffic,
    /// Virtual time that the round took.
    pub took: Duration,
    /// Kept values that the round stored on 20 nodes.
    pub complete: u64,
}

/// Puts `values` content-addressed values at one node of `nodes`, and has it republish as many kept ones,
/// all due at once.
///
/// # Errors
/// [`ExperimentError`].
pub fn costs(nodes: usize, values: u64, seed: u64) -> Result<Costs, ExperimentError> {
    let mut world = World::new(WorldConfig::default(), seed);
    let disk = DiskOptions { commit: Duration::from_millis(1), failing: 0.0 };
    world.add(HostOptions { disk: Some(disk), ..HostOptions::default() })?;
    world.grow(nodes - 1, Growth { at_once: 2, share: 0.02, ..Growth::default() })?;
    world.pass(Duration::from_secs(60));
    let value = |number: u64| Bytes::from(format!("content {number} of {seed}"));
    let mut costs = Costs::default();
    let before = *world.host(KEEPER).traffic();
    let puts = (0..values).map(|number| {
        let publication = Publication::content_addressed(value(number)).ttl(TTL);
        (KEEPER, Command::Put(publication))
    });
    for outcome in world.run_commands(puts.collect(), 32) {
        costs.put_lookups += u64::from(matches!(outcome, Some(Outcome::Put { .. })));
    }
    costs.put = less(*world.host(KEEPER).traffic(), before);
    let keeps = (0..values).map(|number| {
        let publication = Publication::content_addressed(value(number)).ttl(TTL);
        let request = KeepRequest { publication, until: None, is_published: true };
        (KEEPER, Command::Keep(request))
    });
    world.run_commands(keeps.collect(), 32);
    world.kill(KEEPER, Death::Killed);
    world.pass(Duration::from_secs(10));
    let peer = world.host(HostId(1)).info().address;
    world.restart(KEEPER)?;
    world.command(KEEPER, Command::join([peer]));
    measure_round(&mut world, &mut costs);
    Ok(costs)
}

/// Waits until the keeper has published everything once.
fn measure_round(world: &mut World, costs: &mut Costs) {
    let (before, began) = (*world.host(KEEPER).traffic(), world.now());
    let lookups = world.tally().kept_lookups;
    loop {
        world.pass(Duration::from_secs(1));
        let Some(keeper) = world.host(KEEPER).node() else { return };
        let kept = keeper.kept();
        if kept.iter().all(|one| one.replicas.is_some()) || world.now().since(began) > TTL / 4 {
            costs.complete = kept.iter().filter(|one| one.replicas >= Some(20)).count() as u64;
            break;
        }
    }
    costs.took = world.now().since(began);
    costs.kept_lookups = world.tally().kept_lookups - lookups;
    let all = less(*world.host(KEEPER).traffic(), before);
    let idle = *world.host(KEEPER).traffic();
    world.pass(costs.took);
    costs.kept = less(all, less(*world.host(KEEPER).traffic(), idle));
}

fn less(after: Traffic, before: Traffic) -> Traffic {
    Traffic {
        messages: after.messages.saturating_sub(before.messages),
        bytes: after.bytes.saturating_sub(before.bytes),
        handshakes: after.handshakes.saturating_sub(before.handshakes),
        probes: after.probes.saturating_sub(before.probes),
        keepalives: after.keepalives.saturating_sub(before.keepalives),
    }
}

/// A world in which nodes come and go.
struct Stage {
    world: World,
    /// When the next session of each host ends, or its next one begins.
    turns: BTreeMap<HostId, Moment>,
}

impl Stage {
    fn new(nodes: usize, seed: u64) -> Result<Self, ExperimentError> {
        let mut world = World::new(WorldConfig::default(), seed);
        let disk = DiskOptions { commit: Duration::from_millis(1), failing: 0.0 };
        world.add(HostOptions { disk: Some(disk), ..HostOptions::default() })?;
        world.grow(nodes - 1, Growth::default())?;
        world.pass(Duration::from_secs(30));
        let mut stage = Self { world, turns: BTreeMap::new() };
        for host in STEADY..nodes as u32 {
            stage.plan_turn(HostId(host), true);
        }
        Ok(stage)
    }

    /// Sessions are distributed exponentially.
    fn plan_turn(&mut self, host: HostId, is_up: bool) {
        let share: f64 = self.world.random().random_range(f64::EPSILON..1.0);
        let session = Duration::from_secs(3600).mul_f64(-share.ln());
        let lasts = if is_up { session } else { AWAY };
        self.turns.insert(host, self.world.now() + lasts);
    }

    fn keep_all(&mut self, values: u64) -> Result<Vec<(Key, Bytes)>, ExperimentError> {
        let mut kept = Vec::new();
        for number in 0..values {
            let plain = Bytes::from(format!("kept value {number}"));
            let (key, value) = match owner(number).filter(|_| number % 2 == 0) {
                Some(owner) => {
                    let envelope = sign(&owner, 1, "kept")?;
                    (envelope.key(), envelope.bytes().clone())
                }
                None => (Key::of_value(format!("kept key {number}").as_bytes()), plain),
            };
            kept.push((key, value.clone()));
            let publication = Publication::new(key, value).ttl(TTL);
            let request = KeepRequest { publication, until: None, is_published: false };
            self.world.run_commands(vec![(KEEPER, Command::Keep(request))], 1);
        }
        Ok(kept)
    }

    /// Lets nodes come and go for a while; `off` is how long the keeper is off at its beginning.
    fn churn_for(&mut self, time: Duration, off: Option<Duration>, endurance: &mut Endurance) {
        let end = self.world.now() + time;
        let mut keeper_returns = off.map(|off| {
            self.world.kill(KEEPER, Death::Killed);
            self.world.now() + off
        });
        loop {
            let turn = self.turns.iter().min_by_key(|(_, at)| **at).map(|(host, at)| (*at, *host));
            let next = turn.into_iter().chain(keeper_returns.map(|at| (at, KEEPER))).min();
            let Some((at, host)) = next.filter(|(at, _)| *at <= end) else { break };
            self.pass_until(at);
            if host == KEEPER {
                keeper_returns = None;
                self.start(KEEPER);
            } else if self.world.host(host).state() == State::Up {
                endurance.sessions += 1;
                self.world.kill(host, Death::Killed);
                self.plan_turn(host, false);
            } else {
                self.start(host);
                self.plan_turn(host, true);
            }
        }
        self.pass_until(end);
    }

    fn pass_until(&mut self, at: Moment) {
        let left = at.since(self.world.now());
        self.world.pass(left);
    }

    /// Starts a host again, which joins through nodes that do not leave.
    fn start(&mut self, host: HostId) {
        let peers: Vec<_> =
            (1..STEADY).map(|peer| self.world.host(HostId(peer)).info().address).collect();
        // The settings were good the first time.
        if self.world.restart(host).is_ok() {
            self.world.command(host, Command::join(peers));
        }
    }

    /// Gets each value at a random node. How many were right.
    fn get_all(&mut self, kept: &[(Key, Bytes)]) -> u64 {
        let up: Vec<HostId> = self.world.honest().map(|(host, _)| host).collect();
        let up: Vec<HostId> = up.into_iter().filter(|host| *host != KEEPER).collect();
        let commands = kept.iter().map(|(key, _)| {
            let host = up[self.world.random().random_range(0..up.len())];
            (host, Command::Get { key: *key })
        });
        let commands = commands.collect();
        let outcomes = self.world.run_commands(commands, 4);
        let is_right = |(outcome, (_, value)): (&Option<Outcome>, &(Key, Bytes))| matches!(outcome, Some(Outcome::Get { value: Some(got), .. }) if got == value);
        outcomes.iter().zip(kept).filter(|pair| is_right(*pair)).count() as u64
    }
}
