//! Corrections of peers whose maintenance copy lost: each peer at most once per key and upkeep
//! interval.
//!
//! Two nodes may disagree on which record wins, because of their clocks or versions. If each
//! refused copy were answered with a copy, such nodes would answer each other without end. A peer
//! that still lacks the record after its correction receives it by the next renewal.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use voiddht_wire::{Key, NodeId};

use crate::time::Moment;

/// Corrections remembered, at most: 3 MiB at about 180 bytes each. Beyond it none is sent until the
/// oldest is an interval old; renewal sends what was not. A guess.
const MAX_CORRECTIONS: usize = 16_384;

/// As many corrections as are remembered were sent within the interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CorrectionsFull;

/// Recent corrections, by peer and key.
#[derive(Debug, Default)]
pub(super) struct Corrections {
    sent: BTreeSet<(Key, NodeId)>,
    by_age: VecDeque<(Moment, Key, NodeId)>,
}

impl Corrections {
    /// Whether this peer may be sent this key's record now; then that is remembered.
    pub(super) fn admit(
        &mut self,
        key: Key,
        peer: NodeId,
        interval: Duration,
        now: Moment,
    ) -> Result<bool, CorrectionsFull> {
        while let Some((at, key, peer)) = self.by_age.front().copied()
            && now.since(at) >= interval
        {
            self.by_age.pop_front();
            self.sent.remove(&(key, peer));
        }
        if self.sent.contains(&(key, peer)) {
            return Ok(false);
        }
        if self.by_age.len() >= MAX_CORRECTIONS {
            return Err(CorrectionsFull);
        }
        self.sent.insert((key, peer));
        self.by_age.push_back((now, key, peer));
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(3600);

    fn at(seconds: u64) -> Moment {
        Moment::default() + Duration::from_secs(seconds)
    }

    #[test]
    fn a_peer_is_corrected_once_per_key_and_interval() {
        let mut corrections = Corrections::default();
        let mut admit = |key: &[u8], peer: u8, seconds| {
            let peer = NodeId::from_bytes([peer; 32]);
            corrections.admit(Key::of_value(key), peer, INTERVAL, at(seconds)).unwrap()
        };
        assert!(admit(b"a", 1, 0));
        assert!(!admit(b"a", 1, 3599));
        assert!(admit(b"b", 1, 1) && admit(b"a", 2, 1), "another key, another peer");
        assert!(admit(b"a", 1, 3600));
        assert!(!admit(b"b", 1, 3600));
    }

    #[test]
    fn at_the_limit_none_is_sent_until_the_oldest_is_forgotten() {
        let mut corrections = Corrections::default();
        let peer = NodeId::default();
        let mut admit = |n: usize, seconds| {
            corrections.admit(Key::of_value(&n.to_be_bytes()), peer, INTERVAL, at(seconds))
        };
        for n in 0..MAX_CORRECTIONS {
            assert_eq!(admit(n, 0), Ok(true));
        }
        assert_eq!(admit(MAX_CORRECTIONS, 3599), Err(CorrectionsFull));
        assert_eq!(admit(MAX_CORRECTIONS, 3600), Ok(true));
    }
}
