//! Experiments with signed values: who can make a reader take something else, or something older.
//!
//! Each function is one world, and follows from its seed. `docs/adversaries.md` shows what they come to;
//! `cargo run --release -p voiddht-sim --example signed` runs them.

use std::time::Duration;

use bytes::Bytes;
use rand::RngExt;
use voiddht_core::config::ConfigError;
use voiddht_core::event::{Command, Outcome};
use voiddht_core::operation::get::ReadMode;
use voiddht_signed::{Draft, Envelope, Name, Salt, SignError, SigningKey};
use voiddht_wire::api::Freshness;
use voiddht_wire::peer::Record;
use voiddht_wire::{Key, Publication};

use crate::adversary::{EnvelopeForger, Infiltration, Kind, OlderBuild, Placement};
use crate::checker;
use crate::growth::Growth;
use crate::host::HostId;
use crate::world::{World, WorldConfig};

/// TTL of what is published: nothing ends within an experiment.
const TTL: Duration = Duration::from_secs(12 * 3600);
/// Operations in flight.
const AT_ONCE: usize = 8;

/// An experiment could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ExperimentError {
    /// The settings of the nodes contradict each other.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A value could not be signed.
    #[error(transparent)]
    Sign(#[from] SignError),
}

/// What readers got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reads {
    /// GETs.
    pub gets: u64,
    /// Those that returned the newest envelope.
    pub newest: u64,
    /// Those that returned an older one.
    pub stale: u64,
    /// Those that returned anything else.
    pub wrong: u64,
    /// Requests of all of them.
    pub requests: u64,
}

impl Reads {
    /// Both together.
    pub fn plus(self, other: Self) -> Self {
        Self {
            gets: self.gets + other.gets,
            newest: self.newest + other.newest,
            stale: self.stale + other.stale,
            wrong: self.wrong + other.wrong,
            requests: self.requests + other.requests,
        }
    }
}

/// An owner, from a number.
pub fn owner(number: u64) -> Option<SigningKey> {
    let mut seed = [7; 32];
    seed[..8].copy_from_slice(&number.to_be_bytes());
    SigningKey::from_seed(&seed)
}

/// A signed value of an owner, without end.
///
/// # Errors
/// [`SignError`], for a sequence number of 0.
pub fn sign(owner: &SigningKey, seq: u64, body: &str) -> Result<Envelope, SignError> {
    let name = Name::native(owner.public_key(), Salt::EMPTY);
    Draft { name, seq, not_after: 0, body: Bytes::from(body.to_owned()) }.sign(owner, None)
}

/// Reads this way, proved only.
pub fn proved(freshness: Freshness) -> ReadMode {
    ReadMode { freshness, proved_only: true, ..ReadMode::default() }
}

/// `count` ground IDs around each of `names` names return forgeries of every kind, among 100 honest
/// nodes: `gets` reads of each name.
///
/// # Errors
/// [`ExperimentError`].
pub fn forging(
    count: usize,
    freshness: Freshness,
    (names, gets): (u64, u64),
    seed: u64,
) -> Result<Reads, ExperimentError> {
    let mut stage = Stage::new(100, seed)?;
    let mut all = Reads::default();
    for number in 0..names {
        let envelope = stage.publish(number, 1)?;
        let before = stage.world.hosts().len();
        let placement = Placement::Ground { point: envelope.key(), count, among: 0 };
        stage.world.infiltrate(&Infiltration::new(Kind::Sybil, placement))?;
        for host in before..stage.world.hosts().len() {
            let seen = record(&envelope);
            let forger = Box::new(EnvelopeForger::knowing([seen]));
            stage.world.corrupt(HostId(host as u32), forger);
        }
        stage.world.pass(Duration::from_secs(60));
        all = all.plus(stage.read(&[&envelope], proved(freshness), gets));
    }
    Ok(all)
}

/// Of the 20 nodes closest to each of `names` names, `count` return the first version for ever, of the
/// three that are published; they confirm every STORE.
///
/// # Errors
/// [`ExperimentError`].
pub fn replaying(
    count: usize,
    freshness: Freshness,
    (names, gets): (u64, u64),
    seed: u64,
) -> Result<Reads, ExperimentError> {
    let mut all = Reads::default();
    for number in 0..names {
        // A world for each, so that no name has the replayers of another.
        let mut stage = Stage::new(100, seed + number)?;
        let point = envelope(number, 1)?.key();
        let placement = Placement::Around { point, count, among: 20 };
        stage.world.infiltrate(&Infiltration::new(Kind::Replaying, placement))?;
        stage.world.pass(Duration::from_secs(5));
        let mut versions = Vec::new();
        for seq in 1..=3 {
            versions.push(stage.publish(number, seq)?);
            stage.world.pass(Duration::from_secs(30));
        }
        versions.reverse();
        let versions: Vec<&Envelope> = versions.iter().collect();
        all = all.plus(stage.read(&versions, proved(freshness), gets));
    }
    Ok(all)
}

/// Half of 100 nodes are of a build that knows no signed values. A stranger puts plain bytes under the
/// key of a signed one each second, at such a node, for so many seconds; each second a node of the new
/// build reads.
///
/// # Errors
/// [`ExperimentError`].
pub fn half_an_older_build(
    mode: ReadMode,
    seconds: u64,
    seed: u64,
) -> Result<Reads, ExperimentError> {
    let mut stage = Stage::new(100, seed)?;
    // Placed as adversaries are, and made older builds then.
    stage.world.infiltrate(&Infiltration::new(Kind::Slow, Placement::Share(0.5)))?;
    let older: Vec<HostId> = (0..stage.world.hosts().len() as u32)
        .map(HostId)
        .filter(|host| !stage.world.host(*host).is_honest())
        .collect();
    for host in &older {
        stage.world.corrupt(*host, Box::new(OlderBuild::default()));
    }
    stage.world.pass(Duration::from_secs(30));
    let envelope = stage.publish(0, 1)?;
    let mut all = Reads::default();
    for second in 0..seconds {
        let stranger = older[stage.world.random().random_range(0..older.len())];
        let value = Bytes::from(format!("the stranger's bytes, {second}"));
        let put = Command::Put(Publication::new(envelope.key(), value).ttl(TTL));
        stage.world.command(stranger, put);
        all = all.plus(stage.read(&[&envelope], mode, 1));
        stage.world.pass(Duration::from_secs(1));
    }
    Ok(all)
}

fn envelope(number: u64, seq: u64) -> Result<Envelope, SignError> {
    let owner = owner(number).ok_or(SignError::WrongKey)?;
    sign(&owner, seq, &format!("version {seq} of {number}"))
}

fn record(envelope: &Envelope) -> Record {
    Record {
        key: envelope.key(),
        value: envelope.bytes().clone(),
        ttl: u16::MAX,
        version: Some(0),
        maintenance: false,
    }
}

/// A world of nodes that have joined.
struct Stage {
    world: World,
}

impl Stage {
    fn new(nodes: usize, seed: u64) -> Result<Self, ConfigError> {
        let config = WorldConfig::default();
        let mut world = World::new(config.clone(), seed);
        for checker in checker::standard(&config.node) {
            world.watch(checker);
        }
        world.grow(nodes, Growth { at_once: 2, ..Growth::default() })?;
        world.pass(Duration::from_secs(30));
        Ok(Self { world })
    }

    fn any_honest(&mut self) -> HostId {
        let honest: Vec<HostId> = self.world.honest().map(|(host, _)| host).collect();
        honest[self.world.random().random_range(0..honest.len())]
    }

    /// Publishes version `seq` of a name at a random honest node.
    fn publish(&mut self, number: u64, seq: u64) -> Result<Envelope, SignError> {
        let envelope = envelope(number, seq)?;
        let (key, value) = (envelope.key(), envelope.bytes().clone());
        let put = Command::Put(Publication::new(key, value).ttl(TTL));
        let host = self.any_honest();
        self.world.run_commands(vec![(host, put)], 1);
        Ok(envelope)
    }

    /// Reads a name so often, each time at a random honest node. `versions`: the newest first.
    fn read(&mut self, versions: &[&Envelope], mode: ReadMode, gets: u64) -> Reads {
        let mut reads = Reads { gets, ..Reads::default() };
        let Some(newest) = versions.first() else { return reads };
        let key: Key = newest.key();
        let commands = (0..gets).map(|_| (self.any_honest(), Command::Ask { key, mode })).collect();
        for outcome in self.world.run_commands(commands, AT_ONCE).into_iter().flatten() {
            let Outcome::Get { value, report, .. } = outcome else { continue };
            reads.requests += u64::from(report.asked);
            let Some(value) = value else { continue };
            match versions.iter().position(|version| *version.bytes() == value) {
                Some(0) => reads.newest += 1,
                Some(_) => reads.stale += 1,
                None => reads.wrong += 1,
            }
        }
        reads
    }
}
