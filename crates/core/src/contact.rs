//! A contact: address, last answer, round-trip time.
//!
//! A [`Contact`] exists only inside the routing table; what may become one is an
//! [`AdmittedContact`]. Nothing here decides which contacts are kept: see [`crate::routing`].

use std::num::NonZeroU32;
use std::time::Duration;

use voiddht_wire::peer::NodeInfo;
use voiddht_wire::{NodeId, PeerAddress};

use crate::peer::Peer;
use crate::time::Moment;

/// Failures in a row after which a contact is forgotten even without a replacement candidate.
/// Kademlia, section 4.1, calls a contact stale after five, each of which is a datagram; here most are
/// dials, and nearly all of them go to nodes that are gone for good.
pub const MAX_FAILURES_IN_A_ROW: u8 = 3;

/// Failures closer together than this count as one: many requests that die with one lost
/// connection, or in one short outage, say no more about the peer than the first of them. A guess.
pub const FAILURE_SPACING: Duration = Duration::from_secs(1);

/// The shortest [`RttEstimate::timeout`]: a peer on the same machine answers in less than a
/// millisecond, but a busy machine pauses for tens of them. A guess; RFC 6298 has one second,
/// for networks in which a wrong guess costs a congestion window rather than one more request.
pub const MIN_TIMEOUT: Duration = Duration::from_millis(50);

/// The longest [`RttEstimate::timeout`]: an answer that takes longer is of no use to a lookup.
pub const MAX_TIMEOUT: Duration = Duration::from_secs(5);

/// A node that has itself answered at the address where it says that it listens.
///
/// The only way into a bucket. What a third node reports, or a header claims, is no such thing:
/// else anyone could fill the table with nodes that do not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdmittedContact(NodeInfo);

impl AdmittedContact {
    /// A peer that this node dialled at `address` and that authenticated its ID there. `None` if it
    /// is not authenticated, or if other nodes could not dial that address.
    pub fn dialed(peer: &Peer, address: PeerAddress) -> Option<Self> {
        (peer.is_proved() && address.is_dialable())
            .then(|| Self(NodeInfo { address, id: peer.id() }))
    }

    /// The end of an [`Output::Probe`](crate::event::Output::Probe), as
    /// [`Input::Probed`](crate::event::Input::Probed) tells it. `None` unless the authenticated
    /// peer's own certificate was pushed at that address.
    pub fn probed(contact: NodeInfo, listening: bool) -> Option<Self> {
        (listening && contact.address.is_dialable()).then_some(Self(contact))
    }

    /// The node and its address.
    pub fn info(&self) -> NodeInfo {
        self.0
    }
}

/// A contact as it lies on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredContact {
    /// Its ID, and where it listens.
    pub info: NodeInfo,
    /// For how long it has been in the routing table, as far as that was written.
    pub tenure: Duration,
}

impl From<NodeInfo> for StoredContact {
    fn from(info: NodeInfo) -> Self {
        Self { info, tenure: Duration::ZERO }
    }
}

/// A member of a bucket.
#[derive(Clone, Debug)]
pub struct Contact {
    id: NodeId,
    /// When it last answered.
    last_seen: Moment,
    /// When a failure was last counted; means nothing while `failures` is 0.
    last_failed: Moment,
    rtt: Option<RttEstimate>,
    address: PeerAddress,
    /// Requests that failed since it last answered.
    failures: u8,
    /// From when on its [tenure](Contact::tenure) counts.
    member_from: MemberFrom,
}

/// When a tenure began: microseconds on the clock of [`Moment`], before its start where the contact was
/// one in an earlier run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct MemberFrom(i64);

impl MemberFrom {
    fn new(now: Moment) -> Self {
        Self(i64::try_from(now.as_micros()).unwrap_or(i64::MAX))
    }

    /// How long before `now` it was.
    pub(crate) fn tenure(self, now: Moment) -> Duration {
        let micros = Self::new(now).0.saturating_sub(self.0);
        Duration::from_micros(u64::try_from(micros).unwrap_or(0))
    }

    fn back(self, earlier: Duration) -> Self {
        let micros = i64::try_from(earlier.as_micros()).unwrap_or(i64::MAX);
        Self(self.0.saturating_sub(micros))
    }
}

/// 100 000 simulated nodes with some hundred contacts each must fit into one machine.
const _: () = assert!(size_of::<Contact>() <= 88);

impl Contact {
    pub(crate) fn new(admitted: AdmittedContact, now: Moment) -> Self {
        let NodeInfo { address, id } = admitted.info();
        Self {
            id,
            last_seen: now,
            last_failed: now,
            rtt: None,
            address,
            failures: 0,
            member_from: MemberFrom::new(now),
        }
    }

    /// Its ID and address.
    #[inline]
    pub fn info(&self) -> NodeInfo {
        NodeInfo { address: self.address, id: self.id }
    }

    /// Its ID.
    #[inline]
    pub fn id(&self) -> &NodeId {
        &self.id
    }

    /// Where it listens, as it proved.
    pub fn address(&self) -> PeerAddress {
        self.address
    }

    /// When it last answered.
    pub fn last_seen(&self) -> Moment {
        self.last_seen
    }

    /// How long it has been in the routing table, earlier times there included.
    pub fn tenure(&self, now: Moment) -> Duration {
        self.member_from.tenure(now)
    }

    pub(crate) fn member_from(&self) -> MemberFrom {
        self.member_from
    }

    /// It was in the routing table before, for so long.
    pub(crate) fn credit(&mut self, earlier: Duration) {
        self.member_from = self.member_from.back(earlier);
    }

    /// How quickly it answers; `None` before the first measurement.
    pub fn rtt(&self) -> Option<RttEstimate> {
        self.rtt
    }

    /// Failures since it last answered; those within [`FAILURE_SPACING`] count as one.
    pub fn failures(&self) -> u8 {
        self.failures
    }

    /// Whether it failed to answer the last time it was asked.
    #[inline]
    pub fn is_suspect(&self) -> bool {
        self.failures > 0
    }

    pub(crate) fn answered(&mut self, rtt: Option<Duration>, now: Moment) {
        self.last_seen = now;
        self.failures = 0;
        if let Some(sample) = rtt {
            match &mut self.rtt {
                Some(estimate) => estimate.update(sample),
                None => self.rtt = Some(RttEstimate::first(sample)),
            }
        }
    }

    /// Notes a failure, and says whether it was one too many.
    pub(crate) fn failed(&mut self, now: Moment) -> bool {
        if self.failures == 0 || now.since(self.last_failed) >= FAILURE_SPACING {
            self.failures = self.failures.saturating_add(1);
            self.last_failed = now;
        }
        self.failures >= MAX_FAILURES_IN_A_ROW
    }

    /// The peer has authenticated at another address. The times measured on the path to the old one
    /// go.
    pub(crate) fn moved(&mut self, address: PeerAddress) {
        self.address = address;
        self.rtt = None;
    }
}

/// How long a peer takes to answer: the estimator of RFC 6298, section 2, and the shortest time of all
/// (RFC 9002, section 5.2), in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RttEstimate {
    /// min_rtt: what the path takes by itself, without the load at its ends.
    least: u32,
    /// SRTT: the smoothed round-trip time. Never zero, so that an `Option` of this type is no larger.
    smoothed: NonZeroU32,
    /// RTTVAR: its mean deviation.
    deviation: u32,
}

impl RttEstimate {
    /// The estimate after one measurement (rule 2.2).
    pub fn first(sample: Duration) -> Self {
        let sample = micros(sample);
        Self { least: sample, smoothed: at_least_one(sample), deviation: sample / 2 }
    }

    /// One more measurement (rule 2.3: alpha 1/8, beta 1/4).
    pub fn update(&mut self, sample: Duration) {
        let sample = micros(sample);
        self.least = self.least.min(sample);
        let error = self.smoothed.get().abs_diff(sample);
        self.deviation = weigh(self.deviation, 3, error);
        self.smoothed = at_least_one(weigh(self.smoothed.get(), 7, sample));
    }

    /// The shortest round-trip time measured.
    pub fn least(&self) -> Duration {
        Duration::from_micros(self.least.into())
    }

    /// The smoothed round-trip time.
    pub fn smoothed(&self) -> Duration {
        Duration::from_micros(self.smoothed.get().into())
    }

    /// Its mean deviation.
    pub fn deviation(&self) -> Duration {
        Duration::from_micros(self.deviation.into())
    }

    /// How long to wait for an answer: SRTT + 4 RTTVAR, between [`MIN_TIMEOUT`] and
    /// [`MAX_TIMEOUT`].
    pub fn timeout(&self) -> Duration {
        (self.smoothed() + 4 * self.deviation()).clamp(MIN_TIMEOUT, MAX_TIMEOUT)
    }
}

/// The mean of `old`, counted `weight` times, and `new`.
fn weigh(old: u32, weight: u64, new: u32) -> u32 {
    let mean = (u64::from(old) * weight + u64::from(new)) / (weight + 1);
    u32::try_from(mean).unwrap_or(u32::MAX)
}

fn at_least_one(micros: u32) -> NonZeroU32 {
    NonZeroU32::new(micros).unwrap_or(NonZeroU32::MIN)
}

/// Microseconds; what is longer than 71 minutes reads as that.
fn micros(duration: Duration) -> u32 {
    u32::try_from(duration.as_micros()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn address() -> PeerAddress {
        PeerAddress::new("192.0.2.1".parse().unwrap(), 7402)
    }

    fn contact() -> Contact {
        let info = NodeInfo { address: address(), id: NodeId::from_bytes([1; 32]) };
        Contact::new(AdmittedContact::probed(info, true).unwrap(), Moment::default())
    }

    #[test]
    fn only_a_proved_peer_at_a_dialable_address_is_admitted() {
        let id = NodeId::from_bytes([1; 32]);
        let proved = Peer::danger_assume_proved(id, address());
        let info = NodeInfo { address: address(), id };
        let nowhere = address().with_port(0);
        assert_eq!(AdmittedContact::dialed(&proved, address()).map(|it| it.info()), Some(info));
        assert_eq!(AdmittedContact::dialed(&Peer::claimed(id, address()), address()), None);
        assert_eq!(AdmittedContact::dialed(&proved, nowhere), None);
        assert_eq!(AdmittedContact::probed(info, true).map(|it| it.info()), Some(info));
        assert_eq!(AdmittedContact::probed(info, false), None);
        assert_eq!(AdmittedContact::probed(NodeInfo { address: nowhere, id }, true), None);
    }

    #[test]
    fn round_trip_times_are_estimated_as_in_rfc_6298() {
        let mut estimate = RttEstimate::first(800 * MS);
        assert_eq!((estimate.smoothed(), estimate.deviation()), (800 * MS, 400 * MS));
        assert_eq!(estimate.timeout(), 2400 * MS);
        estimate.update(1600 * MS);
        assert_eq!((estimate.smoothed(), estimate.deviation()), (900 * MS, 500 * MS));
    }

    #[test]
    fn timeouts_have_a_floor_and_a_ceiling() {
        assert_eq!(RttEstimate::first(Duration::ZERO).timeout(), MIN_TIMEOUT);
        let mut slow = RttEstimate::first(Duration::MAX);
        slow.update(Duration::MAX);
        assert_eq!(slow.timeout(), MAX_TIMEOUT);
    }

    #[test]
    fn failures_in_one_burst_count_once_and_an_answer_clears_them() {
        let mut contact = contact();
        let at = |seconds: f64| Moment::default() + Duration::from_secs_f64(seconds);
        for _ in 0..100 {
            assert!(!contact.failed(at(10.0)));
        }
        assert_eq!(contact.failures(), 1);
        contact.answered(None, at(10.5));
        assert!(!contact.is_suspect());
        for failure in 1..MAX_FAILURES_IN_A_ROW {
            assert!(!contact.failed(at(10.5 + f64::from(failure))));
        }
        assert!(contact.failed(at(20.0)));
    }

    #[test]
    fn a_new_address_starts_with_no_measured_time() {
        let mut contact = contact();
        contact.answered(Some(MS), Moment::default());
        assert!(contact.rtt().is_some());
        contact.moved(address().with_port(1));
        assert_eq!((contact.rtt(), contact.address().port()), (None, 1));
    }
}
