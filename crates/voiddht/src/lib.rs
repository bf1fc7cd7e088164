#![doc = include_str!("../README.md")]

mod builder;
mod error;
mod get;
mod handle;
mod limits;
mod node;
mod put;
pub mod signed;
mod status;

pub use bytes::Bytes;
#[cfg(feature = "gateway")]
pub use voiddht_gateway as gateway;
pub use voiddht_identity::{KeyKind, Policy};
#[cfg(feature = "gateway")]
pub use voiddht_node;
pub use voiddht_node::kept::{Keep, KeepError, KeepOutcome, KeepRefusal, KeptView};
pub use voiddht_node::metrics::{Labels, MetricFamily, MetricKind, Sample, SampleValue, to_text};
pub use voiddht_node::{Descriptors, HandleError, NodeEvent, NodeEvents};
pub use voiddht_store::{MemoryStorage, Row, RowChange, Storage, StorageError, Table};
pub use voiddht_wire::api::{Freshness, Proof};
pub use voiddht_wire::limits::MAX_VALUE_BYTES;
pub use voiddht_wire::peer::NodeInfo;
pub use voiddht_wire::{Distance, Key, NodeId, PeerAddress, Publication};

pub use builder::NodeBuilder;
pub use error::{GetError, PutError, PutFailure, StartError, StartFailure};
pub use get::{Found, Get};
pub use handle::Handle;
pub use limits::Limits;
pub use node::Node;
pub use put::{Put, PutReceipt};
pub use status::Status;

/// The samples of the repository's README, which compile.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct RepositoryReadme;
