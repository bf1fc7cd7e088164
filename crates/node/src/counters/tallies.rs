//! What is counted by kind and by outcome: requests, operations, and how long each took.
//!
//! The labels are closed enums, so that each has its slot in an array: counting is one addition.

use std::time::Duration;

use voiddht_core::event::{Outcome, PutIfOutcome};
use voiddht_core::label::{
    KeptPublication, LookupPurpose, OperationKind, RefusalReason, RequestKind, RequestOutcome,
    RequestPurpose, StoreRejection,
};
use voiddht_core::operation::Receipt;
use voiddht_core::report::Report;
use voiddht_wire::peer::Body;

use super::count::Count;
use crate::histogram::{Copies, CopiesHistogram, DurationHistogram, Durations};

voiddht_core::label! {
    /// How an operation of a user ended. An operation that is none of these is not counted: joining,
    /// leaving, and looking at the node from outside.
    pub enum OperationOutcome {
        /// A GET that found a value.
        GetFound = "found",
        /// A GET that found none.
        GetMissing = "missing",
        /// A GET that was refused: too many operations.
        GetBusy = "busy",
        /// A PUT that stored its value on some node.
        PutStored = "stored",
        /// A PUT that stored it on none.
        PutFailed = "failed",
        /// A PUT that was refused: too many operations.
        PutBusy = "busy",
        /// A lookup that ended.
        LookupDone = "done",
        /// A lookup that was refused: too many operations.
        LookupBusy = "busy",
    }
}

impl OperationOutcome {
    /// How an operation of this kind ended; `None` if `outcome` is not that of an operation.
    pub(crate) fn of(kind: OperationKind, outcome: &Outcome) -> Option<Self> {
        match outcome {
            Outcome::Get { value: Some(_), .. } => Some(Self::GetFound),
            Outcome::Get { value: None, .. } => Some(Self::GetMissing),
            Outcome::Put { receipt: Receipt { stored: 0, .. }, .. } => Some(Self::PutFailed),
            Outcome::Put { .. } => Some(Self::PutStored),
            Outcome::PutIf(PutIfOutcome::Put(Receipt { stored: 1.., .. })) => Some(Self::PutStored),
            Outcome::PutIf(_) => Some(Self::PutFailed),
            Outcome::Lookup { .. } => Some(Self::LookupDone),
            Outcome::Busy => Some(match kind {
                OperationKind::Get => Self::GetBusy,
                OperationKind::Put => Self::PutBusy,
                OperationKind::Lookup => Self::LookupBusy,
            }),
            Outcome::Joined { .. }
            | Outcome::Keep(_)
            | Outcome::Unkept { .. }
            | Outcome::PeersSet { .. }
            | Outcome::Left { .. }
            | Outcome::Reach { .. } => None,
        }
    }

    /// The kind of the operation that ended so.
    pub fn kind(self) -> OperationKind {
        match self {
            Self::GetFound | Self::GetMissing | Self::GetBusy => OperationKind::Get,
            Self::PutStored | Self::PutFailed | Self::PutBusy => OperationKind::Put,
            Self::LookupDone | Self::LookupBusy => OperationKind::Lookup,
        }
    }
}

/// Numbers by label, each in its slot.
#[derive(Debug, Default)]
pub(crate) struct Tallies {
    requests: [[Count; RequestOutcome::COUNT]; RequestKind::COUNT],
    request_durations: [DurationHistogram; RequestKind::COUNT],
    upkeep_requests: [Count; RequestOutcome::COUNT],
    served: [Count; RequestKind::COUNT],
    stores_refused: [Count; RefusalReason::COUNT],
    stores_rejected: [Count; StoreRejection::COUNT],
    operations: [Count; OperationOutcome::COUNT],
    operation_durations: [DurationHistogram; OperationKind::COUNT],
    put_copies: CopiesHistogram,
    lookups: [Count; LookupPurpose::COUNT],
    kept_publications: [Count; KeptPublication::COUNT],
    votes: [Count; 2],
}

/// What was counted by kind and by outcome, up to one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Requests of this node that have ended: by [`RequestKind`], then [`RequestOutcome`].
    pub requests: [[u64; RequestOutcome::COUNT]; RequestKind::COUNT],
    /// How long those took that were answered, by [`RequestKind`].
    pub request_durations: [Durations; RequestKind::COUNT],
    /// Copies of records that upkeep sent, by [`RequestOutcome`].
    pub upkeep_requests: [u64; RequestOutcome::COUNT],
    /// Requests of peers, by [`RequestKind`].
    pub served: [u64; RequestKind::COUNT],
    /// STOREs of peers that were not taken, by [`RefusalReason`].
    pub stores_refused: [u64; RefusalReason::COUNT],
    /// STOREs of this node that peers did not take, by [`StoreRejection`].
    pub stores_rejected: [u64; StoreRejection::COUNT],
    /// Operations of users that have ended, by [`OperationOutcome`].
    pub operations: [u64; OperationOutcome::COUNT],
    /// How long they took, by [`OperationKind`].
    pub operation_durations: [Durations; OperationKind::COUNT],
    /// On how many nodes each PUT stored its value.
    pub put_copies: Copies,
    /// Lookups that the node made for itself, by [`LookupPurpose`].
    pub lookups: [u64; LookupPurpose::COUNT],
    /// Publications of kept values that have ended, by [`KeptPublication`].
    pub kept_publications: [u64; KeptPublication::COUNT],
    /// Votes in GETs: for the value that was returned, and for others.
    pub votes: [u64; 2],
}

impl Tallies {
    /// A request of this node has ended.
    pub(crate) fn request_ended(
        &self,
        kind: RequestKind,
        purpose: RequestPurpose,
        outcome: RequestOutcome,
        took: Duration,
    ) {
        self.requests[kind.slot()][outcome.slot()].add();
        if outcome == RequestOutcome::Answered {
            self.request_durations[kind.slot()].observe(took);
        }
        if purpose == RequestPurpose::Upkeep {
            self.upkeep_requests[outcome.slot()].add();
        }
    }

    /// A peer asks something of this node.
    pub(crate) fn served(&self, body: &Body) {
        if let Some(kind) = RequestKind::of(body) {
            self.served[kind.slot()].add();
        }
    }

    /// A peer's STORE was not taken.
    pub(crate) fn store_refused(&self, why: RefusalReason) {
        self.stores_refused[why.slot()].add();
    }

    /// A peer did not take a STORE of this node.
    pub(crate) fn store_rejected(&self, why: StoreRejection) {
        self.stores_rejected[why.slot()].add();
    }

    /// An operation of this kind has ended.
    pub(crate) fn operation_ended(&self, kind: OperationKind, outcome: &Outcome) {
        let Some(ended) = OperationOutcome::of(kind, outcome) else { return };
        self.operations[ended.slot()].add();
        let report = match outcome {
            Outcome::Get { report, .. } => {
                self.count_votes(report);
                report
            }
            Outcome::Put { receipt: Receipt { stored, .. }, report } => {
                self.put_copies.observe(*stored);
                report
            }
            Outcome::Lookup { report, .. } => report,
            _ => return,
        };
        self.operation_durations[ended.kind().slot()].observe(report.took);
    }

    /// A lookup of the node's own has ended.
    pub(crate) fn lookup_ended(&self, purpose: LookupPurpose) {
        self.lookups[purpose.slot()].add();
    }

    /// A publication of a kept value has ended.
    pub(crate) fn kept_published(&self, outcome: KeptPublication) {
        self.kept_publications[outcome.slot()].add();
    }

    pub(crate) fn read(&self) -> Tally {
        Tally {
            requests: std::array::from_fn(|kind| read_all(&self.requests[kind])),
            request_durations: std::array::from_fn(|kind| self.request_durations[kind].read()),
            upkeep_requests: read_all(&self.upkeep_requests),
            served: read_all(&self.served),
            stores_refused: read_all(&self.stores_refused),
            stores_rejected: read_all(&self.stores_rejected),
            operations: read_all(&self.operations),
            operation_durations: std::array::from_fn(|kind| self.operation_durations[kind].read()),
            put_copies: self.put_copies.read(),
            lookups: read_all(&self.lookups),
            kept_publications: read_all(&self.kept_publications),
            votes: read_all(&self.votes),
        }
    }

    fn count_votes(&self, report: &Report) {
        self.votes[0].add_many(report.agreeing.into());
        self.votes[1].add_many(report.dissenting.into());
    }
}

impl Tally {
    /// Requests of this node that ended with this outcome, of all kinds.
    pub fn requests_ended(&self, outcome: RequestOutcome) -> u64 {
        self.requests.iter().map(|kind| kind[outcome.slot()]).sum()
    }

    /// Requests of peers of this kind.
    pub fn served_of(&self, kind: RequestKind) -> u64 {
        self.served[kind.slot()]
    }

    /// STOREs of peers that were not taken for this reason.
    pub fn stores_refused(&self, why: RefusalReason) -> u64 {
        self.stores_refused[why.slot()]
    }

    /// Operations of this kind that have ended, in whatever way.
    pub fn operations_ended(&self, kind: OperationKind) -> u64 {
        let of_kind = OperationOutcome::ALL.into_iter().filter(|outcome| outcome.kind() == kind);
        of_kind.map(|outcome| self.operations[outcome.slot()]).sum()
    }
}

fn read_all<const N: usize>(counts: &[Count; N]) -> [u64; N] {
    std::array::from_fn(|index| counts[index].read())
}

#[cfg(test)]
mod tests {
    use voiddht_core::operation::PutFailure;

    use super::*;

    #[test]
    fn each_kind_and_outcome_has_its_own_count() {
        let tallies = Tallies::default();
        let ms = Duration::from_millis(1);
        tallies.request_ended(
            RequestKind::Store,
            RequestPurpose::Upkeep,
            RequestOutcome::Answered,
            ms,
        );
        tallies.request_ended(
            RequestKind::Store,
            RequestPurpose::Operation,
            RequestOutcome::TimedOut,
            5 * ms,
        );
        tallies.served(&Body::Ping);
        let tally = tallies.read();
        assert_eq!(tally.requests[1], [1, 0, 1, 0]);
        assert_eq!(tally.upkeep_requests, [1, 0, 0, 0]);
        assert_eq!(tally.request_durations[1].count(), 1, "what timed out says nothing");
        assert_eq!(tally.served, [1, 0, 0, 0]);
        assert_eq!(tally.requests_ended(RequestOutcome::TimedOut), 1);
    }

    #[test]
    fn operations_are_counted_by_what_came_of_them() {
        let tallies = Tallies::default();
        let report = Report { agreeing: 5, dissenting: 1, ..Report::default() };
        let get =
            |value| Outcome::Get { value, version: None, proof: None, report: report.clone() };
        let receipt = Receipt { stored: 0, outstanding: 0, failure: Some(PutFailure::Unreachable) };
        tallies.operation_ended(OperationKind::Get, &get(Some("v".into())));
        tallies.operation_ended(OperationKind::Get, &get(None));
        tallies.operation_ended(
            OperationKind::Put,
            &Outcome::Put { receipt, report: Report::default() },
        );
        tallies.operation_ended(OperationKind::Put, &Outcome::Busy);
        tallies.operation_ended(OperationKind::Lookup, &Outcome::Busy);
        let tally = tallies.read();
        assert_eq!(tally.operations, [1, 1, 0, 0, 1, 1, 0, 1]);
        assert_eq!(tally.votes, [10, 2]);
        assert_eq!(tally.operation_durations[0].count(), 2);
        assert_eq!(tally.operations_ended(OperationKind::Put), 2);
        assert_eq!(tally.put_copies.count(), 1, "a refused PUT has no copies to count");
    }
}
