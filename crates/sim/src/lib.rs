//! A whole voiddht network in one thread, on virtual time.
//!
//! A [`World`] holds the hosts and drives the shipped [`voiddht_session::Session`] in each of them,
//! and through it the [`voiddht_core::Node`]. A model of the network replaces sockets, and only events
//! advance the clock. The same seed gives the same run, message by message.

pub mod adversary;
pub mod attack;
pub mod checker;
mod credentials;
pub mod directory;
mod disk;
pub mod durability;
pub mod growth;
pub mod host;
mod host_id;
pub mod kept;
pub mod network;
mod pipe;
mod queue;
pub mod random;
pub mod run;
pub mod scenario;
pub mod signed;
pub mod tally;
mod trace;
pub mod traffic;
mod workload;
pub mod world;

pub use directory::Directory;
pub use growth::{Grown, Growth};
pub use host::{HostId, HostOptions};
pub use network::{Latency, NetworkConfig};
pub use world::{Death, Ended, World, WorldConfig};
