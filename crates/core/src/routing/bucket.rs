//! One k-bucket: at most k contacts of one range of the ID space, least recently seen first
//! (Kademlia, section 2.2), and its replacement candidates.

use rand::Rng;
use voiddht_wire::id::{ID_BITS, ID_BYTES};
use voiddht_wire::peer::NodeInfo;
use voiddht_wire::{Key, NodeId, PeerAddress};

use super::replacement::{Candidate, ReplacementCache};
use crate::contact::Contact;
use crate::time::Moment;

/// Contacts for which a bucket first makes room; it then doubles, up to k.
const FIRST_CONTACTS: usize = 4;

/// A part of the ID space: every point that shares a prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BucketRange {
    /// The lowest point: the prefix, then zeros.
    prefix: Key,
    /// Bits of the prefix, 0 to 256.
    depth: u16,
}

impl BucketRange {
    /// The whole space.
    pub(super) fn whole() -> Self {
        Self { prefix: Key::default(), depth: 0 }
    }

    /// The lowest point of the range: its prefix, then zeros.
    pub fn prefix(&self) -> Key {
        self.prefix
    }

    /// Bits that the points of this range share.
    pub fn depth(&self) -> usize {
        self.depth.into()
    }

    /// Whether a node lies in it.
    #[inline]
    pub fn contains(&self, id: &NodeId) -> bool {
        self.prefix.distance(id).leading_zeros() >= u32::from(self.depth)
    }

    /// A point of the range, each as likely as any other: the target of a bucket refresh.
    pub fn random_target(&self, random: &mut impl Rng) -> Key {
        let mut bytes = [0; ID_BYTES];
        random.fill_bytes(&mut bytes);
        let mut target = Key::from_bytes(bytes);
        for index in 0..self.depth() {
            target = target.with_bit(index, self.prefix.bit(index));
        }
        target
    }

    /// The two halves, the one with the 0 first. `None` for a single point.
    fn halves(&self) -> Option<[Self; 2]> {
        let depth = self.depth();
        (depth < ID_BITS).then(|| {
            [false, true]
                .map(|bit| Self { prefix: self.prefix.with_bit(depth, bit), depth: self.depth + 1 })
        })
    }
}

/// What can be seen of a bucket from outside, as for a status page.
#[derive(Clone, Copy, Debug)]
pub struct BucketView<'a> {
    bucket: &'a Bucket,
}

impl<'a> BucketView<'a> {
    pub(super) fn new(bucket: &'a Bucket) -> Self {
        Self { bucket }
    }

    /// The part of the space that it covers.
    pub fn range(&self) -> BucketRange {
        self.bucket.range
    }

    /// Its contacts, least recently seen first.
    pub fn contacts(&self) -> &'a [Contact] {
        &self.bucket.contacts
    }

    /// Nodes that wait for a place.
    pub fn candidates(&self) -> usize {
        self.bucket.candidates.len()
    }

    /// When a lookup last aimed at a point of its range; `None` if none ever did.
    pub fn last_looked_up(&self) -> Option<Moment> {
        self.bucket.last_looked_up
    }
}

#[derive(Clone, Debug)]
pub(super) struct Bucket {
    pub(super) range: BucketRange,
    /// Least recently seen first.
    contacts: Vec<Contact>,
    candidates: ReplacementCache,
    pub(super) last_looked_up: Option<Moment>,
}

impl Bucket {
    pub(super) fn new(range: BucketRange) -> Self {
        Self {
            range,
            contacts: Vec::new(),
            candidates: ReplacementCache::default(),
            last_looked_up: None,
        }
    }

    pub(super) fn contacts(&self) -> &[Contact] {
        &self.contacts
    }

    pub(super) fn get(&self, id: &NodeId) -> Option<&Contact> {
        self.contacts.iter().find(|contact| contact.id() == id)
    }

    pub(super) fn get_mut(&mut self, id: &NodeId) -> Option<&mut Contact> {
        self.contacts.iter_mut().find(|contact| contact.id() == id)
    }

    pub(super) fn has_suspect(&self) -> bool {
        self.contacts.iter().any(Contact::is_suspect)
    }

    /// Adds a contact that is not there, as the most recently seen. The caller has made sure
    /// that there are fewer than `k`.
    pub(super) fn push(&mut self, contact: Contact, k: usize) {
        debug_assert!(self.contacts.len() < k && self.range.contains(contact.id()));
        let capacity = self.contacts.capacity();
        if self.contacts.len() == capacity {
            // Doubling would end at 32 places where k is 20.
            let wanted = (2 * capacity).max(FIRST_CONTACTS).min(k);
            self.contacts.reserve_exact(wanted.saturating_sub(capacity));
        }
        self.candidates.remove(contact.id());
        self.contacts.push(contact);
    }

    /// Puts a contact behind all others, as the most recently seen.
    pub(super) fn make_most_recent(&mut self, id: &NodeId) {
        if let Some(index) = self.contacts.iter().position(|contact| contact.id() == id) {
            self.contacts[index..].rotate_left(1);
        }
    }

    pub(super) fn remove(&mut self, id: &NodeId) -> Option<Contact> {
        let index = self.contacts.iter().position(|contact| contact.id() == id)?;
        Some(self.contacts.remove(index))
    }

    /// Takes out the contact that most deserves to lose its place: the suspect with the most
    /// failures, among equals the one least recently seen. `None` if all are responsive.
    pub(super) fn remove_suspect(&mut self) -> Option<Contact> {
        let mut worst: Option<(usize, u8)> = None;
        for (index, contact) in self.contacts.iter().enumerate() {
            if contact.failures() > worst.map_or(0, |(_, failures)| failures) {
                worst = Some((index, contact.failures()));
            }
        }
        worst.map(|(index, _)| self.contacts.remove(index))
    }

    pub(super) fn remember(&mut self, info: NodeInfo, answered: bool, limit: usize) {
        self.candidates.remember(Candidate::new(info, answered), limit);
    }

    /// Takes out the best candidate whose address is acceptable beside the contacts.
    pub(super) fn take_candidate(
        &mut self,
        accept: impl Fn(&PeerAddress, &[Contact]) -> bool,
    ) -> Option<NodeInfo> {
        self.candidates.take_best(|address| accept(address, &self.contacts))
    }

    pub(super) fn forget_candidate(&mut self, id: &NodeId) {
        self.candidates.remove(id);
    }

    /// The bucket's two halves, in the order of the space, with what lay in it. Both inherit
    /// when it was last looked up. `None` for a single point.
    pub(super) fn split(&mut self, replacement_cache: usize) -> Option<[Self; 2]> {
        let mut halves = self.range.halves()?.map(Self::new);
        let depth = self.range.depth();
        let side = |id: &NodeId| usize::from(id.bit(depth));
        let upper = self.contacts.iter().filter(|contact| contact.id().bit(depth)).count();
        for (half, count) in halves.iter_mut().zip([self.contacts.len() - upper, upper]) {
            half.last_looked_up = self.last_looked_up;
            half.contacts.reserve_exact(count);
        }
        for contact in std::mem::take(&mut self.contacts) {
            halves[side(contact.id())].contacts.push(contact);
        }
        for candidate in self.candidates.drain() {
            halves[side(candidate.id())].candidates.remember(candidate, replacement_cache);
        }
        Some(halves)
    }
}
