//! What contacts show of their clocks, and what follows for this node's.

use std::time::Duration;

use voiddht_wire::peer::{ErrorCode, Record};

use super::Node;
use crate::event::Notice;
use crate::label::StoreRejection;
use crate::peer::Peer;
use crate::peer_clocks::ClockEstimate;
use crate::time::Now;

/// How often the clock is judged without a new sign of others.
const JUDGE_PAUSE: Duration = Duration::from_secs(1);

impl Node {
    /// What the clocks of contacts say of this node's, if enough of them are known.
    pub fn clock_estimate(&self, now: Now) -> Option<ClockEstimate> {
        self.clocks.estimate(now)
    }

    /// A peer sends a STORE. A maintenance copy carries the version of another publisher.
    pub(super) fn note_published(&mut self, peer: &Peer, record: &Record) {
        if let Some(version) = record.version
            && !record.maintenance
            && self.shows_its_clock(peer)
            && self.clocks.heard_version(peer.id(), &peer.remote(), version, self.now)
        {
            self.judge_clock();
        }
    }

    /// A peer has refused a STORE of this node.
    pub(super) fn note_rejected(&mut self, peer: &Peer, code: ErrorCode) {
        self.notice(Notice::StoreRejected { why: StoreRejection::of(code) });
        if code == ErrorCode::FutureVersion && self.shows_its_clock(peer) {
            self.clocks.refused(peer.id(), &peer.remote(), self.now);
            self.judge_clock();
        }
    }

    /// A peer has taken a STORE of this node.
    pub(super) fn note_accepted(&mut self, peer: &Peer) {
        self.clocks.accepted(peer.id(), &peer.remote());
    }

    /// Time has passed, and a clock that was wrong may have been set.
    pub(super) fn judge_clock_again(&mut self) {
        if self.now.mono.since(self.clock_judged) >= JUDGE_PAUSE {
            self.judge_clock();
        }
    }

    /// Says so if this node's clock has turned out to be wrong, or right again.
    fn judge_clock(&mut self) {
        self.clock_judged = self.now.mono;
        let estimate = self.clocks.estimate(self.now);
        let is_wrong = estimate.is_some_and(|estimate| estimate.is_wrong());
        if is_wrong != self.is_clock_wrong {
            self.is_clock_wrong = is_wrong;
            self.notice(match estimate.filter(ClockEstimate::is_wrong) {
                Some(estimate) => Notice::ClockWrong(estimate),
                None => Notice::ClockRight,
            });
        }
    }

    /// Whether a peer's word on the time counts: only contacts are bounded in number by address.
    fn shows_its_clock(&self, peer: &Peer) -> bool {
        peer.is_proved() && self.table.get(&peer.id()).is_some()
    }
}
