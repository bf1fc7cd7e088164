//! What a change of a private network's secrets does to connections that are open.
//!
//! * One that was authenticated by a secret that is no longer the first, on either side, is dialled
//!   anew by the side that dialled it, within [`RENEWAL_WINDOW`], spread over that time; the old one is
//!   drained, so that nothing in flight is lost. It is renewed again in each window until both sides
//!   prove by this node's first secret: when the other side changes its own, this one is not told.
//! * One whose peer proved membership by a secret that was removed is asked nothing more, and ends
//!   within [`REMOVED_ENDS_AFTER`]: an outsider with a leaked secret would stay otherwise.

use std::time::Duration;

use voiddht_core::event::Destination;
use voiddht_core::peer::ConnectionId;
use voiddht_core::time::Moment;
use voiddht_wire::NodeId;

use super::Pool;
use super::dial::Dial;
use super::secrets::{Accepted, ConnectionCounts};
use super::slots::Wanted;
use crate::event::Opened;

/// Within which connections are dialled anew after a reload: ten minutes, less what a sweep, a pool without a
/// free slot and a handshake may take.
const RENEWAL_WINDOW: Duration = Duration::from_secs(570);
/// How long a connection may last that a removed secret authenticated.
const REMOVED_ENDS_AFTER: Duration = Duration::from_secs(30);
/// Renewals that begin in one sweep, that is in a second. A guess: after a suspend all are due.
const MAX_RENEWALS_PER_SWEEP: usize = 8;
/// When a renewal is tried again for which there was no slot.
const RETRY_AFTER: Duration = Duration::from_secs(10);

impl Pool {
    /// The secrets have changed.
    pub(crate) fn secrets_changed(&mut self, now: Moment, accepted: Accepted) {
        self.renewals.accepted = Some(accepted.clone());
        let all: Vec<_> = self
            .connections
            .iter()
            .filter(|(_, connection)| !connection.closing)
            .filter_map(|(id, connection)| Some((*id, connection.proven_by()?)))
            .collect();
        for (id, by) in all {
            if !accepted.all.contains(&by.peer) {
                self.expel(now, id);
                continue;
            }
            let peer = self.connections.get(&id).and_then(|connection| connection.proved);
            let after = peer.map_or(Duration::ZERO, |peer| self.spread(&peer.id));
            self.schedule(id, (!accepted.is_current(&by)).then(|| now + after));
        }
    }

    /// Whether a connection whose handshake is over may be opened: its peer's secret may have been
    /// removed meanwhile.
    pub(crate) fn admits(&self, opened: &Opened) -> bool {
        match (&self.renewals.accepted, opened.proven_by) {
            (None, None) => true,
            (Some(accepted), Some(by)) => accepted.all.contains(&by.peer),
            _ => false,
        }
    }

    /// How many connections there are of each kind.
    pub(crate) fn connection_counts(&self) -> ConnectionCounts {
        let mut counts = ConnectionCounts::default();
        for connection in self.connections.values().filter(|connection| !connection.closing) {
            if let Some(group) = connection.group {
                *counts.by_group.entry(group).or_default() += 1;
            }
            if let Some(by) = connection.proven_by() {
                *counts.by_secret.entry(by.peer).or_default() += 1;
            }
        }
        counts
    }

    /// A connection is new. If it is not authenticated by the first secret, it is renewed in the second
    /// half of a window.
    pub(super) fn plan_renewal(&mut self, now: Moment, id: ConnectionId) {
        let Some(connection) = self.connections.get(&id) else { return };
        let (Some(by), Some(peer)) = (connection.proven_by(), connection.proved) else { return };
        let is_current = self.renewals.accepted.as_ref().is_none_or(|it| it.is_current(&by));
        let after = RENEWAL_WINDOW / 2 + self.spread(&peer.id) / 2;
        self.schedule(id, (!is_current).then(|| now + after));
    }

    /// Dials anew what is due, and ends what has been expelled for long enough.
    pub(super) fn renew(&mut self, now: Moment) {
        for _ in 0..MAX_RENEWALS_PER_SWEEP {
            match self.renewals.due.first() {
                Some((at, id)) if *at <= now => self.renew_one(now, *id),
                _ => break,
            }
        }
        let ended = self.connections.iter().filter(|(_, connection)| {
            !connection.closing && connection.ends_at().is_some_and(|at| at <= now)
        });
        for id in ended.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.drop_at_once(id);
        }
    }

    fn renew_one(&mut self, now: Moment, id: ConnectionId) {
        let Some(connection) = self.connections.get(&id) else {
            return self.renewals.due.retain(|(_, due)| *due != id);
        };
        let (Some(address), Some(peer)) = (connection.dialed(), connection.proved) else {
            return self.schedule(id, None);
        };
        let serves = self.peers.get(&peer.id).is_some_and(|entry| entry.current == id);
        if connection.closing || !serves {
            return self.schedule(id, None);
        }
        let is_dialled = self.dials_to(&peer.id).next().is_some();
        if is_dialled || !self.make_room(now, Wanted::Dial) {
            return self.schedule(id, Some(now + RETRY_AFTER));
        }
        // In case it fails; if not, the old connection serves no more.
        self.schedule(id, Some(now + RENEWAL_WINDOW / 2 + self.spread(&peer.id) / 2));
        let to = Destination { address, id: Some(peer.id) };
        self.dial(to, Dial::renewal(to));
    }

    /// Only the side that dialled a connection renews it.
    fn schedule(&mut self, id: ConnectionId, at: Option<Moment>) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let at = at.filter(|_| connection.is_dialed);
        let Some(membership) = &mut connection.membership else { return };
        let before = std::mem::replace(&mut membership.renew_at, at);
        self.renewals.forget(before, id);
        self.renewals.due.extend(at.map(|at| (at, id)));
    }

    /// Takes a connection out of use that a removed secret authenticated. What is in flight may end.
    fn expel(&mut self, now: Moment, id: ConnectionId) {
        self.schedule(id, None);
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let Some(membership) = &mut connection.membership else { return };
        if membership.ends_at.is_some() {
            return;
        }
        membership.ends_at = Some(now + REMOVED_ENDS_AFTER);
        let peer = connection.proved;
        if let Some(peer) = peer {
            self.remove_from_peer(id, peer.id, true);
        }
        if let Some(connection) = self.connections.get_mut(&id)
            && !connection.draining
        {
            connection.draining = true;
            self.draining += 1;
        }
    }

    /// How far into a window a peer's renewal falls. IDs are uniformly distributed, and so are their
    /// last bytes' differences from this node's.
    fn spread(&self, peer: &NodeId) -> Duration {
        let last = |id: &NodeId| {
            let [.., a, b, c, d] = id.to_bytes();
            u32::from_be_bytes([a, b, c, d])
        };
        let part = u64::from(last(peer) ^ last(&self.me));
        let window = u64::try_from(RENEWAL_WINDOW.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(window.saturating_mul(part) >> 32)
    }
}

#[cfg(test)]
mod tests;
