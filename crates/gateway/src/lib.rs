//! HTTP for programs: put and get values with `curl`, a browser or any HTTP library, and a relay for pkarr.
//!
//! [`Gateway`] serves a node's [`Handle`](voiddht_node::Handle) on a TCP address of its own and on the
//! node's control socket. It decides nothing about the DHT, and signs nothing.
//!
//! * `router`: what is where. `openapi.json` describes it to programs.
//! * `access`: who may ask. `bounds`: how much at once. `server`: listening.
//! * `values`, `signed`, `events`, `kept`, `batch`, `pkarr`: what is answered, a file for each kind of path.
//! * `kept_packets`: how many packets of others the node republishes. `shared`: what every request needs.
//! * `pace`: how fast the gateway works, and clients must be.
//! * `request`, `body`, `found`, `problem`: the parts of requests and answers.
//!
//! docs/gateway.md is the same for users.

mod access;
mod batch;
mod body;
pub mod bounds;
mod events;
mod found;
mod kept;
mod kept_packets;
mod pace;
mod pkarr;
mod problem;
mod request;
mod router;
mod server;
mod settings;
mod shared;
mod signed;
mod values;

pub use pace::{BODY_DEADLINE, COMMENT_INTERVAL, POLL_INTERVAL, Pace};
pub use server::{BoundGateway, Gateway, StartError};
pub use settings::{OpenToAll, Origin, ParseOriginError, Settings, Token, TokenError, read_token};
