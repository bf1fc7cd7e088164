//! Hosts that do not keep to the rules. Each kind has a file of its own.
//!
//! An adversary is a real node with somebody in its middle: it joins and answers as the shipped
//! code does, and what it hears and says passes through [`Adversary`]. All adversaries of a world
//! know of each other: they are one [`Cabal`].

use std::time::Duration;

use rand::rngs::ChaCha8Rng;
use voiddht_core::event::{Input, Output};
use voiddht_core::time::Now;
use voiddht_wire::Key;
use voiddht_wire::peer::NodeInfo;

/// Somebody in the middle of a node.
pub trait Adversary {
    /// Something is about to reach the node. False keeps it from it.
    fn hear(&mut self, _around: &mut Around<'_>, _input: &Input) -> bool {
        true
    }

    /// The node is about to say something.
    fn speak(&mut self, _around: &mut Around<'_>, output: Output) -> Speech {
        Speech::Say(output)
    }

    /// Called once after its start, and again after each pause that it asks for.
    fn awake(&mut self, _around: &mut Around<'_>) -> Option<Duration> {
        None
    }
}

/// What becomes of something that a node was about to say.
#[derive(Debug)]
pub enum Speech {
    /// It is said.
    Say(Output),
    /// It is said after a while.
    Later(Duration, Output),
    /// It is not said.
    Nothing,
}

/// What an adversary knows, and what it can do.
pub struct Around<'a> {
    /// The time.
    pub now: Now,
    /// The node that it sits in.
    pub own: NodeInfo,
    /// Its accomplices.
    pub cabal: &'a Cabal,
    /// Its randomness.
    pub random: &'a mut ChaCha8Rng,
    /// What it says besides what its node says.
    pub extra: &'a mut Vec<Output>,
}

/// All adversaries of a world.
#[derive(Clone, Debug, Default)]
pub struct Cabal {
    members: Vec<NodeInfo>,
}

impl Cabal {
    pub(crate) fn join(&mut self, member: NodeInfo) {
        self.members.push(member);
    }

    /// Its members, in the order in which they came.
    pub fn members(&self) -> &[NodeInfo] {
        &self.members
    }

    /// The `count` members closest to a point, closest first.
    pub fn closest(&self, target: &Key, count: usize) -> Vec<NodeInfo> {
        let mut members = self.members.clone();
        if members.len() > count && count > 0 {
            members.select_nth_unstable_by_key(count - 1, |one| target.distance(&one.id));
        }
        members.truncate(count);
        members.sort_unstable_by_key(|one| target.distance(&one.id));
        members
    }
}
