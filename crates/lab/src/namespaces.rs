//! Machines made of network namespaces: each has its own addresses, and those on the link reach one
//! another through a bridge. The link can be cut: then no frame passes from machine to machine, and
//! no error is reported. This process can have a port of its own, which reaches all of them all the
//! time.
//!
//! The bridge is in a namespace of its own: in that of the machine, a firewall that forwards nothing,
//! as container engines set up, would drop its frames too.
//!
//! Needs iproute2, and root, if only in a user namespace. Everything is removed on drop; the next run removes what a killed one
//! left behind.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

/// What the names of everything begin with; this process's ID, `x`, and a number follow. Short: names
/// of interfaces have 15 letters at most.
const PREFIX: &str = "vd";
/// The namespace that the bridge is in, and the bridge.
const HUB: &str = "hub";
/// Links of this process.
static MADE: AtomicU32 = AtomicU32::new(0);

/// A link, and the machines that were made with it.
#[derive(Debug)]
pub(crate) struct Link {
    name: String,
    /// Machines, also those that are not on the link.
    machines: Vec<Machine>,
    /// The hub's ports to machines.
    ports: Vec<String>,
    has_uplink: bool,
}

/// One machine. It ends with the [`Link`] that it was made with.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    namespace: String,
}

/// Says why namespaces cannot be made here, if so.
pub(crate) fn check() -> Result<(), String> {
    if !rustix::process::geteuid().is_root() {
        let why = "network namespaces need root, or a user namespace (docs/durability.md)";
        return Err(why.to_owned());
    }
    let probe = Machine { namespace: format!("{}probe", next_name()) };
    let made = ip(&["netns", "add", &probe.namespace]);
    probe.remove();
    made.map(drop).map_err(|why| format!("network namespaces cannot be made here: {why}"))
}

impl Link {
    /// A link without machines.
    pub(crate) fn make() -> Result<Self, String> {
        remove_orphans();
        let (machines, ports) = (Vec::new(), Vec::new());
        // From here on, whatever was made is removed if the rest fails.
        let mut link = Self { name: next_name(), machines, ports, has_uplink: false };
        let hub = link.detached(HUB)?;
        hub.ip(&["link", "add", "name", HUB, "type", "bridge"])?;
        hub.ip(&["link", "set", "dev", HUB, "up"])?;
        Ok(link)
    }

    /// A machine on the link, by its `eth0`; without an address.
    pub(crate) fn machine(&mut self, name: &str) -> Result<Machine, String> {
        let machine = self.detached(name)?;
        let hub = self.hub();
        hub.connect(name, &machine)?;
        hub.ip(&["link", "set", "dev", name, "master", HUB])?;
        self.ports.push(name.to_owned());
        Ok(machine)
    }

    /// A machine without a connection.
    pub(crate) fn detached(&mut self, name: &str) -> Result<Machine, String> {
        let machine = Machine { namespace: format!("{}{name}", self.name) };
        ip(&["netns", "add", &machine.namespace])?;
        self.machines.push(machine.clone());
        machine.ip(&["link", "set", "dev", "lo", "up"])?;
        Ok(machine)
    }

    /// Cuts all machines on the link from one another, or joins them again.
    pub(crate) fn set_cut(&self, is_cut: bool) -> Result<(), String> {
        let (hub, state) = (self.hub(), if is_cut { "on" } else { "off" });
        self.ports.iter().try_for_each(|port| {
            hub.ip(&["link", "set", "dev", port, "type", "bridge_slave", "isolated", state])
        })
    }

    /// Gives this process a port on the link, with this address and prefix length.
    pub(crate) fn add_uplink(&mut self, address: &str) -> Result<(), String> {
        let (hub, own) = (self.hub(), self.name.as_str());
        let link = ["link", "add", own, "type", "veth", "peer", "name", "uplink", "netns"];
        ip(&[&link[..], &[&hub.namespace]].concat())?;
        self.has_uplink = true;
        hub.ip(&["link", "set", "dev", "uplink", "master", HUB, "up"])?;
        ip(&["address", "add", address, "dev", own])?;
        ip(&["link", "set", "dev", own, "up"])?;
        Ok(())
    }

    fn hub(&self) -> Machine {
        Machine { namespace: format!("{}{HUB}", self.name) }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        if self.has_uplink {
            let _ = ip(&["link", "delete", &self.name]);
        }
        self.machines.drain(..).for_each(|machine| machine.remove());
    }
}

impl Machine {
    /// The namespace's name.
    pub(crate) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Connects an interface of this name with the `eth0` of another machine.
    pub(crate) fn connect(&self, name: &str, other: &Self) -> Result<(), String> {
        let peer = ["type", "veth", "peer", "name", "eth0", "netns", &other.namespace];
        self.ip(&[&["link", "add", name], &peer[..]].concat())?;
        self.ip(&["link", "set", "dev", name, "up"])?;
        other.ip(&["link", "set", "dev", "eth0", "up"])
    }

    /// Runs `ip` on the machine.
    pub(crate) fn ip(&self, arguments: &[&str]) -> Result<(), String> {
        ip(&[&["-netns", &self.namespace], arguments].concat()).map(drop)
    }

    /// The directory whose files `ip netns exec` mounts over those of /etc.
    pub(crate) fn etc(&self) -> PathBuf {
        Path::new("/etc/netns").join(&self.namespace)
    }

    /// What was never made is not missed.
    fn remove(&self) {
        let _ = std::fs::remove_dir_all(self.etc());
        let _ = ip(&["netns", "delete", &self.namespace]);
    }
}

/// A name that no other link has.
fn next_name() -> String {
    format!("{PREFIX}{}x{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed))
}

/// Removes what processes made that do not run any more. An interface ends with its other end.
fn remove_orphans() {
    let Ok(names) = ip(&["netns", "list"]) else { return };
    for line in names.lines() {
        let namespace = line.split_whitespace().next().unwrap_or_default().to_owned();
        let maker = namespace.strip_prefix(PREFIX).and_then(|rest| rest.split('x').next());
        if let Some(maker) = maker.and_then(|maker| maker.parse::<u32>().ok())
            && !Path::new(&format!("/proc/{maker}")).exists()
        {
            Machine { namespace }.remove();
        }
    }
}

/// Runs `ip`. The answer is what it printed, or why it failed.
pub(crate) fn ip(arguments: &[&str]) -> Result<String, String> {
    let output = Command::new("ip").args(arguments).output();
    let Output { status, stdout, stderr } =
        output.map_err(|error| format!("iproute2 is needed (ip: {error})"))?;
    if status.success() {
        return Ok(String::from_utf8_lossy(&stdout).into_owned());
    }
    let why = String::from_utf8_lossy(&stderr);
    Err(format!("ip {}: {}", arguments.join(" "), why.trim()))
}
