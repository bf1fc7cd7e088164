//! Requests in flight: what each is for, when it is slow or overdue, and when it has failed.
//!
//! The timeouts follow from round-trip times: a request of an operation is *slow*, and any request
//! *overdue*, after the times of [`crate::pace`]. It has *failed* after [`FAIL_FACTOR`] times as long as
//! it takes to be overdue, within [`FAIL_AFTER`], or
//! after the longest of that if it waits for a dial. A reply after that is no violation: the IDs of
//! recent failed requests are remembered for as long as a reply can arrive.
//!
//! That a request is slow is said as often as [`Hedges`] allow.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use voiddht_wire::peer::Body;
use voiddht_wire::{Key, RpcId};

use crate::config::{FAIL_AFTER, FAIL_FACTOR};
use crate::event::{CommandId, Destination};
use crate::hedges::Hedges;
use crate::label::{RequestKind, RequestPurpose};
use crate::operation::Asked;
use crate::pace::{Pace, Patience, Usual};
use crate::time::Moment;

/// A STORE on a connection is overdue after so many times what other requests may take: it is
/// acknowledged once the disk has it, and a replica wrongly taken for overdue costs one more copy. One
/// that waits for a handshake has long enough as it is.
const STORE_PATIENCE: u32 = 2;
/// Requests that were given up and whose late reply is still no violation. 32 bytes each.
const MAX_GIVEN_UP: usize = 4096;

/// What a request asked, as far as its reply must fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Ping,
    /// The key, and the version of its record.
    Store(Key, Option<u64>),
    FindNode,
    FindValue(Key),
}

impl Kind {
    /// What `body` asks; `None` if it is a reply.
    pub(crate) fn of(body: &Body) -> Option<Self> {
        match body {
            Body::Ping => Some(Self::Ping),
            Body::Store(record) => Some(Self::Store(record.key, record.version)),
            Body::FindNode { .. } => Some(Self::FindNode),
            Body::FindValue { key } => Some(Self::FindValue(*key)),
            Body::PingReply { .. }
            | Body::StoreReply { .. }
            | Body::FindNodeReply { .. }
            | Body::FindValueReply(_)
            | Body::Error(_)
            | Body::Unknown { .. } => None,
        }
    }

    /// Whether `reply` can answer this.
    pub(crate) fn fits(self, reply: &Body) -> bool {
        match (self, reply) {
            (_, Body::Error(_)) => true,
            (Self::Ping, Body::PingReply { .. }) => true,
            (Self::Store(key, _), Body::StoreReply { key: replied }) => key == *replied,
            (Self::FindNode | Self::FindValue(_), Body::FindNodeReply { .. }) => true,
            (Self::FindValue(key), Body::FindValueReply(record)) => key == record.key,
            _ => false,
        }
    }

    /// What an operation hears of it together with the answer.
    pub(crate) fn asked(self) -> Asked {
        match self {
            Self::Store(_, version) => Asked::Store { version },
            _ => Asked::Find,
        }
    }

    /// The label under which it is counted.
    pub(crate) fn label(self) -> RequestKind {
        match self {
            Self::Ping => RequestKind::Ping,
            Self::Store(..) => RequestKind::Store,
            Self::FindNode => RequestKind::FindNode,
            Self::FindValue(_) => RequestKind::FindValue,
        }
    }
}

/// Why a request was sent, and the receiver of its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// An operation; it may have ended since.
    Operation(u64),
    /// A configured peer whose ID is not known yet.
    Seed,
    /// Whether a contact is still there.
    Liveness,
    /// The neighbourhood of a contact that was met for the first time.
    Neighbour,
    /// A record brought to where it belongs.
    Upkeep(Key),
    /// A record brought to a replica that a PUT has missed.
    Replica,
    /// A newer signed value brought to a node that returned an older one.
    Repair,
    /// A query for how this node looks from outside.
    Reach(CommandId),
    /// The same, as the node itself wants to know.
    DialBack,
    /// Whether another process has this node's identity.
    Duplicate,
    /// None: a goodbye.
    Farewell,
}

impl Purpose {
    /// Whether the peer is to dial this node back: it must be told where.
    pub(crate) fn asks_for_dial_back(self) -> bool {
        matches!(self, Self::Reach(_) | Self::DialBack)
    }

    /// The label under which it is counted.
    pub(crate) fn label(self) -> RequestPurpose {
        match self {
            Self::Operation(_) | Self::Replica => RequestPurpose::Operation,
            Self::Seed => RequestPurpose::Seed,
            Self::Liveness | Self::Neighbour | Self::Duplicate => RequestPurpose::Liveness,
            Self::Upkeep(_) => RequestPurpose::Upkeep,
            Self::Repair => RequestPurpose::Repair,
            Self::Reach(_) | Self::DialBack => RequestPurpose::Reach,
            Self::Farewell => RequestPurpose::Farewell,
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct InFlight {
    pub(crate) to: Destination,
    pub(crate) kind: Kind,
    pub(crate) purpose: Purpose,
    pub(crate) sent: Moment,
    /// Whether there was a connection to send it on.
    pub(crate) connected: bool,
    /// Whether it is known how quickly this peer answers.
    pub(crate) measured: bool,
    /// What such a request usually takes, where that is known.
    usual: Option<Usual>,
    late: Moment,
    fails: Moment,
    stage: Stage,
}

/// What an unanswered request waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// To be slow at this moment; to be overdue, where that comes as soon.
    InTime(Option<Moment>),
    /// To be overdue.
    Slow,
    /// To fail.
    Late,
}

impl InFlight {
    /// Whether it was slower than it should be.
    pub(crate) fn is_late(&self) -> bool {
        self.stage == Stage::Late
    }

    /// When it reaches the next stage.
    fn deadline(&self) -> Moment {
        match self.stage {
            Stage::InTime(Some(slow)) => slow,
            Stage::InTime(None) | Stage::Slow => self.late,
            Stage::Late => self.fails,
        }
    }
}

/// What a deadline brought.
#[derive(Debug)]
pub(crate) enum Overdue {
    /// It takes longer than usual.
    Slow(InFlight),
    /// It is overdue, and still awaited.
    Late(InFlight),
    /// It is given up.
    Failed(InFlight),
}

/// Every request in flight.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    in_flight: BTreeMap<RpcId, InFlight>,
    deadlines: BTreeSet<(Moment, RpcId)>,
    given_up: BTreeSet<RpcId>,
    given_up_order: VecDeque<RpcId>,
    forgotten: usize,
    hedges: Hedges,
}

impl Requests {
    /// Remembers a request.
    pub(crate) fn insert(
        &mut self,
        rpc_id: RpcId,
        to: Destination,
        kind: Kind,
        purpose: Purpose,
        patience: Patience,
        now: Moment,
    ) {
        let is_store = matches!(kind, Kind::Store(..));
        let times = if is_store && patience.connected { STORE_PATIENCE } else { 1 };
        let late = (times * patience.late_after).min(FAIL_AFTER.1);
        let fail = match patience.connected {
            true => (late * FAIL_FACTOR).clamp(FAIL_AFTER.0, FAIL_AFTER.1),
            // A dial has deadlines of its own, and says how it has ended.
            false => FAIL_AFTER.1,
        };
        // Of a STORE the disk's time is a part, and other requests have nothing to ask meanwhile.
        let is_read = matches!(kind, Kind::FindNode | Kind::FindValue(_));
        let is_hedged = is_read && matches!(purpose, Purpose::Operation(_));
        let stage = match is_hedged {
            true => {
                self.hedges.add_read();
                Stage::InTime(patience.slow_after.map(|after| now + after))
            }
            false => Stage::Slow,
        };
        let request = InFlight {
            to,
            kind,
            purpose,
            sent: now,
            connected: patience.connected,
            measured: patience.measured,
            usual: patience.usual,
            late: now + late,
            fails: now + fail,
            stage,
        };
        self.deadlines.insert((request.deadline(), rpc_id));
        self.in_flight.insert(rpc_id, request);
    }

    /// The request that a reply answers, which is no longer in flight.
    pub(crate) fn take(&mut self, rpc_id: &RpcId) -> Option<InFlight> {
        let request = self.in_flight.remove(rpc_id)?;
        self.deadlines.remove(&(request.deadline(), *rpc_id));
        Some(request)
    }

    /// A request in flight.
    pub(crate) fn get(&self, rpc_id: &RpcId) -> Option<&InFlight> {
        self.in_flight.get(rpc_id)
    }

    /// Whether this request was given up not long ago.
    pub(crate) fn was_given_up(&self, rpc_id: &RpcId) -> bool {
        self.given_up.contains(rpc_id)
    }

    /// The next request that is slow or overdue at `now`, or has failed.
    pub(crate) fn next_overdue(&mut self, now: Moment) -> Option<Overdue> {
        loop {
            let (deadline, rpc_id) = *self.deadlines.first()?;
            if deadline > now {
                return None;
            }
            self.deadlines.remove(&(deadline, rpc_id));
            let request = self.in_flight.get_mut(&rpc_id)?;
            let next = match request.stage {
                Stage::InTime(Some(_)) => Stage::Slow,
                Stage::InTime(None) | Stage::Slow => Stage::Late,
                Stage::Late => {
                    let request = *request;
                    self.in_flight.remove(&rpc_id);
                    self.give_up(rpc_id);
                    return Some(Overdue::Failed(request));
                }
            };
            request.stage = next;
            self.deadlines.insert((request.deadline(), rpc_id));
            match next {
                Stage::Late => return Some(Overdue::Late(*request)),
                _ if self.hedges.take(now) => return Some(Overdue::Slow(*request)),
                _ => {}
            }
        }
    }

    /// Answers have become much quicker: what is in flight is slow sooner. Its cost is that of all
    /// requests in flight.
    pub(crate) fn hasten(&mut self, pace: &Pace) {
        for (rpc_id, request) in &mut self.in_flight {
            let Stage::InTime(slow) = request.stage else { continue };
            let after = request.usual.and_then(|usual| pace.slow_after(usual));
            let Some(sooner) = after.map(|after| request.sent + after) else { continue };
            if sooner < slow.unwrap_or(request.late) {
                self.deadlines.remove(&(request.deadline(), *rpc_id));
                request.stage = Stage::InTime(Some(sooner));
                self.deadlines.insert((sooner, *rpc_id));
            }
        }
    }

    /// When [`Self::next_overdue`] will next have something.
    pub(crate) fn next_deadline(&self) -> Option<Moment> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// How many that were given up have been forgotten since this was last asked.
    pub(crate) fn take_forgotten(&mut self) -> usize {
        std::mem::take(&mut self.forgotten)
    }

    /// Requests in flight.
    pub(crate) fn len(&self) -> usize {
        self.in_flight.len()
    }

    fn give_up(&mut self, rpc_id: RpcId) {
        if self.given_up_order.len() >= MAX_GIVEN_UP
            && let Some(oldest) = self.given_up_order.pop_front()
        {
            self.given_up.remove(&oldest);
            self.forgotten += 1;
        }
        self.given_up.insert(rpc_id);
        self.given_up_order.push_back(rpc_id);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use voiddht_wire::NodeId;

    use super::*;
    use crate::contact::RttEstimate;

    fn requests_with(late_after: Duration) -> Requests {
        let mut requests = Requests::default();
        let to = Destination { address: ([127, 0, 0, 1], 1).into_address(), id: None };
        requests.insert(
            RpcId::default(),
            to,
            Kind::Ping,
            Purpose::Liveness,
            patience(None, late_after),
            Moment::default(),
        );
        requests
    }

    fn patience(slow_after: Option<Duration>, late_after: Duration) -> Patience {
        let usual = Some(Usual::of(RttEstimate::first(late_after / 160)));
        Patience { slow_after, usual, late_after, connected: true, measured: true }
    }

    trait IntoAddress {
        fn into_address(self) -> voiddht_wire::PeerAddress;
    }
    impl IntoAddress for ([u8; 4], u16) {
        fn into_address(self) -> voiddht_wire::PeerAddress {
            std::net::SocketAddr::from(self).into()
        }
    }

    #[test]
    fn a_request_is_late_before_it_fails_and_its_reply_is_then_no_violation() {
        let usual = Duration::from_millis(300);
        let mut requests = requests_with(usual);
        let start = Moment::default();
        assert!(requests.next_overdue(start + usual / 2).is_none());
        assert!(matches!(requests.next_overdue(start + usual), Some(Overdue::Late(_))));
        assert!(requests.next_overdue(start + usual).is_none());
        assert!(!requests.was_given_up(&RpcId::default()));
        let failed = requests.next_overdue(start + usual * FAIL_FACTOR);
        assert!(matches!(failed, Some(Overdue::Failed(_))));
        assert!(requests.was_given_up(&RpcId::default()));
        assert_eq!((requests.len(), requests.next_deadline()), (0, None));
    }

    #[test]
    fn what_an_operation_reads_is_slow_first_and_nothing_else_is() {
        let ms = Duration::from_millis(1);
        let key = Key::default();
        for (kind, purpose, is_hedged) in [
            (Kind::FindValue(key), Purpose::Operation(1), true),
            (Kind::FindNode, Purpose::Operation(1), true),
            (Kind::Store(key, None), Purpose::Operation(1), false),
            (Kind::FindNode, Purpose::Neighbour, false),
            (Kind::Ping, Purpose::Liveness, false),
        ] {
            let mut requests = Requests::default();
            let to = Destination { address: ([127, 0, 0, 1], 1).into_address(), id: None };
            let patience = patience(Some(2 * ms), 20 * ms);
            requests.insert(RpcId::default(), to, kind, purpose, patience, Moment::default());
            let slow = requests.next_overdue(Moment::default() + 2 * ms);
            assert_eq!(matches!(slow, Some(Overdue::Slow(_))), is_hedged, "{kind:?}");
            assert!(requests.next_overdue(Moment::default() + 2 * ms).is_none());
            let late = requests.next_overdue(Moment::default() + 40 * ms);
            assert!(matches!(late, Some(Overdue::Late(_))), "{kind:?}");
            assert!(requests.take(&RpcId::default()).is_some());
            assert_eq!(requests.next_deadline(), None);
        }
    }

    #[test]
    fn what_is_in_flight_is_slow_sooner_when_answers_become_quicker() {
        let ms = Duration::from_millis(1);
        let mut pace = Pace::default();
        for peer in 0..3 {
            let known = RttEstimate::first(ms);
            pace.compare(NodeId::from_bytes([peer; 32]), known, ms);
        }
        let to = Destination { address: ([127, 0, 0, 1], 1).into_address(), id: None };
        for (slow_after, kind, sooner) in [
            (Some(60 * ms), Kind::FindNode, 3 * ms),
            (None, Kind::FindNode, 3 * ms),
            (Some(2 * ms), Kind::FindNode, 2 * ms),
            (None, Kind::Store(Key::default(), None), 320 * ms),
        ] {
            let mut requests = Requests::default();
            let patience = patience(slow_after, 160 * ms);
            let purpose = Purpose::Operation(1);
            requests.insert(RpcId::default(), to, kind, purpose, patience, Moment::default());
            requests.hasten(&pace);
            assert_eq!(requests.next_deadline(), Some(Moment::default() + sooner), "{kind:?}");
            assert!(requests.next_overdue(Moment::default() + sooner).is_some());
            requests.hasten(&pace);
            assert!(requests.take(&RpcId::default()).is_some());
            assert_eq!(requests.next_deadline(), None);
        }
    }

    #[test]
    fn timeouts_stay_within_their_bounds() {
        let (short, long) = (Duration::from_millis(20), Duration::from_secs(9));
        for (late_after, late, fails) in [
            (short, short, FAIL_AFTER.0),
            (long, long, FAIL_AFTER.1),
            (Duration::from_secs(3600), FAIL_AFTER.1, FAIL_AFTER.1),
        ] {
            let mut requests = requests_with(late_after);
            assert_eq!(requests.next_deadline(), Some(Moment::default() + late));
            requests.next_overdue(Moment::default() + late);
            assert_eq!(requests.next_deadline(), Some(Moment::default() + fails));
        }
    }

    #[test]
    fn an_answered_request_leaves_no_deadline() {
        let late_after = Duration::from_secs(1);
        let mut requests = requests_with(late_after);
        requests.next_overdue(Moment::default() + late_after);
        assert!(requests.take(&RpcId::default()).is_some());
        assert_eq!(requests.next_deadline(), None);
        assert!(requests.take(&RpcId::default()).is_none());
    }
}
