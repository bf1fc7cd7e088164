//! What the doctor judges by.

use std::net::IpAddr;
use std::time::SystemTime;

use voiddht_core::event::Sighting;

use crate::network::survey::Survey;
use crate::own_address::Addresses;
use crate::snapshot::Snapshot;

/// What the judgement is made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Findings<'a> {
    pub(crate) snapshot: &'a Snapshot,
    /// Where the node listens, and where it says that it is reached.
    pub(crate) own_address: Addresses,
    /// Whether it moves to another address by itself when the machine loses this one.
    pub(crate) follows_address: bool,
    /// How the contacts that were asked see it.
    pub(crate) sightings: &'a [Sighting],
    /// What contacts push, in a private network.
    pub(crate) survey: &'a Survey,
    /// Addresses that connected after they were asked, or in the minute before: they do not dial
    /// back twice.
    pub(crate) dialed_back: &'a [IpAddr],
    /// When a caller last connected.
    pub(crate) last_caller: Option<SystemTime>,
    /// STOREs that were asked of this node, and those of them that came from the future.
    pub(crate) stores: u64,
    pub(crate) future_versions: u64,
    /// What is free on the disk of the data directory, if that is known.
    pub(crate) free_bytes: Option<u64>,
    /// Connections that the settings allow; open files may allow fewer.
    pub(crate) wanted_connections: usize,
}
