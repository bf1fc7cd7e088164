//! Joins the network, refreshes the routing table, and notices the loss of the network.
//!
//! Joining (Kademlia, section 2.3): FIND_NODE for the own ID at every known peer, concurrently;
//! after the first answer a lookup of the own ID, then a lookup in every bucket. In the own
//! neighbourhood it queries as many nodes as a bucket holds, so that both sides know each other; a
//! bucket that gained another contact since, or was split, is looked up again in the next round.
//! Far away a few contacts are enough, and leave slots for others that are met later. If no peer
//! answers, all are tried again, with growing pauses. Lost contacts, including those of an earlier
//! run, are tried before configured peers: there are many, whereas configured peers are shared by
//! all nodes.
//!
//! A node that just joined looks up its own ID again after one second, two, four, up to the refresh
//! interval: nodes that joined at the same moment did not see each other at first. At the same times
//! it looks up random points, for the estimate of the network's size. A lost contact that is found
//! again brings the next lookup of the own ID forward, to two seconds from now: two parts of a network may
//! have met. It does not begin the series again, because in a network with churn contacts return all
//! the time.
//!
//! Configured peers are tried for as long as the node runs, see [`peers`]; [`split`] checks whether
//! one that answers is part of this node's network.

mod peers;
mod recurring;
mod split;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use rand::RngExt;
use voiddht_wire::peer::{Body, NodeInfo};
use voiddht_wire::{Key, NodeId, PeerAddress};

use self::peers::Peers;
use self::recurring::SIZE_CHECK;
use self::split::Comparisons;
use super::Node;
use super::operate::Origin;
use super::schedule::Task;
use crate::config::JOIN_BACKOFF;
use crate::configured::{ConfiguredPeer, JoinProblem, PeerName, PeerState, ResolveError};
use crate::event::{CommandId, Destination, Notice, Outcome, Output};
use crate::label::{Limit, LookupPurpose};
use crate::operation::Answer;
use crate::request::{InFlight, Purpose};
use crate::routing::BucketRange;
use crate::time::Moment;

/// Peers tried concurrently, at most. One that is overdue leaves its place to the next.
const SEEDS_AT_ONCE: usize = 32;
/// Lost contacts tried before the configured peers; the others come after those.
const LOST_FIRST: usize = SEEDS_AT_ONCE;
/// Lookups of a joining round in flight.
const LOOKUPS_AT_ONCE: usize = 3;
/// Rounds of looking into buckets, at most: in five a table is split as deep as it gets far away,
/// and in a network that grows all the time every round adds.
const MAX_ROUNDS: u32 = 10;
/// The first pause until the own ID is looked for again.
const FIRST_FIND_SELF: Duration = Duration::from_secs(1);
/// How far this node is in finding its network.
#[derive(Debug, Default)]
pub(super) struct Joining {
    command: Option<CommandId>,
    peers: Peers,
    comparisons: Comparisons,
    stage: Stage,
    attempts: u32,
    find_self_pause: Duration,
    /// When a random point is looked up next, together with the own ID, and the pause after that.
    look_anywhere: (Moment, Duration),
    size_check_pause: Duration,
    was_joined: bool,
    /// Whether this node was part of the network before: in an earlier run, or until it lost it.
    returns: bool,
}

#[derive(Debug, Default, PartialEq)]
enum Stage {
    /// Nothing to do.
    #[default]
    Idle,
    /// Waiting for a known peer's answer: who has yet to be asked, how many were and have not
    /// answered, and how many of those are overdue.
    Contacting { open: VecDeque<Destination>, pending: usize, late: usize },
    /// Looking for the own ID.
    FindingSelf,
    /// Looking into buckets: at which points this round has yet to look, how many lookups are
    /// in progress, and how many contacts each bucket had when one had ended in it.
    Filling { round: u32, open: Vec<Key>, running: usize, seen: BTreeMap<BucketRange, usize> },
}

/// What became of a lookup that belongs to the joining.
#[derive(Clone, Copy, Debug)]
pub(super) enum Looked {
    /// There was no room for it.
    Nowhere,
    /// It has ended.
    At(Key),
}

impl Joining {
    /// Whether a peer is configured that is not this node itself.
    pub(super) fn has_peers(&self) -> bool {
        self.peers.has_others()
    }

    /// Each configured peer, and its state.
    pub(super) fn peers(&self) -> impl Iterator<Item = (&ConfiguredPeer, PeerState)> {
        self.peers.iter()
    }

    /// Whether the node is not about to look for its own ID within this time.
    fn is_settled(&self, soon: Duration) -> bool {
        self.stage == Stage::Idle && self.find_self_pause >= soon
    }

    /// This node was part of the network in an earlier run.
    pub(super) fn note_earlier_run(&mut self) {
        self.returns = true;
    }

    /// Whether this node does not know its neighbourhood yet, and is about to learn it: an
    /// operation that began now would miss most of what is there.
    pub(super) fn is_finding_its_place(&self) -> bool {
        matches!(self.stage, Stage::Contacting { .. } | Stage::FindingSelf)
    }
}

impl Node {
    pub(super) fn start_join(&mut self, id: CommandId, peers: Vec<ConfiguredPeer>) {
        // A join that is still in progress makes place: one set of peers is tried at a time.
        self.answer_join();
        self.joining.command = Some(id);
        self.replace_peers(peers);
        self.joining.attempts = 0;
        self.contact_known_peers();
        self.plan_lost_contacts();
    }

    /// Replaces the configured peers while the node runs.
    pub(super) fn set_peers(&mut self, id: CommandId, peers: Vec<ConfiguredPeer>) {
        self.replace_peers(peers);
        self.answer(id, Outcome::PeersSet { peers: self.joining.peers.len() });
        if self.table.is_empty() && self.joining.stage == Stage::Idle {
            self.joining.attempts = 0;
            self.contact_known_peers();
        }
        self.report_peers();
    }

    pub(super) fn retry_join(&mut self) {
        if self.leaving.is_some() {
            return self.answer_join();
        }
        if self.joining.stage != Stage::Idle {
            return;
        }
        if self.table.is_empty() {
            self.contact_known_peers();
        } else {
            // Another node found this one while it was not looking.
            self.find_own_place();
        }
    }

    /// Tries the configured peers whose time has come, while this node has contacts.
    pub(super) fn retry_peers(&mut self) {
        if self.leaving.is_some() || self.table.is_empty() {
            return;
        }
        let (now, jitter) = (self.now.mono, self.jitter());
        let responsive: Vec<PeerAddress> = self
            .table
            .iter()
            .filter(|contact| !contact.is_suspect())
            .map(|contact| contact.address())
            .collect();
        let is_contact = |address: &PeerAddress| responsive.contains(address);
        let begun = self.joining.peers.begin_due(self.own.address, is_contact, now, jitter);
        self.resolve(begun.resolve);
        self.contact_addresses(begun.dial);
        self.report_peers();
    }

    /// The addresses of a configured peer's name.
    pub(super) fn handle_resolved(
        &mut self,
        name: &PeerName,
        found: Result<Vec<PeerAddress>, ResolveError>,
    ) {
        let (now, jitter) = (self.now.mono, self.jitter());
        let dial = self.joining.peers.resolved(name, found, self.own.address, now, jitter);
        self.contact_addresses(dial);
        self.report_peers();
        if let Stage::Contacting { open, pending: 0, .. } = &self.joining.stage
            && open.is_empty()
            && !self.joining.peers.is_resolving()
        {
            self.join_failed();
        }
    }

    /// Another node answers at the address of a known one: it may be the same, with a new identity.
    pub(super) fn contact_unknown(&mut self, address: PeerAddress) {
        if self.table.iter().all(|contact| contact.address() != address) {
            self.contact_addresses(vec![address]);
        }
    }

    /// A configured or remembered peer cannot be joined through.
    pub(super) fn note_seed_problem(&mut self, request: &InFlight, problem: JoinProblem) {
        if request.purpose == Purpose::Seed && request.to.id.is_none() {
            let (now, jitter) = (self.now.mono, self.jitter());
            self.joining.peers.failed(request.to.address, problem, now, jitter);
            self.report_peers();
        }
    }

    /// A configured or remembered peer answered, or did not.
    pub(super) fn handle_seed_answer(&mut self, request: &InFlight, from: NodeId, answer: &Answer) {
        match answer {
            Answer::Nodes(named) if request.to.id.is_none() => {
                self.peer_answered(NodeInfo { address: request.to.address, id: from }, named);
            }
            Answer::Refused(_) => self.note_seed_problem(request, JoinProblem::Refused),
            _ => self.note_seed_problem(request, JoinProblem::NoAnswer),
        }
        let is_resolving = self.joining.peers.is_resolving();
        let Stage::Contacting { open, pending, late } = &mut self.joining.stage else { return };
        *pending = pending.saturating_sub(1);
        *late = late.saturating_sub(usize::from(request.is_late()));
        let is_over = *pending == 0 && open.is_empty() && !is_resolving;
        if matches!(answer, Answer::Nodes(_)) && !self.table.is_empty() {
            self.find_own_place();
        } else if is_over {
            self.join_failed();
        } else {
            self.contact_more_peers();
        }
    }

    /// A configured peer answered. The first to answer brings this node into its network; any other
    /// is compared with that.
    fn peer_answered(&mut self, peer: NodeInfo, named: &[NodeInfo]) {
        let (now, jitter) = (self.now.mono, self.jitter());
        self.joining.peers.answered(peer.address, now, jitter);
        let is_first = self.table.iter().all(|contact| *contact.id() == peer.id);
        if is_first || self.joining.stage == Stage::Idle {
            self.compare(peer, named);
        }
        self.report_peers();
    }

    /// A configured or remembered peer takes long to answer.
    pub(super) fn handle_seed_late(&mut self) {
        if let Stage::Contacting { late, .. } = &mut self.joining.stage {
            *late += 1;
            self.contact_more_peers();
        }
    }

    pub(super) fn handle_join_lookup_ended(&mut self, looked: Looked, found: &[NodeInfo]) {
        self.introduce(found);
        match &mut self.joining.stage {
            Stage::FindingSelf => {
                self.start_round(1, BTreeMap::new());
                self.unpark();
                self.go_on_filling();
            }
            Stage::Filling { round, open, running, seen } => {
                *running = running.saturating_sub(1);
                match looked {
                    Looked::At(target) => {
                        let bucket = self.table.bucket_around(&target);
                        seen.insert(bucket.range(), bucket.contacts().len());
                    }
                    // Users need all there is: what is not found now comes with the refreshes.
                    Looked::Nowhere => {
                        open.clear();
                        *round = MAX_ROUNDS;
                    }
                }
                self.go_on_filling();
            }
            Stage::Idle | Stage::Contacting { .. } => {}
        }
    }

    /// The table has a new member; with the first one the node is part of a network.
    pub(super) fn note_joined(&mut self) {
        self.note_first_contact();
        if !self.joining.was_joined {
            self.joining.was_joined = true;
            let returned = std::mem::take(&mut self.joining.returns);
            self.upkeep_joined(returned);
            self.notice(Notice::Joined { contacts: self.table.len() });
            self.restart_find_self();
            let (now, jitter) = (self.now.mono, self.jitter());
            self.joining.look_anywhere = (now, FIRST_FIND_SELF);
            self.joining.peers.compare_soon(now, jitter);
            self.plan_peers();
            let pause = self.jittered(self.config.refresh_interval);
            self.schedule.set_earlier(Task::RefreshBuckets, self.now.mono + pause);
            self.joining.size_check_pause = SIZE_CHECK;
            self.schedule.set_earlier(Task::CheckSize, self.now.mono + SIZE_CHECK);
        }
    }

    /// There is a new contact: a configured peer that started after this node, perhaps.
    pub(super) fn after_contact_entered(&mut self, contact: &NodeInfo) {
        self.joining.peers.contact_entered(contact.address, self.now.mono);
        self.plan_peers();
    }

    /// A contact is gone. Without any, the node is isolated: it says so, and joins again.
    pub(super) fn after_contact_left(&mut self, contact: &NodeInfo) {
        let (now, jitter) = (self.now.mono, self.jitter());
        self.joining.peers.contact_left(contact.address, now, jitter);
        self.plan_peers();
        if self.table.is_empty() && self.joining.was_joined && self.leaving.is_none() {
            self.joining.was_joined = false;
            self.joining.returns = true;
            self.joining.attempts = 0;
            self.notice(Notice::Isolated);
            self.forget_reached();
            self.schedule.cancel(Task::FindSelf);
            self.contact_known_peers();
        }
    }

    /// A duration within a quarter of `duration`, so that nodes that started together drift
    /// apart.
    pub(super) fn jittered(&mut self, duration: Duration) -> Duration {
        duration.mul_f64(self.jitter())
    }

    /// The factor of [`Node::jittered`].
    fn jitter(&mut self) -> f64 {
        self.random.random_range(0.75..1.25)
    }

    fn replace_peers(&mut self, peers: Vec<ConfiguredPeer>) {
        let ignored = self.joining.peers.set(peers, self.now.mono);
        if ignored > 0 {
            self.notice(Notice::LimitReached { limit: Limit::ConfiguredPeers });
        }
    }

    fn contact_known_peers(&mut self) {
        self.schedule.cancel(Task::Join);
        let mut open: VecDeque<Destination> =
            self.lost.by_tenure().into_iter().map(Into::into).collect();
        let (now, jitter) = (self.now.mono, self.jitter());
        let begun = self.joining.peers.begin_all(self.own.address, now, jitter);
        for (place, address) in begun.dial.into_iter().enumerate() {
            let peer = Destination { address, id: None };
            open.insert((LOST_FIRST + place).min(open.len()), peer);
        }
        self.report_peers();
        if open.is_empty() && !self.joining.peers.is_resolving() {
            self.joining.stage = Stage::Idle;
            self.answer_join();
            return self.unpark();
        }
        self.joining.attempts += 1;
        self.joining.stage = Stage::Contacting { open, pending: 0, late: 0 };
        self.resolve(begun.resolve);
        self.contact_more_peers();
    }

    fn resolve(&mut self, names: Vec<PeerName>) {
        self.outputs.extend(names.into_iter().map(|name| Output::Resolve { name }));
    }

    /// Asks whichever node is at each of these addresses: in its turn while this node looks for its
    /// network, else now.
    fn contact_addresses(&mut self, addresses: Vec<PeerAddress>) {
        let target = self.own.id.as_key();
        for address in addresses {
            let to = Destination { address, id: None };
            if let Stage::Contacting { open, .. } = &mut self.joining.stage {
                open.push_back(to);
            } else {
                self.request(to, Body::FindNode { target }, Purpose::Seed);
            }
        }
        self.contact_more_peers();
    }

    /// Says what has changed of the configured peers, and plans the next attempt.
    fn report_peers(&mut self) {
        for (peer, state) in self.joining.peers.take_changes() {
            self.notice(Notice::PeerChanged { peer, state });
        }
        self.plan_peers();
    }

    fn plan_peers(&mut self) {
        match self.joining.peers.next_due() {
            Some(at) if !self.table.is_empty() => self.schedule.set(Task::Peers, at),
            // Without contacts they are tried in rounds.
            _ => self.schedule.cancel(Task::Peers),
        }
    }

    fn contact_more_peers(&mut self) {
        let target = self.own.id.as_key();
        while let Stage::Contacting { open, pending, late } = &mut self.joining.stage
            && pending.saturating_sub(*late) < SEEDS_AT_ONCE
            && let Some(to) = open.pop_front()
        {
            *pending += 1;
            self.request(to, Body::FindNode { target }, Purpose::Seed);
        }
    }

    fn find_own_place(&mut self) {
        if let Stage::Contacting { open, .. } = std::mem::take(&mut self.joining.stage) {
            let (now, jitter) = (self.now.mono, self.jitter());
            for peer in open.iter().filter(|peer| peer.id.is_none()) {
                self.joining.peers.abandon(peer.address, now, jitter);
            }
            self.report_peers();
        }
        self.joining.stage = Stage::FindingSelf;
        self.start_find(Origin::Own(LookupPurpose::Join), self.own.id.as_key(), self.now);
    }

    fn join_failed(&mut self) {
        if !self.table.is_empty() {
            return self.find_own_place();
        }
        self.joining.stage = Stage::Idle;
        if !self.joining.has_peers() && self.lost.is_empty() {
            // Every peer turned out to be this node itself: it is the first of its network. A name
            // may get further addresses.
            self.answer_join();
            if let Some(at) = self.joining.peers.next_due() {
                self.schedule.set(Task::Join, at);
            }
            return self.unpark();
        }
        let doublings = self.joining.attempts.saturating_sub(1).min(16);
        let pause = (JOIN_BACKOFF.0 * (1 << doublings)).min(JOIN_BACKOFF.1);
        let retry_in = self.jittered(pause);
        self.notice(Notice::JoinFailed { retry_in });
        self.schedule.set(Task::Join, self.now.mono + retry_in);
        self.unpark();
    }

    /// Plans a lookup in each bucket in which there may be more nodes than are known: none has
    /// ended there, it gained contacts since, or it has as many as one lookup finds.
    fn start_round(&mut self, round: u32, seen: BTreeMap<BucketRange, usize>) {
        let buckets: Vec<_> =
            self.table.buckets().map(|bucket| (bucket.range(), bucket.contacts().len())).collect();
        let mut open = Vec::new();
        for (range, contacts) in buckets {
            let target = range.random_target(&mut self.random);
            if contacts >= self.wanted_around(&target) || seen.get(&range) != Some(&contacts) {
                open.push(target);
            }
        }
        self.joining.stage = Stage::Filling { round, open, running: 0, seen };
    }

    fn go_on_filling(&mut self) {
        loop {
            let Stage::Filling { round, open, running, seen } = &mut self.joining.stage else {
                return;
            };
            if *running >= LOOKUPS_AT_ONCE {
                return;
            }
            if let Some(target) = open.pop() {
                if self.lacks_contacts_around(&target) {
                    self.look_into(target);
                }
                continue;
            }
            if *running > 0 {
                return;
            }
            let (round, seen) = (*round, std::mem::take(seen));
            if round < MAX_ROUNDS {
                self.start_round(round + 1, seen);
                if matches!(&self.joining.stage, Stage::Filling { open, .. } if !open.is_empty()) {
                    continue;
                }
            }
            self.joining.stage = Stage::Idle;
            self.end_merge();
            return self.answer_join();
        }
    }

    fn look_into(&mut self, target: Key) {
        if let Stage::Filling { running, .. } = &mut self.joining.stage {
            *running += 1;
        }
        self.start_find(Origin::Own(LookupPurpose::Join), target, self.now);
    }

    /// How many nodes around a point are to be known. If it lies so near to this node that both may
    /// belong to one replica set, all: a whole bucket. Farther away one for each path of a lookup:
    /// others find a place there when they are met.
    pub(super) fn wanted_around(&self, point: &Key) -> usize {
        let (k, own) = (self.config.k, self.own.id.as_key());
        let neighbours = self.closest(&own, 2 * k);
        let is_near = neighbours.len() < 2 * k
            || neighbours
                .last()
                .is_none_or(|last| point.distance(&self.own.id) <= own.distance(&last.id));
        if is_near { k } else { self.narrow() }
    }

    fn lacks_contacts_around(&self, point: &Key) -> bool {
        self.table.may_split_around(point)
            || self.table.responsive_around(point) < self.wanted_around(point)
    }

    fn answer_join(&mut self) {
        if let Some(id) = self.joining.command.take() {
            let contacts = self.table.len();
            self.answer(id, Outcome::Joined { contacts });
        }
    }
}
