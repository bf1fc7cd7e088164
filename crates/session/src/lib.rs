//! The connections of a node, as a state machine: no sockets, no clock, no threads.
//!
//! * [`pool`]: which connection carries what, and which is closed when it is full.
//! * [`event`]: what the pool is told of connections, and what it wants done.
//! * [`names`]: the names of connections.

pub mod event;
pub mod names;
pub mod pool;

pub use event::{Ending, Limit, NotSent, Opened, Output, Proved};
pub use pool::{Accepted, ConnectionCounts, Effect, Pool, PoolLimits};
