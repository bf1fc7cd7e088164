//! Whether others can reach this node where it says that it listens.
//!
//! No message exists for that question, and none is needed. A PING_REPLY says from where the
//! requester seems to come: another address than its own means that something between the two
//! translates addresses. And a node that is pinged by a proved peer dials the listening address
//! of that peer back, as it does before it takes a peer into its table: see
//! [`Node::dial_back`](super::Node). Whoever wants to know whether it can be reached pings a few
//! contacts and watches its own port; the driver does the watching.
//!
//! Whether this node's own copy of a PUT counts is decided here too: others must be able to fetch
//! it. Every peer that this node meets looks whether it listens, so that a node that none has
//! reached some seconds after it joined cannot be reached.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::seq::SliceRandom;
use voiddht_wire::peer::{Body, NodeInfo};
use voiddht_wire::{NodeId, PeerAddress};

use super::Node;
use crate::event::{CommandId, Notice, Outcome, Sighting};
use crate::label::Limit;
use crate::operation::Answer;
use crate::request::Purpose;
use crate::time::Moment;

/// Contacts that are pinged for one answer: a few may be new, busy or behind the same wall.
pub const REACH_PEERS: usize = 8;
/// Answers under way at once. A person asks for one.
const MAX_REACHES: usize = 4;
/// How long after its first contact a node is taken to be reachable although no other node has come
/// to its address yet: what a dial takes at most.
const REACH_GRACE: Duration = Duration::from_secs(10);

/// Answers that are being gathered.
#[derive(Debug, Default)]
pub(super) struct Reaches(BTreeMap<CommandId, Vec<Asked>>);

/// What is known of whether others can reach this node.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reachability {
    is_reached: bool,
    first_contact: Option<Moment>,
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
        self.reachability.is_reached
    }

    /// A node of the network has come to this one's listening address.
    pub(super) fn note_reached(&mut self) {
        self.reachability.is_reached = true;
    }

    /// A contact is in the routing table.
    pub(super) fn note_first_contact(&mut self) {
        self.reachability.first_contact.get_or_insert(self.now.mono);
    }

    /// No contact is left: by which address this node comes back is not known.
    pub(super) fn forget_reached(&mut self) {
        self.reachability = Reachability::default();
    }

    /// Whether others can fetch this node's own copy of a PUT, in which another node has answered
    /// or not. A node that knows of no other is a network of its own.
    pub(super) fn is_own_copy_fetchable(&self, heard: bool) -> bool {
        if self.table.is_empty() && !heard {
            return self.is_joined();
        }
        let Reachability { is_reached, first_contact } = self.reachability;
        let is_in_grace = first_contact.is_none_or(|at| self.now.mono.since(at) < REACH_GRACE);
        heard && (is_reached || is_in_grace)
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
        let mut hosts = std::collections::BTreeSet::new();
        let (mut apart, alike): (Vec<_>, Vec<_>) =
            contacts.into_iter().partition(|node| hosts.insert(node.address.ip()));
        apart.extend(alike);
        apart.truncate(count);
        apart
    }
}
