//! The programs `dht_server` and `dht`: arguments, settings, and terminal output. The node itself
//! is in `voiddht-node`, its decisions in `voiddht-core`.
//!
//! * [`arguments`]: from the command line to checked values; an error is one line.
//! * [`server`]: the daemon: options, settings, lifecycle from start to signal.
//! * [`commands`]: the client `dht`: one module for each command, with its help text.
//! * [`output`]: the only module that prints. Results on standard output, diagnostics on standard
//!   error.
//! * [`paint`]: colours, bars and formatting of numbers, for terminals.
//! * [`outcome`]: exit statuses.
//! * [`logging`], [`signals`], [`process`]: interfaces to the operating system.

pub mod arguments;
pub mod commands;
pub mod logging;
pub mod outcome;
pub mod output;
pub mod paint;
pub mod process;
pub mod server;
pub mod signals;
