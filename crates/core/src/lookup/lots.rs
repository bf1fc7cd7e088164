//! The order in which a GET asks nodes any of which is as good as another.

use super::candidate::Candidate;

/// Candidates that are asked in random order.
#[derive(Clone, Copy, Debug)]
pub struct Lots {
    /// Up to which distance from the target, as a share of the space.
    pub within: f64,
    /// The randomness.
    pub salt: u64,
}

impl Lots {
    /// The place of a candidate in that order; `None` if it is too far away.
    pub(super) fn draw(&self, candidate: &Candidate) -> Option<u64> {
        if candidate.distance.as_fraction() > self.within {
            return None;
        }
        let [a, b, c, d, e, f, g, h, ..] = candidate.node.id.to_bytes();
        let seed = self.salt ^ u64::from_le_bytes([a, b, c, d, e, f, g, h]);
        // The finalizer of splitmix64.
        let mixed = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Some(mixed ^ (mixed >> 31))
    }
}
