//! Admission to the routing table, and removal from it.
//!
//! A contact enters a bucket only after it has itself answered at its listening address. A peer
//! that this node dialled has. A peer that dialled this node is *probed*: the certificate pushed at
//! its claimed address must be the one authenticated on its connection. That costs a TCP connection
//! and no handshake, because of the live connection. Unverified contacts, from referrals or from
//! peers without a certificate, are dialled.
//!
//! This module decides which addresses are checked, and when. What follows for the other parts of the
//! node when a contact enters the table, fails or leaves it is in `contact_events`.

use std::collections::BTreeMap;
use std::time::Duration;

use voiddht_wire::peer::{Body, NodeInfo};
use voiddht_wire::{Key, NodeId};

use super::context::Context;
use super::suspects::Suspects;
use crate::event::Output;
use crate::label::Limit;
use crate::lookup::{Breadth, Lookup};
use crate::peer::Peer;
use crate::request::Purpose;
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
pub(super) const SILENT_AFTER: u8 = 2;

/// Which addresses are being checked, and which contacts are asked again.
#[derive(Debug, Default)]
pub(super) struct Contacts {
    pub(super) probes: Probes,
    pub(super) suspects: Suspects,
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
    pub(super) fn forgive(&mut self, id: &NodeId) {
        self.refused.retain(|refused, _| refused.id != *id);
    }

    /// A check failed, for a reason that says nothing of the address.
    pub(super) fn abandon(&mut self, contact: &NodeInfo) {
        self.under_way.remove(&contact.id);
    }

    /// Whether the contact's address was found not to hold a moment ago.
    fn is_refused(&self, contact: &NodeInfo, now: Moment) -> bool {
        self.refused.get(contact).is_some_and(|refused| now.since(*refused) < PROBE_PAUSE)
    }

    pub(super) fn end(&mut self, contact: &NodeInfo, held: bool, now: Moment) {
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

impl Contacts {
    /// A peer has spoken: it is alive, and perhaps a contact.
    pub(super) fn heard_from(&mut self, cx: &mut Context, peer: &Peer, port: u16) {
        let contact = NodeInfo { address: peer.remote().with_port(port), id: peer.id() };
        if cx.is_own(&contact.id) {
            return;
        }
        match cx.table.get(&contact.id) {
            Some(known) if known.address() == contact.address || !peer.is_proved() => {
                if peer.is_proved() {
                    cx.table.answered(&contact.id, None, cx.now.mono);
                }
            }
            _ if !scope::may_name(&peer.remote(), &contact.address) => {
                cx.limit_reached(Limit::ReferralScope);
            }
            Some(_) => self.check_address(cx, contact, peer.is_proved()),
            None if cx.table.wants(&contact) => {
                self.check_address(cx, contact, peer.is_proved());
            }
            None => cx.table.remember_candidate(contact),
        }
    }

    /// An authenticated peer pings: whether it can be reached where it says is looked at again,
    /// even if it is a contact long since. It may be what the peer wants to know, and a contact
    /// that none can reach is useless to the nodes that are referred to it. Costs a TCP connection
    /// to the host that the PING came from, once in a while.
    pub(super) fn dial_back(&mut self, cx: &mut Context, peer: &Peer, port: u16) {
        let contact = NodeInfo { address: peer.remote().with_port(port), id: peer.id() };
        if peer.is_proved()
            && cx.connected.contains(&contact.id)
            && !cx.is_own(&contact.id)
            && scope::may_name(&peer.remote(), &contact.address)
        {
            if self.probes.begin_dial_back(contact.id, cx.now.mono) {
                self.check_address(cx, contact, true);
            } else if self.probes.dialed_back.len() >= MAX_DIALED_BACK {
                cx.limit_reached(Limit::AddressChecks);
            }
        }
    }

    /// Those of these nodes that recently failed to answer this node. The referrer
    /// may not have noticed yet.
    pub(super) fn silent_among(&self, cx: &Context, nodes: &[NodeInfo]) -> Vec<NodeId> {
        if self.suspects.is_empty() && self.probes.refused.is_empty() {
            return Vec::new();
        }
        let is_silent = |node: &&NodeInfo| {
            let known = cx.table.get(&node.id);
            known.is_some_and(|contact| contact.failures() >= SILENT_AFTER)
                || self.probes.is_refused(node, cx.now.mono)
        };
        nodes.iter().filter(is_silent).map(|node| node.id).collect()
    }

    /// A lookup that begins at the closest contacts.
    pub(super) fn lookup(&self, cx: &Context, target: Key, breadth: Breadth) -> Lookup {
        let seeds = cx.seeds(&target, cx.config.k);
        let mut lookup = Lookup::new(target, cx.own.id, breadth, &seeds);
        self.silent_among(cx, &seeds).iter().for_each(|node| lookup.doubt(node));
        lookup
    }

    /// A slot of the routing table has become free: its candidate is checked.
    pub(super) fn try_candidate(&mut self, cx: &mut Context, in_place_of: &NodeId) {
        if let Some(candidate) = cx.table.candidate_for(in_place_of) {
            self.check_address(cx, candidate, false);
        }
    }

    /// Finds out whether a contact listens where it is said to. `proved` is whether it has a live
    /// connection on which it authenticated its ID: then no handshake is needed.
    pub(super) fn check_address(&mut self, cx: &mut Context, contact: NodeInfo, proved: bool) {
        if !contact.address.is_dialable() || cx.is_banned(&contact.id) {
            return;
        }
        if !self.probes.begin(&contact, cx.now.mono) {
            if self.probes.under_way.len() >= MAX_PROBES {
                cx.limit_reached(Limit::AddressChecks);
            }
            return;
        }
        if proved && cx.connected.contains(&contact.id) {
            cx.output(Output::Probe { contact });
        } else {
            cx.request(contact, Body::Ping, Purpose::Liveness);
        }
    }
}
