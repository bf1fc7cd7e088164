//! What comes back for requests: replies, failures, delays; and the part of the node that each is for.

use voiddht_wire::peer::{Body, Message, NodeInfo};
use voiddht_wire::{NodeId, PeerAddress, RpcId};

use super::Node;
use super::context::Context;
use crate::config::FAIL_AFTER;
use crate::event::{Misbehaviour, RequestOutcome, Undelivered};
use crate::label::Limit;
use crate::operation::Answer;
use crate::peer::Peer;
use crate::request::{InFlight, Kind as Requested, Overdue, Purpose};
use crate::scope;

impl Node {
    /// An answer to a request that an operation or anything else sent.
    pub(super) fn handle_reply(&mut self, peer: Peer, message: Message) {
        if matches!(message.body, Body::Unknown { .. }) {
            // Of a later version; what it is about is unknown.
            return;
        }
        let Some(request) = self.cx.requests.take(&message.header.rpc_id) else {
            if !self.cx.requests.was_given_up(&message.header.rpc_id) {
                self.handle_misbehaved(peer, Misbehaviour::UnawaitedReply);
            }
            return;
        };
        let from_asked = request.to.id.is_none_or(|id| id == peer.id());
        if !from_asked || !request.kind.fits(&message.body) {
            self.handle_misbehaved(peer, Misbehaviour::WrongReply);
            self.end_failed(&request, RequestOutcome::Undelivered);
            return;
        }
        let took = self.cx.now.mono.since(request.sent);
        // An answer that lay waiting while the machine slept says nothing of the peer's pace.
        let pace = took.min(FAIL_AFTER.1);
        self.cx.pace.observe(request.connected, pace);
        // Nor does one that waited for a handshake first.
        let rtt = Some(pace).filter(|_| request.connected);
        if let (Some(took), Some(known)) = (rtt, self.cx.table.rtt(&peer.id()))
            && self.cx.pace.compare(peer.id(), known, took)
        {
            self.cx.requests.hasten(&self.cx.pace);
        }
        if !self.cx.table.answered(&peer.id(), rtt, self.cx.now.mono) && message.header.port != 0 {
            // It answered on a connection that was there already: whether it listens is not known.
            self.contacts.heard_from(&mut self.cx, &peer, message.header.port);
        }
        let refused = matches!(message.body, Body::Error(_));
        let outcome = if refused { RequestOutcome::Refused } else { RequestOutcome::Answered };
        self.cx.request_ended(&request, outcome);
        let answer = match message.body {
            Body::FindNodeReply { nodes } => {
                let nodes = dialable(&mut self.cx, &peer, nodes);
                self.duplicates.look_for(&mut self.cx, &nodes);
                Answer::Nodes(nodes)
            }
            Body::FindValueReply(record) => Answer::Value(record),
            Body::Error(code) => {
                if matches!(request.kind, Requested::Store(..)) {
                    self.clocks.note_rejected(&mut self.cx, &peer, code);
                }
                Answer::Refused(code)
            }
            Body::StoreReply { .. } => {
                self.clocks.note_accepted(&peer);
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
        let at = request.to.address;
        // Legacy peers say nothing of it, and do not dial back.
        if let Some(seen) = observed {
            if peer.is_proved() {
                self.cx.reachability.note_sighting(&at, &seen);
            }
            if request.purpose == Purpose::DialBack {
                self.cx.reachability.note_answer(peer.id(), at);
            }
        }
        if let Purpose::Reach(id) = request.purpose {
            self.reach.note_sighting(id, peer.id(), observed);
        }
    }

    /// A request that takes longer than usual, is overdue, or has failed.
    pub(super) fn handle_overdue(&mut self, overdue: Overdue) {
        match overdue {
            Overdue::Slow(request) => {
                if let (Purpose::Operation(id), Some(node)) = (request.purpose, request.to.id)
                    && self.operations.handle_slow(id, &node)
                {
                    self.drive(id);
                }
            }
            Overdue::Late(request) => self.handle_late(&request),
            Overdue::Failed(request) => {
                self.request_failed(&request);
                self.end_failed(&request, RequestOutcome::TimedOut);
            }
        }
    }

    fn handle_late(&mut self, request: &InFlight) {
        if request.purpose == Purpose::Seed {
            self.join.handle_seed_late(&mut self.cx);
        }
        let Some(node) = request.to.id else { return };
        // That others are quicker says nothing of this one: it is busy with many that join, perhaps.
        if request.measured {
            self.request_failed(request);
        }
        if let Purpose::Operation(id) = request.purpose
            && self.operations.handle_late(id, &node, request.kind.asked())
        {
            self.drive(id);
        }
    }

    pub(super) fn handle_undelivered(&mut self, rpc_id: &RpcId, why: Undelivered) {
        let Some(request) = self.cx.requests.take(rpc_id) else { return };
        if why.blames_peer() {
            self.note_undelivered(&request, why);
        }
        self.duplicates.note_own_identity(&mut self.cx, request.to.address, why);
        self.join.note_seed_problem(&mut self.cx, &request, why.into());
        self.end_failed(&request, RequestOutcome::Undelivered);
    }

    /// A request was handed over, and will have no answer.
    pub(super) fn handle_delivered(&mut self, rpc_id: &RpcId) {
        let Some(request) = self.cx.requests.take(rpc_id) else { return };
        self.cx.request_ended(&request, RequestOutcome::Answered);
        self.deliver(&request, request.to.id.unwrap_or_default(), Answer::Delivered);
    }

    /// A request will have no answer.
    fn end_failed(&mut self, request: &InFlight, outcome: RequestOutcome) {
        self.cx.request_ended(request, outcome);
        // Where the ID was never known, no operation waits under it.
        self.deliver(request, request.to.id.unwrap_or_default(), Answer::Failed);
    }

    /// Hands an answer to the part of the node that has asked.
    fn deliver(&mut self, request: &InFlight, from: NodeId, mut answer: Answer) {
        let cx = &mut self.cx;
        if let Answer::Nodes(nodes) = &mut answer {
            correct_addresses(cx, nodes);
        }
        match request.purpose {
            Purpose::Operation(id) if self.operations.is_running(id) => {
                let answer = (from, answer);
                self.operations.handle_answer(cx, &self.contacts, id, request, answer);
                self.drive(id);
            }
            Purpose::Operation(_) => {
                if let Requested::Store(key, version) = request.kind {
                    self.unreached.handle_late_answer(cx, &from, (key, version), &answer);
                }
            }
            Purpose::Replica => {
                if let Requested::Store(key, version) = request.kind {
                    self.unreached.handle_answer(cx, &from, (key, version), &answer);
                }
            }
            Purpose::Seed => {
                self.join.handle_seed_answer(cx, request, from, &answer);
                self.run_join();
            }
            Purpose::Neighbour => {
                if let Answer::Nodes(nodes) = &answer {
                    self.join.meet_neighbours_of(cx, &mut self.contacts, nodes);
                    self.run_join();
                }
            }
            Purpose::Upkeep(key) => {
                self.upkeep.copy_ended(cx, &self.values.records, key, request.to, &answer);
            }
            Purpose::Reach(id) => self.reach.handle_answer(cx, id, from, &answer),
            Purpose::Liveness
            | Purpose::Repair
            | Purpose::DialBack
            | Purpose::Duplicate
            | Purpose::Farewell => {}
        }
    }
}

/// Nodes that a peer has named: contacts at the addresses at which this node knows them.
fn correct_addresses(cx: &Context, nodes: &mut [NodeInfo]) {
    for node in nodes {
        if let Some(known) = cx.table.get(&node.id).filter(|known| !known.is_suspect()) {
            node.address = known.address();
        }
    }
}

/// Those of the nodes that a peer named which this node may dial.
fn dialable(cx: &mut Context, peer: &Peer, mut nodes: Vec<NodeInfo>) -> Vec<NodeInfo> {
    let named = nodes.len();
    nodes.retain(|node| scope::may_name(&peer.remote(), &node.address));
    if nodes.len() < named {
        cx.limit_reached(Limit::ReferralScope);
    }
    nodes
}
