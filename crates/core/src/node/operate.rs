//! Running operations: starting them, sending what they ask for, telling them what came back,
//! and answering the command when they end.

mod answers;
mod ending;

use std::time::Duration;

use bytes::Bytes;
use rand::RngExt;
use voiddht_signed::{Envelope, Precedence, Refused};
use voiddht_wire::api::Freshness;
use voiddht_wire::peer::{Body, NodeInfo, Record};
use voiddht_wire::{Key, NodeId};

use super::Node;
use super::join::Looked;
use super::keeper::KeepStep;
use super::serve::Kept;
use crate::density::SizeEstimate;
use crate::event::{CommandId, Notice, Outcome};
use crate::label::{Limit, LookupPurpose, OperationKind, OperationPurpose};
use crate::lookup::{Breadth, Lookup};
use crate::operation::get::{ReadMode, ReadPolicy};
use crate::operation::{
    Answer, Asked, Find, Get, Next, Published, Put, PutFailure, Receipt, publication,
};
use crate::record::end_of;
use crate::report::{Report, Step, StepAnswer};
use crate::request::Purpose;
use crate::time::{Moment, Now};

/// An operation in flight, and its requester.
#[derive(Debug)]
pub(super) struct Operation {
    origin: Origin,
    kind: Kind,
    started: Now,
    /// Whether the report lists every step.
    traced: bool,
    report: Report,
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
enum Kind {
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

    fn lookup(&self) -> &Lookup {
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

impl Node {
    pub(super) fn start_get(&mut self, (origin, since): (Origin, Now), key: Key, mode: ReadMode) {
        let latest = self.latest_version();
        let floor = self.floor(&key, latest);
        // A record from the future has no vote: it may have been taken while the clock was wrong.
        let held = self.held(&key).filter(|held| held.version <= Some(latest));
        let breadth = match mode.freshness {
            // One request, and another once it is overdue.
            Freshness::First => Breadth { alpha: 1, paths: 1, ..self.breadth(self.config.k) },
            Freshness::Latest | Freshness::Thorough => self.breadth(self.config.k),
        };
        let policy = ReadPolicy {
            mode,
            began: self.now.wall,
            quorum: self.config.vote_quorum,
            breadth,
            size: self.size_to_judge_by(),
            salt: self.random.random(),
        };
        let search = self.lookup(key, policy.breadth);
        let published = floor.as_ref().map(|floor| floor.value.clone());
        let known = self.verified_before(&key).chain(published).collect();
        let get = Get::knowing(known, self.own.id, search, policy, floor, held);
        self.start(origin, Kind::Get(Box::new(get)), since);
    }

    pub(super) fn start_put(
        &mut self,
        (origin, since): (Origin, Now),
        key: Key,
        value: Bytes,
        ttl: Option<Duration>,
        replication: Option<u8>,
    ) {
        let ttl =
            ttl.unwrap_or(self.config.default_ttl).clamp(self.config.min_ttl, self.config.max_ttl);
        let replication = match replication {
            None | Some(0) => self.config.replication,
            Some(wanted) => usize::from(wanted),
        };
        let checked = match self.verify(&key, &value) {
            Ok(checked) => checked,
            Err(refused) => return self.refuse_put(origin, refused),
        };
        let class = checked.class();
        let expires = (since.boot + ttl).min(end_of(&checked, self.now));
        let latest = self.latest_version();
        let version = self.published.publish(key, checked, expires, self.now, latest);
        for _ in 0..self.published.take_evicted() {
            self.notice(Notice::LimitReached { limit: Limit::Publications });
        }
        let record = publication(key, value, version, ttl);
        let breadth = self.breadth(self.config.alpha.max(self.config.disjoint_paths));
        let search = self.lookup(key, breadth);
        let size = self.size_to_judge_by();
        let clock = (self.now.wall, latest);
        let put = Put::new((record, class), replication, &self.own.id, search, size, clock);
        self.start(origin, Kind::Put(Box::new(put)), since);
    }

    /// What this node published under a key, or keeps there: the highest-ranking.
    fn floor(&self, key: &Key, latest: u64) -> Option<Published> {
        let published = self.published.get(key, self.now.boot, latest).cloned();
        match (published, self.kept_floor(key)) {
            (Some(one), Some(other)) if other.rank() > one.rank() => Some(other),
            (Some(one), _) => Some(one),
            (None, other) => other,
        }
    }

    /// Publishes a value that this node keeps.
    pub(super) fn start_kept_put(&mut self, origin: Origin, put: Put, since: Now) {
        self.start(origin, Kind::Put(Box::new(put)), since);
    }

    /// Answers a PUT of an envelope that no replica would hold, before it costs them anything.
    fn refuse_put(&mut self, origin: Origin, refused: Refused) {
        let failure = Some(PutFailure::Envelope(refused));
        let receipt = Receipt { stored: 0, outstanding: 0, failure };
        self.end_operation(origin, Outcome::Put { receipt, report: Report::default() });
    }

    /// A lookup of the closest nodes, on all paths.
    pub(super) fn start_find(&mut self, origin: Origin, target: Key, since: Now) {
        let want = match origin {
            // As for a PUT: the few closest name the others, and the copies prove who is there.
            Origin::Own(LookupPurpose::Upkeep | LookupPurpose::Keep) | Origin::Keep(_) => {
                self.narrow()
            }
            Origin::Own(LookupPurpose::Join | LookupPurpose::Refresh) => {
                self.wanted_around(&target)
            }
            Origin::Command(_) | Origin::Conditional(_) | Origin::Comparison(_) => self.config.k,
        };
        let breadth = self.breadth(want);
        let search = self.lookup(target, breadth);
        self.start(origin, Kind::Find(Box::new(Find::new(search))), since);
    }

    /// A lookup of the own ID that begins at one peer alone.
    pub(super) fn start_comparison(&mut self, comparison: u32, peer: NodeInfo) {
        let breadth = self.breadth(self.config.k);
        let search = Lookup::new(self.own.id.as_key(), self.own.id, breadth, &[peer]);
        let kind = Kind::Find(Box::new(Find::new(search)));
        self.start(Origin::Comparison(comparison), kind, self.now);
    }

    /// This node kept the record of a PUT, or could not.
    pub(super) fn kept_for_operation(&mut self, id: u64, kept: bool) {
        if let Some(operation) = self.operations.get_mut(&id)
            && let Kind::Put(put) = &mut operation.kind
        {
            put.handle_kept_locally(kept);
            self.drive(id);
        }
    }

    fn start(&mut self, origin: Origin, kind: Kind, started: Now) {
        if self.operations.len() >= self.config.max_operations {
            self.notice(Notice::LimitReached { limit: Limit::MaxOperations });
            match origin {
                Origin::Command(_) | Origin::Conditional(_) | Origin::Keep(_) => {
                    self.end_operation(origin, Outcome::Busy);
                }
                Origin::Own(purpose) => self.internal_ended(purpose, Looked::Nowhere, &[]),
                Origin::Comparison(comparison) => {
                    self.handle_compared(comparison, Looked::Nowhere, &[]);
                }
            }
            return;
        }
        let id = self.next_operation;
        self.next_operation += 1;
        self.table.mark_looked_up(&kind.lookup().target(), self.now.mono);
        let traced = self.config.trace_steps;
        let report = Report::default();
        self.operations.insert(id, Operation { origin, kind, started, traced, report });
        self.drive(id);
    }

    /// Lets an operation go on until it waits or ends.
    fn drive(&mut self, id: u64) {
        while let Some(operation) = self.operations.get_mut(&id) {
            let age = self.now.boot.since(operation.started.boot);
            match operation.kind.next_step() {
                Next::Ask { node, body, .. }
                    if self.reputation.is_banned(&node.id, self.now.mono) =>
                {
                    operation.kind.handle_answer(&node.id, Asked::of(&body), Answer::Failed);
                }
                Next::Ask { node, path, body: Body::Store(record) } => {
                    let record = aged(record, age);
                    if record.ttl > 0 {
                        self.ask(id, node, path, Body::Store(record));
                    } else {
                        let asked = Asked::Store { version: record.version };
                        operation.kind.handle_answer(&node.id, asked, Answer::Failed);
                    }
                }
                Next::Ask { node, path, body } => self.ask(id, node, path, body),
                Next::KeepLocally(record) => self.keep_for_operation(id, aged(record, age)),
                Next::MoreContacts(count) => self.add_contacts(id, count),
                Next::Wait => return,
                Next::Done => return self.finish(id),
            }
        }
    }

    fn add_contacts(&mut self, id: u64, count: usize) {
        let Some(target) = self.operations.get(&id).map(|one| one.kind.lookup().target()) else {
            return;
        };
        let contacts = self.seeds(&target, count);
        let silent = self.silent_among(&contacts);
        if let Some(operation) = self.operations.get_mut(&id) {
            match &mut operation.kind {
                Kind::Get(get) => get.add_contacts(&contacts),
                Kind::Put(put) => put.add_contacts(&contacts),
                Kind::Find(_) => {}
            }
            silent.iter().for_each(|node| operation.kind.doubt(node));
        }
    }

    fn ask(&mut self, id: u64, node: NodeInfo, path: u8, body: Body) {
        if let Some(operation) = self.operations.get_mut(&id) {
            operation.report.asked += 1;
            if operation.traced {
                let step = Step {
                    node,
                    path,
                    named_by: operation
                        .kind
                        .lookup()
                        .candidate(&node.id)
                        .and_then(|candidate| candidate.named_by),
                    asked_after: self.now.mono.since(operation.started.mono),
                    took: None,
                    answer: StepAnswer::Pending,
                };
                operation.report.steps.push(step);
            }
        }
        self.request(node.into(), body, Purpose::Operation(id));
    }

    fn keep_for_operation(&mut self, id: u64, record: Record) {
        let Some(Operation { kind: Kind::Put(put), .. }) = self.operations.get(&id) else { return };
        let kept = match self.keep_for_put(record, put.class(), id) {
            Kept::Now => true,
            Kept::Refused => false,
            Kept::OnceDurable => return,
        };
        if let Some(Operation { kind: Kind::Put(put), .. }) = self.operations.get_mut(&id) {
            put.handle_kept_locally(kept);
        }
    }

    /// The highest version that is not from the future, by this node's clock.
    pub(super) fn latest_version(&self) -> u64 {
        self.config.records.latest_version(self.now.wall)
    }

    /// What neighbourhoods are judged by, if they are.
    pub(super) fn size_to_judge_by(&self) -> Option<SizeEstimate> {
        self.network_size().filter(|_| self.config.widen_dense)
    }

    /// How many of the closest a lookup finds that is to know some of them: one on each path.
    pub(super) fn narrow(&self) -> usize {
        self.config.alpha.max(self.config.disjoint_paths).min(self.config.k)
    }

    pub(super) fn breadth(&self, want: usize) -> Breadth {
        Breadth {
            want,
            alpha: self.config.alpha,
            paths: self.config.disjoint_paths,
            diversity: self.config.diversity.lookup,
        }
    }

    /// The contacts closest to a point, suspects only where there are too few others.
    fn seeds(&self, target: &Key, count: usize) -> Vec<NodeInfo> {
        let mut seeds = Vec::with_capacity(count);
        self.table.closest_responsive(target, count, &mut seeds);
        if seeds.len() < count {
            seeds.clear();
            self.table.closest(target, count, &mut seeds);
        }
        seeds
    }

    pub(super) fn lookup(&self, target: Key, breadth: Breadth) -> Lookup {
        let seeds = self.seeds(&target, self.config.k);
        let mut lookup = Lookup::new(target, self.own.id, breadth, &seeds);
        self.silent_among(&seeds).iter().for_each(|node| lookup.doubt(node));
        lookup
    }
}

/// A record of a PUT that began so long ago: its TTL is shorter by that, in whole seconds, so that a value
/// that was long on its way to a replica ends there when it ends elsewhere. With a TTL of 0 it is kept
/// nowhere.
fn aged(record: Record, age: Duration) -> Record {
    let age = u16::try_from(age.as_secs()).unwrap_or(u16::MAX);
    Record { ttl: record.ttl.saturating_sub(age), ..record }
}
