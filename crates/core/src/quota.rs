//! Quotas of one peer, and of all peers of one address prefix together.
//!
//! * [`requests`]: how many requests in a time.
//! * [`handover`]: how many bytes are handed to nodes that are new.
//! * [`signatures`]: how many signatures are verified in a time.
//! * [`storage`]: how many stored records and bytes.
//!
//! A quota is no judgement: a peer that reaches one is answered ERROR 13, and loses no reputation.
//! Quotas of an authenticated ID hold everywhere. Those of an address prefix do not count loopback
//! and private addresses by default, as in [`crate::diversity`]: the nodes of a test network share
//! one.

mod account;
pub mod handover;
pub mod requests;
pub mod signatures;
pub mod storage;

pub use account::{Account, Owner, QuotaReached};
pub use handover::HandoverQuota;
pub use requests::{RequestLimits, RequestQuota};
pub use signatures::{SignatureLimits, SignatureQuota};
pub use storage::{AccountNumber, Charge, StorageLimits, StorageQuota, Usage};
