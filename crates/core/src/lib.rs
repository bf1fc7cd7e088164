//! Kademlia as a state machine: no sockets, no clock, no threads, no randomness of its own.

pub mod event;
pub mod peer;
pub mod report;
pub mod time;
