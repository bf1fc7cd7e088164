//! What this node published: the floor for its own GETs, and the clock of its versions.
//!
//! A program that has PUT a value at this node must find it, or a newer one, at this node,
//! whatever the replicas say. The table is bounded; what falls out of it is the oldest
//! publication, whose replicas then speak for themselves.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use voiddht_wire::Key;
use voiddht_wire::peer::Record;

use crate::operation::Published;
use crate::time::{Moment, Now};

/// Publications remembered, at most.
const MAX_PUBLICATIONS: usize = 4096;
/// Bytes of their values, at most. With [`MAX_PUBLICATIONS`] entries of about 200 bytes this is
/// all the memory that the table can take.
const MAX_PUBLISHED_BYTES: usize = 8 << 20;

#[derive(Debug)]
struct Entry {
    published: Published,
    expires: Moment,
    order: u64,
}

#[derive(Debug, Default)]
pub(super) struct Publications {
    by_key: BTreeMap<Key, Entry>,
    by_age: BTreeSet<(u64, Key)>,
    next: u64,
    bytes: usize,
    /// Publications that were forgotten for want of room, until they are counted.
    evicted: usize,
}

impl Publications {
    /// Remembers a publication, and gives it its version: the clock's, or one more than the
    /// last of this key, so that a later PUT always replaces an earlier one.
    pub(super) fn publish(&mut self, key: Key, value: Bytes, expires: Moment, now: Now) -> u64 {
        let last = self.by_key.get(&key).map_or(0, |entry| entry.published.version);
        let version = now.wall.as_millis().max(last + 1);
        self.forget(&key);
        self.bytes += value.len();
        self.by_age.insert((self.next, key));
        let published = Published { value, version };
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
            && entry.published.value == record.value
            && let Some(version) = record.version
        {
            entry.published.version = entry.published.version.max(version);
        }
    }

    /// What was published under this key and has not expired.
    pub(super) fn get(&self, key: &Key, now: Moment) -> Option<Published> {
        let entry = self.by_key.get(key)?;
        (entry.expires > now).then(|| entry.published.clone())
    }

    fn forget(&mut self, key: &Key) {
        if let Some(entry) = self.by_key.remove(key) {
            self.bytes -= entry.published.value.len();
            self.by_age.remove(&(entry.order, *key));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::time::WallTime;

    fn now(millis: u64) -> Now {
        Now { mono: Moment::from_micros(millis * 1000), wall: WallTime::from_millis(millis) }
    }

    #[test]
    fn versions_of_a_key_rise_even_within_a_millisecond_and_against_the_clock() {
        let mut publications = Publications::default();
        let expires = Moment::default() + Duration::from_secs(60);
        let mut publish = |millis| {
            publications.publish(Key::default(), Bytes::from_static(b"v"), expires, now(millis))
        };
        assert_eq!([publish(5), publish(5), publish(2), publish(9)], [5, 6, 7, 9]);
    }

    #[test]
    fn a_publication_is_forgotten_when_it_expires_and_when_room_is_needed() {
        let mut publications = Publications::default();
        let expires = Moment::default() + Duration::from_secs(60);
        for index in 0..=MAX_PUBLICATIONS {
            let key = Key::of_value(&index.to_be_bytes());
            publications.publish(key, Bytes::from_static(b"v"), expires, now(0));
        }
        let first = Key::of_value(&0usize.to_be_bytes());
        let last = Key::of_value(&MAX_PUBLICATIONS.to_be_bytes());
        assert_eq!(publications.get(&first, Moment::default()), None);
        assert!(publications.get(&last, Moment::default()).is_some());
        assert_eq!(publications.get(&last, expires), None);
        let big = Bytes::from(vec![0; MAX_PUBLISHED_BYTES + 1]);
        publications.publish(first, big, expires, now(0));
        assert_eq!((publications.by_key.len(), publications.bytes), (0, 0));
    }
}
