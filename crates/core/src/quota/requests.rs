//! Request rates of a peer, and of all peers of its prefix together: token buckets.
//!
//! A bucket is stored as the moment at which it will be full again (the "virtual scheduling" form
//! of the generic cell rate algorithm, ITU-T I.371): eight bytes, exact, and a full bucket need not
//! be stored. So full buckets can be dropped without effect, and the table stays small: at its
//! limit, and until buckets have filled, peers without a bucket of their own share one.

use std::collections::BTreeMap;
use std::time::Duration;

use super::account::{Account, Owner, QuotaReached};
use crate::diversity::{AddressPrefix, is_private, prefixes};
use crate::time::Moment;

/// Requests of one peer per second in the long run: a node that serves 100 concurrent users asks
/// one peer less often. A guess.
pub const PEER_RATE: u32 = 500;
/// Burst of one peer after an idle time: a hand-over of some thousand records. A guess.
pub const PEER_BURST: u32 = 5_000;
/// The same for all peers of a /24, /64 or /48 together: as many as four peers. A guess.
pub const PREFIX_RATE: u32 = 4 * PEER_RATE;
/// Burst of all peers of a prefix after an idle time.
pub const PREFIX_BURST: u32 = 4 * PEER_BURST;
/// How many times as much a peer at a loopback or private address may ask, where those are not
/// counted like others: one gateway often serves all programs of a small network. 20 000 requests
/// per second are about what one core answers. A guess.
pub const PRIVATE_FACTOR: u32 = 40;
/// Peers, and as many prefixes again, whose buckets are kept apart. About 100 bytes each.
pub const MAX_TRACKED: usize = 16_384;
/// Number of buckets below which full ones are not searched for and dropped. Beyond, that is done
/// whenever their number has doubled, so that a table is never much larger than the number of those
/// that sent something just now.
const FIRST_SWEEP: usize = 64;
/// How often full buckets are looked for at most, once the table is at its limit.
const SWEEP_PAUSE: Duration = Duration::from_secs(1);

/// A rate with the burst that it allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Requests per second in the long run; 0 reads as 1. Kept to a microsecond per request, so
    /// that more than a million is no limit.
    pub per_second: u32,
    /// Burst after an idle time; 0 reads as 1.
    pub burst: u32,
}

impl Rate {
    pub(super) fn times(self, factor: u32) -> Self {
        Self {
            per_second: self.per_second.max(1).saturating_mul(factor),
            burst: self.burst.max(1).saturating_mul(factor),
        }
    }

    /// The time in which the bucket gains one token.
    fn interval(&self) -> Duration {
        Duration::from_micros(1_000_000 / u64::from(self.per_second.max(1)))
    }

    /// How far the moment at which the bucket is full may lie ahead for a token to be there.
    fn tolerance(&self) -> Duration {
        self.interval() * (self.burst.max(1) - 1)
    }
}

/// How many requests are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestLimits {
    /// For one peer.
    pub per_peer: Rate,
    /// For each /24, /64 and /48.
    pub per_prefix: Rate,
    /// Whether loopback and private addresses are limited like others; otherwise they are limited by
    /// ID only, to [`PRIVATE_FACTOR`] times as much.
    pub count_private: bool,
    /// Buckets of peers and prefixes; default [`MAX_TRACKED`].
    pub max_tracked: usize,
}

impl Default for RequestLimits {
    fn default() -> Self {
        Self {
            per_peer: Rate { per_second: PEER_RATE, burst: PEER_BURST },
            per_prefix: Rate { per_second: PREFIX_RATE, burst: PREFIX_BURST },
            count_private: false,
            max_tracked: MAX_TRACKED,
        }
    }
}

/// The buckets of all senders of requests.
#[derive(Clone, Debug)]
pub struct RequestQuota {
    limits: RequestLimits,
    peers: Buckets<Owner>,
    /// Of peers at private addresses.
    private: Buckets<Owner>,
    prefixes: Buckets<AddressPrefix>,
}

impl RequestQuota {
    /// All buckets full.
    pub fn new(limits: RequestLimits) -> Self {
        Self {
            limits,
            peers: Buckets::new(limits.per_peer, limits.max_tracked),
            private: Buckets::new(limits.per_peer.times(PRIVATE_FACTOR), limits.max_tracked),
            prefixes: Buckets::new(limits.per_prefix, limits.max_tracked),
        }
    }

    /// Takes one token from each of the peer's buckets, or none at all.
    ///
    /// # Errors
    /// The quota that is used up.
    pub fn admit(&mut self, account: &Account, now: Moment) -> Result<(), QuotaReached> {
        let is_exempt = !self.limits.count_private && is_private(&account.address);
        let peers = if is_exempt { &mut self.private } else { &mut self.peers };
        if !peers.has_token(&account.owner, now) {
            return Err(QuotaReached::PeerRequests);
        }
        let counted = || prefixes(&account.address).filter(|_| !is_exempt);
        if !counted().all(|prefix| self.prefixes.has_token(&prefix, now)) {
            return Err(QuotaReached::PrefixRequests);
        }
        peers.take_token(account.owner, now);
        for prefix in counted() {
            self.prefixes.take_token(prefix, now);
        }
        Ok(())
    }
}

#[derive(Clone, Debug)]
pub(super) struct Buckets<K> {
    rate: Rate,
    max: usize,
    /// When each bucket will be full.
    full_at: BTreeMap<K, Moment>,
    /// The shared bucket of all peers without one of their own.
    shared: Moment,
    swept: Moment,
    /// At how many buckets full ones are looked for.
    sweep_at: usize,
}

impl<K: Ord> Buckets<K> {
    pub(super) fn new(rate: Rate, max: usize) -> Self {
        let start = Moment::default();
        Self {
            rate,
            max,
            full_at: BTreeMap::new(),
            shared: start,
            swept: start,
            sweep_at: FIRST_SWEEP,
        }
    }

    fn has_token(&mut self, key: &K, now: Moment) -> bool {
        self.has_tokens(key, 1, now)
    }

    /// Whether so many tokens, at least one, can be taken.
    pub(super) fn has_tokens(&mut self, key: &K, count: u32, now: Moment) -> bool {
        self.wait(key, count, now).is_zero()
    }

    /// After which time so many tokens, at least one, will be there.
    pub(super) fn wait(&mut self, key: &K, count: u32, now: Moment) -> Duration {
        self.make_place(key, now);
        let full_at = match self.full_at.get(key) {
            Some(at) => *at,
            None if self.full_at.len() < self.max => return Duration::ZERO,
            None => self.shared,
        };
        let missing = full_at.since(now) + self.rate.interval() * (count.max(1) - 1);
        missing.saturating_sub(self.rate.tolerance())
    }

    fn take_token(&mut self, key: K, now: Moment) {
        self.take_tokens(key, 1, now);
    }

    pub(super) fn take_tokens(&mut self, key: K, count: u32, now: Moment) {
        let full_at = if self.full_at.len() < self.max || self.full_at.contains_key(&key) {
            self.full_at.entry(key).or_default()
        } else {
            &mut self.shared
        };
        *full_at = (*full_at).max(now) + self.rate.interval() * count;
    }

    fn make_place(&mut self, key: &K, now: Moment) {
        let crowded = self.full_at.len() >= self.max && !self.full_at.contains_key(key);
        let doubled = self.full_at.len() >= self.sweep_at;
        if doubled || (crowded && now.since(self.swept) >= SWEEP_PAUSE) {
            self.full_at.retain(|_, full_at| *full_at > now);
            self.swept = now;
            self.sweep_at = (2 * self.full_at.len()).max(FIRST_SWEEP);
        }
    }
}

#[cfg(test)]
mod tests {
    use voiddht_wire::{NodeId, PeerAddress};

    use super::*;

    const LIMITS: RequestLimits = RequestLimits {
        per_peer: Rate { per_second: 10, burst: 5 },
        per_prefix: Rate { per_second: 20, burst: 8 },
        count_private: false,
        max_tracked: 4,
    };

    fn at(millis: u64) -> Moment {
        Moment::default() + Duration::from_millis(millis)
    }

    fn account(id: u8, ip: [u8; 4]) -> Account {
        let owner = Owner::Node(NodeId::from_bytes([id; 32]));
        Account { owner, address: PeerAddress::new(ip.into(), 1) }
    }

    /// How many of 100 requests at one moment are served, and why the first is not.
    fn burst(quota: &mut RequestQuota, account: &Account, now: Moment) -> (usize, QuotaReached) {
        let mut outcomes = (0..100).map(|_| quota.admit(account, now));
        let mut admitted = 0;
        loop {
            match outcomes.next().expect("the limit is below 100") {
                Ok(()) => admitted += 1,
                Err(reached) => return (admitted, reached),
            }
        }
    }

    #[test]
    fn those_who_are_silent_again_are_forgotten() {
        let mut quota = RequestQuota::new(RequestLimits::default());
        for number in 0..2_000u64 {
            let mut id = [0; 32];
            id[..8].copy_from_slice(&number.to_be_bytes());
            let [.., high, low] = number.to_be_bytes();
            let address = PeerAddress::new([203, high, low, 1].into(), 1);
            let account = Account { owner: Owner::Node(NodeId::from_bytes(id)), address };
            assert_eq!(quota.admit(&account, at(10 * number)), Ok(()));
            let kept = quota.peers.full_at.len().max(quota.prefixes.full_at.len());
            assert!(kept <= FIRST_SWEEP, "{kept} are remembered");
        }
    }

    #[test]
    fn a_burst_is_served_then_the_rate() {
        let mut quota = RequestQuota::new(LIMITS);
        let alice = account(1, [203, 0, 113, 1]);
        assert_eq!(burst(&mut quota, &alice, at(1_000)), (5, QuotaReached::PeerRequests));
        assert_eq!(burst(&mut quota, &alice, at(1_099)), (0, QuotaReached::PeerRequests));
        assert_eq!(burst(&mut quota, &alice, at(1_100)), (1, QuotaReached::PeerRequests));
        assert_eq!(burst(&mut quota, &alice, at(1_400)), (3, QuotaReached::PeerRequests));
        assert_eq!(burst(&mut quota, &alice, at(60_000)), (5, QuotaReached::PeerRequests));
    }

    #[test]
    fn many_ids_behind_one_prefix_share_what_it_has() {
        let mut quota = RequestQuota::new(LIMITS);
        let now = at(1_000);
        let neighbour = |n: u8| account(n, [203, 0, 113, n]);
        assert_eq!(burst(&mut quota, &neighbour(1), now).0, 5);
        assert_eq!(burst(&mut quota, &neighbour(2), now), (3, QuotaReached::PrefixRequests));
        assert_eq!(burst(&mut quota, &neighbour(3), now), (0, QuotaReached::PrefixRequests));
        assert_eq!(burst(&mut quota, &account(4, [198, 51, 100, 1]), now).0, 5);
    }

    #[test]
    fn a_refused_request_costs_nothing() {
        let mut quota = RequestQuota::new(LIMITS);
        let alice = account(1, [203, 0, 113, 1]);
        for _ in 0..10 {
            burst(&mut quota, &alice, at(1_000));
        }
        assert_eq!(burst(&mut quota, &alice, at(1_500)).0, 5);
    }

    #[test]
    fn private_addresses_are_limited_by_id_and_to_more_unless_counted() {
        let local = account(1, [127, 0, 0, 1]);
        let mut quota = RequestQuota::new(LIMITS);
        let most = LIMITS.per_peer.burst * PRIVATE_FACTOR;
        assert!((0..most).all(|_| quota.admit(&local, at(0)).is_ok()));
        assert_eq!(quota.admit(&local, at(0)), Err(QuotaReached::PeerRequests));
        // Another ID at the same address has a quota of its own.
        assert_eq!(quota.admit(&account(2, [127, 0, 0, 1]), at(0)), Ok(()));
        let mut quota = RequestQuota::new(RequestLimits { count_private: true, ..LIMITS });
        assert_eq!(burst(&mut quota, &local, at(0)).0, 5);
    }

    #[test]
    fn at_the_limit_of_the_table_strangers_share_one_bucket_until_others_are_full() {
        let mut quota = RequestQuota::new(LIMITS);
        let stranger = |n: u8| account(n, [n, 0, 0, 1]);
        for n in 20..24 {
            assert_eq!(burst(&mut quota, &stranger(n), at(2_000)).0, 5);
        }
        assert_eq!(burst(&mut quota, &stranger(30), at(2_000)).0, 5);
        assert_eq!(burst(&mut quota, &stranger(31), at(2_000)).0, 0);
        assert_eq!(quota.peers.full_at.len(), LIMITS.max_tracked);
        // The known ones are not concerned, and what has filled makes room.
        assert_eq!(burst(&mut quota, &stranger(20), at(2_200)).0, 2);
        assert_eq!(burst(&mut quota, &stranger(31), at(9_000)).0, 5);
        assert_eq!(burst(&mut quota, &stranger(32), at(9_000)).0, 5);
    }
}
