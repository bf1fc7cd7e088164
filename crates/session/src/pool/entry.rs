//! One connection as the pool sees it, and those with one peer.

use std::time::Duration;

use voiddht_core::peer::{ConnectionId, Peer};
use voiddht_core::time::Moment;
use voiddht_identity::KeyExchangeGroup;
use voiddht_identity::network::ProvenBy;
use voiddht_wire::peer::Dialect;
use voiddht_wire::{NodeId, PeerAddress, RpcId};

use super::awaited::Awaited;
use super::slots::Occupied;
use crate::event::{Opened, Proved};

/// How long an inbound connection is left alone after its last use, when room is needed. Long
/// enough for the dialling peer to send its request: a round trip or two on any path.
pub(super) const INBOUND_REST: Duration = Duration::from_secs(5);
/// How long a connection that was replaced stays after its last use: requests of the other side
/// may still be on their way.
pub(super) const DRAINED_AFTER: Duration = Duration::from_secs(2);
/// As [`DRAINED_AFTER`], for the side that did not dial it, in case the dialler forgets.
pub(super) const DRAINED_BY_ACCEPTOR_AFTER: Duration = Duration::from_secs(20);

#[derive(Debug)]
pub(super) struct Connection {
    pub(super) proved: Option<Proved>,
    pub(super) remote: PeerAddress,
    /// Whether this node dialled it, at that address.
    pub(super) is_dialed: bool,
    pub(super) dialect: Dialect,
    pub(super) group: Option<KeyExchangeGroup>,
    /// `None` in a public network: a node has many connections, and their memory adds up.
    pub(super) membership: Option<Box<Membership>>,
    pub(super) awaited: Awaited,
    /// Requests of the other side that this node has not answered.
    pub(super) unanswered: usize,
    pub(super) opened: Moment,
    pub(super) last_used: Moment,
    /// Whether a message has arrived on it.
    pub(super) used: bool,
    /// Whether the core was notified of it. A connection that this node dialled is announced with
    /// its first message: until then the other side may refuse this node's certificate.
    pub(super) announced: bool,
    /// Whether another one serves new requests.
    pub(super) draining: bool,
    /// Whether it is being closed.
    pub(super) closing: bool,
    /// Whether the request that is unanswered is one that gets no answer: a STORE of the legacy
    /// dialect, in which there is one request at a time.
    pub(super) mute: bool,
}

/// What a connection of a private network was authenticated by, and what follows from that.
#[derive(Debug)]
pub(super) struct Membership {
    pub(super) proven_by: ProvenBy,
    /// When it is to be dialled anew, because it was authenticated by a secret that is not the first.
    pub(super) renew_at: Option<Moment>,
    /// When it ends at the latest, because it was authenticated by a secret that was removed. Nothing
    /// new is asked on it.
    pub(super) ends_at: Option<Moment>,
}

impl Occupied {
    pub(super) fn add(&mut self, connection: &Connection) {
        connection.slot_of(self, |count| *count += 1);
    }

    pub(super) fn remove(&mut self, connection: &Connection) {
        connection.slot_of(self, |count| *count = count.saturating_sub(1));
    }
}

/// The connections with one peer.
#[derive(Debug)]
pub(super) struct PeerConnections {
    /// Serves new requests.
    pub(super) current: ConnectionId,
    /// Being drained; the latest last.
    pub(super) replaced: Vec<ConnectionId>,
    /// Whether any of them was announced.
    pub(super) announced: bool,
}

impl Connection {
    pub(super) fn new(opened: Opened, now: Moment) -> Self {
        Self {
            proved: opened.proved,
            remote: opened.dialed.unwrap_or(opened.remote),
            is_dialed: opened.dialed.is_some(),
            dialect: opened.dialect,
            group: opened.group,
            membership: opened
                .proven_by
                .map(|proven_by| Box::new(Membership { proven_by, renew_at: None, ends_at: None })),
            awaited: Awaited::default(),
            unanswered: 0,
            opened: now,
            last_used: now,
            used: false,
            announced: false,
            draining: false,
            closing: false,
            mute: false,
        }
    }

    /// Where this node dialled it, if it did.
    pub(super) fn dialed(&self) -> Option<PeerAddress> {
        self.is_dialed.then_some(self.remote)
    }

    /// The secrets by which both sides proved their membership of a private network.
    pub(super) fn proven_by(&self) -> Option<ProvenBy> {
        self.membership.as_ref().map(|membership| membership.proven_by)
    }

    pub(super) fn renew_at(&self) -> Option<Moment> {
        self.membership.as_ref()?.renew_at
    }

    pub(super) fn ends_at(&self) -> Option<Moment> {
        self.membership.as_ref()?.ends_at
    }

    /// Notes requests that were sent on it before it was opened.
    pub(super) fn awaits(&mut self, now: Moment, sent: Vec<RpcId>) {
        for rpc_id in sent {
            self.awaited.insert(now, rpc_id);
        }
    }

    /// Whether one request at a time is all it carries, and none of it comes back to the pool.
    pub(super) fn is_legacy(&self) -> bool {
        self.dialect == Dialect::Legacy
    }

    /// The sender of a message: authenticated, or as claimed.
    pub(super) fn peer(&self, sender: NodeId) -> Peer {
        match self.proved {
            Some(proved) => Peer::danger_assume_proved(proved.id, self.remote),
            None => Peer::claimed(sender, self.remote),
        }
    }

    /// Adds it to, or takes it out of, the slots of its kind.
    fn slot_of(&self, occupied: &mut Occupied, change: impl Fn(&mut usize)) {
        match self.is_dialed {
            true => change(&mut occupied.outbound),
            false => change(&mut occupied.inbound),
        }
        if !self.is_dialed && self.proved.is_none() {
            change(&mut occupied.unauthenticated);
        }
    }

    /// Whether neither side awaits an answer.
    pub(super) fn is_idle(&self) -> bool {
        self.awaited.is_empty() && self.unanswered == 0
    }

    pub(super) fn is_drained(&self, now: Moment) -> bool {
        let rest = match self.is_dialed {
            true => DRAINED_AFTER,
            false => DRAINED_BY_ACCEPTOR_AFTER,
        };
        self.draining && self.is_idle() && now.since(self.last_used) >= rest
    }

    /// Whether its peer has used it, and neither side awaits an answer: what it was opened for is
    /// done.
    pub(super) fn is_spare(&self) -> bool {
        self.used && self.is_idle() && !self.closing
    }

    /// Whether it may go when another one needs its place.
    pub(super) fn is_evictable(&self, now: Moment) -> bool {
        let rested = self.is_dialed || now.since(self.last_used) >= INBOUND_REST;
        rested && !self.closing && self.is_idle()
    }
}
