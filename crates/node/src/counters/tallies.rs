//! What is counted by kind and by outcome: requests, operations, and how long each took.
//!
//! The kinds are few and known, so that each has its place in an array: counting is one addition.

use std::time::Duration;

use voiddht_core::event::{Outcome, RequestOutcome};
use voiddht_core::record::Refusal;
use voiddht_core::report::Report;
use voiddht_wire::peer::Body;

use super::Count;
use crate::histogram::{Durations, Histogram};

/// Kinds of requests between peers, by their names in the core and in the metrics.
pub const REQUEST_KINDS: [&str; 4] = ["ping", "store", "find_node", "find_value"];
/// How a request ends.
pub const REQUEST_OUTCOMES: [&str; 4] = ["answered", "refused", "timed_out", "undelivered"];
/// How an operation of a user ends: the kind, and what came of it.
pub const OPERATION_OUTCOMES: [(&str, &str); 7] = [
    ("get", "found"),
    ("get", "missing"),
    ("put", "stored"),
    ("put", "failed"),
    ("lookup", "done"),
    ("get", "busy"),
    ("put", "busy"),
];
/// Operations whose times are kept.
pub const TIMED_OPERATIONS: [&str; 3] = ["get", "put", "lookup"];
/// What a node's own lookups are for.
pub const LOOKUP_PURPOSES: [&str; 3] = ["join", "refresh", "upkeep"];

/// Numbers that go with the names above, place by place.
#[derive(Debug, Default)]
pub(crate) struct Tallies {
    requests: [[Count; REQUEST_OUTCOMES.len()]; REQUEST_KINDS.len()],
    request_durations: [Histogram; REQUEST_KINDS.len()],
    upkeep_requests: [Count; REQUEST_OUTCOMES.len()],
    served: [Count; REQUEST_KINDS.len()],
    stores_refused: [Count; Refusal::NAMES.len()],
    operations: [Count; OPERATION_OUTCOMES.len()],
    operation_durations: [Histogram; TIMED_OPERATIONS.len()],
    lookups: [Count; LOOKUP_PURPOSES.len()],
    votes: [Count; 2],
}

/// What was counted by kind and by outcome, up to one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Requests of this node that have ended: by [`REQUEST_KINDS`], then [`REQUEST_OUTCOMES`].
    pub requests: [[u64; REQUEST_OUTCOMES.len()]; REQUEST_KINDS.len()],
    /// How long those took that were answered, by [`REQUEST_KINDS`].
    pub request_durations: [Durations; REQUEST_KINDS.len()],
    /// Copies of records that upkeep sent, by [`REQUEST_OUTCOMES`].
    pub upkeep_requests: [u64; REQUEST_OUTCOMES.len()],
    /// Requests of peers, by [`REQUEST_KINDS`].
    pub served: [u64; REQUEST_KINDS.len()],
    /// STOREs of peers that were not taken, by [`Refusal::NAMES`].
    pub stores_refused: [u64; Refusal::NAMES.len()],
    /// Operations of users that have ended, by [`OPERATION_OUTCOMES`].
    pub operations: [u64; OPERATION_OUTCOMES.len()],
    /// How long they took, by [`TIMED_OPERATIONS`].
    pub operation_durations: [Durations; TIMED_OPERATIONS.len()],
    /// Lookups that the node made for itself, by [`LOOKUP_PURPOSES`].
    pub lookups: [u64; LOOKUP_PURPOSES.len()],
    /// Votes in GETs: for the value that was returned, and for others.
    pub votes: [u64; 2],
}

impl Tallies {
    /// A request of this node has ended.
    pub(crate) fn request_ended(
        &self,
        kind: &str,
        purpose: &str,
        outcome: RequestOutcome,
        took: Duration,
    ) {
        let Some(kind) = place(&REQUEST_KINDS, kind) else { return };
        let outcome = outcome_place(outcome);
        self.requests[kind][outcome].add();
        if outcome == outcome_place(RequestOutcome::Answered) {
            self.request_durations[kind].observe(took);
        }
        if purpose == "upkeep" {
            self.upkeep_requests[outcome].add();
        }
    }

    /// A peer asks something of this node.
    pub(crate) fn served(&self, body: &Body) {
        let kind = match body {
            Body::Ping => 0,
            Body::Store(_) => 1,
            Body::FindNode { .. } => 2,
            Body::FindValue { .. } => 3,
            _ => return,
        };
        self.served[kind].add();
    }

    /// A peer's STORE was not taken.
    pub(crate) fn store_refused(&self, why: &str) {
        if let Some(place) = place(&Refusal::NAMES, why) {
            self.stores_refused[place].add();
        }
    }

    /// An operation of kind `asked` has ended. Joining and leaving are not counted.
    pub(crate) fn operation_ended(&self, asked: &str, outcome: &Outcome) {
        let (result, report) = match outcome {
            Outcome::Get { value, report, .. } => {
                self.count_votes(report);
                (if value.is_some() { "found" } else { "missing" }, Some(report))
            }
            Outcome::Put { stored, report } => {
                (if *stored > 0 { "stored" } else { "failed" }, Some(report))
            }
            Outcome::Lookup { report, .. } => ("done", Some(report)),
            Outcome::Busy => ("busy", None),
            Outcome::Joined { .. } | Outcome::Left { .. } | Outcome::Reach { .. } => return,
        };
        if let Some(place) = place(&OPERATION_OUTCOMES, (asked, result)) {
            self.operations[place].add();
        }
        if let (Some(place), Some(report)) = (place(&TIMED_OPERATIONS, asked), report) {
            self.operation_durations[place].observe(report.took);
        }
    }

    /// A lookup of the node's own has ended.
    pub(crate) fn lookup_ended(&self, purpose: &str) {
        if let Some(place) = place(&LOOKUP_PURPOSES, purpose) {
            self.lookups[place].add();
        }
    }

    pub(crate) fn read(&self) -> Tally {
        Tally {
            requests: std::array::from_fn(|kind| read_all(&self.requests[kind])),
            request_durations: std::array::from_fn(|kind| self.request_durations[kind].read()),
            upkeep_requests: read_all(&self.upkeep_requests),
            served: read_all(&self.served),
            stores_refused: read_all(&self.stores_refused),
            operations: read_all(&self.operations),
            operation_durations: std::array::from_fn(|kind| self.operation_durations[kind].read()),
            lookups: read_all(&self.lookups),
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
        self.requests.iter().map(|kind| kind[outcome_place(outcome)]).sum()
    }

    /// Requests of peers of this kind, one of [`REQUEST_KINDS`].
    pub fn served_of(&self, kind: &str) -> u64 {
        place(&REQUEST_KINDS, kind).map_or(0, |place| self.served[place])
    }

    /// STOREs of peers that were not taken for this reason, one of [`Refusal::NAMES`].
    pub fn stores_refused(&self, why: &str) -> u64 {
        place(&Refusal::NAMES, why).map_or(0, |place| self.stores_refused[place])
    }

    /// Operations of this kind that have ended, in whatever way.
    pub fn operations_ended(&self, kind: &str) -> u64 {
        let of_kind = OPERATION_OUTCOMES.iter().zip(self.operations);
        of_kind.filter(|((name, _), _)| *name == kind).map(|(_, count)| count).sum()
    }
}

fn outcome_place(outcome: RequestOutcome) -> usize {
    match outcome {
        RequestOutcome::Answered => 0,
        RequestOutcome::Refused => 1,
        RequestOutcome::TimedOut => 2,
        RequestOutcome::Undelivered => 3,
    }
}

/// A name that is not in the list is not counted: it would have no place in the metrics either.
fn place<T: PartialEq>(names: &[T], name: T) -> Option<usize> {
    let place = names.iter().position(|known| *known == name);
    debug_assert!(place.is_some() || names.is_empty(), "a name without a place in the metrics");
    place
}

fn read_all<const N: usize>(counts: &[Count; N]) -> [u64; N] {
    std::array::from_fn(|index| counts[index].read())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_and_outcome_has_its_own_count() {
        let tallies = Tallies::default();
        let ms = Duration::from_millis(1);
        tallies.request_ended("store", "upkeep", RequestOutcome::Answered, ms);
        tallies.request_ended("store", "operation", RequestOutcome::TimedOut, 5 * ms);
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
        let get = |value| Outcome::Get { value, version: None, report: report.clone() };
        tallies.operation_ended("get", &get(Some("v".into())));
        tallies.operation_ended("get", &get(None));
        tallies.operation_ended("put", &Outcome::Put { stored: 0, report: Report::default() });
        tallies.operation_ended("put", &Outcome::Busy);
        tallies.operation_ended("join", &Outcome::Joined { contacts: 1 });
        let tally = tallies.read();
        assert_eq!(tally.operations, [1, 1, 0, 1, 0, 0, 1]);
        assert_eq!(tally.votes, [10, 2]);
        assert_eq!(tally.operation_durations[0].count(), 2);
        assert_eq!(tally.operations_ended("put"), 2);
    }
}
