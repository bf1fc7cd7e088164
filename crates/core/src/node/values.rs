//! The values that this node holds for the network, has published and has verified; and taking
//! records to hold.

use std::time::Duration;

use bytes::Bytes;
use voiddht_signed::Refused;
use voiddht_wire::Key;
use voiddht_wire::peer::Record;

use super::context::Context;
use super::published::Publications;
use super::verified::Verified;
use crate::event::{Notice, StoredRecord, Write};
use crate::operation::Published;
use crate::record::order::Class;
use crate::record::value::VerifiedValue;
use crate::record::{Bill, Offer, RecordLimits, RecordStore, Refusal};
use crate::time::BootTime;

/// See the module's description.
#[derive(Debug)]
pub(super) struct Values {
    pub(super) records: RecordStore,
    pub(super) published: Publications,
    pub(super) verified: Verified,
}

/// Where a record comes from.
#[derive(Clone, Copy, Debug)]
pub(super) enum Source {
    /// From a peer, whose account it is charged to. It is verified before it is held.
    Peer(Bill),
    /// From a local program. The PUT has verified it, and it is charged to no account.
    Verified(Class),
}

/// A record that is held, after it was offered.
#[derive(Debug)]
pub(super) struct Taken {
    /// What must be written, if anything: a record that was held already may still be on its way to
    /// the disk, or have failed to reach it.
    pub(super) to_write: Option<StoredRecord>,
    /// What the offer was to upkeep.
    pub(super) news: News,
}

/// What a record that was taken is to upkeep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// It is new here, or has changed.
    Changed,
    /// Another holder's copy of what was held already.
    Copy,
    /// Nothing: a publication of what was held already.
    None,
}

impl Values {
    pub(super) fn new(own: voiddht_wire::NodeId, limits: RecordLimits) -> Self {
        Self {
            records: RecordStore::new(own, limits),
            published: Publications::default(),
            verified: Verified::default(),
        }
    }

    /// Checks what a local program hands over, unless these bytes were verified before.
    ///
    /// # Errors
    /// [`Refused`], as of [`VerifiedValue::check`].
    pub(super) fn verify(
        &mut self,
        cx: &Context,
        key: &Key,
        value: &Bytes,
    ) -> Result<VerifiedValue, Refused> {
        let held = self.held_value(cx, key);
        self.verified.check(key, value, held, cx.now.wall)
    }

    /// Values of a key whose class was checked before: the record held here, and what was read or
    /// published last. They may have expired since.
    pub(super) fn verified_before(
        &self,
        cx: &Context,
        key: &Key,
    ) -> impl Iterator<Item = VerifiedValue> + use<> {
        self.held_value(cx, key).into_iter().chain(self.verified.get(key).cloned())
    }

    /// What this node published under a key, or `kept` there: the highest-ranking.
    pub(super) fn floor(
        &self,
        cx: &Context,
        key: &Key,
        kept: Option<Published>,
    ) -> Option<Published> {
        let published = self.published.get(key, cx.now.boot, cx.latest_version()).cloned();
        match (published, kept) {
            (Some(one), Some(other)) if other.rank() > one.rank() => Some(other),
            (Some(one), _) => Some(one),
            (None, other) => other,
        }
    }

    /// Takes over a record that an earlier run left on disk, or removes it there.
    pub(super) fn restore(
        &mut self,
        cx: &mut Context,
        record: StoredRecord,
        remaining: Duration,
    ) -> bool {
        let offer = Offer {
            key: record.key,
            value: record.value,
            version: record.version,
            expires: cx.now.boot + remaining,
            maintenance: true,
        };
        let restored = self.records.restore(record.bill, offer, record.class, cx.now).is_ok();
        if !restored {
            cx.persist(vec![Write::RemoveRecord(record.key)]);
        }
        restored
    }

    /// Keeps a record in memory, charged to the account of the peer that brought it.
    pub(super) fn keep(
        &mut self,
        cx: &mut Context,
        record: Record,
        source: Source,
    ) -> Result<Taken, Refusal> {
        let Record { key, value, ttl, version, maintenance } = record;
        let ttl = Duration::from_secs(ttl.into()).min(cx.config.max_ttl);
        let version = version.unwrap_or_else(|| cx.now.wall.as_millis());
        let expires = cx.now.boot + ttl;
        let offer = Offer { key, value, version, expires, maintenance };
        let taken = match source {
            Source::Peer(bill) => self.records.offer_from(bill, offer, cx.now),
            Source::Verified(class) => self.records.offer_verified(offer.of_class(class), cx.now),
        };
        let accepted = taken.inspect_err(|refusal| self.note_refused(cx, refusal, source))?;
        if let Some((account, used)) = accepted.gave_way {
            let evicted = accepted.evicted.len();
            cx.notice(Notice::AccountLimited { account, used, evicted });
        }
        let gone: Vec<Write> = accepted.evicted.into_iter().map(Write::RemoveRecord).collect();
        if !gone.is_empty() {
            cx.persist(gone);
        }
        if !accepted.changed {
            let news = if maintenance { News::Copy } else { News::None };
            let to_write = if cx.is_durable(&key) { None } else { self.stored(cx, &key) };
            return Ok(Taken { to_write, news });
        }
        if self.records.is_filling() && cx.own_rank(&key) >= cx.config.k {
            self.records.mark_cached(&key, true);
        }
        Ok(Taken { to_write: self.stored(cx, &key), news: News::Changed })
    }

    /// When next something expires.
    pub(super) fn next_expiry(&self) -> Option<BootTime> {
        self.records.next_expiry().into_iter().chain(self.published.next_expiry()).min()
    }

    /// Forgets what has expired.
    pub(super) fn expire(&mut self, cx: &mut Context) {
        self.published.expire(cx.now.boot);
        let expired = self.records.expire(cx.now.boot);
        if !expired.is_empty() {
            let writes = expired.into_iter().map(Write::RemoveRecord).collect();
            cx.persist(writes);
        }
    }

    fn note_refused(&self, cx: &mut Context, refusal: &Refusal, source: Source) {
        if matches!(source, Source::Peer(_)) {
            cx.notice(Notice::StoreRefused { why: refusal.reason() });
        }
        if let Refusal::Full { limit } = refusal {
            cx.limit_reached(*limit);
            if let Some((account, used)) = self.records.largest_account() {
                cx.notice(Notice::AccountLimited { account, used, evicted: 0 });
            }
        }
    }

    fn stored(&self, cx: &Context, key: &Key) -> Option<StoredRecord> {
        let record = self.records.get(key, cx.now.boot)?;
        Some(StoredRecord {
            key: *key,
            value: record.value.bytes().clone(),
            version: record.version,
            class: Some(record.value.class().into()),
            written: cx.now.wall,
            expires: cx.now.wall + record.expires.since(cx.now.boot),
            bill: self.records.bill_of(record),
        })
    }

    fn held_value(&self, cx: &Context, key: &Key) -> Option<VerifiedValue> {
        self.records.get(key, cx.now.boot).map(|record| record.value.clone())
    }
}

/// The record of this key, as FIND_VALUE_REPLY and hand-over carry it. In its last second its
/// ttl reads 0: it is still found, and no longer copied.
pub(super) fn held(records: &RecordStore, key: &Key, now: BootTime) -> Option<Record> {
    let record = records.get(key, now)?;
    // Rounded down, so that no copy outlives the original.
    let ttl = u16::try_from(record.expires.since(now).as_secs()).unwrap_or(u16::MAX);
    Some(Record {
        key: *key,
        value: record.value.bytes().clone(),
        ttl,
        version: Some(record.version),
        maintenance: false,
    })
}
