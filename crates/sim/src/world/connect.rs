//! Connections: dialled when a request needs one, used by both sides, closed to make room,
//! broken by death.

use std::time::Duration;

use voiddht_core::event::{Destination, Input, Undelivered};
use voiddht_wire::NodeId;
use voiddht_wire::peer::Message;

use super::World;
use super::carry::Event;
use crate::host::{HostId, State, connection_id};
use crate::links::{Link, LinkState};

impl World {
    /// Dials the host at an address, for a first request.
    pub(super) fn dial(
        &mut self,
        from: HostId,
        there: Option<HostId>,
        to: Destination,
        message: Message,
    ) {
        let rpc_id = message.header.rpc_id;
        let run = self.hosts[from.index()].run;
        let undelivered = |why| Event::Undelivered { at: from, run, rpc_id, why };
        if !self.make_room(from) {
            return self.queue.push(self.now, undelivered(Undelivered::LocalLimit));
        }
        let answered = there.is_some_and(|peer| self.answers_dials(from, peer));
        let traffic = &mut self.hosts[from.index()].traffic;
        if answered {
            traffic.dialled()
        } else {
            traffic.unanswered()
        }
        match there {
            // There may be a connection with the host there, or a dial in progress, while
            // another node is wanted: it is found out without a second one.
            Some(peer) if peer != from && self.hosts[from.index()].link(peer).is_none() => {
                let serial = self.new_serial();
                let link = Link {
                    peer,
                    serial,
                    state: LinkState::Dialling { waiting: vec![message] },
                    dialled: true,
                    agreed: false,
                    used: self.now,
                    arrives: self.now,
                    awaited: Vec::new(),
                };
                self.hosts[from.index()].links.put(link);
                let after = if self.answers_dials(from, peer) {
                    self.network.config.handshake_round_trips * self.network.round_trip(from, peer)
                } else {
                    self.time_to_fail(from, there).0
                };
                let event = Event::Dialled { from, to: peer, serial, wanted: to };
                self.queue.push(self.now + after, event);
            }
            Some(peer) if peer != from => {
                let after = 2 * self.network.round_trip(from, peer);
                self.queue.push(self.now + after, undelivered(Undelivered::WrongIdentity));
            }
            _ => {
                self.tally.failed_dials += 1;
                let (after, why) = self.time_to_fail(from, None);
                self.queue.push(self.now + after, undelivered(why));
            }
        }
    }

    /// The handshake is done, or has failed.
    pub(super) fn finish_dial(
        &mut self,
        from: HostId,
        to: HostId,
        serial: u64,
        wanted: Destination,
    ) {
        if self.hosts[from.index()].same_link(to, serial).is_none() {
            // The other side's own dial was quicker, or this host has died.
            return;
        }
        let crossing = self.hosts[to.index()].link(from);
        if crossing.is_some_and(|link| link.is_live() && link.dialled && !link.agreed) {
            // Both dialled at once, and the other side was quicker: its connection is on its way
            // here, and will carry what waits. If its dialler dies first, this dial goes on.
            let event = Event::Dialled { from, to, serial, wanted };
            return self.queue.push(self.soon(to, from), event);
        }
        let there = self.hosts[to.index()].info;
        let refused = if !self.answers_dials(from, to) {
            Some(self.time_to_fail(from, Some(to)).1)
        } else if wanted.id.is_some_and(|id| id != there.id) {
            Some(Undelivered::WrongIdentity)
        } else if !self.is_one_network(from, to) {
            Some(Undelivered::OtherNetwork)
        } else if !self.make_room(to) {
            Some(Undelivered::ConnectionLost)
        } else {
            None
        };
        if let Some(why) = refused {
            self.tally.failed_dials += 1;
            return self.lose(from, to, why);
        }
        let arrives = self.soon(from, to);
        let Some(link) = self.hosts[from.index()].same_link(to, serial) else { return };
        let LinkState::Dialling { waiting } = std::mem::replace(&mut link.state, LinkState::Live)
        else {
            return;
        };
        link.arrives = arrives;
        self.tally.opened += 1;
        self.queue.push(arrives, Event::Accepted { at: to, from, serial });
        for message in waiting {
            self.send(from, to, message);
        }
        let peer = self.hosts[to.index()].as_peer(false, serial);
        let dialed = Some(there.address);
        self.feed(from, Input::Connected { connection: connection_id(serial, to), peer, dialed });
    }

    /// The dialled side knows its dialler.
    pub(super) fn accept(&mut self, at: HostId, from: HostId, serial: u64) {
        let Some(link) = self.hosts[from.index()].same_link(at, serial) else { return };
        link.agreed = true;
        if self.hosts[at.index()].state != State::Up || !self.is_one_network(at, from) {
            return self.tell_of_death(at, from, serial);
        }
        self.hosts[at.index()].traffic.accepted();
        let link = Link {
            peer: from,
            serial,
            state: LinkState::Live,
            dialled: false,
            agreed: true,
            used: self.now,
            arrives: self.now,
            awaited: Vec::new(),
        };
        if let Some(old) = self.hosts[at.index()].links.put(link) {
            self.take_over(at, from, old);
        }
        let peer = self.hosts[from.index()].as_peer(true, serial);
        let connection = connection_id(serial, from);
        self.feed(at, Input::Connected { connection, peer, dialed: None });
        self.call(at, from);
    }

    /// An older connection with the same peer ends in favour of a new one: what waited for its
    /// handshake goes out on the new one, what it awaited is lost.
    fn take_over(&mut self, at: HostId, peer: HostId, old: Link) {
        let run = self.hosts[at.index()].run;
        for rpc_id in old.awaited {
            let why = Undelivered::ConnectionLost;
            self.queue.push(self.now, Event::Undelivered { at, run, rpc_id, why });
        }
        if let LinkState::Dialling { waiting } = old.state {
            for message in waiting {
                self.send(at, peer, message);
            }
        }
    }

    /// A connection ends, as `at` sees it.
    pub(super) fn close_end(&mut self, at: HostId, peer: HostId, serial: u64, clean: bool) {
        if self.hosts[at.index()].same_link(peer, serial).is_none() {
            return;
        }
        if !clean {
            self.tally.broken += 1;
        }
        self.lose(at, peer, Undelivered::ConnectionLost);
        let peer = self.hosts[peer.index()].info.id;
        self.feed(at, Input::Disconnected { peer, clean });
    }

    pub(super) fn tell_gone(&mut self, at: HostId, run: u32, peer: HostId, clean: bool) {
        // A new connection may have come up meanwhile: then this was not the last one.
        if self.hosts[at.index()].link(peer).is_none_or(|link| !link.is_live()) {
            let peer = self.hosts[peer.index()].info.id;
            self.feed_run(at, run, Input::Disconnected { peer, clean });
        }
    }

    /// Closes the connection with a peer in good order, after what is in progress has arrived.
    pub(super) fn hang_up(&mut self, at: HostId, peer: &NodeId) {
        if let Some(peer) = self.by_id.get(peer).copied() {
            self.close(at, peer);
        }
    }

    pub(super) fn close(&mut self, at: HostId, peer: HostId) {
        let Some(link) = self.hosts[at.index()].link(peer) else { return };
        let (serial, arrives, live) = (link.serial, link.arrives, link.is_live());
        self.lose(at, peer, Undelivered::ConnectionLost);
        let run = self.hosts[at.index()].run;
        self.queue.push(self.now, Event::Gone { at, run, peer, clean: true });
        if live && !self.is_cut_off(at, peer) {
            let arrives = arrives.max(self.soon(at, peer));
            let event = Event::Closed { at: peer, peer: at, serial, clean: true };
            self.queue.push(arrives, event);
        }
    }

    /// Whether there is a place for one more connection, or can be one.
    fn make_room(&mut self, at: HostId) -> bool {
        if self.hosts[at.index()].links.len() < self.network.config.connections {
            return true;
        }
        let Some(idle) = self.hosts[at.index()].idle_peer() else { return false };
        self.tally.evicted += 1;
        self.close(at, idle);
        true
    }

    /// Forgets one end of a connection; what was awaited on it, or waited for it, fails.
    pub(super) fn lose(&mut self, at: HostId, peer: HostId, why: Undelivered) {
        let Some(mut link) = self.hosts[at.index()].links.remove(peer) else { return };
        let probed = link.touch(self.now, self.network.config.keepalive);
        self.hosts[at.index()].traffic.kept_alive(probed);
        let run = self.hosts[at.index()].run;
        let waiting = match link.state {
            LinkState::Dialling { waiting } => waiting,
            LinkState::Live | LinkState::Silent => Vec::new(),
        };
        let waiting = waiting.into_iter().map(|message| message.header.rpc_id);
        for rpc_id in link.awaited.into_iter().chain(waiting) {
            self.queue.push(self.now, Event::Undelivered { at, run, rpc_id, why });
        }
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
                there.state == State::Silent || there.no_inbound || self.is_cut_off(from, to)
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

    /// Whether a partition lies between two hosts.
    pub(super) fn is_cut_off(&self, a: HostId, b: HostId) -> bool {
        self.split && self.hosts[a.index()].side != self.hosts[b.index()].side
    }
}
