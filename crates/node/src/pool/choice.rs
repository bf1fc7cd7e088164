//! Which of several connections serves: between two with one peer, and between all when there is
//! no room for another.

use std::time::Duration;

use voiddht_core::peer::ConnectionId;
use voiddht_core::time::Moment;
use voiddht_wire::NodeId;

use super::{Connection, Effect, Input, PeerConnections, Pool};

/// How far apart two connections can be that crossed each other: the longest that a handshake
/// may take, with something to spare for its messages' way.
const CROSSING_WINDOW: Duration = Duration::from_secs(10);

/// The share of its limit by which a pool may exceed it with inbound connections.
pub(super) const INBOUND_OVERSHOOT: usize = 4;

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
        if let Some(connection) = self.connections.get_mut(&replaced) {
            connection.draining = true;
            self.draining += 1;
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
            self.effects.push_back(Effect::Input(Input::Disconnected { peer, clean }));
        }
    }

    /// A peer that is being dialled has dialled this node: what waits goes out at once. Both ends
    /// will keep the connection that the lower ID dialled, so the other dial is not needed.
    pub(super) fn serve_dial_by_inbound(&mut self, now: Moment, peer: NodeId) {
        let dials: Vec<ConnectionId> = self.dials_to(&peer).collect();
        for id in dials {
            let Some(dial) = self.dials.get_mut(&id) else { continue };
            let waiting = std::mem::take(&mut dial.waiting);
            for message in waiting {
                self.send_waiting(now, peer, message);
            }
            if peer < self.me {
                self.cancel_dial(id);
            }
        }
    }

    /// Makes room for one more connection, if there is none.
    pub(super) fn make_room(&mut self, now: Moment) -> bool {
        self.len() < self.limits.connections || self.evict(now)
    }

    /// The same for one that a peer has opened. To refuse it now costs the peer its handshake and
    /// its request, so some are taken beyond the limit; a sweep soon brings the pool back to it.
    pub(super) fn make_room_for_inbound(&mut self, now: Moment) -> bool {
        let most = self.limits.connections + self.limits.connections / INBOUND_OVERSHOOT;
        self.len() < most || self.evict(now)
    }

    /// Closes the least recently used connection that nobody needs. Its place counts as free from
    /// now on, though its socket will need a moment more.
    pub(super) fn evict(&mut self, now: Moment) -> bool {
        for connection in self.connections.values_mut() {
            connection.awaited.forget_old(now);
        }
        let oldest = self
            .connections
            .iter()
            .filter(|(_, connection)| connection.is_evictable(now))
            .min_by_key(|(id, connection)| (connection.last_used, **id))
            .map(|(id, _)| *id);
        let Some(id) = oldest else { return false };
        self.close(id);
        self.connections.remove(&id);
        true
    }
}

/// Whether a new connection replaces the one that is there.
///
/// Two that crossed each other: both ends keep the one that the node with the lower ID dialled.
/// Otherwise the new one: who dials although there is a connection has lost it, and this end
/// has not noticed yet.
fn new_one_serves(old: &Connection, new: &Connection, lower: bool, now: Moment) -> bool {
    let (old_is_mine, new_is_mine) = (old.dialed.is_some(), new.dialed.is_some());
    let crossed = old_is_mine != new_is_mine && now.since(old.opened) < CROSSING_WINDOW;
    !crossed || new_is_mine == lower
}
