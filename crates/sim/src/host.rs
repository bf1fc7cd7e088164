//! One machine of the simulated network: its node, its connections, its disk, its traffic.

use std::time::Duration;

use voiddht_core::Node;
use voiddht_core::peer::{ConnectionId, Peer};
use voiddht_core::time::Moment;
use voiddht_wire::PeerAddress;
use voiddht_wire::peer::NodeInfo;

use crate::adversary::Adversary;
use crate::disk::Disk;
use crate::links::{Link, Links};
use crate::traffic::Traffic;

/// Names a host throughout a run, its restarts included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostId(pub u32);

impl HostId {
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// What a host is at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Its node runs.
    Up,
    /// Its node does not run, but its operating system does: dials are refused at once, and
    /// connections were broken.
    Refusing,
    /// Nothing comes back from it.
    Silent,
    /// As [`Self::Silent`], and its node goes on when the machine is resumed.
    Suspended,
}

/// What a suspended machine goes on with.
pub(crate) struct Asleep {
    pub(crate) since: Moment,
    pub(crate) node: Box<Node>,
    pub(crate) peers: Vec<HostId>,
}

/// A machine.
pub struct Host {
    pub(crate) info: NodeInfo,
    pub(crate) state: State,
    /// Counts its starts, so that what was meant for an earlier run does not reach this one.
    pub(crate) run: u32,
    /// `None` while it is down, and for the moment in which it is being driven.
    pub(crate) node: Option<Box<Node>>,
    pub(crate) adversary: Option<Box<dyn Adversary>>,
    pub(crate) links: Links,
    /// The earliest wake-up that is in the queue.
    pub(crate) wakes_at: Option<Moment>,
    /// Which side of a partition it is on.
    pub(crate) side: u8,
    /// Whether a firewall or an address translator keeps others from dialling it.
    pub(crate) no_inbound: bool,
    /// Whether it has no secret of the private network that the others belong to.
    pub(crate) outsider: bool,
    /// When a caller last came to its port, as its node was told.
    pub(crate) called: Option<Moment>,
    /// Whether its node is started as a client.
    pub(crate) client: bool,
    /// How far its calendar is ahead of the true one, in milliseconds.
    pub(crate) clock_skew: i64,
    /// How long it has been suspended, in all.
    pub(crate) suspended: Duration,
    /// Since when it is suspended, with the node that stands still and the hosts it was connected to.
    pub(crate) asleep: Option<Asleep>,
    pub(crate) disk: Option<Box<Disk>>,
    pub(crate) traffic: Traffic,
}

impl Host {
    /// Its ID and listening address.
    pub fn info(&self) -> NodeInfo {
        self.info
    }

    /// Whether it runs.
    pub fn state(&self) -> State {
        self.state
    }

    /// Its node; `None` while it is down.
    pub fn node(&self) -> Option<&Node> {
        self.node.as_deref()
    }

    /// Whether it runs the shipped code and nothing else.
    pub fn is_honest(&self) -> bool {
        self.adversary.is_none()
    }

    /// What it sent, keepalive probes of connections that are idle now apart.
    pub fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    /// Connections that it has, those being dialled included.
    pub fn connections(&self) -> usize {
        self.links.len()
    }

    pub(crate) fn link(&mut self, peer: HostId) -> Option<&mut Link> {
        self.links.get_mut(peer)
    }

    /// The connection with `peer`, if it is still the one of this serial number.
    pub(crate) fn same_link(&mut self, peer: HostId, serial: u64) -> Option<&mut Link> {
        self.link(peer).filter(|link| link.serial == serial)
    }

    /// The connection that could be closed to make room: the least recently used without a request
    /// in flight.
    pub(crate) fn idle_peer(&self) -> Option<HostId> {
        self.links
            .iter()
            .filter(|link| link.is_idle())
            .min_by_key(|link| link.used)
            .map(|link| link.peer)
    }

    /// This host as the one at the other end of `serial` sees it. A dialled host is seen at
    /// the address where it listens, a dialling one at a port of its own choice.
    pub(crate) fn as_peer(&self, it_dialled: bool, serial: u64) -> Peer {
        let address = self.info.address;
        let address = if it_dialled { ephemeral(address, serial) } else { address };
        Peer::danger_assume_proved(self.info.id, address)
    }
}

/// Bits of a [`ConnectionId`] that name the host at the other end.
const HOST_BITS: u32 = 24;

/// The name of a connection for the host at one end: it identifies the other end.
pub(crate) fn connection_id(serial: u64, peer: HostId) -> ConnectionId {
    ConnectionId((serial << HOST_BITS) | u64::from(peer.0))
}

/// What [`connection_id`] put together.
pub(crate) fn connection_parts(connection: ConnectionId) -> (u64, HostId) {
    let peer = connection.0 & ((1 << HOST_BITS) - 1);
    (connection.0 >> HOST_BITS, HostId(peer as u32))
}

/// Hosts that a world has at most: what a connection's name has room for.
pub const MAX_HOSTS: usize = 1 << HOST_BITS;

fn ephemeral(address: PeerAddress, serial: u64) -> PeerAddress {
    address.with_port(49_152 + (serial % 16_384) as u16)
}

/// Settings of a new host.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct HostOptions {
    /// Its ID and address; `None` draws an ID and takes the next address of a prefix of its own.
    pub info: Option<NodeInfo>,
    /// How far its calendar is ahead of the true one, in milliseconds.
    pub clock_skew: i64,
    /// What its data directory does; `None` is a host without one.
    pub disk: Option<DiskOptions>,
    /// Whether a firewall or an address translator keeps others from dialling it.
    pub no_inbound: bool,
    /// Whether its node is started as a client.
    pub client: bool,
}

/// How a host's disk behaves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DiskOptions {
    /// How long a commit takes.
    pub commit: Duration,
    /// Share of commits that fail.
    pub failing: f64,
}
