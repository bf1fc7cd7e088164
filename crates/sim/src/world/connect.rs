//! Connections: handshakes that end well or not, and ends that are closed or break.
//!
//! Which connections there are is decided by the sessions at their ends. The world knows how long a
//! handshake takes, where nothing answers, and who hears of an end when.

use std::time::Duration;

use voiddht_core::event::{Destination, Undelivered};
use voiddht_core::peer::ConnectionId;
use voiddht_session::{Ending, Input, Opened};
use voiddht_wire::peer::{Dialect, Message, NodeInfo};
use voiddht_wire::{NodeId, PeerAddress};

use super::World;
use super::event::Event;
use crate::host::{HostId, State};
use crate::pipe::{EndState, PipeId, Side};

/// Ports from which connections are dialled (RFC 6335, section 6).
const EPHEMERAL_PORTS: (u16, u32) = (49_152, 16_384);

impl World {
    /// Dials an address. The session of the dialler calls the connection `name`.
    pub(super) fn dial(&mut self, from: HostId, name: ConnectionId, to: Destination) {
        let there = self.by_address.get(&to.address).copied().filter(|there| *there != from);
        let Some(there) = there else {
            self.hosts[from.index()].traffic.unanswered();
            self.tally.failed_dials += 1;
            let (after, why) = self.time_to_fail(from, None);
            let run = self.hosts[from.index()].run;
            let event = Event::DialFailed { at: from, run, connection: name, why };
            return self.queue.push(self.now + after, event);
        };
        let answered = self.answers_dials(from, there);
        let traffic = &mut self.hosts[from.index()].traffic;
        let after = if answered {
            traffic.dialled();
            self.network.config.handshake_round_trips * self.network.round_trip(from, there)
        } else {
            traffic.unanswered();
            self.time_to_fail(from, Some(there)).0
        };
        let pipe = self.pipes.add(from, there, name, self.now);
        self.hosts[from.index()].ends.add(name, pipe);
        self.queue.push(self.now + after, Event::Dialled { pipe, wanted: to.id });
    }

    /// The session needs a dial no more.
    pub(super) fn cancel_dial(&mut self, from: HostId, name: ConnectionId) {
        if let Some((pipe, Side::Dialler)) = self.pipe_of(from, name) {
            self.end_dial(pipe);
        }
    }

    /// Forgets a dial that has not ended well.
    fn end_dial(&mut self, pipe: PipeId) {
        self.forget_end(pipe, Side::Dialler);
        self.pipes.set_gone(pipe, Side::Acceptor);
    }

    /// The handshake is done, or has failed.
    pub(super) fn finish_dial(&mut self, pipe: PipeId, wanted: Option<NodeId>) {
        let Some(dialler) = self.pipes.end(pipe, Side::Dialler) else { return };
        let (from, name) = (dialler.host, dialler.name);
        let Some(to) = self.pipes.end(pipe, Side::Acceptor).map(|end| end.host) else { return };
        self.note(from, 2);
        let there = self.hosts[to.index()].info;
        let refused = if !self.answers_dials(from, to) {
            Some(self.time_to_fail(from, Some(to)).1)
        } else if wanted.is_some_and(|id| id != there.id) {
            Some(Undelivered::WrongIdentity)
        } else if !self.is_one_network(from, to) {
            Some(Undelivered::OtherNetwork)
        } else {
            None
        };
        if let Some(why) = refused {
            self.tally.failed_dials += 1;
            self.asking.remove(&(from, to));
            self.end_dial(pipe);
            return self.feed(from, Input::DialFailed { connection: name, why });
        }
        self.tally.opened += 1;
        let arrives = self.soon(from, to);
        if let Some(end) = self.pipes.end_mut(pipe, Side::Dialler) {
            end.state = EndState::Open;
            end.used = self.now;
            end.arrives = arrives;
        }
        self.queue.push(arrives, Event::Accepted { pipe });
        // A connection that an adversary made itself is one that its session has not dialled.
        let asked = self.asking.remove(&(from, to));
        let dialed = asked.is_none().then_some(there.address);
        self.open(from, name, there.address, dialed, to);
        for message in asked.into_iter().flatten() {
            self.send(from, name, message);
        }
    }

    /// The dialled side knows its dialler.
    pub(super) fn accept(&mut self, pipe: PipeId) {
        let Some(end) = self.pipes.end(pipe, Side::Acceptor) else { return };
        if end.state != EndState::Opening {
            return;
        }
        let at = end.host;
        let Some(dialler) = self.pipes.end(pipe, Side::Dialler) else { return };
        let (from, is_cut_off) = (dialler.host, dialler.state == EndState::Silent);
        self.note(at, 3);
        if self.hosts[at.index()].state != State::Up || !self.is_one_network(at, from) {
            self.pipes.set_gone(pipe, Side::Acceptor);
            return self.tell_of_death(pipe, Side::Dialler);
        }
        let host = &mut self.hosts[at.index()];
        host.traffic.accepted();
        let name = host.name_accepted();
        host.ends.add(name, pipe);
        if let Some(end) = self.pipes.end_mut(pipe, Side::Acceptor) {
            end.state = EndState::Open;
            end.name = name;
            end.used = self.now;
            end.arrives = self.now;
        }
        if is_cut_off {
            self.fall_silent(pipe, Side::Acceptor);
        }
        let (first, count) = EPHEMERAL_PORTS;
        let port = first + (pipe.number() % count) as u16;
        let remote = self.hosts[from.index()].info.address.with_port(port);
        self.open(at, name, remote, None, from);
        self.call(at, from);
    }

    /// Tells a session that a connection with `peer` is open.
    fn open(
        &mut self,
        at: HostId,
        connection: ConnectionId,
        remote: PeerAddress,
        dialed: Option<PeerAddress>,
        peer: HostId,
    ) {
        let id = self.hosts[peer.index()].info.id;
        let opened = Opened {
            connection,
            proved: Some(self.credentials.proved(peer, id)),
            remote,
            dialed,
            dialect: Dialect::V1,
            group: None,
            proven_by: None,
        };
        self.feed(
            at,
            Input::Opened { opened: Box::new(opened), proof: self.credentials.proof(peer) },
        );
    }

    /// Sends a request of an adversary's own: on a connection with that peer if there is one, and
    /// otherwise on one that is dialled for it. Its session takes that for one that it accepted.
    pub(super) fn ask(&mut self, from: HostId, to: NodeInfo, message: Message) {
        let Some(peer) = self.by_address.get(&to.address).copied().filter(|peer| *peer != from)
        else {
            return;
        };
        if let Some(asked) = self.asking.get_mut(&(from, peer)) {
            return asked.push(message);
        }
        let between = |name: &ConnectionId| {
            self.pipe_of(from, *name).is_some_and(|(pipe, side)| {
                let other = self.pipes.end(pipe, side.other());
                let is_open = self.pipes.end(pipe, side).is_some_and(|end| end.is_open());
                is_open && other.is_some_and(|end| end.host == peer)
            })
        };
        let connection = self.hosts[from.index()].ends.iter().map(|(name, _)| name).find(between);
        if let Some(connection) = connection {
            self.send(from, connection, message);
            return;
        }
        let name = self.hosts[from.index()].name_accepted();
        self.asking.insert((from, peer), vec![message]);
        self.dial(from, name, Destination::from(to));
    }

    /// A session closes a connection in good order: what is on its way arrives. True if there was
    /// one.
    pub(super) fn close(&mut self, at: HostId, connection: ConnectionId) -> bool {
        let Some((pipe, side)) = self.pipe_of(at, connection) else { return false };
        let (Some(end), Some(other)) =
            (self.pipes.end(pipe, side), self.pipes.end(pipe, side.other()))
        else {
            return false;
        };
        if !end.is_open() {
            return false;
        }
        let (live, arrives, peer) = (end.state == EndState::Open, end.arrives, other.host);
        if live && !self.is_cut_off(at, peer) {
            let event = Event::Closed { pipe, at: side.other(), clean: true };
            self.queue.push(arrives.max(self.soon(at, peer)), event);
        }
        self.forget_end(pipe, side);
        true
    }

    /// A session closes a connection, and hears of its end.
    pub(super) fn close_and_tell(&mut self, at: HostId, connection: ConnectionId) {
        if self.close(at, connection) {
            self.tally.closed += 1;
            let run = self.hosts[at.index()].run;
            let ending = Ending { clean: true, written: true, broken: None };
            self.queue.push(self.now, Event::Ended { at, run, connection, ending });
        }
    }

    /// A connection ends, as one side sees it.
    pub(super) fn close_end(&mut self, pipe: PipeId, side: Side, clean: bool) {
        let Some(end) = self.pipes.end(pipe, side).filter(|end| end.is_open()) else { return };
        let (at, connection) = (end.host, end.name);
        self.note(at, 4);
        if !clean {
            self.tally.broken += 1;
        }
        self.forget_end(pipe, side);
        let ending = Ending { clean, written: false, broken: None };
        self.feed(at, Input::Closed { connection, ending });
    }

    /// Forgets one end of a connection.
    pub(super) fn forget_end(&mut self, pipe: PipeId, side: Side) {
        let (now, keepalive) = (self.now, self.network.config.keepalive);
        let Some(end) = self.pipes.end_mut(pipe, side) else { return };
        let (probed, at, name) = (end.touch(now, keepalive), end.host, end.name);
        let host = &mut self.hosts[at.index()];
        host.traffic.kept_alive(probed);
        host.ends.remove(name);
        self.pipes.set_gone(pipe, side);
    }

    /// The end that a host's session calls so.
    pub(super) fn pipe_of(&self, host: HostId, name: ConnectionId) -> Option<(PipeId, Side)> {
        self.pipes.find(host, &self.hosts[host.index()].ends, name)
    }

    /// One end finds out that the other is gone, now or after a while.
    pub(super) fn tell_of_death(&mut self, pipe: PipeId, survivor: Side) {
        let (Some(end), Some(dead)) =
            (self.pipes.end(pipe, survivor), self.pipes.end(pipe, survivor.other()))
        else {
            return;
        };
        let (state, at, dead) = (end.state, end.host, dead.host);
        match state {
            // A dialler finds out at the end of its handshake; who was about to accept never does.
            EndState::Opening if survivor == Side::Acceptor => self.pipes.set_gone(pipe, survivor),
            EndState::Open => {
                let silent =
                    matches!(self.hosts[dead.index()].state, State::Silent | State::Suspended);
                if silent || self.is_cut_off(dead, at) {
                    return self.fall_silent(pipe, survivor);
                }
                let event = Event::Closed { pipe, at: survivor, clean: false };
                self.queue.push(self.soon(dead, at), event);
            }
            EndState::Opening | EndState::Silent | EndState::Gone => {}
        }
    }

    /// One end hears nothing any more, and finds out after a while.
    pub(super) fn fall_silent(&mut self, pipe: PipeId, side: Side) {
        let (now, config) = (self.now, &self.network.config);
        let Some(end) = self.pipes.end_mut(pipe, side) else { return };
        let heard = end.heard(now, config.keepalive);
        end.state = EndState::Silent;
        let when = (heard + config.break_after).max(now);
        self.queue.push(when, Event::Broken { pipe, at: side });
    }

    /// Whether a dial from `from` to `to` can be answered now.
    pub(super) fn answers_dials(&self, from: HostId, to: HostId) -> bool {
        let there = &self.hosts[to.index()];
        there.state == State::Up && !there.no_inbound && !self.is_cut_off(from, to)
    }

    /// How long a dial takes to fail, and the error.
    pub(super) fn time_to_fail(&self, from: HostId, to: Option<HostId>) -> (Duration, Undelivered) {
        let silent = match to {
            // An address at which there never was a host: most of them drop what they are sent.
            None => true,
            Some(to) => {
                let there = &self.hosts[to.index()];
                let is_off = matches!(there.state, State::Silent | State::Suspended);
                is_off || there.no_inbound || self.is_cut_off(from, to)
            }
        };
        match to {
            Some(to) if !silent => (self.network.round_trip(from, to), Undelivered::Refused),
            _ => (self.network.config.dial_timeout, Undelivered::DialTimeout),
        }
    }

    /// Whether two hosts can prove their membership to each other.
    pub(super) fn is_one_network(&self, a: HostId, b: HostId) -> bool {
        self.hosts[a.index()].outsider == self.hosts[b.index()].outsider
    }
}
