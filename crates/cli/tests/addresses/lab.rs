//! Machines made of network namespaces: public ones on one link, and one behind a router that
//! translates addresses.
//!
//! Every public machine has an address in a /24 of its own. Needs root, iproute2 and nftables.

use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use crate::common::Server;
use crate::namespaces::{self, Link};

/// Above what anything here takes on a busy machine: it ends a test that would hang.
const PATIENCE: Duration = Duration::from_secs(150);
/// Where nodes show themselves.
pub(crate) const HTTP: &str = "127.0.0.1:9402";
/// Whether this process can make labs. Found out once: tests that try it at the same time would
/// make the same namespace, and each mount the folder of all namespaces.
static TOOLS: OnceLock<Result<(), String>> = OnceLock::new();

/// The router's address on the public link.
pub(crate) const ROUTER: &str = "45.9.9.9";
/// The machine behind the router.
pub(crate) const INSIDE: &str = "10.0.0.2";

/// The public link, and the machines.
pub(crate) struct Lab(Link);

/// One machine.
#[derive(Clone, Debug)]
pub(crate) struct Machine(namespaces::Machine);

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
        Some(Self(Link::make().unwrap()))
    }

    /// A machine on the public link, with these addresses. It has all other public ones on the link.
    pub(crate) fn public(&mut self, name: &str, addresses: &[&str]) -> Machine {
        let machine = Machine(self.0.machine(name).unwrap());
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
        let inside = Machine(self.0.detached("inside").unwrap());
        router.0.connect("lan", &inside.0).unwrap();
        router.ip(&["address", "add", "10.0.0.1/24", "dev", "lan"]);
        inside.ip(&["address", "add", &format!("{INSIDE}/24"), "dev", "eth0"]);
        inside.ip(&["route", "add", "default", "via", "10.0.0.1"]);
        router.run("sysctl -q -w net.ipv4.ip_forward=1");
        router.run("nft add table ip nat");
        router.run("nft add chain ip nat post '{ type nat hook postrouting priority 100; }'");
        router.run("nft add chain ip nat pre '{ type nat hook prerouting priority -100; }'");
        router.run("nft add rule ip nat post oifname eth0 masquerade");
        (router, inside)
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
        let directory = self.0.etc();
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
        self.0.ip(arguments).unwrap();
    }

    /// A program on the machine. `ip netns exec` becomes that program: it keeps its process ID.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("NO_COLOR", "1");
        command.args(["netns", "exec", self.0.namespace(), program]);
        command
    }
}

/// What is missing, if anything.
fn tools() -> Result<(), String> {
    for (program, argument) in [("nft", "-v"), ("bash", "--version")] {
        let output = Command::new(program).arg(argument).output();
        output.map_err(|error| format!("{program} is needed: {error}"))?;
    }
    namespaces::check()
}
