//! Admission to the routing table, and removal from it.
//!
//! A contact enters a bucket only after it has itself answered at its listening address. A peer
//! that this node dialled has. A peer that dialled this node is *probed*: the certificate pushed at
//! its claimed address must be the one authenticated on its connection. That costs a TCP connection
//! and no handshake, because of the live connection. Unverified contacts, from referrals or from
//! peers without a certificate, are dialled.

use std::collections::BTreeMap;
use std::time::Duration;

use voiddht_wire::NodeId;
use voiddht_wire::peer::{Body, NodeInfo};

use super::Node;
use crate::contact::AdmittedContact;
use crate::contact::Contact;
use crate::event::{Destination, Misbehaviour, Notice, Output, StoredContact, Undelivered, Write};
use crate::label::Limit;
use crate::peer::Peer;
use crate::reputation::Verdict;
use crate::request::{InFlight, Purpose};
use crate::routing::{Failure, Insertion};
use crate::scope;
use crate::time::Moment;

/// Concurrent checks of listening addresses. A peer that is not checked now is a candidate,
/// and is checked when a slot becomes free or when it speaks again.
const MAX_PROBES: usize = 64;
/// How long an address that did not hold is not checked again.
const PROBE_PAUSE: Duration = Duration::from_secs(30);
/// Addresses that did not hold, remembered. 72 bytes each.
const MAX_REFUSED: usize = 256;
/// How long a peer that pings is not dialled back again.
pub const DIAL_BACK_PAUSE: Duration = Duration::from_secs(60);
/// Peers that were dialled back within that time and are remembered; beyond it, no further peer
/// is dialled back. 40 bytes each.
const MAX_DIALED_BACK: usize = 256;
/// How long a check may take before its place is given to another: both deadlines of a dial.
const PROBE_PATIENCE: Duration = Duration::from_secs(10);

/// Failures of a contact from which on it is asked last. One may be a lost packet, which TCP has sent
/// again before the next is counted.
const SILENT_AFTER: u8 = 2;

/// How long a suspect that made room for another may not have been heard.
const REPLACED_UNHEARD: Duration = Duration::from_secs(60);

/// The side that opened the connection by which a contact entered the routing table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Met {
    /// This node: it had heard of the other.
    ByDialling,
    /// The other: as a node does that joins.
    ByBeingDialled,
}

/// Listening addresses that are being checked, and those that did not hold.
#[derive(Debug, Default)]
pub(super) struct Probes {
    under_way: BTreeMap<NodeId, Moment>,
    refused: BTreeMap<NodeInfo, Moment>,
    /// Addresses that did not hold and for which there was no place, until they are counted.
    unremembered: usize,
    dialed_back: BTreeMap<NodeId, Moment>,
}

impl Probes {
    /// Takes a place for this check, if there is one and it is not futile.
    fn begin(&mut self, contact: &NodeInfo, now: Moment) -> bool {
        self.under_way.retain(|_, since| now.since(*since) < PROBE_PATIENCE);
        if self.is_refused(contact, now)
            || self.under_way.len() >= MAX_PROBES
            || self.under_way.contains_key(&contact.id)
        {
            return false;
        }
        self.under_way.insert(contact.id, now);
        true
    }

    /// Whether a peer that pings is to be dialled back.
    fn begin_dial_back(&mut self, id: NodeId, now: Moment) -> bool {
        self.dialed_back.retain(|_, at| now.since(*at) < DIAL_BACK_PAUSE);
        if self.dialed_back.contains_key(&id) || self.dialed_back.len() >= MAX_DIALED_BACK {
            return false;
        }
        self.dialed_back.insert(id, now);
        true
    }

    /// For how many addresses that did not hold there has been no place since this was last asked.
    pub(super) fn take_unremembered(&mut self) -> usize {
        std::mem::take(&mut self.unremembered)
    }

    /// A node has just connected: what did not hold before may hold now.
    fn forgive(&mut self, id: &NodeId) {
        self.refused.retain(|refused, _| refused.id != *id);
    }

    /// A check failed, for a reason that says nothing of the address.
    fn abandon(&mut self, contact: &NodeInfo) {
        self.under_way.remove(&contact.id);
    }

    /// Whether the contact's address was found not to hold a moment ago.
    fn is_refused(&self, contact: &NodeInfo, now: Moment) -> bool {
        self.refused.get(contact).is_some_and(|refused| now.since(*refused) < PROBE_PAUSE)
    }

    fn end(&mut self, contact: &NodeInfo, held: bool, now: Moment) {
        self.under_way.remove(&contact.id);
        self.refused.remove(contact);
        if held {
            return;
        }
        if self.refused.len() >= MAX_REFUSED {
            self.refused.retain(|_, refused| now.since(*refused) < PROBE_PAUSE);
        }
        if self.refused.len() < MAX_REFUSED {
            self.refused.insert(*contact, now);
        } else {
            self.unremembered += 1;
        }
    }
}

impl Node {
    pub(super) fn handle_connected(
        &mut self,
        peer: Peer,
        dialed: Option<voiddht_wire::PeerAddress>,
    ) {
        self.connected.insert(peer.id());
        if peer.is_proved() && self.is_banned(&peer.id()) {
            return self.outputs.push_back(Output::HangUp { peer: peer.id() });
        }
        if peer.is_proved() && dialed.is_none() {
            self.handle_dialed_by(peer.remote().ip());
        }
        self.probes.forgive(&peer.id());
        if let Some(admitted) = dialed.and_then(|address| AdmittedContact::dialed(&peer, address)) {
            self.probes.end(&admitted.info(), true, self.now.mono);
            self.admit(admitted, Met::ByDialling);
        }
    }

    /// A connection in good order ends when either side needs the room. One that breaks makes
    /// its peer suspect, and is looked after at once: with a killed process many die together.
    pub(super) fn handle_disconnected(&mut self, peer: NodeId, clean: bool) {
        self.connected.remove(&peer);
        let Some(contact) = self.table.get(&peer).map(|contact| contact.info()) else { return };
        if !clean {
            self.contact_failed(peer);
            if self.table.get(&peer).is_some() {
                self.request(contact.into(), Body::Ping, Purpose::Liveness);
            }
        }
    }

    pub(super) fn handle_probed(&mut self, contact: NodeInfo, listening: bool) {
        self.probes.end(&contact, listening, self.now.mono);
        if let Some(admitted) = AdmittedContact::probed(contact, listening) {
            self.admit(admitted, Met::ByBeingDialled);
        }
    }

    /// There was no room for a probe: the contact waits for its turn as a candidate.
    pub(super) fn handle_not_probed(&mut self, contact: NodeInfo) {
        self.probes.abandon(&contact);
        self.table.remember_candidate(contact);
    }

    /// A peer broke a rule. Only a peer that has authenticated its ID is judged under it.
    pub(super) fn handle_misbehaved(&mut self, peer: Peer, what: Misbehaviour) {
        if peer.is_proved() {
            self.blame(peer.id(), what);
        } else {
            self.notice(Notice::Misbehaviour { peer: peer.id(), what });
        }
    }

    /// A node's score sinks; with a low one it is hung up on, then banned for a time.
    pub(super) fn blame(&mut self, peer: NodeId, what: Misbehaviour) {
        self.notice(Notice::Misbehaviour { peer, what });
        if self.reputation.is_full_for(&peer) {
            self.notice(Notice::LimitReached { limit: Limit::Opinions });
        }
        match self.reputation.charge(&peer, what, self.now.mono) {
            Verdict::Tolerated => {}
            Verdict::HangUp => self.outputs.push_back(Output::HangUp { peer }),
            Verdict::Banned { lasts } => {
                self.notice(Notice::Banned { peer, lasts });
                if let Some(contact) = self.table.remove(&peer) {
                    self.contact_dismissed(contact);
                    self.try_candidate(&peer);
                }
                self.outputs.push_back(Output::HangUp { peer });
            }
        }
    }

    pub(super) fn is_banned(&self, peer: &NodeId) -> bool {
        self.reputation.is_banned(peer, self.now.mono)
    }

    /// A peer has spoken: it is alive, and perhaps a contact.
    pub(super) fn heard_from(&mut self, peer: &Peer, port: u16) {
        let contact = NodeInfo { address: peer.remote().with_port(port), id: peer.id() };
        if self.is_own(&contact.id) {
            return;
        }
        match self.table.get(&contact.id) {
            Some(known) if known.address() == contact.address || !peer.is_proved() => {
                if peer.is_proved() {
                    self.table.answered(&contact.id, None, self.now.mono);
                }
            }
            _ if !scope::may_name(&peer.remote(), &contact.address) => {
                self.notice(Notice::LimitReached { limit: Limit::ReferralScope });
            }
            Some(_) => self.check_address(contact, peer.is_proved()),
            None if self.table.wants(&contact) => {
                self.check_address(contact, peer.is_proved());
            }
            None => self.table.remember_candidate(contact),
        }
    }

    /// An authenticated peer pings: whether it can be reached where it says is looked at again,
    /// even if it is a contact long since. It may be what the peer wants to know, and a contact
    /// that none can reach is useless to the nodes that are referred to it. Costs a TCP connection
    /// to the host that the PING came from, once in a while.
    pub(super) fn dial_back(&mut self, peer: &Peer, port: u16) {
        let contact = NodeInfo { address: peer.remote().with_port(port), id: peer.id() };
        if peer.is_proved()
            && self.connected.contains(&contact.id)
            && !self.is_own(&contact.id)
            && scope::may_name(&peer.remote(), &contact.address)
        {
            if self.probes.begin_dial_back(contact.id, self.now.mono) {
                self.check_address(contact, true);
            } else if self.probes.dialed_back.len() >= MAX_DIALED_BACK {
                self.notice(Notice::LimitReached { limit: Limit::AddressChecks });
            }
        }
    }

    /// A peer says that it no longer listens: it is leaving.
    pub(super) fn handle_farewell(&mut self, peer: &Peer) {
        if peer.is_proved()
            && let Some(contact) = self.table.get(&peer.id()).map(|contact| contact.info())
        {
            // One that is on probation may not have been handed what it should have handed over, or
            // have thrown it away.
            let is_trusted = !self.is_on_probation(&contact.id);
            let last_heard = self.last_heard(&contact.id);
            self.table.remove(&contact.id);
            // It has handed over what it held.
            if is_trusted {
                self.contact_lost(contact);
            } else {
                self.contact_died(contact, last_heard);
            }
            self.try_candidate(&contact.id);
        }
    }

    /// A request to this contact failed.
    pub(super) fn contact_failed(&mut self, id: NodeId) {
        let last_heard = self.last_heard(&id);
        let candidate = match self.table.failed(&id, self.now.mono) {
            Failure::Unknown => None,
            Failure::Kept { candidate } => {
                self.suspect(id);
                candidate
            }
            Failure::Removed { info, candidate } => {
                self.contact_died(info, last_heard);
                // A connection on which nothing comes any more would be used for the next try:
                // after an outage TCP takes as long to send again as the outage lasted.
                self.outputs.push_back(Output::HangUp { peer: id });
                candidate
            }
        };
        if let Some(candidate) = candidate {
            self.check_address(candidate, false);
        }
    }

    /// A request failed. That says something of a contact if the request was sent on a
    /// connection with it, or to the address at which this node knows it. Elsewhere it was said to
    /// listen by peers, which may be wrong.
    pub(super) fn request_failed(&mut self, request: &InFlight) {
        let Some(id) = request.to.id else { return };
        let is_known_there =
            |known: &Contact| request.connected || known.address() == request.to.address;
        if self.table.get(&id).is_some_and(is_known_there) {
            self.contact_failed(id);
        }
    }

    /// Nodes that a peer has named: contacts at the addresses at which this node knows them.
    pub(super) fn correct_addresses(&self, nodes: &mut [NodeInfo]) {
        for node in nodes {
            if let Some(known) = self.table.get(&node.id).filter(|known| !known.is_suspect()) {
                node.address = known.address();
            }
        }
    }

    pub(super) fn note_undelivered(&mut self, request: &InFlight, why: Undelivered) {
        let Some(id) = request.to.id else { return };
        let contact = NodeInfo { address: request.to.address, id };
        let was_there = self.table.get(&id).is_some_and(|it| it.address() == contact.address)
            || self.lost.was_at(&contact.address);
        match why {
            // Of a connection that was there already: whether it listens is not known.
            Undelivered::ConnectionLost => self.probes.abandon(&contact),
            _ => self.probes.end(&contact, false, self.now.mono),
        }
        match why {
            // No patience is due.
            _ if why.is_final()
                && self.table.get(&id).is_some_and(|known| known.address() == contact.address) =>
            {
                let last_heard = self.last_heard(&id);
                if self.table.remove(&id).is_some() {
                    self.contact_died(contact, last_heard);
                    self.try_candidate(&id);
                }
            }
            _ => self.request_failed(request),
        }
        if why == Undelivered::WrongIdentity && was_there {
            self.contact_unknown(contact.address);
        }
    }

    /// Those of these nodes that recently failed to answer this node. The referrer
    /// may not have noticed yet.
    pub(super) fn silent_among(&self, nodes: &[NodeInfo]) -> Vec<NodeId> {
        if self.suspects.is_empty() && self.probes.refused.is_empty() {
            return Vec::new();
        }
        let is_silent = |node: &&NodeInfo| {
            let known = self.table.get(&node.id);
            known.is_some_and(|contact| contact.failures() >= SILENT_AFTER)
                || self.probes.is_refused(node, self.now.mono)
        };
        nodes.iter().filter(is_silent).map(|node| node.id).collect()
    }

    fn try_candidate(&mut self, place_of: &NodeId) {
        if let Some(candidate) = self.table.candidate_for(place_of) {
            self.check_address(candidate, false);
        }
    }

    /// Finds out whether a contact listens where it is said to. `proved` is whether it has a live
    /// connection on which it authenticated its ID: then no handshake is needed.
    pub(super) fn check_address(&mut self, contact: NodeInfo, proved: bool) {
        if !contact.address.is_dialable() || self.is_banned(&contact.id) {
            return;
        }
        if !self.probes.begin(&contact, self.now.mono) {
            if self.probes.under_way.len() >= MAX_PROBES {
                self.notice(Notice::LimitReached { limit: Limit::AddressChecks });
            }
            return;
        }
        if proved && self.connected.contains(&contact.id) {
            self.outputs.push_back(Output::Probe { contact });
        } else {
            self.request(Destination::from(contact), Body::Ping, Purpose::Liveness);
        }
    }

    fn admit(&mut self, admitted: AdmittedContact, met: Met) {
        let contact = admitted.info();
        if self.is_own(&contact.id) {
            return;
        }
        match self.table.insert(admitted, self.now.mono) {
            Insertion::Added => self.contact_entered(contact, met),
            Insertion::Replaced { removed } => {
                // A suspect: it was not heard for a while.
                self.contact_died(removed, self.now.mono.back(REPLACED_UNHEARD));
                self.contact_entered(contact, met);
            }
            Insertion::Moved { .. } => {
                self.persist(vec![Write::PutContact(contact)]);
            }
            Insertion::TooAlike { removed: Some(removed) } => self.contact_dismissed(removed),
            Insertion::TooAlike { removed: None }
            | Insertion::Updated
            | Insertion::Cached
            | Insertion::Own => {}
        }
    }

    fn contact_entered(&mut self, contact: NodeInfo, met: Met) {
        self.notice(Notice::ContactAdded(contact));
        self.persist(vec![Write::PutContact(contact)]);
        self.contact_joined(contact, met);
        self.meet_neighbour(contact);
        self.after_contact_entered(&contact);
        self.plan_reach_check();
    }

    /// When a contact last answered, or now.
    pub(super) fn last_heard(&self, id: &NodeId) -> Moment {
        self.table.get(id).map_or(self.now.mono, |contact| contact.last_seen())
    }

    /// A contact has left the table without a word: what it held may have a replica less.
    fn contact_died(&mut self, contact: NodeInfo, last_heard: Moment) {
        self.upkeep_misses(contact.id, last_heard);
        self.contact_lost(contact);
    }

    /// A contact has left the table. It stays on disk for as long as it may come back.
    fn contact_lost(&mut self, contact: NodeInfo) {
        let tenure = self.table.tenure_of_removed(self.now.mono);
        self.remember_lost(StoredContact { info: contact, tenure });
        self.notice(Notice::ContactRemoved(contact));
        self.after_contact_left(&contact);
        self.plan_lost_contacts();
    }

    /// A contact is wanted no more, neither now nor later.
    fn contact_dismissed(&mut self, contact: NodeInfo) {
        self.upkeep_misses(contact.id, self.now.mono);
        self.notice(Notice::ContactRemoved(contact));
        self.persist(vec![Write::RemoveContact(contact.id)]);
        self.after_contact_left(&contact);
    }
}
