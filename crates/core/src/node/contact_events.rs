//! What happens to contacts, and what follows for each part of the node: connections that open and
//! close, answers to probes, failures, goodbyes, bans.

use std::net::IpAddr;
use std::time::Duration;

use voiddht_wire::peer::{Body, NodeInfo};
use voiddht_wire::{NodeId, PeerAddress};

use super::upkeep::Met;
use super::{Node, reach};
use crate::contact::{AdmittedContact, Contact};
use crate::event::{Misbehaviour, Notice, StoredContact, Undelivered, Write};
use crate::label::Limit;
use crate::peer::Peer;
use crate::reputation::Verdict;
use crate::request::{InFlight, Purpose};
use crate::routing::{Failure, Insertion};
use crate::time::Moment;

/// How long a suspect that made room for another may not have been heard.
const REPLACED_UNHEARD: Duration = Duration::from_secs(60);

/// Connections and probes.
impl Node {
    pub(super) fn handle_connected(&mut self, peer: Peer, dialed: Option<PeerAddress>) {
        self.cx.connected.insert(peer.id());
        if peer.is_proved() && self.cx.is_banned(&peer.id()) {
            return self.cx.hang_up(peer.id());
        }
        if peer.is_proved() && dialed.is_none() {
            self.handle_dialed_by(peer.remote().ip());
        }
        self.contacts.probes.forgive(&peer.id());
        if let Some(admitted) = dialed.and_then(|address| AdmittedContact::dialed(&peer, address)) {
            self.contacts.probes.end(&admitted.info(), true, self.cx.now.mono);
            self.admit(admitted, Met::ByDialling);
        }
    }

    /// A connection in good order ends when either side needs the room. One that breaks makes
    /// its peer suspect, and is looked after at once: with a killed process many die together.
    pub(super) fn handle_disconnected(&mut self, peer: NodeId, clean: bool) {
        self.cx.connected.remove(&peer);
        let Some(contact) = self.cx.table.get(&peer).map(|contact| contact.info()) else { return };
        if !clean {
            self.contact_failed(peer);
            if self.cx.table.get(&peer).is_some() {
                self.cx.request(contact, Body::Ping, Purpose::Liveness);
            }
        }
    }

    pub(super) fn handle_probed(&mut self, contact: NodeInfo, listening: bool) {
        self.contacts.probes.end(&contact, listening, self.cx.now.mono);
        if let Some(admitted) = AdmittedContact::probed(contact, listening) {
            self.admit(admitted, Met::ByBeingDialled);
        }
    }

    /// There was no room for a probe: the contact waits for its turn as a candidate.
    pub(super) fn handle_not_probed(&mut self, contact: NodeInfo) {
        self.contacts.probes.abandon(&contact);
        self.cx.table.remember_candidate(contact);
    }

    /// A client connected to the listening port.
    pub(super) fn handle_called(&mut self, from: IpAddr) {
        let change = reach::handle_called(&mut self.cx, from);
        self.reach_changed(change);
    }

    /// A peer has dialled this node, and authenticated itself.
    fn handle_dialed_by(&mut self, from: IpAddr) {
        let change = reach::handle_dialed_by(&mut self.cx, from);
        self.reach_changed(change);
    }
}

/// Misbehaviour.
impl Node {
    /// A peer broke a rule. Only a peer that has authenticated its ID is judged under it.
    pub(super) fn handle_misbehaved(&mut self, peer: Peer, what: Misbehaviour) {
        if peer.is_proved() {
            self.blame(peer.id(), what);
        } else {
            self.cx.notice(Notice::Misbehaviour { peer: peer.id(), what });
        }
    }

    /// A node's score sinks; with a low one it is hung up on, then banned for a time.
    pub(super) fn blame(&mut self, peer: NodeId, what: Misbehaviour) {
        self.cx.notice(Notice::Misbehaviour { peer, what });
        if self.cx.reputation.is_full_for(&peer) {
            self.cx.limit_reached(Limit::Opinions);
        }
        match self.cx.reputation.charge(&peer, what, self.cx.now.mono) {
            Verdict::Tolerated => {}
            Verdict::HangUp => self.cx.hang_up(peer),
            Verdict::Banned { lasts } => {
                self.cx.notice(Notice::Banned { peer, lasts });
                if let Some(contact) = self.cx.table.remove(&peer) {
                    self.contact_dismissed(contact);
                    self.contacts.try_candidate(&mut self.cx, &peer);
                }
                self.cx.hang_up(peer);
            }
        }
    }
}

/// Failures and goodbyes.
impl Node {
    /// A request to this contact failed.
    pub(super) fn contact_failed(&mut self, id: NodeId) {
        let last_heard = self.cx.last_heard(&id);
        let candidate = match self.cx.table.failed(&id, self.cx.now.mono) {
            Failure::Unknown => None,
            Failure::Kept { candidate } => {
                self.contacts.suspects.add(&mut self.cx, id);
                candidate
            }
            Failure::Removed { info, candidate } => {
                self.contact_died(info, last_heard);
                // A connection on which nothing comes any more would be used for the next try:
                // after an outage TCP takes as long to send again as the outage lasted.
                self.cx.hang_up(id);
                candidate
            }
        };
        if let Some(candidate) = candidate {
            self.contacts.check_address(&mut self.cx, candidate, false);
        }
    }

    /// A request failed. That says something of a contact if the request was sent on a
    /// connection with it, or to the address at which this node knows it. Elsewhere it was said to
    /// listen by peers, which may be wrong.
    pub(super) fn request_failed(&mut self, request: &InFlight) {
        let Some(id) = request.to.id else { return };
        let is_known_there =
            |known: &Contact| request.connected || known.address() == request.to.address;
        if self.cx.table.get(&id).is_some_and(is_known_there) {
            self.contact_failed(id);
        }
    }

    /// A request could not be delivered, for a reason that says something of its peer.
    pub(super) fn note_undelivered(&mut self, request: &InFlight, why: Undelivered) {
        let Some(id) = request.to.id else { return };
        let contact = NodeInfo { address: request.to.address, id };
        let is_contact_there =
            self.cx.table.get(&id).is_some_and(|it| it.address() == contact.address);
        let was_there = is_contact_there || self.join.lost.was_at(&contact.address);
        match why {
            // Of a connection that was there already: whether it listens is not known.
            Undelivered::ConnectionLost => self.contacts.probes.abandon(&contact),
            _ => self.contacts.probes.end(&contact, false, self.cx.now.mono),
        }
        if why.is_final() && is_contact_there {
            // No patience is due.
            let last_heard = self.cx.last_heard(&id);
            if self.cx.table.remove(&id).is_some() {
                self.contact_died(contact, last_heard);
                self.contacts.try_candidate(&mut self.cx, &id);
            }
        } else {
            self.request_failed(request);
        }
        if why == Undelivered::WrongIdentity && was_there {
            self.join.contact_unknown(&mut self.cx, contact.address);
        }
    }

    /// A peer says that it no longer listens: it is leaving.
    pub(super) fn handle_farewell(&mut self, peer: &Peer) {
        if peer.is_proved()
            && let Some(contact) = self.cx.table.get(&peer.id()).map(|contact| contact.info())
        {
            // One that is on probation may not have been handed what it should have handed over, or
            // have thrown it away.
            let is_trusted = !self.upkeep.is_on_probation(&self.cx, &contact.id);
            let last_heard = self.cx.last_heard(&contact.id);
            self.cx.table.remove(&contact.id);
            // It has handed over what it held.
            if is_trusted {
                self.contact_lost(contact);
            } else {
                self.contact_died(contact, last_heard);
            }
            self.contacts.try_candidate(&mut self.cx, &contact.id);
        }
    }
}

/// The routing table gains and loses contacts.
impl Node {
    fn admit(&mut self, admitted: AdmittedContact, met: Met) {
        let contact = admitted.info();
        if self.cx.is_own(&contact.id) {
            return;
        }
        match self.cx.table.insert(admitted, self.cx.now.mono) {
            Insertion::Added => self.contact_entered(contact, met),
            Insertion::Replaced { removed } => {
                // A suspect: it was not heard for a while.
                self.contact_died(removed, self.cx.now.mono.back(REPLACED_UNHEARD));
                self.contact_entered(contact, met);
            }
            Insertion::Moved { .. } => {
                self.cx.persist(vec![Write::PutContact(contact)]);
            }
            Insertion::TooAlike { removed: Some(removed) } => self.contact_dismissed(removed),
            Insertion::TooAlike { removed: None }
            | Insertion::Updated
            | Insertion::Cached
            | Insertion::Own => {}
        }
    }

    fn contact_entered(&mut self, contact: NodeInfo, met: Met) {
        self.cx.notice(Notice::ContactAdded(contact));
        self.cx.persist(vec![Write::PutContact(contact)]);
        if let Some(joined) = self.join.note_contact(&mut self.cx) {
            self.upkeep.joined(&self.cx, joined.returned);
        }
        if self.join.lost.found_again(&mut self.cx, &contact) {
            self.join.recurring.find_self_soon(&mut self.cx);
        }
        self.upkeep.contact_joined(&mut self.cx, &self.values.records, contact, met);
        self.join.meet_neighbour(&mut self.cx, contact);
        self.join.contact_entered(&mut self.cx, &contact);
        reach::plan_check(&mut self.cx);
    }

    /// A contact has left the table without a word: what it held may have a replica less.
    fn contact_died(&mut self, contact: NodeInfo, last_heard: Moment) {
        self.upkeep.contact_died(&mut self.cx, &self.values.records, contact.id, last_heard);
        self.contact_lost(contact);
    }

    /// A contact has left the table. It stays on disk for as long as it may come back.
    fn contact_lost(&mut self, contact: NodeInfo) {
        let tenure = self.cx.table.tenure_of_removed(self.cx.now.mono);
        self.join.lost.remember(&mut self.cx, StoredContact { info: contact, tenure });
        self.cx.notice(Notice::ContactRemoved(contact));
        self.join.contact_left(&mut self.cx, &contact);
        self.run_join();
        self.join.lost.plan(&mut self.cx);
    }

    /// A contact is wanted no more, neither now nor later.
    fn contact_dismissed(&mut self, contact: NodeInfo) {
        let now = self.cx.now.mono;
        self.upkeep.contact_died(&mut self.cx, &self.values.records, contact.id, now);
        self.cx.notice(Notice::ContactRemoved(contact));
        self.cx.persist(vec![Write::RemoveContact(contact.id)]);
        self.join.contact_left(&mut self.cx, &contact);
        self.run_join();
    }
}
