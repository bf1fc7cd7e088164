//! The buckets of a node, as a partition of the ID space (Kademlia, sections 2.4 and 4.2).
//!
//! The paper's binary tree is not built: its leaves, in the order of the space, determine it.
//! They lie in one sorted vector; each half of a slice of it, cut where the next bit turns from
//! 0 to 1, is a subtree. Every contact of the half in which a target lies is closer to it than
//! any of the other half, so that going near half first yields contacts in exact XOR order, and
//! only the few within one bucket need sorting.
//!
//! Invariants: the ranges of the buckets are disjoint and cover the space; no bucket holds more
//! than k contacts; the own ID is in none; an ID is in at most one bucket, once.
//!
//! Memory: 88 bytes per contact and 56 per candidate. A table of a network of 100 000 has at
//! most some 75 buckets: 120 KiB of contacts, and 250 KiB of candidates if all caches are full.

use std::time::Duration;

use voiddht_wire::peer::NodeInfo;
use voiddht_wire::{Key, NodeId, PeerAddress};

use super::bucket::{Bucket, BucketRange, BucketView};
use crate::config::{B, K, REPLACEMENT_CACHE};
use crate::contact::{AdmittedContact, Contact, MemberFrom, RttEstimate};
use crate::diversity::{DiversityCounter, DiversityLimits};
use crate::time::Moment;

/// How a routing table is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoutingConfig {
    /// Contacts of a bucket, at least 1. More survive more deaths at once, and cost memory and
    /// upkeep.
    pub k: usize,
    /// Bits per step, at least 1. More make lookups shorter and the table larger, by about
    /// `(2^b - 1) / b` times.
    pub b: usize,
    /// Candidates of a bucket; the least useful is dropped when there are more.
    pub replacement_cache: usize,
    /// Contacts of one bucket that may share an address prefix.
    pub per_bucket: DiversityLimits,
    /// Contacts of the whole table that may share one.
    pub per_table: DiversityLimits,
}

impl Default for RoutingConfig {
    fn default() -> Self {
        Self {
            k: K,
            b: B,
            replacement_cache: REPLACEMENT_CACHE,
            per_bucket: DiversityLimits::BUCKET,
            per_table: DiversityLimits::TABLE,
        }
    }
}

/// What became of a contact that was to be inserted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Insertion {
    /// It is a new member of the table.
    Added,
    /// It is a new member, in the place of one that had stopped answering.
    Replaced {
        /// The contact that was removed.
        removed: NodeInfo,
    },
    /// It was a member already, and is now the most recently seen.
    Updated,
    /// It was a member, and now listens elsewhere: the address that answered last counts.
    Moved {
        /// Where it listened before.
        from: PeerAddress,
    },
    /// Its bucket is full of responsive contacts; it waits in the replacement cache.
    Cached,
    /// As many contacts as may be share its address prefix.
    TooAlike {
        /// Its former self, if it was a member that moved: it is where it was no longer.
        removed: Option<NodeInfo>,
    },
    /// It is this node itself.
    Own,
}

/// What followed from a contact's failure to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// There is no such contact.
    Unknown,
    /// It keeps its place as a suspect, until another can take it.
    Kept {
        /// The candidate: to be probed, and inserted if it answers.
        candidate: Option<NodeInfo>,
    },
    /// It failed too often in a row, and is forgotten.
    Removed {
        /// The contact that was removed.
        info: NodeInfo,
        /// The candidate for its slot: to be probed, and inserted if it answers.
        candidate: Option<NodeInfo>,
    },
}

/// The contacts of one node.
#[derive(Clone, Debug)]
pub struct RoutingTable {
    own: NodeId,
    config: RoutingConfig,
    /// Sorted by prefix; a partition of the space, so never empty.
    buckets: Vec<Bucket>,
    /// Contacts in all buckets.
    len: usize,
    /// Where they are.
    diversity: DiversityCounter,
    /// When the tenure of the contact began that was last taken out.
    removed_from: MemberFrom,
    /// Whether a node ever found too many others that share its address prefix. Never reset: hostile
    /// nodes can bring it about, and the network is estimated then, as a larger one is.
    turned_away: bool,
}

impl RoutingTable {
    /// An empty table: one bucket that covers the whole space. A `k` or `b` of 0 reads as 1.
    pub fn new(own: NodeId, config: RoutingConfig) -> Self {
        let config = RoutingConfig { k: config.k.max(1), b: config.b.max(1), ..config };
        let diversity = DiversityCounter::new(config.per_table);
        let (buckets, removed_from) =
            (vec![Bucket::new(BucketRange::whole())], MemberFrom::default());
        Self { own, config, buckets, len: 0, diversity, removed_from, turned_away: false }
    }

    /// The node whose table this is.
    pub fn own(&self) -> &NodeId {
        &self.own
    }

    /// How it is built.
    pub fn config(&self) -> &RoutingConfig {
        &self.config
    }

    /// Contacts in the table.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no contact.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether every node that answered has a place: each bucket has a free one or would be split, and
    /// none was ever turned away for its address.
    pub fn has_place_for_all(&self) -> bool {
        let mut buckets = self.buckets.iter();
        let has_place = |bucket: &Bucket| {
            bucket.contacts().len() < self.config.k || self.may_split_around(&bucket.range.prefix())
        };
        !self.turned_away && buckets.all(has_place)
    }

    /// The contact with this ID.
    pub fn get(&self, id: &NodeId) -> Option<&Contact> {
        self.buckets[self.index_of(id)].get(id)
    }

    /// Whether there is such a contact, and it failed to answer the last time it was asked.
    pub fn is_suspect(&self, id: &NodeId) -> bool {
        self.get(id).is_some_and(Contact::is_suspect)
    }

    /// How quickly a contact answers; `None` where nothing was measured.
    pub fn rtt(&self, id: &NodeId) -> Option<RttEstimate> {
        self.get(id)?.rtt()
    }

    /// All contacts: by the order of their buckets in the space, within one least recently seen
    /// first.
    pub fn iter(&self) -> impl Iterator<Item = &Contact> {
        self.buckets.iter().flat_map(|bucket| bucket.contacts())
    }

    /// All buckets, in the order of the space.
    pub fn buckets(&self) -> impl Iterator<Item = BucketView<'_>> {
        self.buckets.iter().map(BucketView::new)
    }

    /// The bucket in which a node would be.
    pub fn bucket_of(&self, id: &NodeId) -> BucketView<'_> {
        BucketView::new(&self.buckets[self.index_of(id)])
    }

    /// The bucket in which a point lies.
    pub fn bucket_around(&self, point: &Key) -> BucketView<'_> {
        BucketView::new(&self.buckets[self.index_of_key(point)])
    }

    /// Contacts that answer in the bucket in which a point lies.
    pub fn responsive_around(&self, point: &Key) -> usize {
        let contacts = self.bucket_around(point).contacts().iter();
        contacts.filter(|contact| !contact.is_suspect()).count()
    }

    /// Whether the bucket in which a point lies would be split for one contact too many.
    pub fn may_split_around(&self, point: &Key) -> bool {
        let depth = self.bucket_around(point).range().depth();
        may_split(&self.own, &NodeId::from_bytes(point.to_bytes()), depth, self.config.b)
    }

    /// Inserts a node that has answered, or notes that a known one did.
    ///
    /// A full bucket is split if it covers the own ID or its depth is not a multiple of b;
    /// otherwise the newcomer takes the place of a suspect, or waits: contacts that live are never
    /// given up for new ones, since nodes that have been up long will stay up longest (section
    /// 2.1).
    pub fn insert(&mut self, admitted: AdmittedContact, now: Moment) -> Insertion {
        let NodeInfo { address, id } = admitted.info();
        if id == self.own {
            return Insertion::Own;
        }
        if let Some(known) = self.answer(&id, None, now) {
            let from = known.address();
            return if from == address {
                Insertion::Updated
            } else {
                self.relocate(admitted, from)
            };
        }
        let index = self.split_for(&id);
        if !self.admits(&address, self.buckets[index].contacts().iter()) {
            self.turned_away = true;
            return Insertion::TooAlike { removed: None };
        }
        let RoutingConfig { k, replacement_cache, .. } = self.config;
        let bucket = &mut self.buckets[index];
        let removed = if bucket.contacts().len() < k {
            None
        } else if let Some(suspect) = bucket.remove_suspect() {
            self.removed_from = suspect.member_from();
            Some(suspect.info())
        } else {
            bucket.remember(admitted.info(), true, replacement_cache);
            return Insertion::Cached;
        };
        bucket.push(Contact::new(admitted, now), k);
        self.len += 1;
        self.diversity.add(&address);
        match removed {
            None => Insertion::Added,
            Some(removed) => {
                self.forget_place_of(&removed);
                Insertion::Replaced { removed }
            }
        }
    }

    /// Whether inserting this node now would make it a new member: whether finding out if it
    /// answers is worth a probe. A member of which another address is heard is not wanted.
    pub fn wants(&self, node: &NodeInfo) -> bool {
        let id = &node.id;
        let bucket = &self.buckets[self.index_of(id)];
        *id != self.own
            && node.address.is_dialable()
            && bucket.get(id).is_none()
            && self.has_place_for(node, bucket)
    }

    /// Notes a node that was only heard of, for the time when there is a place for it. Members
    /// and the own ID are passed over.
    pub fn remember_candidate(&mut self, info: NodeInfo) {
        let index = self.index_of(&info.id);
        let bucket = &mut self.buckets[index];
        if info.id != self.own && info.address.is_dialable() && bucket.get(&info.id).is_none() {
            bucket.remember(info, false, self.config.replacement_cache);
        }
    }

    /// Takes the best candidate out of the bucket in which `id` lies, if that has a place: to be
    /// probed, and inserted if it answers.
    pub fn candidate_for(&mut self, id: &NodeId) -> Option<NodeInfo> {
        let index = self.index_of(id);
        let bucket = &mut self.buckets[index];
        let place = bucket.contacts().len() < self.config.k || bucket.has_suspect();
        if place { self.take_candidate(index) } else { None }
    }

    /// A contact has answered, `rtt` after it was asked where that was measured. Returns whether
    /// there is such a contact.
    pub fn answered(&mut self, id: &NodeId, rtt: Option<Duration>, now: Moment) -> bool {
        self.answer(id, rtt, now).is_some()
    }

    /// A contact has failed to answer.
    ///
    /// It becomes a suspect, and keeps its place until a candidate has answered in its stead or
    /// it has failed [too often](crate::contact::MAX_FAILURES_IN_A_ROW). Dropping it merely
    /// because candidates were heard of would let one outage of this node's own network, or a
    /// liar with a list of invented nodes, empty the table.
    pub fn failed(&mut self, id: &NodeId, now: Moment) -> Failure {
        let index = self.index_of(id);
        let bucket = &mut self.buckets[index];
        let Some(contact) = bucket.get_mut(id) else { return Failure::Unknown };
        let before = contact.failures();
        let too_often = contact.failed(now);
        let info = contact.info();
        // One burst of failures asks for one candidate, not for all of them; and so does one dead
        // contact, before it has left its place.
        let is_first = before == 0 && contact.failures() > before;
        if too_often {
            self.removed_from = contact.member_from();
            bucket.remove(id);
            self.forget_place_of(&info);
        }
        let candidate = if is_first || too_often { self.take_candidate(index) } else { None };
        if too_often { Failure::Removed { info, candidate } } else { Failure::Kept { candidate } }
    }

    /// Forgets a contact, as member and as candidate: it said goodbye, or was banned.
    pub fn remove(&mut self, id: &NodeId) -> Option<NodeInfo> {
        let index = self.index_of(id);
        let bucket = &mut self.buckets[index];
        bucket.forget_candidate(id);
        let contact = bucket.remove(id)?;
        self.removed_from = contact.member_from();
        let removed = contact.info();
        self.forget_place_of(&removed);
        Some(removed)
    }

    /// How long the contact that left the table last had been in it.
    pub fn tenure_of_removed(&self, now: Moment) -> Duration {
        self.removed_from.tenure(now)
    }

    /// A contact was in the table before, for so long.
    pub fn credit(&mut self, id: &NodeId, earlier: Duration) {
        let index = self.index_of(id);
        if let Some(contact) = self.buckets[index].get_mut(id) {
            contact.credit(earlier);
        }
    }

    /// Replaces what is in `found` by the `count` contacts closest to `target`, closest first.
    pub fn closest(&self, target: &Key, count: usize, found: &mut Vec<NodeInfo>) {
        self.collect_closest(target, count, found, |_| true);
    }

    /// As [`Self::closest`], without suspects.
    pub fn closest_responsive(&self, target: &Key, count: usize, found: &mut Vec<NodeInfo>) {
        self.collect_closest(target, count, found, |contact| !contact.is_suspect());
    }

    /// As [`Self::closest`], those alone for which `wanted` holds.
    pub fn closest_where(
        &self,
        target: &Key,
        count: usize,
        found: &mut Vec<NodeInfo>,
        wanted: impl Fn(&Contact) -> bool,
    ) {
        self.collect_closest(target, count, found, wanted);
    }

    /// Notes that a lookup aims at `target`.
    pub fn mark_looked_up(&mut self, target: &Key, now: Moment) {
        let index = self.index_of_key(target);
        self.buckets[index].last_looked_up = Some(now);
    }

    /// The buckets at which no lookup has aimed since `moment`, in the order of the space.
    pub fn buckets_unvisited_since(&self, moment: Moment) -> impl Iterator<Item = BucketRange> {
        self.buckets
            .iter()
            .filter(move |bucket| bucket.last_looked_up.is_none_or(|at| at < moment))
            .map(|bucket| bucket.range)
    }

    fn answer(&mut self, id: &NodeId, rtt: Option<Duration>, now: Moment) -> Option<&mut Contact> {
        let index = self.index_of(id);
        let bucket = &mut self.buckets[index];
        bucket.make_most_recent(id);
        let contact = bucket.get_mut(id)?;
        contact.answered(rtt, now);
        Some(contact)
    }

    /// A member has authenticated at another address. If too many share that one's prefix, it goes:
    /// where it was, it no longer is.
    fn relocate(&mut self, admitted: AdmittedContact, from: PeerAddress) -> Insertion {
        let NodeInfo { address, id } = admitted.info();
        let former = NodeInfo { address: from, id };
        let index = self.index_of(&id);
        self.forget_place_of(&former);
        let others = self.buckets[index].contacts().iter().filter(|other| *other.id() != id);
        if !self.admits(&address, others) {
            self.buckets[index].remove(&id);
            self.turned_away = true;
            return Insertion::TooAlike { removed: Some(former) };
        }
        if let Some(known) = self.buckets[index].get_mut(&id) {
            known.moved(address);
        }
        self.len += 1;
        self.diversity.add(&address);
        Insertion::Moved { from }
    }

    /// Whether the limits of diversity allow one more contact at this address, in a bucket with
    /// these.
    fn admits<'a>(
        &self,
        address: &PeerAddress,
        contacts: impl Iterator<Item = &'a Contact> + Clone,
    ) -> bool {
        self.diversity.admits(address)
            && self.config.per_bucket.admits(address, contacts.map(Contact::address))
    }

    /// Takes a contact that has left its bucket out of what is counted over all of them.
    fn forget_place_of(&mut self, left: &NodeInfo) {
        self.len -= 1;
        self.diversity.remove(&left.address);
    }

    /// Takes out the best candidate of a bucket that the limits of diversity would allow there.
    fn take_candidate(&mut self, index: usize) -> Option<NodeInfo> {
        let Self { buckets, diversity, config, .. } = self;
        buckets[index].take_candidate(|address, contacts| {
            let members = contacts.iter().map(Contact::address);
            diversity.admits(address) && config.per_bucket.admits(address, members)
        })
    }

    #[inline]
    fn index_of(&self, id: &NodeId) -> usize {
        self.index_of_key(&id.as_key())
    }

    /// The last bucket that begins at or before the point. There is one: the first begins at 0.
    #[inline]
    fn index_of_key(&self, key: &Key) -> usize {
        self.buckets.partition_point(|bucket| bucket.range.prefix() <= *key).saturating_sub(1)
    }

    /// Splits the bucket in which `id` lies until it has a place or may not be split. Returns its
    /// index.
    fn split_for(&mut self, id: &NodeId) -> usize {
        loop {
            let index = self.index_of(id);
            let bucket = &mut self.buckets[index];
            let depth = bucket.range.depth();
            if bucket.contacts().len() < self.config.k
                || !may_split(&self.own, id, depth, self.config.b)
            {
                return index;
            }
            let Some(halves) = bucket.split(self.config.replacement_cache) else { return index };
            self.buckets.splice(index..=index, halves);
        }
    }

    /// What [`Self::insert`] would find after its splits, without splitting.
    fn has_place_for(&self, node: &NodeInfo, bucket: &Bucket) -> bool {
        let NodeInfo { address, id } = node;
        let mut depth = bucket.range.depth();
        loop {
            let neighbours =
                bucket.contacts().iter().filter(|contact| shared_bits(contact.id(), id) >= depth);
            let is_full = neighbours.clone().count() >= self.config.k;
            if is_full && may_split(&self.own, id, depth, self.config.b) {
                depth += 1;
                continue;
            }
            let has_place = !is_full || neighbours.clone().any(Contact::is_suspect);
            return has_place && self.admits(address, neighbours);
        }
    }

    fn collect_closest(
        &self,
        target: &Key,
        count: usize,
        found: &mut Vec<NodeInfo>,
        wanted: impl Fn(&Contact) -> bool,
    ) {
        found.clear();
        near_first(&self.buckets, 0, target, &mut |bucket| {
            let start = found.len();
            found.extend(bucket.contacts().iter().filter(|it| wanted(it)).map(Contact::info));
            found[start..].sort_unstable_by_key(|node| target.distance(&node.id));
            found.len() < count
        });
        found.truncate(count);
    }
}

/// Whether a full bucket of this depth, in which `id` lies, is split: it covers the own ID
/// (section 2.4), or its depth is not a multiple of b (section 4.2).
fn may_split(own: &NodeId, id: &NodeId, depth: usize, b: usize) -> bool {
    !depth.is_multiple_of(b) || shared_bits(own, id) >= depth
}

/// Length of the prefix that two IDs share.
fn shared_bits(a: &NodeId, b: &NodeId) -> usize {
    a.distance(b).leading_zeros() as usize
}

/// Visits the buckets of the subtree that `buckets` are the leaves of, whose ranges share `depth`
/// bits, closest to `target` first, until `visit` returns false. Returns whether it never did.
/// The recursion is no deeper than an ID has bits.
fn near_first<'a>(
    buckets: &'a [Bucket],
    depth: usize,
    target: &Key,
    visit: &mut impl FnMut(&'a Bucket) -> bool,
) -> bool {
    if let [bucket] = buckets {
        return visit(bucket);
    }
    let middle = buckets.partition_point(|bucket| !bucket.range.prefix().bit(depth));
    let (zeros, ones) = buckets.split_at(middle);
    let (near, far) = if target.bit(depth) { (ones, zeros) } else { (zeros, ones) };
    near_first(near, depth + 1, target, visit) && near_first(far, depth + 1, target, visit)
}
