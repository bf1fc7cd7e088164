//! Reachability: whether others can dial this node at its announced address.
//!
//! No message exists for that question, and none is needed. A PING_REPLY contains the address of
//! the requester as seen by the peer: if that is not its own, an address translator is in between.
//! And a node that an authenticated peer pings dials the peer's listening address back, as it does
//! before it admits a peer to its table: see `Contacts::dial_back`. The driver watches
//! the port.
//!
//! The node asks by itself after a while without an incoming connection, and judges by the callers:
//! see [`crate::reachability`]. While it cannot be dialled it behaves as a client: its headers
//! announce no port, it holds no replica and counts for none. Only the PINGs that ask for a dial
//! back still announce the port. An operator can ask too, by
//! [`Command::Reach`](crate::event::Command::Reach).
//!
//! This module also decides whether this node's own copy of a PUT counts: others must be able to
//! fetch it. Every peer that this node meets probes whether it listens. So a node that none has
//! reached some seconds after it joined is not counted, long before it becomes a client.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use rand::seq::SliceRandom;
use voiddht_wire::peer::{Body, NodeInfo};
use voiddht_wire::{NodeId, PeerAddress};

use super::contacts::DIAL_BACK_PAUSE;
use super::context::Context;
use super::schedule::Task;
use crate::diversity::is_private;
use crate::event::{CommandId, Notice, Outcome, Sighting};
use crate::label::Limit;
use crate::operation::Answer;
use crate::reachability::Reach;
use crate::request::Purpose;

/// Contacts that are pinged for one answer: a few may be new, busy or behind the same wall.
pub const REACH_PEERS: usize = 8;
/// Answers in flight. A person asks for one.
const MAX_REACHES: usize = 4;
/// How long after its first contact a node is taken to be reachable although no other node has come
/// to its address yet: what a dial takes at most.
const REACH_GRACE: Duration = Duration::from_secs(10);
/// Callers from one address within this time tell nothing new.
pub const CALLER_PAUSE: Duration = Duration::from_secs(10);
/// When contacts are first asked to dial back, after the first of them is known. Most have done so by
/// then, and none needs to be asked.
const FIRST_CHECK: Duration = Duration::from_secs(1);
/// After so long without an incoming connection, contacts are asked. A guess: a port that was
/// closed is noticed within minutes, at the cost of a few PINGs.
const CHECK_INTERVAL: Duration = Duration::from_secs(900);
/// When contacts are asked again that did not come: they do not dial back twice in a
/// [`DIAL_BACK_PAUSE`].
const CHECK_AGAIN: Duration = Duration::from_secs(90);
const _: () = assert!(CHECK_AGAIN.as_secs() > DIAL_BACK_PAUSE.as_secs());

/// This node can be dialled from now on, or cannot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReachChange {
    /// A peer has dialled it; whether it was a client before.
    Reachable { was_client: bool },
    /// Contacts have been asked to dial it, and none has.
    Unreachable,
}

/// Operators' questions that contacts are being asked: see [`Command::Reach`].
///
/// [`Command::Reach`]: crate::event::Command::Reach
#[derive(Debug, Default)]
pub(super) struct ReachQuestions(BTreeMap<CommandId, Vec<Asked>>);

/// Which callers show that the network reaches this node: the hosts of contacts. With public
/// contacts, a neighbour in the own private network does not count: it can connect even where
/// others cannot.
struct Counting {
    has_public: bool,
    private: BTreeSet<IpAddr>,
    public: BTreeSet<IpAddr>,
}

impl Counting {
    fn admits(&self, from: IpAddr) -> bool {
        let from = host(from);
        self.public.contains(&from) || (!self.has_public && self.private.contains(&from))
    }

    fn is_neighbour(&self, from: IpAddr) -> bool {
        self.has_public && self.private.contains(&host(from))
    }
}

/// What names a host: an IPv4 address, or the /64 that one IPv6 host can have whole.
fn host(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into()
        }
    }
}

/// One contact that was pinged.
#[derive(Debug)]
struct Asked {
    node: NodeInfo,
    /// `None` until the PING has ended.
    ended: Option<Sighting>,
}

/// Whether others can fetch this node's own copy of a PUT, in which another node has answered.
pub(super) fn is_own_copy_fetchable(cx: &Context) -> bool {
    let is_in_grace =
        cx.reachability.first_contact().is_none_or(|at| cx.now.mono.since(at) < REACH_GRACE);
    cx.is_reached() || is_in_grace
}

/// A contact is known: sooner or later it shows whether this node can be dialled.
pub(super) fn plan_check(cx: &mut Context) {
    if !cx.config.client && !cx.schedule.is_set(Task::Reach) {
        cx.set_after(Task::Reach, FIRST_CHECK);
    }
}

/// Asks contacts to dial back after a while without an incoming connection; evaluates the
/// answers.
pub(super) fn check(cx: &mut Context) -> Option<ReachChange> {
    if cx.leaving.is_some() {
        return None;
    }
    if cx.reachability.is_asking() {
        let change = judge(cx);
        cx.set_after(Task::Reach, CHECK_AGAIN);
        return change;
    }
    let counting = callers_that_count(cx);
    let last = cx.reachability.last_caller(|from| counting.admits(from));
    let since = last.map(|at| cx.now.mono.since(at));
    let after = match since.filter(|since| *since < CHECK_INTERVAL) {
        Some(since) => CHECK_INTERVAL - since,
        None => {
            ask_for_dial_back(cx);
            cx.config.dial_back_patience
        }
    };
    cx.set_after(Task::Reach, after);
    None
}

/// A client connected to the listening port, perhaps only a port scanner or a health check:
/// that of a contact's host shows that the network reaches this node.
pub(super) fn handle_called(cx: &mut Context, from: IpAddr) -> Option<ReachChange> {
    cx.reachability.note_caller(from, cx.now.mono);
    // A set of all contacts' hosts is needed only while there is something to learn.
    let counts = !cx.is_reached() && callers_that_count(cx).admits(from);
    counts.then(|| reached(cx))
}

/// A peer has dialled this node, and authenticated itself.
pub(super) fn handle_dialed_by(cx: &mut Context, from: IpAddr) -> Option<ReachChange> {
    cx.reachability.note_caller(from, cx.now.mono);
    let counts = !cx.is_reached() && !callers_that_count(cx).is_neighbour(from);
    counts.then(|| reached(cx))
}

fn reached(cx: &mut Context) -> ReachChange {
    let was_client = cx.reachability.verdict() == Reach::Unreachable;
    cx.reachability.set_reachable();
    ReachChange::Reachable { was_client }
}

fn ask_for_dial_back(cx: &mut Context) {
    cx.reachability.begin_round(cx.now.mono);
    for node in far_apart(cx, REACH_PEERS) {
        cx.request(node, Body::Ping, Purpose::DialBack);
    }
}

fn judge(cx: &mut Context) -> Option<ReachChange> {
    let before = cx.reachability.verdict();
    let counting = callers_that_count(cx);
    let in_vain = cx.reachability.end_round(DIAL_BACK_PAUSE, |from| counting.admits(from));
    match (before, cx.reachability.verdict(), in_vain) {
        (Reach::Unknown | Reach::Reachable, Reach::Unreachable, Some(asked)) => {
            cx.notice(Notice::Unreachable { asked });
            Some(ReachChange::Unreachable)
        }
        (Reach::Unknown | Reach::Unreachable, Reach::Reachable, _) => {
            Some(ReachChange::Reachable { was_client: before == Reach::Unreachable })
        }
        _ => None,
    }
}

fn callers_that_count(cx: &Context) -> Counting {
    let addresses = cx.table.iter().map(|contact| contact.address());
    let (private, public): (Vec<_>, Vec<_>) = addresses.partition(is_private);
    let hosts = |addresses: Vec<PeerAddress>| addresses.iter().map(|it| host(it.ip())).collect();
    Counting { has_public: !public.is_empty(), private: hosts(private), public: hosts(public) }
}

impl ReachQuestions {
    /// Pings some contacts to hear how they see this node.
    pub(super) fn start(&mut self, cx: &mut Context, id: CommandId) {
        if self.0.len() >= MAX_REACHES {
            cx.limit_reached(Limit::ReachChecks);
            return cx.answer(id, Outcome::Busy);
        }
        let peers = far_apart(cx, REACH_PEERS);
        let asked = peers.iter().map(|node| Asked { node: *node, ended: None }).collect();
        self.0.insert(id, asked);
        for node in peers {
            cx.request(node, Body::Ping, Purpose::Reach(id));
        }
        self.finish(cx, id);
    }

    /// A contact says from where this node seems to come.
    pub(super) fn note_sighting(&mut self, id: CommandId, from: NodeId, seen: Option<PeerAddress>) {
        let Some(asked) = self.0.get_mut(&id) else { return };
        if let Some(asked) = asked.iter_mut().find(|asked| asked.node.id == from) {
            asked.ended = Some(Sighting { node: asked.node, answered: true, seen });
        }
    }

    /// A PING has ended.
    pub(super) fn handle_answer(
        &mut self,
        cx: &mut Context,
        id: CommandId,
        from: NodeId,
        answer: &Answer,
    ) {
        let Some(asked) = self.0.get_mut(&id) else { return };
        let answered = !matches!(answer, Answer::Failed);
        if let Some(asked) = asked.iter_mut().find(|asked| asked.node.id == from) {
            asked.ended.get_or_insert(Sighting { node: asked.node, answered, seen: None });
        }
        self.finish(cx, id);
    }

    fn finish(&mut self, cx: &mut Context, id: CommandId) {
        let Some(asked) = self.0.get(&id) else { return };
        let ended: Option<Vec<_>> = asked.iter().map(|asked| asked.ended).collect();
        if let Some(sightings) = ended {
            self.0.remove(&id);
            cx.answer(id, Outcome::Reach { sightings });
        }
    }
}

/// Some contacts that answer, each at an address of its own as long as there are such.
fn far_apart(cx: &mut Context, count: usize) -> Vec<NodeInfo> {
    if cx.leaving.is_some() {
        // A PING of a node that leaves is a goodbye.
        return Vec::new();
    }
    let responsive = cx.table.iter().filter(|contact| !contact.is_suspect());
    let mut contacts: Vec<_> = responsive.map(|contact| contact.info()).collect();
    contacts.shuffle(&mut cx.random);
    let mut hosts = BTreeSet::new();
    let (mut apart, alike): (Vec<_>, Vec<_>) =
        contacts.into_iter().partition(|node| hosts.insert(node.address.ip()));
    apart.extend(alike);
    apart.truncate(count);
    apart
}
