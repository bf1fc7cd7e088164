//! Peers of the original network: one request per connection, and STOREs without an answer.
//!
//! Such a connection does not represent its peer: it carries the one request for which it was
//! dialled, and is closed with the answer. Requests to one peer are dialled concurrently, up to a
//! bound; beyond it they are queued, each until an earlier dial is finished.

use voiddht_core::event::{Destination, Input, Undelivered};
use voiddht_core::peer::{ConnectionId, Peer};
use voiddht_core::time::Moment;
use voiddht_wire::NodeId;
use voiddht_wire::peer::{Body, Message};

use super::Pool;
use super::dial::Dial;
use super::legacy_peers::fits;
use crate::event::{Limit, Output};

/// Dials in progress to one such peer. A guess: as many as a GET and a PUT at once make, and few
/// enough for a peer that starts a thread for each.
const DIALS_AT_ONCE: usize = 8;
impl Pool {
    /// The dial that takes one more request, once there are as many as may be.
    pub(super) fn legacy_dial_to(&mut self, peer: &NodeId) -> Option<(ConnectionId, &mut Dial)> {
        if self.dials_to(peer).count() < DIALS_AT_ONCE {
            return None;
        }
        let to_peer = self.dials.iter_mut().filter(|(_, dial)| dial.to.id == Some(*peer));
        to_peer.map(|(id, dial)| (*id, dial)).min_by_key(|(_, dial)| dial.waiting.len())
    }

    /// A connection with such a peer is ready: what waited first goes out on it, and each of the
    /// others is dialled for.
    pub(super) fn opened_legacy(&mut self, now: Moment, id: ConnectionId, waiting: Vec<Message>) {
        let Some(connection) = self.connections.get(&id) else { return };
        let (Some(proved), Some(address)) = (connection.proved, connection.dialed()) else {
            return;
        };
        if self.legacy.remember(proved.id) {
            self.limit_reached(Limit::LegacyPeers);
        }
        let mut waiting = waiting.into_iter();
        if !waiting.by_ref().any(|message| self.send_only(now, id, message)) {
            self.close(id);
        }
        let to = Destination { address, id: Some(proved.id) };
        for message in waiting {
            self.request(now, to, message);
        }
    }

    /// Sends the one request of a connection; `false` if it cannot be, of which the core is
    /// notified.
    fn send_only(&mut self, now: Moment, id: ConnectionId, message: Message) -> bool {
        let rpc_id = message.header.rpc_id;
        let is_store = matches!(message.body, Body::Store(_));
        let sent = match fits(&message.body) {
            true => self.send_request(now, id, message),
            false => Err(Undelivered::DoesNotFit),
        };
        if let Err(why) = sent {
            self.effects.input(Input::Undelivered { rpc_id, why });
            return false;
        }
        if is_store {
            // There is nothing to wait for: it ends when the record has been written.
            self.effects.output(Output::Close { connection: id });
        }
        true
    }

    /// A message came on such a connection.
    pub(super) fn received_legacy(&mut self, id: ConnectionId, message: &Message) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if message.body.is_request() {
            connection.mute = matches!(message.body, Body::Store(_));
        } else if connection.awaited.is_empty() {
            self.close(id);
        }
    }

    /// What was to be written has been written, and this node has closed the connection: a STORE
    /// that was on its way was handed over. No more than that is ever known of it.
    pub(super) fn delivered(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if !connection.is_legacy() || connection.closing {
            return;
        }
        for rpc_id in connection.awaited.take_all() {
            self.effects.input(Input::Delivered { rpc_id });
        }
    }

    /// Reports to the core that such a peer has answered where it was dialled. What such a peer
    /// dials is for one request of its own, and none of this node's can go that way.
    pub(super) fn announce_legacy(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get(&id) else { return };
        let (Some(proved), Some(dialed)) = (connection.proved, connection.dialed()) else { return };
        *self.legacy.announced.entry(proved.id).or_default() += 1;
        self.effects.input(Input::Connected {
            connection: id,
            peer: Peer::danger_assume_proved(proved.id, connection.remote),
            dialed: Some(dialed),
        });
    }

    /// Such a connection is used no more. Its end says nothing of the peer: what was awaited on it
    /// has been told already.
    pub(super) fn retire_legacy(&mut self, peer: NodeId, announced: bool) {
        if !announced {
            return;
        }
        let Some(others) = self.legacy.announced.get_mut(&peer) else { return };
        *others -= 1;
        if *others > 0 {
            return;
        }
        self.legacy.announced.remove(&peer);
        if !self.peers.get(&peer).is_some_and(|it| it.announced) {
            self.effects.input(Input::Disconnected { peer, clean: true });
        }
    }

    /// How many of them a peer has opened.
    pub(super) fn legacy_inbound(&self, peer: &NodeId) -> usize {
        let ids = self.legacy_connections(peer);
        let inbound = |id: &&ConnectionId| {
            self.connections.get(*id).is_some_and(|connection| !connection.is_dialed)
        };
        ids.iter().filter(inbound).count()
    }

    /// The connections with a peer that are of this kind.
    pub(super) fn legacy_connections(&self, peer: &NodeId) -> Vec<ConnectionId> {
        let of_peer = self.connections.iter().filter(|(_, connection)| {
            connection.is_legacy() && connection.proved.is_some_and(|proved| proved.id == *peer)
        });
        of_peer.map(|(id, _)| *id).collect()
    }
}

#[cfg(test)]
mod tests;
