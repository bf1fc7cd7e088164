//! What comes back for requests: replies, failures, delays; and the part of the node that each is for.

use voiddht_wire::peer::{Body, Message, NodeInfo};
use voiddht_wire::{NodeId, PeerAddress};

use super::{Kind, Operation};
use crate::config::FAIL_AFTER;
use crate::event::{Misbehaviour, Notice, RequestOutcome};
use crate::label::Limit;
use crate::node::Node;
use crate::operation::Answer;
use crate::peer::Peer;
use crate::request::{InFlight, Kind as Requested, Purpose};
use crate::scope;

impl Node {
    /// An answer to a request that an operation or anything else sent.
    pub(in super::super) fn handle_reply(&mut self, peer: Peer, message: Message) {
        if matches!(message.body, Body::Unknown { .. }) {
            // Of a later version; what it is about is unknown.
            return;
        }
        let Some(request) = self.requests.take(&message.header.rpc_id) else {
            if !self.requests.was_given_up(&message.header.rpc_id) {
                self.handle_misbehaved(peer, Misbehaviour::UnawaitedReply);
            }
            return;
        };
        let from_asked = request.to.id.is_none_or(|id| id == peer.id());
        if !from_asked || !request.kind.fits(&message.body) {
            self.handle_misbehaved(peer, Misbehaviour::WrongReply);
            self.end_failed(request, RequestOutcome::Undelivered);
            return;
        }
        let took = self.now.mono.since(request.sent);
        // An answer that lay waiting while the machine slept says nothing of the peer's pace.
        let pace = took.min(FAIL_AFTER.1);
        self.pace.observe(request.connected, pace);
        // Nor does one that waited for a handshake first.
        let rtt = Some(pace).filter(|_| request.connected);
        if !self.table.answered(&peer.id(), rtt, self.now.mono) && message.header.port != 0 {
            // It answered on a connection that was there already: whether it listens is not known.
            self.heard_from(&peer, message.header.port);
        }
        let refused = matches!(message.body, Body::Error(_));
        let outcome = if refused { RequestOutcome::Refused } else { RequestOutcome::Answered };
        self.request_ended(&request, outcome);
        let answer = match message.body {
            Body::FindNodeReply { nodes } => {
                let nodes = self.dialable(&peer, nodes);
                self.look_for_duplicate(&nodes);
                Answer::Nodes(nodes)
            }
            Body::FindValueReply(record) => Answer::Value(record),
            Body::Error(code) => {
                if matches!(request.kind, Requested::Store(..)) {
                    self.note_rejected(&peer, code);
                }
                Answer::Refused(code)
            }
            Body::StoreReply { .. } => {
                self.note_accepted(&peer);
                Answer::Stored
            }
            Body::PingReply { observed } => {
                self.note_ping_reply(&request, &peer, observed);
                Answer::Alive
            }
            // Neither fits a request: the check above has refused them.
            Body::Ping
            | Body::Store(_)
            | Body::FindNode { .. }
            | Body::FindValue { .. }
            | Body::Unknown { .. } => Answer::Failed,
        };
        self.deliver(&request, peer.id(), answer);
    }

    /// Passes on at which address a peer sees this node.
    fn note_ping_reply(&mut self, request: &InFlight, peer: &Peer, observed: Option<PeerAddress>) {
        self.note_seen(peer, request.to.address, observed);
        match request.purpose {
            Purpose::DialBack => {
                self.note_asked_for_dial_back(peer.id(), request.to.address, observed);
            }
            Purpose::Reach(id) => self.note_sighting(id, peer.id(), observed),
            _ => {}
        }
    }

    /// Those of the nodes that a peer named which this node may dial.
    fn dialable(&mut self, peer: &Peer, mut nodes: Vec<NodeInfo>) -> Vec<NodeInfo> {
        let named = nodes.len();
        nodes.retain(|node| scope::may_name(&peer.remote(), &node.address));
        if nodes.len() < named {
            self.notice(Notice::LimitReached { limit: Limit::ReferralScope });
        }
        nodes
    }

    /// A request will have no answer.
    pub(in super::super) fn end_failed(&mut self, request: InFlight, outcome: RequestOutcome) {
        self.request_ended(&request, outcome);
        // Where the ID was never known, no operation waits under it.
        self.deliver(&request, request.to.id.unwrap_or_default(), Answer::Failed);
    }

    /// A request was handed over, and will have no answer.
    pub(in super::super) fn end_delivered(&mut self, request: &InFlight) {
        self.request_ended(request, RequestOutcome::Answered);
        self.deliver(request, request.to.id.unwrap_or_default(), Answer::Delivered);
    }

    /// A request takes longer than usual: its operation may ask one more node meanwhile.
    pub(in super::super) fn handle_slow(&mut self, request: &InFlight) {
        if let (Purpose::Operation(id), Some(node)) = (request.purpose, request.to.id)
            && let Some(Operation { kind: Kind::Get(get), .. }) = self.operations.get_mut(&id)
        {
            get.handle_slow(&node);
            self.drive(id);
        }
    }

    pub(in super::super) fn handle_late(&mut self, request: InFlight) {
        if request.purpose == Purpose::Seed {
            self.handle_seed_late();
        }
        let Some(node) = request.to.id else { return };
        // That others are quicker says nothing of this one: it is busy with many that join, perhaps.
        if request.measured {
            self.request_failed(&request);
        }
        if let Purpose::Operation(id) = request.purpose
            && let Some(operation) = self.operations.get_mut(&id)
        {
            operation.kind.handle_late(&node, request.kind.asked());
            self.drive(id);
        }
    }

    fn deliver(&mut self, request: &InFlight, from: NodeId, mut answer: Answer) {
        if let Answer::Nodes(nodes) = &mut answer {
            self.correct_addresses(nodes);
        }
        match request.purpose {
            Purpose::Operation(id) => {
                let silent = match &answer {
                    Answer::Nodes(nodes) => self.silent_among(nodes),
                    _ => Vec::new(),
                };
                if let Some(operation) = self.operations.get_mut(&id) {
                    operation.count(&from, &answer, self.now.mono);
                    operation.kind.handle_answer(&from, request.kind.asked(), answer);
                    silent.iter().for_each(|node| operation.kind.doubt(node));
                    self.drive(id);
                }
            }
            Purpose::Seed => self.handle_seed_answer(request, from, &answer),
            Purpose::Neighbour => {
                if let Answer::Nodes(nodes) = &answer {
                    self.meet_neighbours_of(nodes);
                }
            }
            Purpose::Upkeep(key) => self.handle_copied(key, request.to, &answer),
            Purpose::Reach(id) => self.handle_reach_answer(id, from, &answer),
            Purpose::Liveness
            | Purpose::Repair
            | Purpose::DialBack
            | Purpose::Duplicate
            | Purpose::Farewell => {}
        }
    }
}
