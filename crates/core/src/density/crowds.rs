//! Crowds: more nodes around a key than chance explains.
//!
//! IDs ground to lie close to a key are all in one crowd, with few others. The nodes of a crowd
//! have together as many votes as nodes are expected there: an attacker that grinds a hundred IDs
//! where one node is expected has one vote. A key may have several crowds: in a small network, IDs
//! ground for another key may be close to this one.

use voiddht_wire::Distance;

use super::SizeEstimate;
use crate::vote::FULL_WEIGHT;

/// Crowds that are looked for around one key.
const MAX_CROWDS: usize = 4;
/// Nodes around a key among which they are looked for.
const MAX_SEARCHED: usize = 96;

/// How improbable it must be that a part of a neighbourhood is as dense as it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Strictness {
    /// For the nodes closest to the key: the probability.
    pub significance: f64,
    /// For those between two distances from it, of which there are many more: the logarithm of the
    /// reciprocal of a bound for it.
    pub exponent: f64,
}

impl Strictness {
    /// While nothing contradicts: an alarm has a price.
    pub const CALM: Self = Self { significance: super::SIGNIFICANCE, exponent: 10.0 };
    /// Where replicas contradict each other. An alarm decides only how many are asked, and whose votes
    /// count less.
    pub const SUSPICIOUS: Self = Self { significance: 0.2, exponent: 6.0 };
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
    /// The crowds among the nodes closest to a key (nearest first).
    pub fn crowds(&self, distances: &[Distance], strictness: Strictness) -> Crowds {
        let distances = &distances[..distances.len().min(MAX_SEARCHED)];
        // How many nodes should be closer than each of them, from the key itself on.
        let places: Vec<f64> = std::iter::once(0.0)
            .chain(distances.iter().map(|distance| self.nodes * distance.as_fraction()))
            .collect();
        let mut found: Vec<(usize, usize)> = Vec::new();
        let mut crowds = Vec::new();
        if self.is_denser(distances, strictness.significance)
            && let Some(end) = densest(&places, 0..1, 0.0, &found).map(|(_, end)| end)
        {
            found.push((0, end));
        }
        while found.len() < MAX_CROWDS
            && let Some(window) = densest(&places, 1..places.len(), strictness.exponent, &found)
        {
            found.push(window);
        }
        found.sort_unstable();
        for (start, end) in found {
            crowds.push(Crowd {
                from: if start == 0 { Distance::default() } else { distances[start - 1] },
                to: distances[end - 1],
                surrounds: start == 0,
                share: ((places[end] - places[start]) / (end - start) as f64).clamp(0.0, 1.0),
            });
        }
        Crowds(crowds)
    }
}

/// The most improbable window between two places that begins in this range and overlaps none of
/// `taken`, if it is more improbable than `least`.
fn densest(
    places: &[f64],
    starts: std::ops::Range<usize>,
    least: f64,
    taken: &[(usize, usize)],
) -> Option<(usize, usize)> {
    let mut best: Option<(f64, (usize, usize))> = None;
    for start in starts {
        for end in start + 1..places.len() {
            let (found, expected) = ((end - start) as f64, places[end] - places[start]);
            // Nothing less is improbable enough to be worth a logarithm.
            if found <= 2.0 * expected && start > 0 || expected >= found {
                continue;
            }
            let exponent = if expected > 0.0 {
                // Chernoff's bound.
                found * (found / expected).ln() - (found - expected)
            } else {
                f64::MAX
            };
            let overlaps = |(from, to): &(usize, usize)| start < *to && *from < end;
            let is_better = exponent > best.map_or(least, |(most, _)| most);
            if is_better && !taken.iter().any(overlaps) {
                best = Some((exponent, (start, end)));
            }
        }
    }
    best.map(|(_, window)| window)
}
