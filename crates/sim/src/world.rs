//! A whole network in one thread: hosts, their events, and a clock that only events advance.
//!
//! The world drives [`voiddht_session::Session`] as a daemon does: it follows the contract at the
//! top of [`voiddht_session::session`], and models what is outside of it: the network, kernels,
//! disks and clocks. It makes no decisions of Kademlia, and none about connections or trust.
//!
//! Everything follows from the seed: no hash map is iterated, no clock is read, events of one
//! moment have an order. [`World::trace_hash`] distinguishes two runs.
//!
//! [`execute`] executes a session's outputs, [`connect`] ends handshakes and connections,
//! [`lifecycle`] starts and kills, [`partition`] cuts apart.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::time::Duration;

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use voiddht_core::event::{Command, CommandId, Outcome};
use voiddht_core::time::{BootTime, Moment, Now, WallTime};
use voiddht_core::{Config, Node};
use voiddht_session::{Input, Output, Session};
use voiddht_wire::peer::{Body, Message};
use voiddht_wire::{NodeId, PeerAddress};

use crate::adversary::interceptor::{Adversary, Around, Cabal, Deed, Speech};
use crate::checker::observer::{Checker, Site, Survey, Violations};
use crate::credentials::Credentials;
use crate::host::{Host, HostId, State};
use crate::network::{Network, NetworkConfig, mix};
use crate::pipe::Pipes;
use crate::queue::Queue;
use crate::tally::Tally;
use crate::trace::Trace;

mod connect;
mod event;
mod execute;
mod lifecycle;
mod partition;

pub use crate::host::Death;
use event::Event;

/// When the calendar stands at the start of every run: milliseconds since 1970.
const EPOCH_MILLIS: u64 = 1_700_000_000_000;

/// Settings of a world.
#[derive(Clone, Debug, Default)]
pub struct WorldConfig {
    /// The network.
    pub network: NetworkConfig,
    /// Every node's settings.
    pub node: Config,
}

/// The end of a command.
#[derive(Clone, Debug)]
pub struct Ended {
    /// Where it was given.
    pub host: HostId,
    /// Which it was.
    pub id: CommandId,
    /// How it ended.
    pub outcome: Outcome,
}

/// A network of hosts.
pub struct World {
    now: Moment,
    config: WorldConfig,
    network: Network,
    hosts: Vec<Host>,
    credentials: Credentials,
    pipes: Pipes,
    /// Requests of adversaries that wait for a connection which the world dials, by both hosts.
    asking: BTreeMap<(HostId, HostId), Vec<Message>>,
    by_address: HashMap<PeerAddress, HostId, PlainBuild>,
    by_id: HashMap<NodeId, HostId, PlainBuild>,
    queue: Queue<Event>,
    random: ChaCha8Rng,
    seed: u64,
    next_command: u64,
    split: bool,
    /// Pairs of hosts that do not reach each other, the lower one first.
    cut: BTreeSet<(HostId, HostId)>,
    ended: VecDeque<Ended>,
    cabal: Cabal,
    checkers: Vec<Box<dyn Checker>>,
    violations: Violations,
    tally: Tally,
    trace: Trace,
    events: u64,
}

impl World {
    /// An empty world. Everything that happens in it follows from `seed` and the calls.
    pub fn new(config: WorldConfig, seed: u64) -> Self {
        Self {
            now: Moment::default(),
            network: Network::new(config.network.clone(), mix(seed)),
            credentials: Credentials::new(config.network.certificates),
            config,
            hosts: Vec::new(),
            pipes: Pipes::default(),
            asking: BTreeMap::new(),
            by_address: HashMap::default(),
            by_id: HashMap::default(),
            queue: Queue::default(),
            random: ChaCha8Rng::seed_from_u64(seed),
            seed,
            next_command: 0,
            split: false,
            cut: BTreeSet::new(),
            ended: VecDeque::new(),
            cabal: Cabal::default(),
            checkers: Vec::new(),
            violations: Violations::default(),
            tally: Tally::default(),
            trace: Trace::default(),
            events: 0,
        }
    }

    /// Lets a checker watch from now on.
    pub fn watch(&mut self, checker: Box<dyn Checker>) {
        self.checkers.push(checker);
    }

    /// Lets every checker look at the whole world. To be called where a run knows what must hold.
    pub fn survey(&mut self) {
        let mut checkers = std::mem::take(&mut self.checkers);
        let mut violations = std::mem::take(&mut self.violations);
        for checker in &mut checkers {
            checker.surveyed(&self.view(), &mut violations);
        }
        self.checkers = checkers;
        self.violations = violations;
    }

    /// All of it, at this moment.
    pub fn view(&self) -> Survey<'_> {
        Survey { now: self.now, hosts: &self.hosts }
    }

    /// Its settings.
    pub fn config(&self) -> &WorldConfig {
        &self.config
    }

    /// The time since the start.
    pub fn now(&self) -> Moment {
        self.now
    }

    /// The same, as the clock of records' deadlines counts it.
    pub fn boot_now(&self) -> BootTime {
        BootTime::from_micros(self.now.as_micros())
    }

    /// The hosts, in the order in which they came; a [`HostId`] counts through them.
    pub fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    /// One host.
    ///
    /// # Panics
    /// If the ID is of another world.
    pub fn host(&self, host: HostId) -> &Host {
        &self.hosts[host.index()]
    }

    /// Whether a node of this ID is, or was, one that runs the shipped code and nothing else.
    pub fn is_honest(&self, id: &NodeId) -> bool {
        self.by_id.get(id).is_some_and(|host| self.hosts[host.index()].is_honest())
    }

    /// Honest hosts whose node runs.
    pub fn honest(&self) -> impl Iterator<Item = (HostId, &Node)> {
        self.hosts
            .iter()
            .enumerate()
            .filter(|(_, host)| host.is_honest())
            .filter_map(|(index, host)| host.node().map(|node| (HostId(index as u32), node)))
    }

    /// The adversaries.
    pub fn cabal(&self) -> &Cabal {
        &self.cabal
    }

    /// What the checkers found so far.
    pub fn violations(&self) -> &Violations {
        &self.violations
    }

    /// Counts over the whole run.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// A hash over everything that happened so far.
    pub fn trace_hash(&self) -> u64 {
        self.trace.hash()
    }

    /// Events so far.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// The world's generator, for the scenario's own choices.
    pub fn random(&mut self) -> &mut ChaCha8Rng {
        &mut self.random
    }

    /// Gives a host's node a command. It ends as an [`Ended`] later, unless the host dies first.
    /// `None` if the node does not run.
    pub fn command(&mut self, host: HostId, command: Command) -> Option<CommandId> {
        self.hosts[host.index()].session.as_ref()?;
        let id = CommandId(self.next_command);
        self.next_command += 1;
        let site = self.site(host);
        for checker in &mut self.checkers {
            checker.commanded(&site, id, &command);
        }
        self.feed(host, Input::Command { id, command });
        Some(id)
    }

    /// The next command that has ended.
    pub fn next_ended(&mut self) -> Option<Ended> {
        self.ended.pop_front()
    }

    /// When the next event happens.
    pub fn next_event_at(&mut self) -> Option<Moment> {
        self.queue.next_at()
    }

    /// Events that wait to happen.
    pub fn pending_events(&self) -> usize {
        self.queue.len()
    }

    /// Lets the next event happen. False if there is none.
    pub fn step(&mut self) -> bool {
        let Some((at, event)) = self.queue.pop() else { return false };
        self.now = self.now.max(at);
        self.events += 1;
        self.happen(event);
        true
    }

    /// Lets everything happen until `end`, and stands there.
    pub fn run_until(&mut self, end: Moment) {
        while self.next_event_at().is_some_and(|at| at <= end) {
            self.step();
        }
        self.now = self.now.max(end);
    }

    /// Steps until a command has ended, at the latest until `end`.
    pub fn run_until_ended(&mut self, end: Moment) -> Option<Ended> {
        loop {
            if let Some(ended) = self.ended.pop_front() {
                return Some(ended);
            }
            if self.next_event_at().is_none_or(|at| at > end) {
                return None;
            }
            self.step();
        }
    }

    fn site(&self, host: HostId) -> Site {
        Site { now: self.clocks(host), host, id: self.hosts[host.index()].info.id }
    }

    /// What the clocks of a host say.
    fn clocks(&self, host: HostId) -> Now {
        let millis = EPOCH_MILLIS + self.now.as_micros() / 1000;
        let Host { clock_skew, suspended, .. } = &self.hosts[host.index()];
        let wall = WallTime::from_millis(millis.saturating_add_signed(*clock_skew));
        Now { mono: self.now.back(*suspended), boot: self.boot_now(), wall }
    }

    /// Hands a session one input, and executes what it asks for.
    fn feed(&mut self, host: HostId, input: Input) {
        if self.is_heard(host, &input) {
            self.drive(host, |session, now| session.handle_input(now, input));
        }
    }

    /// Lets something happen to a session, and executes what it asks for.
    fn drive(&mut self, host: HostId, happen: impl FnOnce(&mut Session, Now)) {
        let Some(mut session) = self.hosts[host.index()].session.take() else { return };
        let site = self.site(host);
        happen(&mut session, site.now);
        self.drain(&site, &mut session);
        if self.hosts[host.index()].is_honest() {
            for checker in &mut self.checkers {
                checker.stepped(&site, session.core(), &mut self.violations);
            }
        }
        self.plan_wakeup(host, &session);
        // Something that the session asked for may have stopped it.
        if self.hosts[host.index()].state == State::Up {
            self.hosts[host.index()].session = Some(session);
        }
    }

    fn drain(&mut self, site: &Site, session: &mut Session) {
        let honest = self.hosts[site.host.index()].is_honest();
        while let Some(output) = session.poll_output() {
            if !honest {
                self.twist(site, session, output);
                continue;
            }
            if !self.checkers.is_empty() {
                let site = made_at(site, session, &output);
                for checker in &mut self.checkers {
                    checker.put_out(&site, &output, &mut self.violations);
                }
            }
            self.execute(site, session, output);
        }
    }

    /// Lets an adversary hear what its node is about to hear.
    fn is_heard(&mut self, host: HostId, input: &Input) -> bool {
        if self.hosts[host.index()].is_honest() {
            return true;
        }
        self.with_adversary(host, |adversary, around| adversary.hear(around, input)).unwrap_or(true)
    }

    fn twist(&mut self, site: &Site, session: &mut Session, output: Output) {
        let speech =
            self.with_adversary(site.host, |adversary, around| adversary.speak(around, output));
        match speech {
            Some(Speech::Say(output)) => self.execute(site, session, output),
            Some(Speech::Later(pause, output)) => {
                self.do_later(site.host, pause, Deed::Say(output));
            }
            Some(Speech::Nothing) | None => {}
        }
    }

    /// Runs an adversary, and does what it wants of its own accord.
    fn with_adversary<T>(
        &mut self,
        host: HostId,
        act: impl FnOnce(&mut dyn Adversary, &mut Around<'_>) -> T,
    ) -> Option<T> {
        let mut adversary = self.hosts[host.index()].adversary.take()?;
        let mut extra = Vec::new();
        let mut around = Around {
            now: self.clocks(host),
            own: self.hosts[host.index()].info,
            cabal: &self.cabal,
            random: &mut self.random,
            extra: &mut extra,
        };
        let result = act(adversary.as_mut(), &mut around);
        self.hosts[host.index()].adversary = Some(adversary);
        for deed in extra {
            self.do_later(host, Duration::ZERO, deed);
        }
        Some(result)
    }

    pub(crate) fn cabal_mut(&mut self) -> &mut Cabal {
        &mut self.cabal
    }

    /// A generator for one run of one host, and one use of it: no other shares its numbers.
    fn host_random(&self, host: HostId, run: u32, of: u64) -> ChaCha8Rng {
        let stream = (u64::from(host.0) << 32) | u64::from(run);
        ChaCha8Rng::seed_from_u64(mix(self.seed ^ mix(stream) ^ of))
    }

    fn random_id(&mut self) -> NodeId {
        NodeId::from_bytes(self.random.random())
    }
}

/// Where and when what a session puts out was made: a STORE has perhaps waited for a connection,
/// and its record's TTL is that of the time at which the core asked for it.
fn made_at(site: &Site, session: &Session, output: &Output) -> Site {
    let Output::Send { message, .. } = output else { return *site };
    let Message { header, body: Body::Store(_) } = message else { return *site };
    let now = site.now;
    let made = session.core().requested_at(&header.rpc_id).unwrap_or(now.mono);
    let waited = now.mono.since(made);
    let boot = Moment::from_micros(now.boot.as_micros()).back(waited);
    let wall = now.wall.as_millis().saturating_sub(waited.as_millis() as u64);
    let boot = BootTime::from_micros(boot.as_micros());
    let now = Now { mono: made, boot, wall: WallTime::from_millis(wall) };
    Site { now, ..*site }
}

/// Hashes what is random already, or short: IDs and addresses. The maps are looked into, never
/// iterated, so that nothing depends on it.
#[derive(Clone, Default)]
struct Plain(u64);

type PlainBuild = BuildHasherDefault<Plain>;

impl Hasher for Plain {
    fn finish(&self) -> u64 {
        mix(self.0)
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = self.0.rotate_left(21) ^ word;
    }
}
