//! How a GET reads: what its reader asks for, and what ends it.

use voiddht_signed::Precedence;
use voiddht_wire::api::Freshness;

use crate::density::SizeEstimate;
use crate::lookup::{Breadth, Lots};
use crate::time::WallTime;
use crate::vote::FULL_WEIGHT;

/// Which share of the k closest is asked in random order: those that are among them even if the
/// estimate is a quarter too low.
const CERTAIN_SHARE: f64 = 0.75;

/// What a reader asks of a value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadMode {
    /// How many nodes must have returned no newer signed value.
    pub freshness: Freshness,
    /// Whether votes for plain values do not count at all.
    pub proved_only: bool,
    /// Signed values that rank below it do not count.
    pub least: Precedence,
}

/// How a GET reads: what ends it.
#[derive(Clone, Copy, Debug)]
pub struct ReadPolicy {
    /// What the reader asks for.
    pub mode: ReadMode,
    /// This node's clock when the GET began: the ends of envelopes are judged by it.
    pub began: WallTime,
    /// Replicas that must agree, none dissenting, on as many paths, to end it early.
    pub quorum: usize,
    /// How wide it searches.
    pub breadth: Breadth,
    /// What the density of the neighbourhood is judged by; `None` if it is not.
    pub size: Option<SizeEstimate>,
    /// Randomness, for the order in which replicas are asked.
    pub salt: u64,
}

impl ReadPolicy {
    /// Whether these votes end a search.
    pub(super) fn is_enough(&self, votes: EarlyVotes) -> bool {
        let paths = votes.paths.count_ones() as usize + usize::from(votes.own);
        votes.weight >= self.quorum_weight() && paths >= self.quorum.min(self.breadth.paths)
    }

    /// What a quorum may lose because its voters lie together, by chance perhaps.
    pub(super) fn spared(&self) -> u32 {
        self.quorum_weight() / 5 * 2
    }

    pub(super) fn quorum_weight(&self) -> u32 {
        u32::try_from(self.quorum).unwrap_or(u32::MAX).saturating_mul(FULL_WEIGHT)
    }

    pub(super) fn lots(&self) -> Option<Lots> {
        let certain = CERTAIN_SHARE * self.size?.reach(self.breadth.want);
        Some(Lots { within: certain, salt: self.salt })
    }
}

/// Votes of nodes that may vote while the search goes on.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct EarlyVotes {
    pub(super) weight: u32,
    /// Disjoint paths on which they came, each a bit.
    pub(super) paths: u16,
    /// Whether this node's own vote, which came on none, is among them.
    pub(super) own: bool,
}
