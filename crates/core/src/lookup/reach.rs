//! Which candidates of a lookup matter: how far it and each of its paths reach.

use super::candidate::{Candidate, State};
use crate::config::MAX_PATHS;

/// Goes through the candidates of a lookup, nearest first, and tells which of them matter: the `want`
/// closest of all, and of each path its `share` closest. Failed candidates do not count.
pub(super) struct Reach {
    want: usize,
    share: usize,
    paths: u8,
    /// Candidates that count, so far: of all, and of each path.
    seen: usize,
    seen_on: [usize; MAX_PATHS],
}

impl Reach {
    /// Of a lookup that wants so many of the closest, and of each of its `paths` a share of them.
    pub(super) fn new(want: usize, share: usize, paths: u8) -> Self {
        Self { want, share, paths, seen: 0, seen_on: [0; MAX_PATHS] }
    }

    /// The paths, as bits, on which the next candidate matters; `None` once neither this nor any that
    /// is farther can. One that is passed over may matter, but does not count: one more is within reach
    /// in place of it.
    pub(super) fn pass(&mut self, candidate: &Candidate, pass_over: bool) -> Option<u16> {
        if candidate.state == State::Failed {
            return Some(0);
        }
        let on = candidate.asked_on.map_or(candidate.told & self.all(), |path| 1 << path);
        let open = self.open();
        let is_wanted = self.seen < self.want;
        if !is_wanted && open == 0 {
            return None;
        }
        if !pass_over {
            self.count(on & open);
        }
        Some(if is_wanted { on } else { on & open })
    }

    /// All paths, as bits.
    fn all(&self) -> u16 {
        (0..self.paths).fold(0, |bits, path| bits | 1 << path)
    }

    /// The paths that have yet to see their share.
    fn open(&self) -> u16 {
        let is_open = |path: &u8| self.seen_on[usize::from(*path)] < self.share;
        (0..self.paths).filter(is_open).fold(0, |bits, path| bits | 1 << path)
    }

    fn count(&mut self, paths: u16) {
        self.seen += 1;
        for path in (0..self.paths).filter(|path| paths & (1 << path) != 0) {
            self.seen_on[usize::from(path)] += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use voiddht_wire::peer::NodeInfo;
    use voiddht_wire::{NodeId, PeerAddress};

    use super::*;

    fn candidates(told: &[u16]) -> Vec<Candidate> {
        let target = voiddht_wire::Key::default();
        let node = |last: usize| {
            let mut id = [0; 32];
            id[31] = u8::try_from(last).expect("a few");
            let address = PeerAddress::new(std::net::Ipv4Addr::LOCALHOST.into(), 7402);
            NodeInfo { address, id: NodeId::from_bytes(id) }
        };
        let numbered = told.iter().enumerate();
        let candidate = |(index, told): (usize, &u16)| {
            let node = node(index + 1);
            Candidate::new((target.distance(&node.id), node), *told, None, None, 1)
        };
        numbered.map(candidate).collect()
    }

    #[test]
    fn the_closest_of_all_matter_and_then_those_of_each_path_that_lacks_its_share() {
        let candidates = candidates(&[0b01, 0b01, 0b01, 0b10, 0b10, 0b11]);
        let mut reach = Reach::new(2, 1, 2);
        let matters: Vec<_> = candidates.iter().map(|one| reach.pass(one, false)).collect();
        let expected = [Some(0b01), Some(0b01), Some(0), Some(0b10), None, None];
        assert_eq!(matters, expected);
    }

    #[test]
    fn one_that_is_passed_over_or_has_failed_leaves_its_place_to_the_next() {
        let mut candidates = candidates(&[0b1, 0b1, 0b1, 0b1]);
        candidates[0].state = State::Failed;
        let mut reach = Reach::new(1, 1, 1);
        assert_eq!(reach.pass(&candidates[0], false), Some(0));
        assert_eq!(reach.pass(&candidates[1], true), Some(1));
        assert_eq!(reach.pass(&candidates[2], false), Some(1));
        assert_eq!(reach.pass(&candidates[3], false), None);
    }
}
