//! The table of kept values: bounded, and indexed by when each is due.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::time::Duration;

use voiddht_wire::Key;

use super::{KeepRefusal, KeptLimits, KeptRow, KeptState, KeptUsage, KeptView, end_of};
use crate::label::Limit;
use crate::operation::{Published, PutFailure};
use crate::record::value::VerifiedValue;
use crate::time::{BootTime, Moment, WallTime};

/// A kept value.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// The value; without bytes once it is no longer kept.
    pub(crate) value: VerifiedValue,
    pub(crate) ttl: u16,
    /// 0 is the configured default.
    pub(crate) replication: u8,
    pub(crate) until: Option<WallTime>,
    pub(crate) end: Option<WallTime>,
    pub(crate) state: KeptState,
    /// The version of the last publication.
    pub(crate) version: u64,
    pub(crate) published: Option<WallTime>,
    /// Until when the last publication of this run is a floor for reads.
    pub(crate) floor_until: Option<BootTime>,
    pub(crate) replicas: Option<usize>,
    /// Why the last publication failed.
    pub(crate) failure: Option<PutFailure>,
    /// Publications that have failed since the last one that succeeded.
    failures: u32,
    due: Option<Moment>,
}

impl Entry {
    pub(crate) fn new(
        value: VerifiedValue,
        ttl: u16,
        replication: u8,
        until: Option<WallTime>,
    ) -> Self {
        let end = end_of(&value, until);
        Self {
            value,
            ttl,
            replication,
            until,
            end,
            state: KeptState::Kept,
            version: 0,
            published: None,
            floor_until: None,
            replicas: None,
            failure: None,
            failures: 0,
            due: None,
        }
    }

    /// Takes over another value of the same key.
    pub(crate) fn replace_value(&mut self, value: VerifiedValue) {
        self.end = end_of(&value, self.until);
        self.value = value;
        self.failures = 0;
        self.failure = None;
    }

    pub(crate) fn is_kept(&self) -> bool {
        self.state == KeptState::Kept
    }

    /// Whether its last publication failed.
    fn is_failing(&self) -> bool {
        self.is_kept() && self.failures > 0
    }

    pub(crate) fn has_ended(&self, now: WallTime) -> bool {
        self.end.is_some_and(|end| end <= now)
    }

    /// What the disk remembers of it.
    pub(crate) fn row(&self, key: Key) -> KeptRow {
        KeptRow {
            key,
            ttl: self.ttl,
            replication: self.replication,
            version: self.version,
            until: self.until,
            published: self.published,
            state: self.state,
            class: Some(self.value.class().into()),
        }
    }

    /// The floor that its last publication sets for reads at this node.
    pub(crate) fn floor(&self, now: BootTime, latest: u64) -> Option<Published> {
        let is_floor = self.is_kept() && self.floor_until? > now && self.version <= latest;
        is_floor.then(|| Published { value: self.value.clone(), version: self.version })
    }

    fn view(&self, key: Key, now: Moment) -> KeptView {
        KeptView {
            key,
            bytes: self.value.bytes().len(),
            class: self.value.class(),
            envelope: self.value.envelope(),
            state: self.state,
            ttl: self.ttl,
            end: self.end,
            published: self.published,
            next: self.is_kept().then(|| self.due.map(|due| due.since(now)).unwrap_or_default()),
            replicas: self.replicas,
            failure: self.failure,
        }
    }
}

/// See the module's description.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    limits: KeptLimits,
    entries: BTreeMap<Key, Entry>,
    due: BTreeSet<(Moment, Key)>,
    /// Entries that are no longer kept.
    over: BTreeSet<Key>,
    usage: KeptUsage,
}

impl Table {
    pub(crate) fn new(limits: KeptLimits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// How much is kept, and how that goes.
    pub(crate) fn usage(&self) -> KeptUsage {
        self.usage
    }

    pub(crate) fn get(&self, key: &Key) -> Option<&Entry> {
        self.entries.get(key)
    }

    /// To change what does not move its place in an index: see [`Self::set_due`], [`Self::stop`] and
    /// [`Self::insert`] for the rest.
    pub(crate) fn get_mut(&mut self, key: &Key) -> Option<&mut Entry> {
        self.entries.get_mut(key)
    }

    /// Keeps a value in place of any other of its key. Returns the entry that gave way, if one that is
    /// no longer kept had to.
    ///
    /// # Errors
    /// [`KeepRefusal::Full`], and nothing has changed.
    pub(crate) fn insert(&mut self, key: Key, entry: Entry) -> Result<Option<Key>, KeepRefusal> {
        let replaced = self.entries.get(&key);
        let freed = replaced.map_or(0, |old| old.value.bytes().len());
        let bytes = self.usage.bytes - freed + entry.value.bytes().len();
        if bytes > self.limits.max_bytes {
            return Err(KeepRefusal::Full { limit: Limit::MaxKeptBytes });
        }
        let mut gave_way = None;
        if replaced.is_none() && self.entries.len() >= self.limits.max_values {
            let full = KeepRefusal::Full { limit: Limit::MaxKeptValues };
            gave_way = Some(self.over.first().copied().ok_or(full)?);
        }
        self.remove(&key);
        if let Some(over) = &gave_way {
            self.remove(over);
        }
        self.add(key, Entry { due: None, ..entry });
        Ok(gave_way)
    }

    /// Removes an entry, kept or not.
    pub(crate) fn remove(&mut self, key: &Key) -> Option<Entry> {
        let entry = self.entries.remove(key)?;
        self.usage.bytes -= entry.value.bytes().len();
        self.usage.values[entry.state.slot()] -= 1;
        self.usage.failing -= usize::from(entry.is_failing());
        self.over.remove(key);
        if let Some(due) = entry.due {
            self.due.remove(&(due, *key));
        }
        Some(entry)
    }

    /// An entry is no longer kept: its value is dropped.
    pub(crate) fn stop(&mut self, key: &Key, state: KeptState) {
        let Some(mut entry) = self.remove(key) else { return };
        entry.state = state;
        entry.value = VerifiedValue::of_class(bytes::Bytes::new(), entry.value.class());
        entry.due = None;
        self.add(*key, entry);
    }

    fn add(&mut self, key: Key, entry: Entry) {
        self.usage.bytes += entry.value.bytes().len();
        self.usage.values[entry.state.slot()] += 1;
        self.usage.failing += usize::from(entry.is_failing());
        if !entry.is_kept() {
            self.over.insert(key);
        }
        self.entries.insert(key, entry);
    }

    /// A publication has failed. Returns how many have, one after the other.
    pub(crate) fn note_failure(&mut self, key: &Key) -> u32 {
        let Some(entry) = self.entries.get_mut(key).filter(|entry| entry.is_kept()) else {
            return 0;
        };
        self.usage.failing += usize::from(!entry.is_failing());
        entry.failures = entry.failures.saturating_add(1);
        entry.failures
    }

    /// A publication has succeeded.
    pub(crate) fn note_success(&mut self, key: &Key) {
        let Some(entry) = self.entries.get_mut(key) else { return };
        self.usage.failing -= usize::from(entry.is_failing());
        entry.failure = None;
        entry.failures = 0;
    }

    /// When it is to be published next; `None` while that is under way.
    pub(crate) fn set_due(&mut self, key: &Key, at: Option<Moment>) {
        let Some(entry) = self.entries.get_mut(key).filter(|entry| entry.is_kept()) else { return };
        if let Some(old) = std::mem::replace(&mut entry.due, at) {
            self.due.remove(&(old, *key));
        }
        if let Some(at) = at {
            self.due.insert((at, *key));
        }
    }

    /// The entry that is due first.
    pub(crate) fn first_due(&self) -> Option<(Moment, Key)> {
        self.due.first().copied()
    }

    /// Entries from a key on that are due by their own soon: within `share` of their TTL.
    pub(crate) fn due_from(
        &self,
        from: Key,
        now: Moment,
        share: f64,
    ) -> impl Iterator<Item = (Key, bool)> + '_ {
        self.entries.range((Bound::Included(from), Bound::Unbounded)).map(move |(key, entry)| {
            let soon = now + Duration::from_secs(entry.ttl.into()).mul_f64(share);
            (*key, entry.due.is_some_and(|due| due <= soon))
        })
    }

    /// All entries, by key.
    pub(crate) fn views(&self, now: Moment) -> Vec<KeptView> {
        self.entries.iter().map(|(key, entry)| entry.view(*key, now)).collect()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::record::order::Class;

    fn entry(bytes: usize) -> Entry {
        let value = VerifiedValue::of_class(Bytes::from(vec![1; bytes]), Class::Plain);
        Entry::new(value, 60, 0, None)
    }

    fn key(number: u8) -> Key {
        Key::from_bytes([number; 32])
    }

    #[test]
    fn bounds_are_refused_by_name_and_entries_that_are_over_give_way() {
        let mut table = Table::new(KeptLimits { max_values: 2, max_bytes: 100 });
        let full = |limit| Err(KeepRefusal::Full { limit });
        assert_eq!(table.insert(key(1), entry(60)), Ok(None));
        assert_eq!(table.insert(key(2), entry(41)), full(Limit::MaxKeptBytes));
        assert_eq!(table.insert(key(1), entry(100)), Ok(None), "it replaces its own bytes");
        assert_eq!(table.insert(key(1), entry(10)), Ok(None));
        assert_eq!(table.insert(key(2), entry(10)), Ok(None));
        assert_eq!(table.insert(key(3), entry(10)), full(Limit::MaxKeptValues));
        check_usage(&table, [2, 0, 0], 20);
        table.stop(&key(1), KeptState::Superseded);
        check_usage(&table, [1, 1, 0], 10);
        assert_eq!(table.views(Moment::default())[0].state, KeptState::Superseded);
        assert_eq!(table.insert(key(3), entry(10)), Ok(Some(key(1))));
        assert!(table.get(&key(1)).is_none());
        assert_eq!(table.remove(&key(2)).map(|entry| entry.value.bytes().len()), Some(10));
        check_usage(&table, [1, 0, 0], 10);
    }

    fn check_usage(table: &Table, values: [usize; KeptState::COUNT], bytes: usize) {
        assert_eq!(table.usage(), KeptUsage { values, bytes, failing: 0 });
    }

    #[test]
    fn failing_values_are_counted_once_until_one_publication_succeeds_or_they_are_gone() {
        let mut table = Table::new(KeptLimits::default());
        for number in 1..=4 {
            table.insert(key(number), entry(1)).unwrap();
        }
        assert_eq!((table.note_failure(&key(1)), table.note_failure(&key(1))), (1, 2));
        for number in 2..=4 {
            table.note_failure(&key(number));
        }
        assert_eq!(table.usage().failing, 4);
        table.note_success(&key(1));
        table.note_success(&key(1));
        assert_eq!(table.usage().failing, 3);
        table.stop(&key(2), KeptState::Superseded);
        assert_eq!((table.usage().failing, table.note_failure(&key(2))), (2, 0));
        table.remove(&key(3));
        let mut adopted = table.get(&key(4)).unwrap().clone();
        adopted.replace_value(VerifiedValue::of_class("newer".into(), Class::Plain));
        table.insert(key(4), adopted).unwrap();
        let usage = KeptUsage { values: [2, 1, 0], bytes: 6, failing: 0 };
        assert_eq!(table.usage(), usage);
    }

    #[test]
    fn what_is_due_is_found_by_time_and_by_region() {
        let mut table = Table::new(KeptLimits::default());
        let at = |seconds| Moment::default() + Duration::from_secs(seconds);
        for (number, seconds) in [(1, 5), (2, 3), (3, 90)] {
            table.insert(key(number), entry(1)).unwrap();
            table.set_due(&key(number), Some(at(seconds)));
        }
        assert_eq!(table.first_due(), Some((at(3), key(2))));
        let soon: Vec<_> = table.due_from(key(1), at(3), 0.1).collect();
        assert_eq!(soon, [(key(1), true), (key(2), true), (key(3), false)]);
        table.set_due(&key(2), None);
        assert_eq!(table.first_due(), Some((at(5), key(1))));
        table.stop(&key(1), KeptState::Ended);
        table.set_due(&key(1), Some(at(0)));
        assert_eq!(table.first_due(), Some((at(90), key(3))), "what is over is never due");
    }
}
