//! How many signatures this node verifies for a peer, for all peers of its prefix, and in all.
//!
//! A check costs 40 µs for a small value and 180 µs for the largest, a hundred times what the rest of
//! a STORE costs. Beyond the quota a STORE is answered ERROR 13. Values that are held already, that
//! lose to a held one, or that have expired are not verified, and cost nothing here.

use super::account::{Account, Owner, QuotaReached};
use super::requests::{Buckets, PRIVATE_FACTOR, Rate};
use crate::diversity::{AddressPrefix, is_private, prefixes};
use crate::time::Moment;

/// Signatures of one peer's values per second: a hand-over of 200 signed records. A delegated value
/// has two.
pub const PEER_RATE: u32 = 200;
/// The same for all peers of a /24, /64 or /48 together: as many as two peers. Peers at loopback and
/// private addresses have no prefix quota, and [`PRIVATE_FACTOR`] times as much each.
pub const PREFIX_RATE: u32 = 400;
/// The same for all peers: a tenth of one processor for values of 100 bytes, a third for the
/// largest.
pub const TOTAL_RATE: u32 = 2_000;

/// How many signatures are verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignatureLimits {
    /// For one peer.
    pub per_peer: Rate,
    /// For each /24, /64 and /48.
    pub per_prefix: Rate,
    /// For all peers together.
    pub total: Rate,
    /// Peers, and as many prefixes again, whose buckets are kept apart.
    pub max_tracked: usize,
}

impl SignatureLimits {
    /// A second's worth at a time.
    pub const DEFAULT: Self = Self {
        per_peer: Rate { per_second: PEER_RATE, burst: PEER_RATE },
        per_prefix: Rate { per_second: PREFIX_RATE, burst: PREFIX_RATE },
        total: Rate { per_second: TOTAL_RATE, burst: TOTAL_RATE },
        max_tracked: super::requests::MAX_TRACKED,
    };
}

/// The buckets of all peers that bring signed values.
#[derive(Clone, Debug)]
pub struct SignatureQuota {
    peers: Buckets<Owner>,
    /// Of peers at private addresses.
    private: Buckets<Owner>,
    prefixes: Buckets<AddressPrefix>,
    total: Buckets<()>,
}

impl SignatureQuota {
    /// All buckets full.
    pub fn new(limits: SignatureLimits) -> Self {
        Self {
            peers: Buckets::new(limits.per_peer, limits.max_tracked),
            private: Buckets::new(limits.per_peer.times(PRIVATE_FACTOR), limits.max_tracked),
            prefixes: Buckets::new(limits.per_prefix, limits.max_tracked),
            total: Buckets::new(limits.total, 1),
        }
    }

    /// Takes `checks` tokens from each of the peer's buckets, or none at all.
    ///
    /// # Errors
    /// [`QuotaReached::SignatureChecks`].
    pub fn admit(
        &mut self,
        account: &Account,
        checks: u32,
        now: Moment,
    ) -> Result<(), QuotaReached> {
        let is_local = is_private(&account.address);
        let peers = if is_local { &mut self.private } else { &mut self.peers };
        let counted = || prefixes(&account.address).filter(|_| !is_local);
        let is_free = peers.has_tokens(&account.owner, checks, now)
            && counted().all(|prefix| self.prefixes.has_tokens(&prefix, checks, now))
            && self.total.has_tokens(&(), checks, now);
        if !is_free {
            return Err(QuotaReached::SignatureChecks);
        }
        peers.take_tokens(account.owner, checks, now);
        for prefix in counted() {
            self.prefixes.take_tokens(prefix, checks, now);
        }
        self.total.take_tokens((), checks, now);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use voiddht_wire::{NodeId, PeerAddress};

    use super::*;

    fn account(id: u8, ip: [u8; 4]) -> Account {
        let owner = Owner::Node(NodeId::from_bytes([id; 32]));
        Account { owner, address: PeerAddress::new(ip.into(), 1) }
    }

    fn admitted(quota: &mut SignatureQuota, account: &Account, checks: u32, now: Moment) -> usize {
        (0..10_000).take_while(|_| quota.admit(account, checks, now).is_ok()).count()
    }

    #[test]
    fn a_peer_a_prefix_and_all_peers_have_their_quotas_and_they_fill_again() {
        let mut quota = SignatureQuota::new(SignatureLimits::DEFAULT);
        let start = Moment::from_micros(1_000_000);
        let one = account(1, [203, 0, 113, 1]);
        assert_eq!(admitted(&mut quota, &one, 1, start), 200);
        let delegated = account(2, [203, 0, 113, 2]);
        assert_eq!(admitted(&mut quota, &delegated, 2, start), 100);
        let third = account(3, [203, 0, 113, 3]);
        assert_eq!(admitted(&mut quota, &third, 1, start), 0, "the prefix has used up its quota");
        let elsewhere =
            (4..=12_u8).map(|id| admitted(&mut quota, &account(id, [8, 8, id, 1]), 1, start));
        assert_eq!(elsewhere.sum::<usize>(), 1_600, "2000 in all");
        let later = Moment::from_micros(2_000_000);
        assert_eq!(admitted(&mut quota, &one, 1, later), 200);
    }
}
