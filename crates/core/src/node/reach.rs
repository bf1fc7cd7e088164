//! Reachability: whether others can dial this node at its announced address.
//!
//! No message exists for that question, and none is needed. A PING_REPLY contains the address of
//! the requester as seen by the peer: if that is not its own, an address translator is in between.
//! And a node that an authenticated peer pings dials the peer's listening address back, as it does
//! before it admits a peer to its table: see [`Node::dial_back`](super::Node). The driver watches
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
use std::ops::Bound;
use std::time::Duration;

use rand::seq::SliceRandom;
use voiddht_wire::peer::{Body, NodeInfo};
use voiddht_wire::{NodeId, PeerAddress};

use super::schedule::Task;
use super::{DIAL_BACK_PAUSE, Node};
use crate::diversity::is_private;
use crate::event::{CommandId, Notice, Outcome, Sighting};
use crate::label::Limit;
use crate::operation::Answer;
use crate::peer::Peer;
use crate::reachability::Reach;
use crate::request::Purpose;
use crate::time::Moment;

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

/// Answers that are being gathered.
#[derive(Debug, Default)]
pub(super) struct Reaches(BTreeMap<CommandId, Vec<Asked>>);

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

impl Node {
    /// Whether a node of the network has come to this one's listening address.
    pub fn is_reached(&self) -> bool {
        self.reach() == Reach::Reachable
    }

    /// A contact is in the routing table.
    pub(super) fn note_first_contact(&mut self) {
        self.reachability.note_first_contact(self.now.mono);
    }

    /// No contact is left: by which address this node comes back is not known.
    pub(super) fn forget_reached(&mut self) {
        self.reachability.forget();
    }

    /// Whether others can fetch this node's own copy of a PUT, in which another node has answered
    /// or not. A node that knows of no other is a network of its own.
    pub(super) fn is_own_copy_fetchable(&self, heard: bool) -> bool {
        if self.table.is_empty() && !heard {
            return self.is_joined();
        }
        let is_in_grace = self
            .reachability
            .first_contact()
            .is_none_or(|at| self.now.mono.since(at) < REACH_GRACE);
        heard && (self.is_reached() || is_in_grace)
    }

    /// Pings some contacts to hear how they see this node.
    pub(super) fn start_reach(&mut self, id: CommandId) {
        if self.reaches.0.len() >= MAX_REACHES {
            self.notice(Notice::LimitReached { limit: Limit::ReachChecks });
            return self.answer(id, Outcome::Busy);
        }
        let peers = self.far_apart(REACH_PEERS);
        let asked = peers.iter().map(|node| Asked { node: *node, ended: None }).collect();
        self.reaches.0.insert(id, asked);
        for node in peers {
            self.request(node.into(), Body::Ping, Purpose::Reach(id));
        }
        self.finish_reach(id);
    }

    /// Whether peers can dial this node, as far as it knows.
    pub fn reach(&self) -> Reach {
        self.reachability.verdict()
    }

    /// Whether this node holds no replica and announces no port: because it was told so, or because
    /// it cannot be dialled.
    pub fn is_client(&self) -> bool {
        self.config.client || self.reach() == Reach::Unreachable
    }

    /// The public address that contacts agree on.
    pub fn public_address(&self) -> Option<IpAddr> {
        self.reachability.public_address()
    }

    /// This node as it tells a peer of itself; `None` where there is no address of use to it. A
    /// private address is told within private networks only, and elsewhere the public one that
    /// contacts agree on.
    pub(super) fn announced_to(&self, peer: &Peer) -> Option<NodeInfo> {
        if self.is_client() || self.leaving.is_some() {
            return None;
        }
        let NodeInfo { address, id } = self.own;
        let is_public = !is_private(&address) && !address.ip().is_unspecified();
        let told = if is_public || is_private(&peer.remote()) {
            address
        } else {
            PeerAddress::new(self.public_address()?, address.port())
        };
        told.is_dialable().then_some(NodeInfo { address: told, id })
    }

    /// A contact is known: sooner or later it shows whether this node can be dialled.
    pub(super) fn plan_reach_check(&mut self) {
        if !self.config.client && !self.schedule.is_set(Task::Reach) {
            self.schedule.set(Task::Reach, self.now.mono + FIRST_CHECK);
        }
    }

    /// Asks contacts to dial back after a while without an incoming connection; evaluates the
    /// answers.
    pub(super) fn run_reach_check(&mut self) {
        if self.leaving.is_some() {
            return;
        }
        let after = if self.reachability.is_asking() {
            self.judge_reach();
            CHECK_AGAIN
        } else {
            let since = self.last_counted_caller().map(|at| self.now.mono.since(at));
            match since.filter(|since| *since < CHECK_INTERVAL) {
                Some(since) => CHECK_INTERVAL - since,
                None => {
                    self.ask_for_dial_back();
                    self.config.dial_back_patience
                }
            }
        };
        self.schedule.set(Task::Reach, self.now.mono + after);
    }

    /// A client connected to the listening port, perhaps only a port scanner or a health check:
    /// that of a contact's host shows that the network reaches this node.
    pub(super) fn handle_called(&mut self, from: IpAddr) {
        self.reachability.note_caller(from, self.now.mono);
        // A set of all contacts' hosts is needed only while there is something to learn.
        if !self.is_reached() && self.callers_that_count().admits(from) {
            self.reached();
        }
    }

    /// A peer has dialled this node, and authenticated itself.
    pub(super) fn handle_dialed_by(&mut self, from: IpAddr) {
        self.reachability.note_caller(from, self.now.mono);
        if !self.is_reached() && !self.callers_that_count().is_neighbour(from) {
            self.reached();
        }
    }

    fn reached(&mut self) {
        let before = self.reach();
        if before != Reach::Reachable {
            self.reachability.set_reachable();
            self.now_reachable(before);
        }
    }

    /// A PING has been answered: what the contact said of this node.
    pub(super) fn note_seen(&mut self, peer: &Peer, at: PeerAddress, seen: Option<PeerAddress>) {
        if let Some(seen) = seen
            && peer.is_proved()
        {
            self.reachability.note_sighting(&at, &seen);
        }
    }

    /// A contact that is to dial back has answered. Legacy peers do not dial back: their answer says
    /// nothing of where the PING came from.
    pub(super) fn note_asked_for_dial_back(
        &mut self,
        contact: NodeId,
        at: PeerAddress,
        seen: Option<PeerAddress>,
    ) {
        if seen.is_some() {
            self.reachability.note_answer(contact, at);
        }
    }

    fn ask_for_dial_back(&mut self) {
        self.reachability.begin_round(self.now.mono);
        for node in self.far_apart(REACH_PEERS) {
            self.request(node.into(), Body::Ping, Purpose::DialBack);
        }
    }

    fn judge_reach(&mut self) {
        let before = self.reach();
        let counting = self.callers_that_count();
        let in_vain = self.reachability.end_round(DIAL_BACK_PAUSE, |from| counting.admits(from));
        match (before, self.reach(), in_vain) {
            (Reach::Unknown | Reach::Reachable, Reach::Unreachable, Some(asked)) => {
                self.now_unreachable(asked);
            }
            (Reach::Unknown | Reach::Unreachable, Reach::Reachable, _) => {
                self.now_reachable(before)
            }
            _ => {}
        }
    }

    /// The node cannot be dialled. Contacts that still have it in their tables are told, and its
    /// records go to those that can be.
    fn now_unreachable(&mut self, asked: usize) {
        self.notice(Notice::Unreachable { asked });
        let contacts = self.table.iter().map(|contact| contact.info());
        let connected: Vec<NodeInfo> =
            contacts.filter(|contact| self.connected.contains(&contact.id)).collect();
        for contact in connected {
            self.request(contact.into(), Body::Ping, Purpose::Farewell);
        }
        self.hand_over_from(Bound::Unbounded);
    }

    /// The node can be dialled. If it could not before, its neighbours are to know it.
    fn now_reachable(&mut self, before: Reach) {
        self.notice(Notice::Reachable);
        if before == Reach::Unreachable && !self.table.is_empty() {
            self.restart_find_self();
        }
    }

    fn last_counted_caller(&self) -> Option<Moment> {
        let counting = self.callers_that_count();
        self.reachability.last_caller(|from| counting.admits(from))
    }

    fn callers_that_count(&self) -> Counting {
        let addresses = self.table.iter().map(|contact| contact.address());
        let (private, public): (Vec<_>, Vec<_>) = addresses.partition(is_private);
        let hosts =
            |addresses: Vec<PeerAddress>| addresses.iter().map(|it| host(it.ip())).collect();
        Counting { has_public: !public.is_empty(), private: hosts(private), public: hosts(public) }
    }

    /// A contact says from where this node seems to come.
    pub(super) fn note_sighting(&mut self, id: CommandId, from: NodeId, seen: Option<PeerAddress>) {
        let Some(asked) = self.reaches.0.get_mut(&id) else { return };
        if let Some(asked) = asked.iter_mut().find(|asked| asked.node.id == from) {
            asked.ended = Some(Sighting { node: asked.node, answered: true, seen });
        }
    }

    /// A PING has ended.
    pub(super) fn handle_reach_answer(&mut self, id: CommandId, from: NodeId, answer: &Answer) {
        let Some(asked) = self.reaches.0.get_mut(&id) else { return };
        let answered = !matches!(answer, Answer::Failed);
        if let Some(asked) = asked.iter_mut().find(|asked| asked.node.id == from) {
            asked.ended.get_or_insert(Sighting { node: asked.node, answered, seen: None });
        }
        self.finish_reach(id);
    }

    fn finish_reach(&mut self, id: CommandId) {
        let Some(asked) = self.reaches.0.get(&id) else { return };
        let ended: Option<Vec<_>> = asked.iter().map(|asked| asked.ended).collect();
        if let Some(sightings) = ended {
            self.reaches.0.remove(&id);
            self.answer(id, Outcome::Reach { sightings });
        }
    }

    /// Some contacts that answer, each at an address of its own as long as there are such.
    fn far_apart(&mut self, count: usize) -> Vec<NodeInfo> {
        if self.leaving.is_some() {
            // A PING of a node that leaves is a goodbye.
            return Vec::new();
        }
        let responsive = self.table.iter().filter(|contact| !contact.is_suspect());
        let mut contacts: Vec<_> = responsive.map(|contact| contact.info()).collect();
        contacts.shuffle(&mut self.random);
        let mut hosts = BTreeSet::new();
        let (mut apart, alike): (Vec<_>, Vec<_>) =
            contacts.into_iter().partition(|node| hosts.insert(node.address.ip()));
        apart.extend(alike);
        apart.truncate(count);
        apart
    }
}
