//! The order in which records give way: see [`room`](super::room).

use voiddht_wire::{Distance, Key, NodeId};

use super::held::Record;
use crate::quota::AccountNumber;

/// A record's place in the order in which the records of its account give way, the last one first.
pub(super) type Place = (Option<AccountNumber>, bool, Distance, Key);

/// The place of a record.
pub(super) fn place(own: &NodeId, key: &Key, record: &Record) -> Place {
    (record.charged_to, record.cached, key.distance(own), *key)
}
