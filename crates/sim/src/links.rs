//! The connections of one host, by peer.
//!
//! A host has hundreds, and every message looks one up. Peers and slots are stored apart from the
//! connections themselves: the search stays within a few cache lines, and opening or closing one
//! moves eight bytes each rather than a hundred.

use std::time::Duration;

use voiddht_core::time::Moment;
use voiddht_wire::RpcId;
use voiddht_wire::peer::Message;

use crate::host::HostId;

/// Places that are made at once: doubling would waste as many as are used.
const MORE_PLACES: usize = 32;

/// One host's end of a connection.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) peer: HostId,
    pub(crate) serial: u64,
    pub(crate) state: LinkState,
    /// Whether this host dialled it.
    pub(crate) dialled: bool,
    /// Whether the other end knows of it.
    pub(crate) agreed: bool,
    /// When something was last sent or received.
    pub(crate) used: Moment,
    /// When what was sent last will arrive: nothing overtakes it.
    pub(crate) arrives: Moment,
    /// Requests of this host that the other has not answered.
    pub(crate) awaited: Vec<RpcId>,
}

#[derive(Debug)]
pub(crate) enum LinkState {
    /// The handshake is in progress; these requests wait for its end.
    Dialling { waiting: Vec<Message> },
    /// Both ends are up.
    Live,
    /// The other end is gone or cut off, and this one does not know it yet.
    Silent,
}

impl Link {
    /// Uses the connection. How often it was probed since it was last used.
    pub(crate) fn touch(&mut self, now: Moment, keepalive: Duration) -> u64 {
        let idle = now.since(std::mem::replace(&mut self.used, now));
        if self.is_live() { whole(idle, keepalive) } else { 0 }
    }

    /// When the other end was last heard: keepalive probes are answered.
    pub(crate) fn heard(&self, now: Moment, keepalive: Duration) -> Moment {
        let probes = whole(now.since(self.used), keepalive);
        self.used + keepalive * u32::try_from(probes).unwrap_or(u32::MAX)
    }

    pub(crate) fn is_live(&self) -> bool {
        matches!(self.state, LinkState::Live)
    }

    /// Whether it may be closed to make room.
    pub(crate) fn is_idle(&self) -> bool {
        !matches!(self.state, LinkState::Dialling { .. }) && self.awaited.is_empty()
    }
}

/// How often a pause fits into a span.
fn whole(span: Duration, pause: Duration) -> u64 {
    span.as_micros().checked_div(pause.as_micros()).unwrap_or(0) as u64
}

/// At most one connection with each peer.
#[derive(Debug, Default)]
pub(crate) struct Links {
    /// Sorted by peer, each with the place of its connection.
    order: Vec<(HostId, u32)>,
    places: Vec<Option<Link>>,
    free: Vec<u32>,
}

impl Links {
    pub(crate) fn len(&self) -> usize {
        self.order.len()
    }

    /// All, in the order of their peers.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Link> {
        self.order.iter().filter_map(|(_, place)| self.places[*place as usize].as_ref())
    }

    pub(crate) fn get_mut(&mut self, peer: HostId) -> Option<&mut Link> {
        let index = self.index_of(peer).ok()?;
        self.places[self.order[index].1 as usize].as_mut()
    }

    pub(crate) fn remove(&mut self, peer: HostId) -> Option<Link> {
        let (_, place) = self.order.remove(self.index_of(peer).ok()?);
        self.free.push(place);
        self.places[place as usize].take()
    }

    /// Puts a connection in, in the place of any that there was with the same peer.
    pub(crate) fn put(&mut self, link: Link) -> Option<Link> {
        match self.index_of(link.peer) {
            Ok(index) => self.places[self.order[index].1 as usize].replace(link),
            Err(index) => {
                let place = self.free.pop().unwrap_or(self.places.len() as u32);
                self.order.insert(index, (link.peer, place));
                match self.places.get_mut(place as usize) {
                    Some(empty) => *empty = Some(link),
                    None => {
                        if self.places.len() == self.places.capacity() {
                            self.places.reserve_exact(MORE_PLACES);
                        }
                        self.places.push(Some(link));
                    }
                }
                None
            }
        }
    }

    fn index_of(&self, peer: HostId) -> Result<usize, usize> {
        self.order.binary_search_by_key(&peer, |(known, _)| *known)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(peer: u32, serial: u64) -> Link {
        Link {
            peer: HostId(peer),
            serial,
            state: LinkState::Live,
            dialled: true,
            agreed: true,
            used: Moment::default(),
            arrives: Moment::default(),
            awaited: Vec::new(),
        }
    }

    #[test]
    fn an_idle_connection_is_probed_once_per_pause() {
        let minute = Duration::from_secs(60);
        let at = |seconds| Moment::default() + Duration::from_secs(seconds);
        let mut idle = link(1, 1);
        assert_eq!((idle.heard(at(59), minute), idle.heard(at(150), minute)), (at(0), at(120)));
        assert_eq!((idle.touch(at(150), minute), idle.touch(at(209), minute)), (2, 0));
        idle.state = LinkState::Silent;
        assert_eq!(idle.touch(at(1000), minute), 0, "it does not answer");
    }

    #[test]
    fn places_are_used_again_and_the_order_is_that_of_the_peers() {
        let mut links = Links::default();
        for peer in [5, 1, 9, 3] {
            assert!(links.put(link(peer, 1)).is_none());
        }
        assert_eq!(links.remove(HostId(1)).map(|one| one.serial), Some(1));
        assert!(links.remove(HostId(1)).is_none());
        assert_eq!(links.put(link(9, 2)).map(|one| one.serial), Some(1));
        links.put(link(7, 1));
        assert_eq!(links.places.len(), 4);
        let peers: Vec<_> = links.iter().map(|one| (one.peer.0, one.serial)).collect();
        assert_eq!(peers, [(3, 1), (5, 1), (7, 1), (9, 2)]);
        assert_eq!((links.len(), links.get_mut(HostId(7)).is_some()), (4, true));
    }
}
