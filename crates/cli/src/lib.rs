//! The programs `dht_server` and `dht`: arguments, settings, and terminal output. The laboratory's
//! program (`voiddht-lab`) is made of the same parts. The node itself is in `voiddht-node`, its
//! decisions in `voiddht-core`.
//!
//! * [`arguments`]: from the command line to checked values; an error is one line.
//! * [`server`]: the daemon: options, settings, lifecycle from start to signal.
//! * [`commands`]: the client `dht`: one module for each command, with its help text.
//! * [`connection`]: a running node, by its control socket or dashboard; [`peer_connection`]: as one of
//!   its peers.
//! * `http`: one request and its answer.
//! * [`workload`]: puts and gets that are measured; [`test_network`]: what programs that start networks
//!   share.
//! * [`output`]: the only module that prints. Results on standard output, diagnostics on standard
//!   error.
//! * [`paint`]: colours, bars and formatting of numbers, for terminals; [`progress`]: bars that
//!   move.
//! * [`outcome`]: exit statuses.
//! * [`logging`], [`signals`], [`process`]: interfaces to the operating system.

pub mod arguments;
pub mod commands;
pub mod connection;
mod http;
pub mod logging;
pub mod outcome;
pub mod output;
pub mod paint;
pub mod peer_connection;
pub mod process;
pub mod progress;
pub mod server;
pub mod signals;
pub mod test_network;
mod workload;
