//! Configured peers: when each is tried, and the result.
//!
//! While a node has no contact, all of them are tried in rounds, with the pauses of the join. While
//! it has some, each is tried by itself, for as long as the node runs: otherwise a peer that starts
//! later, or returns under a new identity, would found a second network. An absent peer is tried
//! every half minute; one that is part of this network, rarely, and not at all while it is a
//! responsive contact.

use std::time::Duration;

use voiddht_wire::{NodeId, PeerAddress};

use crate::config::JOIN_BACKOFF;
use crate::configured::{
    ConfiguredPeer, JoinProblem, MAX_ADDRESSES, MAX_CONFIGURED, PeerName, PeerState, ResolveError,
};
use crate::event::Undelivered;
use crate::time::Moment;

/// When a peer that was not tried, or not compared with this network, is looked at after the join.
/// A guess: joins take less.
const SOON: Duration = Duration::from_secs(5);
/// How often a peer that is part of this network is looked at again. A guess: it costs a handshake
/// and a lookup. A network of 10 000 nodes with one configured peer asks it 17 times a second.
const VERIFIED_PAUSE: Duration = Duration::from_secs(600);

/// The configured peers, each with the state of its attempts.
#[derive(Debug, Default)]
pub(crate) struct Peers {
    entries: Vec<Entry>,
    changes: Vec<(ConfiguredPeer, PeerState)>,
}

#[derive(Debug)]
struct Entry {
    peer: ConfiguredPeer,
    /// Where to try it; of a name, the addresses that it last had.
    addresses: Vec<PeerAddress>,
    /// Addresses of it at which this node itself answered.
    own: Vec<PeerAddress>,
    state: PeerState,
    attempt: Option<Attempt>,
    failures: u32,
    next: Moment,
}

/// An attempt in progress.
#[derive(Debug, Default)]
struct Attempt {
    resolving: bool,
    pending: Vec<PeerAddress>,
    answered: bool,
    problem: Option<JoinProblem>,
}

/// What an attempt begins with.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Begun {
    pub(crate) dial: Vec<PeerAddress>,
    pub(crate) resolve: Vec<PeerName>,
}

impl Peers {
    /// Replaces the peers; those that stay keep their state. How many were too many.
    pub(crate) fn set(&mut self, peers: Vec<ConfiguredPeer>, now: Moment) -> usize {
        let mut old = std::mem::take(&mut self.entries);
        let mut ignored = 0;
        for peer in peers {
            if self.entries.iter().any(|entry| entry.peer == peer) {
                continue;
            }
            if self.entries.len() >= MAX_CONFIGURED {
                ignored += 1;
                continue;
            }
            let known = old.iter().position(|entry| entry.peer == peer);
            let entry = known.map(|index| old.swap_remove(index));
            self.entries.push(entry.unwrap_or_else(|| Entry::new(peer, now)));
        }
        ignored
    }

    /// Begins an attempt with every peer.
    pub(crate) fn begin_all(&mut self, own: PeerAddress, now: Moment, jitter: f64) -> Begun {
        let mut begun = Begun::default();
        for entry in &mut self.entries {
            entry.begin(own, &mut begun);
        }
        self.conclude(now, jitter);
        begun
    }

    /// Begins an attempt with each peer whose time has come, except those of this network of
    /// which every address is a responsive contact's.
    pub(crate) fn begin_due(
        &mut self,
        own: PeerAddress,
        is_contact: impl Fn(&PeerAddress) -> bool,
        now: Moment,
        jitter: f64,
    ) -> Begun {
        let mut begun = Begun::default();
        for entry in &mut self.entries {
            if entry.attempt.is_some() || entry.next > now {
                continue;
            }
            let is_joined = matches!(entry.state, PeerState::Joined { .. });
            if is_joined && entry.foreign().all(&is_contact) {
                entry.next = now + VERIFIED_PAUSE.mul_f64(jitter);
            } else {
                entry.begin(own, &mut begun);
            }
        }
        self.conclude(now, jitter);
        begun
    }

    /// A name was resolved, or was not. The addresses to dial: where the name service fails, those
    /// that it named before.
    pub(crate) fn resolved(
        &mut self,
        name: &PeerName,
        found: Result<Vec<PeerAddress>, ResolveError>,
        own: PeerAddress,
        now: Moment,
        jitter: f64,
    ) -> Vec<PeerAddress> {
        let is_it =
            |entry: &&mut Entry| matches!(&entry.peer, ConfiguredPeer::Name(is) if is == name);
        let Some(entry) = self.entries.iter_mut().find(is_it) else { return Vec::new() };
        let Some(attempt) = entry.attempt.as_mut().filter(|attempt| attempt.resolving) else {
            return Vec::new();
        };
        attempt.resolving = false;
        match found {
            Ok(mut addresses) => {
                addresses.retain(PeerAddress::is_dialable);
                addresses.truncate(MAX_ADDRESSES);
                if addresses.is_empty() {
                    attempt.problem = Some(ResolveError::NoAddress.into());
                }
                entry.addresses = addresses;
                entry.own.retain(|address| entry.addresses.contains(address));
            }
            Err(why) => attempt.problem = Some(why.into()),
        }
        let dial = entry.dial(own);
        self.conclude(now, jitter);
        dial
    }

    /// Something answered where a peer should be. Whether that is a configured peer's address.
    pub(crate) fn answered(&mut self, at: PeerAddress, now: Moment, jitter: f64) -> bool {
        let mut is_configured = false;
        for entry in self.entries.iter_mut().filter(|entry| entry.addresses.contains(&at)) {
            is_configured = true;
            if let Some(attempt) = &mut entry.attempt {
                attempt.pending.retain(|pending| *pending != at);
                attempt.answered = true;
            }
        }
        self.conclude(now, jitter);
        is_configured
    }

    /// An address was tried without success.
    pub(crate) fn failed(&mut self, at: PeerAddress, why: JoinProblem, now: Moment, jitter: f64) {
        for entry in &mut self.entries {
            let Some(attempt) = &mut entry.attempt else { continue };
            let before = attempt.pending.len();
            attempt.pending.retain(|pending| *pending != at);
            if attempt.pending.len() == before {
                continue;
            }
            if why == JoinProblem::Undelivered(Undelivered::OwnNode) {
                entry.own.push(at);
            } else if attempt.problem.is_none_or(|known| telling(why) > telling(known)) {
                attempt.problem = Some(why);
            }
        }
        self.conclude(now, jitter);
    }

    /// An address will not be tried in this attempt: another peer has answered.
    pub(crate) fn abandon(&mut self, at: PeerAddress, now: Moment, jitter: f64) {
        for attempt in self.entries.iter_mut().filter_map(|entry| entry.attempt.as_mut()) {
            attempt.pending.retain(|pending| *pending != at);
        }
        self.conclude(now, jitter);
    }

    /// A peer that answered is part of this network.
    pub(crate) fn is_same(&mut self, node: NodeId, address: PeerAddress, now: Moment, jitter: f64) {
        for index in self.at(address) {
            self.entries[index].failures = 0;
            self.entries[index].next = now + VERIFIED_PAUSE.mul_f64(jitter);
            self.change(index, PeerState::Joined { node, address });
        }
    }

    /// A peer that answered belongs to another network, which is about to be merged with this one.
    pub(crate) fn is_split(
        &mut self,
        node: NodeId,
        address: PeerAddress,
        now: Moment,
        jitter: f64,
    ) {
        for index in self.at(address) {
            let entry = &mut self.entries[index];
            entry.next = now + backoff(entry.failures).max(SOON).mul_f64(jitter);
            entry.failures = entry.failures.saturating_add(1);
            self.change(index, PeerState::Split { node, address });
        }
    }

    /// This node has joined: peers that were not compared with its network are, soon.
    pub(crate) fn compare_soon(&mut self, now: Moment, jitter: f64) {
        for entry in &mut self.entries {
            if !matches!(entry.state, PeerState::Joined { .. }) {
                entry.next = entry.next.max(now + SOON.mul_f64(jitter));
            }
        }
    }

    /// A contact has entered the routing table: if it is a peer that did not answer when it was tried,
    /// it is tried again at once.
    pub(crate) fn contact_entered(&mut self, address: PeerAddress, now: Moment) {
        for index in self.at(address) {
            let entry = &mut self.entries[index];
            if matches!(entry.state, PeerState::Failed(_)) {
                entry.next = entry.next.min(now);
            }
        }
    }

    /// A contact has left the routing table: if it was a peer, it may be back under another
    /// identity.
    pub(crate) fn contact_left(&mut self, address: PeerAddress, now: Moment, jitter: f64) {
        for index in self.at(address) {
            let entry = &mut self.entries[index];
            entry.next = entry.next.min(now + JOIN_BACKOFF.0.mul_f64(jitter));
        }
    }

    /// Whether a peer is configured that is not this node itself.
    pub(crate) fn has_others(&self) -> bool {
        self.entries.iter().any(|entry| entry.state != PeerState::OwnNode)
    }

    pub(crate) fn is_resolving(&self) -> bool {
        let mut attempts = self.entries.iter().filter_map(|entry| entry.attempt.as_ref());
        attempts.any(|attempt| attempt.resolving)
    }

    /// When the next peer is to be tried.
    pub(crate) fn next_due(&self) -> Option<Moment> {
        let waiting = self.entries.iter().filter(|entry| entry.attempt.is_none());
        waiting.filter(|entry| !entry.is_dropped()).map(|entry| entry.next).min()
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Each peer, and its state.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&ConfiguredPeer, PeerState)> {
        self.entries.iter().map(|entry| (&entry.peer, entry.state))
    }

    /// States that have changed since this was last asked.
    pub(crate) fn take_changes(&mut self) -> Vec<(ConfiguredPeer, PeerState)> {
        std::mem::take(&mut self.changes)
    }

    fn at(&self, address: PeerAddress) -> Vec<usize> {
        let is_there = |index: &usize| self.entries[*index].addresses.contains(&address);
        (0..self.entries.len()).filter(is_there).collect()
    }

    /// Ends the attempts that have nothing more to wait for.
    fn conclude(&mut self, now: Moment, jitter: f64) {
        for index in 0..self.entries.len() {
            let entry = &mut self.entries[index];
            let is_over = |attempt: &Attempt| !attempt.resolving && attempt.pending.is_empty();
            let Some(attempt) = entry.attempt.take_if(|attempt| is_over(attempt)) else { continue };
            match attempt.problem {
                // Its state follows from a comparison of the networks.
                _ if attempt.answered => entry.next = entry.next.max(now + SOON.mul_f64(jitter)),
                Some(problem) => {
                    entry.next = now + backoff(entry.failures).mul_f64(jitter);
                    entry.failures = entry.failures.saturating_add(1);
                    self.change(index, PeerState::Failed(problem));
                }
                None if entry.foreign().next().is_none() && !entry.own.is_empty() => {
                    // A name may get other addresses; an address is never tried again.
                    entry.next = now + JOIN_BACKOFF.1.mul_f64(jitter);
                    self.change(index, PeerState::OwnNode);
                }
                None => entry.next = now + SOON.mul_f64(jitter),
            }
        }
    }

    fn change(&mut self, index: usize, state: PeerState) {
        let entry = &mut self.entries[index];
        if entry.state != state {
            entry.state = state;
            self.changes.push((entry.peer.clone(), state));
        }
    }
}

impl Entry {
    fn new(peer: ConfiguredPeer, now: Moment) -> Self {
        let addresses = match &peer {
            ConfiguredPeer::Address(address) => vec![*address],
            ConfiguredPeer::Name(_) => Vec::new(),
        };
        let (own, state) = (Vec::new(), PeerState::Untried);
        Self { peer, addresses, own, state, attempt: None, failures: 0, next: now }
    }

    /// An address of this node itself is dropped from the list; a name is resolved again.
    fn is_dropped(&self) -> bool {
        self.state == PeerState::OwnNode && matches!(self.peer, ConfiguredPeer::Address(_))
    }

    /// Addresses that are not known to be this node's own.
    fn foreign(&self) -> impl Iterator<Item = &PeerAddress> {
        self.addresses.iter().filter(|address| !self.own.contains(address))
    }

    fn begin(&mut self, own: PeerAddress, begun: &mut Begun) {
        if self.attempt.is_some() || self.is_dropped() {
            return;
        }
        self.attempt = Some(Attempt::default());
        match &self.peer {
            ConfiguredPeer::Name(name) => {
                begun.resolve.push(name.clone());
                self.attempt = Some(Attempt { resolving: true, ..Attempt::default() });
            }
            ConfiguredPeer::Address(_) => begun.dial.extend(self.dial(own)),
        }
    }

    /// The addresses that are now dialled.
    fn dial(&mut self, own: PeerAddress) -> Vec<PeerAddress> {
        if self.addresses.contains(&own) && !self.own.contains(&own) {
            self.own.push(own);
        }
        let dial: Vec<PeerAddress> = self.foreign().copied().collect();
        if let Some(attempt) = &mut self.attempt {
            attempt.pending.clone_from(&dial);
        }
        dial
    }
}

/// The pause after so many failures.
fn backoff(failures: u32) -> Duration {
    (JOIN_BACKOFF.0 * (1 << failures.min(16))).min(JOIN_BACKOFF.1)
}

/// Of several addresses of a peer the problem that says most is reported.
fn telling(problem: JoinProblem) -> u8 {
    match problem {
        JoinProblem::Undelivered(Undelivered::LocalLimit | Undelivered::DoesNotFit) => 0,
        JoinProblem::Undelivered(Undelivered::Unreachable) | JoinProblem::Unresolved(_) => 1,
        JoinProblem::Undelivered(Undelivered::DialTimeout) => 2,
        JoinProblem::Undelivered(Undelivered::Refused) => 3,
        _ => 4,
    }
}

#[cfg(test)]
mod tests;
