//! A voiddht node on tokio: its ports, its connections, and the loop that drives the core.
//!
//! [`Node::start`] starts one, [`Handle`] speaks to it.
//!
//! * `driver`: the one task that owns the core, and carries out what it asks.
//! * `pool`: which connection carries what, and which goes when there is no room. No sockets.
//! * `connection`, `link`, `frame_reader`, `outbox`: one connection, from its task down to its bytes.
//! * `listener`, `dialer`, `handshake`: how a connection comes about.
//! * `network`: the private network that the node belongs to, and its secrets.
//! * `own_address`: what is bound, dialled from and announced.
//! * `resolver`: names of configured peers. `service`: what is there instead of a peer.
//! * `trust`: the pins, and how conflicts over an ID are settled.
//! * `api`: the module API server.
//! * `persistence`: the way to the disk and back.
//!
//! Nothing here decides about Kademlia: who is asked, who is a contact, what a value's replicas
//! are. That is `voiddht_core`.

mod api;
mod callers;
mod clock;
mod connection;
mod contact_log;
mod context;
pub mod counters;
mod descriptors;
mod dialer;
pub mod doctor;
mod driver;
mod event;
mod frame_reader;
mod groups;
mod handle;
pub mod handshake;
mod histogram;
pub mod http;
mod idle_slots;
mod link;
mod listener;
mod log_limit;
pub mod network;
mod node;
mod observer;
mod outbox;
mod own_address;
mod persistence;
pub mod pins;
mod pool;
mod probes;
pub mod resolver;
mod service;
pub mod settings;
pub mod snapshot;
mod sockets;
mod status;
#[cfg(test)]
mod testing;
mod trust;

pub use counters::Counts;
pub use handle::{GetOutcome, Handle, HandleError, LookupOutcome, PutOutcome};
pub use node::{Node, StartError};
pub use settings::{Limits, Settings};
pub use status::{CoreStatus, Status};
