//! Lost contacts, which are no longer in the routing table and may come back: given up, departed
//! with a goodbye, or from an earlier run.
//!
//! They stay on disk, and are tried now and then. So a node that lost all contacts comes back, the
//! halves of a healed partition find each other, and a whole network that was killed returns,
//! though each of its nodes saw the others die.

use std::collections::VecDeque;
use std::time::Duration;

use rand::seq::SliceRandom;
use voiddht_wire::peer::{Body, NodeInfo};
use voiddht_wire::{NodeId, PeerAddress};

use super::Node;
use super::schedule::Task;
use crate::event::{Notice, Write};
use crate::label::Limit;
use crate::request::Purpose;

/// Lost contacts that are remembered. 56 bytes each; one that lives is enough.
const MAX_LOST: usize = 256;
/// First and longest pause between tries.
/// The longest leaves a network that is whole again time to become one within a minute.
const PAUSE: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(40));
/// The longest pause is no longer than the upkeep interval divided by this: within one interval
/// the parts of a network that can meet again have met, and have exchanged what they hold.
const TRIES_PER_UPKEEP: u32 = 8;
/// Contacts tried concurrently.
const TRIED_AT_ONCE: usize = 4;
/// A contact is forgotten after this many tries: about a day at the longest pause, if it is alone.
const MAX_TRIES: u32 = 2160;

/// Lost contacts, each with its next attempt.
#[derive(Debug, Default)]
pub(super) struct Lost {
    /// Each with the tries that it has had; the next to be tried first.
    contacts: VecDeque<(NodeInfo, u32)>,
    pause: Duration,
}

impl Lost {
    pub(super) fn is_empty(&self) -> bool {
        self.contacts.is_empty()
    }

    pub(super) fn newest_first(&self) -> impl Iterator<Item = NodeInfo> {
        self.contacts.iter().rev().map(|(contact, _)| *contact)
    }

    pub(super) fn contains(&self, id: &NodeId) -> bool {
        self.contacts.iter().any(|(contact, _)| contact.id == *id)
    }

    /// Whether a node was once met there.
    pub(super) fn was_at(&self, address: &PeerAddress) -> bool {
        self.contacts.iter().any(|(contact, _)| contact.address == *address)
    }

    /// Remembers a contact. What falls out is forgotten.
    fn remember(&mut self, contact: NodeInfo) -> Option<NodeInfo> {
        self.forget(&contact.id);
        let oldest = if self.contacts.len() < MAX_LOST { None } else { self.contacts.pop_front() };
        self.contacts.push_back((contact, 0));
        oldest.map(|(oldest, _)| oldest)
    }

    fn forget(&mut self, id: &NodeId) -> bool {
        let before = self.contacts.len();
        self.contacts.retain(|(lost, _)| lost.id != *id);
        before != self.contacts.len()
    }
}

impl Node {
    /// Takes over the contacts that an earlier run left on disk: they are tried before configured
    /// peers. To be called once, before the first input.
    pub fn restore_contacts(&mut self, mut contacts: Vec<NodeInfo>) {
        contacts.retain(|contact| !self.is_own(&contact.id) && contact.address.is_dialable());
        // It is unknown which of them live. Nodes that come back together should not all begin
        // with the same.
        contacts.shuffle(&mut self.random);
        for contact in contacts {
            self.remember_lost(contact);
        }
    }

    /// Remembers a contact that has left the routing table.
    pub(super) fn remember_lost(&mut self, contact: NodeInfo) {
        if let Some(forgotten) = self.lost.remember(contact) {
            self.notice(Notice::LimitReached { limit: Limit::LostContacts });
            self.persist(vec![Write::RemoveContact(forgotten.id)]);
        }
    }

    /// Forgets that a contact was lost: it is back. True if it was, so that the two parts of a
    /// network that may have met again look at each other.
    pub(super) fn found_again(&mut self, contact: &NodeInfo) -> bool {
        self.lost.forget(&contact.id)
    }

    /// Tries a few of them. One that answers becomes a contact, and what it knows is learned with
    /// a lookup of the own ID.
    pub(super) fn retry_lost_contacts(&mut self) {
        if self.leaving.is_some() {
            return;
        }
        let target = self.own.id.as_key();
        for _ in 0..TRIED_AT_ONCE.min(self.lost.contacts.len()) {
            let Some((contact, tries)) = self.lost.contacts.pop_front() else { break };
            if tries + 1 < MAX_TRIES {
                self.lost.contacts.push_back((contact, tries + 1));
            } else {
                self.persist(vec![Write::RemoveContact(contact.id)]);
            }
            self.request(contact.into(), Body::FindNode { target }, Purpose::Liveness);
        }
        self.lost.pause *= 2;
        self.plan_lost_contacts();
    }

    pub(super) fn plan_lost_contacts(&mut self) {
        if self.lost.is_empty() {
            self.lost.pause = PAUSE.0;
            return self.schedule.cancel(Task::LostContacts);
        }
        if !self.schedule.is_set(Task::LostContacts) {
            let longest = PAUSE.1.min(self.config.upkeep_interval / TRIES_PER_UPKEEP);
            self.lost.pause = self.lost.pause.clamp(PAUSE.0.min(longest), longest);
            let at = self.now.mono + self.jittered(self.lost.pause);
            self.schedule.set(Task::LostContacts, at);
        }
    }
}
