//! The nodes of a test network: spread over threads, each with a runtime of its own, because a
//! request that changes threads waits longer for that than for everything else.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use voiddht_node::http::Watched;
use voiddht_node::{Descriptors, Node, Settings};

use crate::outcome::Failure;
use crate::process;
use crate::test_network::{Joined, Joining};

/// Nodes that join concurrently. More of them would learn of one another later, not sooner.
const JOINING_AT_ONCE: usize = 8;
/// Peers that a node is started with. One would do, were it sure to live.
const KNOWN_PEERS: usize = 3;
/// What is to be started.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) nodes: usize,
    pub(super) threads: usize,
    pub(super) host: IpAddr,
    pub(super) base_port: Option<u16>,
    /// How long all of them may take to join.
    pub(super) deadline: Duration,
}

/// Nodes that have joined one another.
#[derive(Debug)]
pub(super) struct Network {
    nodes: Vec<Node>,
    threads: Vec<NodeThread>,
    joined_after: Duration,
    bytes_per_node: Option<u64>,
}

/// A thread that drives a runtime until it is asked to stop.
#[derive(Debug)]
struct NodeThread {
    runtime: Handle,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Network {
    /// Starts the first node, and then the others through some that have joined.
    pub(super) async fn start(plan: Plan, progress: Joining) -> Result<Self, Failure> {
        let threads: Result<Vec<_>, _> = (0..plan.threads).map(NodeThread::start).collect();
        let threads = threads.map_err(Failure::failed)?;
        let memory_before = process::resident_bytes();
        let started = Instant::now();
        let joining = join_all(&plan, &threads, &progress);
        let nodes = match tokio::time::timeout(plan.deadline, joining).await {
            Ok(nodes) => nodes?,
            Err(_) => return Err(progress.late(plan.deadline)),
        };
        let joined_after = started.elapsed();
        progress.finish();
        let grown = match (memory_before, process::resident_bytes()) {
            (Ok(before), Ok(after)) => Some(after.saturating_sub(before) / plan.nodes as u64),
            _ => None,
        };
        Ok(Self { nodes, threads, joined_after, bytes_per_node: grown })
    }

    /// The nodes, to be observed.
    pub(super) fn watched(&self) -> Vec<Watched> {
        let nodes = self.nodes.iter().enumerate();
        nodes
            .map(|(index, node)| Watched {
                handle: node.handle(),
                label: Some(format!("node {index}")),
            })
            .collect()
    }

    /// What is measured of it, and where it is asked.
    pub(super) fn joined(&self) -> Joined {
        Joined {
            apis: self.nodes.iter().filter_map(Node::api_address).collect(),
            threads: Some(self.threads.len()),
            after: self.joined_after,
            bytes_per_node: self.bytes_per_node,
        }
    }

    /// Ends all nodes at once. They say no goodbye: no peer is left to receive it.
    pub(super) fn stop(self) {
        let Self { nodes, threads, .. } = self;
        drop(nodes);
        for NodeThread { stop, thread, .. } in threads {
            drop(stop);
            // A panic in a node has been reported when it happened.
            let _ = thread.join();
        }
    }
}

async fn join_all(
    plan: &Plan,
    threads: &[NodeThread],
    progress: &Joining,
) -> Result<Vec<Node>, Failure> {
    let mut joined: Vec<Option<Node>> = (0..plan.nodes).map(|_| None).collect();
    let mut known: VecDeque<SocketAddr> = VecDeque::new();
    let mut joining = JoinSet::new();
    let mut next = 0;
    let descriptors = Descriptors::of_process().for_nodes(plan.nodes);
    loop {
        // No node can join before the first one is up.
        let at_once = if known.is_empty() { 1 } else { JOINING_AT_ONCE };
        while next < plan.nodes && joining.len() < at_once {
            let mut settings =
                plan.settings(next, known.iter().take(KNOWN_PEERS).copied().collect());
            settings.descriptors = descriptors.clone();
            let thread = &threads[next % threads.len()];
            joining.spawn_on(join_one(next, settings), &thread.runtime);
            // The next one asks others, so that no node is the first of all others.
            known.rotate_left(KNOWN_PEERS.min(known.len()));
            next += 1;
        }
        let Some(ended) = joining.join_next().await else {
            return Ok(joined.into_iter().flatten().collect());
        };
        let (index, node) = ended.map_err(Failure::failed)??;
        known.push_back(node.p2p_address());
        joined[index] = Some(node);
        progress.advance();
    }
}

async fn join_one(index: usize, settings: Settings) -> Result<(usize, Node), Failure> {
    let node = Node::start(settings).await.map_err(Failure::failed)?;
    node.joined().await;
    Ok((index, node))
}

impl Plan {
    fn settings(&self, index: usize, peers: Vec<SocketAddr>) -> Settings {
        // Two for each node, and the last has been checked to be a port.
        let port = |offset: usize| {
            let port = self.base_port.map(|base| usize::from(base) + 2 * index + offset);
            port.and_then(|port| u16::try_from(port).ok()).unwrap_or(0)
        };
        Settings {
            host: self.host,
            api: Some(SocketAddr::new(self.host, port(0))),
            p2p_port: port(1),
            peers: peers.into_iter().map(Into::into).collect(),
            ..Settings::loopback()
        }
    }
}

impl NodeThread {
    fn start(index: usize) -> std::io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel();
        let drive = move || {
            // Ends with an error when the sender is dropped, which means the same.
            let _ = runtime.block_on(stopped);
        };
        let thread = std::thread::Builder::new().name(format!("nodes-{index}")).spawn(drive)?;
        Ok(Self { runtime: handle, stop, thread })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_come_in_pairs() {
        let (host, base_port) = ([127, 0, 0, 1].into(), Some(7401));
        let plan = Plan { nodes: 3, threads: 2, host, base_port, deadline: Duration::MAX };
        let settings = plan.settings(2, Vec::new());
        assert_eq!((settings.api.unwrap().port(), settings.p2p_port), (7405, 7406));
    }
}
