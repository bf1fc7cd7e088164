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

use std::time::Duration;

use voiddht_wire::peer::{Body, NodeInfo};

use super::comparisons::Comparison;
use super::{Join, Looked, Stage, Step};
use crate::event::Destination;
use crate::node::contacts::Contacts;
use crate::node::context::Context;
use crate::peer::Peer;
use crate::request::Purpose;

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

impl Join {
    /// Finds out whether a peer that has answered, naming these nodes, is part of this node's
    /// network. One that names a contact is; else a lookup decides.
    pub(super) fn compare(&mut self, cx: &mut Context, peer: NodeInfo, named: &[NodeInfo]) {
        let is_contact = |node: &&NodeInfo| node.id != peer.id && cx.table.get(&node.id).is_some();
        if named.iter().any(|node| is_contact(&node)) {
            return self.found_same(cx, peer);
        }
        let mut known = cx.closest(&cx.own.id.as_key(), cx.config.k + 1);
        known.retain(|node| node.id != peer.id);
        if known.is_empty() {
            return self.found_same(cx, peer);
        }
        let known = known.into_iter().map(|node| node.id).collect();
        if let Some(comparison) = self.comparisons.begin(peer, known) {
            self.steps.push_back(Step::Compare(comparison, peer));
        }
    }

    /// The lookup of a comparison has ended, having found these nodes.
    pub(in super::super) fn compared(
        &mut self,
        cx: &mut Context,
        comparison: u32,
        looked: Looked,
        found: &[NodeInfo],
    ) {
        let Some(ended) = self.comparisons.end(comparison) else { return };
        let Comparison { peer, known } = ended;
        let peer_answered = found.iter().any(|node| node.id == peer.id);
        let strangers = found.iter().filter(|node| node.id != peer.id && !known.contains(&node.id));
        let has_many = MANY * strangers.count() > found.len();
        match looked {
            Looked::At(_) if found.iter().any(|node| known.contains(&node.id)) => {
                self.found_same(cx, peer);
                if has_many {
                    self.merge(cx);
                }
            }
            Looked::At(_) if peer_answered || !found.is_empty() => self.found_split(cx, peer),
            // The peer, or the lookup, failed: nothing is known.
            Looked::At(_) | Looked::Nowhere => {}
        }
    }

    fn found_same(&mut self, cx: &mut Context, peer: NodeInfo) {
        let jitter = cx.jitter();
        self.peers.is_same(peer.id, peer.address, cx.now.mono, jitter);
        self.report_peers(cx);
    }

    fn found_split(&mut self, cx: &mut Context, peer: NodeInfo) {
        let jitter = cx.jitter();
        self.peers.is_split(peer.id, peer.address, cx.now.mono, jitter);
        self.report_peers(cx);
        self.merge(cx);
    }

    /// Joins once more, through all that is known now, and introduces nodes to each other.
    fn merge(&mut self, cx: &mut Context) {
        let now = cx.now.mono;
        let merged_at = self.comparisons.merged_at;
        let is_soon = merged_at.is_some_and(|at| now.since(at) < MERGE_PAUSE);
        if cx.leaving.is_none() && self.stage == Stage::Idle && !is_soon {
            self.comparisons.merged_at = Some(now);
            self.comparisons.introduces = true;
            // Others merge as well: look again, soon and often.
            self.recurring.restart(cx);
            self.find_own_place(cx);
        }
    }

    /// A lookup in a bucket has found these nodes, nearest first: some of them may be of two networks.
    pub(super) fn introduce(&mut self, cx: &mut Context, found: &[NodeInfo]) {
        if !self.comparisons.introduces {
            return;
        }
        for node in found.iter().take(INTRODUCED) {
            let target = node.id.as_key();
            cx.request(*node, Body::FindNode { target }, Purpose::Neighbour);
        }
    }

    /// A peer asks for this node's own ID: it may know neighbours that this node does not.
    pub(in super::super) fn ask_back(&mut self, cx: &mut Context, peer: &Peer, port: u16) {
        let (now, own) = (cx.now.mono, cx.own.id.as_key());
        let asked_back = &mut self.comparisons.asked_back;
        asked_back.retain(|_, at| now.since(*at) < ASK_BACK_PAUSE);
        if !peer.is_proved()
            || cx.leaving.is_some()
            || asked_back.contains_key(&peer.id())
            || asked_back.len() >= MAX_ASKED_BACK
        {
            return;
        }
        asked_back.insert(peer.id(), now);
        let to = Destination { address: peer.remote().with_port(port), id: Some(peer.id()) };
        cx.request(to, Body::FindNode { target: own }, Purpose::Neighbour);
    }

    /// A contact has entered the routing table. If it is new among the closest, it may know others
    /// that this node should know.
    pub(in super::super) fn meet_neighbour(&mut self, cx: &mut Context, contact: NodeInfo) {
        if cx.leaving.is_none() && self.is_settled(LOOKS_SOON) && cx.is_neighbour(&contact.id) {
            let target = cx.own.id.as_key();
            cx.request(contact, Body::FindNode { target }, Purpose::Neighbour);
        }
    }

    /// A new neighbour has named its own: those that are not known are called on.
    pub(in super::super) fn meet_neighbours_of(
        &mut self,
        cx: &mut Context,
        contacts: &mut Contacts,
        named: &[NodeInfo],
    ) {
        let silent = contacts.silent_among(cx, named);
        let mut strangers = 0;
        for node in named {
            let is_known = cx.is_own(&node.id)
                || cx.table.get(&node.id).is_some()
                || self.lost.contains(&node.id)
                || silent.contains(&node.id);
            if !is_known && cx.is_neighbour(&node.id) && cx.table.wants(node) {
                strangers += 1;
                contacts.check_address(cx, *node, false);
            }
        }
        // Where there are fewer, calling on them is enough.
        if MANY * strangers > named.len() && strangers > cx.config.k / 4 {
            self.merge(cx);
        }
    }
}
