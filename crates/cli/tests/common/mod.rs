//! Real processes for the tests: nodes, and the tool.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![allow(dead_code, reason = "each test file uses a part of this")]

#[path = "../../../node/tests/common/ports.rs"]
pub(crate) mod ports;

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// Above what anything here takes on a machine that is busy: it ends a test that would hang.
const PATIENCE: Duration = Duration::from_secs(60);

/// A `dht_server` process. It is killed when this is dropped.
pub(crate) struct Server {
    pub(crate) process: Child,
    /// Where its peers reach it.
    pub(crate) p2p: SocketAddr,
    /// Where its module API listens.
    pub(crate) api: SocketAddr,
    lines: Receiver<String>,
}

impl Server {
    /// Starts a node on ports that the system chooses, and waits until it serves.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut command = server();
        command.args(["-m", "0", "-p", "0"]).args(arguments);
        Self::spawn(command)
    }

    /// Starts a node as the command says, and waits until it serves.
    pub(crate) fn spawn(mut command: Command) -> Self {
        let mut process = command.stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(process.stderr.take().unwrap());
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                // The test may have ended already.
                let _ = sender.send(line);
            }
        });
        let unknown = SocketAddr::from(([0, 0, 0, 0], 0));
        let mut server = Self { process, p2p: unknown, api: unknown, lines };
        let line = server.line_with("listening");
        server.p2p = field(&line, "p2p");
        server.api = field(&line, "api");
        server
    }

    /// Starts a node that knows this one, by the options of the original.
    pub(crate) fn peer(&self, host: &str) -> Self {
        let (address, port) = (self.p2p.ip().to_string(), self.p2p.port().to_string());
        Self::start(&["-a", host, "-A", &address, "-P", &port]).joined()
    }

    /// Waits until the node has contacts.
    pub(crate) fn joined(self) -> Self {
        self.line_with("joined the network");
        self
    }

    /// Where it serves its page; it was started with --http.
    pub(crate) fn http(&self) -> String {
        let line = self.line_with("dashboard at http://");
        let rest = line.split("http://").nth(1).unwrap();
        rest.split('/').next().unwrap().to_owned()
    }

    /// The next log line that contains this.
    pub(crate) fn line_with(&self, text: &str) -> String {
        self.lines_until(text).pop().unwrap()
    }

    /// The log up to the next line that contains this.
    pub(crate) fn lines_until(&self, text: &str) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => lines.push(line),
                Err(end) => panic!("{end:?} before {text:?}, after {lines:#?}"),
            }
            if lines.last().is_some_and(|line| line.contains(text)) {
                return lines;
            }
        }
    }

    /// Everything that it logs until it ends.
    pub(crate) fn rest(&self) -> String {
        self.lines.iter().collect::<Vec<_>>().join("\n")
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process), signal).unwrap();
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.process.wait().unwrap()
    }

    /// `dht` with these arguments, talking to this node.
    pub(crate) fn dht(&self, arguments: &[&str]) -> Output {
        let node = self.api.to_string();
        dht().args(arguments).args(["--node", &node]).output().unwrap()
    }

    /// What `dht get` finds here.
    pub(crate) fn get(&self, key: &str) -> Option<Vec<u8>> {
        let output = self.dht(&["get", key]);
        match output.status.code() {
            Some(0) => Some(output.stdout),
            Some(1) => None,
            _ => panic!("{output:?}"),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// `dht_server`, with an environment that says nothing.
pub(crate) fn server() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dht_server"));
    command.env_clear().stdin(Stdio::null()).stdout(Stdio::null());
    command
}

/// `dht`, with an environment that says nothing.
pub(crate) fn dht() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dht"));
    command.env_clear().stdin(Stdio::null());
    command
}

/// Runs a command that is expected to end with this status and one line on standard error.
pub(crate) fn complaint(command: &mut Command, status: i32) -> String {
    let output = command.stdout(Stdio::piped()).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(status), "{text}");
    assert_eq!((text.lines().count(), output.stdout.len()), (1, 0), "{text}");
    text
}

/// Gives a command this on its standard input.
pub(crate) fn with_input(command: &mut Command, input: &[u8]) -> Output {
    use std::io::Write;
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = command.spawn().unwrap();
    // A program that refuses what is too long does not read all of it.
    let _ = process.stdin.take().unwrap().write_all(input);
    process.wait_with_output().unwrap()
}

/// Reads from a process until the text has come.
pub(crate) fn read_until(source: &mut impl Read, text: &str) -> String {
    let (mut all, mut byte) = (Vec::new(), [0]);
    while !String::from_utf8_lossy(&all).contains(text) {
        assert_eq!(source.read(&mut byte).unwrap(), 1, "only {}", String::from_utf8_lossy(&all));
        all.push(byte[0]);
    }
    String::from_utf8(all).unwrap()
}

fn field(line: &str, name: &str) -> SocketAddr {
    if let Ok(json) = serde_json::from_str::<serde_json::Value>(line) {
        return json[name].as_str().unwrap().parse().unwrap();
    }
    let start = format!("{name}=");
    let word = line.split_whitespace().find_map(|word| word.strip_prefix(start.as_str()));
    word.and_then(|word| word.parse().ok()).unwrap_or_else(|| panic!("no {name} in {line:?}"))
}
