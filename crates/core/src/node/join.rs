//! Joins the network, refreshes the routing table, and notices the loss of the network.
//!
//! Joining (Kademlia, section 2.3): FIND_NODE for the own ID at every known peer, concurrently;
//! after the first answer a lookup of the own ID, then a lookup in every bucket, see [`filling`]. If no peer
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

mod comparisons;
mod filling;
pub(super) mod lost;
mod peers;
mod recurring;
mod split;

use std::collections::VecDeque;
use std::time::Duration;

use voiddht_wire::peer::{Body, NodeInfo};
use voiddht_wire::{Key, NodeId, PeerAddress};

use self::comparisons::Comparisons;
use self::filling::{Filling, Next};
use self::lost::Lost;
use self::peers::Peers;
use self::recurring::Recurring;
use super::context::Context;
use super::schedule::Task;
use crate::config::JOIN_BACKOFF;
use crate::configured::{ConfiguredPeer, JoinProblem, PeerName, PeerState, ResolveError};
use crate::event::{CommandId, Destination, Notice, Outcome, Output};
use crate::label::Limit;
use crate::operation::Answer;
use crate::request::{InFlight, Purpose};

/// Peers tried concurrently, at most. One that is overdue leaves its place to the next.
const SEEDS_AT_ONCE: usize = 32;
/// Lost contacts tried before the configured peers; the others come after those.
const LOST_FIRST: usize = SEEDS_AT_ONCE;

/// How far this node is in finding its network.
#[derive(Debug, Default)]
pub(super) struct Join {
    pub(super) lost: Lost,
    pub(super) recurring: Recurring,
    command: Option<CommandId>,
    peers: Peers,
    comparisons: Comparisons,
    stage: Stage,
    attempts: u32,
    was_joined: bool,
    /// Whether this node was part of the network before: in an earlier run, or until it lost it.
    returns: bool,
    steps: VecDeque<Step>,
}

/// What joining asks for next.
#[derive(Debug)]
pub(super) enum Step {
    /// A lookup of the closest nodes; its end is reported to [`Join::lookup_ended`].
    Find(Key),
    /// A lookup of the own ID that begins at this peer alone; its end is reported to
    /// [`Join::compared`].
    Compare(u32, NodeInfo),
    /// Nothing more is to be learned before parked operations begin.
    Unpark,
    /// Look into the buckets, once the steps before this one are done.
    Fill,
}

/// The node has become part of a network.
#[derive(Debug)]
pub(super) struct Joined {
    /// Whether it was part of the network before.
    pub(super) returned: bool,
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
    /// Looking into buckets.
    Filling(Filling),
}

/// What became of a lookup that belongs to the joining.
#[derive(Clone, Copy, Debug)]
pub(super) enum Looked {
    /// There was no room for it.
    Nowhere,
    /// It has ended.
    At(Key),
}

impl Join {
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
        self.stage == Stage::Idle && self.recurring.pause() >= soon
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

    /// The next thing that is to be done for it.
    pub(super) fn poll_step(&mut self) -> Option<Step> {
        self.steps.pop_front()
    }
}

/// Configured peers, and lost contacts.
impl Join {
    pub(super) fn start(&mut self, cx: &mut Context, id: CommandId, peers: Vec<ConfiguredPeer>) {
        // A join that is still in progress makes place: one set of peers is tried at a time.
        self.answer_join(cx);
        self.command = Some(id);
        self.replace_peers(cx, peers);
        self.attempts = 0;
        self.contact_known_peers(cx);
        self.lost.plan(cx);
    }

    /// Replaces the configured peers while the node runs.
    pub(super) fn set_peers(
        &mut self,
        cx: &mut Context,
        id: CommandId,
        peers: Vec<ConfiguredPeer>,
    ) {
        self.replace_peers(cx, peers);
        cx.answer(id, Outcome::PeersSet { peers: self.peers.len() });
        if cx.table.is_empty() && self.stage == Stage::Idle {
            self.attempts = 0;
            self.contact_known_peers(cx);
        }
        self.report_peers(cx);
    }

    pub(super) fn retry(&mut self, cx: &mut Context) {
        if cx.leaving.is_some() {
            return self.answer_join(cx);
        }
        if self.stage != Stage::Idle {
            return;
        }
        if cx.table.is_empty() {
            self.contact_known_peers(cx);
        } else {
            // Another node found this one while it was not looking.
            self.find_own_place(cx);
        }
    }

    /// Tries the configured peers whose time has come, while this node has contacts.
    pub(super) fn retry_peers(&mut self, cx: &mut Context) {
        if cx.leaving.is_some() || cx.table.is_empty() {
            return;
        }
        let (now, jitter) = (cx.now.mono, cx.jitter());
        let responsive: Vec<PeerAddress> = cx
            .table
            .iter()
            .filter(|contact| !contact.is_suspect())
            .map(|contact| contact.address())
            .collect();
        let is_contact = |address: &PeerAddress| responsive.contains(address);
        let begun = self.peers.begin_due(cx.own.address, is_contact, now, jitter);
        resolve(cx, begun.resolve);
        self.contact_addresses(cx, begun.dial);
        self.report_peers(cx);
    }

    /// The addresses of a configured peer's name.
    pub(super) fn handle_resolved(
        &mut self,
        cx: &mut Context,
        name: &PeerName,
        found: Result<Vec<PeerAddress>, ResolveError>,
    ) {
        let (now, jitter) = (cx.now.mono, cx.jitter());
        let dial = self.peers.resolved(name, found, cx.own.address, now, jitter);
        self.contact_addresses(cx, dial);
        self.report_peers(cx);
        if let Stage::Contacting { open, pending: 0, .. } = &self.stage
            && open.is_empty()
            && !self.peers.is_resolving()
        {
            self.join_failed(cx);
        }
    }

    /// Another node answers at the address of a known one: it may be the same, with a new identity.
    pub(super) fn contact_unknown(&mut self, cx: &mut Context, address: PeerAddress) {
        if cx.table.iter().all(|contact| contact.address() != address) {
            self.contact_addresses(cx, vec![address]);
        }
    }

    /// A configured or remembered peer cannot be joined through.
    pub(super) fn note_seed_problem(
        &mut self,
        cx: &mut Context,
        request: &InFlight,
        problem: JoinProblem,
    ) {
        if request.purpose == Purpose::Seed && request.to.id.is_none() {
            let (now, jitter) = (cx.now.mono, cx.jitter());
            self.peers.failed(request.to.address, problem, now, jitter);
            self.report_peers(cx);
        }
    }

    /// A configured or remembered peer answered, or did not.
    pub(super) fn handle_seed_answer(
        &mut self,
        cx: &mut Context,
        request: &InFlight,
        from: NodeId,
        answer: &Answer,
    ) {
        match answer {
            Answer::Nodes(named) if request.to.id.is_none() => {
                self.peer_answered(cx, NodeInfo { address: request.to.address, id: from }, named);
            }
            Answer::Refused(_) => self.note_seed_problem(cx, request, JoinProblem::Refused),
            _ => self.note_seed_problem(cx, request, JoinProblem::NoAnswer),
        }
        let is_resolving = self.peers.is_resolving();
        let Stage::Contacting { open, pending, late } = &mut self.stage else { return };
        *pending = pending.saturating_sub(1);
        *late = late.saturating_sub(usize::from(request.is_late()));
        let is_over = *pending == 0 && open.is_empty() && !is_resolving;
        if matches!(answer, Answer::Nodes(_)) && !cx.table.is_empty() {
            self.find_own_place(cx);
        } else if is_over {
            self.join_failed(cx);
        } else {
            self.contact_more_peers(cx);
        }
    }

    /// A configured peer answered. The first to answer brings this node into its network; any other
    /// is compared with that.
    fn peer_answered(&mut self, cx: &mut Context, peer: NodeInfo, named: &[NodeInfo]) {
        let (now, jitter) = (cx.now.mono, cx.jitter());
        self.peers.answered(peer.address, now, jitter);
        let is_first = cx.table.iter().all(|contact| *contact.id() == peer.id);
        if is_first || self.stage == Stage::Idle {
            self.compare(cx, peer, named);
        }
        self.report_peers(cx);
    }

    /// A configured or remembered peer takes long to answer.
    pub(super) fn handle_seed_late(&mut self, cx: &mut Context) {
        if let Stage::Contacting { late, .. } = &mut self.stage {
            *late += 1;
            self.contact_more_peers(cx);
        }
    }

    pub(super) fn lookup_ended(&mut self, cx: &mut Context, looked: Looked, found: &[NodeInfo]) {
        self.introduce(cx, found);
        match &mut self.stage {
            Stage::FindingSelf => {
                self.stage = Stage::Filling(Filling::start(cx));
                self.steps.extend([Step::Unpark, Step::Fill]);
            }
            Stage::Filling(filling) => {
                match looked {
                    Looked::At(target) => filling.ended(cx, &target),
                    Looked::Nowhere => filling.refused(),
                }
                self.fill(cx);
            }
            Stage::Idle | Stage::Contacting { .. } => {}
        }
    }

    /// The table has a new member; with the first one the node is part of a network.
    pub(super) fn note_contact(&mut self, cx: &mut Context) -> Option<Joined> {
        cx.reachability.note_first_contact(cx.now.mono);
        if self.was_joined {
            return None;
        }
        self.was_joined = true;
        cx.notice(Notice::Joined { contacts: cx.table.len() });
        self.recurring.restart(cx);
        let (now, jitter) = (cx.now.mono, cx.jitter());
        self.peers.compare_soon(now, jitter);
        self.plan_peers(cx);
        self.recurring.start(cx);
        Some(Joined { returned: std::mem::take(&mut self.returns) })
    }

    /// There is a new contact: a configured peer that started after this node, perhaps.
    pub(super) fn contact_entered(&mut self, cx: &mut Context, contact: &NodeInfo) {
        self.peers.contact_entered(contact.address, cx.now.mono);
        self.plan_peers(cx);
    }

    /// A contact is gone. Without any, the node is isolated: it says so, and joins again.
    pub(super) fn contact_left(&mut self, cx: &mut Context, contact: &NodeInfo) {
        let (now, jitter) = (cx.now.mono, cx.jitter());
        self.peers.contact_left(contact.address, now, jitter);
        self.plan_peers(cx);
        if cx.table.is_empty() && self.was_joined && cx.leaving.is_none() {
            self.was_joined = false;
            self.returns = true;
            self.attempts = 0;
            cx.notice(Notice::Isolated);
            cx.reachability.forget();
            cx.schedule.cancel(Task::FindSelf);
            self.contact_known_peers(cx);
        }
    }

    fn replace_peers(&mut self, cx: &mut Context, peers: Vec<ConfiguredPeer>) {
        let ignored = self.peers.set(peers, cx.now.mono);
        if ignored > 0 {
            cx.limit_reached(Limit::ConfiguredPeers);
        }
    }

    fn contact_known_peers(&mut self, cx: &mut Context) {
        cx.schedule.cancel(Task::Join);
        let mut open: VecDeque<Destination> =
            self.lost.by_tenure().into_iter().map(Into::into).collect();
        let (now, jitter) = (cx.now.mono, cx.jitter());
        let begun = self.peers.begin_all(cx.own.address, now, jitter);
        for (place, address) in begun.dial.into_iter().enumerate() {
            let peer = Destination { address, id: None };
            open.insert((LOST_FIRST + place).min(open.len()), peer);
        }
        self.report_peers(cx);
        if open.is_empty() && !self.peers.is_resolving() {
            self.stage = Stage::Idle;
            self.answer_join(cx);
            return self.steps.push_back(Step::Unpark);
        }
        self.attempts += 1;
        self.stage = Stage::Contacting { open, pending: 0, late: 0 };
        resolve(cx, begun.resolve);
        self.contact_more_peers(cx);
    }

    /// Asks whichever node is at each of these addresses: in its turn while this node looks for its
    /// network, else now.
    fn contact_addresses(&mut self, cx: &mut Context, addresses: Vec<PeerAddress>) {
        let target = cx.own.id.as_key();
        for address in addresses {
            let to = Destination { address, id: None };
            if let Stage::Contacting { open, .. } = &mut self.stage {
                open.push_back(to);
            } else {
                cx.request(to, Body::FindNode { target }, Purpose::Seed);
            }
        }
        self.contact_more_peers(cx);
    }

    /// Says what has changed of the configured peers, and plans the next attempt.
    fn report_peers(&mut self, cx: &mut Context) {
        for (peer, state) in self.peers.take_changes() {
            cx.notice(Notice::PeerChanged { peer, state });
        }
        self.plan_peers(cx);
    }

    fn plan_peers(&mut self, cx: &mut Context) {
        match self.peers.next_due() {
            Some(at) if !cx.table.is_empty() => cx.schedule.set(Task::Peers, at),
            // Without contacts they are tried in rounds.
            _ => cx.schedule.cancel(Task::Peers),
        }
    }

    fn contact_more_peers(&mut self, cx: &mut Context) {
        let target = cx.own.id.as_key();
        while let Stage::Contacting { open, pending, late } = &mut self.stage
            && pending.saturating_sub(*late) < SEEDS_AT_ONCE
            && let Some(to) = open.pop_front()
        {
            *pending += 1;
            cx.request(to, Body::FindNode { target }, Purpose::Seed);
        }
    }

    fn find_own_place(&mut self, cx: &mut Context) {
        if let Stage::Contacting { open, .. } = std::mem::take(&mut self.stage) {
            let (now, jitter) = (cx.now.mono, cx.jitter());
            for peer in open.iter().filter(|peer| peer.id.is_none()) {
                self.peers.abandon(peer.address, now, jitter);
            }
            self.report_peers(cx);
        }
        self.stage = Stage::FindingSelf;
        self.steps.push_back(Step::Find(cx.own.id.as_key()));
    }

    fn join_failed(&mut self, cx: &mut Context) {
        if !cx.table.is_empty() {
            return self.find_own_place(cx);
        }
        self.stage = Stage::Idle;
        if !self.has_peers() && self.lost.is_empty() {
            // Every peer turned out to be this node itself: it is the first of its network. A name
            // may get further addresses.
            self.answer_join(cx);
            if let Some(at) = self.peers.next_due() {
                cx.schedule.set(Task::Join, at);
            }
            return self.steps.push_back(Step::Unpark);
        }
        let doublings = self.attempts.saturating_sub(1).min(16);
        let pause = (JOIN_BACKOFF.0 * (1 << doublings)).min(JOIN_BACKOFF.1);
        let retry_in = cx.jittered(pause);
        cx.notice(Notice::JoinFailed { retry_in });
        cx.set_after(Task::Join, retry_in);
        self.steps.push_back(Step::Unpark);
    }

    /// Goes on looking into buckets; ends the join once there is none left to look into.
    pub(super) fn fill(&mut self, cx: &mut Context) {
        while let Stage::Filling(filling) = &mut self.stage {
            match filling.next(cx) {
                Next::Look(target) => self.steps.push_back(Step::Find(target)),
                Next::Wait => return,
                Next::Over => {
                    self.stage = Stage::Idle;
                    self.comparisons.introduces = false;
                    self.answer_join(cx);
                }
            }
        }
    }

    fn answer_join(&mut self, cx: &mut Context) {
        if let Some(id) = self.command.take() {
            let contacts = cx.table.len();
            cx.answer(id, Outcome::Joined { contacts });
        }
    }
}

fn resolve(cx: &mut Context, names: Vec<PeerName>) {
    for name in names {
        cx.output(Output::Resolve { name });
    }
}
