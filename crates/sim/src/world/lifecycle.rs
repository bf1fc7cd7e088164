//! The lifecycle of hosts: they start, stop, die and return.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use voiddht_core::config::ConfigError;
use voiddht_core::event::Undelivered;
use voiddht_core::node::CALLER_PAUSE;
use voiddht_core::time::Now;
use voiddht_core::{Config, Node};
use voiddht_identity::{PinLimits, Policy};
use voiddht_session::{Ending, Input, PoolLimits, Session, SessionLimits};
use voiddht_wire::PeerAddress;
use voiddht_wire::peer::NodeInfo;

use super::World;
use super::event::Event;
use crate::adversary::interceptor::Adversary;
use crate::disk::Disk;
use crate::host::{Asleep, Death, Host, HostId, HostOptions, MAX_HOSTS, State};
use crate::pipe::{EndState, Ends, PipeId, Side};
use crate::traffic::Traffic;

/// Where every host listens.
const PORT: u16 = 7402;
/// The first address: hosts have public ones, each in a /24 of its own.
const FIRST_ADDRESS: u32 = 0x0b00_0001;
/// Requests of a node to one peer that await their answer, at most: the node's default.
const REQUESTS_PER_PEER: usize = 256;
/// Probes of a node in progress, at most: likewise.
const PROBES: usize = 16;
/// The stream of a host's randomness that its core draws from.
const OF_CORE: u64 = 0;
/// The one of its takeover checks.
const OF_TRUST: u64 = 1;

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
        let core = self.core(host, info, 0, options.client)?;
        self.credentials.add(info);
        let session = self.session(host, core, 0, Now::default());
        self.by_address.insert(info.address, host);
        // One that claims the ID of another node is not that node.
        self.by_id.entry(info.id).or_insert(host);
        self.hosts.push(Host {
            info,
            state: State::Up,
            run: 0,
            session: Some(Box::new(session)),
            adversary: None,
            ends: Ends::default(),
            accepted: 0,
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

    /// Adds a host in the place of one that is lost: its node has the same ID, another key and
    /// another address.
    ///
    /// # Errors
    /// As [`Self::add`].
    pub fn reinstall(&mut self, lost: HostId) -> Result<HostId, ConfigError> {
        let Host { info, clock_skew, no_inbound, client, .. } = self.hosts[lost.index()];
        let address = address(HostId(self.hosts.len() as u32));
        let disk = self.hosts[lost.index()].disk.as_ref().map(|disk| disk.options);
        let info = Some(NodeInfo { address, ..info });
        self.add(HostOptions { info, clock_skew, disk, no_inbound, client })
    }

    /// The core of one run of a host.
    fn core(
        &self,
        host: HostId,
        info: NodeInfo,
        run: u32,
        client: bool,
    ) -> Result<Node, ConfigError> {
        let config = Config { client, ..self.config.node.clone() };
        Node::new(info, config, self.host_random(host, run, OF_CORE))
    }

    /// The session of one run of a host.
    fn session(&self, host: HostId, core: Node, run: u32, now: Now) -> Session {
        let connections = self.network.config.connections;
        let limits = SessionLimits {
            pool: PoolLimits { connections, requests_per_peer: REQUESTS_PER_PEER },
            pins: PinLimits::default(),
            probes: PROBES,
        };
        let random = self.host_random(host, run, OF_TRUST);
        Session::new(core, self.credentials.certificate(host), limits, random, now)
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
        for (pipe, side) in self.pipes_of(host) {
            let Some(peer) = self.pipes.end(pipe, side.other()).map(|end| end.host) else {
                continue;
            };
            if !self.hosts[peer.index()].outsider {
                for at in Side::BOTH {
                    self.queue.push(self.now, Event::Closed { pipe, at, clean: true });
                }
            }
        }
    }

    /// The ends of a host, in the order of their names.
    pub(super) fn pipes_of(&self, host: HostId) -> Vec<(PipeId, Side)> {
        let ends = self.hosts[host.index()].ends.iter();
        ends.filter_map(|(name, _)| self.pipe_of(host, name)).collect()
    }

    /// Ends a host's node. Nothing is handed over, and no peer is notified.
    pub fn kill(&mut self, host: HostId, death: Death) {
        let place = &mut self.hosts[host.index()];
        place.session = None;
        place.wakes_at = None;
        place.run += 1;
        place.state = match death {
            Death::Killed => State::Refusing,
            Death::Silent => State::Silent,
        };
        self.note(host, 10);
        self.drop_ends(host);
    }

    /// A host's ends are gone, and the others find out.
    fn drop_ends(&mut self, host: HostId) {
        for (pipe, side) in self.pipes_of(host) {
            let was_dial = self.pipes.end(pipe, side).is_some_and(|end| !end.is_open());
            self.forget_end(pipe, side);
            if was_dial {
                self.pipes.set_gone(pipe, side.other());
            } else {
                self.tell_of_death(pipe, side.other());
            }
        }
        self.asking.retain(|(from, _), _| *from != host);
    }

    /// Ends a node that has taken its leave: its connections are closed in good order.
    pub fn stop(&mut self, host: HostId) {
        let names: Vec<_> = self.hosts[host.index()].ends.iter().map(|(name, _)| name).collect();
        for name in names {
            self.close(host, name);
        }
        self.kill(host, Death::Killed);
    }

    /// Suspends a machine: nothing comes back from it until it is resumed, and its timers stand
    /// still.
    pub fn suspend(&mut self, host: HostId) {
        let place = &mut self.hosts[host.index()];
        let Some(session) = place.session.take() else { return };
        place.wakes_at = None;
        place.state = State::Suspended;
        self.note(host, 12);
        let ends = self.hosts[host.index()].ends.iter();
        let connections = ends.filter_map(|(name, pipe)| {
            let end = self.pipes.get(pipe)?.end_of(host, name);
            Some((name, end.state == EndState::Opening))
        });
        let connections = connections.collect();
        self.hosts[host.index()].asleep = Some(Asleep { since: self.now, session, connections });
        self.drop_ends(host);
    }

    /// Resumes a suspended machine. Its connections have broken meanwhile.
    pub fn resume(&mut self, host: HostId) {
        let place = &mut self.hosts[host.index()];
        let Some(Asleep { since, session, connections }) = place.asleep.take() else { return };
        place.suspended += self.now.since(since);
        place.state = State::Up;
        place.session = Some(session);
        self.note(host, 13);
        for (connection, is_dial) in connections {
            let ending = Ending { clean: false, written: false, broken: None };
            self.feed(
                host,
                match is_dial {
                    true => Input::DialFailed { connection, why: Undelivered::DialTimeout },
                    false => Input::Closed { connection, ending },
                },
            );
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
        let (info, run, client) = (place.info, place.run, place.client);
        let mut core = self.core(host, info, run, client)?;
        let now = self.clocks(host);
        let disk = self.hosts[host.index()].disk.as_ref();
        if let Some(disk) = disk {
            core.restore(now, disk.restored(now.wall));
            core.restore_kept(now, disk.kept());
            core.restore_contacts(disk.contacts());
        }
        let mut session = self.session(host, core, run, now);
        if let Some(disk) = disk {
            session.restore_pins(disk.pins(), Policy::Tofu, now);
        }
        self.note(host, 11);
        let place = &mut self.hosts[host.index()];
        place.state = State::Up;
        place.session = Some(Box::new(session));
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
        for contact in contacts {
            let contact = self.hosts[contact.index()].info;
            self.drive(host, |session, now| session.danger_assume_dialed(contact, now));
        }
    }
}

fn address(host: HostId) -> PeerAddress {
    let ip = Ipv4Addr::from(FIRST_ADDRESS + (host.0 << 8));
    PeerAddress::new(IpAddr::V4(ip), PORT)
}
