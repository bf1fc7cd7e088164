//! Kademlia as a state machine: no sockets, no clock, no threads, no randomness of its own.
//!
//! [`Node`] is the entry point: one [`event::Input`] goes in, [`event::Output`]s come out, and the
//! driver passes in the time. See [`node`] for the contract.

pub mod config;
pub mod configured;
pub mod contact;
pub mod density;
pub mod diversity;
pub mod event;
mod failure;
mod hedges;
pub mod kept;
pub mod label;
pub mod lookup;
pub mod node;
pub mod operation;
mod pace;
pub mod peer;
pub mod peer_clocks;
pub mod quota;
pub mod reachability;
pub mod record;
pub mod report;
pub mod reputation;
mod request;
pub mod routing;
pub mod scope;
pub mod time;
pub mod vote;

pub use config::Config;
pub use node::{Node, OperationView};
