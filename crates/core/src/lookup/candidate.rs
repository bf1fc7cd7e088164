//! A candidate of a lookup: one node, the addresses that peers name for it, and the state of its
//! query.

use voiddht_wire::peer::NodeInfo;
use voiddht_wire::{Distance, NodeId, PeerAddress};

use super::namers::{NamerSet, Namers};

/// Addresses of one node that a lookup remembers. A node that moved has two; more come from peers
/// that name wrong ones. 80 bytes each, for nodes of which peers say different things.
pub const MAX_ADDRESSES: usize = 4;

/// What came of a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Not asked.
    Heard,
    /// Asked, in time so far.
    Asked,
    /// Asked, and slower than it should be.
    Late,
    /// It answered.
    Answered,
    /// It refused or did not answer, or too many of its address prefix were asked before it.
    Failed,
}

/// One node of the search.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Its distance to the target.
    pub distance: Distance,
    /// Its ID, and the address at which it is asked: the one that most peers name.
    pub node: NodeInfo,
    /// What came of it.
    pub state: State,
    /// The path that asked it.
    pub asked_on: Option<u8>,
    /// The peer that named it first; `None` for the seeds.
    pub named_by: Option<NodeId>,
    /// Hops from this node: a seed is one away.
    pub hops: u8,
    pub(super) told: u16,
    /// Whether it is a contact of this node, which knows its address.
    pub(super) is_seed: bool,
    /// Whether this node has found it silent, before this lookup or since it began.
    pub(super) silent: bool,
    /// Whether it takes longer than usual to answer what it was asked last.
    pub(super) is_slow: bool,
    /// Whether its address counts against the limits of diversity already.
    pub(super) counted: bool,
    /// The peers that named it at the address at which it is queried.
    pub(super) namers: NamerSet,
    /// Other addresses, at which it was not asked or did not answer.
    others: Vec<Other>,
}

#[derive(Clone, Debug)]
struct Other {
    address: PeerAddress,
    namers: NamerSet,
    failed: bool,
}

impl Candidate {
    pub(super) fn new(
        (distance, node): (Distance, NodeInfo),
        told: u16,
        named_by: Option<NodeId>,
        namer: Option<u8>,
        hops: u8,
    ) -> Self {
        let mut namers = NamerSet::default();
        if let Some(namer) = namer {
            namers.insert(namer);
        }
        Self {
            distance,
            node,
            state: State::Heard,
            asked_on: None,
            named_by,
            hops,
            told,
            is_seed: named_by.is_none(),
            silent: false,
            is_slow: false,
            counted: false,
            namers,
            others: Vec::new(),
        }
    }

    /// The paths on which it may be asked, each a bit.
    pub(crate) fn told_on(&self) -> u16 {
        self.told
    }

    /// Whether it was asked, and another may be asked in its place.
    pub(super) fn keeps_waiting(&self) -> bool {
        match self.state {
            State::Late => true,
            State::Asked => self.is_slow,
            State::Heard | State::Answered | State::Failed => false,
        }
    }

    /// Another peer names it, at this address. Says what is known of that address, if this peer has
    /// not named it there before: whether the node answered.
    pub(super) fn named(&mut self, address: PeerAddress, namer: Option<u8>) -> Option<bool> {
        let namer = namer?;
        if address == self.node.address {
            let is_new = self.namers.insert(namer);
            let answered = match self.state {
                State::Answered => true,
                State::Failed | State::Late => false,
                State::Heard | State::Asked => return None,
            };
            return is_new.then_some(answered);
        }
        match self.others.iter_mut().find(|other| other.address == address) {
            Some(other) => {
                let is_new = other.namers.insert(namer);
                (is_new && other.failed).then_some(false)
            }
            None => {
                if self.others.len() + 1 < MAX_ADDRESSES {
                    let mut namers = NamerSet::default();
                    namers.insert(namer);
                    self.others.push(Other { address, namers, failed: false });
                }
                None
            }
        }
    }

    /// Settles on the address with the most support, if it is still to be asked; and again, at
    /// another address, if it did not answer where it was asked. True in the second case.
    pub(super) fn choose_address(&mut self, namers: &Namers) -> bool {
        let has_failed = self.state == State::Failed;
        if self.others.is_empty() || !(has_failed || (self.state == State::Heard && !self.is_seed))
        {
            return false;
        }
        let untried = self.others.iter().enumerate().filter(|(_, other)| !other.failed);
        let best = untried
            .max_by_key(|(index, other)| (namers.support(other.namers), std::cmp::Reverse(*index)));
        let Some((index, best)) = best else { return false };
        if !has_failed && namers.support(best.namers) <= namers.support(self.namers) {
            return false;
        }
        let other = &mut self.others[index];
        std::mem::swap(&mut other.address, &mut self.node.address);
        std::mem::swap(&mut other.namers, &mut self.namers);
        other.failed = has_failed;
        self.counted = false;
        if has_failed {
            self.state = State::Heard;
            self.asked_on = None;
            // What this node knew of it did not help.
            self.is_seed = false;
        }
        has_failed
    }
}
