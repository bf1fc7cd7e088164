//! Which of several connections serves: between two with one peer, and between all when there is
//! no room for another.

use std::time::Duration;

use voiddht_core::peer::ConnectionId;
use voiddht_core::time::Moment;
use voiddht_wire::NodeId;
use voiddht_wire::peer::Dialect;

use super::slots::{CONNECTIONS_PER_PEER, Held, Occupied, Slots, Wanted};
use super::{Connection, Input, Opened, PeerConnections, Pool};
use crate::event::{Limit, Output};

/// How far apart two connections can be that crossed each other: the longest that a handshake
/// may take, with something to spare for its messages' way.
const CROSSING_WINDOW: Duration = Duration::from_secs(10);

impl Pool {
    /// Adds a connection to those of its peer, and settles which one serves new requests.
    pub(super) fn add_to_peer(&mut self, id: ConnectionId, peer: NodeId, now: Moment) {
        let Some(entry) = self.peers.get_mut(&peer) else {
            let alone = PeerConnections { current: id, replaced: Vec::new(), announced: false };
            self.peers.insert(peer, alone);
            return;
        };
        let (old, new) = (&self.connections[&entry.current], &self.connections[&id]);
        let replaced = if new_one_serves(old, new, self.me < peer, now) {
            std::mem::replace(&mut entry.current, id)
        } else {
            id
        };
        entry.replaced.push(replaced);
        let surplus = entry.replaced.len().saturating_sub(CONNECTIONS_PER_PEER - 1);
        let surplus: Vec<ConnectionId> = entry.replaced.iter().take(surplus).copied().collect();
        if let Some(connection) = self.connections.get_mut(&replaced) {
            connection.draining = true;
            self.draining += 1;
        }
        for connection in surplus {
            self.limit_reached(Limit::ConnectionsPerPeer);
            self.drop_at_once(connection);
        }
    }

    /// Ends a connection now. What its peer has not read is not written.
    pub(super) fn drop_at_once(&mut self, id: ConnectionId) {
        if self.connections.contains_key(&id) {
            self.effects.output(Output::Drop { connection: id });
            self.retire(id, true);
            self.forget(id);
        }
    }

    /// Takes a connection out of those of its peer.
    pub(super) fn remove_from_peer(&mut self, id: ConnectionId, peer: NodeId, clean: bool) {
        let Some(entry) = self.peers.get_mut(&peer) else { return };
        if entry.current != id {
            entry.replaced.retain(|replaced| *replaced != id);
            return;
        }
        if let Some(heir) = entry.replaced.pop() {
            entry.current = heir;
            if let Some(connection) = self.connections.get_mut(&heir) {
                connection.draining = false;
                self.draining -= 1;
            }
            return;
        }
        let announced = entry.announced;
        self.peers.remove(&peer);
        if announced {
            self.effects.input(Input::Disconnected { peer, clean });
        }
    }

    /// A peer that is being dialled has dialled this node: what waits goes out at once. Both ends
    /// will keep the connection that the lower ID dialled, so the other dial is not needed.
    pub(super) fn serve_dial_by_inbound(&mut self, now: Moment, peer: NodeId) {
        let dials: Vec<ConnectionId> = self.dials_to(&peer).collect();
        for id in dials {
            let Some(dial) = self.dials.get_mut(&id) else { continue };
            let waiting = std::mem::take(&mut dial.waiting);
            // One that has sent requests comes to its end: they may be answered there.
            let is_unused = !dial.has_sent();
            for message in waiting {
                self.send_waiting(now, peer, message);
            }
            if peer < self.me && is_unused {
                self.cancel_dial(id);
            }
        }
    }

    /// Gives a connection's slot up.
    pub(super) fn forget(&mut self, connection: ConnectionId) {
        if let Some(entry) = self.connections.remove(&connection) {
            self.connected.remove(&entry);
            self.renewals.forget(entry.renew_at(), connection);
        }
    }

    /// Whether a connection that a peer opened has a slot; `Err`: the limit that it is over.
    pub(super) fn admit_inbound(&mut self, now: Moment, opened: &Opened) -> Result<(), Limit> {
        let authenticated = opened.proved.is_some();
        if !authenticated && !self.slots().admits_unauthenticated(self.connected) {
            return Err(Limit::UnauthenticatedConnections);
        }
        if opened.dialect == Dialect::Legacy
            && let Some(proved) = opened.proved
            && self.legacy_inbound(&proved.id) >= CONNECTIONS_PER_PEER
        {
            return Err(Limit::ConnectionsPerPeer);
        }
        let wanted = match authenticated {
            true => Wanted::Authenticated(opened.remote),
            false => Wanted::Inbound(opened.remote),
        };
        let has_room = self.make_room(now, wanted);
        if has_room { Ok(()) } else { Err(Limit::Connections) }
    }

    fn slots(&self) -> Slots {
        Slots { limit: self.limits.connections }
    }

    fn occupied(&self) -> Occupied {
        let dials = self.dials.len();
        Occupied { outbound: self.connected.outbound + dials, ..self.connected }
    }

    /// Whether there is a slot, or one could be freed.
    pub(super) fn make_room(&mut self, now: Moment, wanted: Wanted) -> bool {
        self.slots().has_room(self.occupied(), wanted) || self.evict(now, wanted)
    }

    /// Closes the connection that gives its slot up. The slot counts as free from now on, though
    /// the socket will need a moment more.
    pub(super) fn evict(&mut self, now: Moment, wanted: Wanted) -> bool {
        for connection in self.connections.values_mut() {
            connection.awaited.forget_old(now);
        }
        let held = self.connections.iter().filter(|(_, connection)| !connection.closing);
        let held = held.map(|(id, connection)| Held {
            id: *id,
            remote: connection.remote,
            inbound: !connection.is_dialed,
            is_idle: connection.is_evictable(now),
            is_spare: connection.is_spare(),
            last_used: connection.last_used,
        });
        let Some(id) = self.slots().victim(self.occupied(), wanted, held) else { return false };
        self.close(id);
        self.forget(id);
        true
    }
}

/// Whether a new connection replaces the one that is there.
///
/// Two that crossed each other: both ends keep the one that the node with the lower ID dialled.
/// Otherwise the new one: a peer that dials although there is a connection has lost it, and this
/// end has not noticed yet.
fn new_one_serves(old: &Connection, new: &Connection, lower: bool, now: Moment) -> bool {
    let (old_is_mine, new_is_mine) = (old.is_dialed, new.is_dialed);
    let crossed = old_is_mine != new_is_mine && now.since(old.opened) < CROSSING_WINDOW;
    !crossed || new_is_mine == lower
}
