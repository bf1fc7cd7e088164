//! This node's publications: read-your-writes for its GETs, and the clock of its versions.
//!
//! A program that has PUT a value at this node must find it, or a newer one, at this node, whatever
//! the replicas say. That applies until the publication expires, and unless its version is from the
//! future for replicas: a publication made while the clock was wrong, or refused for its version,
//! counts neither for reads nor for versions. A publication that is lower in the order of records,
//! such as an older signed value, does not replace a higher one here. The table is bounded; beyond
//! the bound the oldest publication is dropped, and its replicas decide as for any value.

use std::collections::{BTreeMap, BTreeSet};

use voiddht_wire::Key;
use voiddht_wire::peer::Record;

use crate::operation::Published;
use crate::record::value::VerifiedValue;
use crate::time::{BootTime, Now};

/// Publications remembered, at most.
const MAX_PUBLICATIONS: usize = 4096;
/// Bytes of their values, at most. With [`MAX_PUBLICATIONS`] entries of about 200 bytes this is
/// all the memory that the table can take.
const MAX_PUBLISHED_BYTES: usize = 8 << 20;

#[derive(Debug)]
struct Entry {
    published: Published,
    expires: BootTime,
    order: u64,
}

#[derive(Debug, Default)]
pub(super) struct Publications {
    by_key: BTreeMap<Key, Entry>,
    by_age: BTreeSet<(u64, Key)>,
    by_expiry: BTreeSet<(BootTime, Key)>,
    next: u64,
    bytes: usize,
    /// Publications that were forgotten for want of room, until they are counted.
    evicted: usize,
}

impl Publications {
    /// Remembers a publication, and gives it its version: the clock's, or one more than the
    /// last of this key, so that a later PUT always replaces an earlier one. `latest` is the
    /// highest version that is not from the future.
    pub(super) fn publish(
        &mut self,
        key: Key,
        value: VerifiedValue,
        expires: BootTime,
        now: Now,
        latest: u64,
    ) -> u64 {
        let last = self.get(&key, now.boot, latest).map_or(0, |published| published.version);
        let version = now.wall.as_millis().max(last + 1).min(latest);
        let published = Published { value, version };
        let floor = self.get(&key, now.boot, latest);
        if floor.is_some_and(|floor| floor.rank() > published.rank()) {
            return version;
        }
        self.forget(&key);
        self.bytes += published.value.bytes().len();
        self.by_age.insert((self.next, key));
        self.by_expiry.insert((expires, key));
        self.by_key.insert(key, Entry { published, expires, order: self.next });
        self.next += 1;
        while self.by_key.len() > MAX_PUBLICATIONS || self.bytes > MAX_PUBLISHED_BYTES {
            let Some((_, oldest)) = self.by_age.first().copied() else { break };
            self.forget(&oldest);
            self.evicted += 1;
        }
        version
    }

    /// Publications that were forgotten for want of room since the last call.
    pub(super) fn take_evicted(&mut self) -> usize {
        std::mem::take(&mut self.evicted)
    }

    /// The record of a publication was stored with a higher version in the end.
    pub(super) fn raise(&mut self, record: &Record) {
        if let Some(entry) = self.by_key.get_mut(&record.key)
            && *entry.published.value.bytes() == record.value
            && let Some(version) = record.version
        {
            entry.published.version = entry.published.version.max(version);
        }
    }

    /// What was published under this key, has not expired, and is no later than `latest`.
    pub(super) fn get(&self, key: &Key, now: BootTime, latest: u64) -> Option<&Published> {
        let entry = self.by_key.get(key)?;
        let is_floor = entry.expires > now && entry.published.version <= latest;
        is_floor.then_some(&entry.published)
    }

    /// Whether something was published under this key that has not expired.
    pub(super) fn has(&self, key: &Key, now: BootTime) -> bool {
        self.by_key.get(key).is_some_and(|entry| entry.expires > now)
    }

    /// Forgets the publications that have expired.
    pub(super) fn expire(&mut self, now: BootTime) {
        while let Some((expires, key)) = self.by_expiry.first().copied()
            && expires <= now
        {
            self.forget(&key);
        }
    }

    /// When the next publication expires.
    pub(super) fn next_expiry(&self) -> Option<BootTime> {
        self.by_expiry.first().map(|(expires, _)| *expires)
    }

    /// The replicas refused a publication for its version: it is nowhere to be read.
    pub(super) fn withdraw(&mut self, record: &Record) {
        let is_last = |entry: &Entry| Some(entry.published.version) == record.version;
        if self.by_key.get(&record.key).is_some_and(is_last) {
            self.forget(&record.key);
        }
    }

    fn forget(&mut self, key: &Key) {
        if let Some(entry) = self.by_key.remove(key) {
            self.bytes -= entry.published.value.bytes().len();
            self.by_age.remove(&(entry.order, *key));
            self.by_expiry.remove(&(entry.expires, *key));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use voiddht_signed::Precedence;

    use super::*;
    use crate::record::order::Class;
    use crate::time::{Moment, WallTime};

    fn plain(value: impl Into<Bytes>) -> VerifiedValue {
        VerifiedValue::of_class(value.into(), Class::Plain)
    }

    #[test]
    fn an_older_signed_value_does_not_lower_the_floor() {
        let mut publications = Publications::default();
        let (key, expires) = (Key::default(), BootTime::default() + Duration::from_secs(60));
        let mut publish = |body: &'static str, seq| {
            let class = Class::Signed(Precedence { generation: 0, seq });
            let value = VerifiedValue::of_class(body.into(), class);
            publications.publish(key, value, expires, now(5), 100);
            publications.get(&key, now(5).boot, 100).map(|floor| floor.value.bytes().clone())
        };
        assert_eq!(publish("new", 7).unwrap(), "new");
        assert_eq!(publish("old", 6).unwrap(), "new");
        assert_eq!(publish("newer", 8).unwrap(), "newer");
        publications.publish(key, plain("plain"), expires, now(6), 100);
        let floor = publications.get(&key, now(6).boot, 100).unwrap();
        assert_eq!(floor.value.bytes(), "newer");
    }

    fn now(millis: u64) -> Now {
        Now::never_suspended(Moment::from_micros(millis * 1000), WallTime::from_millis(millis))
    }

    #[test]
    fn versions_of_a_key_rise_even_within_a_millisecond_and_against_the_clock() {
        let mut publications = Publications::default();
        let expires = BootTime::default() + Duration::from_secs(60);
        let mut publish = |millis| {
            let value = plain("v");
            publications.publish(Key::default(), value, expires, now(millis), millis + 10)
        };
        assert_eq!([publish(5), publish(5), publish(2), publish(9)], [5, 6, 7, 9]);
    }

    /// After a PUT while the clock was two hours ahead, all later PUTs of that key failed until the
    /// clock had caught up, and GETs returned what no other node had.
    #[test]
    fn a_publication_that_has_expired_or_is_from_the_future_is_no_floor() {
        let key = Key::default();
        let value = || plain("v");
        let expires = BootTime::default() + Duration::from_secs(60);
        let mut publications = Publications::default();
        publications.publish(key, value(), expires, now(7_000), 7_010);
        assert!(publications.get(&key, now(9).boot, 7_010).is_some());
        assert_eq!(publications.get(&key, now(9).boot, 19), None);
        assert_eq!(publications.publish(key, value(), now(12).boot, now(10), 20), 10);
        assert_eq!(publications.publish(key, value(), expires, now(11), 21), 11);
        let expired = Now { boot: expires, ..now(10) };
        assert_eq!(publications.publish(key, value(), expires, expired, 20), 10);
    }

    #[test]
    fn what_the_replicas_refused_is_no_floor() {
        let key = Key::default();
        let expires = BootTime::default() + Duration::from_secs(60);
        let mut publications = Publications::default();
        let value = plain("v");
        let version = publications.publish(key, value.clone(), expires, now(5), 15);
        let refused = |version| Record {
            key,
            value: value.bytes().clone(),
            ttl: 60,
            version: Some(version),
            maintenance: false,
        };
        publications.withdraw(&refused(version - 1));
        assert!(publications.get(&key, now(5).boot, 15).is_some(), "that was another PUT");
        publications.withdraw(&refused(version));
        assert_eq!(publications.get(&key, now(5).boot, 15), None);
    }

    #[test]
    fn a_publication_is_forgotten_when_it_expires_and_when_room_is_needed() {
        let mut publications = Publications::default();
        let expires = BootTime::default() + Duration::from_secs(60);
        for index in 0..=MAX_PUBLICATIONS {
            let key = Key::of_value(&index.to_be_bytes());
            publications.publish(key, plain("v"), expires, now(0), 10);
        }
        let first = Key::of_value(&0usize.to_be_bytes());
        let last = Key::of_value(&MAX_PUBLICATIONS.to_be_bytes());
        assert_eq!(publications.get(&first, BootTime::default(), 10), None);
        assert!(publications.get(&last, BootTime::default(), 10).is_some());
        assert_eq!(publications.get(&last, expires, 10), None);
        assert_eq!(publications.next_expiry(), Some(expires));
        publications.expire(now(59_999).boot);
        assert_eq!(publications.by_key.len(), MAX_PUBLICATIONS);
        publications.expire(expires);
        let left = (publications.by_key.len(), publications.by_age.len(), publications.bytes);
        assert_eq!((left, publications.next_expiry()), ((0, 0, 0), None), "nor does it take room");
        let big = plain(vec![0; MAX_PUBLISHED_BYTES + 1]);
        publications.publish(first, big, expires, now(0), 10);
        assert_eq!((publications.by_key.len(), publications.bytes), (0, 0));
    }
}
