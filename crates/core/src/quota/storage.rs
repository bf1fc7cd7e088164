//! Records and bytes charged to each account, and which account gives way when the store is full.
//!
//! Each [`Owner`] has two accounts, its publications and its copies for others, so that a node that
//! hands over the records of its neighbours does not use up its own quota. A copy counts as a
//! quarter of a publication ([`COPY_DISCOUNT`]): its publisher is unknown here, and a holder that
//! renews much for others would otherwise be the largest account.
//!
//! Accounts are charged the memory of a record, including overhead.
//!
//! When the store is full, the largest account gives way (max-min fairness, as in fair queueing:
//! RFC 970, section 5). The size of an account is its share of the scarcer of records and bytes.
//! Accounts of one counted address prefix are a *group* and are compared together first, since IDs
//! cost nothing. An account never displaces a record of one that would be smaller than itself
//! afterwards, so that two of the same size do not evict each other in turn.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use slab::Slab;
use voiddht_wire::{NodeId, PeerAddress};

use super::account::{Account, Owner, QuotaReached};
use crate::diversity::{AddressPrefix, is_private, prefixes};

/// Share of the record store that one account may fill: one in so many. Four that want to fill a
/// store must join in. A guess.
pub const PEER_SHARE: usize = 4;
/// Share of the record store that the accounts of one counted prefix may fill together. A guess.
pub const PREFIX_SHARE: usize = 2;
/// How many copies count as much as one publication. As many as accounts fit into a store, so that
/// an only neighbour can hand over everything it has, and still is no larger than a publisher at
/// its limit.
pub const COPY_DISCOUNT: usize = PEER_SHARE;
/// Accounts kept apart, about 600 bytes each: 10 MiB. Beyond it, owners that have nothing here yet
/// share one account for each /24 or /64.
pub const MAX_ACCOUNTS: usize = 16_384;
/// Accounts that one offer may take records from, and that are looked at for it.
const MAX_VICTIMS: usize = 16;

/// Something stored, or room for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Usage {
    /// How many records.
    pub records: usize,
    /// Bytes of memory.
    pub bytes: usize,
}

impl Usage {
    /// One record.
    fn one(bytes: usize) -> Self {
        Self { records: 1, bytes }
    }

    fn plus(self, other: Self) -> Self {
        Self { records: self.records + other.records, bytes: self.bytes + other.bytes }
    }

    /// What is released was charged before: nothing goes below zero.
    fn minus(self, other: Self) -> Self {
        Self {
            records: self.records.saturating_sub(other.records),
            bytes: self.bytes.saturating_sub(other.bytes),
        }
    }

    fn times(self, factor: usize) -> Self {
        Self {
            records: self.records.saturating_mul(factor),
            bytes: self.bytes.saturating_mul(factor),
        }
    }
}

/// Which of the two accounts of an owner something is charged to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Charge {
    /// What it publishes, and copies of which it is not plausible that it is a holder.
    Publication,
    /// What it copies here as a holder.
    Copy,
}

impl Charge {
    /// What one record counts, in units of a copy.
    fn weight(self) -> usize {
        match self {
            Self::Publication => COPY_DISCOUNT,
            Self::Copy => 1,
        }
    }
}

/// How much may be charged to one account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StorageLimits {
    /// The store: what sizes are shares of.
    pub whole: Usage,
    /// For the publications of one owner; copies count less.
    pub per_peer: Usage,
    /// For each /24, /64 and /48.
    pub per_prefix: Usage,
    /// Whether loopback and private addresses share the account of their prefix.
    pub count_private: bool,
}

impl StorageLimits {
    /// The shares [`PEER_SHARE`] and [`PREFIX_SHARE`] of a store of this size.
    pub const fn shares_of(whole: Usage) -> Self {
        Self {
            whole,
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

    /// A share of the scarcer of records and bytes, in parts of 2^32 of the store, for an amount
    /// in units of a copy.
    fn share(&self, units: Usage) -> u64 {
        let part = |used: usize, whole: usize| {
            let part = ((used as u128) << 32) / (whole.max(1) as u128 * COPY_DISCOUNT as u128);
            u64::try_from(part).unwrap_or(u64::MAX)
        };
        part(units.records, self.whole.records).max(part(units.bytes, self.whole.bytes))
    }
}

/// Names an account for as long as something is charged to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AccountNumber(usize);

/// Accounts that are compared as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Group {
    Prefix(AddressPrefix),
    Owner(Owner),
}

/// What is charged to an account.
#[derive(Clone, Copy, Debug)]
struct Book {
    account: Account,
    charge: Charge,
    group: Group,
    used: Usage,
}

impl Book {
    fn units(&self) -> Usage {
        self.used.times(self.charge.weight())
    }
}

/// An account as it would be with one record more: that of the sender of the record.
#[derive(Clone, Copy, Debug, Default)]
pub struct Claim {
    number: Option<AccountNumber>,
    group: Option<Group>,
    account_share: u64,
    group_share: u64,
}

/// The accounts.
#[derive(Clone, Debug)]
pub struct StorageQuota {
    limits: StorageLimits,
    numbers: BTreeMap<(Owner, Charge), AccountNumber>,
    /// By number.
    books: Slab<Book>,
    /// In units of a copy.
    prefixes: BTreeMap<AddressPrefix, Usage>,
    /// In units of a copy.
    groups: BTreeMap<Group, Usage>,
    groups_by_share: BTreeSet<(u64, Group)>,
    accounts_by_share: BTreeSet<(Group, u64, AccountNumber)>,
}

impl StorageQuota {
    /// Nothing stored yet.
    pub fn new(limits: StorageLimits) -> Self {
        Self {
            limits,
            numbers: BTreeMap::new(),
            books: Slab::new(),
            prefixes: BTreeMap::new(),
            groups: BTreeMap::new(),
            groups_by_share: BTreeSet::new(),
            accounts_by_share: BTreeSet::new(),
        }
    }

    /// What is charged to a node: what it published here and what it copied here.
    pub fn of_node(&self, id: &NodeId) -> Usage {
        [Charge::Publication, Charge::Copy]
            .into_iter()
            .filter_map(|charge| self.numbers.get(&(Owner::Node(*id), charge)))
            .filter_map(|number| self.books.get(number.0))
            .fold(Usage::default(), |sum, book| sum.plus(book.used))
    }

    /// The owner of an account, and what is charged to it.
    pub fn account(&self, number: AccountNumber) -> Option<(Account, Usage)> {
        self.books.get(number.0).map(|book| (book.account, book.used))
    }

    /// The owner and kind of an account, as needed to charge to it again after a restart.
    pub fn charged_to(&self, number: AccountNumber) -> Option<(Account, Charge)> {
        self.books.get(number.0).map(|book| (book.account, book.charge))
    }

    /// Whether a record of `bytes` may be charged to this account, once `released` (a record that
    /// it replaces, with its account) is off its own.
    ///
    /// # Errors
    /// The quota that does not allow it.
    pub fn check(
        &self,
        account: &Account,
        charge: Charge,
        bytes: usize,
        released: Option<(AccountNumber, usize)>,
    ) -> Result<(), QuotaReached> {
        let (account, number) = self.entered(account, charge);
        let book = number.and_then(|number| self.books.get(number.0));
        let added = Usage::one(bytes).times(charge.weight());
        let old = released.and_then(|(number, bytes)| {
            let book = self.books.get(number.0)?;
            Some((number, book, Usage::one(bytes).times(book.charge.weight())))
        });
        let mut units = book.map_or(Usage::default(), Book::units);
        if let Some((old_number, _, old_units)) = old
            && number == Some(old_number)
        {
            units = units.minus(old_units);
        }
        let StorageLimits { per_peer, per_prefix, .. } = self.limits;
        let whole = units.plus(added);
        within(whole, per_peer, QuotaReached::PeerRecords, QuotaReached::PeerBytes)?;
        let address = book.map_or(account.address, |book| book.account.address);
        for prefix in self.counted(&address) {
            let mut used = self.prefixes.get(&prefix).copied().unwrap_or_default();
            if let Some((_, book, old_units)) = old
                && self.counted(&book.account.address).any(|it| it == prefix)
            {
                used = used.minus(old_units);
            }
            let used = used.plus(added);
            within(used, per_prefix, QuotaReached::PrefixRecords, QuotaReached::PrefixBytes)?;
        }
        Ok(())
    }

    /// Charges a record to an account, whatever its limits: the caller has
    /// [checked](Self::check).
    pub fn charge(&mut self, account: &Account, charge: Charge, bytes: usize) -> AccountNumber {
        let (account, number) = self.entered(account, charge);
        let number = number.unwrap_or_else(|| self.open(account, charge));
        self.change(number, |used| used.plus(Usage::one(bytes)));
        number
    }

    /// Takes a record off the account that it was charged to. An account without records is closed.
    pub fn release(&mut self, number: AccountNumber, bytes: usize) {
        self.change(number, |used| used.minus(Usage::one(bytes)));
    }

    /// What an account would be with one record of `bytes` more and `released` off its account.
    pub fn claim(
        &self,
        account: &Account,
        charge: Charge,
        bytes: usize,
        released: Option<(AccountNumber, usize)>,
    ) -> Claim {
        let (account, number) = self.entered(account, charge);
        let book = number.and_then(|number| self.books.get(number.0));
        let group = book.map_or_else(|| self.group_of(&account), |book| book.group);
        let added = Usage::one(bytes).times(charge.weight());
        let mut units = book.map_or(Usage::default(), Book::units).plus(added);
        let mut group_units = self.groups.get(&group).copied().unwrap_or_default().plus(added);
        if let Some((old, bytes)) = released
            && let Some(book) = self.books.get(old.0)
        {
            let off = Usage::one(bytes).times(book.charge.weight());
            units = if Some(old) == number { units.minus(off) } else { units };
            group_units = if book.group == group { group_units.minus(off) } else { group_units };
        }
        Claim {
            number,
            group: Some(group),
            account_share: self.limits.share(units),
            group_share: self.limits.share(group_units),
        }
    }

    /// The accounts that may have to give way to a claim, largest first; the claiming account
    /// itself is the last.
    pub fn victims(&self, claim: &Claim) -> Vec<AccountNumber> {
        let mut victims = Vec::new();
        for (_, group) in self.groups_by_share.iter().rev().take(MAX_VICTIMS) {
            let from = (*group, 0, AccountNumber(0));
            let to = (*group, u64::MAX, AccountNumber(usize::MAX));
            let accounts = self.accounts_by_share.range(from..=to).rev();
            let left = MAX_VICTIMS.saturating_sub(victims.len());
            let others = accounts.map(|(_, _, number)| *number);
            victims.extend(others.filter(|number| Some(*number) != claim.number).take(left));
        }
        victims.extend(claim.number);
        victims
    }

    /// The largest account of all.
    pub fn largest(&self) -> Option<AccountNumber> {
        self.victims(&Claim::default()).first().copied()
    }

    /// The account under which this one is entered, and its number if something is charged to it: at
    /// the limit a stranger shares one.
    fn entered(&self, account: &Account, charge: Charge) -> (Account, Option<AccountNumber>) {
        let number = |owner| self.numbers.get(&(owner, charge)).copied();
        let own = number(account.owner);
        if own.is_some() || self.books.len() < MAX_ACCOUNTS {
            return (*account, own);
        }
        let site = prefixes(&account.address).next();
        let owner = site.map_or(account.owner, Owner::Site);
        (Account { owner, address: account.address }, number(owner))
    }

    fn counted(&self, address: &PeerAddress) -> impl Iterator<Item = AddressPrefix> + use<> {
        let counts = self.limits.count_private || !is_private(address);
        prefixes(address).filter(move |_| counts)
    }

    /// The widest counted prefix of an account, or the account alone.
    fn group_of(&self, account: &Account) -> Group {
        self.counted(&account.address).last().map_or(Group::Owner(account.owner), Group::Prefix)
    }

    fn open(&mut self, account: Account, charge: Charge) -> AccountNumber {
        let group = self.group_of(&account);
        let used = Usage::default();
        let number = AccountNumber(self.books.insert(Book { account, charge, group, used }));
        self.numbers.insert((account.owner, charge), number);
        self.accounts_by_share.insert((group, 0, number));
        number
    }

    fn change(&mut self, number: AccountNumber, change: impl Fn(Usage) -> Usage) {
        let Some(book) = self.books.get_mut(number.0) else { return };
        let (group, owner, charge) = (book.group, book.account.owner, book.charge);
        let address = book.account.address;
        let before = book.units();
        book.used = change(book.used);
        let (after, is_empty) = (book.units(), book.used.records == 0);
        let shares = [before, after].map(|units| self.limits.share(units));
        self.accounts_by_share.remove(&(group, shares[0], number));
        if is_empty {
            self.books.remove(number.0);
            self.numbers.remove(&(owner, charge));
        } else {
            self.accounts_by_share.insert((group, shares[1], number));
        }
        self.change_group(group, before, after);
        for prefix in self.counted(&address) {
            replace(&mut self.prefixes, prefix, before, after);
        }
    }

    fn change_group(&mut self, group: Group, before: Usage, after: Usage) {
        let (old, new) = replace(&mut self.groups, group, before, after);
        let [old, new] = [old, new].map(|units| units.map(|units| self.limits.share(units)));
        if old == new {
            return;
        }
        if let Some(old) = old {
            self.groups_by_share.remove(&(old, group));
        }
        if let Some(new) = new {
            self.groups_by_share.insert((new, group));
        }
    }
}

/// Records that are to be dropped for a claim, as far as that is fair.
#[derive(Debug)]
pub struct Eviction<'a> {
    quota: &'a StorageQuota,
    claim: Claim,
    /// In units of a copy.
    of_accounts: BTreeMap<AccountNumber, Usage>,
    of_groups: BTreeMap<Group, Usage>,
}

impl<'a> Eviction<'a> {
    /// Nothing is dropped yet.
    pub fn new(quota: &'a StorageQuota, claim: Claim) -> Self {
        let (of_accounts, of_groups) = (BTreeMap::new(), BTreeMap::new());
        Self { quota, claim, of_accounts, of_groups }
    }

    /// Drops a record of `bytes` of an account, if that leaves the account, or its group where that
    /// is another than the claim's, no smaller than the claim's. Whether it did. `is_spare` is
    /// whether the record may also give way to one of its own account.
    pub fn drop_record(&mut self, number: AccountNumber, bytes: usize, is_spare: bool) -> bool {
        let Some(book) = self.quota.books.get(number.0) else { return false };
        let off = Usage::one(bytes).times(book.charge.weight());
        let of_account = self.of_accounts.get(&number).copied().unwrap_or_default().plus(off);
        let of_group = self.of_groups.get(&book.group).copied().unwrap_or_default().plus(off);
        let limits = &self.quota.limits;
        let is_fair = if self.claim.number == Some(number) {
            is_spare
        } else if self.claim.group == Some(book.group) {
            limits.share(book.units().minus(of_account)) >= self.claim.account_share
        } else {
            let group = self.quota.groups.get(&book.group).copied().unwrap_or_default();
            limits.share(group.minus(of_group)) >= self.claim.group_share
        };
        if is_fair {
            self.of_accounts.insert(number, of_account);
            self.of_groups.insert(book.group, of_group);
        }
        is_fair
    }
}

/// A limit is in publications, what is used in units of a copy.
fn within(
    units: Usage,
    limit: Usage,
    records: QuotaReached,
    bytes: QuotaReached,
) -> Result<(), QuotaReached> {
    let limit = limit.times(COPY_DISCOUNT);
    if units.records > limit.records {
        return Err(records);
    }
    if units.bytes > limit.bytes {
        return Err(bytes);
    }
    Ok(())
}

/// Replaces one part of a sum. Returns the sum before and after; `None`, and no entry, where it is
/// nothing.
fn replace<K: Ord>(
    sums: &mut BTreeMap<K, Usage>,
    key: K,
    before: Usage,
    after: Usage,
) -> (Option<Usage>, Option<Usage>) {
    match sums.entry(key) {
        Entry::Vacant(place) => {
            let new = Some(after).filter(|after| after.records > 0);
            if let Some(new) = new {
                place.insert(new);
            }
            (None, new)
        }
        Entry::Occupied(mut place) => {
            let old = *place.get();
            let new = old.minus(before).plus(after);
            if new.records > 0 {
                place.insert(new);
                return (Some(old), Some(new));
            }
            place.remove();
            (Some(old), None)
        }
    }
}

#[cfg(test)]
mod tests;
