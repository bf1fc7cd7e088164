//! The vote of a key's replicas on its value.
//!
//! A vote is one node's answer to FIND_VALUE. Values are distinguished by their bytes; the version
//! that goes with the winner is the one that most of its voters name, so that a single malicious
//! node cannot push a value's version into the future by agreeing with it.
//!
//! A signed value needs no majority: it voids every vote for a plain one, and among signed values the
//! highest wins, no matter which node returned it.

use std::cmp::Ordering;

use bytes::Bytes;
use voiddht_wire::NodeId;

use crate::record::order::Rank;
use crate::record::value::VerifiedValue;

/// What the vote of one node counts, unless it lies where there are more nodes than chance explains:
/// see [`crate::density::crowds::Crowds`].
pub const FULL_WEIGHT: u32 = 1000;

/// What one node says the value is.
#[derive(Clone, Debug)]
pub struct Vote {
    /// The voter.
    pub voter: NodeId,
    /// The value.
    pub value: VerifiedValue,
    /// Its version; `None` from a peer whose dialect has none.
    pub version: Option<u64>,
    /// Seconds that it has left to live, as the voter says.
    pub ttl: u16,
}

/// The votes on one key. At most one vote counts for each voter, so its size is bounded by the
/// requests of a lookup.
#[derive(Clone, Debug, Default)]
pub struct Ballot {
    votes: Vec<Vote>,
    /// What each vote counts, in the same order.
    weights: Vec<u32>,
    /// Nodes that returned something that does not count.
    void: Vec<NodeId>,
}

/// What the vote came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Winner {
    /// The value.
    pub value: VerifiedValue,
    /// The version that most of its voters name, the higher one in a tie.
    pub version: Option<u64>,
    /// Votes for it.
    pub agreeing: usize,
    /// Votes for others.
    pub dissenting: usize,
    /// What the votes for it count, of [`FULL_WEIGHT`] each at most.
    pub weight: u32,
    /// What the votes for others count.
    pub against: u32,
    /// The smallest TTL that its voters name, in seconds.
    pub ttl: u16,
}

impl Winner {
    /// Its place in the order of the key's records; no version counts as the lowest.
    fn rank(&self) -> Rank<'_> {
        self.value.rank(self.version.unwrap_or(0))
    }

    fn is_signed(&self) -> bool {
        self.value.class().is_signed()
    }
}

impl Ballot {
    /// Counts a vote; a second one of the same voter is ignored. A signed value voids the votes for
    /// plain ones, those before and those after it.
    pub fn cast(&mut self, vote: Vote) {
        if self.has_voted(&vote.voter) {
            return;
        }
        let is_signed = |vote: &Vote| vote.value.class().is_signed();
        if is_signed(&vote) && !self.is_signed() {
            self.void.extend(self.votes.drain(..).map(|vote| vote.voter));
            self.weights.clear();
        } else if !is_signed(&vote) && self.is_signed() {
            self.void.push(vote.voter);
            return;
        }
        self.votes.push(vote);
        self.weights.push(FULL_WEIGHT);
    }

    /// A node returned something that does not count: it is not asked again.
    pub fn void(&mut self, voter: NodeId) {
        if !self.has_voted(&voter) {
            self.void.push(voter);
        }
    }

    /// Whether this node has returned anything, whether or not that counts.
    pub fn has_voted(&self, voter: &NodeId) -> bool {
        self.void.contains(voter) || self.counts(voter)
    }

    /// Whether this node has a vote that counts.
    pub fn counts(&self, voter: &NodeId) -> bool {
        self.votes.iter().any(|vote| vote.voter == *voter)
    }

    /// Whether the votes are for signed values.
    pub fn is_signed(&self) -> bool {
        self.votes.first().is_some_and(|vote| vote.value.class().is_signed())
    }

    /// The verified value with these bytes, if it was voted for.
    pub fn known(&self, value: &Bytes) -> Option<&VerifiedValue> {
        self.votes.iter().map(|vote| &vote.value).find(|known| known.bytes() == value)
    }

    /// Nodes that returned something else than the winner, and may have missed it.
    pub fn stale<'a>(&'a self, winner: &'a Winner) -> impl Iterator<Item = NodeId> + 'a {
        let older = self.votes.iter().filter(|vote| vote.value != winner.value);
        older.map(|vote| vote.voter).chain(self.void.iter().copied())
    }

    /// Whether two votes differ.
    pub fn has_dissent(&self) -> bool {
        self.votes
            .split_first()
            .is_some_and(|(first, rest)| rest.iter().any(|vote| vote.value != first.value))
    }

    /// All votes, in the order in which they came.
    pub fn votes(&self) -> &[Vote] {
        &self.votes
    }

    /// The votes of the electorate: `weight` is what the vote of a node counts, `None` if it may not
    /// vote. All votes where none of the electorate has voted, and where they are for signed values.
    pub fn among(&self, weight: impl Fn(&NodeId) -> Option<u32>) -> Self {
        if self.is_signed() {
            return self.clone();
        }
        let electorate = self.votes.iter().filter_map(|vote| Some((vote, weight(&vote.voter)?)));
        let (votes, weights): (Vec<Vote>, Vec<u32>) =
            electorate.map(|(vote, weight)| (vote.clone(), weight)).unzip();
        if votes.is_empty() { self.clone() } else { Self { votes, weights, ..Self::default() } }
    }

    /// The value whose votes count most; a tie goes to the one that wins by the
    /// [order](crate::record::order) of records, as at the replicas. Among signed values the order
    /// alone decides.
    pub fn winner(&self) -> Option<Winner> {
        let mut best: Option<Winner> = None;
        for (index, vote) in self.votes.iter().enumerate() {
            if self.votes[..index].iter().any(|earlier| earlier.value == vote.value) {
                continue;
            }
            let candidate = self.tally(&vote.value);
            let is_better = best.as_ref().is_none_or(|best| {
                let signed = candidate.is_signed();
                let votes =
                    if signed { Ordering::Equal } else { candidate.weight.cmp(&best.weight) };
                // Ranks cost hashes: compared only in a tie.
                votes.then_with(|| candidate.rank().cmp(&best.rank())).is_gt()
            });
            if is_better {
                best = Some(candidate);
            }
        }
        best
    }

    /// Voters whose value is another than the winner's under the winner's own version: a
    /// publisher gives each version to one value. An older version may be a missed update, and a
    /// newer one an update that is in progress.
    pub fn liars<'a>(&'a self, winner: &'a Winner) -> impl Iterator<Item = NodeId> + 'a {
        let is_same = |vote: &&Vote| vote.version.is_some() && vote.version == winner.version;
        self.votes
            .iter()
            .filter(is_same)
            .filter(|vote| vote.value != winner.value)
            .map(|vote| vote.voter)
    }

    fn tally(&self, value: &VerifiedValue) -> Winner {
        let mut versions: Vec<Option<u64>> = Vec::new();
        let (mut weight, mut against, mut ttl) = (0, 0, u16::MAX);
        for (vote, counts) in self.votes.iter().zip(&self.weights) {
            if vote.value == *value {
                versions.push(vote.version);
                weight += counts;
                ttl = ttl.min(vote.ttl);
            } else {
                against += counts;
            }
        }
        versions.sort_unstable();
        let mut version = (0, None);
        for run in versions.chunk_by(|a, b| a == b) {
            if run.len() >= version.0 {
                version = (run.len(), run[0]);
            }
        }
        Winner {
            value: value.clone(),
            version: version.1,
            agreeing: versions.len(),
            dissenting: self.votes.len() - versions.len(),
            weight,
            against,
            ttl,
        }
    }
}

#[cfg(test)]
mod tests {
    use voiddht_signed::Precedence;

    use super::*;
    use crate::record::order::Class;

    fn plain(value: &'static str) -> VerifiedValue {
        VerifiedValue::of_class(Bytes::from(value), Class::Plain)
    }

    fn signed(value: &'static str, seq: u64) -> VerifiedValue {
        let precedence = Precedence { generation: 0, seq };
        VerifiedValue::of_class(Bytes::from(value), Class::Signed(precedence))
    }

    fn ballot(votes: &[(&'static str, u64)]) -> Ballot {
        let mut ballot = Ballot::default();
        for (index, (value, version)) in votes.iter().enumerate() {
            ballot.cast(Vote {
                voter: NodeId::from_bytes([index as u8 + 1; 32]),
                value: plain(value),
                version: Some(*version),
                ttl: 60,
            });
        }
        ballot
    }

    fn check(votes: &[(&'static str, u64)], value: &str, version: u64, agreeing: usize) {
        let winner = ballot(votes).winner().expect("a vote was cast");
        assert_eq!(winner.value.bytes(), value.as_bytes());
        assert_eq!(winner.version, Some(version));
        assert_eq!(winner.agreeing, agreeing);
        assert_eq!(winner.dissenting, votes.len() - agreeing);
    }

    #[test]
    fn most_votes_win_and_a_tie_goes_to_the_higher_version() {
        check(&[("a", 1)], "a", 1, 1);
        check(&[("a", 9), ("b", 1), ("b", 1)], "b", 1, 2);
        check(&[("a", 1), ("b", 2)], "b", 2, 1);
        assert_eq!(ballot(&[]).winner(), None);
    }

    /// Readers compared the bytes and replicas the hashes: what a GET returned in a tie was not what
    /// its replicas then kept.
    #[test]
    fn a_tie_between_equal_versions_goes_to_the_value_that_replicas_keep() {
        for values in [["a", "b"], ["x", "y"], ["p", "q"]] {
            let winner = ballot(&values.map(|value| (value, 2))).winner().unwrap();
            let [one, other] = values.map(|value| Rank::new(Class::Plain, value.as_bytes(), 2));
            assert_eq!(*winner.value.bytes(), if one > other { values[0] } else { values[1] });
            assert_eq!(winner, ballot(&[(values[1], 2), (values[0], 2)]).winner().unwrap());
        }
    }

    #[test]
    fn one_voter_cannot_push_the_version_of_a_value_it_agrees_with() {
        check(&[("a", 5), ("a", 5), ("a", u64::MAX)], "a", 5, 3);
    }

    #[test]
    fn a_node_votes_once() {
        let mut ballot = ballot(&[("a", 1)]);
        let again = Vote { value: plain("b"), ..ballot.votes()[0].clone() };
        ballot.cast(again);
        assert_eq!(ballot.votes().len(), 1);
        assert!(!ballot.has_dissent());
    }

    #[test]
    fn those_who_may_decide_decide_unless_none_of_them_has_voted() {
        let ballot = ballot(&[("lie", 9), ("lie", 9), ("lie", 9), ("true", 1), ("true", 1)]);
        let near = |voter: &NodeId| (voter.to_bytes()[0] >= 3).then_some(FULL_WEIGHT);
        assert_eq!(ballot.among(near).winner().unwrap().value, plain("true"));
        assert_eq!(ballot.among(|_| None).winner().unwrap().value, plain("lie"));
    }

    #[test]
    fn votes_from_a_crowd_count_less() {
        let ballot = ballot(&[("lie", 9), ("lie", 9), ("lie", 9), ("true", 1), ("true", 1)]);
        let weight =
            |voter: &NodeId| Some(if voter.to_bytes()[0] <= 3 { 200 } else { FULL_WEIGHT });
        let winner = ballot.among(weight).winner().unwrap();
        assert_eq!((winner.value, winner.agreeing, winner.dissenting), (plain("true"), 2, 3));
        assert_eq!((winner.weight, winner.against), (2 * FULL_WEIGHT, 600));
    }

    #[test]
    fn a_replica_that_missed_an_update_or_has_a_later_one_is_no_liar() {
        let ballot = ballot(&[("new", 7), ("new", 7), ("old", 6), ("lie", 7), ("newest", 8)]);
        let winner = ballot.winner().unwrap();
        let liars: Vec<_> = ballot.liars(&winner).collect();
        assert_eq!(liars, [NodeId::from_bytes([4; 32])]);
    }

    #[test]
    fn one_signed_value_voids_all_votes_for_plain_ones_and_the_highest_wins() {
        let vote = |number: u8, value: VerifiedValue| Vote {
            voter: NodeId::from_bytes([number; 32]),
            value,
            version: Some(u64::from(number)),
            ttl: u16::from(number),
        };
        let mut ballot = ballot(&[("lie", 9), ("lie", 9), ("lie", 9)]);
        for (number, seq) in [(10, 4), (11, 5), (12, 4)] {
            ballot.cast(vote(number, signed(if seq == 5 { "new" } else { "old" }, seq)));
        }
        ballot.cast(vote(13, plain("lie")));
        let winner = ballot.among(|_| None).winner().unwrap();
        assert_eq!(winner.value, signed("new", 5));
        assert_eq!((winner.agreeing, winner.dissenting, winner.ttl), (1, 2, 11));
        assert!(ballot.has_dissent());
        assert_eq!(ballot.liars(&winner).count(), 0, "stale holders are not blamed");
        let stale: Vec<u8> = ballot.stale(&winner).map(|id| id.to_bytes()[0]).collect();
        assert_eq!(stale, [10, 12, 1, 2, 3, 13]);
        assert!(ballot.has_voted(&NodeId::from_bytes([13; 32])));
        assert!(!ballot.counts(&NodeId::from_bytes([13; 32])));
    }
}
