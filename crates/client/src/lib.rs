//! An async client of the VoidPhone module API: PUT and GET through a local node.
//!
//! ```no_run
//! use voiddht_client::{Client, Key, Put};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::connect("localhost:7401").await?;
//!
//! let key = Key::of_value(b"any 32 bytes will do; a hash is customary");
//! let stored = client.put_acknowledged(Put::new(key, "value").ttl_seconds(600)).await?;
//! println!("stored on {stored} nodes");
//!
//! match client.get(key).await? {
//!     Some(value) => println!("found {} bytes", value.len()),
//!     None => println!("nothing under this key"),
//! }
//! # Ok(())
//! # }
//! ```
//!
//! A [`Client`] is one connection. It is cheap to clone, and many requests may be in flight on
//! it, up to [`Options::max_in_flight`]; the next one waits for a slot.
//!
//! # Which answer belongs to which request
//!
//! An answer carries its key and nothing else: SUCCESS may be the value of a GET or the count of
//! an acknowledged PUT, and answers come in the order in which they are ready. So for each key
//! one answer is awaited at a time, and requests for that key are sent in the order in which they
//! were made; requests for different keys do not wait for one another. GETs of one key that wait
//! behind the same request are sent as one, since its answer is right for all of them.
//!
//! A request that is cancelled, by timeout or by dropping its future, keeps its slot until the node
//! has answered it: otherwise that answer would be taken for the next one's.
//!
//! # Modules
//!
//! `client` is the API, [`signed`] publishes and resolves signed values through it, `requests` orders
//! requests as a plain data structure without sockets, `connection` is the task that reads and
//! writes, `error` has the error types. The codec is in `voiddht-wire`.

mod client;
mod connection;
mod error;
mod put;
mod requests;
pub mod signed;

pub use bytes::Bytes;
pub use voiddht_wire::Key;
pub use voiddht_wire::api::{Ask, Freshness, Proof, Told};
pub use voiddht_wire::limits::MAX_VALUE_BYTES;

pub use client::{Client, Options};
pub use error::{ConnectError, ProtocolError, RequestError};
pub use put::{Put, PutReceipt, PutTerms};
