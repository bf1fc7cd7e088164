//! Which candidates of a lookup matter: how far it and each of its paths reach.

use super::candidate::{Candidate, State};
use crate::config::MAX_PATHS;

/// Counts, from the nearest outwards, how far the lookup and each of its paths reach.
pub(super) struct Reach {
    want: usize,
    share: usize,
    all: u16,
    seen: usize,
    seen_on: [u16; MAX_PATHS],
    paths: u8,
}

impl Reach {
    /// Of a lookup that wants so many of the closest, and of each of its `paths` a share of them.
    pub(super) fn new(want: usize, share: usize, paths: u8) -> Self {
        Self {
            want,
            share,
            all: (1u32 << paths).wrapping_sub(1) as u16,
            seen: 0,
            seen_on: [0; MAX_PATHS],
            paths,
        }
    }

    /// The paths, as bits, on which this candidate matters; `None` once nothing farther can.
    /// A candidate that is passed over does not count towards anyone's reach.
    pub(super) fn pass(&mut self, candidate: &Candidate, pass_over: bool) -> Option<u16> {
        if candidate.state == State::Failed {
            return Some(0);
        }
        let in_reach = self.seen < self.want;
        let mine = match candidate.asked_on {
            Some(path) => 1 << path,
            None => candidate.told,
        };
        let mut matters = if in_reach { mine } else { 0 };
        let mut open = in_reach;
        for path in 0..self.paths {
            let seen = &mut self.seen_on[usize::from(path)];
            if usize::from(*seen) >= self.share {
                continue;
            }
            open = true;
            if mine & (1 << path) != 0 {
                matters |= 1 << path;
                if !pass_over {
                    *seen += 1;
                }
            }
        }
        if !pass_over {
            self.seen += 1;
        }
        open.then_some(matters & self.all)
    }
}
