//! Operations, built on lookups: each operation is a small state machine that says which
//! node to ask next and hears what came back. None of them sees the routing table, the clock or the
//! other operations; [`crate::node`] wires them.

use std::time::Duration;

use bytes::Bytes;
use voiddht_wire::Key;
use voiddht_wire::peer::{Body, ErrorCode, NodeInfo, Record};

use crate::record::order::Rank;
use crate::record::value::VerifiedValue;

pub mod find;
pub mod get;
pub mod put;

pub use find::Find;
pub use get::Get;
pub use put::{Put, PutFailure, Receipt};

/// What an operation asks for next.
#[derive(Clone, Debug)]
pub enum Next {
    /// Send this request.
    Ask {
        /// The recipient.
        node: NodeInfo,
        /// On which disjoint path.
        path: u8,
        /// What.
        body: Body,
    },
    /// Keep this record on this node too, and say whether it worked.
    KeepLocally(Record),
    /// Open a connection to this node, if there is none: it will probably be given a record.
    Connect(NodeInfo),
    /// Hand in so many of this node's contacts closest to the target, and go on.
    MoreContacts(usize),
    /// Nothing until an answer comes.
    Wait,
    /// It has ended: take the result.
    Done,
}

/// What came back for one request.
#[derive(Clone, Debug)]
pub enum Answer {
    /// Nodes near the target.
    Nodes(Vec<NodeInfo>),
    /// A value.
    Value(Record),
    /// To a PING: it lives.
    Alive,
    /// The record is kept.
    Stored,
    /// The record was handed to a peer that does not say whether it is kept.
    Delivered,
    /// An error.
    Refused(ErrorCode),
    /// Nothing, and nothing will come.
    Failed,
}

/// What a request asked for. A node may be asked for two things at once, and neither an error nor
/// silence says which of them it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Nodes near the target, or the value.
    Find,
    /// To keep the record, of this version.
    Store {
        /// The version.
        version: Option<u64>,
    },
}

impl Asked {
    /// What this request asks for.
    pub fn of(request: &Body) -> Self {
        match request {
            Body::Store(record) => Self::Store { version: record.version },
            _ => Self::Find,
        }
    }
}

/// The result of a GET.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The value, if any node that answered had one.
    pub value: Option<VerifiedValue>,
    /// Its version.
    pub version: Option<u64>,
    /// Replicas that returned it.
    pub agreeing: usize,
    /// Replicas that returned another.
    pub dissenting: usize,
}

impl Found {
    /// The value's bytes.
    pub fn bytes(&self) -> Option<&Bytes> {
        self.value.as_ref().map(VerifiedValue::bytes)
    }
}

/// A value that this node published: the floor below which no GET of this node may fall.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// The value.
    pub value: VerifiedValue,
    /// Its version.
    pub version: u64,
}

impl Published {
    /// Its place in the order of its key's records.
    pub fn rank(&self) -> Rank<'_> {
        self.value.rank(self.version)
    }
}

/// The record of a publication.
pub fn record_of(key: Key, value: Bytes, version: u64, ttl: Duration) -> Record {
    let ttl = u16::try_from(ttl.as_secs()).unwrap_or(u16::MAX);
    Record { key, value, ttl, version: Some(version), maintenance: false }
}
