//! A fleet: nodes as separate processes, each with an address and a directory. `process` is one of
//! them, `addresses` assigns addresses, `entries` has the connections with their module APIs.

mod addresses;
pub(super) mod entries;
mod process;

use std::collections::BTreeMap;
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::rc::Rc;
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;
use voiddht_cli::outcome::Failure;

use self::addresses::Addresses;
use self::entries::Entries;
pub(super) use self::process::Manner;
use self::process::{Place, Process};

/// Peers that a node is started with. One would do, were it sure to live.
const KNOWN_PEERS: usize = 3;
/// Nodes that are started concurrently, so that a machine with few processors is not all starts.
const STARTED_AT_ONCE: usize = 8;

/// See the module's description. Nodes are numbered in the order in which they were first
/// started.
#[derive(Debug)]
pub(super) struct Fleet {
    program: PathBuf,
    manner: Manner,
    /// Removed with everything in it, unless it is kept.
    directory: TempDir,
    addresses: Addresses,
    places: Vec<Place>,
    running: BTreeMap<usize, Process>,
    /// What a new node has in the file of its private network's secrets, where there is one.
    secrets: Option<String>,
    entries: Rc<Entries>,
}

/// What became of a node that found its data damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Damaged {
    /// It started: nothing that was in use is gone.
    Mended,
    /// It refused, and was started without the file.
    Refused,
}

/// How long starts took until the node listened.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Slowest(pub(super) Duration);

impl Fleet {
    /// No nodes, yet.
    pub(super) fn new(
        parent: &Path,
        manner: Manner,
        entries: Rc<Entries>,
    ) -> Result<Self, Failure> {
        let directory = tempfile::Builder::new().prefix("voiddht-").tempdir_in(parent);
        let directory =
            directory.map_err(|error| Failure::Failed(format!("{}: {error}", parent.display())))?;
        Ok(Self {
            program: server_program()?,
            manner,
            directory,
            addresses: Addresses::claim()?,
            places: Vec::new(),
            running: BTreeMap::new(),
            secrets: None,
            entries,
        })
    }

    /// The same as nodes of a private network that have these secrets.
    pub(super) fn with_secrets(self, secrets: Option<String>) -> Self {
        Self { secrets, ..self }
    }

    /// Replaces what a node has in its secret file.
    pub(super) fn write_secrets(&self, number: usize, secrets: &str) -> Result<(), Failure> {
        let file = self.places[number].secrets.as_deref();
        file.map_or(Ok(()), |file| write_secrets(file, secrets)).map_err(Failure::failed)
    }

    /// A new node's number and place, on a loopback address of its own.
    pub(super) fn add(&mut self) -> Result<usize, Failure> {
        let (p2p, api) = self.addresses.next()?;
        self.add_at(p2p, api, None)
    }

    /// The same, at these addresses of a network namespace.
    pub(super) fn add_at(
        &mut self,
        p2p: SocketAddr,
        api: SocketAddr,
        namespace: Option<String>,
    ) -> Result<usize, Failure> {
        let number = self.places.len();
        let directory = self.directory.path().join(format!("node-{number}"));
        std::fs::create_dir(&directory).map_err(Failure::failed)?;
        let secrets = self.secrets.as_ref().map(|secrets| (directory.join("net.secret"), secrets));
        if let Some((file, secrets)) = &secrets {
            write_secrets(file, secrets).map_err(Failure::failed)?;
        }
        let secrets = secrets.map(|(file, _)| file);
        self.places.push(Place { p2p, api, directory, namespace, secrets });
        Ok(number)
    }

    /// Adds this many nodes on loopback and brings them together: each knows a few that were
    /// started before it. `joined` is called once for each.
    pub(super) async fn found(&mut self, count: usize, joined: impl Fn()) -> Result<(), Failure> {
        let numbers: Vec<usize> = (0..count).map(|_| self.add()).collect::<Result<_, _>>()?;
        self.found_of(&numbers, joined).await
    }

    /// The same, of nodes that were added already.
    pub(super) async fn found_of(
        &mut self,
        numbers: &[usize],
        joined: impl Fn(),
    ) -> Result<(), Failure> {
        let Some((first, others)) = numbers.split_first() else { return Ok(()) };
        self.start(*first, &[])?;
        self.listening(*first).await?;
        joined();
        let mut started = 1;
        for some in others.chunks(STARTED_AT_ONCE) {
            for number in some {
                let peers: Vec<_> =
                    numbers[..started].iter().rev().take(KNOWN_PEERS).copied().collect();
                self.start(*number, &self.p2p_of(&peers))?;
            }
            for number in some {
                self.joined(*number).await?;
                joined();
            }
            started += some.len();
        }
        // The first has joined with the second.
        if !others.is_empty() {
            self.joined(*first).await?;
        }
        Ok(())
    }

    /// Starts a node, for the first time or again.
    pub(super) fn start(&mut self, number: usize, peers: &[SocketAddr]) -> Result<(), Failure> {
        let process = Process::start(&self.program, &self.places[number], self.manner, peers)?;
        self.running.insert(number, process);
        Ok(())
    }

    /// Waits until a node listens; from then on it is asked as the others are.
    pub(super) async fn listening(&mut self, number: usize) -> Result<Duration, Failure> {
        let took = self.process(number)?.listening().await?;
        self.entries.open(number, self.places[number].api);
        Ok(took)
    }

    /// Waits until a node is part of the network.
    pub(super) async fn joined(&mut self, number: usize) -> Result<Duration, Failure> {
        let took = self.listening(number).await?;
        self.process(number)?.joined().await?;
        Ok(took)
    }

    /// Starts nodes again that do not run, all at once and without telling them of any peer, and
    /// waits until all of these have found each other.
    pub(super) async fn restart(&mut self, numbers: &[usize]) -> Result<Slowest, Failure> {
        for number in numbers {
            if !self.running.contains_key(number) {
                self.start(*number, &[])?;
            }
        }
        let mut slowest = Slowest::default();
        for number in numbers {
            slowest.0 = slowest.0.max(self.listening(*number).await?);
        }
        for number in numbers {
            self.process(*number)?.joined().await?;
        }
        Ok(slowest)
    }

    /// Starts a node whose data was damaged, without telling it of any peer. Whether it had to be
    /// told: one that refuses must say which file it does not read, and starts without it.
    pub(super) async fn restart_damaged(
        &mut self,
        number: usize,
        file: &Path,
    ) -> Result<Damaged, Failure> {
        self.start(number, &[])?;
        if self.process(number)?.listened().await? {
            return Ok(Damaged::Mended);
        }
        let (status, _) = self.ended(number).await?;
        let log = std::fs::read_to_string(self.places[number].log()).map_err(Failure::failed)?;
        let last = log.lines().last().unwrap_or_default();
        let names_it = last.contains(&file.display().to_string()) && last.contains("move it away");
        if status.code() != Some(1) || !names_it {
            return Err(Failure::Failed(format!("node {number} ended with {status}: {last}")));
        }
        std::fs::rename(file, file.with_extension("away")).map_err(Failure::failed)?;
        self.start(number, &[])?;
        Ok(Damaged::Refused)
    }

    /// Ends these nodes by SIGKILL, all of them before the first is waited for.
    pub(super) async fn kill(&mut self, numbers: &[usize]) -> Result<(), Failure> {
        for number in numbers {
            self.entries.ending(*number);
        }
        for number in numbers {
            self.process(*number)?.signal(Signal::KILL)?;
        }
        for number in numbers {
            self.ended(*number).await?;
        }
        Ok(())
    }

    /// Ends a node by SIGTERM. The answer is its exit status, and how long it took.
    pub(super) async fn stop(&mut self, number: usize) -> Result<(ExitStatus, Duration), Failure> {
        self.entries.ending(number);
        self.process(number)?.signal(Signal::TERM)?;
        self.ended(number).await
    }

    /// The nodes that run.
    pub(super) fn running(&self) -> Vec<usize> {
        self.running.keys().copied().collect()
    }

    /// Where these nodes serve peers.
    pub(super) fn p2p_of(&self, numbers: &[usize]) -> Vec<SocketAddr> {
        numbers.iter().map(|number| self.places[*number].p2p).collect()
    }

    /// Where a node serves local programs.
    pub(super) fn api_of(&self, number: usize) -> SocketAddr {
        self.places[number].api
    }

    /// Bytes of memory that each node takes up which runs. Of what they share, as the program itself,
    /// each is counted its share.
    pub(super) fn bytes(&self) -> std::io::Result<Vec<u64>> {
        self.running.values().map(Process::bytes).collect()
    }

    /// What a node keeps.
    pub(super) fn data_of(&self, number: usize) -> PathBuf {
        self.places[number].data()
    }

    /// Keeps the directories and logs, to find out what went wrong.
    pub(super) fn keep(mut self) -> PathBuf {
        self.running.clear();
        self.directory.disable_cleanup(true);
        self.directory.path().to_owned()
    }

    async fn ended(&mut self, number: usize) -> Result<(ExitStatus, Duration), Failure> {
        let ended = self.process(number)?.ended().await?;
        self.running.remove(&number);
        self.entries.close(number);
        Ok(ended)
    }

    fn process(&mut self, number: usize) -> Result<&mut Process, Failure> {
        let process = self.running.get_mut(&number);
        process.ok_or_else(|| Failure::Failed(format!("node {number} does not run")))
    }
}

/// A file that its owner alone can read, as a node demands. It takes the place of an earlier one as a
/// whole: a node that reloads meanwhile reads one of the two.
fn write_secrets(file: &Path, secrets: &str) -> std::io::Result<()> {
    let new = file.with_extension("new");
    let mut options = std::fs::OpenOptions::new();
    options.create(true).write(true).truncate(true).mode(0o600);
    options.open(&new)?.write_all(secrets.as_bytes())?;
    std::fs::rename(new, file)
}

/// `dht_server`, beside this program.
fn server_program() -> Result<PathBuf, Failure> {
    let own = std::env::current_exe().map_err(Failure::failed)?;
    let server = own.with_file_name("dht_server");
    match server.is_file() {
        true => Ok(server),
        false => Err(Failure::Failed(format!("{}: there is no such program", server.display()))),
    }
}
