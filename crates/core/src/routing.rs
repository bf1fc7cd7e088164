//! The routing table: which contacts a node keeps, and which of them are close to a point.
//!
//! * [`table`]: the buckets, how they split, and every question that others ask.
//! * [`bucket`]: the contacts of one range of the space, least recently seen first.
//! * [`replacement`]: candidates for their slots.
//!
//! Kademlia, sections 2.2, 2.4, 4.1 and 4.2. Nothing here sends: a contact that must be probed is
//! returned to the caller.

pub mod bucket;
pub mod replacement;
pub mod table;

pub use bucket::{BucketRange, BucketView};
pub use table::{Failure, Insertion, RoutingConfig, RoutingTable};
