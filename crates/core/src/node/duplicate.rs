//! Another process with this node's identity: a data directory that was copied with its key.
//!
//! Both processes take each other's place in the routing tables of their peers, which hold one address
//! per ID. So a peer that is asked by one of them refers it to the other: its own ID, at an address
//! that is not its own. The node dials that address. The driver can tell this very process from
//! another one with the same key, since only one process takes part in both ends of a connection to
//! itself.

use std::time::Duration;

use voiddht_wire::PeerAddress;
use voiddht_wire::peer::{Body, NodeInfo};

use super::context::Context;
use crate::event::{Destination, Notice, Undelivered};
use crate::request::Purpose;
use crate::time::Moment;

/// How long after one address was dialled another may be. Old addresses of this node are named for a
/// while after a move, and cost a dial each.
const CHECK_PAUSE: Duration = Duration::from_secs(10);
/// How long another process is assumed to run after it was last seen.
const REMEMBERED: Duration = Duration::from_secs(600);
const _: () = assert!(REMEMBERED.as_secs() > CHECK_PAUSE.as_secs());

/// What is known of other processes with this identity.
#[derive(Debug, Default)]
pub(super) struct Duplicates {
    /// When an address was last dialled, and which.
    checked: Option<(Moment, PeerAddress)>,
    /// Where another process was last seen, and when.
    seen: Option<(PeerAddress, Moment)>,
    /// An address at which this very process was found.
    own: Option<PeerAddress>,
}

impl Duplicates {
    /// The address of another process with this node's identity, if one was seen within the last ten
    /// minutes.
    pub(super) fn current(&self, now: Moment) -> Option<PeerAddress> {
        let (address, seen) = self.seen?;
        (now.since(seen) < REMEMBERED).then_some(address)
    }

    /// A peer has named these nodes. Dials an address that it has for this node's own ID.
    pub(super) fn look_for(&mut self, cx: &mut Context, named: &[NodeInfo]) {
        let own = cx.own;
        let Some(node) = named.iter().find(|node| node.id == own.id) else { return };
        let address = node.address;
        let is_own = address == own.address || self.own == Some(address);
        let is_early = |(at, _): (Moment, PeerAddress)| cx.now.mono.since(at) < CHECK_PAUSE;
        if is_own || !address.is_dialable() || self.checked.is_some_and(is_early) {
            return;
        }
        self.checked = Some((cx.now.mono, address));
        cx.request(Destination { address, id: None }, Body::Ping, Purpose::Duplicate);
    }

    /// A dial of an address that was named for the own ID, or of a configured peer, has failed.
    pub(super) fn note_own_identity(
        &mut self,
        cx: &mut Context,
        address: PeerAddress,
        why: Undelivered,
    ) {
        match why {
            Undelivered::OwnNode => self.own = Some(address),
            Undelivered::DuplicateIdentity => self.note(cx, address),
            _ => {}
        }
    }

    /// Another process has authenticated as this node, at or from this address.
    pub(super) fn note(&mut self, cx: &mut Context, address: PeerAddress) {
        let is_news = self.current(cx.now.mono).is_none();
        self.seen = Some((address, cx.now.mono));
        if is_news {
            cx.notice(Notice::DuplicateIdentity { address });
        }
    }
}
