//! A voiddht node on tokio: ports, connections, and the driver of the session.
//!
//! [`Node::start`] starts one; [`Handle`] is its API.
//!
//! * `driver`: the one task that owns the session, and executes its outputs.
//! * `connection`, `link`, `frame_reader`, `outbox`: one connection, from its task down to its
//!   bytes.
//! * `listener`, `dialer`, `handshake`: establishing connections.
//! * `network`: the private network that the node belongs to, and its secrets.
//! * `own_address`: the bound, the dialled-from and the announced address.
//! * `own_sessions`: connections of this node to itself, or to another process with its key.
//! * `resolver`: names of configured peers. `service`: detects other services at a peer's address.
//! * `api`: the module API server.
//! * `kept`: values that the node republishes for its users.
//! * `persistence`: writes to the data directory, or to storage of the embedding program.
//! * [`metrics`]: every metric. `node_events`: what happens, for the embedding program.
//! * `http`, `doctor`: dashboard, `/metrics`, control socket and diagnosis.
//!
//! # Features
//!
//! * `http` (default): the modules `http` and `doctor`, and axum, hyper and serde_json with them.
//! * `redb` (default): the data directory.
//!
//! Kademlia decisions (which nodes are queried, admitted as contacts, chosen as replicas) are made
//! in `voiddht_core`, those about connections and trust in `voiddht_session`.

mod api;
mod callers;
mod clock;
mod connection;
mod contact_log;
mod context;
pub mod counters;
mod descriptors;
mod dialer;
#[cfg(feature = "http")]
pub mod doctor;
mod driver;
mod event;
mod frame_reader;
mod groups;
mod handle;
pub mod handshake;
mod histogram;
#[cfg(feature = "http")]
pub mod http;
mod idle_slots;
pub mod kept;
mod limits;
mod link;
mod listener;
mod log_limit;
pub mod metrics;
pub mod network;
mod node;
mod node_events;
mod observation;
mod observer;
mod outbox;
mod outcome;
mod own_address;
mod own_sessions;
mod persistence;
pub mod pins;
pub mod resolver;
pub mod service;
pub mod settings;
pub mod snapshot;
mod sockets;
mod status;
#[cfg(test)]
mod testing;

pub use counters::Counts;
pub use descriptors::Descriptors;
pub use handle::{GatewayRequest, Handle};
pub use limits::Limits;
pub use node::Node;
pub use node::error::StartError;
pub use node_events::{NodeEvent, NodeEvents};
pub use outcome::{GetOutcome, HandleError, LookupOutcome, PutIfResult, PutOutcome};
pub use settings::Settings;
pub use status::{CoreStatus, Status};
