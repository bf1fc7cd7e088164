//! The tables of the redb database.

use redb::TableDefinition;
use voiddht_wire::address::ADDRESS_BYTES;
use voiddht_wire::id::ID_BYTES;

use super::{ACCOUNT_BYTES, EXPIRY_BYTES, KEPT_BYTES, OLD_RECORD_BYTES, RECORD_BYTES};
#[cfg(doc)]
use super::{FINGERPRINT_BYTES, SCHEMA_VERSION, SCHEMA_WITHOUT_KEPT, Stamp};

type Id = &'static [u8; ID_BYTES];

/// Single values: the names below.
pub(crate) const META: TableDefinition<&'static str, &'static [u8]> = TableDefinition::new("meta");
/// Key to value, and nothing beside it: the largest value, its key and redb's own bytes fill a
/// page of 64 KiB to the last byte but one. Sixteen bytes more in the row would double it.
pub(crate) const VALUES: TableDefinition<Id, &'static [u8]> = TableDefinition::new("values");
/// Key to version, deadline and class.
pub(crate) const RECORDS: TableDefinition<Id, &'static [u8; RECORD_BYTES]> =
    TableDefinition::new("classed_records");
/// The same of [`SCHEMA_WITHOUT_KEPT`], without class.
pub(crate) const OLD_RECORDS: TableDefinition<Id, &'static [u8; OLD_RECORD_BYTES]> =
    TableDefinition::new("records");
/// Key to what is remembered of a kept value beside its bytes: [`KEPT_BYTES`].
pub(crate) const KEPT: TableDefinition<Id, &'static [u8; KEPT_BYTES]> =
    TableDefinition::new("kept");
/// Key to kept value, and nothing beside it, as in [`VALUES`].
pub(crate) const KEPT_VALUES: TableDefinition<Id, &'static [u8]> =
    TableDefinition::new("kept_values");
/// Deadline and key, in the order in which records expire.
pub(crate) const EXPIRY: TableDefinition<&'static [u8; EXPIRY_BYTES], ()> =
    TableDefinition::new("expiry");
/// Node ID to address.
pub(crate) const CONTACTS: TableDefinition<Id, &'static [u8; ADDRESS_BYTES]> =
    TableDefinition::new("contacts");
/// Key to the account that a record is charged to: [`ACCOUNT_BYTES`]. What this node's own users
/// published has no row. A row without a record means nothing, and a version that does not know
/// the table loses no more than the accounts: it is no part of [`SCHEMA_VERSION`].
pub(crate) const ACCOUNTS: TableDefinition<Id, &'static [u8; ACCOUNT_BYTES]> =
    TableDefinition::new("accounts");
/// Node ID to the seconds for which a contact has been in the routing table. A row without a contact means
/// nothing, and a version that does not know the table loses no more than the order in which
/// contacts are dialled: it is no part of [`SCHEMA_VERSION`].
pub(crate) const TENURES: TableDefinition<Id, u64> = TableDefinition::new("tenures");
/// Node ID to the certificate it was first seen with.
pub(crate) const PINS: TableDefinition<Id, &'static [u8]> = TableDefinition::new("pins");

/// In [`META`]: `version u32`.
pub(crate) const META_SCHEMA: &str = "schema";
/// In [`META`]: the node's ID, 32 bytes.
pub(crate) const META_NODE: &str = "node";
/// In [`META`]: the fingerprints of a private network's secrets, [`FINGERPRINT_BYTES`] each, in no
/// order that matters. No row: the network is public. It is no part of [`SCHEMA_VERSION`].
pub(crate) const META_NETWORK: &str = "network";
/// In [`META`]: the last [`Stamp`].
pub(crate) const META_CLOCK: &str = "clock";
