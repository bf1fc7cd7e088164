//! Finding the network, staying in it, and noticing its loss.
//!
//! Joining (Kademlia, section 2.3): FIND_NODE for the own ID at every known peer, side by side;
//! with the first answer a lookup of the own ID, then rounds of a lookup in every bucket, until a
//! round adds no node. Where no peer answers, all are tried again, with growing pauses.
//!
//! A young node looks for its own ID again after one second, two, four, up to the refresh
//! interval: nodes that joined at the same moment did not see each other at first.
//!
//! Contacts that are given up are remembered for a while and tried now and then, which is how
//! the halves of a healed partition find each other.

use std::collections::VecDeque;
use std::time::Duration;

use rand::RngExt;
use voiddht_wire::peer::{Body, NodeInfo};
use voiddht_wire::{Key, PeerAddress};

use super::Node;
use super::operate::Origin;
use super::schedule::Task;
use crate::config::JOIN_BACKOFF;
use crate::event::{CommandId, Destination, Notice, Outcome};
use crate::operation::Answer;
use crate::request::Purpose;

/// Peers tried side by side, at most; more wait for the next attempt.
const MAX_SEEDS_AT_ONCE: usize = 32;
/// Lookups of a joining round under way at once.
const LOOKUPS_AT_ONCE: usize = 3;
/// Rounds of filling buckets, at most: in a network that grows all the time, every round adds.
const MAX_ROUNDS: u32 = 3;
/// The first pause until the own ID is looked for again.
const FIRST_FIND_SELF: Duration = Duration::from_secs(1);
/// Contacts that were given up and are tried again. 50 bytes each.
const MAX_LOST: usize = 256;
/// First and longest pause between tries of lost contacts.
const LOST_PAUSE: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(300));
/// Lost contacts tried at once.
const LOST_AT_ONCE: usize = 4;
/// A lost contact is forgotten after this many tries: about a day at the longest pause.
const LOST_TRIES: u32 = 288;

/// How far this node is in finding its network.
#[derive(Debug, Default)]
pub(super) struct Joining {
    command: Option<CommandId>,
    peers: Vec<PeerAddress>,
    stage: Stage,
    attempts: u32,
    next_peer: usize,
    find_self_pause: Duration,
    was_joined: bool,
    lost: VecDeque<(NodeInfo, u32)>,
    lost_pause: Duration,
}

#[derive(Debug, Default, PartialEq)]
enum Stage {
    /// Nothing to do.
    #[default]
    Idle,
    /// Waiting for a known peer's answer.
    Contacting { pending: usize },
    /// Looking for the own ID.
    FindingSelf,
    /// Looking into every bucket.
    Filling { round: u32, open: Vec<Key>, running: usize, contacts_before: usize },
}

impl Joining {
    pub(super) fn has_nobody_to_find(&self) -> bool {
        self.peers.is_empty() && self.lost.is_empty()
    }

    /// Remembers a contact that was given up.
    pub(super) fn remember_lost(&mut self, contact: NodeInfo) {
        self.lost.retain(|(lost, _)| lost.id != contact.id);
        if self.lost.len() >= MAX_LOST {
            self.lost.pop_front();
        }
        self.lost.push_back((contact, 0));
    }
}

impl Node {
    pub(super) fn start_join(&mut self, id: CommandId, peers: Vec<PeerAddress>) {
        // A join that is still under way makes place: one set of peers is tried at a time.
        self.answer_join();
        self.joining.command = Some(id);
        self.joining.peers = peers.into_iter().filter(|peer| *peer != self.own.address).collect();
        self.joining.attempts = 0;
        self.contact_known_peers();
    }

    pub(super) fn retry_join(&mut self) {
        if self.table.is_empty() {
            self.contact_known_peers();
        } else {
            self.join_from_table();
        }
    }

    /// A configured or remembered peer answered, or did not.
    pub(super) fn handle_seed_answer(&mut self, answer: Answer) {
        let Stage::Contacting { pending } = &mut self.joining.stage else { return };
        *pending = pending.saturating_sub(1);
        let pending = *pending;
        if let Answer::Nodes(_) = answer
            && !self.table.is_empty()
        {
            self.join_from_table();
        } else if pending == 0 {
            self.join_failed();
        }
    }

    pub(super) fn handle_join_lookup_ended(&mut self) {
        match &mut self.joining.stage {
            Stage::FindingSelf => self.start_round(1),
            Stage::Filling { running, .. } => {
                *running = running.saturating_sub(1);
                self.go_on_filling();
            }
            Stage::Idle | Stage::Contacting { .. } => {}
        }
    }

    /// Looks for the own ID, and plans the next time.
    pub(super) fn find_self(&mut self) {
        if self.leaving.is_some() {
            return;
        }
        if !self.table.is_empty() {
            self.start_find(Origin::Refresh, self.own.id.as_key());
        }
        self.plan_find_self();
    }

    pub(super) fn refresh_buckets(&mut self) {
        let quiet_since = self.now.mono.back(self.config.refresh_interval);
        let quiet: Vec<_> = self.table.buckets_unvisited_since(quiet_since).collect();
        let target = match quiet.len() {
            0 => None,
            count => {
                let range = quiet[self.random.random_range(0..count)];
                Some(range.random_target(&mut self.random))
            }
        };
        if let Some(target) = target
            && !self.table.is_empty()
        {
            self.start_find(Origin::Refresh, target);
        }
        // One bucket at a time, so that the whole table is refreshed within the interval.
        let buckets = self.table.buckets().count().max(1) as u32;
        let pause = self.jittered(self.config.refresh_interval / buckets);
        self.schedule.set(Task::RefreshBuckets, self.now.mono + pause);
    }

    /// The table has a new member; with the first one the node is part of a network.
    pub(super) fn note_joined(&mut self) {
        if !self.joining.was_joined {
            self.joining.was_joined = true;
            self.notice(Notice::Joined { contacts: self.table.len() });
            self.restart_find_self();
            let pause = self.jittered(self.config.refresh_interval);
            self.schedule.set_earlier(Task::RefreshBuckets, self.now.mono + pause);
        }
    }

    /// A contact is gone. Without any, the node is isolated: it says so, and joins again.
    pub(super) fn after_contact_left(&mut self) {
        if self.table.is_empty() && self.joining.was_joined && self.leaving.is_none() {
            self.joining.was_joined = false;
            self.joining.attempts = 0;
            self.notice(Notice::Isolated);
            self.schedule.cancel(Task::FindSelf);
            self.contact_known_peers();
        }
        self.plan_lost_contacts();
    }

    /// Tries a few lost contacts again. One that answers becomes a contact, and what it knows is
    /// learned with a lookup of the own ID.
    pub(super) fn retry_lost_contacts(&mut self) {
        if self.leaving.is_some() {
            return;
        }
        for _ in 0..LOST_AT_ONCE.min(self.joining.lost.len()) {
            let Some((contact, tries)) = self.joining.lost.pop_front() else { break };
            if self.table.get(&contact.id).is_some() {
                continue;
            }
            if tries + 1 < LOST_TRIES {
                self.joining.lost.push_back((contact, tries + 1));
            }
            let target = self.own.id.as_key();
            self.request(contact.into(), Body::FindNode { target }, Purpose::Liveness);
        }
        let pause = self.joining.lost_pause.max(LOST_PAUSE.0);
        self.joining.lost_pause = (pause * 2).min(LOST_PAUSE.1);
        self.plan_lost_contacts();
    }

    /// Forgets that a contact was lost: it is back. True if it was, so that the two parts of a
    /// network that may have met again look at each other.
    pub(super) fn found_again(&mut self, contact: &NodeInfo) -> bool {
        let before = self.joining.lost.len();
        self.joining.lost.retain(|(lost, _)| lost.id != contact.id);
        before != self.joining.lost.len()
    }

    /// Looks for the own ID soon, and often at first.
    pub(super) fn restart_find_self(&mut self) {
        self.joining.find_self_pause = FIRST_FIND_SELF / 2;
        self.plan_find_self();
    }

    /// A duration within a quarter of `duration`, so that nodes that started together drift
    /// apart.
    pub(super) fn jittered(&mut self, duration: Duration) -> Duration {
        duration.mul_f64(self.random.random_range(0.75..1.25))
    }

    fn contact_known_peers(&mut self) {
        let mut peers: Vec<Destination> = Vec::new();
        for (contact, _) in self.joining.lost.iter().rev().take(MAX_SEEDS_AT_ONCE / 2) {
            peers.push((*contact).into());
        }
        // With more peers than places, each attempt begins where the last one ended.
        let known = self.joining.peers.len();
        let places = (MAX_SEEDS_AT_ONCE - peers.len()).min(known);
        for offset in 0..places {
            let address = self.joining.peers[(self.joining.next_peer + offset) % known];
            peers.push(Destination { address, id: None });
        }
        self.joining.next_peer =
            if known == 0 { 0 } else { (self.joining.next_peer + places) % known };
        if peers.is_empty() {
            self.joining.stage = Stage::Idle;
            self.answer_join();
            return;
        }
        self.joining.attempts += 1;
        self.joining.stage = Stage::Contacting { pending: peers.len() };
        let target = self.own.id.as_key();
        for to in peers {
            self.request(to, Body::FindNode { target }, Purpose::Seed);
        }
    }

    fn join_failed(&mut self) {
        self.joining.stage = Stage::Idle;
        if !self.table.is_empty() {
            return self.join_from_table();
        }
        let doublings = self.joining.attempts.saturating_sub(1).min(16);
        let pause = (JOIN_BACKOFF.0 * (1 << doublings)).min(JOIN_BACKOFF.1);
        let retry_in = self.jittered(pause);
        self.notice(Notice::JoinFailed { retry_in });
        self.schedule.set(Task::Join, self.now.mono + retry_in);
    }

    /// There is a contact to begin with: one of the known peers, or somebody who found this node
    /// while it was looking.
    fn join_from_table(&mut self) {
        self.joining.stage = Stage::FindingSelf;
        self.start_find(Origin::Join, self.own.id.as_key());
    }

    fn start_round(&mut self, round: u32) {
        let ranges: Vec<_> = self.table.buckets().map(|bucket| bucket.range()).collect();
        let open = ranges.iter().map(|range| range.random_target(&mut self.random)).collect();
        let contacts_before = self.table.len();
        self.joining.stage = Stage::Filling { round, open, running: 0, contacts_before };
        self.go_on_filling();
    }

    fn go_on_filling(&mut self) {
        loop {
            let contacts = self.table.len();
            let Stage::Filling { round, open, running, contacts_before } = &mut self.joining.stage
            else {
                return;
            };
            if *running >= LOOKUPS_AT_ONCE {
                return;
            }
            if let Some(target) = open.pop() {
                *running += 1;
                self.start_find(Origin::Join, target);
                continue;
            }
            if *running > 0 {
                return;
            }
            if contacts > *contacts_before && *round < MAX_ROUNDS {
                let round = *round + 1;
                return self.start_round(round);
            }
            self.joining.stage = Stage::Idle;
            return self.answer_join();
        }
    }

    fn answer_join(&mut self) {
        if let Some(id) = self.joining.command.take() {
            let contacts = self.table.len();
            self.answer(id, Outcome::Joined { contacts });
        }
    }

    fn plan_find_self(&mut self) {
        let pause = self.joining.find_self_pause.max(FIRST_FIND_SELF / 2) * 2;
        self.joining.find_self_pause = pause.min(self.config.refresh_interval);
        let pause = self.jittered(self.joining.find_self_pause);
        self.schedule.set(Task::FindSelf, self.now.mono + pause);
    }

    fn plan_lost_contacts(&mut self) {
        if self.joining.lost.is_empty() {
            self.joining.lost_pause = LOST_PAUSE.0;
            return self.schedule.cancel(Task::LostContacts);
        }
        if !self.schedule.is_set(Task::LostContacts) {
            let pause = self.joining.lost_pause.max(LOST_PAUSE.0);
            let at = self.now.mono + self.jittered(pause);
            self.schedule.set(Task::LostContacts, at);
        }
    }
}
