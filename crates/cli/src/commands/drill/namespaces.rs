//! Two network namespaces on one bridge, which can be parted: then no frame passes between them,
//! and nobody is told. This process, on the bridge itself, reaches both all the while.
//!
//! Needs root and iproute2. Everything is removed when it is dropped, and what a drill left
//! behind that was killed, by the next one.

use std::net::{IpAddr, Ipv4Addr};
use std::process::Command;

/// What the names of everything begin with; this process's ID follows.
const PREFIX: &str = "vd";
/// Second bytes of the networks 10.N.0.0/16 that are tried.
const NETWORKS: std::ops::RangeInclusive<u8> = 100..=250;

/// See the module's description.
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
        for side in Side::BOTH {
            let port = self.port(side);
            ip(&["link", "set", "dev", &port, "type", "bridge_slave", "isolated", state])?;
        }
        Ok(())
    }

    fn make_bridge(&self) -> Result<(), String> {
        let (bridge, own) = (self.bridge(), format!("10.{}.0.1/16", self.network));
        ip(&["link", "add", "name", &bridge, "type", "bridge"])?;
        ip(&["address", "add", &own, "dev", &bridge])?;
        ip(&["link", "set", "dev", &bridge, "up"])?;
        Ok(())
    }

    fn make_side(&self, side: Side, addresses: usize) -> Result<(), String> {
        let (name, port) = (self.name(side), self.port(side));
        ip(&["netns", "add", &name])?;
        ip(&["link", "add", &port, "type", "veth", "peer", "name", "eth0", "netns", &name])?;
        ip(&["link", "set", "dev", &port, "master", &self.bridge(), "up"])?;
        for number in 0..addresses {
            let address = format!("{}/16", self.address(side, number));
            ip(&["-netns", &name, "address", "add", &address, "dev", "eth0"])?;
        }
        ip(&["-netns", &name, "link", "set", "dev", "lo", "up"])?;
        ip(&["-netns", &name, "link", "set", "dev", "eth0", "up"])?;
        Ok(())
    }

    fn bridge(&self) -> String {
        format!("{PREFIX}{}", self.process)
    }

    /// The bridge's end of the way to a namespace.
    fn port(&self, side: Side) -> String {
        format!("{PREFIX}{}{}0", self.process, side.letter())
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        remove(self.process);
    }
}

/// Removes what a process made. What was never made is not missed.
fn remove(process: u32) {
    let _ = ip(&["link", "delete", &format!("{PREFIX}{process}")]);
    for side in Side::BOTH {
        let name = format!("{PREFIX}{process}{}", side.letter());
        // The ports go with their other ends.
        let _ = ip(&["netns", "delete", &name]);
    }
}

/// Removes what processes made that are no more.
fn remove_orphans() {
    let Ok(names) = ip(&["netns", "list"]) else { return };
    let makers = names.lines().filter_map(|line| {
        let name = line.split_whitespace().next()?.strip_prefix(PREFIX)?;
        name.strip_suffix(['a', 'b'])?.parse::<u32>().ok()
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
