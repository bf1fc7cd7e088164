//! Publications of kept values: what is sent, what became of it, and when the next is due.

use std::time::Duration;

use bytes::Bytes;
use rand::RngExt;
use voiddht_signed::Envelope;
use voiddht_wire::Key;
use voiddht_wire::api::{Freshness, Proof};
use voiddht_wire::peer::NodeInfo;

use super::{KeepOperation, KeepStart, KeepStep, Keeper};
use crate::event::{Notice, Outcome, Write};
use crate::kept::{KeptState, REPUBLISH_JITTER, REPUBLISH_SHARE};
use crate::label::KeptPublication;
use crate::lookup::Lookup;
use crate::node::contacts::Contacts;
use crate::node::context::Context;
use crate::node::schedule::Task;
use crate::node::values::Values;
use crate::operation::get::ReadMode;
use crate::operation::{Put, PutFailure, Receipt, record_of};
use crate::record::order::Class;
use crate::record::value::VerifiedValue;
use crate::time::Now;

/// The first pause after a publication that failed; it doubles up to the usual interval.
const RETRY_PAUSE: Duration = Duration::from_secs(5);
/// How often it doubles.
const MAX_DOUBLINGS: u32 = 6;

impl Keeper {
    /// Reads the newest envelope of a name of which a replica refused the kept one.
    pub(super) fn read_newest(&mut self, cx: &Context, key: Key) -> Option<KeepStart> {
        let entry = self.table.get(&key).filter(|entry| entry.is_kept())?;
        let least = entry.value.precedence().unwrap_or_default();
        let mode = ReadMode { freshness: Freshness::Latest, proved_only: true, least };
        Some(self.begin_read(cx, KeepStep::Adopt(key), KeepOperation::Get { key, mode }))
    }

    /// Publishes a kept value for the first time, on the nodes that a lookup finds.
    pub(in super::super) fn publish(
        &mut self,
        cx: &mut Context,
        values: &Values,
        contacts: &Contacts,
        key: &Key,
        since: Now,
    ) -> Option<KeepStart> {
        self.place(cx, values, contacts, key, None, since)
    }

    /// Publishes a kept value: on these nodes, or on those that a lookup finds.
    pub(super) fn place(
        &mut self,
        cx: &Context,
        values: &Values,
        contacts: &Contacts,
        key: &Key,
        nodes: Option<&[NodeInfo]>,
        since: Now,
    ) -> Option<KeepStart> {
        let Some(entry) = self.table.get(key).filter(|entry| entry.is_kept()) else {
            self.factors.remove(key);
            return None;
        };
        let latest = cx.latest_version();
        let floor = values.published.get(key, cx.now.boot, latest);
        let last = floor.map_or(0, |floor| floor.version).max(entry.version);
        let version = match entry.value.class() {
            Class::Plain => cx.now.wall.as_millis().max(last.saturating_add(1)).min(latest),
            _ => cx.now.wall.as_millis(),
        };
        let class = entry.value.class();
        let ttl = Duration::from_secs(entry.ttl.into());
        let record = record_of(*key, entry.value.bytes().clone(), version, ttl);
        let replication = cx.config.granted_replication(Some(entry.replication));
        let breadth = cx.breadth(cx.config.alpha.max(cx.config.disjoint_paths));
        let search = match nodes {
            None => contacts.lookup(cx, *key, breadth),
            Some(nodes) => {
                let mut search = Lookup::new(*key, cx.own.id, breadth, &[]);
                let may_hold =
                    |node: &&NodeInfo| !cx.table.is_suspect(&node.id) && !cx.is_banned(&node.id);
                search.assume_answered(nodes.iter().filter(may_hold));
                search
            }
        };
        self.placing_in_flight += 1;
        self.table.set_due(key, None);
        let clock = (cx.now.wall, latest);
        let size = cx.size_to_judge_by();
        let put = Put::new((record, class), replication, &cx.own.id, search, size, clock);
        let what = KeepOperation::Put { put: Box::new(put), since };
        Some(KeepStart { step: KeepStep::Place(*key), what })
    }

    /// A step has ended.
    pub(in super::super) fn step_ended(
        &mut self,
        cx: &mut Context,
        step: KeepStep,
        outcome: Outcome,
    ) {
        match step {
            KeepStep::Place(key) => {
                self.placing_in_flight -= 1;
                let receipt = match outcome {
                    Outcome::Put { receipt, .. } => Some(receipt),
                    _ => None,
                };
                self.kept_was_placed(cx, &key, receipt);
            }
            KeepStep::Check(id, key) => {
                self.reading_in_flight -= 1;
                self.kept_was_checked(cx, id, &key, outcome);
            }
            KeepStep::Adopt(key) => {
                self.reading_in_flight -= 1;
                self.newest_was_read(cx, &key, outcome);
            }
            KeepStep::Look(id) => {
                self.reading_in_flight -= 1;
                let nodes = match outcome {
                    Outcome::Lookup { nodes, .. } => nodes,
                    _ => Vec::new(),
                };
                self.region_was_looked_up(cx, id, nodes);
            }
        }
        cx.schedule.set_earlier(Task::Keep, cx.now.mono);
    }

    fn kept_was_placed(&mut self, cx: &mut Context, key: &Key, receipt: Option<Receipt>) {
        if let Some(command) = self.commands.get_mut(key) {
            command.publication = Some(receipt);
        }
        self.answer_keep(cx, key);
        let Some(entry) = self.table.get_mut(key).filter(|entry| entry.is_kept()) else {
            self.factors.remove(key);
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
        cx.notice(Notice::KeepPublished { outcome });
        match outcome {
            KeptPublication::Stored => self.kept_was_stored(cx, key),
            KeptPublication::Superseded if class.is_signed() => {
                self.adopting.push_back(*key);
            }
            KeptPublication::Superseded | KeptPublication::Failed => {
                self.retry_publication(cx, key)
            }
        }
    }

    fn kept_was_stored(&mut self, cx: &mut Context, key: &Key) {
        self.table.note_success(key);
        let Some(entry) = self.table.get_mut(key) else { return };
        entry.published = Some(cx.now.wall);
        entry.floor_until = Some(cx.now.boot + Duration::from_secs(entry.ttl.into()));
        let row = entry.row(*key);
        if entry.value.class() == Class::Plain {
            cx.persist(vec![Write::PutKept { row, value: None }]);
        }
        self.plan_publication(cx, key);
    }

    /// The next publication, after one that succeeded.
    pub(super) fn plan_publication(&mut self, cx: &mut Context, key: &Key) {
        let factor = match self.factors.remove(key) {
            Some(factor) => factor,
            None => {
                let jitter = 1.0 - REPUBLISH_JITTER..1.0 + REPUBLISH_JITTER;
                cx.random.random_range(jitter)
            }
        };
        let Some(entry) = self.table.get(key) else { return };
        let interval = Duration::from_secs(entry.ttl.into()).mul_f64(REPUBLISH_SHARE * factor);
        self.plan_within(cx, key, interval);
    }

    /// The next try, after a publication that failed.
    pub(super) fn retry_publication(&mut self, cx: &mut Context, key: &Key) {
        self.factors.remove(key);
        let failures = self.table.note_failure(key);
        let Some(entry) = self.table.get(key) else { return };
        let interval = Duration::from_secs(entry.ttl.into()).mul_f64(REPUBLISH_SHARE);
        let pause = RETRY_PAUSE * 2u32.pow(failures.saturating_sub(1).min(MAX_DOUBLINGS));
        let pause = cx.jittered(pause.min(interval));
        self.plan_within(cx, key, pause);
    }

    /// A value is due after so much time, or at its end if that is earlier.
    fn plan_within(&mut self, cx: &mut Context, key: &Key, wait: Duration) {
        let end = self.table.get(key).and_then(|entry| entry.end);
        // An end that has passed, by a clock that is wrong, is looked at when the value is due.
        let end = end.filter(|end| *end > cx.now.wall);
        let left = end.map_or(wait, |end| end.since(cx.now.wall));
        self.table.set_due(key, Some(cx.now.mono + wait.min(left)));
        cx.schedule.set_earlier(Task::Keep, cx.now.mono + wait.min(left));
    }

    pub(super) fn stop_keeping(&mut self, cx: &mut Context, key: &Key, state: KeptState) {
        self.table.stop(key, state);
        if let Some(row) = self.table.get(key).map(|entry| entry.row(*key)) {
            cx.persist(vec![Write::PutKept { row, value: Some(Bytes::new()) }]);
        }
        cx.notice(Notice::KeepEnded { key: *key, state });
    }

    /// What outranks a signed value that a replica refused is kept in its place.
    fn newest_was_read(&mut self, cx: &mut Context, key: &Key, outcome: Outcome) {
        let Outcome::Get { value: Some(found), proof: Some(Proof::Signature), .. } = outcome else {
            return self.retry_publication(cx, key);
        };
        let Some(entry) = self.table.get(key).filter(|entry| entry.is_kept()) else {
            return;
        };
        // The read has verified it.
        let precedence = Envelope::parse(found.clone()).map(|envelope| envelope.precedence());
        let Ok(precedence) = precedence else { return self.retry_publication(cx, key) };
        let value = Bytes::copy_from_slice(&found);
        let newest = VerifiedValue::of_class(value.clone(), Class::Signed(precedence));
        if newest.rank(0) <= entry.value.rank(0) {
            return self.retry_publication(cx, key);
        }
        let mut adopted = entry.clone();
        adopted.replace_value(newest);
        let row = adopted.row(*key);
        if self.table.insert(*key, adopted).is_err() {
            // It does not fit: what is kept is out of date all the same.
            return self.stop_keeping(cx, key, KeptState::Superseded);
        }
        cx.persist(vec![Write::PutKept { row, value: Some(value) }]);
        cx.notice(Notice::KeepAdopted { key: *key });
        if !self.end_kept(cx, key) {
            self.plan_within(cx, key, Duration::ZERO);
        }
    }
}
