//! The connections of a node: one per pair of nodes, used by both sides.
//!
//! The pool decides which connection carries a request, when to dial, and which connection is
//! closed when it is full. It holds no sockets and no queues of bytes: it asks its driver for
//! [`Output`]s. After each call [`Pool::poll_effect`] is to be drained.
//!
//! A connection counts as idle when neither side awaits an answer on it. Bytes that are still to be
//! written do not count: [`Output::Close`] writes them first.
//!
//! Invariants: a request that was accepted ends in a reply, in [`Input::Undelivered`], or in the
//! core's own timeout; [`Input::Disconnected`] follows the last connection of a peer for which
//! there was an [`Input::Connected`], and no other.

mod awaited;
mod choice;
mod dial;
mod entry;
mod legacy;
mod legacy_peers;
mod renewal;
mod secrets;
mod sending;
mod slots;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use voiddht_core::event::{Destination, Input, Undelivered};
use voiddht_core::peer::{ConnectionId, Peer};
use voiddht_core::time::Moment;
use voiddht_wire::NodeId;
use voiddht_wire::peer::{Body, Dialect, ErrorCode, Header, Message};

use self::dial::{Dial, Taken};
use self::entry::{Connection, PeerConnections};
use self::legacy_peers::LegacyPeers;
use self::secrets::Renewals;
pub use self::secrets::{Accepted, ConnectionCounts};
use self::slots::{Occupied, Wanted};
use crate::event::{Ending, Limit, Opened, Output, Proved};
use crate::names::DialNames;

/// How long a request waits for a place in a full pool. Within that time most connections answer
/// and are idle; and no request's own timeout is shorter.
const PLACE_PATIENCE: Duration = Duration::from_secs(1);
/// Requests that wait for a place, at most. With the largest value in each, 16 MiB.
const MAX_PLACELESS: usize = 256;

/// Effects for which memory is kept while there are none: few inputs have more.
const KEPT_EFFECTS: usize = 8;

/// One thing that follows from what the pool was told.
#[derive(Debug)]
pub(crate) enum Effect {
    /// The core is to be notified.
    Input(Input),
    /// The driver is to do something.
    Output(Output),
}

/// What follows, in order. Drained after each call, which adds a few for each request in flight at
/// most.
#[derive(Debug, Default)]
struct Effects(VecDeque<Effect>);

impl Effects {
    fn input(&mut self, input: Input) {
        self.0.push_back(Effect::Input(input));
    }

    fn output(&mut self, output: Output) {
        self.0.push_back(Effect::Output(output));
    }
}

/// The bounds of a pool.
#[derive(Clone, Copy, Debug)]
pub struct PoolLimits {
    /// Connections and dials together. They may exceed it for a while, by a quarter.
    pub connections: usize,
    /// Requests to one peer that await their answer, or the end of a dial.
    pub requests_per_peer: usize,
}

/// All connections of a node, and the requests that wait for one.
#[derive(Debug)]
pub(crate) struct Pool {
    me: NodeId,
    names: DialNames,
    limits: PoolLimits,
    /// Boxed: maps are half empty, and connections are large.
    connections: BTreeMap<ConnectionId, Box<Connection>>,
    /// The connections that authenticated peers may be reached by.
    peers: BTreeMap<NodeId, PeerConnections>,
    dials: BTreeMap<ConnectionId, Dial>,
    /// Connections by kind. Dials in progress are not among them.
    connected: Occupied,
    legacy: LegacyPeers,
    /// Connections that were replaced and not yet closed.
    draining: usize,
    /// Requests for which there was no place, the oldest first.
    placeless: VecDeque<Placeless>,
    /// The secrets of a private network, and what is renewed because of them.
    renewals: Renewals,
    effects: Effects,
}

/// A request that waits until a connection becomes idle and gives up its place.
#[derive(Debug)]
struct Placeless {
    to: Destination,
    message: Message,
    since: Moment,
}

impl Pool {
    /// No connections yet. `me` is this node.
    pub(crate) fn new(me: NodeId, limits: PoolLimits) -> Self {
        Self {
            me,
            names: DialNames::new(),
            limits,
            connections: BTreeMap::new(),
            peers: BTreeMap::new(),
            dials: BTreeMap::new(),
            connected: Occupied::default(),
            legacy: LegacyPeers::default(),
            draining: 0,
            placeless: VecDeque::new(),
            renewals: Renewals::default(),
            effects: Effects::default(),
        }
    }

    /// Notifies the core of something after what is being done now.
    pub(crate) fn tell(&mut self, input: Input) {
        self.effects.input(input);
    }

    /// Has the driver do something after what is being done now.
    pub(crate) fn want(&mut self, output: Output) {
        self.effects.output(output);
    }

    /// Whether something follows that was not polled.
    pub(crate) fn has_effects(&self) -> bool {
        !self.effects.0.is_empty()
    }

    /// What follows from the last call, one after the other.
    pub(crate) fn poll_effect(&mut self) -> Option<Effect> {
        let effect = self.effects.0.pop_front();
        if effect.is_none() && self.effects.0.capacity() > KEPT_EFFECTS {
            self.effects.0 = VecDeque::new();
        }
        effect
    }

    /// Connections and dials.
    pub(crate) fn len(&self) -> usize {
        self.connections.len() + self.dials.len()
    }

    /// What a live connection with this node has proved.
    pub(crate) fn proved(&self, peer: &NodeId) -> Option<Proved> {
        let peer = self.peers.get(peer)?;
        self.connections.get(&peer.current)?.proved
    }

    /// What a connection has proved, as long as it is there.
    pub(crate) fn proved_on(&self, connection: ConnectionId) -> Option<Proved> {
        self.connections.get(&connection)?.proved
    }

    /// Sends a request: on the live connection, or after the dial that is in progress, or after a
    /// new one; in a full pool, as soon as there is a place.
    pub(crate) fn request(&mut self, now: Moment, to: Destination, message: Message) {
        let rpc_id = message.header.rpc_id;
        if let Err(why) = self.place(now, to, message, now) {
            self.effects.input(Input::Undelivered { rpc_id, why });
        }
    }

    /// Sends a request on a new connection to its very address, whatever connections and dials
    /// there are.
    pub(crate) fn request_anew(&mut self, now: Moment, to: Destination, message: Message) {
        if self.make_room(now, Wanted::Dial) {
            return self.start_dial(to, message);
        }
        self.limit_reached(Limit::Connections);
        let (rpc_id, why) = (message.header.rpc_id, Undelivered::LocalLimit);
        self.effects.input(Input::Undelivered { rpc_id, why });
    }

    fn start_dial(&mut self, to: Destination, message: Message) {
        self.dial(to, Dial::new(to, message));
    }

    /// The name of another connection that this node dials.
    pub(crate) fn name_dial(&mut self) -> ConnectionId {
        self.names.next()
    }

    fn dial(&mut self, to: Destination, dial: Dial) {
        let connection = self.name_dial();
        self.dials.insert(connection, dial);
        self.effects.output(Output::Dial { connection, to });
    }

    fn place(
        &mut self,
        now: Moment,
        to: Destination,
        message: Message,
        since: Moment,
    ) -> Result<(), Undelivered> {
        let most = self.limits.requests_per_peer;
        if let Some(connection) = self.live(&to) {
            return self.send_request(now, connection, message);
        }
        if self.legacy.never_takes(&to, &message.body) {
            return Err(Undelivered::DoesNotFit);
        }
        if let Some((connection, dial)) = self.dial_to(&to) {
            return match dial.request(message, most) {
                Taken::Waits => Ok(()),
                Taken::Goes(message) => {
                    let dialect = Dialect::V1;
                    self.effects.output(Output::Send { connection, dialect, message });
                    Ok(())
                }
                Taken::TooMany => {
                    self.limit_reached(Limit::RequestsPerPeer);
                    Err(Undelivered::LocalLimit)
                }
            };
        }
        if self.make_room(now, Wanted::Dial) {
            self.start_dial(to, message);
            return Ok(());
        }
        if self.placeless.len() < MAX_PLACELESS && now.since(since) < PLACE_PATIENCE {
            self.placeless.push_back(Placeless { to, message, since });
            return Ok(());
        }
        self.limit_reached(Limit::Connections);
        Err(Undelivered::LocalLimit)
    }

    /// Something has changed: perhaps there is a slot for a queued request.
    fn place_waiting(&mut self, now: Moment) {
        for _ in 0..self.placeless.len() {
            let Some(Placeless { to, message, since }) = self.placeless.pop_front() else { return };
            let waiting = self.placeless.len();
            let rpc_id = message.header.rpc_id;
            if let Err(why) = self.place(now, to, message, since) {
                self.effects.input(Input::Undelivered { rpc_id, why });
            } else if self.placeless.len() > waiting {
                // Still no place: it stays the oldest.
                self.placeless.rotate_right(1);
                return;
            }
        }
    }

    /// Notes that a message came, and returns its sender. `None`: the connection is closing, and
    /// nothing that comes from it matters any more.
    pub(crate) fn received(
        &mut self,
        now: Moment,
        connection: ConnectionId,
        message: &Message,
    ) -> Option<Peer> {
        let entry = self.connections.get_mut(&connection).filter(|entry| !entry.closing)?;
        entry.last_used = now;
        entry.used = true;
        let answered = !message.body.is_request();
        if answered {
            entry.awaited.remove(&message.header.rpc_id);
        } else {
            entry.unanswered = entry.unanswered.saturating_add(1);
        }
        let peer = entry.peer(message.header.sender);
        let legacy = entry.is_legacy();
        if !entry.announced {
            self.announce(connection);
        }
        if legacy {
            self.received_legacy(connection, message);
        }
        if answered && !self.placeless.is_empty() {
            self.place_waiting(now);
        }
        Some(peer)
    }

    /// The reply that a legacy ERROR stands for: it names no request, but only one is in progress
    /// on its connection.
    pub(crate) fn answer_for_bare_error(
        &self,
        connection: ConnectionId,
        code: ErrorCode,
    ) -> Option<Message> {
        let entry = self.connections.get(&connection)?;
        let rpc_id = entry.awaited.only()?;
        let header = Header { sender: entry.proved?.id, port: 0, rpc_id };
        Some(Message { header, body: Body::Error(code) })
    }

    /// The peer at the other end of a connection, if authenticated.
    pub(crate) fn proved_peer(&self, connection: ConnectionId) -> Option<Peer> {
        let entry = self.connections.get(&connection)?;
        entry.proved.map(|proved| Peer::danger_assume_proved(proved.id, entry.remote))
    }

    /// A handshake has ended well.
    pub(crate) fn opened(&mut self, now: Moment, opened: Opened) {
        let id = opened.connection;
        let (waiting, sent) = match (opened.dialed, self.dials.remove(&id)) {
            (Some(_), Some(dial)) => dial.into_requests(),
            // The dial was given up meanwhile.
            (Some(_), None) => return self.turn_away(id),
            (None, _) => match self.admit_inbound(now, &opened) {
                Ok(()) => (Vec::new(), Vec::new()),
                Err(limit) => {
                    self.limit_reached(limit);
                    return self.turn_away(id);
                }
            },
        };
        let mut connection = Box::new(Connection::new(opened, now));
        connection.awaits(now, sent);
        self.connected.add(&connection);
        let inbound = !connection.is_dialed;
        let legacy = connection.is_legacy();
        let proved = connection.proved;
        self.connections.insert(id, connection);
        let Some(proved) = proved else { return };
        self.plan_renewal(now, id);
        if legacy {
            return self.opened_legacy(now, id, waiting);
        }
        self.legacy.forget(&proved.id);
        self.add_to_peer(id, proved.id, now);
        if inbound {
            self.announce(id);
            self.serve_dial_by_inbound(now, proved.id);
        }
        for message in waiting {
            self.send_waiting(now, proved.id, message);
        }
    }

    fn turn_away(&mut self, connection: ConnectionId) {
        self.effects.output(Output::TurnAway { connection });
    }

    /// A connection is not used though its handshake has ended well; `why` is what becomes of the
    /// requests that waited for it. What it has sent already finds no connection in the pool, and is
    /// not looked at.
    pub(crate) fn refuse(&mut self, now: Moment, opened: &Opened, why: Undelivered) {
        self.turn_away(opened.connection);
        if opened.dialed.is_some() {
            self.dial_failed(now, opened.connection, why);
        }
    }

    /// A dial has ended without a connection.
    pub(crate) fn dial_failed(&mut self, now: Moment, connection: ConnectionId, why: Undelivered) {
        self.end_dial(connection, why);
        self.place_waiting(now);
    }

    fn end_dial(&mut self, connection: ConnectionId, why: Undelivered) {
        for rpc_id in self.dials.remove(&connection).into_iter().flat_map(Dial::give_up) {
            self.effects.input(Input::Undelivered { rpc_id, why });
        }
    }

    /// A connection has ended.
    pub(crate) fn closed(&mut self, now: Moment, connection: ConnectionId, ending: Ending) {
        if ending.written {
            self.delivered(connection);
        }
        self.retire(connection, ending.clean);
        self.forget(connection);
        self.place_waiting(now);
    }

    /// Closes every connection with a peer, after what is queued has gone out.
    pub(crate) fn hang_up(&mut self, peer: &NodeId) {
        if let Some(connections) = self.peers.get(peer) {
            // The replaced ones first, so that none of them inherits.
            let mut all = connections.replaced.clone();
            all.push(connections.current);
            for connection in all {
                self.close(connection);
            }
        }
        for connection in self.legacy_connections(peer) {
            self.close(connection);
        }
        let dials: Vec<ConnectionId> = self.dials_to(peer).collect();
        for dial in dials {
            self.cancel_dial(dial);
        }
    }

    /// Closes one connection, after what is queued has gone out.
    pub(crate) fn close(&mut self, connection: ConnectionId) {
        if self.connections.contains_key(&connection) {
            self.effects.output(Output::Close { connection });
            self.retire(connection, true);
        }
    }

    /// Changes the bound on connections. A [`Pool::sweep`] makes it hold.
    pub(crate) fn limit_connections(&mut self, connections: usize) {
        self.limits.connections = connections;
    }

    /// Whether there is something for a sweep to do, now or soon.
    pub(crate) fn wants_sweep(&self) -> bool {
        self.draining > 0
            || !self.placeless.is_empty()
            || self.len() > self.limits.connections
            || self.renewals.has_any()
    }

    /// Closes replaced connections that have done their work, and idle ones over the limit; gives
    /// places to those that wait for one, or tells them that there is none.
    pub(crate) fn sweep(&mut self, now: Moment) {
        while self.len() > self.limits.connections && self.evict(now, Wanted::Nothing) {}
        self.place_waiting(now);
        let done: Vec<ConnectionId> = self
            .connections
            .iter()
            .filter(|(_, connection)| connection.is_drained(now))
            .map(|(id, _)| *id)
            .collect();
        for id in done {
            self.close(id);
        }
        self.renew(now);
    }

    /// The live connection for a destination.
    fn live(&self, to: &Destination) -> Option<ConnectionId> {
        match to.id {
            Some(id) => self.peers.get(&id).map(|peer| peer.current),
            // Only the address of a configured peer is known: rare, so a search will do.
            None => self
                .peers
                .values()
                .map(|peer| peer.current)
                .find(|id| self.connections[id].dialed() == Some(to.address)),
        }
    }

    /// The dial that is in progress to a destination, and has room for one more request.
    fn dial_to(&mut self, to: &Destination) -> Option<(ConnectionId, &mut Dial)> {
        if let Some(id) = to.id.filter(|id| self.legacy.is_known(id)) {
            return self.legacy_dial_to(&id);
        }
        let same = |(_, dial): &(ConnectionId, &mut Dial)| match to.id {
            Some(id) => dial.to.id == Some(id),
            None => dial.to.id.is_none() && dial.to.address == to.address,
        };
        self.dials.iter_mut().map(|(id, dial)| (*id, dial)).find(same)
    }

    fn dials_to(&self, peer: &NodeId) -> impl Iterator<Item = ConnectionId> {
        self.dials.iter().filter(|(_, dial)| dial.to.id == Some(*peer)).map(|(id, _)| *id)
    }

    fn cancel_dial(&mut self, connection: ConnectionId) {
        self.effects.output(Output::CancelDial { connection });
        self.end_dial(connection, Undelivered::ConnectionLost);
    }

    fn limit_reached(&mut self, limit: Limit) {
        self.effects.output(Output::LimitReached(limit));
    }

    /// Notifies the core of a connection.
    fn announce(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if connection.ends_at().is_some() {
            return;
        }
        connection.announced = true;
        let Some(proved) = connection.proved else { return };
        if connection.is_legacy() {
            return self.announce_legacy(id);
        }
        let Some(peer) = self.peers.get_mut(&proved.id) else { return };
        peer.announced = true;
        self.effects.input(Input::Connected {
            connection: id,
            peer: Peer::danger_assume_proved(proved.id, connection.remote),
            dialed: connection.dialed(),
        });
    }

    /// Takes a connection out of use: nothing is sent on it any more, and requests that await
    /// something on it fail.
    fn retire(&mut self, id: ConnectionId, clean: bool) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if connection.closing {
            return;
        }
        connection.closing = true;
        self.draining -= usize::from(connection.draining);
        connection.draining = false;
        let why = Undelivered::ConnectionLost;
        for rpc_id in connection.awaited.take_all() {
            self.effects.input(Input::Undelivered { rpc_id, why });
        }
        let Some(proved) = connection.proved else { return };
        if connection.is_legacy() {
            let announced = connection.announced && connection.is_dialed;
            self.retire_legacy(proved.id, announced);
        } else {
            self.remove_from_peer(id, proved.id, clean);
        }
    }
}

#[cfg(test)]
mod tests;
