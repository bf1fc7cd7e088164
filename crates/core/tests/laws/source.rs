//! Choices out of bytes, and the nodes that they choose among.

use std::net::Ipv4Addr;

use bytes::Bytes;
use voiddht_core::diversity::DiversityLimits;
use voiddht_core::record::value::VerifiedValue;
use voiddht_core::time::WallTime;
use voiddht_wire::peer::NodeInfo;
use voiddht_wire::{Key, NodeId, PeerAddress};

/// A value of a key, which is no envelope.
pub(crate) fn verified(key: &Key, value: &Bytes) -> VerifiedValue {
    VerifiedValue::check(key, value, WallTime::default()).expect("it is no envelope")
}

/// Bytes that choices are made from; zeros once they are used up.
pub(crate) struct Source<'a>(&'a [u8]);

impl<'a> Source<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    pub(crate) fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    /// A number below `bound`, which is not 0.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::from(u16::from_be_bytes([self.byte(), self.byte()])) % bound
    }

    pub(crate) fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[usize::from(self.byte()) % all.len()]
    }
}

/// The searching node.
pub(crate) fn own() -> NodeId {
    NodeId::from_bytes([0x77; 32])
}

/// A node: the upper half of the numbers sits close to key 0. Every sixteenth cannot be dialled,
/// and the last one has the ID of the one that searches.
pub(crate) fn node(number: u8) -> NodeInfo {
    let mut id = Key::of_value(&[number]).to_bytes();
    if number >= 128 {
        id[..4].fill(0);
    }
    let ip = Ipv4Addr::new(198, 51, 100 + number % 8, number);
    let port = if number % 16 == 15 { 0 } else { 7402 };
    let id = if number == 254 { own() } else { NodeId::from_bytes(id) };
    NodeInfo { address: PeerAddress::new(ip.into(), port), id }
}

/// A few nodes, each once.
pub(crate) fn nodes(source: &mut Source<'_>, most: usize) -> Vec<NodeInfo> {
    let (first, step, count) = (source.byte(), source.byte() | 1, source.below(most + 1));
    (0..count).map(|index| node(first.wrapping_add(step.wrapping_mul(index as u8)))).collect()
}

pub(crate) fn diversity(source: &mut Source<'_>) -> DiversityLimits {
    let few = DiversityLimits { per_site: 2, ..DiversityLimits::NONE };
    source.one_of(&[DiversityLimits::NONE, few])
}
