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
use voiddht_wire::peer::{NodeInfo, Record};
use voiddht_wire::{Key, Publication};

use super::contacts::Contacts;
use super::context::Context;
use super::schedule::Task;
use super::unsynced::Waiting;
use super::values::Values;
use crate::event::{CommandId, Outcome, Write};
use crate::kept::table::{Entry, Table};
use crate::kept::{
    KeepReceipt, KeepRefusal, KeepRequest, KeptRow, KeptState, MAX_KEEP_LOOKUPS_PER_SECOND,
};
use crate::operation::get::ReadMode;
use crate::operation::{Published, Put, Receipt};
use crate::record::StoredClass;
use crate::record::order::Class;
use crate::record::value::VerifiedValue;
use crate::time::{Moment, Now, WallTime};

mod publish;
mod region;
mod regions;

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

/// An operation that republishing needs.
#[derive(Debug)]
pub(super) struct KeepStart {
    /// What it is for: its end is reported to [`Keeper::step_ended`].
    pub(super) step: KeepStep,
    pub(super) what: KeepOperation,
}

#[derive(Debug)]
pub(super) enum KeepOperation {
    Get { key: Key, mode: ReadMode },
    Find { target: Key },
    Put { put: Box<Put>, since: Now },
}

/// One turn of going through what is due.
enum Turn {
    /// An operation is to be started.
    Start(KeepStart),
    /// Something was done without one.
    Done,
    /// Nothing may begin now.
    Idle,
}

impl Turn {
    fn of(start: Option<KeepStart>) -> Self {
        start.map_or(Self::Done, Self::Start)
    }
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

    /// Takes over the kept values that an earlier run left on disk: all of them are due at once.
    pub(super) fn restore(&mut self, cx: &mut Context, kept: Vec<(KeptRow, Bytes)>) {
        let now = cx.now;
        for (row, value) in kept {
            let key = row.key;
            match restored(row, value, now) {
                Some(entry) => match self.table.insert(key, entry) {
                    Ok(_) => self.table.set_due(&key, Some(now.mono)),
                    Err(KeepRefusal::Full { limit }) => cx.limit_reached(limit),
                    Err(_) => {}
                },
                None => cx.persist(vec![Write::RemoveKept(key)]),
            }
        }
        cx.schedule.set_earlier(Task::Keep, now.mono);
    }

    /// The floor that a kept value sets for reads at this node.
    pub(super) fn floor(&self, cx: &Context, key: &Key) -> Option<Published> {
        self.table.get(key)?.floor(cx.now.boot, cx.latest_version())
    }

    /// A publication of a kept value ends with this record.
    pub(super) fn note_version(&mut self, record: &Record) {
        if let Some(entry) = self.table.get_mut(&record.key)
            && *entry.value.bytes() == record.value
            && let Some(version) = record.version
        {
            entry.version = entry.version.max(version);
        }
    }
}

/// Commands.
impl Keeper {
    /// Begins to keep a value: it is written to disk, and to be published, if that comes back, unless it
    /// just was.
    pub(super) fn start(
        &mut self,
        cx: &mut Context,
        values: &mut Values,
        id: CommandId,
        request: KeepRequest,
    ) -> bool {
        let key = request.publication.key;
        if self.commands.contains_key(&key) {
            cx.answer(id, Outcome::Busy);
            return false;
        }
        let is_published = request.is_published;
        let row = match self.admit_kept(cx, values, request) {
            Ok(row) => row,
            Err(refusal) => {
                refuse(cx, id, refusal);
                return false;
            }
        };
        let value = self.table.get(&key).map(|entry| entry.value.bytes().clone());
        let writes = vec![Write::PutKept { row, value }];
        if !cx.persist_for(key, writes, Waiting::Keep) {
            self.table.remove(&key);
            refuse(cx, id, KeepRefusal::NotWritten);
            return false;
        }
        let publication = is_published.then_some(None);
        self.commands.insert(key, Command { id, is_written: false, publication });
        if is_published {
            self.plan_publication(cx, &key);
        }
        !is_published
    }

    /// Puts a value into the table. What comes back is to be written.
    fn admit_kept(
        &mut self,
        cx: &mut Context,
        values: &mut Values,
        request: KeepRequest,
    ) -> Result<KeptRow, KeepRefusal> {
        let KeepRequest { publication, until, is_published } = request;
        let Publication { key, value, ttl, replication } = publication;
        let value = Bytes::copy_from_slice(&value);
        let checked = values.verify(cx, &key, &value).map_err(KeepRefusal::Envelope)?;
        let ttl = cx.config.granted_ttl(ttl).as_secs();
        let ttl = u16::try_from(ttl).unwrap_or(u16::MAX);
        let held = self.table.get(&key).filter(|held| held.is_kept());
        if let Some(held) = held
            && held.value.class().is_self_verifying()
            && held.value.rank(0) > checked.rank(0)
            && !held.has_ended(cx.now.wall)
        {
            return Err(KeepRefusal::Older);
        }
        let mut entry = Entry::new(checked, ttl, replication.unwrap_or(0), until);
        entry.version = held.map_or(0, |held| held.version);
        if entry.has_ended(cx.now.wall) {
            return Err(KeepRefusal::Ended);
        }
        if is_published {
            let floor = values.published.get(&key, cx.now.boot, cx.latest_version());
            let is_it = |floor: &&Published| floor.value == entry.value;
            entry.version = floor.filter(is_it).map_or(entry.version, |floor| floor.version);
            entry.published = Some(cx.now.wall);
        }
        let row = entry.row(key);
        if let Some(over) = self.table.insert(key, entry)? {
            cx.persist(vec![Write::RemoveKept(over)]);
        }
        Ok(row)
    }

    /// Keeps a value no longer: its last publication ends with its TTL.
    pub(super) fn stop(&mut self, cx: &mut Context, id: CommandId, key: Key) {
        let Some(entry) = self.table.remove(&key) else {
            return cx.answer(id, Outcome::Unkept { was_listed: false });
        };
        drop(entry);
        self.factors.remove(&key);
        if !cx.persist_for(key, vec![Write::RemoveKept(key)], Waiting::Unkeep(id)) {
            cx.answer(id, Outcome::Busy);
        }
    }

    /// A kept value is on disk, or could not be written.
    pub(super) fn is_written(&mut self, cx: &mut Context, key: &Key, durable: bool) {
        let Some(command) = self.commands.get_mut(key) else { return };
        command.is_written = true;
        if !durable {
            let id = command.id;
            self.commands.remove(key);
            self.table.remove(key);
            return refuse(cx, id, KeepRefusal::NotWritten);
        }
        self.answer_keep(cx, key);
    }

    /// Answers the command of a value that is on disk and has been published.
    fn answer_keep(&mut self, cx: &mut Context, key: &Key) {
        let Some(command) = self.commands.get(key) else { return };
        let (true, Some(publication)) = (command.is_written, command.publication) else { return };
        let id = command.id;
        self.commands.remove(key);
        let ttl = self.table.get(key).map_or(0, |entry| entry.ttl);
        cx.answer(id, Outcome::Keep(Ok(KeepReceipt { publication, ttl })));
    }
}

/// What is begun next.
impl Keeper {
    /// Republishing waits until this node has found its place in the network.
    pub(super) fn wait_for_join(&self, cx: &mut Context) {
        cx.set_after(Task::Keep, JOIN_PAUSE);
    }

    /// The next operation of those that are due, as far as one may begin now.
    pub(super) fn next(
        &mut self,
        cx: &mut Context,
        values: &Values,
        contacts: &Contacts,
    ) -> Option<KeepStart> {
        loop {
            let turn = match self.next_to_place(cx) {
                Some(Known { key, nodes }) => {
                    Turn::of(self.place(cx, values, contacts, &key, Some(&nodes), cx.now))
                }
                None => self.read_or_look(cx, values, contacts),
            };
            match turn {
                Turn::Start(start) => return Some(start),
                Turn::Done => {}
                Turn::Idle => return None,
            }
        }
    }

    /// Sets the time at which there is more to do, unless an operation's end will tell.
    pub(super) fn plan(&mut self, cx: &mut Context) {
        let mut times = Vec::new();
        if !self.placing.is_empty() && self.placing_in_flight < MAX_PLACING {
            times.push(self.place_at);
        }
        let waits = self.regions.values().any(Region::waits_for_lookup);
        if (waits || !self.adopting.is_empty()) && self.reading_in_flight < MAX_READING {
            times.push(self.lookup_at);
        }
        if self.regions.len() < MAX_REGIONS {
            times.extend(self.table.first_due().map(|(at, _)| at));
        }
        if let Some(at) = times.into_iter().min() {
            // Never at this very moment: nothing that could be begun now is left.
            cx.schedule.set_earlier(Task::Keep, at.max(cx.now.mono + SHORTEST_PAUSE));
        }
    }

    /// The next value whose nodes are known, if its publication may begin now.
    fn next_to_place(&mut self, cx: &Context) -> Option<Known> {
        if self.placing_in_flight >= MAX_PLACING || self.place_at > cx.now.mono {
            return None;
        }
        let known = self.placing.pop_front()?;
        self.placed_in_row += 1;
        if self.placed_in_row >= MAX_PLACING {
            self.placed_in_row = 0;
            self.place_at = cx.now.mono + PLACING_PAUSE;
        }
        Some(known)
    }

    /// The next read or lookup.
    fn read_or_look(&mut self, cx: &mut Context, values: &Values, contacts: &Contacts) -> Turn {
        let may_read = self.reading_in_flight < MAX_READING && self.lookup_at <= cx.now.mono;
        if may_read && let Some(key) = self.adopting.pop_front() {
            return Turn::of(self.read_newest(cx, key));
        }
        let mut waiting = self.regions.iter().filter(|(_, region)| region.waits_for_lookup());
        if may_read && let Some(id) = waiting.next().map(|(id, _)| *id) {
            let turn = self.advance_region(cx, values, contacts, id);
            if !matches!(turn, Turn::Idle) {
                return turn;
            }
        }
        let has_slot = self.regions.len() < MAX_REGIONS;
        match self.table.first_due() {
            Some((at, key)) if has_slot && at <= cx.now.mono => {
                self.begin_region(cx, key);
                Turn::Done
            }
            _ => Turn::Idle,
        }
    }
}

fn refuse(cx: &mut Context, id: CommandId, refusal: KeepRefusal) {
    if let KeepRefusal::Full { limit } = refusal {
        cx.limit_reached(limit);
    }
    cx.answer(id, Outcome::Keep(Err(refusal)));
}

/// An entry from disk; `None` if it makes no sense.
fn restored(row: KeptRow, value: Bytes, now: Now) -> Option<Entry> {
    let KeptRow { key, ttl, replication, version, until, published, state, class } = row;
    let value = match class {
        Some(stored) if state != KeptState::Kept => {
            VerifiedValue::of_class(value, stored.without_bytes())
        }
        stored => {
            let value = VerifiedValue::restored(&key, value, stored, now.wall).ok()?;
            let is_as_stored = |stored| StoredClass::from(value.class()) == stored;
            stored.is_none_or(is_as_stored).then_some(value)?
        }
    };
    let class = value.class();
    let mut entry = Entry::new(value, ttl, replication, until);
    entry.version = version;
    entry.published = published;
    entry.state = state;
    let ttl = Duration::from_secs(ttl.into());
    let left = |published: WallTime| (published + ttl).since(now.wall).min(ttl);
    entry.floor_until = published.filter(|_| class == Class::Plain).map(|at| now.boot + left(at));
    Some(entry)
}
