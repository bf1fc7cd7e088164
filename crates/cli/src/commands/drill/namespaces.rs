//! Two network namespaces on one bridge, which can be partitioned: then no frame passes between
//! them, and no error is reported. This process has its own port and reaches both all the time.
//!
//! The bridge is in a third namespace: in that of the machine, a firewall that forwards nothing, as
//! container engines set up, would drop its frames too.
//!
//! Needs root and iproute2. Everything is removed on drop; the next run removes what a killed one
//! left behind.

use std::net::{IpAddr, Ipv4Addr};
use std::process::Command;

/// What the names of everything begin with; this process's ID follows.
const PREFIX: &str = "vd";
/// The bridge's name in its own namespace.
const BRIDGE: &str = "bridge";
/// Second bytes of the networks 10.N.0.0/16 that are tried.
const NETWORKS: std::ops::RangeInclusive<u8> = 100..=250;

/// Two network namespaces on one bridge, and the means to partition them.
#[derive(Debug)]
pub(super) struct Namespaces {
    process: u32,
    network: u8,
}

/// One of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Left,
    Right,
}

impl Side {
    pub(super) const BOTH: [Self; 2] = [Self::Left, Self::Right];

    fn letter(self) -> char {
        match self {
            Self::Left => 'a',
            Self::Right => 'b',
        }
    }

    /// The bridge's end of the path to it.
    fn port(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Right => "right",
        }
    }

    fn byte(self) -> u8 {
        match self {
            Self::Left => 1,
            Self::Right => 2,
        }
    }
}

impl Namespaces {
    /// Makes both, with this many addresses each. The error says why that is not possible here.
    pub(super) fn make(addresses: usize) -> Result<Self, String> {
        remove_orphans();
        let routes = ip(&["-4", "-oneline", "route", "show", "table", "all"])?;
        let is_free = |network: &u8| !routes.contains(&format!("10.{network}."));
        let network = NETWORKS.into_iter().find(is_free);
        let network = network.ok_or("no network 10.N.0.0/16 is free")?;
        // From here on, whatever was made is removed if the rest fails.
        let made = Self { process: std::process::id(), network };
        made.make_bridge()?;
        for side in Side::BOTH {
            made.make_side(side, addresses)?;
        }
        Ok(made)
    }

    /// The namespace's name.
    pub(super) fn name(&self, side: Side) -> String {
        format!("{PREFIX}{}{}", self.process, side.letter())
    }

    /// One of its addresses, from 0.
    pub(super) fn address(&self, side: Side, number: usize) -> IpAddr {
        let last = u8::try_from(number + 1).unwrap_or(u8::MAX);
        Ipv4Addr::new(10, self.network, side.byte(), last).into()
    }

    /// Lets no frame pass from now on.
    pub(super) fn part(&self) -> Result<(), String> {
        self.set_isolated("on")
    }

    /// Lets all pass again.
    pub(super) fn heal(&self) -> Result<(), String> {
        self.set_isolated("off")
    }

    fn set_isolated(&self, state: &str) -> Result<(), String> {
        let hub = self.hub();
        for side in Side::BOTH {
            let set = ["-netns", &hub, "link", "set", "dev", side.port(), "type", "bridge_slave"];
            ip(&[&set[..], &["isolated", state]].concat())?;
        }
        Ok(())
    }

    fn make_bridge(&self) -> Result<(), String> {
        let (hub, uplink) = (self.hub(), uplink(self.process));
        let own = format!("10.{}.0.1/16", self.network);
        ip(&["netns", "add", &hub])?;
        ip(&["-netns", &hub, "link", "add", "name", BRIDGE, "type", "bridge"])?;
        ip(&["-netns", &hub, "link", "set", "dev", BRIDGE, "up"])?;
        ip(&["link", "add", &uplink, "type", "veth", "peer", "name", "uplink", "netns", &hub])?;
        ip(&["-netns", &hub, "link", "set", "dev", "uplink", "master", BRIDGE, "up"])?;
        ip(&["address", "add", &own, "dev", &uplink])?;
        ip(&["link", "set", "dev", &uplink, "up"])?;
        Ok(())
    }

    fn make_side(&self, side: Side, addresses: usize) -> Result<(), String> {
        let (hub, name, port) = (self.hub(), self.name(side), side.port());
        ip(&["netns", "add", &name])?;
        let link = ["-netns", &hub, "link", "add", port, "type", "veth"];
        ip(&[&link[..], &["peer", "name", "eth0", "netns", &name]].concat())?;
        ip(&["-netns", &hub, "link", "set", "dev", port, "master", BRIDGE, "up"])?;
        for number in 0..addresses {
            let address = format!("{}/16", self.address(side, number));
            ip(&["-netns", &name, "address", "add", &address, "dev", "eth0"])?;
        }
        ip(&["-netns", &name, "link", "set", "dev", "lo", "up"])?;
        ip(&["-netns", &name, "link", "set", "dev", "eth0", "up"])?;
        Ok(())
    }

    /// The namespace that the bridge lies in.
    fn hub(&self) -> String {
        format!("{PREFIX}{}h", self.process)
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        remove(self.process);
    }
}

/// This process's end of its way to the bridge.
fn uplink(process: u32) -> String {
    format!("{PREFIX}{process}")
}

/// Removes what a process made. What was never made is not missed.
fn remove(process: u32) {
    // Each goes with its other end.
    let _ = ip(&["link", "delete", &uplink(process)]);
    for letter in ['a', 'b', 'h'] {
        let _ = ip(&["netns", "delete", &format!("{PREFIX}{process}{letter}")]);
    }
}

/// Removes what processes made that are no more.
fn remove_orphans() {
    let Ok(names) = ip(&["netns", "list"]) else { return };
    let makers = names.lines().filter_map(|line| {
        let name = line.split_whitespace().next()?.strip_prefix(PREFIX)?;
        name.strip_suffix(['a', 'b', 'h'])?.parse::<u32>().ok()
    });
    for maker in makers.filter(|maker| !std::path::Path::new(&format!("/proc/{maker}")).exists()) {
        remove(maker);
    }
}

/// Runs `ip`. The answer is what it printed, or why it failed.
fn ip(arguments: &[&str]) -> Result<String, String> {
    let output = Command::new("ip").args(arguments).output();
    let output = output.map_err(|error| format!("iproute2 is needed (ip: {error})"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let why = String::from_utf8_lossy(&output.stderr);
    Err(format!("ip {}: {}", arguments.join(" "), why.trim()))
}
