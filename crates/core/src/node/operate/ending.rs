//! Operations that have ended: their outcome, what the node learns from it, and which part of the node
//! made them.

use voiddht_wire::Key;
use voiddht_wire::peer::{Body, NodeInfo};

use super::{Kind, Operation, Origin};
use crate::event::{Misbehaviour, Notice, Outcome};
use crate::label::{Limit, LookupPurpose};
use crate::lookup::Lookup;
use crate::node::Node;
use crate::node::join::Looked;
use crate::operation::{Found, Get, Put, PutFailure};
use crate::report::{Report, StepAnswer};
use crate::request::Purpose;

impl Node {
    pub(super) fn finish(&mut self, id: u64) {
        let Some(operation) = self.operations.remove(&id) else { return };
        let Operation { origin, kind, started, mut report, .. } = operation;
        report.took = self.now.mono.since(started.mono);
        report.hops = kind.lookup().hops();
        if kind.lookup().is_exhausted() {
            self.notice(Notice::LimitReached { limit: Limit::LookupRequests });
        }
        if matches!(origin, Origin::Own(LookupPurpose::Join | LookupPurpose::Refresh)) {
            self.observe_density(kind.lookup());
        }
        let target = kind.lookup().target();
        let outcome = match kind {
            Kind::Get(get) => self.finish_get(&get, report),
            Kind::Put(put) => self.finish_put(&put, report),
            Kind::Find(find) if origin == Origin::Own(LookupPurpose::Upkeep) => {
                Outcome::Lookup { nodes: find.heard_of(2 * self.config.k), report }
            }
            Kind::Find(find) if matches!(origin, Origin::Keep(_)) => {
                Outcome::Lookup { nodes: find.heard_of(3 * self.config.k), report }
            }
            Kind::Find(find) => Outcome::Lookup { nodes: find.found(self.config.k), report },
        };
        match (origin, outcome) {
            (Origin::Own(purpose), Outcome::Lookup { nodes, report }) => {
                self.lookup_ended(purpose, target, &nodes, report);
                self.internal_ended(purpose, Looked::At(target), &nodes);
            }
            (Origin::Comparison(comparison), Outcome::Lookup { nodes, report }) => {
                self.lookup_ended(LookupPurpose::Join, target, &nodes, report);
                self.handle_compared(comparison, Looked::At(target), &nodes);
            }
            (Origin::Keep(step), Outcome::Lookup { nodes, report }) => {
                self.lookup_ended(LookupPurpose::Keep, target, &nodes, report);
                let report = Report::default();
                self.keep_step_ended(step, Outcome::Lookup { nodes, report });
            }
            (origin, outcome) => self.end_operation(origin, outcome),
        }
    }

    fn finish_put(&mut self, put: &Put, report: Report) -> Outcome {
        let receipt = put.receipt(self.is_own_copy_fetchable(put.has_heard()));
        self.published.raise(put.record());
        self.note_kept_version(put.record());
        if let Some(PutFailure::Superseded { .. } | PutFailure::VersionRefused { .. }) =
            receipt.failure
        {
            self.published.withdraw(put.record());
        }
        Outcome::Put { receipt, report }
    }

    fn lookup_ended(
        &mut self,
        purpose: LookupPurpose,
        target: Key,
        nodes: &[NodeInfo],
        report: Report,
    ) {
        let found = nodes.len();
        self.notice(Notice::LookupEnded { purpose, target, found, report });
    }

    fn finish_get(&mut self, get: &Get, mut report: Report) -> Outcome {
        let mut found = get.found();
        let held = self.records.get(&get.lookup().target(), self.now.boot);
        if found.value.is_none()
            && let Some(held) = held.filter(|held| get.may_count(&held.verified()))
        {
            // It had no vote, and there was no other.
            let (value, version) = (Some(held.verified()), Some(held.version));
            found = Found { value, version, ..found };
        }
        if let Some((record, nodes)) = get.repair() {
            for node in nodes {
                self.request(node.into(), Body::Store(record.clone()), Purpose::Repair);
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
            self.verified.note(get.lookup().target(), value);
        }
        let proof = found.value.as_ref().map(|value| value.class().proof());
        let (value, version) = (found.bytes().cloned(), found.version);
        Outcome::Get { value, version, proof, report }
    }

    /// Learns the size of the network from a lookup of a point that no other party has chosen.
    fn observe_density(&mut self, lookup: &Lookup) {
        let target = lookup.target();
        // Of nodes beyond those that were wanted some may have been passed over.
        let closest = lookup.closest_answered(lookup.wanted().min(self.config.k));
        let distances: Vec<_> = closest.map(|node| target.distance(&node.id)).collect();
        if target == self.own.id.as_key() {
            self.size.observe_own(&distances);
        } else {
            self.size.observe(&distances);
        }
    }

    pub(super) fn internal_ended(
        &mut self,
        purpose: LookupPurpose,
        looked: Looked,
        nodes: &[NodeInfo],
    ) {
        match purpose {
            LookupPurpose::Join => self.handle_join_lookup_ended(looked, nodes),
            LookupPurpose::Upkeep => self.handle_upkeep_lookup_ended(nodes),
            LookupPurpose::Refresh | LookupPurpose::Keep => {}
        }
    }

    /// Reports how an operation of a user ended.
    pub(super) fn end_operation(&mut self, origin: Origin, outcome: Outcome) {
        match origin {
            Origin::Command(id) => self.answer(id, outcome),
            Origin::Conditional(id) => self.continue_put_if(id, outcome),
            Origin::Keep(step) => self.keep_step_ended(step, outcome),
            // The node starts no other GET and PUT of its own.
            Origin::Own(_) | Origin::Comparison(_) => {}
        }
    }
}
