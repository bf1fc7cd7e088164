//! Admission: whether an offered record is taken, what that does to the one that is held, and to which
//! account it is charged.

use voiddht_signed::{Claim, Refused};

use super::held::{Record, cost};
use super::offer::{Bill, Offer};
use super::order::{self, Class, Rank, Standing};
use super::place::place;
use super::refusal::Refusal;
use super::replaced::Replaced;
use super::room::Room;
use super::value::{self, VerifiedValue};
use super::{Accepted, RecordStore};
use crate::time::{BootTime, Now};

impl RecordStore {
    /// Takes an offer, whose class is checked first.
    pub(super) fn take(
        &mut self,
        offer: Offer,
        bill: Option<Bill>,
        now: Now,
    ) -> Result<Accepted, Refusal> {
        let class = self.classify(&offer, bill.as_ref(), now)?;
        self.take_verified(offer.of_class(class), bill, now)
    }

    /// Takes an offer whose value was verified.
    pub(super) fn take_verified(
        &mut self,
        offer: Offer<VerifiedValue>,
        bill: Option<Bill>,
        now: Now,
    ) -> Result<Accepted, Refusal> {
        let latest = self.limits.latest_version(now.wall);
        self.take_within(latest, offer.within_its_end(now), bill, now.boot)
    }

    /// The class of an offered value. What is held is not verified again; what loses to it by
    /// generation and sequence number is refused before its signatures are checked.
    fn classify(&mut self, offer: &Offer, bill: Option<&Bill>, now: Now) -> Result<Class, Refusal> {
        let held = self.get(&offer.key, now.boot);
        if let Some(held) = held.filter(|held| *held.value.bytes() == offer.value) {
            return Ok(held.value.class());
        }
        let envelope = match Claim::of(&offer.key, &offer.value) {
            Claim::ContentAddressed => return Ok(Class::ContentAddressed),
            Claim::Plain => return Ok(Class::Plain),
            Claim::Signed(envelope) => envelope,
        };
        let class = Class::Signed(envelope.precedence());
        if let Some(held) = held.filter(|held| class < held.value.class()) {
            order::judge(held.rank(), Rank::new(class, &offer.value, offer.version))?;
        }
        let seconds = value::seconds(now.wall);
        if envelope.has_expired(seconds) {
            return Err(Refusal::Envelope(Refused::Expired));
        }
        if let Some(Bill { account, .. }) = bill {
            self.signatures.admit(account, envelope.signature_checks(), now.mono)?;
        }
        envelope.verify(seconds).map_err(Refusal::Envelope)?;
        Ok(class)
    }

    /// Takes an offer, unless its version is beyond `latest`. What is held already passed that test
    /// once, by a clock that may have been another.
    pub(super) fn take_within(
        &mut self,
        latest: u64,
        offer: Offer<VerifiedValue>,
        bill: Option<Bill>,
        now: BootTime,
    ) -> Result<Accepted, Refusal> {
        if offer.expires <= now {
            return Err(Refusal::Expired);
        }
        let held = self.get(&offer.key, now);
        let standing = held.map(|held| standing(held, &offer, latest)).transpose()?;
        let is_known = held.is_some_and(|held| held.version == offer.version);
        let is_renewing_copy = standing == Some(Standing::Renews) && offer.maintenance;
        if offer.version > latest && !is_known && !is_renewing_copy {
            return Err(Refusal::FutureVersion);
        }
        match standing {
            Some(Standing::Same) => Ok(Accepted::default()),
            Some(Standing::Renews) => Ok(self.renew(&offer, latest)),
            Some(Standing::Replaces) | None => self.admit(offer, bill),
        }
    }

    /// Moves the deadline of the held record, whose bytes these are, to that of a publication if
    /// that is later. The higher version is kept. The record stays charged as it is: see
    /// [`Self::bill_for`].
    fn renew(&mut self, offer: &Offer<VerifiedValue>, latest: u64) -> Accepted {
        let Some(held) = self.records.get_mut(&offer.key) else { return Accepted::default() };
        let before = (held.expires, held.version);
        if !offer.maintenance {
            held.expires = held.expires.max(offer.expires);
        }
        if offer.version <= latest {
            held.version = held.version.max(offer.version);
        }
        let after = (held.expires, held.version);
        if self.expiries.remove(&(before.0, offer.key)) {
            self.expiries.insert((after.0, offer.key));
        }
        Accepted { changed: before != after, ..Accepted::default() }
    }

    fn admit(
        &mut self,
        offer: Offer<VerifiedValue>,
        bill: Option<Bill>,
    ) -> Result<Accepted, Refusal> {
        let replaced = self.records.get(&offer.key).map(|held| Replaced::by(&offer, held));
        let bill = self.bill_for(bill, replaced.as_ref());
        if let Some(Bill { account, charge }) = &bill {
            let released = replaced.and_then(|held| held.charged());
            self.quota.check(account, *charge, cost(offer.value.bytes()), released)?;
        }
        let Room { evicted, gave_way } = self.room_for(&offer, bill.as_ref(), replaced.as_ref())?;
        for key in &evicted {
            self.remove(key);
        }
        if replaced.is_some() {
            self.remove(&offer.key);
        }
        let cached = replaced.is_some_and(|held| held.cached);
        self.insert(offer, bill, cached);
        Ok(Accepted { changed: true, evicted, gave_way })
    }

    /// To which account an offer goes. The very value that is held stays where it is charged,
    /// whichever account publishes it again: otherwise a flood could draw the values of others into
    /// its account, and have them dropped with its own.
    fn bill_for(&self, bill: Option<Bill>, replaced: Option<&Replaced>) -> Option<Bill> {
        let bill = bill?;
        match replaced {
            Some(held) if held.is_same_value => self.bill_to(held.charged_to?),
            _ => Some(bill),
        }
    }

    fn insert(&mut self, offer: Offer<VerifiedValue>, bill: Option<Bill>, cached: bool) {
        let Offer { key, value, version, expires, maintenance: _ } = offer;
        let value = value.compact();
        let cost = cost(value.bytes());
        let charged_to = bill.map(|bill| self.quota.charge(&bill.account, bill.charge, cost));
        let record = Record { value, version, expires, cached, charged_to };
        self.bytes += cost;
        self.expiries.insert((expires, key));
        self.places.insert(place(&self.own, &key, &record));
        self.records.insert(key, record);
    }
}

/// How an offer relates to the held record, where it does not lose to it.
fn standing(held: &Record, offer: &Offer<VerifiedValue>, latest: u64) -> Result<Standing, Refusal> {
    let offered = offer.value.rank(offer.version);
    let is_held_from_future = held.value.class() == Class::Plain && held.version > latest;
    if is_held_from_future && offer.version <= latest {
        return Ok(Standing::Replaces);
    }
    order::judge(held.rank(), offered)
}
