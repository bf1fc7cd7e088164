//! Split networks: detects that a peer belongs to another network, and merges the two.
//!
//! A configured peer that answers is *compared*. If it names none of this node's contacts, a lookup
//! of this node's own ID that begins at that peer alone must end among the nodes that this node
//! knows to be closest to itself. If it finds none of them, there are two networks. By then the
//! lookup has introduced this node to its closest nodes in the other one; it joins again through
//! both, and the peer is compared again until they are one.
//!
//! The other nodes follow in two ways. A node that meets another for the first time among its k
//! closest asks it for its neighbourhood, and contacts the nodes there that it does not know. In a
//! network that is whole, a newcomer names known nodes, which costs one request; where two networks
//! meet, the introduction spreads from neighbour to neighbour. But neighbourhoods of XOR are
//! subtrees, and have boundaries. So a node that meets many strangers joins again, and asks some
//! nodes of each bucket for *their own* IDs. No other lookup does that, and the receiver asks back:
//! so it learns its neighbours in the other network.

use std::collections::BTreeMap;
use std::time::Duration;

use voiddht_wire::NodeId;
use voiddht_wire::peer::{Body, NodeInfo};

use super::super::Node;
use super::{Looked, Stage};
use crate::event::Destination;
use crate::peer::Peer;
use crate::request::Purpose;
use crate::time::Moment;

/// Comparisons in progress, at most; one more is put off. Each is a lookup.
const MAX_COMPARISONS: usize = 8;
/// A node whose next lookup of its own ID is closer than this finds its neighbours by itself.
const LOOKS_SOON: Duration = Duration::from_secs(10);

/// Of the nodes that a lookup in a bucket found, so many of the closest are asked for their own
/// IDs. With eight, nodes of both of two equal halves are among them in 127 of 128 cases.
const INTRODUCED: usize = 8;
/// Strangers among the closest nodes are many from this part on. In a network that is whole, the
/// neighbourhood is known but for the newcomers of the last moments.
const MANY: usize = 3;
/// How long after a node has joined again because of strangers it does not do so again.
const MERGE_PAUSE: Duration = Duration::from_secs(20);
/// How long a peer that asked for this node's own ID is not asked back again.
const ASK_BACK_PAUSE: Duration = Duration::from_secs(60);
/// Peers that were asked back within that time; with so many, no more are. 40 bytes each.
const MAX_ASKED_BACK: usize = 64;

/// Comparisons of a peer's network with this node's.
#[derive(Debug, Default)]
pub(crate) struct Comparisons {
    /// Whether the join in progress is to introduce nodes to each other.
    introduces: bool,
    merged_at: Option<Moment>,
    asked_back: BTreeMap<NodeId, Moment>,
    next: u32,
    under_way: BTreeMap<u32, Comparison>,
}

#[derive(Debug)]
struct Comparison {
    peer: NodeInfo,
    /// The closest nodes that were known when it began, the peer left out.
    known: Vec<NodeId>,
}

impl Comparisons {
    /// A place for one more; `None` if there is none, or this peer has one.
    fn begin(&mut self, peer: NodeInfo, known: Vec<NodeId>) -> Option<u32> {
        if self.under_way.len() >= MAX_COMPARISONS
            || self.under_way.values().any(|comparison| comparison.peer.id == peer.id)
        {
            return None;
        }
        self.next = self.next.wrapping_add(1);
        self.under_way.insert(self.next, Comparison { peer, known });
        Some(self.next)
    }
}

impl Node {
    /// Finds out whether a peer that has answered, naming these nodes, is part of this node's
    /// network. One that names a contact is; else a lookup decides.
    pub(super) fn compare(&mut self, peer: NodeInfo, named: &[NodeInfo]) {
        let is_contact =
            |node: &&NodeInfo| node.id != peer.id && self.table.get(&node.id).is_some();
        if named.iter().any(|node| is_contact(&node)) {
            return self.found_same(peer);
        }
        let mut known = self.closest(&self.own.id.as_key(), self.config.k + 1);
        known.retain(|node| node.id != peer.id);
        if known.is_empty() {
            return self.found_same(peer);
        }
        let known = known.into_iter().map(|node| node.id).collect();
        if let Some(comparison) = self.joining.comparisons.begin(peer, known) {
            self.start_comparison(comparison, peer);
        }
    }

    /// The lookup of a comparison has ended, having found these nodes.
    pub(in super::super) fn handle_compared(
        &mut self,
        comparison: u32,
        looked: Looked,
        found: &[NodeInfo],
    ) {
        let Some(ended) = self.joining.comparisons.under_way.remove(&comparison) else { return };
        let Comparison { peer, known } = ended;
        let peer_answered = found.iter().any(|node| node.id == peer.id);
        let strangers = found.iter().filter(|node| node.id != peer.id && !known.contains(&node.id));
        let has_many = MANY * strangers.count() > found.len();
        match looked {
            Looked::At(_) if found.iter().any(|node| known.contains(&node.id)) => {
                self.found_same(peer);
                if has_many {
                    self.merge();
                }
            }
            Looked::At(_) if peer_answered || !found.is_empty() => self.found_split(peer),
            // The peer, or the lookup, failed: nothing is known.
            Looked::At(_) | Looked::Nowhere => {}
        }
    }

    fn found_same(&mut self, peer: NodeInfo) {
        let jitter = self.jitter();
        self.joining.peers.is_same(peer.id, peer.address, self.now.mono, jitter);
        self.report_peers();
    }

    fn found_split(&mut self, peer: NodeInfo) {
        let jitter = self.jitter();
        self.joining.peers.is_split(peer.id, peer.address, self.now.mono, jitter);
        self.report_peers();
        self.merge();
    }

    /// Joins once more, through all that is known now, and introduces nodes to each other.
    fn merge(&mut self) {
        let now = self.now.mono;
        let merged_at = self.joining.comparisons.merged_at;
        let is_soon = merged_at.is_some_and(|at| now.since(at) < MERGE_PAUSE);
        if self.leaving.is_none() && self.joining.stage == Stage::Idle && !is_soon {
            self.joining.comparisons.merged_at = Some(now);
            self.joining.comparisons.introduces = true;
            // Others merge as well: look again, soon and often.
            self.restart_find_self();
            self.find_own_place();
        }
    }

    /// The join has ended.
    pub(super) fn end_merge(&mut self) {
        self.joining.comparisons.introduces = false;
    }

    /// A lookup in a bucket has found these nodes, nearest first: some of them may be of two networks.
    pub(super) fn introduce(&mut self, found: &[NodeInfo]) {
        if !self.joining.comparisons.introduces {
            return;
        }
        for node in found.iter().take(INTRODUCED) {
            let target = node.id.as_key();
            self.request((*node).into(), Body::FindNode { target }, Purpose::Neighbour);
        }
    }

    /// A peer asks for this node's own ID: it may know neighbours that this node does not.
    pub(in super::super) fn ask_back(&mut self, peer: &Peer, port: u16) {
        let (now, own) = (self.now.mono, self.own.id.as_key());
        let asked_back = &mut self.joining.comparisons.asked_back;
        asked_back.retain(|_, at| now.since(*at) < ASK_BACK_PAUSE);
        if !peer.is_proved()
            || self.leaving.is_some()
            || asked_back.contains_key(&peer.id())
            || asked_back.len() >= MAX_ASKED_BACK
        {
            return;
        }
        asked_back.insert(peer.id(), now);
        let to = Destination { address: peer.remote().with_port(port), id: Some(peer.id()) };
        self.request(to, Body::FindNode { target: own }, Purpose::Neighbour);
    }

    /// A contact has entered the routing table. If it is new among the closest, it may know others
    /// that this node should know.
    pub(in super::super) fn meet_neighbour(&mut self, contact: NodeInfo) {
        if self.leaving.is_none()
            && self.joining.is_settled(LOOKS_SOON)
            && self.is_neighbour(&contact.id)
        {
            let target = self.own.id.as_key();
            self.request(contact.into(), Body::FindNode { target }, Purpose::Neighbour);
        }
    }

    /// A new neighbour has named its own: those that are not known are called on.
    pub(in super::super) fn meet_neighbours_of(&mut self, named: &[NodeInfo]) {
        let silent = self.silent_among(named);
        let mut strangers = 0;
        for node in named {
            let is_known = self.is_own(&node.id)
                || self.table.get(&node.id).is_some()
                || self.lost.contains(&node.id)
                || silent.contains(&node.id);
            if !is_known && self.is_neighbour(&node.id) && self.table.wants(node) {
                strangers += 1;
                self.check_address(*node, false);
            }
        }
        // Where there are fewer, calling on them is enough.
        if MANY * strangers > named.len() && strangers > self.config.k / 4 {
            self.merge();
        }
    }

    /// Whether a node belongs among the k closest to this one.
    fn is_neighbour(&self, id: &NodeId) -> bool {
        let (k, own) = (self.config.k, self.own.id.as_key());
        let closest = self.closest(&own, k);
        closest.len() < k
            || closest.last().is_none_or(|last| own.distance(id) <= own.distance(&last.id))
    }
}
