//! The nodes of a test network as processes of their own: what a node costs where it does not share
//! its process, and whether many of them get along on one machine.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;

use super::super::fleet::entries::Entries;
use super::super::fleet::{Fleet, Manner};
use super::progress::Progress;
use crate::outcome::Failure;

/// Processes that have joined one another. Dropped, they are killed.
#[derive(Debug)]
pub(super) struct Processes {
    fleet: Fleet,
    joined_after: Duration,
}

impl Processes {
    /// Starts them, a few at a time, and waits until the last has joined.
    pub(super) async fn start(
        nodes: usize,
        deadline: Duration,
        progress: Progress,
    ) -> Result<Self, Failure> {
        // The load has connections of its own: these make no choice, so their seed does not matter.
        let entries = Rc::new(Entries::new(ChaCha8Rng::seed_from_u64(0)));
        let manner = Manner { upkeep: None, keeps_data: false };
        let mut fleet = Fleet::new(&std::env::temp_dir(), manner, entries)?;
        let started = Instant::now();
        let joining = fleet.found(nodes, || progress.advance());
        match tokio::time::timeout(deadline, joining).await {
            Ok(joined) => joined?,
            Err(_) => return Err(progress.late(deadline)),
        }
        let joined_after = started.elapsed();
        progress.finish();
        Ok(Self { fleet, joined_after })
    }

    /// Where the nodes' module APIs listen.
    pub(super) fn apis(&self) -> Vec<SocketAddr> {
        self.fleet.running().into_iter().map(|number| self.fleet.api_of(number)).collect()
    }

    /// From the start of the first node until the last had joined.
    pub(super) fn joined_after(&self) -> Duration {
        self.joined_after
    }

    /// Memory that the largest of them takes up.
    pub(super) fn bytes_per_node(&self) -> Option<u64> {
        self.fleet.bytes().ok()?.into_iter().max()
    }
}
