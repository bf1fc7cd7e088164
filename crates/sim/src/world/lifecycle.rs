//! The lifecycle of hosts: they start, stop, die, return, and are partitioned.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use voiddht_core::config::ConfigError;
use voiddht_core::event::Input;
use voiddht_core::node::CALLER_PAUSE;
use voiddht_core::peer::{ConnectionId, Peer};
use voiddht_core::{Config, Node};
use voiddht_wire::PeerAddress;
use voiddht_wire::peer::NodeInfo;

use super::World;
use super::carry::Event;
use crate::adversary::Adversary;
use crate::disk::Disk;
use crate::host::{Asleep, Host, HostId, HostOptions, MAX_HOSTS, State};
use crate::links::{LinkState, Links};
use crate::traffic::Traffic;

/// Where every host listens.
const PORT: u16 = 7402;
/// The first address: hosts have public ones, each in a /24 of its own.
const FIRST_ADDRESS: u32 = 0x0b00_0001;

/// How a host dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Death {
    /// The process is killed: its connections break at once, dials are refused.
    Killed,
    /// The machine is gone: nothing comes back.
    Silent,
}

impl World {
    /// Adds a host, and starts its node. It has no contacts yet.
    ///
    /// # Errors
    /// If the world's settings of the node contradict each other.
    ///
    /// # Panics
    /// If there are [`MAX_HOSTS`] already.
    pub fn add(&mut self, options: HostOptions) -> Result<HostId, ConfigError> {
        assert!(self.hosts.len() < MAX_HOSTS, "a connection's name has no room for more hosts");
        let host = HostId(self.hosts.len() as u32);
        let info = options
            .info
            .unwrap_or_else(|| NodeInfo { address: address(host), id: self.random_id() });
        let config = Config { client: options.client, ..self.config.node.clone() };
        let node = Node::new(info, config, self.host_random(host, 0))?;
        self.by_address.insert(info.address, host);
        self.by_id.insert(info.id, host);
        self.hosts.push(Host {
            info,
            state: State::Up,
            run: 0,
            node: Some(Box::new(node)),
            adversary: None,
            links: Links::default(),
            wakes_at: None,
            side: 0,
            no_inbound: options.no_inbound,
            outsider: false,
            called: None,
            client: options.client,
            clock_skew: options.clock_skew,
            suspended: Duration::ZERO,
            asleep: None,
            disk: options.disk.map(|options| Box::new(Disk::new(options))),
            traffic: Traffic::default(),
        });
        Ok(host)
    }

    /// Gives an adversary control of a host's node, from now on.
    pub fn corrupt(&mut self, host: HostId, adversary: Box<dyn Adversary>) {
        let place = &mut self.hosts[host.index()];
        place.outsider = adversary.is_outsider();
        place.adversary = Some(adversary);
        if place.outsider {
            self.exclude(host);
        }
        let place = &self.hosts[host.index()];
        self.cabal.join(place.info);
        let event = Event::Mischief { at: host, run: place.run };
        self.queue.push(self.now, event);
        let site = self.site(host);
        for checker in &mut self.checkers {
            checker.corrupted(&site);
        }
    }

    /// Ends the connections of a host that is no member any more.
    fn exclude(&mut self, host: HostId) {
        let peers = self.hosts[host.index()].links.iter().map(|link| link.peer);
        let is_member = |peer: &HostId| !self.hosts[peer.index()].outsider;
        let members: Vec<HostId> = peers.filter(is_member).collect();
        for member in members {
            self.close(member, host);
            self.close(host, member);
        }
    }

    /// Ends a host's node. Nothing is handed over, and no peer is notified.
    pub fn kill(&mut self, host: HostId, death: Death) {
        let place = &mut self.hosts[host.index()];
        place.node = None;
        place.wakes_at = None;
        place.run += 1;
        place.state = match death {
            Death::Killed => State::Refusing,
            Death::Silent => State::Silent,
        };
        self.note(host, 10);
        for link in std::mem::take(&mut self.hosts[host.index()].links).iter() {
            self.tell_of_death(host, link.peer, link.serial);
        }
    }

    /// Ends a node that has taken its leave: its connections are closed in good order.
    pub fn stop(&mut self, host: HostId) {
        let peers: Vec<HostId> =
            self.hosts[host.index()].links.iter().map(|link| link.peer).collect();
        for peer in peers {
            self.close(host, peer);
        }
        self.kill(host, Death::Killed);
    }

    /// Suspends a machine: nothing comes back from it until it is resumed, and its timers stand
    /// still.
    pub fn suspend(&mut self, host: HostId) {
        let place = &mut self.hosts[host.index()];
        let Some(node) = place.node.take() else { return };
        place.wakes_at = None;
        place.state = State::Suspended;
        self.note(host, 12);
        let links = std::mem::take(&mut self.hosts[host.index()].links);
        let peers = links.iter().map(|link| link.peer).collect();
        self.hosts[host.index()].asleep = Some(Asleep { since: self.now, node, peers });
        for link in links.iter() {
            self.tell_of_death(host, link.peer, link.serial);
        }
    }

    /// Resumes a suspended machine. Its connections have broken meanwhile.
    pub fn resume(&mut self, host: HostId) {
        let place = &mut self.hosts[host.index()];
        let Some(Asleep { since, node, peers }) = place.asleep.take() else { return };
        place.suspended += self.now.since(since);
        place.state = State::Up;
        place.node = Some(node);
        self.note(host, 13);
        for peer in peers {
            let peer = self.hosts[peer.index()].info.id;
            self.feed(host, Input::Disconnected { peer, clean: false });
        }
        self.feed(host, Input::WakeUp);
    }

    /// Sets a host's calendar: how far it is ahead of the true one, in milliseconds.
    pub fn set_clock(&mut self, host: HostId, clock_skew: i64) {
        self.hosts[host.index()].clock_skew = clock_skew;
    }

    /// Starts a dead host's node again, under its old identity, with what its disk has kept.
    ///
    /// # Errors
    /// As [`Self::add`].
    pub fn restart(&mut self, host: HostId) -> Result<(), ConfigError> {
        let place = &self.hosts[host.index()];
        if matches!(place.state, State::Up | State::Suspended) {
            return Ok(());
        }
        let random = self.host_random(host, place.run);
        let config = Config { client: place.client, ..self.config.node.clone() };
        let mut node = Node::new(place.info, config, random)?;
        let now = self.clocks(host);
        if let Some(disk) = &place.disk {
            node.restore(now, disk.restored(now.wall));
            node.restore_kept(now, disk.kept());
            node.restore_contacts(disk.contacts());
        }
        self.note(host, 11);
        let place = &mut self.hosts[host.index()];
        place.state = State::Up;
        place.node = Some(Box::new(node));
        let run = place.run;
        let site = self.site(host);
        for checker in &mut self.checkers {
            checker.started(&site);
        }
        let place = &self.hosts[host.index()];
        if place.adversary.is_some() {
            self.queue.push(self.now, Event::Mischief { at: host, run });
        }
        self.feed(host, Input::WakeUp);
        Ok(())
    }

    /// Cuts the network into parts: hosts reach only those for which `side` gives the same.
    /// Connections between them fall silent, and break after a while.
    pub fn split(&mut self, side: impl Fn(HostId) -> u8) {
        self.split = true;
        for index in 0..self.hosts.len() {
            self.hosts[index].side = side(HostId(index as u32));
        }
        for index in 0..self.hosts.len() {
            let host = HostId(index as u32);
            let across: Vec<(HostId, u64)> = self.hosts[index]
                .links
                .iter()
                .filter(|link| link.is_live() && self.is_cut_off(host, link.peer))
                .map(|link| (link.peer, link.serial))
                .collect();
            for (peer, serial) in across {
                self.fall_silent(host, peer, serial);
            }
        }
    }

    /// Ends the partition. Connections that have not broken yet go on, as TCP's do.
    pub fn heal(&mut self) {
        self.split = false;
        for index in 0..self.hosts.len() {
            let host = HostId(index as u32);
            let silent = self.hosts[index].links.iter().filter(|link| !link.is_live());
            let silent: Vec<_> = silent.map(|link| (link.peer, link.serial)).collect();
            for (peer, serial) in silent {
                self.resume_link(host, peer, serial);
            }
        }
    }

    /// A silent connection goes on, if its other end is there and knows it.
    fn resume_link(&mut self, at: HostId, peer: HostId, serial: u64) {
        let there = &mut self.hosts[peer.index()];
        let is_known = there.state == State::Up && there.same_link(at, serial).is_some();
        if is_known
            && let Some(link) = self.hosts[at.index()].same_link(peer, serial)
            && matches!(link.state, LinkState::Silent)
        {
            link.state = LinkState::Live;
        }
    }

    /// From now on a host can be dialled, or cannot: its router forwards the port, or does not.
    /// Connections that there are stay.
    pub fn set_inbound(&mut self, host: HostId, allowed: bool) {
        self.hosts[host.index()].no_inbound = !allowed;
    }

    /// A caller came to a host's port. Its node is notified as often as by a driver.
    pub(super) fn call(&mut self, host: HostId, from: HostId) {
        let now = self.now;
        let from = self.hosts[from.index()].info.address.ip();
        let place = &mut self.hosts[host.index()];
        if place.called.is_none_or(|at| now.since(at) >= CALLER_PAUSE) {
            place.called = Some(now);
            self.feed(host, Input::Called { from });
        }
    }

    /// Fills a node's routing table without any message: it is told that it has dialled each of
    /// these, one after the other, and that the connections were closed again.
    ///
    /// A shortcut for networks that are too large to be joined one by one. What it skips is the
    /// joining; the admission of contacts, the buckets and everything later are the shipped ones.
    pub fn seed_table(&mut self, host: HostId, contacts: &[HostId]) {
        let run = self.hosts[host.index()].run;
        for contact in contacts {
            let NodeInfo { address, id } = self.hosts[contact.index()].info;
            let peer = Peer::danger_assume_proved(id, address);
            let serial = self.new_serial();
            let connection = ConnectionId(serial);
            let dialed = Some(address);
            self.feed_run(host, run, Input::Connected { connection, peer, dialed });
            self.feed_run(host, run, Input::Disconnected { peer: id, clean: true });
        }
    }

    /// The other end of a dead host's connection finds out, now or after a while.
    pub(super) fn tell_of_death(&mut self, dead: HostId, peer: HostId, serial: u64) {
        let Some(link) = self.hosts[peer.index()].same_link(dead, serial) else { return };
        if !link.is_live() {
            return;
        }
        if matches!(self.hosts[dead.index()].state, State::Silent | State::Suspended)
            || self.is_cut_off(dead, peer)
        {
            return self.fall_silent(peer, dead, serial);
        }
        let at = self.soon(dead, peer);
        self.queue.push(at, Event::Closed { at: peer, peer: dead, serial, clean: false });
    }

    /// One end hears nothing any more, and finds out after a while.
    fn fall_silent(&mut self, at: HostId, peer: HostId, serial: u64) {
        if let Some(link) = self.hosts[at.index()].same_link(peer, serial) {
            let config = &self.network.config;
            let heard = link.heard(self.now, config.keepalive);
            link.state = LinkState::Silent;
            let when = (heard + config.break_after).max(self.now);
            self.queue.push(when, Event::Broken { at, peer, serial });
        }
    }
}

fn address(host: HostId) -> PeerAddress {
    let ip = Ipv4Addr::from(FIRST_ADDRESS + (host.0 << 8));
    PeerAddress::new(IpAddr::V4(ip), PORT)
}
