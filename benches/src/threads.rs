//! Threads that drive nodes, for the systems that run on tokio.
//!
//! Each has a runtime of its own, because a request that changes threads waits longer for that
//! than for everything else; as many threads as processors, and one for the nodes that will die.

use std::io;
use std::thread::JoinHandle;

use anyhow::Result;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use crate::network::Death;

/// Where the nodes of a network run.
#[derive(Debug)]
pub(crate) struct Threads {
    living: Vec<NodeThread>,
    doomed: Option<NodeThread>,
    first_doomed: usize,
}

/// A thread that drives a runtime until it is told how to end.
#[derive(Debug)]
pub(crate) struct NodeThread {
    runtime: Handle,
    end: oneshot::Sender<Death>,
    thread: JoinHandle<()>,
}

impl Threads {
    pub(crate) fn start(nodes: usize, doomed: usize) -> io::Result<Self> {
        let count = std::thread::available_parallelism()?.get();
        let living = (0..count).map(|_| NodeThread::start()).collect::<io::Result<_>>()?;
        let apart = (doomed > 0).then(NodeThread::start).transpose()?;
        Ok(Self { living, doomed: apart, first_doomed: nodes - doomed })
    }

    /// The runtime of this node.
    pub(crate) fn of(&self, node: usize) -> &Handle {
        match &self.doomed {
            Some(thread) if node >= self.first_doomed => &thread.runtime,
            _ => &self.living[node % self.living.len()].runtime,
        }
    }

    /// Ends the thread of the doomed nodes: with its runtime, all their tasks and sockets, or
    /// leaving them as they are, never to run again.
    pub(crate) fn kill(&mut self, death: Death) -> Result<()> {
        let Some(NodeThread { end, thread, .. }) = self.doomed.take() else { return Ok(()) };
        if end.send(death).is_err() {
            anyhow::bail!("the nodes' thread has ended by itself");
        }
        if death == Death::Killed && thread.join().is_err() {
            anyhow::bail!("the nodes' thread has panicked");
        }
        Ok(())
    }
}

impl NodeThread {
    pub(crate) fn start() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (end, ended) = oneshot::channel();
        let drive = move || {
            if runtime.block_on(ended) == Ok(Death::Silent) {
                loop {
                    std::thread::park();
                }
            }
        };
        let thread = std::thread::Builder::new().name("nodes".to_owned()).spawn(drive)?;
        Ok(Self { runtime: handle, end, thread })
    }

    pub(crate) fn runtime(&self) -> &Handle {
        &self.runtime
    }
}
