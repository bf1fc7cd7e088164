//! One `dht_server` process: started beside this program's own executable, watched by its log,
//! killed when it is dropped, and by the kernel if this process is killed itself.

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStderr, Command};
use tokio::sync::watch;
use voiddht_cli::outcome::Failure;
use voiddht_cli::process as own_process;

/// Where a node listens, and what it keeps: the same in every run of it.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// Where its peers reach it.
    pub(super) p2p: SocketAddr,
    /// Where it serves local programs.
    pub(super) api: SocketAddr,
    /// Its data directory, and its log beside it.
    pub(super) directory: PathBuf,
    /// The network namespace that it runs in, if it is not this process's own.
    pub(super) namespace: Option<String>,
    /// The secret file of its private network, if it belongs to one.
    pub(super) secrets: Option<PathBuf>,
}

impl Place {
    pub(super) fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    pub(super) fn log(&self) -> PathBuf {
        self.directory.join("node.log")
    }
}

/// How a node behaves that is about to be started.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manner {
    /// Its upkeep interval in seconds, where it is not the usual one.
    pub(crate) upkeep: Option<u64>,
    /// Whether it has a data directory.
    pub(crate) keeps_data: bool,
}

/// What the log has said so far.
#[derive(Clone, Copy, Debug, Default)]
struct Said {
    /// How long after its start it listened.
    listening: Option<Duration>,
    joined: bool,
    ended: bool,
}

/// A `dht_server` process with its log and its addresses.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    said: watch::Receiver<Said>,
    /// Where its log is.
    log: PathBuf,
}

/// Longer than anything here takes on a machine that is busy: a process that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(120);

impl Process {
    /// Starts a node that knows these peers. Must be called on the main thread: the kernel ends
    /// the node with the thread that started it.
    pub(super) fn start(
        program: &Path,
        place: &Place,
        manner: Manner,
        peers: &[SocketAddr],
    ) -> Result<Self, Failure> {
        let started = Instant::now();
        let mut child = command(program, place, manner, peers)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| cannot(program, &error))?;
        let log = place.log();
        let file = std::fs::OpenOptions::new().create(true).append(true).open(&log);
        let file = file.map_err(|error| cannot(&log, &error))?;
        let (sender, said) = watch::channel(Said::default());
        if let Some(stderr) = child.stderr.take() {
            tokio::spawn(follow(stderr, file, sender, started));
        }
        Ok(Self { child, said, log })
    }

    /// Waits until it listens. The answer is how long that took from its start.
    pub(super) async fn listening(&mut self) -> Result<Duration, Failure> {
        let said = self.until("listen", |said| said.listening.is_some()).await?;
        Ok(said.listening.unwrap_or_default())
    }

    /// Waits until it listens, or has ended. Whether it listened.
    pub(super) async fn listened(&mut self) -> Result<bool, Failure> {
        let said = self.told(|said| said.listening.is_some()).await;
        match said.listening {
            None if !said.ended => Err(self.unexpected("neither serves nor ends")),
            listening => Ok(listening.is_some()),
        }
    }

    /// Waits until it is part of a network.
    pub(super) async fn joined(&mut self) -> Result<(), Failure> {
        self.until("join the network", |said| said.joined).await.map(drop)
    }

    /// Bytes of memory that it takes up: its own, and its share of what it has in common.
    pub(super) fn bytes(&self) -> std::io::Result<u64> {
        let id = self.child.id().ok_or_else(|| std::io::Error::other("it has ended"))?;
        own_process::proportional_bytes_of(id)
    }

    /// Sends a signal.
    pub(super) fn signal(&self, signal: Signal) -> Result<(), Failure> {
        let id = self.child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        match id {
            Some(id) => kill_process(id, signal).map_err(Failure::failed),
            None => Err(self.unexpected("ended by itself")),
        }
    }

    /// Waits for its end. The answer is its exit status, and how long it took.
    pub(super) async fn ended(&mut self) -> Result<(ExitStatus, Duration), Failure> {
        let since = Instant::now();
        match tokio::time::timeout(PATIENCE, self.child.wait()).await {
            Ok(status) => Ok((status.map_err(Failure::failed)?, since.elapsed())),
            Err(_) => Err(self.unexpected("does not end")),
        }
    }

    async fn until(&mut self, what: &str, holds: impl Fn(&Said) -> bool) -> Result<Said, Failure> {
        let said = self.told(&holds).await;
        if holds(&said) { Ok(said) } else { Err(self.unexpected(&format!("did not {what}"))) }
    }

    /// What the log has said when this holds, or the process has ended, or hangs.
    async fn told(&mut self, holds: impl Fn(&Said) -> bool) -> Said {
        let waiting = self.said.wait_for(|said| holds(said) || said.ended);
        match tokio::time::timeout(PATIENCE, waiting).await {
            Ok(Ok(said)) => *said,
            _ => Said::default(),
        }
    }

    fn unexpected(&self, what: &str) -> Failure {
        Failure::Failed(format!("a node {what}; its log is {}", self.log.display()))
    }
}

fn command(program: &Path, place: &Place, manner: Manner, peers: &[SocketAddr]) -> Command {
    let mut command = match &place.namespace {
        None => Command::new(program),
        Some(namespace) => {
            let mut command = Command::new("ip");
            command.args(["netns", "exec", namespace]).arg(program);
            command
        }
    };
    // Nothing that is set for this process may reach the nodes.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("VOIDDHT_") {
            command.env_remove(name);
        }
    }
    command
        .arg("--die-with-parent")
        .args(["--host-address", &place.p2p.ip().to_string()])
        .args(["--p2p-port", &place.p2p.port().to_string()])
        .args(["--api-address", &place.api.ip().to_string()])
        .args(["--module-port", &place.api.port().to_string()])
        .args(["--loglevel", "info"]);
    if let Some(upkeep) = manner.upkeep {
        command.args(["--upkeep-interval", &upkeep.to_string()]);
    }
    if let Some(secrets) = &place.secrets {
        command.arg("--network-secret").arg(secrets);
    }
    if manner.keeps_data {
        command.arg("--data-dir").arg(place.data());
    }
    for peer in peers {
        command.args(["--peer", &peer.to_string()]);
    }
    command
}

/// Writes the log to its file, and notes what it tells, until the process ends.
async fn follow(
    stderr: ChildStderr,
    mut file: std::fs::File,
    said: watch::Sender<Said>,
    started: Instant,
) {
    let mut lines = BufReader::new(stderr).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        // A log that cannot be written must not fail the run.
        let _ = writeln!(file, "{line}");
        said.send_modify(|said| {
            if line.contains(" listening ") {
                said.listening = Some(started.elapsed());
            }
            said.joined |= line.contains("joined the network");
        });
    }
    said.send_modify(|said| said.ended = true);
}

fn cannot(what: &Path, error: &std::io::Error) -> Failure {
    Failure::Failed(format!("{}: {error}", what.display()))
}
