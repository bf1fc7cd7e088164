//! Running operations: sending what they ask for, and telling them what came back. How they begin is in
//! `starting`, what follows from their end in `ending`.

use std::collections::BTreeMap;
use std::time::Duration;

use voiddht_signed::{Envelope, Precedence};
use voiddht_wire::peer::{Body, NodeInfo, Record};
use voiddht_wire::{Key, NodeId};

use super::contacts::Contacts;
use super::context::Context;
use super::keeper::KeepStep;
use crate::event::CommandId;
use crate::label::{Limit, LookupPurpose, OperationKind, OperationPurpose};
use crate::lookup::Lookup;
use crate::operation::{Answer, Asked, Find, Get, Next, Put};
use crate::record::order::Class;
use crate::report::{Report, Step, StepAnswer};
use crate::request::{InFlight, Purpose};
use crate::time::{Moment, Now};

/// The operations in progress, by number.
#[derive(Debug, Default)]
pub(super) struct Operations {
    running: BTreeMap<u64, Operation>,
    next: u64,
}

/// An operation in flight, and its requester.
#[derive(Debug)]
pub(super) struct Operation {
    pub(super) origin: Origin,
    pub(super) kind: Kind,
    pub(super) started: Now,
    /// Whether the report lists every step.
    traced: bool,
    pub(super) report: Report,
}

/// What an operation needs of others before it goes on.
#[derive(Debug)]
pub(super) enum Progress {
    /// A record is to be held by this node too: see [`Operations::kept_locally`].
    KeepLocally {
        /// The record, with its remaining TTL.
        record: Record,
        /// Its class, which the PUT has verified.
        class: Class,
    },
    /// It has ended.
    Ended(Operation),
}

/// What can be seen of an operation in progress.
#[derive(Clone, Copy, Debug)]
pub struct OperationView<'a> {
    /// Its kind.
    pub kind: OperationKind,
    /// What it was started for.
    pub purpose: OperationPurpose,
    /// The key, or the point that is searched.
    pub target: Key,
    /// When it started.
    pub started: Moment,
    /// How it goes so far. Its `took` and `hops` are filled in at the end.
    pub report: &'a Report,
}

/// The receiver of an operation's result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// A user.
    Command(CommandId),
    /// A conditional publication of a user.
    Conditional(CommandId),
    /// The node itself.
    Own(LookupPurpose),
    /// The node itself, which republishes kept values.
    Keep(KeepStep),
    /// The node itself, which compares the network of a configured peer with its own.
    Comparison(u32),
}

impl Origin {
    fn purpose(self) -> OperationPurpose {
        match self {
            Self::Command(_) | Self::Conditional(_) => OperationPurpose::Command,
            Self::Own(purpose) => purpose.into(),
            Self::Keep(_) => OperationPurpose::Keep,
            Self::Comparison(_) => LookupPurpose::Join.into(),
        }
    }
}

#[derive(Debug)]
pub(super) enum Kind {
    Get(Box<Get>),
    Put(Box<Put>),
    Find(Box<Find>),
}

impl Kind {
    fn next_step(&mut self) -> Next {
        match self {
            Self::Get(get) => get.next_step(),
            Self::Put(put) => put.next_step(),
            Self::Find(find) => find.next_step(),
        }
    }

    fn handle_answer(&mut self, from: &NodeId, asked: Asked, answer: Answer) {
        match self {
            Self::Get(get) => get.handle_answer(from, answer),
            Self::Put(put) => put.handle_answer(from, asked, answer),
            Self::Find(find) => find.handle_answer(from, answer),
        }
    }

    fn handle_late(&mut self, node: &NodeId, asked: Asked) {
        match self {
            Self::Get(get) => get.handle_late(node),
            Self::Put(put) => put.handle_late(node, asked),
            Self::Find(find) => find.handle_late(node),
        }
    }

    fn doubt(&mut self, node: &NodeId) {
        match self {
            Self::Get(get) => get.doubt(node),
            Self::Put(put) => put.doubt(node),
            Self::Find(find) => find.doubt(node),
        }
    }

    fn label(&self) -> OperationKind {
        match self {
            Self::Get(_) => OperationKind::Get,
            Self::Put(_) => OperationKind::Put,
            Self::Find(_) => OperationKind::Lookup,
        }
    }

    pub(super) fn lookup(&self) -> &Lookup {
        match self {
            Self::Get(get) => get.lookup(),
            Self::Put(put) => put.lookup(),
            Self::Find(find) => find.lookup(),
        }
    }
}

impl Operation {
    pub(super) fn view(&self) -> OperationView<'_> {
        OperationView {
            kind: self.kind.label(),
            purpose: self.origin.purpose(),
            target: self.kind.lookup().target(),
            started: self.started.mono,
            report: &self.report,
        }
    }

    /// Sends a request for it.
    fn ask(&mut self, cx: &mut Context, id: u64, node: NodeInfo, path: u8, body: Body) {
        self.report.asked += 1;
        if self.traced {
            let candidate = self.kind.lookup().candidate(&node.id);
            let step = Step {
                node,
                path,
                named_by: candidate.and_then(|candidate| candidate.named_by),
                asked_after: cx.now.mono.since(self.started.mono),
                took: None,
                answer: StepAnswer::Pending,
            };
            self.report.steps.push(step);
        }
        cx.request(node, body, Purpose::Operation(id));
    }

    fn add_contacts(&mut self, cx: &Context, contacts: &Contacts, count: usize) {
        let nodes = cx.seeds(&self.kind.lookup().target(), count);
        match &mut self.kind {
            Kind::Get(get) => get.add_contacts(&nodes),
            Kind::Put(put) => put.add_contacts(&nodes),
            Kind::Find(_) => {}
        }
        contacts.silent_among(cx, &nodes).iter().for_each(|node| self.kind.doubt(node));
    }

    fn count(&mut self, from: &NodeId, answer: &Answer, now: Moment) {
        let outcome = match answer {
            Answer::Nodes(nodes) => StepAnswer::Nodes(nodes.len() as u8),
            Answer::Value(record) => {
                let precedence = self.traced.then(|| claimed_precedence(record)).flatten();
                StepAnswer::Value { version: record.version, won: false, precedence }
            }
            // No operation sends a PING.
            Answer::Alive | Answer::Stored => StepAnswer::Stored,
            Answer::Delivered => StepAnswer::Delivered,
            Answer::Refused(_) => StepAnswer::Refused,
            Answer::Failed => StepAnswer::Failed,
        };
        match answer {
            Answer::Refused(_) => self.report.refused += 1,
            Answer::Failed => self.report.failed += 1,
            _ => self.report.answered += 1,
        }
        let pending = |step: &&mut Step| step.node.id == *from && step.took.is_none();
        if let Some(step) = self.report.steps.iter_mut().rev().find(pending) {
            step.took = Some(now.since(self.started.mono).saturating_sub(step.asked_after));
            step.answer = outcome;
        }
    }
}

/// Generation and sequence number of what claims to be a signed value of its key.
fn claimed_precedence(record: &Record) -> Option<Precedence> {
    let envelope = Envelope::parse(record.value.clone()).ok()?;
    (envelope.key() == record.key).then(|| envelope.precedence())
}

impl Operations {
    pub(super) fn len(&self) -> usize {
        self.running.len()
    }

    /// The operations in progress, the oldest first.
    pub(super) fn views(&self) -> impl Iterator<Item = OperationView<'_>> {
        self.running.values().map(Operation::view)
    }

    /// Takes in an operation, which goes on with [`Self::advance`]. `None` if there are too many.
    pub(super) fn begin(
        &mut self,
        cx: &mut Context,
        origin: Origin,
        kind: Kind,
        started: Now,
    ) -> Option<u64> {
        if self.running.len() >= cx.config.max_operations {
            cx.limit_reached(Limit::MaxOperations);
            return None;
        }
        let id = self.next;
        self.next += 1;
        cx.table.mark_looked_up(&kind.lookup().target(), cx.now.mono);
        let traced = cx.config.trace_steps;
        let report = Report::default();
        self.running.insert(id, Operation { origin, kind, started, traced, report });
        Some(id)
    }

    /// Lets an operation go on until it waits, which is `None`, ends, or needs something of others.
    pub(super) fn advance(
        &mut self,
        cx: &mut Context,
        contacts: &Contacts,
        id: u64,
    ) -> Option<Progress> {
        let operation = self.running.get_mut(&id)?;
        let age = cx.now.boot.since(operation.started.boot);
        loop {
            match operation.kind.next_step() {
                Next::Ask { node, body, .. } if cx.is_banned(&node.id) => {
                    operation.kind.handle_answer(&node.id, Asked::of(&body), Answer::Failed);
                }
                Next::Ask { node, path, body: Body::Store(record) } => {
                    let record = aged(record, age);
                    if record.ttl > 0 {
                        operation.ask(cx, id, node, path, Body::Store(record));
                    } else {
                        let asked = Asked::Store { version: record.version };
                        operation.kind.handle_answer(&node.id, asked, Answer::Failed);
                    }
                }
                Next::Ask { node, path, body } => operation.ask(cx, id, node, path, body),
                Next::KeepLocally(record) => {
                    if let Kind::Put(put) = &operation.kind {
                        let (record, class) = (aged(record, age), put.class());
                        return Some(Progress::KeepLocally { record, class });
                    }
                }
                Next::Connect(node) => connect(cx, node),
                Next::MoreContacts(count) => operation.add_contacts(cx, contacts, count),
                Next::Wait => return None,
                Next::Done => return self.running.remove(&id).map(Progress::Ended),
            }
        }
    }

    /// This node holds the record of a PUT, or cannot; the PUT may go on.
    pub(super) fn kept_locally(&mut self, id: u64, kept: bool) {
        if let Some(Operation { kind: Kind::Put(put), .. }) = self.running.get_mut(&id) {
            put.handle_kept_locally(kept);
        }
    }

    /// Whether an operation is in progress.
    pub(super) fn is_running(&self, id: u64) -> bool {
        self.running.contains_key(&id)
    }

    /// An answer for an operation, which may go on.
    pub(super) fn handle_answer(
        &mut self,
        cx: &Context,
        contacts: &Contacts,
        id: u64,
        request: &InFlight,
        (from, answer): (NodeId, Answer),
    ) {
        let Some(operation) = self.running.get_mut(&id) else { return };
        let silent = match &answer {
            Answer::Nodes(nodes) => contacts.silent_among(cx, nodes),
            _ => Vec::new(),
        };
        operation.count(&from, &answer, cx.now.mono);
        operation.kind.handle_answer(&from, request.kind.asked(), answer);
        silent.iter().for_each(|node| operation.kind.doubt(node));
    }

    /// A request takes longer than usual: its operation may ask one more node meanwhile. Whether there
    /// is such an operation, which may go on.
    pub(super) fn handle_slow(&mut self, id: u64, node: &NodeId) -> bool {
        let Some(Operation { kind: Kind::Get(get), .. }) = self.running.get_mut(&id) else {
            return false;
        };
        get.handle_slow(node);
        true
    }

    /// A request is overdue. Whether there is such an operation, which may go on.
    pub(super) fn handle_late(&mut self, id: u64, node: &NodeId, asked: Asked) -> bool {
        let Some(operation) = self.running.get_mut(&id) else { return false };
        operation.kind.handle_late(node, asked);
        true
    }
}

/// Has a connection ready for what an operation will ask soon.
fn connect(cx: &mut Context, node: NodeInfo) {
    if !cx.connected.contains(&node.id) && !cx.is_banned(&node.id) {
        cx.request(node, Body::Ping, Purpose::Liveness);
    }
}

/// A record of a PUT that began so long ago: its TTL is shorter by that, in whole seconds, so that a value
/// that was long on its way to a replica ends there when it ends elsewhere. With a TTL of 0 it is kept
/// nowhere.
fn aged(record: Record, age: Duration) -> Record {
    let age = u16::try_from(age.as_secs()).unwrap_or(u16::MAX);
    Record { ttl: record.ttl.saturating_sub(age), ..record }
}
