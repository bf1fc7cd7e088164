//! When a request is slow, and when it is overdue: from the round-trip times of this node's peers.
//!
//! For a measured peer its own times count (RFC 6298). For others the times of all peers do,
//! because the initial timeout of a second is long where all nodes answer within a millisecond.
//! There are two such estimates, since a request that needs a connection waits for a handshake
//! first.
//!
//! A request is *slow* after the time of a probe timeout (RFC 9002, section 6.2.1): a reader asks one
//! more node, and thinks no worse of the first. It is *overdue* after [`MIN_LATE`] at the earliest,
//! which a scheduler's pause does not reach: then its peer is suspect.

use std::time::Duration;

use crate::config::{MIN_LATE, MIN_LATE_DIAL, SLOW_BY_AT_LEAST, STRANGER_TIMEOUT};
use crate::contact::RttEstimate;

/// When a request is slow, and when it is overdue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// Slow after this time; `None` where it is not known that soon.
    pub(crate) slow_after: Option<Duration>,
    /// Overdue after this time.
    pub(crate) late_after: Duration,
    /// Whether there was a connection to send it on: then the time that it takes is the peer's.
    pub(crate) connected: bool,
    /// Whether the very peer was measured: then to be overdue says something of it.
    pub(crate) measured: bool,
}

/// What this node has measured of all its peers together.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    connected: Option<RttEstimate>,
    dialled: Option<RttEstimate>,
}

impl Pace {
    /// When a request is slow or overdue that goes to a peer of which this is `known`.
    ///
    /// What strangers have taken never makes it later than [`STRANGER_TIMEOUT`]: some of them may be
    /// slow on purpose.
    pub(crate) fn patience(&self, known: Option<RttEstimate>, connected: bool) -> Patience {
        let known = known.filter(|_| connected);
        let late_after = match (known, connected) {
            (Some(own), _) => usual(own).max(MIN_LATE),
            (None, true) => bounded(self.connected, MIN_LATE),
            // A time learned on a live connection says nothing of the handshake that is due.
            (None, false) => bounded(self.dialled, MIN_LATE_DIAL),
        };
        let like = known.or(self.connected).filter(|_| connected);
        let slow_after = like.map(probe_timeout).filter(|after| *after < late_after);
        Patience { slow_after, late_after, connected, measured: known.is_some() }
    }

    /// A request was answered.
    pub(crate) fn observe(&mut self, connected: bool, took: Duration) {
        let estimate = if connected { &mut self.connected } else { &mut self.dialled };
        match estimate {
            Some(estimate) => estimate.update(took),
            None => *estimate = Some(RttEstimate::first(took)),
        }
    }
}

fn bounded(estimate: Option<RttEstimate>, least: Duration) -> Duration {
    estimate.map_or(STRANGER_TIMEOUT, |all| usual(all).clamp(least, STRANGER_TIMEOUT))
}

/// RFC 9002, section 6.2.1, without the delay that a peer may add to an acknowledgement.
fn probe_timeout(estimate: RttEstimate) -> Duration {
    estimate.smoothed() + (4 * estimate.deviation()).max(SLOW_BY_AT_LEAST)
}

/// Four deviations above the mean.
fn usual(estimate: RttEstimate) -> Duration {
    estimate.smoothed() + 4 * estimate.deviation()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_peer_that_was_not_measured_is_taken_for_one_like_the_others() {
        let mut pace = Pace::default();
        let late = |pace: &Pace, connected| pace.patience(None, connected).late_after;
        assert_eq!((late(&pace, true), late(&pace, false)), (STRANGER_TIMEOUT, STRANGER_TIMEOUT));
        pace.observe(true, 30 * MS);
        assert_eq!((late(&pace, true), late(&pace, false)), (90 * MS, STRANGER_TIMEOUT));
        pace.observe(false, 80 * MS);
        assert_eq!((late(&pace, true), late(&pace, false)), (90 * MS, 240 * MS));
    }

    #[test]
    fn a_request_is_slow_before_it_is_overdue_where_answers_come_at_once() {
        let mut pace = Pace::default();
        let slow = |pace: &Pace, known, connected| pace.patience(known, connected).slow_after;
        assert_eq!(slow(&pace, None, true), None, "nothing was measured");
        pace.observe(true, MS / 5);
        assert_eq!(slow(&pace, None, true), Some(MS / 5 + MS), "the granularity of timers");
        assert_eq!(slow(&pace, None, false), None, "a handshake takes as long as it takes");
        let known = Some(RttEstimate::first(2 * MS));
        assert_eq!(slow(&pace, known, true), Some(6 * MS), "four deviations");
        let far = Some(RttEstimate::first(40 * MS));
        assert_eq!(slow(&pace, far, true), None, "it is overdue as soon");
    }

    #[test]
    fn its_own_times_count_only_on_a_connection() {
        let mut pace = Pace::default();
        pace.observe(false, 80 * MS);
        let known = Some(RttEstimate::first(400 * MS));
        assert_eq!(pace.patience(known, true).late_after, 1200 * MS);
        assert_eq!(pace.patience(known, false).late_after, 240 * MS);
    }

    #[test]
    fn strangers_are_never_given_more_time_than_at_first_nor_next_to_none() {
        let mut pace = Pace::default();
        pace.observe(true, Duration::from_secs(9));
        pace.observe(false, MS);
        assert_eq!(pace.patience(None, true).late_after, STRANGER_TIMEOUT);
        assert_eq!(pace.patience(None, false).late_after, MIN_LATE_DIAL);
        assert_eq!(pace.patience(Some(RttEstimate::first(MS)), true).late_after, MIN_LATE);
    }
}
