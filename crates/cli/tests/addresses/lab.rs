//! Machines made of network namespaces: public ones on one link, and one behind a router that
//! translates addresses.
//!
//! Every public machine has an address in a /24 of its own. Needs root, iproute2 and nftables.
//! Everything is removed when the lab is dropped, and what a killed test left by the next one.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::common::Server;

/// What the names of namespaces begin with; this process's ID and a number follow.
const PREFIX: &str = "vad";
/// Above what anything here takes on a busy machine: it ends a test that would hang.
const PATIENCE: Duration = Duration::from_secs(150);
/// Where nodes show themselves.
pub(crate) const HTTP: &str = "127.0.0.1:9402";
/// Whether this process can make labs. Found out once: tests that try it at the same time would
/// make the same namespace, and each mount the folder of all namespaces.
static TOOLS: OnceLock<Result<(), String>> = OnceLock::new();
/// Labs of this process.
static MADE: AtomicU32 = AtomicU32::new(0);

/// The router's address on the public link.
pub(crate) const ROUTER: &str = "45.9.9.9";
/// The machine behind the router.
pub(crate) const INSIDE: &str = "10.0.0.2";

/// Network namespaces with routers between them, and the nodes in them.
pub(crate) struct Lab {
    name: String,
    machines: Vec<String>,
}

/// One machine.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    namespace: String,
}

/// A name server that is on no machine: questions to it are not answered.
const NAME_SERVER: &str = "nameserver 45.8.8.8\n";

/// What was seen of a node: three ways to look at one.
#[derive(Debug)]
pub(crate) struct Seen {
    /// The status and the body of `/readyz`.
    pub(crate) ready: (u16, String),
    /// What `dht doctor` prints.
    pub(crate) doctor: String,
}

impl Lab {
    /// A lab with an empty link; `None`, with a message, where this process may not make one.
    pub(crate) fn make() -> Option<Self> {
        if let Err(why) = TOOLS.get_or_init(tools) {
            assert!(std::env::var_os("VOIDDHT_REQUIRE_TOOLS").is_none(), "{why}");
            eprintln!("passed over: {why}");
            return None;
        }
        remove_orphans();
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("{PREFIX}{}x{number}", std::process::id());
        let mut lab = Self { name, machines: Vec::new() };
        lab.add("hub");
        let hub = lab.namespace("hub");
        ip(&["-netns", &hub, "link", "add", "name", "bridge", "type", "bridge"]);
        ip(&["-netns", &hub, "link", "set", "dev", "bridge", "up"]);
        Some(lab)
    }

    /// A machine on the public link, with these addresses. It has all other public ones on the link.
    pub(crate) fn public(&mut self, name: &str, addresses: &[&str]) -> Machine {
        let machine = self.add(name);
        let hub = self.namespace("hub");
        let link = ["-netns", &hub, "link", "add", name, "type", "veth"];
        ip(&[&link[..], &["peer", "name", "eth0", "netns", &machine.namespace]].concat());
        ip(&["-netns", &hub, "link", "set", "dev", name, "master", "bridge", "up"]);
        machine.ip(&["link", "set", "dev", "eth0", "up"]);
        for address in addresses {
            machine.add_address(address);
        }
        machine
    }

    /// Three machines that run nodes, the first of which the others join.
    pub(crate) fn network(&mut self) -> Vec<(Machine, Server)> {
        let mut nodes = Vec::new();
        for number in 1..=3 {
            let address = format!("45.{number}.{number}.{number}");
            let machine = self.public(&format!("n{number}"), &[&address]);
            let mut arguments = vec!["-a", &address];
            if number > 1 {
                arguments.extend(["--peer", "45.1.1.1:7402"]);
            }
            let node = machine.node(&arguments);
            let node = if number > 1 { node.joined() } else { node };
            nodes.push((machine, node));
        }
        nodes
    }

    /// A router with an address on the public link, and a machine behind it. What the machine sends
    /// comes from the router's address; nothing reaches it.
    pub(crate) fn router(&mut self) -> (Machine, Machine) {
        let router = self.public("router", &[ROUTER]);
        let inside = self.add("inside");
        let link = ["-netns", &router.namespace, "link", "add", "lan", "type", "veth"];
        ip(&[&link[..], &["peer", "name", "eth0", "netns", &inside.namespace]].concat());
        router.ip(&["address", "add", "10.0.0.1/24", "dev", "lan"]);
        router.ip(&["link", "set", "dev", "lan", "up"]);
        inside.ip(&["address", "add", &format!("{INSIDE}/24"), "dev", "eth0"]);
        inside.ip(&["link", "set", "dev", "eth0", "up"]);
        inside.ip(&["route", "add", "default", "via", "10.0.0.1"]);
        router.run("sysctl -q -w net.ipv4.ip_forward=1");
        router.run("nft add table ip nat");
        router.run("nft add chain ip nat post '{ type nat hook postrouting priority 100; }'");
        router.run("nft add chain ip nat pre '{ type nat hook prerouting priority -100; }'");
        router.run("nft add rule ip nat post oifname eth0 masquerade");
        (router, inside)
    }

    fn add(&mut self, name: &str) -> Machine {
        let namespace = self.namespace(name);
        ip(&["netns", "add", &namespace]);
        self.machines.push(namespace.clone());
        let machine = Machine { namespace };
        machine.ip(&["link", "set", "dev", "lo", "up"]);
        machine
    }

    fn namespace(&self, name: &str) -> String {
        format!("{}{name}", self.name)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for machine in self.machines.drain(..) {
            remove(&machine);
        }
    }
}

impl Machine {
    /// Gives the machine an address; its network is the public link.
    pub(crate) fn add_address(&self, address: &str) {
        match address.contains(':') {
            true => {
                let address = format!("{address}/16");
                self.ip(&["address", "add", &address, "dev", "eth0", "nodad"]);
            }
            false => self.ip(&["address", "add", &format!("{address}/8"), "dev", "eth0"]),
        }
    }

    /// Gives the machine a name service: this list of hosts, and beyond it a name server that does
    /// not answer. Before the first program starts on it; another list replaces this one.
    pub(crate) fn set_hosts(&self, hosts: &str) {
        let directory = name_service(&self.namespace);
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(directory.join("resolv.conf"), NAME_SERVER).unwrap();
        // In place: the file that running programs have over /etc/hosts stays the same one.
        std::fs::write(directory.join("hosts"), format!("127.0.0.1 localhost\n{hosts}\n")).unwrap();
    }

    /// Takes an address from the machine.
    pub(crate) fn remove_address(&self, address: &str) {
        self.ip(&["address", "del", &format!("{address}/8"), "dev", "eth0"]);
    }

    /// Starts a node with its page, and waits until it serves.
    pub(crate) fn node(&self, arguments: &[&str]) -> Server {
        let mut command = self.command(env!("CARGO_BIN_EXE_dht_server"));
        command.args(["--http", HTTP, "--dial-back-patience", "3"]).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        Server::spawn(command)
    }

    /// Runs `dht` with these arguments.
    pub(crate) fn dht(&self, arguments: &[&str]) -> Output {
        let mut command = self.command(env!("CARGO_BIN_EXE_dht"));
        command.args(arguments).stdin(Stdio::null()).output().unwrap()
    }

    /// PUTs a value at this machine's node. On how many nodes it is stored.
    pub(crate) fn put(&self, key: &str) -> usize {
        let output = self.dht(&["put", key, "a value"]);
        let text = String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr);
        let number = text.split_whitespace().find_map(|word| word.parse().ok());
        number.unwrap_or_else(|| panic!("{output:?}"))
    }

    /// Whether a GET at this machine's node finds the value.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.dht(&["get", key]).stdout.starts_with(b"a value")
    }

    /// What the node shows of itself.
    pub(crate) fn status(&self) -> serde_json::Value {
        let output = self.dht(&["status", "--json", "--http", HTTP]);
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"))
    }

    /// How many contacts the node has.
    pub(crate) fn contacts(&self) -> u64 {
        self.status()["table"]["contacts"].as_u64().unwrap()
    }

    /// Whether the node has a contact at this address.
    pub(crate) fn knows(&self, address: &str) -> bool {
        let status: serde_json::Value = serde_json::from_str(&self.http("/status.json").1).unwrap();
        let buckets = status["table"]["buckets"].as_array().unwrap().iter();
        let mut contacts = buckets.flat_map(|bucket| bucket["contacts"].as_array().unwrap());
        contacts.any(|contact| contact["address"] == address)
    }

    /// Looks at the node.
    pub(crate) fn look(&self) -> Seen {
        let doctor = self.dht(&["doctor", "--http", HTTP]);
        let ready = self.http("/readyz");
        Seen { ready, doctor: String::from_utf8(doctor.stdout).unwrap() }
    }

    /// The status and the body of an answer of the node's page.
    pub(crate) fn http(&self, path: &str) -> (u16, String) {
        let request =
            format!("GET {path} HTTP/1.1\\r\\nHost: {HTTP}\\r\\nConnection: close\\r\\n\\r\\n");
        let answer = self.run(&format!(
            "exec 3<>/dev/tcp/{}; printf '{request}' >&3; cat <&3",
            HTTP.replace(':', "/")
        ));
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        (status.unwrap_or_else(|| panic!("{answer:?}")), body.to_owned())
    }

    /// Runs a shell command on the machine.
    pub(crate) fn run(&self, script: &str) -> String {
        let output = self.command("bash").args(["-c", script]).output().unwrap();
        assert!(output.status.success(), "{script}: {output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Waits until this holds, and looks.
    pub(crate) fn wait_for(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let begun = Instant::now();
        while !holds(self) {
            assert!(begun.elapsed() < PATIENCE, "{what}: {:#?}", self.look());
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    fn ip(&self, arguments: &[&str]) {
        ip(&[&["-netns", &self.namespace], arguments].concat());
    }

    /// A program on the machine. `ip netns exec` becomes that program: it keeps its process ID.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("NO_COLOR", "1");
        command.args(["netns", "exec", &self.namespace, program]);
        command
    }
}

/// What is missing, if anything.
fn tools() -> Result<(), String> {
    if !rustix::process::geteuid().is_root() {
        return Err("network namespaces need root".to_owned());
    }
    for (program, argument) in [("ip", "-V"), ("nft", "-v"), ("bash", "--version")] {
        let output = Command::new(program).arg(argument).output();
        output.map_err(|error| format!("{program} is needed: {error}"))?;
    }
    let probe = format!("{PREFIX}{}xprobe", std::process::id());
    let made = Command::new("ip").args(["netns", "add", &probe]).output();
    let made = made.map_err(|error| error.to_string());
    remove(&probe);
    match made {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!("network namespaces cannot be made here: {output:?}")),
        Err(why) => Err(format!("network namespaces cannot be made here: {why}")),
    }
}

/// Removes what processes left that are no more.
fn remove_orphans() {
    let Ok(output) = Command::new("ip").args(["netns", "list"]).output() else { return };
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let name = line.split_whitespace().next().unwrap_or_default();
        let maker = name.strip_prefix(PREFIX).and_then(|rest| rest.split('x').next());
        if let Some(maker) = maker.and_then(|maker| maker.parse::<u32>().ok())
            && !Path::new(&format!("/proc/{maker}")).exists()
        {
            remove(name);
        }
    }
}

/// What `ip netns exec` mounts over /etc for the programs of a namespace.
fn name_service(namespace: &str) -> PathBuf {
    Path::new("/etc/netns").join(namespace)
}

fn remove(namespace: &str) {
    // What was never made is not missed.
    let _ = std::fs::remove_dir_all(name_service(namespace));
    let _ = Command::new("ip").args(["netns", "delete", namespace]).output();
}

fn ip(arguments: &[&str]) {
    let output = Command::new("ip").args(arguments).output().unwrap();
    assert!(output.status.success(), "ip {}: {output:?}", arguments.join(" "));
}
