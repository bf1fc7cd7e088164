//! Lost contacts, which are no longer in the routing table and may come back: given up, departed
//! with a goodbye, or from an earlier run.
//!
//! They are ranked by *tenure*: the time in the routing table, earlier runs included. When there are
//! too many, those with the shortest tenure are forgotten, and a node that looks for its network dials
//! the others first. Otherwise some hundred identities that join and say goodbye would push out every
//! contact of long standing. Tenures are compared by their logarithm: within a class the latest comes
//! first, and nodes that come back together do not all begin with the same.
//!
//! They stay on disk, and are tried now and then. So a node that lost all contacts comes back, the
//! halves of a healed partition find each other, and a whole network that was killed returns,
//! though each of its nodes saw the others die.

use std::cmp::Reverse;
use std::collections::VecDeque;
use std::time::Duration;

use rand::seq::SliceRandom;
use voiddht_wire::peer::{Body, NodeInfo};
use voiddht_wire::{NodeId, PeerAddress};

use super::super::context::Context;
use super::super::schedule::Task;
use crate::diversity::{DiversityLimits, prefixes};
use crate::event::{StoredContact, Write};
use crate::label::Limit;
use crate::request::Purpose;
use crate::time::Moment;

/// Lost contacts that are remembered. 72 bytes each; one that lives is enough. Of one address prefix as
/// many as the routing table takes.
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
pub(in super::super) struct Lost {
    /// The next to be tried first.
    contacts: VecDeque<LostContact>,
    pause: Duration,
    /// When tenures were last written.
    written_at: Moment,
}

#[derive(Clone, Copy, Debug)]
struct LostContact {
    info: NodeInfo,
    /// How long it was in the routing table.
    tenure: Duration,
    /// Tries that it has had.
    tries: u32,
}

impl LostContact {
    fn class(&self) -> u32 {
        class(self.tenure)
    }
}

/// Tenures that count as equal: less than a second, and then each twice as long as the one before.
fn class(tenure: Duration) -> u32 {
    u64::BITS - tenure.as_secs().leading_zeros()
}

impl Lost {
    pub(in super::super) fn is_empty(&self) -> bool {
        self.contacts.is_empty()
    }

    /// Those with the longest tenure first, the latest first among equals.
    pub(in super::super) fn by_tenure(&self) -> Vec<NodeInfo> {
        let mut contacts: Vec<&LostContact> = self.contacts.iter().rev().collect();
        contacts.sort_by_key(|contact| Reverse(contact.class()));
        contacts.into_iter().map(|contact| contact.info).collect()
    }

    fn get(&self, id: &NodeId) -> Option<&LostContact> {
        self.contacts.iter().find(|lost| lost.info.id == *id)
    }

    pub(in super::super) fn contains(&self, id: &NodeId) -> bool {
        self.get(id).is_some()
    }

    /// Whether a node was once met there.
    pub(in super::super) fn was_at(&self, address: &PeerAddress) -> bool {
        self.contacts.iter().any(|lost| lost.info.address == *address)
    }

    /// Remembers a contact. What falls out is forgotten: of its address prefix, where that has as many as it
    /// may, or of all, the one with the shortest tenure.
    fn insert(&mut self, contact: StoredContact, limits: &DiversityLimits) -> Option<NodeInfo> {
        let StoredContact { info, tenure } = contact;
        self.forget(&info.id);
        let others = self.contacts.iter().map(|lost| lost.info.address);
        let is_alike = |lost: &LostContact| {
            let counted = limits.counted(&info.address);
            counted.into_iter().any(|prefix| prefixes(&lost.info.address).any(|it| it == prefix))
        };
        let is_too_alike = !limits.admits(&info.address, others);
        let is_full = self.contacts.len() >= MAX_LOST;
        self.contacts.push_back(LostContact { info, tenure, tries: 0 });
        if !is_too_alike && !is_full {
            return None;
        }
        let listed = self.contacts.iter().enumerate();
        let listed = listed.filter(|(_, lost)| !is_too_alike || is_alike(lost));
        let (least, _) = listed.min_by_key(|(place, lost)| (lost.class(), *place))?;
        self.contacts.remove(least).map(|lost| lost.info)
    }

    fn forget(&mut self, id: &NodeId) -> bool {
        let before = self.contacts.len();
        self.contacts.retain(|lost| lost.info.id != *id);
        before != self.contacts.len()
    }
}

impl Lost {
    /// Takes over the contacts that an earlier run left on disk.
    pub(in super::super) fn restore(&mut self, cx: &mut Context, mut contacts: Vec<StoredContact>) {
        contacts.retain(|StoredContact { info, .. }| {
            !cx.is_own(&info.id) && info.address.is_dialable()
        });
        // It is unknown which of them live. Nodes that come back together should not all begin
        // with the same.
        contacts.shuffle(&mut cx.random);
        for contact in contacts {
            self.remember(cx, contact);
        }
    }

    /// Remembers a contact that has left the routing table.
    pub(in super::super) fn remember(&mut self, cx: &mut Context, contact: StoredContact) {
        let limits = cx.table.config().per_table;
        if let Some(forgotten) = self.insert(contact, &limits) {
            cx.limit_reached(Limit::LostContacts);
            cx.persist(vec![Write::RemoveContact(forgotten.id)]);
        }
    }

    /// Forgets that a contact was lost: it is back, and its tenure goes on. True if it was, so that the two
    /// parts of a network that may have met again look at each other.
    pub(in super::super) fn found_again(&mut self, cx: &mut Context, contact: &NodeInfo) -> bool {
        if let Some(lost) = self.get(&contact.id) {
            cx.table.credit(&contact.id, lost.tenure);
        }
        self.forget(&contact.id)
    }

    /// Writes the tenure of each contact whenever it has doubled. That of a contact which leaves soon
    /// after it has come is never written.
    pub(in super::super) fn write_tenures(&mut self, cx: &mut Context) {
        let now = cx.now.mono;
        let written_at = std::mem::replace(&mut self.written_at, now);
        let doubled = cx.table.iter().filter_map(|contact| {
            let tenure = contact.tenure(now);
            let is_new = class(tenure) > class(contact.tenure(written_at));
            is_new.then_some(Write::PutTenure { node: *contact.id(), tenure })
        });
        let writes: Vec<Write> = doubled.collect();
        if !writes.is_empty() {
            cx.persist(writes);
        }
    }

    /// Tries a few of them. One that answers becomes a contact, and what it knows is learned with
    /// a lookup of the own ID.
    pub(in super::super) fn retry(&mut self, cx: &mut Context) {
        if cx.leaving.is_some() {
            return;
        }
        let target = cx.own.id.as_key();
        for _ in 0..TRIED_AT_ONCE.min(self.contacts.len()) {
            let Some(mut lost) = self.contacts.pop_front() else { break };
            lost.tries += 1;
            if lost.tries < MAX_TRIES {
                self.contacts.push_back(lost);
            } else {
                cx.persist(vec![Write::RemoveContact(lost.info.id)]);
            }
            cx.request(lost.info, Body::FindNode { target }, Purpose::Liveness);
        }
        self.pause *= 2;
        self.plan(cx);
    }

    pub(in super::super) fn plan(&mut self, cx: &mut Context) {
        if self.is_empty() {
            self.pause = PAUSE.0;
            return cx.schedule.cancel(Task::LostContacts);
        }
        if !cx.schedule.is_set(Task::LostContacts) {
            let longest = PAUSE.1.min(cx.config.upkeep_interval / TRIES_PER_UPKEEP);
            self.pause = self.pause.clamp(PAUSE.0.min(longest), longest);
            let at = cx.now.mono + cx.jittered(self.pause);
            cx.schedule.set(Task::LostContacts, at);
        }
    }
}
