//! One machine of the simulated network: its session, its connections, its disk, its traffic.

use std::time::Duration;

use voiddht_core::Node;
use voiddht_core::peer::ConnectionId;
use voiddht_core::time::Moment;
use voiddht_session::{Session, names};
use voiddht_wire::peer::NodeInfo;

use crate::adversary::interceptor::Adversary;
use crate::disk::Disk;
pub use crate::disk::DiskOptions;
pub use crate::host_id::HostId;
use crate::pipe::Ends;
use crate::traffic::Traffic;

/// How a host dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Death {
    /// The process is killed: its connections break at once, dials are refused.
    Killed,
    /// The machine is gone: nothing comes back.
    Silent,
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
    pub(crate) session: Box<Session>,
    /// The connections that it takes for open, and whether each is a dial in progress.
    pub(crate) connections: Vec<(ConnectionId, bool)>,
}

/// A machine.
pub struct Host {
    pub(crate) info: NodeInfo,
    pub(crate) state: State,
    /// Counts its starts, so that what was meant for an earlier run does not reach this one.
    pub(crate) run: u32,
    /// `None` while it is down, and for the moment in which it is being driven.
    pub(crate) session: Option<Box<Session>>,
    pub(crate) adversary: Option<Box<dyn Adversary>>,
    /// Its ends of connections, dials in progress included.
    pub(crate) ends: Ends,
    /// Connections that it has accepted.
    pub(crate) accepted: u64,
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
    /// Since when it is suspended, with what stands still.
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
        self.session().map(Session::core)
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
        self.ends.len()
    }

    /// Its session; `None` while it is down.
    pub fn session(&self) -> Option<&Session> {
        self.session.as_deref()
    }

    /// Names the next connection that it accepts.
    pub(crate) fn name_accepted(&mut self) -> ConnectionId {
        self.accepted += 1;
        names::accepted(self.accepted)
    }
}

/// Hosts that a world has at most: each has a /24 of its own among the public addresses.
pub const MAX_HOSTS: usize = 1 << 24;

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
