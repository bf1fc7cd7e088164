//! Both codecs of voiddht, and the sizes they allow.
//!
//! * [`api`]: the VoidPhone module API, between local programs and their node.
//! * [`Publication`]: what a program publishes, shared by all crates above.
//! * [`peer`]: the messages between nodes, in two [dialects](peer::Dialect).
//! * [`message_type`]: the table of those messages: code, name, sizes.
//! * [`frame`]: the frame that both share: a size, a type, a body.
//! * [`id`]: 256-bit identifiers of nodes, keys and requests, and the XOR metric.
//! * [`address`]: the address of a peer, in 18 bytes on the wire.
//! * [`limits`]: every size, in one place.
//!
//! Nothing here reads a socket. Decoders take bytes that are already bounded and never allocate
//! more than those bytes; encoders write into the caller's buffer.

pub mod address;
pub mod api;
mod dialect;
pub mod frame;
pub mod id;
pub mod limits;
mod message_error;
pub mod message_type;
pub mod peer;
mod publication;

pub use address::PeerAddress;
pub use id::{Distance, Key, NodeId, RpcId};
pub use message_type::MessageType;
pub use publication::{ConditionalPut, Publication};
