//! The interface that a system implements to be measured.

use anyhow::Result;
use bytes::Bytes;
use rand::rngs::ChaCha8Rng;
use rand::{Rng, RngExt};

/// Bytes of a value. All systems carry it in one packet.
pub(crate) const VALUE_BYTES: usize = 100;

/// A network of one system's nodes in this process, on loopback.
pub(crate) trait Network: Sized {
    /// Starts this many nodes; returns when each knows min(20, all) others, or has done what is
    /// next to it where a system does not tell. The last `doomed` of them will be killed together:
    /// a driver may put them onto a thread that it can stop.
    async fn start(nodes: usize, doomed: usize) -> Result<Self>;

    /// Stores a value by this node, on as many replicas as the system means to; returns when
    /// they have confirmed it.
    async fn put(&self, node: usize, item: &Item) -> Result<()>;

    /// Finds a value by this node, as soon as the system would give it to its user.
    async fn get(&self, node: usize, item: &Item) -> Result<Option<Found>>;

    /// Takes the doomed nodes out of the network.
    async fn kill(&mut self, death: Death) -> Result<()>;
}

/// How nodes die.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Death {
    /// As a process does: sockets are closed, without a goodbye.
    Killed,
    /// As a machine that hangs: sockets stay open, packets are accepted, nothing answers.
    Silent,
}

/// A key and its value. A system whose keys are hashes of the value does not use the key.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) key: [u8; 32],
    pub(crate) value: Bytes,
}

/// What a GET found.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) value: Bytes,
    /// The node had it, and asked no other; `None` where a system does not tell.
    pub(crate) own_store: Option<bool>,
}

impl Item {
    pub(crate) fn random(random: &mut ChaCha8Rng) -> Self {
        let mut value = vec![0; VALUE_BYTES];
        random.fill_bytes(&mut value);
        Self { key: random.random(), value: value.into() }
    }
}
