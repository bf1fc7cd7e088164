//! What contacts show of their clocks, and what follows for this node's.

use std::time::Duration;

use voiddht_wire::peer::{ErrorCode, Record};

use super::context::Context;
use crate::event::Notice;
use crate::label::StoreRejection;
use crate::peer::Peer;
use crate::peer_clocks::{ClockEstimate, PeerClocks};
use crate::time::{Moment, Now};

/// How often the clock is judged without a new sign of others.
const JUDGE_PAUSE: Duration = Duration::from_secs(1);

/// What is known of peers' clocks, and what it says of this node's.
#[derive(Debug, Default)]
pub(super) struct Clocks {
    peers: PeerClocks,
    judged_at: Moment,
}

impl Clocks {
    /// What the clocks of contacts say of this node's, if enough of them are known.
    pub(super) fn estimate(&self, now: Now) -> Option<ClockEstimate> {
        self.peers.estimate(now)
    }

    /// A peer sends a STORE. A maintenance copy carries the version of another publisher.
    pub(super) fn note_published(&mut self, cx: &mut Context, peer: &Peer, record: &Record) {
        if let Some(version) = record.version
            && !record.maintenance
            && shows_its_clock(cx, peer)
            && self.peers.heard_version(peer.id(), &peer.remote(), version, cx.now)
        {
            self.judge(cx);
        }
    }

    /// A peer has refused a STORE of this node.
    pub(super) fn note_rejected(&mut self, cx: &mut Context, peer: &Peer, code: ErrorCode) {
        cx.notice(Notice::StoreRejected { why: StoreRejection::of(code) });
        if code == ErrorCode::FutureVersion && shows_its_clock(cx, peer) {
            self.peers.refused(peer.id(), &peer.remote(), cx.now);
            self.judge(cx);
        }
    }

    /// A peer has taken a STORE of this node.
    pub(super) fn note_accepted(&mut self, peer: &Peer) {
        self.peers.accepted(peer.id(), &peer.remote());
    }

    /// Time has passed, and a clock that was wrong may have been set.
    pub(super) fn judge_again(&mut self, cx: &mut Context) {
        if cx.now.mono.since(self.judged_at) >= JUDGE_PAUSE {
            self.judge(cx);
        }
    }

    /// Says so if this node's clock has turned out to be wrong, or right again.
    fn judge(&mut self, cx: &mut Context) {
        self.judged_at = cx.now.mono;
        let estimate = self.peers.estimate(cx.now);
        let is_wrong = estimate.is_some_and(|estimate| estimate.is_wrong());
        if is_wrong != cx.is_clock_wrong {
            cx.is_clock_wrong = is_wrong;
            cx.notice(match estimate.filter(ClockEstimate::is_wrong) {
                Some(estimate) => Notice::ClockWrong(estimate),
                None => Notice::ClockRight,
            });
        }
    }
}

/// Whether a peer's word on the time counts: only contacts are bounded in number by address.
fn shows_its_clock(cx: &Context, peer: &Peer) -> bool {
    peer.is_proved() && cx.table.get(&peer.id()).is_some()
}
