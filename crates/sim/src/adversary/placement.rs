//! Placement of adversaries in a world.

use std::net::Ipv4Addr;

use rand::RngExt;
use rand::seq::SliceRandom;
use voiddht_core::config::ConfigError;
use voiddht_core::event::Command;
use voiddht_wire::peer::NodeInfo;
use voiddht_wire::{Key, NodeId, PeerAddress};

use super::kind::Kind;
use crate::host::{HostId, HostOptions};
use crate::world::World;

/// The first address of hosts that share prefixes.
const FIRST_SITE: u32 = 0x2d00_0001;
/// Where they listen.
const PORT: u16 = 7402;
/// Honest peers of which a new host is told.
const PEERS: usize = 3;

/// Where the adversaries sit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Placement {
    /// This share of the honest nodes that run, 0 to 1, chosen at random, turns hostile.
    Share(f64),
    /// `count` of the `among` honest nodes closest to a point turn hostile.
    Around {
        /// The point.
        point: Key,
        /// How many turn.
        count: usize,
        /// Among how many they are chosen, at random.
        among: usize,
    },
    /// New nodes come that have ground their IDs to lie close to a point.
    Ground {
        /// The point.
        point: Key,
        /// How many come.
        count: usize,
        /// Their IDs share a prefix with the point, and are random after it. It is the longest that so many
        /// honest nodes have too; for 0 it is a bit longer than that of the closest.
        among: usize,
    },
    /// New nodes come, anywhere.
    New {
        /// How many come.
        count: usize,
    },
}

/// Adversaries of one kind on their way into a world.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Infiltration {
    /// What they are.
    pub kind: Kind,
    /// Where they sit.
    pub placement: Placement,
    /// Behind how many /24s new nodes are; `None` gives each one of its own, which is what costs
    /// an attacker most.
    pub sites: Option<usize>,
    /// The key that they are after; `None` is the point around which they sit, if there is one.
    pub key: Option<Key>,
}

impl Infiltration {
    /// Adversaries with addresses of their own, after the point around which they sit.
    pub fn new(kind: Kind, placement: Placement) -> Self {
        Self { kind, placement, sites: None, key: None }
    }

    fn key(&self) -> Key {
        let point = match self.placement {
            Placement::Around { point, .. } | Placement::Ground { point, .. } => Some(point),
            Placement::Share(_) | Placement::New { .. } => None,
        };
        self.key.or(point).unwrap_or_default()
    }
}

impl World {
    /// Lets adversaries in, and says which hosts they are. New ones are told to join; nothing
    /// waits for that.
    ///
    /// # Errors
    /// If the world's settings of the node contradict each other.
    pub fn infiltrate(&mut self, plan: &Infiltration) -> Result<Vec<HostId>, ConfigError> {
        let honest: Vec<(HostId, NodeInfo)> =
            self.honest().map(|(host, node)| (host, node.own())).collect();
        let hosts = match plan.placement {
            Placement::Share(share) => {
                let count = (honest.len() as f64 * share.clamp(0.0, 1.0)).round() as usize;
                self.some_of(honest, count)
            }
            Placement::Around { point, count, among } => {
                let mut near = honest;
                near.sort_unstable_by_key(|(_, node)| point.distance(&node.id));
                near.truncate(among);
                self.some_of(near, count)
            }
            Placement::Ground { point, count, among } => {
                let mut distances: Vec<_> =
                    honest.iter().map(|(_, node)| point.distance(&node.id)).collect();
                distances.sort_unstable();
                let last = distances.get(among.saturating_sub(1)).or(distances.last());
                let shared = last.map_or(0, |distance| distance.leading_zeros()) as usize;
                let bits = if among == 0 { shared + 1 } else { shared };
                self.newcomers(count, plan.sites, Some((point, bits)))?
            }
            Placement::New { count } => self.newcomers(count, plan.sites, None)?,
        };
        for (number, host) in hosts.iter().enumerate() {
            self.corrupt(*host, plan.kind.make(number, plan.key()));
        }
        let victims = self.honest().map(|(_, node)| node.own()).collect();
        self.cabal_mut().crawled(victims);
        if matches!(plan.placement, Placement::Ground { .. } | Placement::New { .. }) {
            for host in &hosts {
                let peers = self.peers_to_join();
                self.command(*host, Command::join(peers));
            }
        }
        Ok(hosts)
    }

    fn some_of(&mut self, mut nodes: Vec<(HostId, NodeInfo)>, count: usize) -> Vec<HostId> {
        nodes.shuffle(self.random());
        nodes.into_iter().take(count).map(|(host, _)| host).collect()
    }

    /// New hosts, whose IDs share their first bits with a point where one is given.
    fn newcomers(
        &mut self,
        count: usize,
        sites: Option<usize>,
        near: Option<(Key, usize)>,
    ) -> Result<Vec<HostId>, ConfigError> {
        let first = self.hosts().len() as u32;
        let sites = sites.unwrap_or(count).max(1) as u32;
        let mut hosts = Vec::with_capacity(count);
        for number in 0..count as u32 {
            let random = NodeId::from_bytes(self.random().random());
            let id = near.map_or(random, |(point, bits)| {
                (0..bits.min(voiddht_wire::id::ID_BITS))
                    .fold(random, |id, bit| id.with_bit(bit, point.bit(bit)))
            });
            // No two infiltrations share a prefix: the hosts of the first are counted in `first`.
            let place = ((first + number % sites) << 8) + (number / sites) % 254;
            let address = PeerAddress::new(Ipv4Addr::from(FIRST_SITE + place).into(), PORT);
            let port = (PORT as u32 + number / sites / 254) as u16;
            let info = Some(NodeInfo { address: address.with_port(port), id });
            hosts.push(self.add(HostOptions { info, ..HostOptions::default() })?);
        }
        Ok(hosts)
    }

    fn peers_to_join(&mut self) -> Vec<PeerAddress> {
        let victims = self.cabal_mut().victims().to_vec();
        (0..PEERS.min(victims.len()))
            .map(|_| victims[self.random().random_range(0..victims.len())].address)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::WorldConfig;

    /// Distances from the point of a hundred honest nodes, nearest first, and of IDs ground among so many.
    fn distances(among: usize) -> (Vec<f64>, Vec<f64>) {
        let mut world = World::new(WorldConfig::default(), 3);
        world.grow_warm(100, HostOptions::default(), &mut |_| {}).unwrap();
        let point = Key::default();
        let of = |id: &NodeId| point.distance(id).as_fraction();
        let mut honest: Vec<f64> = world.honest().map(|(_, node)| of(&node.own().id)).collect();
        honest.sort_unstable_by(f64::total_cmp);
        let ground = Placement::Ground { point, count: 50, among };
        let hosts = world.infiltrate(&Infiltration::new(Kind::Sybil, ground)).unwrap();
        (honest, hosts.iter().map(|host| of(&world.host(*host).info().id)).collect())
    }

    #[test]
    fn ground_ids_are_closer_than_any_honest_node_or_spread_among_the_closest() {
        let (honest, ground) = distances(0);
        assert!(ground.iter().all(|at| *at < honest[0]));
        let (honest, ground) = distances(20);
        assert!(ground.iter().all(|at| *at < 2.0 * honest[19]));
        assert!(ground.iter().any(|at| *at > honest[9]) && ground.iter().any(|at| *at < honest[9]));
    }
}
