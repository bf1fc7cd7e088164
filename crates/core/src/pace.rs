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
//!
//! Each peer is asked seldom, so its own times may be those of a load that has passed. Where all other
//! peers answer in a small part of their usual time, this one is slow after as small a part of its own:
//! see [`Trend`].

use std::collections::VecDeque;
use std::time::Duration;

use voiddht_wire::NodeId;

use crate::config::{MIN_LATE, MIN_LATE_DIAL, SLOW_BY_AT_LEAST, STRANGER_TIMEOUT};
use crate::contact::RttEstimate;

/// When a request is slow, and when it is overdue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// Slow after this time; `None` where it is not known that soon.
    pub(crate) slow_after: Option<Duration>,
    /// What such a request takes on average, where that is known.
    pub(crate) usual: Option<Duration>,
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
    trend: Trend,
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
        let usual = like.map(|like| like.smoothed());
        let now = usual.and_then(|usual| self.trend.slow_after(usual));
        let slow_after = like.map(probe_timeout).into_iter().chain(now).min();
        let slow_after = slow_after.filter(|after| *after < late_after);
        Patience { slow_after, usual, late_after, connected, measured: known.is_some() }
    }

    /// As in [`Self::patience`], by the latest answers, for a request that takes so long on average.
    pub(crate) fn slow_after(&self, usual: Duration) -> Option<Duration> {
        self.trend.slow_after(usual)
    }

    /// A peer has answered, of which this was known before. Whether requests in flight should now be
    /// slow sooner: answers have become much quicker.
    pub(crate) fn compare(&mut self, peer: NodeId, known: RttEstimate, took: Duration) -> bool {
        self.trend.add(peer, known.smoothed(), took)
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

/// What the latest answers took, beside what their peers had taken on average before. The load of this
/// node and of its machine delays them all, and when it ends, these show it first.
#[derive(Debug, Default)]
struct Trend {
    /// The latest answer of each of the [`TREND`] peers that answered last, as a share of the average.
    latest: VecDeque<(NodeId, f64)>,
    /// The largest share that requests in flight may go by.
    in_use: f64,
}

/// Answers that make a trend, of as many peers: the largest share counts, so one peer that answers soon
/// on purpose makes none. A guess.
const TREND: usize = 4;
/// How many times the largest share of late a request takes that is slow. A guess.
const SLOW_SHARE: f64 = 2.0;
/// How far the largest share must fall for requests in flight to be looked at again: to half. A guess.
const FALL: f64 = 0.5;

impl Trend {
    /// Whether answers have become much quicker than when this last said so.
    fn add(&mut self, peer: NodeId, usual: Duration, took: Duration) -> bool {
        self.latest.retain(|(other, _)| *other != peer);
        if self.latest.len() == TREND {
            self.latest.pop_front();
        }
        // A clock of microseconds reads 0 for what is quicker.
        let usual = usual.max(Duration::from_micros(1));
        self.latest.push_back((peer, took.as_secs_f64() / usual.as_secs_f64()));
        let Some(largest) = self.largest_share() else { return false };
        let has_fallen = largest < FALL * self.in_use;
        if has_fallen || largest > self.in_use {
            self.in_use = largest;
        }
        has_fallen
    }

    fn slow_after(&self, usual: Duration) -> Option<Duration> {
        let times = SLOW_SHARE * self.largest_share()?;
        // The time that anything takes is bounded, so neither factor is out of range.
        Some(usual.mul_f64(times.min(f64::from(u16::MAX))) + SLOW_BY_AT_LEAST)
    }

    fn largest_share(&self) -> Option<f64> {
        let shares = self.latest.iter().map(|(_, share)| *share);
        shares.reduce(f64::max).filter(|_| self.latest.len() == TREND)
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

    /// This many answers of different peers, whose usual time is 15 ms.
    fn answers(pace: &mut Pace, peers: std::ops::Range<u8>, took: Duration) -> Vec<bool> {
        let usual = RttEstimate::first(15 * MS);
        peers.map(|peer| pace.compare(NodeId::from_bytes([peer; 32]), usual, took)).collect()
    }

    #[test]
    fn when_a_load_ends_requests_are_slow_sooner() {
        let mut pace = Pace::default();
        let loaded = RttEstimate::first(15 * MS);
        let slow = |pace: &Pace| pace.patience(Some(loaded), true).slow_after;
        answers(&mut pace, 0..8, 15 * MS);
        assert_eq!(slow(&pace), Some(31 * MS), "twice, which is before it is overdue");
        assert_eq!(answers(&mut pace, 10..14, MS / 5), [false, false, false, true]);
        assert_eq!(slow(&pace), Some(MS / 5 * 2 + MS));
        assert_eq!(pace.slow_after(30 * MS), Some(MS / 5 * 4 + MS));
        assert_eq!(answers(&mut pace, 20..28, MS / 5), [false; 8], "said once");
        assert_eq!(answers(&mut pace, 30..31, 15 * MS), [false]);
        assert_eq!(slow(&pace), Some(31 * MS), "one that takes its time is enough");
    }

    #[test]
    fn one_peer_alone_makes_no_trend() {
        let mut pace = Pace::default();
        answers(&mut pace, 0..8, 15 * MS);
        let own = RttEstimate::first(15 * MS);
        for _ in 0..100 {
            assert!(!pace.compare(NodeId::from_bytes([9; 32]), own, MS / 5));
        }
        assert_eq!(pace.slow_after(15 * MS), Some(31 * MS));
    }

    #[test]
    fn no_time_is_out_of_range() {
        let mut pace = Pace::default();
        let none = RttEstimate::first(Duration::ZERO);
        for peer in 0..4 {
            pace.compare(NodeId::from_bytes([peer; 32]), none, Duration::from_secs(10));
        }
        let longest = pace.slow_after(Duration::from_secs(4294)).expect("there is a trend");
        assert!(longest > Duration::from_secs(4294));
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
