//! The view of an operation: what was asked, of which node, on which path, and the answer.

use serde::Serialize;
use voiddht_core::report::{Report, Step, StepAnswer};
use voiddht_wire::Key;

use super::signed::SignedView;
use crate::outcome::GetOutcome;

/// An operation, in progress or ended.
#[derive(Clone, Debug, Default, Serialize)]
pub struct OperationView {
    /// Counts the node's operations as they end, from 1; 0 for those in progress. See
    /// [`super::SnapshotRequest::after`].
    pub number: u64,
    /// `get`, `put` or `lookup`.
    pub kind: &'static str,
    /// The requester: `command` (a user), `join`, `refresh` or `upkeep`.
    pub purpose: &'static str,
    /// The key, or the point that was searched.
    pub key: String,
    /// `running`, `found`, `missing`, `stored`, `failed`, `busy` or `done`.
    pub result: &'static str,
    /// Nodes on which a PUT's value now lies, or that a lookup found.
    pub nodes: Option<usize>,
    /// Bytes of the value that a GET found or a PUT stored.
    pub value_bytes: Option<usize>,
    /// Whether the value that an explained GET found is the one of which the key is the hash.
    pub proves_itself: bool,
    /// Owner and sequence of the value that an explained GET found, where it is a signed one.
    pub signed: Option<SignedView>,
    /// When it started, in milliseconds since 1970.
    pub started_at_ms: u64,
    /// How long it took, or has been running.
    pub took_ms: f64,
    /// Requests sent.
    pub asked: u32,
    /// Requests answered.
    pub answered: u32,
    /// Requests refused by an error.
    pub refused: u32,
    /// Requests that timed out or could not be delivered.
    pub failed: u32,
    /// The longest chain of nodes, each named by the one before.
    pub hops: u32,
    /// Votes for the value that was returned.
    pub agreeing: u32,
    /// Votes for others.
    pub dissenting: u32,
    /// Each request in the order of its start, [`super::MAX_STEPS`] at most; empty if they were not
    /// recorded when it started.
    pub steps: Vec<StepView>,
}

/// One request of an operation.
#[derive(Clone, Debug, Serialize)]
pub struct StepView {
    /// The node that was queried.
    pub id: String,
    /// Where it listens.
    pub address: String,
    /// On which disjoint path, from 0.
    pub path: u8,
    /// The referrer; `None` if it stood in the routing table.
    pub named_by: Option<String>,
    /// When it was asked, from the operation's start.
    pub asked_after_ms: f64,
    /// How long it took to answer or fail; `None` if the operation ended first.
    pub took_ms: Option<f64>,
    /// `pending`, `nodes`, `value`, `other_value` (outvoted), `stored`, `refused` or `failed`.
    pub answer: &'static str,
    /// How many nodes it named.
    pub nodes: Option<u8>,
    /// The version of the value that it returned.
    pub version: Option<u64>,
    /// Generation and sequence number of the signed value that it returned, as `generation.seq`.
    pub sequence: Option<String>,
}

impl OperationView {
    /// The GET to explain, with every step.
    pub fn explained(key: &Key, outcome: &GetOutcome, ended_at_ms: u64) -> Self {
        let took = outcome.report.took;
        let view = Self {
            kind: "get",
            purpose: "command",
            key: key.to_string(),
            result: if outcome.value.is_some() { "found" } else { "missing" },
            value_bytes: outcome.value.as_ref().map(|value| value.len()),
            signed: SignedView::of(key, outcome.value.as_ref(), &outcome.report),
            proves_itself: outcome.value.as_ref().is_some_and(|value| key.proves(value)),
            started_at_ms: ended_at_ms.saturating_sub(took.as_millis() as u64),
            took_ms: millis(took),
            ..Self::default()
        };
        view.with_report(&outcome.report, usize::MAX)
    }

    /// Fills in what a report knows, and no more than so many of its steps.
    pub(crate) fn with_report(mut self, report: &Report, most_steps: usize) -> Self {
        self.asked = report.asked;
        self.answered = report.answered;
        self.refused = report.refused;
        self.failed = report.failed;
        self.hops = report.hops;
        self.agreeing = report.agreeing;
        self.dissenting = report.dissenting;
        let ended = self.result != "running";
        let steps = report.steps.iter().take(most_steps);
        self.steps = steps.map(|step| StepView::of(step, ended)).collect();
        self
    }
}

impl StepView {
    fn of(step: &Step, ended: bool) -> Self {
        let sequence = match step.answer {
            StepAnswer::Value { precedence, .. } => precedence,
            _ => None,
        };
        let sequence = sequence.map(|it| format!("{}.{}", it.generation, it.seq));
        let (answer, nodes, version) = match step.answer {
            StepAnswer::Pending => ("pending", None, None),
            StepAnswer::Nodes(count) => ("nodes", Some(count), None),
            // Which value wins is known only at the end.
            StepAnswer::Value { version, won, .. } if won || !ended => ("value", None, version),
            StepAnswer::Value { version, .. } => ("other_value", None, version),
            StepAnswer::Stored => ("stored", None, None),
            StepAnswer::Delivered => ("delivered", None, None),
            StepAnswer::Refused => ("refused", None, None),
            StepAnswer::Failed => ("failed", None, None),
        };
        Self {
            id: step.node.id.to_string(),
            address: step.node.address.to_string(),
            path: step.path,
            named_by: step.named_by.map(|id| id.to_string()),
            asked_after_ms: millis(step.asked_after),
            took_ms: step.took.map(millis),
            answer,
            nodes,
            version,
            sequence,
        }
    }
}

/// Milliseconds, to the microsecond.
pub(crate) fn millis(duration: std::time::Duration) -> f64 {
    duration.as_micros() as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use voiddht_signed::Precedence;
    use voiddht_wire::NodeId;
    use voiddht_wire::peer::NodeInfo;

    use super::*;

    fn view(answer: StepAnswer, ended: bool) -> StepView {
        let address = std::net::SocketAddr::from(([192, 0, 2, 1], 7402)).into();
        let id = NodeId::from_bytes([7; 32]);
        let step = Step {
            node: NodeInfo { address, id },
            path: 2,
            named_by: Some(id),
            asked_after: Duration::from_micros(1500),
            took: Some(Duration::from_micros(250)),
            answer,
        };
        StepView::of(&step, ended)
    }

    #[test]
    fn a_value_is_outvoted_only_at_the_end() {
        let lost = StepAnswer::Value { version: Some(3), won: false, precedence: None };
        assert_eq!(view(lost, false).answer, "value");
        assert_eq!(view(lost, true).answer, "other_value");
        let precedence = Some(Precedence { generation: 2, seq: 9 });
        let won = view(StepAnswer::Value { version: None, won: true, precedence }, true);
        assert_eq!((won.answer, won.sequence.as_deref()), ("value", Some("2.9")));
    }

    #[test]
    fn a_step_says_who_when_and_what() {
        let step = view(StepAnswer::Nodes(20), true);
        assert_eq!(step.address, "192.0.2.1:7402");
        assert_eq!(step.id, "07".repeat(32));
        assert_eq!((step.asked_after_ms, step.took_ms), (1.5, Some(0.25)));
        assert_eq!((step.answer, step.nodes), ("nodes", Some(20)));
    }
}
