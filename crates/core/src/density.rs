//! How many nodes the network has, judged by how close together they lie, and whether the
//! neighbourhood of a key is denser than that explains.
//!
//! IDs of honest nodes are spread evenly. Among N of them the distance to the m-th closest, as a
//! share of the space, is about a Gamma variable of shape m and rate N: its median is
//! `(m - 1/3) / N`. So one neighbourhood gives the estimate `(m - 1/3) / d_m`, which is too high as
//! often as too low, and wrong by `1 / sqrt(m)` (one standard deviation: 22 % for m = 20). No other
//! distance of the neighbourhood adds anything to it.
//!
//! Ground IDs make a neighbourhood denser, and the estimate from it larger. Hence the
//! *median* over several neighbourhoods that have nothing to do with each other: this node's own,
//! and those of the lookups it makes. It is wrong by `1.25 / sqrt(m × neighbourhoods)` (7 % for 16
//! of them), and cannot be moved far by fewer than half of them.
//!
//! Whether a neighbourhood is too dense is a test of significance. Where the estimate stands on M
//! nodes altogether, that i of N lie as close as they do happens by chance with probability
//! `P(Binomial(i + M - 1, x) ≥ i)`, `x = d_i / (d_i + M / N)`: the ratio of two Gamma variables, so
//! that an estimate from few nodes raises no false alarm. Every i is tested, for ground IDs may be
//! few and very close. What is done about it is the caller's: see [`SizeEstimate::excess`] and
//! [`SizeEstimate::crowds`].

use std::collections::VecDeque;
use std::f64::consts::FRAC_PI_2;

use voiddht_wire::Distance;

use crate::config::K;

/// Nodes that a neighbourhood must have to be counted: fewer say too little. As many as a lookup finds
/// that looks into a bucket far away.
pub const MIN_NEIGHBOURS: usize = 5;
/// Neighbourhoods that an estimate is made of. More would make it more exact than is of use, and
/// slower to follow a network that grows.
pub const NEIGHBOURHOODS: usize = 16;
/// How improbable the distance of one neighbour must be for the neighbourhood to count as too
/// dense. All of them are tested, so that false alarms are more frequent than this: four honest
/// neighbourhoods in a hundred, as a test here counts, which costs a PUT some copies. In return,
/// twenty ground IDs among the ten closest nodes are noticed 14 times in 15.
pub const SIGNIFICANCE: f64 = 5e-3;
/// The most nodes by which an operation is widened, however many are too many: three replica sets.
/// With the replica set itself that is less than half of what one lookup may ask. To control
/// a key alone, an attacker must keep more ground IDs than that alive, at as many addresses. It
/// also bounds the extra work that the attacker can cause for such a key.
pub const MAX_WIDENING: usize = 3 * K;
/// How many times as large or small as the others say the network may seem from the own neighbourhood,
/// before that counts as a contradiction: three standard deviations of 20 neighbours.
const CONTRADICTED_AT: f64 = 2.0;
/// Nodes that are counted rather than estimated: five times as many as a bucket holds. Of more, a newcomer
/// does not know all, and estimates are as exact as this.
pub const COUNTED_UP_TO: usize = 5 * K;
/// How many times as many nodes as are known an estimate may name without contradicting that these are all:
/// among 36, three standard deviations of where chance puts them.
const MOST_UNKNOWN: f64 = 1.5;
/// This node's own contacts around a key that are asked where a crowd surrounds it, as a multiple of
/// the nodes that are wanted: what its members name are its members.
pub const CONTACTS: usize = 4;
/// Neighbours that are tested; farther ones say nothing new about a key.
const MAX_TESTED: usize = 64;

/// The estimates of the last neighbourhoods that were seen.
#[derive(Clone, Debug, Default)]
pub struct NetworkSize {
    /// Estimated nodes, and how many neighbours the estimate stands on; the latest last.
    neighbourhoods: VecDeque<(f64, usize)>,
    /// The same of this node's own neighbourhood, which is looked at again and again, and would
    /// outvote all others.
    own: Option<(f64, usize)>,
}

impl NetworkSize {
    /// Takes the distances from a point to the nodes closest to it, nearest first. The point must
    /// not have been chosen by others: the own ID, or a random target. Returns whether there were
    /// enough of them to count.
    pub fn observe(&mut self, distances: &[Distance]) -> bool {
        let Some(estimate) = estimate_from(distances) else { return false };
        if self.neighbourhoods.len() == NEIGHBOURHOODS {
            self.neighbourhoods.pop_front();
        }
        self.neighbourhoods.push_back(estimate);
        true
    }

    /// As [`Self::observe`], for this node's own neighbourhood as it is now.
    pub fn observe_own(&mut self, distances: &[Distance]) -> bool {
        let estimate = estimate_from(distances);
        self.own = estimate.or(self.own);
        estimate.is_some()
    }

    /// Whether the own neighbourhood, which this node always knows, contradicts the others: the
    /// network has grown or shrunk since they were seen, or the own one is attacked.
    pub fn is_contradicted(&self) -> bool {
        let others = Self { own: None, ..self.clone() };
        let (Some((own, _)), Some(others)) = (self.own, others.estimate()) else { return false };
        let ratio = own / others.nodes;
        !(1.0 / CONTRADICTED_AT..=CONTRADICTED_AT).contains(&ratio)
    }

    /// The exact size, for tests.
    #[cfg(test)]
    pub(crate) fn evenly_spread(nodes: usize) -> SizeEstimate {
        SizeEstimate { nodes: nodes as f64, stands_on: 320.0 }
    }

    /// The median of what was seen; `None` before the first neighbourhood.
    pub fn estimate(&self) -> Option<SizeEstimate> {
        let all = || self.neighbourhoods.iter().chain(&self.own);
        let mut nodes: Vec<f64> = all().map(|(nodes, _)| *nodes).collect();
        nodes.sort_by(f64::total_cmp);
        let middle = nodes.len() / 2;
        let median = match nodes.len() {
            0 => return None,
            odd if odd % 2 == 1 => nodes[middle],
            _ => (nodes[middle - 1] + nodes[middle]) / 2.0,
        };
        let neighbours: usize = all().map(|(_, neighbours)| neighbours).sum();
        // A median of normal variables is worth 2/π times as many of them as their mean.
        let worth = if nodes.len() > 2 { 1.0 / FRAC_PI_2 } else { 1.0 };
        Some(SizeEstimate { nodes: median, stands_on: neighbours as f64 * worth })
    }
}

/// How many nodes there are, as far as can be told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SizeEstimate {
    nodes: f64,
    /// The number of nodes in one neighbourhood that would give an estimate as exact.
    stands_on: f64,
}

impl SizeEstimate {
    /// The same for a node that knows of this many nodes for certain, itself among them: a node
    /// that joined a network that was young, and has grown since, has seen neighbourhoods of few.
    pub fn at_least(self, nodes: usize) -> Self {
        Self { nodes: self.nodes.max(nodes as f64), ..self }
    }

    /// The same for a node whose routing table has a place for all nodes, and this many, itself among them.
    /// In a network of no more than [`COUNTED_UP_TO`] these are nearly all there are, unless the estimate
    /// contradicts that, and its nodes judge a key alike. By estimates, which differ by a third there, one
    /// would see a crowd where another does not, and widen a PUT that the other's next PUT replaces only in
    /// part.
    pub fn counted(self, nodes: usize) -> Self {
        let counted = nodes as f64;
        let is_all = nodes <= COUNTED_UP_TO && self.nodes <= MOST_UNKNOWN * counted;
        if is_all { Self { nodes: counted, ..self } } else { self.at_least(nodes) }
    }

    /// Nodes of the network.
    pub fn nodes(&self) -> f64 {
        self.nodes
    }

    /// One standard deviation of the estimate, as a share of it.
    pub fn relative_error(&self) -> f64 {
        1.0 / self.stands_on.sqrt()
    }

    /// The distance, as a share of the space, within which `count` nodes lie on average.
    pub fn reach(&self, count: usize) -> f64 {
        count as f64 / self.nodes
    }

    /// Whether the nodes closest to a key (nearest first) lie closer than chance explains, at this
    /// significance: then some of them probably chose their IDs.
    pub fn is_denser(&self, distances: &[Distance], significance: f64) -> bool {
        let tested = distances.iter().take(MAX_TESTED).enumerate();
        tested
            .map(|(index, distance)| self.chance_of(index + 1, distance.as_fraction()))
            .any(|chance| chance < significance)
    }

    /// As [`Self::is_denser`], at [`SIGNIFICANCE`].
    pub fn is_too_dense(&self, distances: &[Distance]) -> bool {
        self.is_denser(distances, SIGNIFICANCE)
    }

    /// By how many nodes an operation is widened: how many of those closest to a key (nearest first) are
    /// more than should be there, where the neighbourhood is [too dense](Self::is_too_dense), or as many
    /// as must be passed over to find k outside of [crowds](Self::crowds), whichever is more. A PUT that
    /// goes to as many more nodes reaches as many honest ones as it would have without the others. Where all that
    /// were given are too many, as many more must be looked for, and judged again. Never more than
    /// [`MAX_WIDENING`].
    pub fn excess(&self, distances: &[Distance]) -> usize {
        self.excess_at(distances, SIGNIFICANCE)
    }

    /// As [`Self::excess`], at another significance.
    pub fn excess_at(&self, distances: &[Distance], significance: f64) -> usize {
        let crowded = self.crowded_among(distances, K);
        if !self.is_denser(distances, significance) {
            return crowded.min(MAX_WIDENING);
        }
        let excess = distances.iter().enumerate().map(|(index, distance)| {
            let expected = self.nodes * distance.as_fraction();
            (index + 1) as f64 - expected
        });
        crowded.max(excess.fold(0.0, f64::max).ceil() as usize).min(MAX_WIDENING)
    }

    /// The probability that `count` nodes or more lie within `distance` of a point.
    fn chance_of(&self, count: usize, distance: f64) -> f64 {
        let sample = self.stands_on.max(1.0);
        let x = distance / (distance + sample / self.nodes);
        let trials = count as f64 + sample.round() - 1.0;
        1.0 - chance_of_fewer(count, trials, x)
    }
}

/// The size of the network by one neighbourhood, and of how many nodes that is.
fn estimate_from(distances: &[Distance]) -> Option<(f64, usize)> {
    let farthest = distances.last().map(Distance::as_fraction)?;
    let is_enough = distances.len() >= MIN_NEIGHBOURS && farthest > 0.0;
    let nodes = (distances.len() as f64 - 1.0 / 3.0) / farthest;
    is_enough.then_some((nodes, distances.len()))
}

/// `P(Binomial(trials, x) < count)`, summed term by term.
fn chance_of_fewer(count: usize, trials: f64, x: f64) -> f64 {
    let mut term = (1.0 - x).powf(trials);
    let mut sum = term;
    for successes in 1..count {
        let successes = successes as f64;
        term *= (trials - successes + 1.0) / successes * (x / (1.0 - x));
        sum += term;
    }
    sum.min(1.0)
}

pub mod crowds;
#[cfg(test)]
mod tests;
