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
//! Each peer is asked seldom, so its own times may be those of a load that has passed. Where the other
//! peers answer in a small part of their usual time, or in a few times their shortest, this one is slow
//! after as small a part, or as few times: see [`Trend`].

use std::collections::VecDeque;
use std::time::Duration;

use voiddht_wire::NodeId;

use crate::config::{
    DIAL_ROUND_TRIPS, MIN_LATE, MIN_LATE_DIAL, SLOW_BY_AT_LEAST, STRANGER_TIMEOUT,
};
use crate::contact::RttEstimate;

/// When a request is slow, and when it is overdue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// Slow after this time; `None` where it is not known that soon.
    pub(crate) slow_after: Option<Duration>,
    /// What such a request usually takes, where that is known.
    pub(crate) usual: Option<Usual>,
    /// Overdue after this time.
    pub(crate) late_after: Duration,
    /// Whether there was a connection to send it on: then the time that it takes is the peer's.
    pub(crate) connected: bool,
    /// Whether the very peer was measured: then to be overdue says something of it.
    pub(crate) measured: bool,
}

/// What a request to a peer usually takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Usual {
    /// On average.
    smoothed: Duration,
    /// At the least, which is the path alone without the load at its ends.
    least: Duration,
}

impl Usual {
    pub(crate) fn of(known: RttEstimate) -> Self {
        Self { smoothed: known.smoothed(), least: known.least() }
    }

    /// Of a peer that was not measured. The shortest time of all peers would be that of the nearest.
    fn of_all(all: RttEstimate) -> Self {
        Self { smoothed: all.smoothed(), least: all.smoothed() }
    }
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
            (Some(own), _) => retransmission_timeout(own).max(MIN_LATE),
            (None, true) => bounded(self.connected.map(retransmission_timeout), MIN_LATE),
            // A time learned on a live connection says nothing of the handshake that is due.
            (None, false) => bounded(self.dialled.map(retransmission_timeout), MIN_LATE_DIAL),
        };
        let like = known.or(self.connected).filter(|_| connected);
        let of_all = self.connected.map(Usual::of_all).filter(|_| connected);
        let usual = known.map(Usual::of).or(of_all);
        let by_trend = usual.and_then(|usual| self.trend.slow_after(usual));
        let by_own = like.map(probe_timeout);
        let by_round_trips = if connected { None } else { self.round_trips_of_a_dial() };
        let slow_after = [by_own, by_trend, by_round_trips].into_iter().flatten().min();
        let slow_after = slow_after.filter(|after| *after < late_after);
        Patience { slow_after, usual, late_after, connected, measured: known.is_some() }
    }

    /// What the round trips of a dial take now. Dials are few, and what they have taken may be due to a
    /// load that has passed. No bound for when one is overdue: that is held against the peers that named the
    /// node, and where a pool is full, a dial waits for a connection to end first.
    fn round_trips_of_a_dial(&self) -> Option<Duration> {
        let each = retransmission_timeout(self.connected?);
        Some((DIAL_ROUND_TRIPS * each).max(MIN_LATE_DIAL))
    }

    /// As in [`Self::patience`], by the latest answers alone, for a request that usually takes so long.
    pub(crate) fn slow_after(&self, usual: Usual) -> Option<Duration> {
        self.trend.slow_after(usual)
    }

    /// A peer has answered, of which this was known before. Whether requests in flight should now be
    /// slow sooner: answers have become much quicker.
    pub(crate) fn compare(&mut self, peer: NodeId, known: RttEstimate, took: Duration) -> bool {
        self.trend.add(peer, Usual::of(known), took)
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

/// What the latest answers took, beside what their peers usually take. The load of this node and of its
/// machine delays them all, and when it ends, these show it first.
#[derive(Debug, Default)]
struct Trend {
    /// The latest answers of the [`TREND`] peers that answered last.
    latest: VecDeque<(NodeId, Beside)>,
    /// The slowest of them that requests in flight may go by.
    in_use: Beside,
}

/// How long something took, in usual times. Both are wrong by as much as a peer's few measurements are, and
/// the load has reached some of them and not others: the smaller of what follows from them counts.
#[derive(Clone, Copy, Debug, Default)]
struct Beside {
    smoothed: f64,
    least: f64,
}

impl Beside {
    fn new(took: Duration, usual: Usual) -> Self {
        // A clock of microseconds reads 0 for what is quicker.
        let times =
            |of: Duration| took.as_secs_f64() / of.max(Duration::from_micros(1)).as_secs_f64();
        Self { smoothed: times(usual.smoothed), least: times(usual.least) }
    }

    fn slower(self, other: Self) -> Self {
        Self { smoothed: self.smoothed.max(other.smoothed), least: self.least.max(other.least) }
    }

    fn is_within(self, share: f64, other: Self) -> bool {
        self.smoothed < share * other.smoothed || self.least < share * other.least
    }
}

/// Answers that make a trend, of as many peers: the slowest counts, so one peer that answers soon on
/// purpose makes none, and where three tenths of all are hostile, three make one seldom (2.7 %). No more,
/// so that most reads have it while they wait: they ask five.
const TREND: usize = 3;
/// How many times as long as the slowest of them a request takes that is slow. A guess.
const SLOWER: f64 = 2.0;
/// How far they must fall for requests in flight to be looked at again: to half. A guess.
const FALL: f64 = 0.5;

impl Trend {
    /// Whether answers have become much quicker than when this last said so.
    fn add(&mut self, peer: NodeId, usual: Usual, took: Duration) -> bool {
        self.latest.retain(|(other, _)| *other != peer);
        if self.latest.len() == TREND {
            self.latest.pop_front();
        }
        self.latest.push_back((peer, Beside::new(took, usual)));
        let Some(slowest) = self.slowest() else { return false };
        let has_fallen = slowest.is_within(FALL, self.in_use);
        self.in_use = if has_fallen { slowest } else { slowest.slower(self.in_use) };
        has_fallen
    }

    fn slow_after(&self, usual: Usual) -> Option<Duration> {
        let slowest = self.slowest()?;
        // The time that anything takes is bounded, so neither factor is out of range.
        let after =
            |times: f64, of: Duration| of.mul_f64((SLOWER * times).min(f64::from(u16::MAX)));
        let smoothed = after(slowest.smoothed, usual.smoothed);
        Some(smoothed.min(after(slowest.least, usual.least)) + SLOW_BY_AT_LEAST)
    }

    fn slowest(&self) -> Option<Beside> {
        let all = self.latest.iter().map(|(_, beside)| *beside);
        all.reduce(Beside::slower).filter(|_| self.latest.len() == TREND)
    }
}

fn bounded(timeout: Option<Duration>, least: Duration) -> Duration {
    timeout.map_or(STRANGER_TIMEOUT, |timeout| timeout.clamp(least, STRANGER_TIMEOUT))
}

/// RFC 9002, section 6.2.1, without the delay that a peer may add to an acknowledgement.
fn probe_timeout(estimate: RttEstimate) -> Duration {
    estimate.smoothed() + (4 * estimate.deviation()).max(SLOW_BY_AT_LEAST)
}

/// RTO of RFC 6298, section 2, without its bounds: four deviations above the mean.
fn retransmission_timeout(estimate: RttEstimate) -> Duration {
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
        assert_eq!(slow(&pace, None, false), Some(MIN_LATE_DIAL), "a handshake takes its time");
        let known = Some(RttEstimate::first(2 * MS));
        assert_eq!(slow(&pace, known, true), Some(6 * MS), "four deviations");
        let far = Some(RttEstimate::first(40 * MS));
        assert_eq!(slow(&pace, far, true), None, "it is overdue as soon");
    }

    /// Of a peer that answers in a fifth of a millisecond, and took 15 under load.
    fn loaded() -> RttEstimate {
        let mut known = RttEstimate::first(MS / 5);
        for _ in 0..64 {
            known.update(15 * MS);
        }
        known
    }

    /// Answers of such peers.
    fn answers(pace: &mut Pace, peers: std::ops::Range<u8>, took: Duration) -> Vec<bool> {
        peers.map(|peer| pace.compare(NodeId::from_bytes([peer; 32]), loaded(), took)).collect()
    }

    #[test]
    fn when_a_load_ends_requests_are_slow_sooner() {
        let mut pace = Pace::default();
        let slow = |pace: &Pace| pace.patience(Some(loaded()), true).slow_after;
        let by_itself = slow(&pace);
        assert!(by_itself.is_none_or(|after| after > 15 * MS), "{by_itself:?}");
        answers(&mut pace, 0..8, 15 * MS);
        assert_eq!(slow(&pace), by_itself, "twice as long as under load");
        assert_eq!(answers(&mut pace, 10..13, MS / 5), [false, false, true]);
        assert_eq!(slow(&pace), Some(MS / 5 * 2 + MS));
        let after = pace.slow_after(Usual { smoothed: 15 * MS, least: 15 * MS });
        assert!(after.is_some_and(|after| after < 3 * MS / 2), "by the average: {after:?}");
        let far = Usual { smoothed: 600 * MS, least: MS };
        assert_eq!(pace.slow_after(far), Some(2 * MS + MS), "by the shortest time");
        assert_eq!(answers(&mut pace, 20..28, MS / 5), [false; 8], "said once");
        assert_eq!(answers(&mut pace, 30..31, 15 * MS), [false]);
        assert_eq!(slow(&pace), by_itself, "one that takes its time is enough");
    }

    /// Answering peers' averages fell with the load, so that what they took was as usual again; those of
    /// frozen peers stayed as they were, and a reader waited for these for as long as under load.
    #[test]
    fn a_frozen_peer_is_slow_as_soon_when_the_others_have_forgotten_the_load() {
        let mut pace = Pace::default();
        answers(&mut pace, 0..8, 15 * MS);
        let mut forgetting = loaded();
        for peer in 10..80 {
            pace.compare(NodeId::from_bytes([peer; 32]), forgetting, MS / 5);
            forgetting.update(MS / 5);
        }
        assert!(forgetting.smoothed() < MS / 2);
        let slow = pace.patience(Some(loaded()), true).slow_after;
        assert_eq!(slow, Some(MS / 5 * 2 + MS));
    }

    #[test]
    fn one_peer_alone_makes_no_trend() {
        let mut pace = Pace::default();
        answers(&mut pace, 0..8, 15 * MS);
        let before = pace.slow_after(Usual::of(loaded()));
        for _ in 0..100 {
            assert!(!pace.compare(NodeId::from_bytes([9; 32]), loaded(), MS / 5));
        }
        assert_eq!(pace.slow_after(Usual::of(loaded())), before);
    }

    #[test]
    fn a_peer_that_was_not_measured_is_slow_by_the_average_of_all() {
        let mut pace = Pace::default();
        pace.observe(true, 40 * MS);
        answers(&mut pace, 0..3, 15 * MS);
        let after = pace.patience(None, true).slow_after;
        assert!(after.is_some_and(|after| after > 80 * MS), "not of the nearest: {after:?}");
    }

    #[test]
    fn a_dial_is_slow_by_what_round_trips_take_now() {
        let mut pace = Pace::default();
        pace.observe(false, 900 * MS);
        let dial = |pace: &Pace| pace.patience(None, false);
        assert_eq!(dial(&pace).slow_after, None);
        pace.observe(true, 60 * MS);
        assert_eq!(dial(&pace).slow_after, Some(720 * MS), "four of them with their deviations");
        for _ in 0..64 {
            pace.observe(true, MS / 5);
        }
        assert_eq!(dial(&pace).slow_after, Some(MIN_LATE_DIAL));
        assert_eq!(dial(&pace).late_after, STRANGER_TIMEOUT, "as dials have taken");
    }

    #[test]
    fn no_time_is_out_of_range() {
        let mut pace = Pace::default();
        let none = RttEstimate::first(Duration::ZERO);
        for peer in 0..3 {
            pace.compare(NodeId::from_bytes([peer; 32]), none, Duration::from_secs(10));
        }
        let most = RttEstimate::first(Duration::from_secs(4294));
        let longest = pace.slow_after(Usual::of(most)).expect("there is a trend");
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
