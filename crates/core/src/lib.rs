//! Kademlia as a state machine: no sockets, no clock, no threads, no randomness of its own.

pub mod contact;
pub mod event;
pub mod peer;
pub mod report;
pub mod routing;
pub mod time;
