//! Republishing of kept values ([`crate::kept`]).
//!
//! Values are republished by region: those of keys that lie near each other and are due soon. A few
//! lookups find the nodes of the whole region, and each value is then stored without a lookup of its
//! own:
//!
//! 1. *Check*: a plain value is read first. Where another publisher's higher version has won, it is
//!    kept no longer; publishing it again would undo that.
//! 2. *Look up*: one lookup for each quarter of the region that has keys. A region is the smallest
//!    subtree of the key space in which so many nodes are expected that the k closest of each of its
//!    keys lie in it. A region with fewer keys than lookups is not worth that: its values are PUT.
//! 3. *Place*: a PUT that knows its nodes already. A signed value that a replica refuses is read,
//!    *latest* and *proved only*: a newer envelope is kept in place of it, so that any friend can keep a
//!    name alive without its key.
//!
//! A lookup, or a read, is begun every 20 ms at most, and so many publications at once: everything is
//! due at once after a start.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rand::RngExt;
use voiddht_signed::Envelope;
use voiddht_wire::Key;
use voiddht_wire::api::{Freshness, Proof};
use voiddht_wire::peer::{NodeInfo, Record};

use super::Node;
use super::operate::Origin;
use super::schedule::Task;
use super::serve::Waiting;
use crate::event::{CommandId, Notice, Outcome, Write};
use crate::kept::{
    Entry, KeepReceipt, KeepRefusal, KeepRequest, KeptRow, KeptState, KeptUsage, KeptView,
    MAX_KEEP_LOOKUPS_PER_SECOND, REPUBLISH_JITTER, REPUBLISH_SHARE, Table,
};
use crate::label::KeptPublication;
use crate::lookup::Lookup;
use crate::operation::get::ReadMode;
use crate::operation::{Put, PutFailure, Receipt, publication};
use crate::record::order::Class;
use crate::record::value::VerifiedValue;
use crate::time::{Moment, Now, WallTime};

mod region;

use region::Region;

/// The pause between the starts of two lookups.
const LOOKUP_PAUSE: Duration =
    Duration::from_micros(1_000_000 / MAX_KEEP_LOOKUPS_PER_SECOND as u64);
/// Regions under way at once: while one waits for a slow answer, others go on.
const MAX_REGIONS: usize = 4;
/// Publications in flight: their STOREs leave in one write per peer.
const MAX_PLACING: usize = 32;
/// After as many publications there is a pause: a replica of all of them is sent 250 a second, half of
/// what it serves one peer.
const PLACING_PAUSE: Duration = Duration::from_millis(128);
/// Reads in flight.
const MAX_READING: usize = 64;
/// How long republishing waits for this node to find its place in the network.
const JOIN_PAUSE: Duration = Duration::from_millis(250);
/// The shortest pause before more is begun.
const SHORTEST_PAUSE: Duration = Duration::from_millis(1);
/// The first pause after a publication that failed; it doubles up to the usual interval.
const RETRY_PAUSE: Duration = Duration::from_secs(5);
/// How often it doubles.
const MAX_DOUBLINGS: u32 = 6;

/// What a step of republishing is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeepStep {
    /// Finds the nodes of a part of a region.
    Look(u64),
    /// Reads a plain value of a region, before it is published.
    Check(u64, Key),
    /// Reads a signed value that a replica refused.
    Adopt(Key),
    /// Publishes a value.
    Place(Key),
}

/// Kept values and what is under way for them.
#[derive(Debug, Default)]
pub(super) struct Keeper {
    pub(super) table: Table,
    regions: BTreeMap<u64, Region>,
    next_region: u64,
    /// Values whose nodes are known.
    placing: VecDeque<Known>,
    placed_in_row: usize,
    placing_in_flight: usize,
    reading_in_flight: usize,
    /// When the next lookup and the next row of publications may begin.
    lookup_at: Moment,
    place_at: Moment,
    /// Signed values that a replica refused.
    adopting: VecDeque<Key>,
    /// By which factor the intervals of a region's keys vary: the same, so that they stay together.
    factors: BTreeMap<Key, f64>,
    commands: BTreeMap<Key, Command>,
}

/// A value whose nodes are known.
#[derive(Debug)]
struct Known {
    key: Key,
    nodes: Arc<[NodeInfo]>,
}

/// A command that waits for the first publication and for the disk.
#[derive(Debug)]
struct Command {
    id: CommandId,
    is_written: bool,
    publication: Option<Option<Receipt>>,
}

impl Keeper {
    pub(super) fn new(table: Table) -> Self {
        Self { table, ..Self::default() }
    }
}

impl Node {
    /// Takes over the kept values that an earlier run left on disk: all of them are due at once. To be
    /// called once, after [`Self::restore`].
    pub fn restore_kept(&mut self, now: Now, kept: Vec<(KeptRow, Bytes)>) {
        self.now = now;
        for (row, value) in kept {
            let key = row.key;
            match restored(row, value, now) {
                Some(entry) => match self.keeper.table.insert(key, entry) {
                    Ok(_) => self.keeper.table.set_due(&key, Some(now.mono)),
                    Err(KeepRefusal::Full { limit }) => self.notice(Notice::LimitReached { limit }),
                    Err(_) => {}
                },
                None => self.persist(vec![Write::RemoveKept(key)]),
            }
        }
        self.schedule.set_earlier(Task::Keep, now.mono);
    }

    /// Every kept value, by key, and those that are kept no longer and were not removed.
    pub fn kept(&self) -> Vec<KeptView> {
        self.keeper.table.views(self.now.mono)
    }

    /// How many values are kept, and how that goes.
    pub fn kept_usage(&self) -> KeptUsage {
        self.keeper.table.usage()
    }

    /// Begins to keep a value: it is published, unless it just was, and written to disk.
    pub(super) fn start_keep(&mut self, (id, since): (CommandId, Now), request: KeepRequest) {
        let key = request.key;
        if self.keeper.commands.contains_key(&key) {
            return self.answer(id, Outcome::Busy);
        }
        let is_published = request.is_published;
        let row = match self.admit_kept(request) {
            Ok(row) => row,
            Err(refusal) => return self.refuse_keep(id, refusal),
        };
        let value = self.keeper.table.get(&key).map(|entry| entry.value.bytes().clone());
        let writes = vec![Write::PutKept { row, value }];
        if !self.persist_for(key, writes, Waiting::Keep) {
            self.keeper.table.remove(&key);
            return self.refuse_keep(id, KeepRefusal::NotWritten);
        }
        let publication = is_published.then_some(None);
        self.keeper.commands.insert(key, Command { id, is_written: false, publication });
        if is_published {
            self.plan_publication(&key);
        } else {
            self.place_kept(&key, None, since);
        }
    }

    fn refuse_keep(&mut self, id: CommandId, refusal: KeepRefusal) {
        if let KeepRefusal::Full { limit } = refusal {
            self.notice(Notice::LimitReached { limit });
        }
        self.answer(id, Outcome::Keep(Err(refusal)));
    }

    /// Puts a value into the table. What comes back is to be written.
    fn admit_kept(&mut self, request: KeepRequest) -> Result<KeptRow, KeepRefusal> {
        let KeepRequest { key, value, ttl, replication, until, is_published } = request;
        let value = Bytes::copy_from_slice(&value);
        let checked = self.verify(&key, &value).map_err(KeepRefusal::Envelope)?;
        let ttl = ttl.unwrap_or(self.config.default_ttl);
        let ttl = ttl.clamp(self.config.min_ttl, self.config.max_ttl).as_secs();
        let ttl = u16::try_from(ttl).unwrap_or(u16::MAX);
        let held = self.keeper.table.get(&key).filter(|held| held.is_kept());
        if let Some(held) = held
            && held.value.class().is_self_verifying()
            && held.value.rank(0) > checked.rank(0)
            && !held.has_ended(self.now.wall)
        {
            return Err(KeepRefusal::Older);
        }
        let mut entry = Entry::new(checked, ttl, replication.unwrap_or(0), until);
        entry.version = held.map_or(0, |held| held.version);
        if entry.has_ended(self.now.wall) {
            return Err(KeepRefusal::Ended);
        }
        if is_published {
            let floor = self.published.get(&key, self.now.boot, self.latest_version());
            let is_it = |floor: &&crate::operation::Published| floor.value == entry.value;
            entry.version = floor.filter(is_it).map_or(entry.version, |floor| floor.version);
            entry.published = Some(self.now.wall);
        }
        let row = entry.row(key);
        if let Some(over) = self.keeper.table.insert(key, entry)? {
            self.persist(vec![Write::RemoveKept(over)]);
        }
        Ok(row)
    }

    /// Keeps a value no longer: its last publication ends with its TTL.
    pub(super) fn start_unkeep(&mut self, id: CommandId, key: Key) {
        let Some(entry) = self.keeper.table.remove(&key) else {
            return self.answer(id, Outcome::Unkept { was_listed: false });
        };
        drop(entry);
        self.keeper.factors.remove(&key);
        if !self.persist_for(key, vec![Write::RemoveKept(key)], Waiting::Unkeep(id)) {
            self.answer(id, Outcome::Busy);
        }
    }

    /// A kept value is on disk, or could not be written.
    pub(super) fn kept_is_written(&mut self, key: &Key, durable: bool) {
        let Some(command) = self.keeper.commands.get_mut(key) else { return };
        command.is_written = true;
        if !durable {
            let id = command.id;
            self.keeper.commands.remove(key);
            self.keeper.table.remove(key);
            return self.refuse_keep(id, KeepRefusal::NotWritten);
        }
        self.answer_keep(key);
    }

    /// Answers the command of a value that is on disk and has been published.
    fn answer_keep(&mut self, key: &Key) {
        let Some(command) = self.keeper.commands.get(key) else { return };
        let (true, Some(publication)) = (command.is_written, command.publication) else { return };
        let id = command.id;
        self.keeper.commands.remove(key);
        let ttl = self.keeper.table.get(key).map_or(0, |entry| entry.ttl);
        self.answer(id, Outcome::Keep(Ok(KeepReceipt { publication, ttl })));
    }

    /// Republishes what is due, as far as may be begun now.
    pub(super) fn run_keep(&mut self) {
        if self.leaving.is_some() {
            return;
        }
        if self.joining.is_finding_its_place() || !self.is_joined() {
            return self.schedule.set(Task::Keep, self.now.mono + JOIN_PAUSE);
        }
        while self.place_next() || self.read_or_look() {}
        self.plan_keeping();
    }

    /// Sets the time at which there is more to do, unless an operation's end will tell.
    fn plan_keeping(&mut self) {
        let keeper = &self.keeper;
        let mut times = Vec::new();
        if !keeper.placing.is_empty() && keeper.placing_in_flight < MAX_PLACING {
            times.push(keeper.place_at);
        }
        let waits = keeper.regions.values().any(Region::waits_for_lookup);
        if (waits || !keeper.adopting.is_empty()) && keeper.reading_in_flight < MAX_READING {
            times.push(keeper.lookup_at);
        }
        if keeper.regions.len() < MAX_REGIONS {
            times.extend(keeper.table.first_due().map(|(at, _)| at));
        }
        if let Some(at) = times.into_iter().min() {
            // Never at this very moment: nothing that could be begun now is left.
            self.schedule.set_earlier(Task::Keep, at.max(self.now.mono + SHORTEST_PAUSE));
        }
    }

    /// Begins the publication of a value whose nodes are known. False if none may begin now.
    fn place_next(&mut self) -> bool {
        let keeper = &mut self.keeper;
        if keeper.placing_in_flight >= MAX_PLACING || keeper.place_at > self.now.mono {
            return false;
        }
        let Some(Known { key, nodes }) = keeper.placing.pop_front() else { return false };
        keeper.placed_in_row += 1;
        if keeper.placed_in_row >= MAX_PLACING {
            keeper.placed_in_row = 0;
            keeper.place_at = self.now.mono + PLACING_PAUSE;
        }
        self.place_kept(&key, Some(&nodes), self.now);
        true
    }

    /// Begins the next read or lookup. False if none may begin now, or there is none.
    fn read_or_look(&mut self) -> bool {
        let keeper = &mut self.keeper;
        let may_read = keeper.reading_in_flight < MAX_READING && keeper.lookup_at <= self.now.mono;
        if may_read && let Some(key) = keeper.adopting.pop_front() {
            self.read_newest(key);
            return true;
        }
        let mut waiting = keeper.regions.iter().filter(|(_, region)| region.waits_for_lookup());
        if may_read
            && let Some(id) = waiting.next().map(|(id, _)| *id)
            && self.advance_region(id)
        {
            return true;
        }
        let has_slot = self.keeper.regions.len() < MAX_REGIONS;
        match self.keeper.table.first_due() {
            Some((at, key)) if has_slot && at <= self.now.mono => {
                self.begin_region(key);
                true
            }
            _ => false,
        }
    }

    /// Reads the newest envelope of a name of which a replica refused the kept one.
    fn read_newest(&mut self, key: Key) {
        let Some(entry) = self.keeper.table.get(&key).filter(|entry| entry.is_kept()) else {
            return;
        };
        let least = entry.value.precedence().unwrap_or_default();
        let mode = ReadMode { freshness: Freshness::Latest, proved_only: true, least };
        self.begin_keep_read();
        self.start_get((Origin::Keep(KeepStep::Adopt(key)), self.now), key, mode);
    }

    /// Publishes a kept value: on these nodes, or on those that a lookup finds.
    fn place_kept(&mut self, key: &Key, nodes: Option<&[NodeInfo]>, since: Now) {
        let Some(entry) = self.keeper.table.get(key).filter(|entry| entry.is_kept()) else {
            self.keeper.factors.remove(key);
            return;
        };
        let latest = self.latest_version();
        let floor = self.published.get(key, self.now.boot, latest);
        let last = floor.map_or(0, |floor| floor.version).max(entry.version);
        let version = match entry.value.class() {
            Class::Plain => self.now.wall.as_millis().max(last.saturating_add(1)).min(latest),
            _ => self.now.wall.as_millis(),
        };
        let class = entry.value.class();
        let ttl = Duration::from_secs(entry.ttl.into());
        let record = publication(*key, entry.value.bytes().clone(), version, ttl);
        let replication = match entry.replication {
            0 => self.config.replication,
            wanted => usize::from(wanted),
        };
        let breadth = self.breadth(self.config.alpha.max(self.config.disjoint_paths));
        let search = match nodes {
            None => self.lookup(*key, breadth),
            Some(nodes) => {
                let mut search = Lookup::new(*key, self.own.id, breadth, &[]);
                let may_hold = |node: &&NodeInfo| {
                    !self.table.is_suspect(&node.id) && !self.is_banned(&node.id)
                };
                search.assume_answered(nodes.iter().filter(may_hold));
                search
            }
        };
        self.keeper.placing_in_flight += 1;
        self.keeper.table.set_due(key, None);
        let clock = (self.now.wall, latest);
        let size = self.size_to_judge_by();
        let put = Put::new((record, class), replication, &self.own.id, search, size, clock);
        self.start_kept_put(Origin::Keep(KeepStep::Place(*key)), put, since);
    }

    /// A publication of a kept value ends with this record.
    pub(super) fn note_kept_version(&mut self, record: &Record) {
        if let Some(entry) = self.keeper.table.get_mut(&record.key)
            && *entry.value.bytes() == record.value
            && let Some(version) = record.version
        {
            entry.version = entry.version.max(version);
        }
    }

    /// A step has ended.
    pub(super) fn keep_step_ended(&mut self, step: KeepStep, outcome: Outcome) {
        match step {
            KeepStep::Place(key) => {
                self.keeper.placing_in_flight -= 1;
                let receipt = match outcome {
                    Outcome::Put { receipt, .. } => Some(receipt),
                    _ => None,
                };
                self.kept_was_placed(&key, receipt);
            }
            KeepStep::Check(id, key) => {
                self.keeper.reading_in_flight -= 1;
                self.kept_was_checked(id, &key, outcome);
            }
            KeepStep::Adopt(key) => {
                self.keeper.reading_in_flight -= 1;
                self.newest_was_read(&key, outcome);
            }
            KeepStep::Look(id) => {
                self.keeper.reading_in_flight -= 1;
                let nodes = match outcome {
                    Outcome::Lookup { nodes, .. } => nodes,
                    _ => Vec::new(),
                };
                self.region_was_looked_up(id, nodes);
            }
        }
        self.schedule.set_earlier(Task::Keep, self.now.mono);
    }

    fn kept_was_placed(&mut self, key: &Key, receipt: Option<Receipt>) {
        if let Some(command) = self.keeper.commands.get_mut(key) {
            command.publication = Some(receipt);
        }
        self.answer_keep(key);
        let Some(entry) = self.keeper.table.get_mut(key).filter(|entry| entry.is_kept()) else {
            self.keeper.factors.remove(key);
            return;
        };
        entry.replicas = receipt.map(|receipt| receipt.stored).or(entry.replicas);
        entry.failure = receipt.and_then(|receipt| receipt.failure);
        let class = entry.value.class();
        let outcome = match receipt.map(|receipt| receipt.failure) {
            Some(None) => KeptPublication::Stored,
            Some(Some(PutFailure::Superseded { .. })) => KeptPublication::Superseded,
            Some(Some(_)) | None => KeptPublication::Failed,
        };
        self.notice(Notice::KeepPublished { outcome });
        match outcome {
            KeptPublication::Stored => self.kept_was_stored(key),
            KeptPublication::Superseded if matches!(class, Class::Signed(_)) => {
                self.keeper.adopting.push_back(*key);
            }
            KeptPublication::Superseded | KeptPublication::Failed => self.retry_publication(key),
        }
    }

    fn kept_was_stored(&mut self, key: &Key) {
        self.keeper.table.note_success(key);
        let Some(entry) = self.keeper.table.get_mut(key) else { return };
        entry.published = Some(self.now.wall);
        entry.floor_until = Some(self.now.boot + Duration::from_secs(entry.ttl.into()));
        let row = entry.row(*key);
        if entry.value.class() == Class::Plain {
            self.persist(vec![Write::PutKept { row, value: None }]);
        }
        self.plan_publication(key);
    }

    /// The next publication, after one that succeeded.
    fn plan_publication(&mut self, key: &Key) {
        let factor = match self.keeper.factors.remove(key) {
            Some(factor) => factor,
            None => {
                let jitter = 1.0 - REPUBLISH_JITTER..1.0 + REPUBLISH_JITTER;
                self.random.random_range(jitter)
            }
        };
        let Some(entry) = self.keeper.table.get(key) else { return };
        let interval = Duration::from_secs(entry.ttl.into()).mul_f64(REPUBLISH_SHARE * factor);
        self.plan_within(key, interval);
    }

    /// The next try, after a publication that failed.
    fn retry_publication(&mut self, key: &Key) {
        self.keeper.factors.remove(key);
        let failures = self.keeper.table.note_failure(key);
        let Some(entry) = self.keeper.table.get(key) else { return };
        let interval = Duration::from_secs(entry.ttl.into()).mul_f64(REPUBLISH_SHARE);
        let pause = RETRY_PAUSE * 2u32.pow(failures.saturating_sub(1).min(MAX_DOUBLINGS));
        let pause = self.jittered(pause.min(interval));
        self.plan_within(key, pause);
    }

    /// A value is due after so much time, or at its end if that is earlier.
    fn plan_within(&mut self, key: &Key, wait: Duration) {
        let end = self.keeper.table.get(key).and_then(|entry| entry.end);
        // An end that has passed, by a clock that is wrong, is looked at when the value is due.
        let end = end.filter(|end| *end > self.now.wall);
        let left = end.map_or(wait, |end| end.since(self.now.wall));
        self.keeper.table.set_due(key, Some(self.now.mono + wait.min(left)));
        self.schedule.set_earlier(Task::Keep, self.now.mono + wait.min(left));
    }

    fn stop_keeping(&mut self, key: &Key, state: KeptState) {
        self.keeper.table.stop(key, state);
        if let Some(row) = self.keeper.table.get(key).map(|entry| entry.row(*key)) {
            self.persist(vec![Write::PutKept { row, value: Some(Bytes::new()) }]);
        }
        self.notice(Notice::KeepEnded { key: *key, state });
    }

    /// What outranks a signed value that a replica refused is kept in its place.
    fn newest_was_read(&mut self, key: &Key, outcome: Outcome) {
        let Outcome::Get { value: Some(found), proof: Some(Proof::Signature), .. } = outcome else {
            return self.retry_publication(key);
        };
        let Some(entry) = self.keeper.table.get(key).filter(|entry| entry.is_kept()) else {
            return;
        };
        // The read has verified it.
        let precedence = Envelope::parse(found.clone()).map(|envelope| envelope.precedence());
        let Ok(precedence) = precedence else { return self.retry_publication(key) };
        let value = Bytes::copy_from_slice(&found);
        let newest = VerifiedValue::restored(value.clone(), Class::Signed(precedence));
        if newest.rank(0) <= entry.value.rank(0) {
            return self.retry_publication(key);
        }
        let mut adopted = entry.clone();
        adopted.replace_value(newest);
        let row = adopted.row(*key);
        if self.keeper.table.insert(*key, adopted).is_err() {
            // It does not fit: what is kept is out of date all the same.
            return self.stop_keeping(key, KeptState::Superseded);
        }
        self.persist(vec![Write::PutKept { row, value: Some(value) }]);
        self.notice(Notice::KeepAdopted { key: *key });
        if !self.end_kept(key) {
            self.plan_within(key, Duration::ZERO);
        }
    }

    /// The floor that a kept value sets for reads at this node.
    pub(super) fn kept_floor(&self, key: &Key) -> Option<crate::operation::Published> {
        self.keeper.table.get(key)?.floor(self.now.boot, self.latest_version())
    }
}

/// An entry from disk; `None` if it makes no sense.
fn restored(row: KeptRow, value: Bytes, now: Now) -> Option<Entry> {
    let KeptRow { key, ttl, replication, version, until, published, state, is_signed } = row;
    let class = match is_signed {
        true if state == KeptState::Kept => {
            Class::Signed(Envelope::parse(value.clone()).ok()?.precedence())
        }
        true => Class::Signed(voiddht_signed::Precedence::default()),
        false if key.proves(&value) => Class::ContentAddressed,
        false => Class::Plain,
    };
    let mut entry = Entry::new(VerifiedValue::restored(value, class), ttl, replication, until);
    entry.version = version;
    entry.published = published;
    entry.state = state;
    let ttl = Duration::from_secs(ttl.into());
    let left = |published: WallTime| (published + ttl).since(now.wall).min(ttl);
    entry.floor_until = published.filter(|_| class == Class::Plain).map(|at| now.boot + left(at));
    Some(entry)
}
