//! How an operation went: who was asked, who answered, how the vote fell.

use std::time::Duration;

use voiddht_signed::Precedence;
use voiddht_wire::peer::NodeInfo;

/// Counts over one operation, and its hops where they were asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Requests sent.
    pub asked: u32,
    /// Requests answered.
    pub answered: u32,
    /// Requests refused by an error.
    pub refused: u32,
    /// Requests that timed out or could not be delivered.
    pub failed: u32,
    /// The longest chain of nodes, each named by the one before it; 0 if nobody was asked.
    pub hops: u32,
    /// Votes for the value that was returned.
    pub agreeing: u32,
    /// Votes for other values.
    pub dissenting: u32,
    /// Seconds that the value returned still lives, by what the replicas say; `None` if none says.
    pub ttl_left: Option<u16>,
    /// How long the operation took.
    pub took: Duration,
    /// Each request in the order of its start. Bounded by the lookup's own limit.
    pub steps: Vec<Step>,
}

/// One request of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Who was asked.
    pub node: NodeInfo,
    /// On which disjoint path, from 0.
    pub path: u8,
    /// Which contact named it; `None` if it stood in the routing table.
    pub named_by: Option<voiddht_wire::NodeId>,
    /// When it was asked, from the operation's start.
    pub asked_after: Duration,
    /// How long it took to answer or fail; `None` if the operation ended first.
    pub took: Option<Duration>,
    /// What came back.
    pub answer: StepAnswer,
}

/// What a request of an operation brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepAnswer {
    /// The operation ended before it came.
    Pending,
    /// Nodes.
    Nodes(u8),
    /// A value, and whether it was the one that won.
    Value {
        /// Its version.
        version: Option<u64>,
        /// Whether it was the one returned.
        won: bool,
        /// Generation and sequence number, where it claims to be a signed value of the key.
        precedence: Option<Precedence>,
    },
    /// The record was stored.
    Stored,
    /// The record was handed to a peer that does not say whether it is stored.
    Delivered,
    /// An error.
    Refused,
    /// Nothing.
    Failed,
}
