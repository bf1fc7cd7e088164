//! How operations begin: GET, PUT and lookups, for users, for the node itself and for kept values.

use rand::RngExt;
use voiddht_signed::Refused;
use voiddht_wire::api::Freshness;
use voiddht_wire::peer::NodeInfo;
use voiddht_wire::{ConditionalPut, Key, Publication};

use super::Node;
use super::conditional::{self, PutIfStep};
use super::join::Looked;
use super::keeper::{KeepOperation, KeepStart};
use super::operate::{Kind, Origin, Progress};
use super::serve::Kept;
use super::values::held;
use crate::event::{Command, CommandId, Outcome};
use crate::kept::KeepRequest;
use crate::label::{Limit, LookupPurpose};
use crate::lookup::{Breadth, Lookup};
use crate::operation::get::{ReadMode, ReadPolicy};
use crate::operation::{Find, Get, Put, PutFailure, Receipt, record_of};
use crate::record::value::end_of;
use crate::report::Report;
use crate::time::Now;

/// Commands.
impl Node {
    /// Begins what was asked for at `since`: the TTL of a value is counted from there.
    pub(super) fn start_operation(&mut self, id: CommandId, operation: Command, since: Now) {
        match operation {
            Command::Put(publication) => self.start_put((Origin::Command(id), since), publication),
            Command::PutIf(put) => self.start_put_if((id, since), put),
            Command::Keep(request) => self.start_keep((id, since), request),
            Command::Get { key } => {
                self.start_get((Origin::Command(id), since), key, ReadMode::default());
            }
            Command::Ask { key, mode } => {
                self.start_get((Origin::Command(id), since), key, mode);
            }
            Command::Lookup { target } => {
                self.start_find(Origin::Command(id), target, since);
            }
            Command::Join { .. }
            | Command::SetPeers { .. }
            | Command::Leave
            | Command::Reach
            | Command::Unkeep { .. } => {}
        }
    }

    /// Has an operation wait until this node knows its neighbourhood.
    pub(super) fn park(&mut self, id: CommandId, command: Command) {
        if !self.parked.add(&mut self.cx, id, command) {
            self.cx.limit_reached(Limit::MaxOperations);
            self.cx.answer(id, Outcome::Busy);
        }
    }

    /// Begins everything that waits.
    pub(super) fn unpark(&mut self) {
        let trace_steps = self.cx.config.trace_steps;
        for parked in self.parked.take(&mut self.cx) {
            self.cx.config.trace_steps = parked.traced;
            self.start_operation(parked.id, parked.command, parked.since);
        }
        self.cx.config.trace_steps = trace_steps;
    }
}

/// Conditional publications and kept values, which take several operations.
impl Node {
    fn start_put_if(&mut self, (id, since): (CommandId, Now), put: ConditionalPut) {
        let checked = self.values.verify(&self.cx, &put.publication.key, &put.publication.value);
        let step = self.conditionals.start((id, since), put, checked);
        self.run_put_if(id, step);
    }

    /// An operation of a conditional publication has ended.
    pub(super) fn continue_put_if(&mut self, id: CommandId, outcome: Outcome) {
        if let Some(step) = self.conditionals.go_on(id, outcome) {
            self.run_put_if(id, step);
        }
    }

    fn run_put_if(&mut self, id: CommandId, step: PutIfStep) {
        let origin = Origin::Conditional(id);
        match step {
            PutIfStep::Read { key, since } => {
                self.start_get((origin, since), key, conditional::read_mode());
            }
            PutIfStep::Put { publication, since } => self.start_put((origin, since), publication),
            PutIfStep::End(outcome) => self.cx.answer(id, outcome),
        }
    }

    fn start_keep(&mut self, (id, since): (CommandId, Now), request: KeepRequest) {
        let key = request.publication.key;
        let (values, contacts) = (&mut self.values, &self.contacts);
        if self.keeper.start(&mut self.cx, values, id, request)
            && let Some(start) = self.keeper.publish(&mut self.cx, values, contacts, &key, since)
        {
            self.start_for_keeper(start);
        }
    }

    /// Republishes kept values, as far as may be begun now.
    pub(super) fn run_keep(&mut self) {
        if self.cx.leaving.is_some() {
            return;
        }
        if self.join.is_finding_its_place() || !self.is_joined() {
            return self.keeper.wait_for_join(&mut self.cx);
        }
        while let Some(start) = self.keeper.next(&mut self.cx, &self.values, &self.contacts) {
            self.start_for_keeper(start);
        }
        self.keeper.plan(&mut self.cx);
    }

    fn start_for_keeper(&mut self, start: KeepStart) {
        let (origin, now) = (Origin::Keep(start.step), self.cx.now);
        match start.what {
            KeepOperation::Get { key, mode } => self.start_get((origin, now), key, mode),
            KeepOperation::Find { target } => self.start_find(origin, target, now),
            KeepOperation::Put { put, since } => self.start(origin, Kind::Put(put), since),
        }
    }
}

/// Each kind of operation.
impl Node {
    pub(super) fn start_get(&mut self, (origin, since): (Origin, Now), key: Key, mode: ReadMode) {
        let cx = &mut self.cx;
        let latest = cx.latest_version();
        let kept = self.keeper.floor(cx, &key);
        let floor = self.values.floor(cx, &key, kept);
        // A record from the future has no vote: it may have been taken while the clock was wrong.
        let held = held(&self.values.records, &key, cx.now.boot)
            .filter(|held| held.version <= Some(latest));
        let breadth = match mode.freshness {
            // One request, and another once it is overdue.
            Freshness::First => Breadth { alpha: 1, paths: 1, ..cx.breadth(cx.config.k) },
            Freshness::Latest | Freshness::Thorough => cx.breadth(cx.config.k),
        };
        let policy = ReadPolicy {
            mode,
            began: cx.now.wall,
            quorum: cx.config.vote_quorum,
            breadth,
            size: cx.size_to_judge_by(),
            salt: cx.random.random(),
        };
        let search = self.contacts.lookup(cx, key, policy.breadth);
        let published = floor.as_ref().map(|floor| floor.value.clone());
        let known = self.values.verified_before(cx, &key).chain(published).collect();
        let get = Get::knowing(known, cx.own.id, search, policy, floor, held);
        self.start(origin, Kind::Get(Box::new(get)), since);
    }

    fn start_put(&mut self, (origin, since): (Origin, Now), publication: Publication) {
        let cx = &mut self.cx;
        let Publication { key, value, ttl, replication } = publication;
        let ttl = cx.config.granted_ttl(ttl);
        let replication = cx.config.granted_replication(replication);
        let checked = match self.values.verify(cx, &key, &value) {
            Ok(checked) => checked,
            Err(refused) => return self.refuse_put(origin, refused),
        };
        let class = checked.class();
        let expires = (since.boot + ttl).min(end_of(&checked, cx.now));
        let latest = cx.latest_version();
        let version = self.values.published.publish(key, checked, expires, cx.now, latest);
        for _ in 0..self.values.published.take_evicted() {
            cx.limit_reached(Limit::Publications);
        }
        let record = record_of(key, value, version, ttl);
        let breadth = cx.breadth(cx.config.alpha.max(cx.config.disjoint_paths));
        let search = self.contacts.lookup(cx, key, breadth);
        let size = cx.size_to_judge_by();
        let clock = (cx.now.wall, latest);
        let put = Put::new((record, class), replication, &cx.own.id, search, size, clock);
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
        let cx = &self.cx;
        let want = match origin {
            // As for a PUT: the few closest name the others, and the copies prove who is there.
            Origin::Own(LookupPurpose::Upkeep | LookupPurpose::Keep) | Origin::Keep(_) => {
                cx.narrow()
            }
            Origin::Own(LookupPurpose::Join | LookupPurpose::Refresh) => cx.wanted_around(&target),
            Origin::Command(_) | Origin::Conditional(_) | Origin::Comparison(_) => cx.config.k,
        };
        let search = self.contacts.lookup(cx, target, cx.breadth(want));
        self.start(origin, Kind::Find(Box::new(Find::new(search))), since);
    }

    /// A lookup of the own ID that begins at one peer alone.
    pub(super) fn start_comparison(&mut self, comparison: u32, peer: NodeInfo) {
        let cx = &self.cx;
        let breadth = cx.breadth(cx.config.k);
        let search = Lookup::new(cx.own.id.as_key(), cx.own.id, breadth, &[peer]);
        let kind = Kind::Find(Box::new(Find::new(search)));
        self.start(Origin::Comparison(comparison), kind, cx.now);
    }

    fn start(&mut self, origin: Origin, kind: Kind, started: Now) {
        match (self.operations.begin(&mut self.cx, origin, kind, started), origin) {
            (Some(id), _) => self.drive(id),
            (None, Origin::Command(_) | Origin::Conditional(_) | Origin::Keep(_)) => {
                self.end_operation(origin, Outcome::Busy);
            }
            (None, Origin::Own(purpose)) => self.own_lookup_ended(purpose, Looked::Nowhere, &[]),
            (None, Origin::Comparison(number)) => {
                self.comparison_ended(number, Looked::Nowhere, &[]);
            }
        }
    }

    /// Lets an operation go on until it waits or ends.
    pub(super) fn drive(&mut self, id: u64) {
        while let Some(progress) = self.operations.advance(&mut self.cx, &self.contacts, id) {
            match progress {
                Progress::KeepLocally { record, class } => {
                    let kept = match self.keep_for_put(record, class, id) {
                        Kept::Now => true,
                        Kept::Refused => false,
                        Kept::OnceDurable => continue,
                    };
                    self.operations.kept_locally(id, kept);
                }
                Progress::Ended(operation) => return self.finish(operation),
            }
        }
    }
}
