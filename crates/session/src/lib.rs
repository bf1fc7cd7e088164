//! The connections of a node and its trust in peers, over the core, as a state machine: no sockets,
//! no clock, no threads, no randomness of its own.
//!
//! [`Session`] is the entry point: one [`Input`] goes in, [`Output`]s come out, and the driver
//! passes in the time. See [`session`] for the contract.
//!
//! * [`session`]: what happens in which order, between core, connections and trust.
//! * [`event`]: inputs and outputs.
//! * `pool`: which connection carries what, when to dial, and which connection is closed when the
//!   pool is full. `pool/choice` decides between crossing dials, `pool/slots` when all slots are
//!   taken, `pool/sending` what becomes of a message that could not be sent.
//! * `trust`: pins and takeover checks.
//! * `probes`: whether peers listen where they say, a few at a time.
//! * [`names`]: the names of connections.
//!
//! Kademlia decisions are made in [`voiddht_core`], and sockets are the driver's: the node on tokio,
//! or a simulator.

pub mod event;
pub mod names;
mod pool;
mod probes;
pub mod session;
mod trust;

pub use event::{Ending, Input, Limit, NotSent, Opened, Output, ProbeEnd, Proved, TrustNotice};
pub use pool::{Accepted, ConnectionCounts, PoolLimits};
pub use session::{Session, SessionLimits};
