//! Filling a world with nodes that have joined each other.

use std::time::Duration;

use rand::RngExt;
use voiddht_core::config::ConfigError;
use voiddht_core::event::{Command, Outcome};
use voiddht_core::time::Moment;

use crate::host::{HostId, HostOptions};
use crate::world::World;

mod warm;

/// The longest that a joining network may take, in virtual time.
const PATIENCE: Duration = Duration::from_secs(24 * 3600);

/// How a network comes into being.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Growth {
    /// Nodes that start at the same moment, at least.
    pub at_once: usize,
    /// As a share of those that are there, how many start at the same moment: with it a large
    /// network grows as quickly as a small one.
    pub share: f64,
    /// The pause after that.
    pub pause: Duration,
    /// Peers that a joining node is given, chosen among those that started before.
    pub peers: usize,
    /// The settings of each host.
    pub options: HostOptions,
}

impl Default for Growth {
    fn default() -> Self {
        Self {
            at_once: 1,
            share: 0.0,
            pause: Duration::from_millis(100),
            peers: 3,
            options: HostOptions::default(),
        }
    }
}

/// What growing took.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Grown {
    /// Nodes whose join has ended.
    pub joined: usize,
    /// Virtual time until the last of them had.
    pub took: Duration,
}

impl World {
    /// Adds `count` hosts and lets them join, and waits until all have.
    ///
    /// # Errors
    /// If the world's settings of the node contradict each other.
    pub fn grow(&mut self, count: usize, growth: Growth) -> Result<Grown, ConfigError> {
        self.grow_watched(count, growth, &mut |_| {})
    }

    /// As [`Self::grow`], and tells again and again how many have joined.
    ///
    /// # Errors
    /// As [`Self::grow`].
    pub fn grow_watched(
        &mut self,
        count: usize,
        growth: Growth,
        joined: &mut dyn FnMut(usize),
    ) -> Result<Grown, ConfigError> {
        let began = self.now();
        let mut grown = Grown::default();
        let mut due = began;
        let mut left = count;
        while left > 0 {
            // Those that start together know only those that were there before.
            let known = self.hosts().len();
            let wave = growth.at_once.max((known as f64 * growth.share) as usize).clamp(1, left);
            for number in 0..wave {
                let known = if known == 0 { number } else { known };
                let peers = self.some_addresses(known, growth.peers);
                let host = self.add(growth.options)?;
                self.command(host, Command::join(peers));
            }
            left -= wave;
            due = due + growth.pause;
            self.run_counting(due, began, &mut grown);
            joined(grown.joined);
        }
        let end = self.now() + PATIENCE;
        while grown.joined < count {
            let Some(at) = self.next_event_at().filter(|at| *at <= end) else { break };
            self.run_counting(at + growth.pause, began, &mut grown);
            joined(grown.joined);
        }
        Ok(grown)
    }

    fn run_counting(&mut self, until: Moment, began: Moment, grown: &mut Grown) {
        while let Some(ended) = self.run_until_ended(until) {
            if let Outcome::Joined { .. } = ended.outcome {
                grown.joined += 1;
                grown.took = self.now().since(began);
            }
        }
        self.run_until(until);
    }

    fn some_addresses(&mut self, among: usize, count: usize) -> Vec<voiddht_wire::PeerAddress> {
        (0..count.min(among))
            .map(|_| {
                let host = HostId(self.random().random_range(0..among as u32));
                self.host(host).info().address
            })
            .collect()
    }
}
