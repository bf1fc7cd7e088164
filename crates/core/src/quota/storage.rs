//! Records and bytes that lie here on each peer's bill.
//!
//! What is charged is what the record costs in memory, its overhead included. There is an entry
//! only for who has something stored: never more than records, and two prefixes each.

use std::collections::BTreeMap;

use voiddht_wire::NodeId;

use super::{Account, QuotaReached};
use crate::diversity::{AddressPrefix, is_private, prefixes};

/// Share of the record store that one peer may fill: four who want to spoil it must join in, and
/// an only neighbour can still hand over a good part of its records. A guess.
pub const PEER_SHARE: usize = 4;
/// Share of the record store that one prefix may fill. A guess.
pub const PREFIX_SHARE: usize = 2;

/// Something stored, or room for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Usage {
    /// How many records.
    pub records: usize,
    /// Bytes of memory.
    pub bytes: usize,
}

impl Usage {
    fn plus(self, bytes: usize) -> Self {
        Self { records: self.records + 1, bytes: self.bytes + bytes }
    }

    /// What is released was charged before: nothing goes below zero.
    fn minus(self, bytes: usize) -> Self {
        Self { records: self.records.saturating_sub(1), bytes: self.bytes.saturating_sub(bytes) }
    }
}

/// How much may be stored on one bill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StorageLimits {
    /// For one peer.
    pub per_peer: Usage,
    /// For each /24, /64 and /48.
    pub per_prefix: Usage,
    /// Whether loopback and private addresses are held to it.
    pub count_private: bool,
}

impl StorageLimits {
    /// The shares [`PEER_SHARE`] and [`PREFIX_SHARE`] of a store of this size.
    pub const fn shares_of(whole: Usage) -> Self {
        Self {
            per_peer: Usage {
                records: whole.records / PEER_SHARE,
                bytes: whole.bytes / PEER_SHARE,
            },
            per_prefix: Usage {
                records: whole.records / PREFIX_SHARE,
                bytes: whole.bytes / PREFIX_SHARE,
            },
            count_private: false,
        }
    }
}

/// The bills.
#[derive(Clone, Debug)]
pub struct StorageQuota {
    limits: StorageLimits,
    peers: BTreeMap<NodeId, Usage>,
    prefixes: BTreeMap<AddressPrefix, Usage>,
}

impl StorageQuota {
    /// Nothing stored yet.
    pub fn new(limits: StorageLimits) -> Self {
        Self { limits, peers: BTreeMap::new(), prefixes: BTreeMap::new() }
    }

    /// What lies here on a peer's bill.
    pub fn of_peer(&self, id: &NodeId) -> Usage {
        self.peers.get(id).copied().unwrap_or_default()
    }

    /// Whether a record of `bytes` may be put on this bill, once `released` (a record that it
    /// replaces, with its bill) is off its own.
    ///
    /// # Errors
    /// The quota that does not allow it.
    pub fn check(
        &self,
        account: &Account,
        bytes: usize,
        released: Option<(&Account, usize)>,
    ) -> Result<(), QuotaReached> {
        if self.is_exempt(account) {
            return Ok(());
        }
        let released = released.filter(|(old, _)| !self.is_exempt(old));
        let credit = |usage: Usage, is_same: &dyn Fn(&Account) -> bool| match released {
            Some((old, old_bytes)) if is_same(old) => usage.minus(old_bytes),
            _ => usage,
        };
        let peer = credit(self.of_peer(&account.id), &|old| old.id == account.id).plus(bytes);
        let StorageLimits { per_peer, per_prefix, .. } = self.limits;
        within(peer, per_peer, QuotaReached::PeerRecords, QuotaReached::PeerBytes)?;
        for prefix in prefixes(&account.address) {
            let used = self.prefixes.get(&prefix).copied().unwrap_or_default();
            let is_same = |old: &Account| prefixes(&old.address).any(|it| it == prefix);
            let used = credit(used, &is_same).plus(bytes);
            within(used, per_prefix, QuotaReached::PrefixRecords, QuotaReached::PrefixBytes)?;
        }
        Ok(())
    }

    /// Puts a record on a bill, whatever its limits: the caller has [checked](Self::check).
    pub fn charge(&mut self, account: &Account, bytes: usize) {
        if self.is_exempt(account) {
            return;
        }
        let peer = self.peers.entry(account.id).or_default();
        *peer = peer.plus(bytes);
        for prefix in prefixes(&account.address) {
            let used = self.prefixes.entry(prefix).or_default();
            *used = used.plus(bytes);
        }
    }

    /// Takes a record off the bill that it was put on.
    pub fn release(&mut self, account: &Account, bytes: usize) {
        if self.is_exempt(account) {
            return;
        }
        release(&mut self.peers, account.id, bytes);
        for prefix in prefixes(&account.address) {
            release(&mut self.prefixes, prefix, bytes);
        }
    }

    fn is_exempt(&self, account: &Account) -> bool {
        !self.limits.count_private && is_private(&account.address)
    }
}

fn within(
    used: Usage,
    limit: Usage,
    records: QuotaReached,
    bytes: QuotaReached,
) -> Result<(), QuotaReached> {
    if used.records > limit.records {
        return Err(records);
    }
    if used.bytes > limit.bytes {
        return Err(bytes);
    }
    Ok(())
}

fn release<K: Ord>(bills: &mut BTreeMap<K, Usage>, key: K, bytes: usize) {
    if let Some(usage) = bills.get_mut(&key) {
        *usage = usage.minus(bytes);
        if usage.records == 0 {
            bills.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use voiddht_wire::PeerAddress;

    use super::*;

    const LIMITS: StorageLimits = StorageLimits {
        per_peer: Usage { records: 2, bytes: 100 },
        per_prefix: Usage { records: 3, bytes: 150 },
        count_private: false,
    };

    fn account(n: u8, ip: &str) -> Account {
        Account {
            id: NodeId::from_bytes([n; 32]),
            address: PeerAddress::new(ip.parse().unwrap(), 1),
        }
    }

    fn store(
        quota: &mut StorageQuota,
        account: &Account,
        bytes: usize,
    ) -> Result<(), QuotaReached> {
        quota.check(account, bytes, None)?;
        quota.charge(account, bytes);
        Ok(())
    }

    #[test]
    fn each_limit_is_reached_under_its_own_name() {
        let (alice, bob) = (account(1, "203.0.113.1"), account(2, "203.0.113.2"));
        let carol = account(3, "198.51.100.1");
        let mut quota = StorageQuota::new(LIMITS);
        assert_eq!(store(&mut quota, &alice, 101), Err(QuotaReached::PeerBytes));
        assert_eq!(store(&mut quota, &alice, 50), Ok(()));
        assert_eq!(store(&mut quota, &alice, 50), Ok(()));
        assert_eq!(store(&mut quota, &alice, 0), Err(QuotaReached::PeerRecords));
        assert_eq!(store(&mut quota, &bob, 51), Err(QuotaReached::PrefixBytes));
        assert_eq!(store(&mut quota, &bob, 0), Ok(()));
        assert_eq!(store(&mut quota, &bob, 0), Err(QuotaReached::PrefixRecords));
        assert_eq!(store(&mut quota, &carol, 100), Ok(()));
    }

    #[test]
    fn a_release_gives_back_what_was_charged_and_leaves_no_entry() {
        let alice = account(1, "2a00::1");
        let mut quota = StorageQuota::new(LIMITS);
        for _ in 0..10 {
            assert_eq!(store(&mut quota, &alice, 70), Ok(()));
            assert_eq!(quota.of_peer(&alice.id), Usage { records: 1, bytes: 70 });
            quota.release(&alice, 70);
        }
        assert!(quota.peers.is_empty() && quota.prefixes.is_empty());
    }

    #[test]
    fn what_a_record_replaces_is_counted_in_its_favour() {
        let (alice, bob) = (account(1, "203.0.113.1"), account(2, "203.0.113.2"));
        let elsewhere = account(3, "198.51.100.1");
        let mut quota = StorageQuota::new(LIMITS);
        assert_eq!(store(&mut quota, &alice, 90), Ok(()));
        assert_eq!(quota.check(&alice, 100, Some((&alice, 90))), Ok(()));
        assert_eq!(quota.check(&alice, 100, None), Err(QuotaReached::PeerBytes));
        assert_eq!(quota.check(&bob, 100, Some((&alice, 90))), Ok(()));
        let other = Some((&elsewhere, 90));
        assert_eq!(quota.check(&bob, 100, other), Err(QuotaReached::PrefixBytes));
    }

    #[test]
    fn private_addresses_are_exempt_unless_counted() {
        let local = account(1, "127.0.0.1");
        let mut quota = StorageQuota::new(LIMITS);
        assert_eq!(store(&mut quota, &local, 1 << 30), Ok(()));
        assert_eq!(quota.of_peer(&local.id), Usage::default());
        quota.release(&local, 1 << 30);
        let mut quota = StorageQuota::new(StorageLimits { count_private: true, ..LIMITS });
        assert_eq!(store(&mut quota, &local, 101), Err(QuotaReached::PeerBytes));
    }
}
