//! Both codecs of voiddht, and the sizes they allow.
//!
//! * [`api`]: the VoidPhone module API, spoken by local programs to their node.
//! * [`peer`]: the messages between nodes, in two [dialects](peer::Dialect).
//! * [`frame`]: the frame that both share: a size, a type, a body.
//! * [`id`]: the 256-bit values that name nodes, keys and requests, and the XOR metric.
//! * [`address`]: where a peer listens, in the 18 bytes that the wire gives it.
//! * [`limits`]: every size, in one place.
//!
//! Nothing here reads a socket. Decoders take bytes that are already bounded and never
//! allocate more than those bytes; encoders write into the caller's buffer.

pub mod address;
pub mod api;
pub mod frame;
pub mod id;
pub mod limits;
pub mod peer;

pub use address::PeerAddress;
pub use id::{Distance, Key, NodeId, RpcId};
