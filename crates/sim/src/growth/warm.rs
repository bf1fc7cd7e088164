//! A warm network: routing tables are filled from global knowledge, without messages, for sizes at
//! which joining takes longer than the experiment.
//!
//! Each table gets the most that it can contain: every bucket that splitting would make, filled
//! with random nodes of its range. Only joining is skipped. The shipped code decides which node
//! enters which bucket; it receives each contact as if it had just dialled it.

use std::time::Duration;

use rand::seq::{IndexedRandom, SliceRandom};
use voiddht_core::config::ConfigError;
use voiddht_wire::NodeId;

use super::Grown;
use crate::host::{HostId, HostOptions};
use crate::world::World;

/// How often progress is reported.
const TELL_EVERY: usize = 256;

impl World {
    /// Adds `count` hosts, and fills their tables.
    ///
    /// # Errors
    /// As [`World::grow`].
    pub fn grow_warm(
        &mut self,
        count: usize,
        options: HostOptions,
        filled: &mut dyn FnMut(usize),
    ) -> Result<Grown, ConfigError> {
        for _ in 0..count {
            self.add(options)?;
        }
        let mut all: Vec<(NodeId, HostId)> = Vec::with_capacity(self.hosts().len());
        for (index, host) in self.hosts().iter().enumerate() {
            all.push((host.info().id, HostId(index as u32)));
        }
        all.sort_unstable();
        let first = self.hosts().len() - count;
        let (k, b) = (self.config().node.k, self.config().node.b);
        for index in first..self.hosts().len() {
            let host = HostId(index as u32);
            let own = self.host(host).info().id;
            let mut contacts = Vec::new();
            self.draw_contacts(&all, 0, &own, (k, b), &mut contacts);
            // Which contact is least recently seen is left to chance.
            contacts.shuffle(self.random());
            self.seed_table(host, &contacts);
            if index % TELL_EVERY == 0 {
                filled(index - first);
            }
        }
        Ok(Grown { joined: count, took: Duration::ZERO })
    }

    /// Draws the contacts of the buckets into which the nodes of a slice fall, all of which share
    /// `depth` bits.
    fn draw_contacts(
        &mut self,
        nodes: &[(NodeId, HostId)],
        depth: usize,
        own: &NodeId,
        (k, b): (usize, usize),
        contacts: &mut Vec<HostId>,
    ) {
        let covers_own = nodes.binary_search_by_key(own, |(id, _)| *id).is_ok();
        if nodes.len() <= k + usize::from(covers_own) {
            let others = nodes.iter().filter(|(id, _)| id != own);
            contacts.extend(others.map(|(_, host)| *host));
        } else if covers_own || !depth.is_multiple_of(b) {
            let middle = nodes.partition_point(|(id, _)| !id.bit(depth));
            let (zeros, ones) = nodes.split_at(middle);
            self.draw_contacts(zeros, depth + 1, own, (k, b), contacts);
            self.draw_contacts(ones, depth + 1, own, (k, b), contacts);
        } else {
            contacts.extend(nodes.sample(self.random(), k).map(|(_, host)| *host));
        }
    }
}
