//! Probes in progress, and queued ones.
//!
//! Many nodes may join a network through one node at the same time. Reporting those beyond the
//! limit as not listening would keep them out of its routing table for long, so they are queued:
//! the core asks for no more at a time than it can remember.

use std::collections::VecDeque;

use voiddht_wire::peer::NodeInfo;

/// Probes that wait, at most; what comes then is told that there is no room. 56 bytes each.
const MAX_WAITING: usize = 256;

/// Probes in progress, and those that are queued.
#[derive(Debug)]
pub(crate) struct Probes {
    at_once: usize,
    under_way: usize,
    waiting: VecDeque<NodeInfo>,
}

impl Probes {
    pub(crate) fn new(at_once: usize) -> Self {
        Self { at_once: at_once.max(1), under_way: 0, waiting: VecDeque::new() }
    }

    /// Has a contact wait for its turn. False if too many do already.
    pub(crate) fn add(&mut self, contact: NodeInfo) -> bool {
        let has_room = self.waiting.len() < MAX_WAITING;
        if has_room {
            self.waiting.push_back(contact);
        }
        has_room
    }

    /// The next to be probed now. Its end is to be told by [`Self::ended`].
    pub(crate) fn next(&mut self) -> Option<NodeInfo> {
        if self.under_way >= self.at_once {
            return None;
        }
        let contact = self.waiting.pop_front()?;
        self.under_way += 1;
        Some(contact)
    }

    pub(crate) fn ended(&mut self) {
        self.under_way = self.under_way.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use voiddht_wire::{NodeId, PeerAddress};

    use super::*;

    fn contact(number: u16) -> NodeInfo {
        let address = PeerAddress::new([127, 0, 0, 1].into(), 1 + number);
        NodeInfo { address, id: NodeId::from_bytes([1; 32]) }
    }

    /// Those for which there was no room were said not to listen, and were not looked at again for
    /// half a minute: 64 nodes that started at once took as long to know each other.
    #[test]
    fn who_finds_no_room_waits_for_its_turn() {
        let mut probes = Probes::new(2);
        assert!((0..4).all(|number| probes.add(contact(number))));
        assert_eq!(probes.next(), Some(contact(0)));
        assert_eq!(probes.next(), Some(contact(1)));
        assert_eq!(probes.next(), None);
        probes.ended();
        assert_eq!(probes.next(), Some(contact(2)));
        assert_eq!(probes.next(), None);
    }

    #[test]
    fn they_do_not_wait_without_a_bound() {
        let mut probes = Probes::new(1);
        assert!((0..MAX_WAITING as u16).all(|number| probes.add(contact(number))));
        assert!(!probes.add(contact(0)));
    }
}
