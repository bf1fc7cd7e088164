//! What lies below the writer: something that commits changes, and was read at the start.
//!
//! There are two: the redb database of a data directory, and [`crate::rows`] over a [`crate::Storage`] of the
//! embedding program's own.

use bytes::Bytes;
use voiddht_core::event::StoredContact;
use voiddht_core::kept::KeptRow;
use voiddht_core::record::Bill;
use voiddht_wire::NodeId;
use voiddht_wire::id::ID_BYTES;
use voiddht_wire::peer::NodeInfo;

use crate::clock::{Age, Stamp};
use crate::error::{Fault, SaveIdentityError};
use crate::loaded::{LiveRow, Pin, StoredIdentity};
use crate::schema::{self, RecordRow};

/// Commits groups of changes. Called from the writer's thread alone.
pub(crate) trait Backend: Send {
    /// Brings the changes to disk, in their order, all or none, with the stamp. Also removes up to
    /// `sweep` records that expired before `stale`; returns how many it removed.
    ///
    /// After an error the changes may or may not be found later, but nothing committed before is
    /// touched.
    fn commit(
        &mut self,
        changes: &mut dyn Iterator<Item = &Change>,
        stamp: &Stamp,
        stale: Age,
        sweep: usize,
    ) -> Result<usize, Fault>;

    /// Closes it.
    fn close(self: Box<Self>) -> Result<(), Fault>;
}

/// A directory that has a file for the identity of its node, and is locked as long as this lives.
pub(crate) trait IdentityHome: std::fmt::Debug + Send + Sync {
    /// Writes the file; refuses to replace another node's.
    fn save_identity(&self, identity: &StoredIdentity) -> Result<(), SaveIdentityError>;
}

/// One change of what the disk remembers, its deadline already on the directory's own axis.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    PutRecord {
        key: [u8; ID_BYTES],
        value: Bytes,
        row: RecordRow,
        bill: Option<Bill>,
    },
    RemoveRecord([u8; ID_BYTES]),
    PutKept {
        row: KeptRow,
        value: Option<Bytes>,
    },
    RemoveKept([u8; ID_BYTES]),
    PutContact(NodeInfo),
    PutTenure {
        node: NodeId,
        seconds: u64,
    },
    RemoveContact(NodeId),
    PutPin(Pin),
    RemovePin(NodeId),
    RememberNode(NodeId),
    /// Only where there is no file for it.
    PutIdentity(StoredIdentity),
    RememberNetwork(Vec<Fingerprint>),
    LeaveNetwork {
        keep_records: bool,
    },
}

/// What tells one secret of a private network from another.
pub(crate) type Fingerprint = [u8; schema::FINGERPRINT_BYTES];

/// What a database holds.
pub(crate) struct Content {
    pub(crate) node: Option<NodeId>,
    pub(crate) network: Vec<Fingerprint>,
    pub(crate) last_stamp: Option<Stamp>,
    pub(crate) pins: Vec<Pin>,
    pub(crate) contacts: Vec<StoredContact>,
    /// By key, those that expired among them.
    pub(crate) records: Vec<(LiveRow, Age)>,
    /// By key.
    pub(crate) kept: Vec<(KeptRow, Bytes)>,
}

impl Content {
    /// Whether nothing would be lost with it.
    pub(crate) fn is_empty(&self) -> bool {
        self.node.is_none()
            && self.network.is_empty()
            && self.pins.is_empty()
            && self.contacts.is_empty()
            && self.records.is_empty()
            && self.kept.is_empty()
    }
}
