//! Caps of accounts and prefixes, and which account gives way to which.

use super::*;

const WHOLE: Usage = Usage { records: 100, bytes: 1000 };
const LIMITS: StorageLimits = StorageLimits {
    whole: WHOLE,
    per_peer: Usage { records: 2, bytes: 100 },
    per_prefix: Usage { records: 3, bytes: 150 },
    count_private: false,
};
const PUBLICATION: Charge = Charge::Publication;

fn account(n: u8, ip: &str) -> Account {
    let address = PeerAddress::new(ip.parse().unwrap(), 1);
    Account { owner: Owner::Node(NodeId::from_bytes([n; 32])), address }
}

fn store(
    quota: &mut StorageQuota,
    account: &Account,
    charge: Charge,
    bytes: usize,
) -> Result<AccountNumber, QuotaReached> {
    quota.check(account, charge, bytes, None)?;
    Ok(quota.charge(account, charge, bytes))
}

/// What becomes of publications offered one after the other.
fn check(offers: &[(&Account, usize, Result<(), QuotaReached>)]) {
    let mut quota = StorageQuota::new(LIMITS);
    for (account, bytes, expected) in offers {
        let stored = store(&mut quota, account, PUBLICATION, *bytes).map(drop);
        assert_eq!(stored, *expected, "{account:?}, {bytes} bytes");
    }
}

#[test]
fn each_limit_is_reached_under_its_own_name() {
    let (alice, bob) = (account(1, "203.0.113.1"), account(2, "203.0.113.2"));
    let carol = account(3, "198.51.100.1");
    check(&[
        (&alice, 101, Err(QuotaReached::PeerBytes)),
        (&alice, 50, Ok(())),
        (&alice, 50, Ok(())),
        (&alice, 0, Err(QuotaReached::PeerRecords)),
        (&bob, 51, Err(QuotaReached::PrefixBytes)),
        (&bob, 0, Ok(())),
        (&bob, 0, Err(QuotaReached::PrefixRecords)),
        (&carol, 100, Ok(())),
    ]);
}

#[test]
fn at_private_addresses_each_id_has_its_quota_and_prefixes_have_none() {
    let (alice, bob) = (account(1, "127.0.0.1"), account(2, "127.0.0.1"));
    check(&[
        (&alice, 101, Err(QuotaReached::PeerBytes)),
        (&alice, 100, Ok(())),
        (&alice, 1, Err(QuotaReached::PeerBytes)),
        (&bob, 100, Ok(())),
    ]);
}

#[test]
fn copies_are_an_account_of_their_own_and_count_a_quarter() {
    let alice = account(1, "10.0.0.1");
    let mut quota = StorageQuota::new(LIMITS);
    store(&mut quota, &alice, PUBLICATION, 100).unwrap();
    for _ in 0..4 {
        store(&mut quota, &alice, Charge::Copy, 100).unwrap();
    }
    let more = store(&mut quota, &alice, Charge::Copy, 1);
    assert_eq!(more, Err(QuotaReached::PeerBytes));
    let Owner::Node(id) = alice.owner else { panic!("it is a node's") };
    assert_eq!(quota.of_node(&id), Usage { records: 5, bytes: 500 });
}

#[test]
fn without_a_certificate_the_address_is_charged() {
    use crate::peer::Peer;
    let at = PeerAddress::new("203.0.113.7".parse().unwrap(), 4711);
    let claims = |n: u8| Account::from(&Peer::claimed(NodeId::from_bytes([n; 32]), at));
    check(&[
        (&claims(1), 60, Ok(())),
        (&claims(2), 60, Err(QuotaReached::PeerBytes)),
        (&claims(3), 40, Ok(())),
    ]);
}

#[test]
fn a_release_gives_back_what_was_charged_and_leaves_no_entry() {
    let alice = account(1, "2a00::1");
    let mut quota = StorageQuota::new(LIMITS);
    for _ in 0..10 {
        let number = store(&mut quota, &alice, PUBLICATION, 70).unwrap();
        assert_eq!(quota.account(number), Some((alice, Usage { records: 1, bytes: 70 })));
        quota.release(number, 70);
    }
    assert!(quota.books.is_empty() && quota.numbers.is_empty() && quota.prefixes.is_empty());
    assert!(quota.groups.is_empty() && quota.groups_by_share.is_empty());
    assert!(quota.accounts_by_share.is_empty());
}

#[test]
fn what_a_record_replaces_is_counted_in_its_favour() {
    let (alice, bob) = (account(1, "203.0.113.1"), account(2, "203.0.113.2"));
    let elsewhere = account(3, "198.51.100.1");
    let mut quota = StorageQuota::new(LIMITS);
    let old = store(&mut quota, &alice, PUBLICATION, 90).unwrap();
    let other = store(&mut quota, &elsewhere, PUBLICATION, 90).unwrap();
    let check = |account, released| quota.check(account, PUBLICATION, 100, released);
    assert_eq!(check(&alice, Some((old, 90))), Ok(()));
    assert_eq!(check(&alice, None), Err(QuotaReached::PeerBytes));
    assert_eq!(check(&bob, Some((old, 90))), Ok(()));
    assert_eq!(check(&bob, Some((other, 90))), Err(QuotaReached::PrefixBytes));
}

/// Charges publications, and says whether the first of the accounts may be made to give up its
/// record of `bytes` for an offer of as many bytes.
fn gives_way(charged: &[(&Account, usize)], offers: &Account, bytes: usize) -> bool {
    let mut quota = StorageQuota::new(StorageLimits::shares_of(WHOLE));
    let numbers: Vec<_> =
        charged.iter().map(|(account, bytes)| quota.charge(account, PUBLICATION, *bytes)).collect();
    let claim = quota.claim(offers, PUBLICATION, bytes, None);
    let is_candidate = quota.victims(&claim).contains(&numbers[0]);
    is_candidate && Eviction::new(&quota, claim).drop_record(numbers[0], bytes, false)
}

#[test]
fn the_largest_gives_way_to_smaller_ones_and_not_the_other_way_round() {
    let (large, small) = (account(1, "127.0.0.1"), account(2, "127.0.0.1"));
    let charged = [(&large, 100), (&large, 100), (&small, 100)];
    assert!(!gives_way(&charged, &small, 100), "both would have 100 and 200");
    assert!(gives_way(&charged, &small, 50));
    assert!(gives_way(&charged, &account(3, "127.0.0.1"), 100), "who has nothing yet");
    assert!(!gives_way(&charged, &large, 100), "the largest gains nothing");
    assert!(!gives_way(&[(&small, 100), (&large, 200)], &large, 1));
}

#[test]
fn many_ids_behind_one_prefix_are_one_when_a_store_is_full() {
    let crowd: Vec<_> = (1..5).map(|n| account(n, "203.0.113.1")).collect();
    let mut charged: Vec<_> = crowd.iter().map(|one| (one, 60)).collect();
    let honest = account(9, "198.51.100.1");
    charged.push((&honest, 150));
    assert!(gives_way(&charged, &honest, 20), "240 of one prefix, 170 of another");
    charged.rotate_right(1);
    assert!(!gives_way(&charged, &account(8, "203.0.113.8"), 20));
}

#[test]
fn strangers_share_an_account_once_there_are_too_many() {
    let mut quota = StorageQuota::new(StorageLimits::shares_of(WHOLE.times(MAX_ACCOUNTS)));
    for n in 0..MAX_ACCOUNTS + 10 {
        let mut id = [0; 32];
        id[..8].copy_from_slice(&n.to_be_bytes());
        let address = PeerAddress::new("127.0.0.1".parse().unwrap(), 1);
        let account = Account { owner: Owner::Node(NodeId::from_bytes(id)), address };
        store(&mut quota, &account, PUBLICATION, 1).unwrap();
    }
    assert_eq!(quota.books.len(), MAX_ACCOUNTS + 1);
    let shared = quota.largest().and_then(|number| quota.account(number)).unwrap();
    assert_eq!(shared.1.records, 10);
    assert!(matches!(shared.0.owner, Owner::Site(_)));
}
