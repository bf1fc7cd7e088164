//! Crowds: more nodes around a key than chance explains.
//!
//! IDs ground to lie close to a key are all in one crowd, with few others. The nodes of a crowd
//! have together as many votes as nodes are expected there: an attacker that grinds a hundred IDs
//! where one node is expected has one vote. A key may have several crowds: in a small network, IDs
//! ground for another key may be close to this one.

use voiddht_wire::{Distance, Key};

use super::SizeEstimate;
use crate::vote::FULL_WEIGHT;

/// Nodes around a key among which they are looked for, but for an election.
const MAX_SEARCHED: usize = 96;
/// How improbable a crowd that surrounds the key must be where the neighbourhood is too dense: then
/// there is one, and the question is only how far it reaches.
const SURROUNDING: f64 = 2.0;
/// How improbable nodes must be that are not counted among the replicas: see [`SizeEstimate::excess`].
const NOT_COUNTED: f64 = 6.0;
/// Nodes that are expected where two distances are the same.
const NONE_EXPECTED: f64 = 1e-12;

/// Points beside a key, at most: see [`SizeEstimate::point_beside`].
const MAX_SIDES: usize = 8;

/// How improbable it must be that a part of a neighbourhood is as dense as it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Strictness {
    /// For the nodes closest to the key: the probability.
    pub significance: f64,
    /// For those between two distances from it, of which there are many more: the logarithm of the
    /// reciprocal of a bound for it.
    pub exponent: f64,
    /// The nodes closest to the key that are judged, at most. The work grows with the square of their
    /// number.
    pub searched: usize,
}

impl Strictness {
    /// While nothing contradicts: an alarm has a price.
    pub const CALM: Self =
        Self { significance: super::SIGNIFICANCE, exponent: 10.0, searched: MAX_SEARCHED };
    /// Where replicas contradict each other. An alarm decides only how many are asked, and whose votes
    /// count less. Honest replicas that lie together by chance lose votes too, so a lower exponent costs
    /// more values where hostile nodes are everywhere, and a higher one where few IDs are ground
    /// (docs/adversaries.md).
    pub const SUSPICIOUS: Self = Self { significance: 0.1, exponent: 5.0, searched: MAX_SEARCHED };
}

/// All crowds around one key, the nearest first; none, as a rule.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Crowds(Vec<Crowd>);

#[derive(Clone, Copy, Debug, PartialEq)]
struct Crowd {
    from: Distance,
    to: Distance,
    /// Whether it surrounds the key itself.
    surrounds: bool,
    /// How many nodes should be there, for each that is.
    share: f64,
}

impl Crowds {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What the vote of a node at this distance from the key counts.
    pub fn weight(&self, distance: &Distance) -> u32 {
        let share = self.find(distance).map_or(1.0, |crowd| crowd.share);
        (f64::from(FULL_WEIGHT) * share) as u32
    }

    /// Whether a node at this distance from the key is part of one.
    pub fn contains(&self, distance: &Distance) -> bool {
        self.find(distance).is_some()
    }

    /// How many bits the IDs of the crowd that surrounds the key share with it, if there is one.
    pub fn shared_bits(&self) -> Option<usize> {
        let nearest = self.0.first().filter(|crowd| crowd.surrounds)?;
        Some(nearest.to.leading_zeros() as usize)
    }

    fn find(&self, distance: &Distance) -> Option<&Crowd> {
        self.0.iter().find(|crowd| crowd.from <= *distance && *distance <= crowd.to)
    }
}

impl SizeEstimate {
    /// A point for whose neighbours to ask where a crowd surrounds a key, the `turn`th: the key, and
    /// points beside it, among whose closest are few of the crowd. Each halves the distance of the one
    /// before, and the first is as far away as the `wanted`th closest node.
    pub fn point_beside(&self, key: Key, crowds: &Crowds, wanted: usize, turn: usize) -> Key {
        let Some(shared) = crowds.shared_bits() else { return key };
        // The first bit in which nodes of the neighbourhood differ from the key.
        let first = (-self.reach(wanted).log2()).max(0.0) as usize;
        let sides = shared.saturating_sub(first).min(MAX_SIDES);
        match turn % (sides + 1) {
            0 => key,
            side => {
                let bit = first + side - 1;
                key.with_bit(bit, !key.bit(bit))
            }
        }
    }

    /// The crowds among the nodes closest to a key (nearest first).
    pub fn crowds(&self, distances: &[Distance], strictness: Strictness) -> Crowds {
        let surrounding = if self.is_denser(distances, strictness.significance) {
            SURROUNDING.min(strictness.exponent)
        } else {
            strictness.exponent
        };
        let distances = &distances[..distances.len().min(strictness.searched)];
        let windows = self.dense_windows(distances, surrounding, strictness.exponent);
        let crowds = windows.into_iter().map(|Window { start, end, expected }| Crowd {
            from: if start == 0 { Distance::default() } else { distances[start] },
            to: distances[end - 1],
            surrounds: start == 0,
            share: (expected / (end - start) as f64).clamp(0.0, 1.0),
        });
        Crowds(crowds.collect())
    }

    /// How many of the nodes closest to a key (nearest first) are in crowds, and nearer than the
    /// `wanted`th of those that are in none.
    pub(super) fn crowded_among(&self, distances: &[Distance], wanted: usize) -> usize {
        let distances = &distances[..distances.len().min(MAX_SEARCHED)];
        let windows = self.dense_windows(distances, NOT_COUNTED, NOT_COUNTED);
        let mut crowded = 0;
        for window in windows {
            if window.start - crowded >= wanted {
                break;
            }
            crowded += window.end - window.start;
        }
        crowded
    }

    /// The windows that are together the most improbable, nearest first: those that do not overlap and
    /// have the largest sum of exponents, each less what it must exceed. So two crowds are not taken
    /// for one with all that lie between them, and one is not cut in pieces without need.
    fn dense_windows(&self, distances: &[Distance], surrounding: f64, other: f64) -> Vec<Window> {
        // How many nodes should be closer than each of them, from the key itself on.
        let places: Vec<f64> = std::iter::once(0.0)
            .chain(distances.iter().map(|distance| self.nodes * distance.as_fraction()))
            .collect();
        // The best sum up to each node, and where the window begins that ends there.
        let mut best: Vec<(f64, Option<usize>)> = vec![(0.0, None)];
        for end in 1..places.len() {
            let mut most = (best[end - 1].0, None);
            for (start, (before, _)) in best.iter().enumerate() {
                let least = if start == 0 { surrounding } else { other };
                let (found, expected) = ((end - start) as f64, places[end] - places[start]);
                let least = most.0 - before + least;
                if let Some(exponent) = exponent_above(found, expected, least) {
                    most = (most.0 + exponent - least, Some(start));
                }
            }
            best.push(most);
        }
        let mut windows = Vec::new();
        let mut end = distances.len();
        while end > 0 {
            let start = best[end].1;
            windows.extend(start.map(|start| Window {
                start,
                end,
                expected: places[end] - places[start],
            }));
            end = start.unwrap_or(end - 1);
        }
        windows.reverse();
        windows
    }
}

/// Nodes from the `start`th, counted from 0, up to before the `end`th.
#[derive(Clone, Copy, Debug)]
struct Window {
    start: usize,
    end: usize,
    /// How many should be there.
    expected: f64,
}

/// How improbable it is that so many are found: the exponent of Chernoff's bound, if it is above `least`
/// and more were found than expected.
fn exponent_above(found: f64, expected: f64, least: f64) -> Option<f64> {
    let excess = found - expected;
    // Bennett: it is never more than this. Most windows end here, which saves the logarithm.
    if excess <= 0.0 || excess * excess <= 2.0 * expected * least {
        return None;
    }
    // Where none are expected the exponent is large, but not infinite: it is added to others.
    let exponent = found * (found / expected.max(NONE_EXPECTED)).ln() - excess;
    (exponent > least).then_some(exponent)
}
