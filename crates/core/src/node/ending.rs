//! Operations that have ended: their outcome, what the node learns from it, and which part of the node
//! made them.

use voiddht_wire::Key;
use voiddht_wire::peer::{Body, NodeInfo};

use super::Node;
use super::context::Context;
use super::join::Looked;
use super::operate::{Kind, Operation, Origin};
use super::reach;
use crate::event::{Misbehaviour, Notice, Outcome};
use crate::label::{Limit, LookupPurpose};
use crate::lookup::Lookup;
use crate::operation::{Found, Get, Put, PutFailure};
use crate::report::{Report, StepAnswer};
use crate::request::Purpose;
use crate::time::Now;

impl Node {
    pub(super) fn finish(&mut self, operation: Operation) {
        let Operation { origin, kind, started, mut report, .. } = operation;
        report.took = self.cx.now.mono.since(started.mono);
        report.hops = kind.lookup().hops();
        if kind.lookup().is_exhausted() {
            self.cx.limit_reached(Limit::LookupRequests);
        }
        if matches!(origin, Origin::Own(LookupPurpose::Join | LookupPurpose::Refresh)) {
            observe_density(&mut self.cx, kind.lookup());
        }
        let target = kind.lookup().target();
        let outcome = match kind {
            Kind::Get(get) => self.finish_get(&get, report),
            Kind::Put(put) => self.finish_put(&put, started, report),
            Kind::Find(find) if origin == Origin::Own(LookupPurpose::Upkeep) => {
                Outcome::Lookup { nodes: find.heard_of(2 * self.cx.config.k), report }
            }
            Kind::Find(find) if matches!(origin, Origin::Keep(_)) => {
                Outcome::Lookup { nodes: find.heard_of(3 * self.cx.config.k), report }
            }
            Kind::Find(find) => Outcome::Lookup { nodes: find.found(self.cx.config.k), report },
        };
        match (origin, outcome) {
            (Origin::Own(purpose), Outcome::Lookup { nodes, report }) => {
                self.lookup_ended(purpose, target, &nodes, report);
                self.own_lookup_ended(purpose, Looked::At(target), &nodes);
            }
            (Origin::Comparison(comparison), Outcome::Lookup { nodes, report }) => {
                self.lookup_ended(LookupPurpose::Join, target, &nodes, report);
                self.comparison_ended(comparison, Looked::At(target), &nodes);
            }
            (Origin::Keep(step), Outcome::Lookup { nodes, report }) => {
                self.lookup_ended(LookupPurpose::Keep, target, &nodes, report);
                let report = Report::default();
                self.keeper.step_ended(&mut self.cx, step, Outcome::Lookup { nodes, report });
            }
            (origin, outcome) => self.end_operation(origin, outcome),
        }
    }

    fn finish_put(&mut self, put: &Put, started: Now, report: Report) -> Outcome {
        let receipt = put.receipt(self.is_own_copy_fetchable(put.has_heard()));
        self.values.published.raise(put.record());
        self.keeper.note_version(put.record());
        if let Some(PutFailure::Superseded { .. } | PutFailure::VersionRefused { .. }) =
            receipt.failure
        {
            self.values.published.withdraw(put.record());
        }
        self.unreached.put_ended(&mut self.cx, (put.record(), started), put.missed());
        Outcome::Put { receipt, report }
    }

    /// Sends what was published last to replicas that PUTs have missed.
    pub(super) fn run_unreached(&mut self) {
        let (values, keeper) = (&self.values, &self.keeper);
        let published = |cx: &Context, key: &Key| values.floor(cx, key, keeper.floor(cx, key));
        self.unreached.run(&mut self.cx, published);
    }

    /// Whether others can fetch this node's own copy of a PUT, in which another node has answered
    /// or not. A node that knows of no other is a network of its own.
    fn is_own_copy_fetchable(&self, heard: bool) -> bool {
        if self.cx.table.is_empty() && !heard {
            return self.is_joined();
        }
        heard && reach::is_own_copy_fetchable(&self.cx)
    }

    fn lookup_ended(
        &mut self,
        purpose: LookupPurpose,
        target: Key,
        nodes: &[NodeInfo],
        report: Report,
    ) {
        let found = nodes.len();
        self.cx.notice(Notice::LookupEnded { purpose, target, found, report });
    }

    fn finish_get(&mut self, get: &Get, mut report: Report) -> Outcome {
        let mut found = get.found();
        let held = self.values.records.get(&get.lookup().target(), self.cx.now.boot);
        if found.value.is_none()
            && let Some(held) = held.filter(|held| get.may_count(&held.value))
        {
            // It had no vote, and there was no other.
            let (value, version) = (Some(held.value.clone()), Some(held.version));
            found = Found { value, version, ..found };
        }
        if let Some((record, nodes)) = get.repair() {
            for node in nodes {
                self.cx.request(node, Body::Store(record.clone()), Purpose::Repair);
            }
        }
        report.agreeing = found.agreeing as u32;
        report.dissenting = found.dissenting as u32;
        report.ttl_left = get.ttl_left(&found);
        let agreeing = get.agreeing(&found);
        for step in &mut report.steps {
            if let StepAnswer::Value { won, .. } = &mut step.answer {
                *won = agreeing.contains(&step.node.id);
            }
        }
        for liar in get.liars() {
            self.blame(liar, Misbehaviour::DeniedValue);
        }
        if let Some(value) = &found.value {
            self.values.verified.note(get.lookup().target(), value);
        }
        let proof = found.value.as_ref().map(|value| value.class().proof());
        let (value, version) = (found.bytes().cloned(), found.version);
        Outcome::Get { value, version, proof, report }
    }

    /// Reports how an operation of a user ended.
    pub(super) fn end_operation(&mut self, origin: Origin, outcome: Outcome) {
        match origin {
            Origin::Command(id) => self.cx.answer(id, outcome),
            Origin::Conditional(id) => self.continue_put_if(id, outcome),
            Origin::Keep(step) => self.keeper.step_ended(&mut self.cx, step, outcome),
            // The node starts no other GET and PUT of its own.
            Origin::Own(_) | Origin::Comparison(_) => {}
        }
    }
}

/// Learns the size of the network from a lookup of a point that no other party has chosen.
fn observe_density(cx: &mut Context, lookup: &Lookup) {
    let target = lookup.target();
    // Of nodes beyond those that were wanted some may have been passed over.
    let closest = lookup.closest_answered(lookup.wanted().min(cx.config.k));
    let distances: Vec<_> = closest.map(|node| target.distance(&node.id)).collect();
    if target == cx.own.id.as_key() {
        cx.size.observe_own(&distances);
    } else {
        cx.size.observe(&distances);
    }
}
