//! Executes the outputs of nodes, and feeds back the results.

use std::time::Duration;

use rand::RngExt;
use voiddht_core::Node;
use voiddht_core::configured::ResolveError;
use voiddht_core::event::{Destination, Input, Output, Ticket, Undelivered, Write};
use voiddht_core::peer::ConnectionId;
use voiddht_core::time::Moment;
use voiddht_wire::RpcId;
use voiddht_wire::peer::{Message, NodeInfo};

use super::{Ended, World};
use crate::checker::Site;
use crate::host::{HostId, State, connection_parts};
use crate::links::LinkState;

/// Something that happens at a moment.
#[derive(Debug)]
pub(super) enum Event {
    /// A node wanted to be woken.
    Wake { host: HostId },
    /// A message reaches the other end of its connection.
    Arrival { to: HostId, from: HostId, serial: u64, message: Message },
    /// A handshake has come to its end.
    Dialled { from: HostId, to: HostId, serial: u64, wanted: Destination },
    /// The dialler's first bytes reach the other side: it knows the dialler.
    Accepted { at: HostId, from: HostId, serial: u64 },
    /// A connection ends, as one side sees it.
    Closed { at: HostId, peer: HostId, serial: u64, clean: bool },
    /// A connection breaks on which nothing comes any more, unless it was healed meanwhile.
    Broken { at: HostId, peer: HostId, serial: u64 },
    /// The node hears of the end of what it had closed, or of what was closed to make room.
    Gone { at: HostId, run: u32, peer: HostId, clean: bool },
    /// A request failed.
    Undelivered { at: HostId, run: u32, rpc_id: RpcId, why: Undelivered },
    /// A probe's end.
    Probed { at: HostId, run: u32, contact: NodeInfo, listening: bool },
    /// A disk has done, or not done, its work.
    Persisted { at: HostId, run: u32, ticket: Ticket, writes: Vec<Write>, durable: bool },
    /// An adversary's own time has come.
    Mischief { at: HostId, run: u32 },
    /// Something is said after a while.
    Said { at: HostId, run: u32, output: Box<Output> },
}

impl World {
    pub(super) fn happen(&mut self, event: Event) {
        match event {
            Event::Wake { host } => self.wake(host),
            Event::Arrival { to, from, serial, message } => self.arrive(to, from, serial, message),
            Event::Dialled { from, to, serial, wanted } => {
                self.note(from, 2);
                self.finish_dial(from, to, serial, wanted);
            }
            Event::Accepted { at, from, serial } => {
                self.note(at, 3);
                self.accept(at, from, serial);
            }
            Event::Closed { at, peer, serial, clean } => {
                self.note(at, 4);
                self.close_end(at, peer, serial, clean);
            }
            Event::Broken { at, peer, serial } => {
                let link = self.hosts[at.index()].same_link(peer, serial);
                if link.is_some_and(|link| matches!(link.state, LinkState::Silent)) {
                    self.note(at, 4);
                    self.close_end(at, peer, serial, false);
                }
            }
            Event::Gone { at, run, peer, clean } => self.tell_gone(at, run, peer, clean),
            Event::Undelivered { at, run, rpc_id, why } => {
                self.note(at, 5);
                self.trace.rpc_id(&rpc_id);
                self.feed_run(at, run, Input::Undelivered { rpc_id, why });
            }
            Event::Probed { at, run, contact, listening } => {
                self.note(at, 6 + u8::from(listening));
                if listening && let Some(there) = self.by_address.get(&contact.address).copied() {
                    self.call(there, at);
                }
                self.feed_run(at, run, Input::Probed { contact, listening });
            }
            Event::Persisted { at, run, ticket, writes, durable } => {
                self.note(at, 8);
                self.commit(at, run, ticket, writes, durable);
            }
            Event::Mischief { at, run } => self.make_mischief(at, run),
            Event::Said { at, run, output } => {
                let host = &mut self.hosts[at.index()];
                if host.run == run
                    && let Some(mut node) = host.node.take()
                {
                    let site = self.site(at);
                    self.carry(&site, &mut node, *output);
                    self.drain(&site, &mut node);
                    self.plan_wakeup(at, &node);
                    self.hosts[at.index()].node = Some(node);
                }
            }
        }
    }

    /// Executes one thing that a node asked for.
    pub(super) fn carry(&mut self, site: &Site, node: &mut Node, output: Output) {
        let host = site.host;
        match output {
            Output::Request { to, message } => self.request(host, to, message),
            Output::Reply { connection, message } => self.reply(host, connection, message),
            Output::Probe { contact } => self.probe(host, contact),
            Output::HangUp { peer } => self.hang_up(host, &peer),
            // Simulated networks have addresses only: no scenario configures a name.
            Output::Resolve { name } => {
                let found = Err(ResolveError::NoAddress);
                node.handle_input(site.now, Input::Resolved { name, found });
            }
            Output::Persist { ticket, writes } => {
                if !self.persist(host, ticket, writes) {
                    node.handle_input(site.now, Input::Persisted { ticket, durable: true });
                }
            }
            Output::Answer { id, outcome } => self.ended.push_back(Ended { host, id, outcome }),
            Output::Notice(notice) => {
                if self.hosts[host.index()].is_honest() {
                    self.tally.notice(&notice);
                }
            }
        }
    }

    /// Puts the node's next wake-up into the queue, if an earlier one is not there already.
    pub(super) fn plan_wakeup(&mut self, host: HostId, node: &Node) {
        let Some(at) = node.next_wakeup() else { return };
        let at = at + self.hosts[host.index()].suspended;
        let place = &mut self.hosts[host.index()].wakes_at;
        if place.is_none_or(|planned| at < planned) {
            *place = Some(at);
            self.queue.push(at.max(self.now), Event::Wake { host });
        }
    }

    /// Lets a node hear something, unless it has been restarted since.
    pub(super) fn feed_run(&mut self, host: HostId, run: u32, input: Input) {
        if self.hosts[host.index()].run == run {
            self.feed(host, input);
        }
    }

    /// Says something for an adversary, after a while.
    pub(super) fn say_later(&mut self, host: HostId, pause: Duration, output: Output) {
        let run = self.hosts[host.index()].run;
        let event = Event::Said { at: host, run, output: Box::new(output) };
        self.queue.push(self.now + pause, event);
    }

    pub(super) fn make_mischief(&mut self, at: HostId, run: u32) {
        let host = &self.hosts[at.index()];
        if host.run != run || host.state != State::Up {
            return;
        }
        self.note(at, 9);
        let pause = self.with_adversary(at, |adversary, around| adversary.awake(around));
        if let Some(pause) = pause.flatten() {
            self.queue.push(self.now + pause, Event::Mischief { at, run });
        }
    }

    /// Adds something that happened to the trace.
    pub(super) fn note(&mut self, host: HostId, kind: u8) {
        self.trace.event(self.now, host, kind);
    }

    fn wake(&mut self, host: HostId) {
        let place = &mut self.hosts[host.index()];
        // One that was planned earlier has been overtaken, or is of an earlier run.
        if place.wakes_at.is_none_or(|at| at > self.now) {
            return;
        }
        place.wakes_at = None;
        let Some(node) = place.node.as_deref() else { return };
        match node.next_wakeup().map(|at| at + place.suspended) {
            Some(at) if at <= self.now => {
                self.note(host, 0);
                self.feed(host, Input::WakeUp);
            }
            Some(at) => {
                place.wakes_at = Some(at);
                self.queue.push(at, Event::Wake { host });
            }
            None => {}
        }
    }

    fn arrive(&mut self, to: HostId, from: HostId, serial: u64, message: Message) {
        self.note(to, 1);
        self.trace.message(&message);
        let (now, keepalive) = (self.now, self.network.config.keepalive);
        let Some(link) = self.hosts[to.index()].same_link(from, serial) else { return };
        let probed = link.touch(now, keepalive);
        if !message.body.is_request()
            && let Some(place) = link.awaited.iter().position(|one| *one == message.header.rpc_id)
        {
            link.awaited.swap_remove(place);
            if link.awaited.is_empty() {
                // Most connections of a large network await nothing: their memory adds up.
                link.awaited = Vec::new();
            }
        }
        let peer_dialled = !link.dialled;
        self.hosts[to.index()].traffic.kept_alive(probed);
        let peer = self.hosts[from.index()].as_peer(peer_dialled, serial);
        let connection = crate::host::connection_id(serial, from);
        self.feed(to, Input::Received { connection, peer, message });
    }

    fn request(&mut self, from: HostId, to: Destination, message: Message) {
        let there = self.by_address.get(&to.address).copied();
        // A live connection with the right node is used, wherever it was dialled.
        let known = match to.id {
            Some(id) => self.by_id.get(&id).copied(),
            None => there,
        };
        if let Some(peer) = known
            && let Some(link) = self.hosts[from.index()].link(peer)
        {
            match &mut link.state {
                LinkState::Dialling { waiting } => waiting.push(message),
                LinkState::Live | LinkState::Silent => self.send(from, peer, message),
            }
            return;
        }
        self.dial(from, there, to, message);
    }

    fn reply(&mut self, from: HostId, connection: ConnectionId, message: Message) {
        let (serial, peer) = connection_parts(connection);
        if self.hosts[from.index()].same_link(peer, serial).is_some_and(|link| link.is_live()) {
            self.send(from, peer, message);
        }
    }

    /// Sends a message over the connection that there is.
    pub(super) fn send(&mut self, from: HostId, to: HostId, message: Message) {
        self.count(from, &message);
        let delay = self.network.delay(from, to, &mut self.random);
        let (now, keepalive) = (self.now, self.network.config.keepalive);
        let cut_off = self.is_cut_off(from, to);
        let Some(link) = self.hosts[from.index()].link(to) else { return };
        if message.body.is_request() {
            link.awaited.push(message.header.rpc_id);
        }
        let probed = link.touch(now, keepalive);
        // Nothing overtakes what was sent before it on the same connection.
        link.arrives = link.arrives.max(now + delay);
        let (serial, at, live) = (link.serial, link.arrives, link.is_live());
        self.hosts[from.index()].traffic.kept_alive(probed);
        if live && !cut_off {
            self.queue.push(at, Event::Arrival { to, from, serial, message });
        } else if !cut_off && self.forgot(to, from, serial) {
            // The machine is back, and its TCP answers what it does not know with a reset.
            let at = self.now + self.network.round_trip(from, to);
            self.queue.push(at, Event::Closed { at: from, peer: to, serial, clean: false });
        }
    }

    fn forgot(&mut self, at: HostId, peer: HostId, serial: u64) -> bool {
        let host = &mut self.hosts[at.index()];
        host.state != State::Silent && host.same_link(peer, serial).is_none()
    }

    fn probe(&mut self, from: HostId, contact: NodeInfo) {
        self.tally.probes += 1;
        let run = self.hosts[from.index()].run;
        self.hosts[from.index()].traffic.probed();
        let (after, listening) = match self.by_address.get(&contact.address).copied() {
            Some(there) if self.answers_dials(from, there) => {
                // What a node of another network pushes cannot be opened.
                let is_there = self.hosts[there.index()].info.id == contact.id;
                let listening = is_there && self.is_one_network(from, there);
                // One round trip of TCP, and one until the pushed certificate is here.
                (2 * self.network.round_trip(from, there), listening)
            }
            there => (self.time_to_fail(from, there).0, false),
        };
        self.queue.push(self.now + after, Event::Probed { at: from, run, contact, listening });
    }

    /// Gives writes to the host's disk. False where it has none, and they count as done.
    fn persist(&mut self, host: HostId, ticket: Ticket, writes: Vec<Write>) -> bool {
        let Some(disk) = &self.hosts[host.index()].disk else { return false };
        let options = disk.options;
        let durable = options.failing == 0.0 || !self.random.random_bool(options.failing);
        let run = self.hosts[host.index()].run;
        let event = Event::Persisted { at: host, run, ticket, writes, durable };
        self.queue.push(self.now + options.commit, event);
        true
    }

    fn commit(&mut self, at: HostId, run: u32, ticket: Ticket, writes: Vec<Write>, durable: bool) {
        let host = &mut self.hosts[at.index()];
        if host.run != run || host.state != State::Up {
            return;
        }
        if durable && let Some(disk) = &mut host.disk {
            disk.commit(writes);
        }
        self.feed(at, Input::Persisted { ticket, durable });
    }

    fn count(&mut self, from: HostId, message: &Message) {
        self.hosts[from.index()].traffic.sent(message);
        self.tally.message(message);
    }

    /// When a message that leaves now would arrive at the earliest.
    pub(super) fn soon(&self, from: HostId, to: HostId) -> Moment {
        self.now + self.network.one_way(from, to)
    }
}
