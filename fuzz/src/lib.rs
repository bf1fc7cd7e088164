//! What the fuzz targets share: choices out of bytes, clocks that stand still, and a node that has
//! to live with what a disk held.

use std::sync::Arc;

use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use voiddht_core::time::{Moment, Now, WallTime};
use voiddht_core::{Config, Node};
use voiddht_store::{Loaded, OnCompletion, Reading, TimeSource};
use voiddht_wire::peer::NodeInfo;
use voiddht_wire::{NodeId, PeerAddress};

/// The day on which everything happens, in seconds since 1970: within the validity of the
/// certificates among the seeds.
pub const TODAY: u64 = 1_800_000_000;

/// Bytes that choices are made from; zeros once they are used up.
#[derive(Debug)]
pub struct Source<'a>(pub &'a [u8]);

impl<'a> Source<'a> {
    /// The next byte.
    pub fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    /// The next bytes, zeros where there are no more.
    pub fn array<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.byte())
    }

    /// A number, big-endian.
    pub fn number(&mut self) -> u16 {
        u16::from_be_bytes(self.array())
    }

    /// As many of the next bytes as there are, up to `most`.
    pub fn slice(&mut self, most: usize) -> &'a [u8] {
        let (slice, rest) = self.0.split_at(most.min(self.0.len()));
        self.0 = rest;
        slice
    }

    /// Whether all is used up.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Clocks that stand still, so that a run is the same each time.
#[derive(Debug)]
pub struct Still;

impl Still {
    /// For those who want one.
    pub fn clocks() -> Arc<dyn TimeSource> {
        Arc::new(Self)
    }
}

impl TimeSource for Still {
    fn read(&self) -> Reading {
        let wall = WallTime::from_millis(TODAY * 1000);
        Reading { boot: Some([7; 16]), since_boot: 1 << 32, wall }
    }
}

/// Ignores how writes ended.
pub fn unheard() -> OnCompletion {
    Box::new(|_| {})
}

/// Starts a node with what was read from a disk, as the daemon does, and lets it do its first work.
/// Nothing that lies on a disk may stop that.
pub fn live_with(loaded: Loaded) {
    let own = NodeInfo {
        address: PeerAddress::new([192, 0, 2, 1].into(), 7402),
        id: NodeId::from_bytes([0x5a; 32]),
    };
    let config = Config::default();
    let most = config.records;
    let mut node =
        Node::new(own, config, ChaCha8Rng::seed_from_u64(1)).expect("defaults are right");
    let wall = WallTime::from_millis(TODAY * 1000);
    let now = Now::never_suspended(Moment::from_micros(1), wall);
    let records = loaded.records.into_iter().map(|loaded| {
        assert!(!loaded.remaining.is_zero(), "what has expired does not come back");
        (loaded.record, loaded.remaining)
    });
    node.restore(now, records.collect());
    while node.poll_output().is_some() {}
    assert!(node.records().len() <= most.max_records && node.records().bytes() <= most.max_bytes);
}
