//! Peers of the original network, run from `legacy_peer.py`, which shares no code and no library
//! with this project; and its users, from `legacy_user.py`.

use std::io::{BufReader, Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Output, Stdio};

use serde_json::{Value, json};
use tokio::sync::mpsc;
use voiddht_wire::{Key, NodeId};

use crate::common::ports::free_address;
use crate::common::{soon, tools};

/// How long a value of the other side lives: long enough for any test.
const TTL: u16 = 900;

fn script(name: &str) -> PathBuf {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/legacy").join(name);
    let other = std::env::var_os("VOIDDHT_LEGACY_PEER").filter(|_| name == "legacy_peer.py");
    other.map_or(beside, PathBuf::from)
}

/// Python with what the scripts need; `None`, loudly, where it is missing.
pub(crate) fn python() -> Option<PathBuf> {
    tools::find_python("cryptography")
}

fn command(python: &Path, name: &str) -> Command {
    let mut command = Command::new(python);
    // The directory may be one where nothing can be written.
    command.arg("-B").arg(script(name));
    command
}

/// What a script prints, value by value. Not line by line: the peer prints from several threads, each
/// a value and then the end of its line, so that two values may share a line.
fn printed_by(stdout: impl Read + Send + 'static) -> mpsc::UnboundedReceiver<Value> {
    let (sender, values) = mpsc::unbounded_channel();
    let printed = serde_json::Deserializer::from_reader(BufReader::new(stdout)).into_iter();
    std::thread::spawn(move || {
        for value in printed.map_while(Result::ok) {
            if sender.send(value).is_err() {
                return;
            }
        }
    });
    values
}

#[tokio::test]
async fn values_that_share_a_line_are_both_read() {
    let mut values =
        printed_by(&b"{\"event\": \"known\"}{\"event\": \"request\"}\n\n{\"count\": 1}\n"[..]);
    for value in [json!({ "event": "known" }), json!({ "event": "request" }), json!({ "count": 1 })]
    {
        assert_eq!(soon(values.recv()).await, Some(value));
    }
    assert_eq!(soon(values.recv()).await, None);
}

/// A peer that listens. Its process ends with it.
pub(crate) struct LegacyPeer {
    child: Child,
    pub(crate) address: SocketAddr,
    pub(crate) id: NodeId,
    events: mpsc::UnboundedReceiver<Value>,
}

impl LegacyPeer {
    /// Starts one that joins through `join`, and waits until it knows its neighbours.
    pub(crate) async fn start(python: &Path, join: Option<SocketAddr>, more: &[&str]) -> Self {
        let address = free_address();
        let mut command = command(python, "legacy_peer.py");
        command.args(["--listen", &address.to_string()]).args(more);
        if let Some(join) = join {
            command.args(["--join", &join.to_string()]);
        }
        command.stdout(Stdio::piped()).stdin(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let events = printed_by(child.stdout.take().unwrap());
        let mut peer = Self { child, address, id: NodeId::default(), events };
        let listening = peer.event("listening").await;
        peer.id = listening["id"].as_str().unwrap().parse().unwrap();
        if join.is_some() {
            peer.event("known").await;
        }
        peer
    }

    /// The next event of this name.
    pub(crate) async fn event(&mut self, name: &str) -> Value {
        self.event_where(|event| event["event"] == name).await
    }

    /// The next event that is wanted; those before it are passed over.
    pub(crate) async fn event_where(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            let event = soon(self.events.recv()).await.expect("the peer's process has ended");
            if wanted(&event) {
                return event;
            }
        }
    }

    /// The number of its process.
    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    /// Ends its process, as a crash would.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for LegacyPeer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// One request of a client of the original network, and the answer that it prints.
pub(crate) async fn call(python: &Path, node: SocketAddr, request: &[&str]) -> Value {
    let output = try_call(python, node, request).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

pub(crate) async fn try_call(python: &Path, node: SocketAddr, request: &[&str]) -> Output {
    let mut command = command(python, "legacy_peer.py");
    command.args(["--call", &node.to_string()]).args(request);
    soon(tokio::task::spawn_blocking(move || command.output())).await.unwrap().unwrap()
}

/// A user that puts and gets through the original's nodes and messages.
pub(crate) struct LegacyUser {
    child: Child,
    stdin: ChildStdin,
    answers: mpsc::UnboundedReceiver<Value>,
}

impl LegacyUser {
    pub(crate) fn start(python: &Path) -> Self {
        let mut command = command(python, "legacy_user.py");
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stdin = child.stdin.take().unwrap();
        let answers = printed_by(child.stdout.take().unwrap());
        Self { child, stdin, answers }
    }

    /// Puts a value, beginning at one node. The answer comes with [`LegacyUser::answer`].
    pub(crate) fn put(&mut self, at: SocketAddr, key: Key, value: &[u8]) {
        let value = data_encoding::HEXLOWER.encode(value);
        self.ask(json!({ "put": key.to_string(), "value": value, "ttl": TTL, "at": place(at) }));
    }

    pub(crate) fn get(&mut self, at: SocketAddr, key: Key) {
        self.ask(json!({ "get": key.to_string(), "at": place(at) }));
    }

    fn ask(&mut self, request: Value) {
        writeln!(self.stdin, "{request}").unwrap();
    }

    /// The next answer, in the order of the requests.
    pub(crate) async fn answer(&mut self) -> Value {
        soon(self.answers.recv()).await.expect("the user's process has ended")
    }
}

fn place(at: SocketAddr) -> Value {
    json!([[at.ip().to_string(), at.port()]])
}

impl Drop for LegacyUser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
