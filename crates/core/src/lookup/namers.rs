//! Referrers: the peers that named candidates, and whether the nodes they named have answered.
//!
//! Bad referrals count against every referrer, not only the first: malicious nodes that confirm
//! each other's invented contacts lose influence together. After a mass failure honest peers name
//! dead nodes, too; so this counts only while most queried nodes answer.

use voiddht_wire::NodeId;

/// Contacts that a peer named and that did not answer, from which on its others are doubtful; each
/// that did answer excuses two more.
pub(super) const DOUBT_AFTER: u8 = 2;
/// Peers that are distinguished. A lookup asks [`super::MAX_REQUESTS`] nodes at most, and a GET
/// that must find the complete neighbourhood as many again; of those beyond this number, referrals
/// count as doubtful.
const MAX_NAMERS: usize = 256;

/// All peers that answered with nodes, and the results of those.
#[derive(Clone, Debug, Default)]
pub(super) struct Namers {
    all: Vec<Namer>,
    /// How all that were asked fared.
    total: Fared,
    /// Whether one of them was ever doubted: in an honest network there is none to look for.
    any_doubted: bool,
}

#[derive(Clone, Copy, Debug)]
struct Namer {
    id: NodeId,
    /// Contacts that no other peer had named when they were judged.
    alone: Fared,
    /// All that it named.
    all: Fared,
    /// Whether either was found to be bad.
    is_doubted: bool,
}

/// How many contacts answered, and how many did not.
#[derive(Clone, Copy, Debug, Default)]
struct Fared {
    answered: u8,
    unanswered: u8,
}

impl Fared {
    fn count(&mut self, answered: bool) {
        let count = if answered { &mut self.answered } else { &mut self.unanswered };
        *count = count.saturating_add(1);
    }

    fn is_bad(self) -> bool {
        self.unanswered >= DOUBT_AFTER.saturating_add(self.answered.saturating_mul(2))
    }

    /// Whether most answer. After a mass death honest peers name many dead nodes.
    fn is_healthy(self) -> bool {
        self.answered >= self.unanswered.saturating_mul(2)
    }
}

/// Some of them, each a bit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct NamerSet([u64; MAX_NAMERS / 64]);

impl NamerSet {
    /// False if it is in it already.
    pub(super) fn insert(&mut self, namer: u8) -> bool {
        let (word, bit) = (&mut self.0[usize::from(namer) / 64], 1 << (namer % 64));
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }

    fn iter(self) -> impl Iterator<Item = usize> {
        let bits = |(word, mut bits): (usize, u64)| {
            std::iter::from_fn(move || {
                let bit = bits.trailing_zeros() as usize;
                bits &= bits.wrapping_sub(1);
                (bit < 64).then_some(64 * word + bit)
            })
        };
        self.0.into_iter().enumerate().flat_map(bits)
    }

    fn is_empty(self) -> bool {
        self.0 == [0; MAX_NAMERS / 64]
    }
}

impl Namers {
    /// The number of this peer; `None` if there are too many.
    pub(super) fn number(&mut self, id: &NodeId) -> Option<u8> {
        let known = self.all.iter().position(|one| one.id == *id);
        if known.is_none() && self.all.len() < MAX_NAMERS {
            self.all.push(Namer {
                id: *id,
                alone: Fared::default(),
                all: Fared::default(),
                is_doubted: false,
            });
        }
        let number = known.unwrap_or(self.all.len().saturating_sub(1));
        let is_known = self.all.get(number).is_some_and(|one| one.id == *id);
        u8::try_from(number).ok().filter(|_| is_known)
    }

    /// Something that others named answered or did not, and this peer names it too.
    pub(super) fn judge_one(&mut self, namer: u8, answered: bool) {
        self.charge(usize::from(namer), answered, false);
    }

    /// What all of these named answered, or did not.
    pub(super) fn judge(&mut self, namers: NamerSet, answered: bool) {
        self.total.count(answered);
        let is_alone = namers.iter().count() == 1;
        namers.iter().for_each(|namer| self.charge(namer, answered, is_alone));
    }

    fn charge(&mut self, namer: usize, answered: bool, is_alone: bool) {
        let is_healthy = self.total.is_healthy();
        let Some(namer) = self.all.get_mut(namer) else { return };
        namer.all.count(answered);
        if is_alone {
            namer.alone.count(answered);
        }
        let is_shared = namer.all.is_bad() && (is_healthy || namer.is_doubted);
        namer.is_doubted = namer.alone.is_bad() || is_shared;
        self.any_doubted |= namer.is_doubted;
    }

    /// Whether one of these is not doubted.
    pub(super) fn is_trusted(&self, namers: NamerSet) -> bool {
        if self.any_doubted { self.support(namers).0 > 0 } else { !namers.is_empty() }
    }

    /// How many of these are not doubted, and how many there are.
    pub(super) fn support(&self, namers: NamerSet) -> (usize, usize) {
        let known = namers.iter().filter_map(|namer| self.all.get(namer));
        known.fold((0, 0), |(trusted, all), one| (trusted + usize::from(!one.is_doubted), all + 1))
    }
}
