//! One connection as the pool sees it, and those with one peer.

use voiddht_core::peer::{ConnectionId, Peer};
use voiddht_core::time::Moment;
use voiddht_identity::KeyExchangeGroup;
use voiddht_identity::network::ProvenBy;
use voiddht_wire::peer::Dialect;
use voiddht_wire::{NodeId, PeerAddress, RpcId};

use super::awaited::Awaited;
use super::slots::Occupied;
use super::{DRAINED_AFTER, DRAINED_BY_ACCEPTOR_AFTER, INBOUND_REST, Opened, Proved};

#[derive(Debug)]
pub(super) struct Connection {
    pub(super) proved: Option<Proved>,
    pub(super) remote: PeerAddress,
    pub(super) dialed: Option<PeerAddress>,
    pub(super) dialect: Dialect,
    pub(super) group: Option<KeyExchangeGroup>,
    pub(super) proven_by: Option<ProvenBy>,
    pub(super) awaited: Awaited,
    /// Requests of the other side that this node has not answered.
    pub(super) unanswered: usize,
    pub(super) opened: Moment,
    pub(super) last_used: Moment,
    /// Whether the core was notified of it. A connection that this node dialled is announced with
    /// its first message: until then the other side may refuse this node's certificate.
    pub(super) announced: bool,
    /// Whether another one serves new requests.
    pub(super) draining: bool,
    /// When it is to be dialled anew, because it was authenticated by a secret that is not the first.
    pub(super) renew_at: Option<Moment>,
    /// When it ends at the latest, because it was authenticated by a secret that was removed. Nothing
    /// new is asked on it.
    pub(super) ends_at: Option<Moment>,
    /// Whether it is being closed.
    pub(super) closing: bool,
    /// Whether the request that is unanswered is one that gets no answer: a STORE of the legacy
    /// dialect, in which there is one request at a time.
    pub(super) mute: bool,
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
            remote: opened.remote,
            dialed: opened.dialed,
            dialect: opened.dialect,
            group: opened.group,
            proven_by: opened.proven_by,
            awaited: Awaited::default(),
            unanswered: 0,
            opened: now,
            last_used: now,
            announced: false,
            draining: false,
            renew_at: None,
            ends_at: None,
            closing: false,
            mute: false,
        }
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
        match self.dialed {
            Some(_) => change(&mut occupied.outbound),
            None => change(&mut occupied.inbound),
        }
        if self.dialed.is_none() && self.proved.is_none() {
            change(&mut occupied.unauthenticated);
        }
    }

    /// Whether neither side awaits an answer.
    pub(super) fn is_idle(&self) -> bool {
        self.awaited.is_empty() && self.unanswered == 0
    }

    pub(super) fn is_drained(&self, now: Moment) -> bool {
        let rest = match self.dialed {
            Some(_) => DRAINED_AFTER,
            None => DRAINED_BY_ACCEPTOR_AFTER,
        };
        self.draining && self.is_idle() && now.since(self.last_used) >= rest
    }

    /// Whether it may go when another one needs its place.
    pub(super) fn is_evictable(&self, now: Moment) -> bool {
        let rested = self.dialed.is_some() || now.since(self.last_used) >= INBOUND_REST;
        rested && !self.closing && self.is_idle()
    }
}
