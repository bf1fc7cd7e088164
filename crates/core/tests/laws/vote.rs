//! Votes of any nodes, for any values, in any order.

use std::collections::BTreeMap;

use bytes::Bytes;
use voiddht_core::record::value::VerifiedValue;
use voiddht_core::vote::{Ballot, Vote};
use voiddht_wire::{Key, NodeId};

use super::source::{self, Source};

/// Every node that counts the same votes comes to the same end, which is what a naive count says;
/// no node votes twice, and none that voted for the winner or has an excuse counts as malicious.
pub(crate) fn vote(bytes: &[u8]) {
    let mut source = Source::new(bytes);
    let (from, stride) = (source.below(64), source.below(64));
    let mut votes: Vec<Vote> = Vec::new();
    while !source.is_empty() && votes.len() < 64 {
        let voter = source::node(source.byte() % 40).id;
        let (value, version) = (source.byte(), source.byte());
        let value = Bytes::from(vec![value % 4; 1 + usize::from(value % 3)]);
        let value = source::verified(&Key::default(), &value);
        let version = (version % 8 != 7).then_some(u64::from(version % 8));
        votes.push(Vote { voter, value, version, ttl: 60 });
    }
    // Of two votes of one node the first counts: then the order does not matter.
    let mut heard: BTreeMap<NodeId, Vote> = BTreeMap::new();
    let mut ballot = Ballot::default();
    for vote in &votes {
        ballot.cast(vote.clone());
        heard.entry(vote.voter).or_insert_with(|| vote.clone());
    }
    let votes: Vec<Vote> = heard.into_values().collect();
    assert_eq!(ballot.votes().len(), votes.len());
    let mut shuffled = Ballot::default();
    let mut order = votes.clone();
    for turn in 0..votes.len() {
        shuffled.cast(order.swap_remove((from + stride * turn) % order.len()));
    }
    let winner = ballot.winner();
    assert_eq!(winner, shuffled.winner(), "the order of the votes matters");
    let Some(winner) = winner else {
        assert!(votes.is_empty());
        return;
    };

    let count = |value: &VerifiedValue| votes.iter().filter(|vote| vote.value == *value).count();
    assert_eq!(winner.agreeing, count(&winner.value));
    assert_eq!(winner.agreeing + winner.dissenting, votes.len());
    assert!(votes.iter().all(|vote| count(&vote.value) <= winner.agreeing), "not the most votes");
    let naming = |version| {
        let for_it = votes.iter().filter(|vote| vote.value == winner.value);
        for_it.filter(|vote| vote.version == version).count()
    };
    let versions = votes.iter().filter(|vote| vote.value == winner.value).map(|vote| vote.version);
    assert!(versions.max_by_key(|version| (naming(*version), *version)) == Some(winner.version));
    assert_eq!(ballot.has_dissent(), winner.dissenting > 0);
    // Of those with an even number; of all, where none of them has voted.
    let is_even = |voter: &NodeId| {
        voter.to_bytes()[31].is_multiple_of(2).then_some(voiddht_core::vote::FULL_WEIGHT)
    };
    let among = ballot.among(is_even);
    let even = votes.iter().filter(|vote| is_even(&vote.voter).is_some()).count();
    assert_eq!(among.votes().len(), if even == 0 { votes.len() } else { even });
    for liar in ballot.liars(&winner) {
        let vote = votes.iter().find(|vote| vote.voter == liar).expect("it voted");
        assert!(vote.value != winner.value && vote.version >= winner.version);
    }
}
