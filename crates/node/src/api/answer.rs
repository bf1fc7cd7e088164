//! What a program is answered: which bytes an outcome becomes, and which requests begin after it.

use std::sync::Arc;
use std::time::Duration;

use voiddht_core::Node;
use voiddht_core::event::{Command, Outcome, PutIfOutcome};
use voiddht_core::operation::Receipt;
use voiddht_wire::Key;
use voiddht_wire::api::{Acknowledge, Answer, Proof, Request, Told};

use super::lanes::Lanes;
use crate::counters::{Counters, Limit};
use crate::outbox::{Outbox, PushError};

/// A program's request: what the core is to do, and where the answer goes.
#[derive(Debug)]
pub(crate) struct ApiRequest {
    pub(crate) command: Command,
    pub(crate) answer: ApiAnswer,
}

/// What a program wants to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// The value that it gets.
    Value,
    /// What has become of a PUT.
    Put(Acknowledge),
    /// A value, and how it was verified.
    Told,
    /// What has become of a conditional PUT.
    Conditional,
}

impl Wanted {
    pub(super) fn of(request: &Request) -> Self {
        match request {
            Request::Get { .. } => Self::Value,
            Request::Put(put) => Self::Put(put.acknowledge),
            Request::Ask(_) => Self::Told,
            Request::PutIf(_) => Self::Conditional,
        }
    }

    /// Whether the request waits for those of its key before it, and those after it wait for it.
    pub(super) fn demands_order(self) -> bool {
        matches!(self, Self::Told | Self::Conditional)
    }
}

/// Where the answer to a program's request goes.
#[derive(Debug)]
pub(crate) struct ApiAnswer {
    pub(super) counters: Arc<Counters>,
    pub(super) outbox: Arc<Outbox>,
    pub(super) lanes: Arc<Lanes<ApiRequest>>,
    pub(super) key: Key,
    pub(super) wanted: Wanted,
    /// The TTL and the replication that a PUT asked for; `None` is the node's default.
    pub(super) asked: (Option<Duration>, Option<u8>),
}

impl ApiAnswer {
    /// Sends what the core found out. What comes back has waited for that, and begins now.
    pub(crate) fn send(self, outcome: Outcome, core: &Node) -> Vec<ApiRequest> {
        if self.wanted != Wanted::Put(Acknowledge::No) {
            let answer = self.answer(outcome, core);
            // Closed: the program has gone. Every value fits an answer.
            if self.outbox.push(|buffer| answer.encode(buffer)) == Err(PushError::Full) {
                // It does not read its answers, and others need the memory.
                self.counters.limit_reached(Limit::ApiQueuedBytes);
                self.outbox.kill();
            }
        }
        self.outbox.end_request();
        self.lanes.end(&self.key)
    }

    fn answer(&self, outcome: Outcome, core: &Node) -> Answer {
        let key = self.key;
        match (self.wanted, outcome) {
            (Wanted::Told, Outcome::Get { value, proof, report, .. }) => {
                let proof = proof.unwrap_or(Proof::Vote);
                let agreeing = u8::try_from(report.agreeing).unwrap_or(u8::MAX);
                let ttl = report.ttl_left.unwrap_or(0);
                Answer::Told(Told { key, proof, agreeing, ttl, value })
            }
            // Too many operations are in progress: nothing was found.
            (Wanted::Told, _) => {
                Answer::Told(Told { key, proof: Proof::Vote, agreeing: 0, ttl: 0, value: None })
            }
            (_, Outcome::Get { value: Some(value), .. }) => Answer::Success { key, value },
            (_, Outcome::Put { receipt, .. }) => self.answer_put(receipt, core),
            (_, Outcome::PutIf(PutIfOutcome::Put(receipt))) => self.answer_put(receipt, core),
            (_, Outcome::PutIf(PutIfOutcome::Conflict(value))) => Answer::Conflict { key, value },
            _ => Answer::Failure { key },
        }
    }

    fn answer_put(&self, receipt: Receipt, core: &Node) -> Answer {
        let key = self.key;
        let count = |nodes| u8::try_from(nodes).unwrap_or(u8::MAX);
        match (receipt.failure, self.wanted) {
            (None, Wanted::Put(Acknowledge::Receipt)) => {
                let (possible, ttl) = self.terms(core);
                let [high, low] = ttl.to_be_bytes();
                let (stored, outstanding) = (count(receipt.stored), count(receipt.outstanding));
                let value = vec![stored, outstanding, count(possible), high, low];
                Answer::Success { key, value: value.into() }
            }
            (None, _) => Answer::Success { key, value: vec![count(receipt.stored)].into() },
            (Some(why), Wanted::Put(Acknowledge::Receipt)) => {
                Answer::FailureBecause { key, why: why.to_string().into() }
            }
            (Some(_), _) => Answer::Failure { key },
        }
    }
}

impl ApiAnswer {
    /// How many nodes could store the value, and for how many seconds it lives.
    fn terms(&self, core: &Node) -> (usize, u16) {
        let (config, (ttl, replication)) = (core.config(), self.asked);
        let granted = config.granted_ttl(ttl).as_secs();
        let wanted = config.granted_replication(replication);
        (wanted.min(core.table().len()), u16::try_from(granted).unwrap_or(u16::MAX))
    }
}
