//! The programs `dht_server` and `dht`: arguments, settings, and output for people. What a node
//! does is in `voiddht-node`, and what it decides in `voiddht-core`; nothing of that is here.
//!
//! * [`arguments`]: from the command line to checked values; a mistake becomes one line.
//! * [`server`]: the daemon: its options, its settings, its life from start to signal.
//! * [`commands`]: the tool: one module for each command, with its help text beside it.
//! * [`output`]: the only place that prints. Results on standard output, the rest on standard
//!   error.
//! * [`paint`]: colours, bars and words for numbers, where a person reads.
//! * [`outcome`]: how a program can end, and its exit statuses.
//! * [`logging`], [`signals`], [`process`]: what a program needs of its surroundings.

pub mod arguments;
pub mod commands;
pub mod logging;
pub mod outcome;
pub mod output;
pub mod paint;
pub mod process;
pub mod server;
pub mod signals;
