//! A whole voiddht network in one thread, on virtual time.
//!
//! A [`World`] holds the hosts and drives the shipped [`voiddht_core::Node`] in each of them; it
//! has a network model in place of sockets, and a clock that only events move. The same seed
//! gives the same run, to the last message.

pub mod adversary;
pub mod attack;
pub mod checker;
pub mod directory;
mod disk;
pub mod durability;
pub mod growth;
pub mod host;
pub mod kept;
mod links;
pub mod network;
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
