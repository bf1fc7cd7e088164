//! The replacement cache of a bucket: candidates for the slot of a contact that fails (Kademlia,
//! section 4.1).
//!
//! Two kinds are distinguished. Candidates that *answered* once, when the bucket was full, come
//! first and are never displaced by the others. The others are unverified referrals: a malicious
//! node can invent any number of them, and must not displace real ones.

use voiddht_wire::peer::NodeInfo;
use voiddht_wire::{NodeId, PeerAddress};

/// Bounded, most recently noted last. Allocates nothing before the first candidate.
#[derive(Clone, Debug, Default)]
pub(super) struct ReplacementCache {
    candidates: Vec<Candidate>,
}

#[derive(Clone, Debug)]
pub(super) struct Candidate {
    id: NodeId,
    address: PeerAddress,
    /// Whether it has itself answered at this address.
    answered: bool,
}

impl Candidate {
    pub(super) fn new(info: NodeInfo, answered: bool) -> Self {
        Self { id: info.id, address: info.address, answered }
    }

    pub(super) fn id(&self) -> &NodeId {
        &self.id
    }

    fn info(&self) -> NodeInfo {
        NodeInfo { address: self.address, id: self.id }
    }
}

impl ReplacementCache {
    pub(super) fn len(&self) -> usize {
        self.candidates.len()
    }

    /// Notes a candidate as the most recent of its kind, within `limit` candidates in all. What is
    /// heard of a node that has answered changes nothing.
    pub(super) fn remember(&mut self, candidate: Candidate, limit: usize) {
        if let Some(index) = self.candidates.iter().position(|known| known.id == candidate.id) {
            if self.candidates[index].answered && !candidate.answered {
                return;
            }
            self.candidates.remove(index);
        }
        if self.candidates.len() >= limit && !self.make_room(candidate.answered) {
            return;
        }
        self.candidates.push(candidate);
    }

    /// Drops the oldest that was only heard of, else (for one that answered) the oldest.
    fn make_room(&mut self, for_answered: bool) -> bool {
        let oldest = match self.candidates.iter().position(|candidate| !candidate.answered) {
            Some(heard_of) => heard_of,
            None if for_answered && !self.candidates.is_empty() => 0,
            None => return false,
        };
        self.candidates.remove(oldest);
        true
    }

    /// Takes the best acceptable candidate out: the most recent that answered, else the most
    /// recent.
    pub(super) fn take_best(&mut self, accept: impl Fn(&PeerAddress) -> bool) -> Option<NodeInfo> {
        let acceptable = |candidate: &Candidate| accept(&candidate.address);
        let best = self
            .candidates
            .iter()
            .rposition(|candidate| candidate.answered && acceptable(candidate))
            .or_else(|| self.candidates.iter().rposition(acceptable))?;
        Some(self.candidates.remove(best).info())
    }

    pub(super) fn remove(&mut self, id: &NodeId) {
        self.candidates.retain(|candidate| candidate.id != *id);
    }

    /// Empties the cache, oldest first.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = Candidate> {
        std::mem::take(&mut self.candidates).into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(n: u8) -> NodeInfo {
        NodeInfo {
            address: PeerAddress::new([192, 0, 2, n].into(), 7402),
            id: NodeId::from_bytes([n; 32]),
        }
    }

    fn cache(limit: usize, candidates: &[(u8, bool)]) -> ReplacementCache {
        let mut cache = ReplacementCache::default();
        for &(n, answered) in candidates {
            cache.remember(Candidate::new(info(n), answered), limit);
            assert!(cache.len() <= limit);
        }
        cache
    }

    fn check(mut cache: ReplacementCache, taken: &[u8]) {
        let order: Vec<_> = std::iter::from_fn(|| cache.take_best(|_| true)).collect();
        assert_eq!(order, taken.iter().copied().map(info).collect::<Vec<_>>());
    }

    #[test]
    fn those_that_answered_come_first_then_the_most_recent() {
        check(cache(9, &[(1, true), (2, false), (3, true), (4, false)]), &[3, 1, 4, 2]);
    }

    #[test]
    fn noting_again_makes_most_recent() {
        check(cache(9, &[(1, true), (2, true), (1, true)]), &[1, 2]);
        check(cache(9, &[(1, true), (2, true), (1, false)]), &[2, 1]);
        check(cache(9, &[(1, false), (2, true), (1, true)]), &[1, 2]);
    }

    #[test]
    fn hearsay_never_pushes_out_one_that_answered() {
        check(cache(2, &[(1, true), (2, false), (3, false), (4, false)]), &[1, 4]);
        check(cache(2, &[(1, true), (2, true), (3, false)]), &[2, 1]);
        check(cache(2, &[(1, true), (2, true), (3, true)]), &[3, 2]);
        check(cache(0, &[(1, true)]), &[]);
    }

    #[test]
    fn what_is_not_acceptable_stays() {
        let mut cache = cache(9, &[(1, true), (2, false), (3, true), (4, false)]);
        let even = |address: &PeerAddress| address.to_bytes()[15].is_multiple_of(2);
        assert_eq!(cache.take_best(even), Some(info(4)));
        assert_eq!(cache.take_best(even), Some(info(2)));
        assert_eq!(cache.take_best(even), None);
        check(cache, &[3, 1]);
    }

    #[test]
    fn hearsay_does_not_move_one_that_answered() {
        let mut cache = cache(9, &[(1, true)]);
        let elsewhere = NodeInfo { address: info(9).address, id: info(1).id };
        cache.remember(Candidate::new(elsewhere, false), 9);
        check(cache, &[1]);
    }
}
