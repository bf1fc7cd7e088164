//! Log lines on standard error: how many, and with or without colour.

use clap::ValueEnum;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::output;

/// How much is logged, by the names of the original.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogLevel {
    /// Every step.
    Trace,
    /// Every exchange with a peer.
    Debug,
    /// What an operator wants to know.
    Info,
    /// What an operator may have to mend.
    #[value(alias = "warning")]
    Warn,
    /// What an operator has to mend.
    #[value(alias = "error")]
    Err,
    /// The same as err: what is less than critical is a warning here.
    Critical,
    /// Nothing.
    Off,
}

impl LogLevel {
    fn filter(self) -> LevelFilter {
        match self {
            Self::Trace => LevelFilter::TRACE,
            Self::Debug => LevelFilter::DEBUG,
            Self::Info => LevelFilter::INFO,
            Self::Warn => LevelFilter::WARN,
            Self::Err | Self::Critical => LevelFilter::ERROR,
            Self::Off => LevelFilter::OFF,
        }
    }
}

/// Sends log lines of this level and above to standard error from now on. Of libraries, only
/// warnings and worse are shown: their lower levels explain the libraries.
///
/// A second call changes nothing.
pub fn start(level: LogLevel) {
    let own = level.filter();
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(output::stderr_wants_colour());
    let filter =
        Targets::new().with_default(own.min(LevelFilter::WARN)).with_target("voiddht", own);
    // It only fails where a subscriber is set already.
    let _ = tracing_subscriber::registry().with(lines).with(filter).try_init();
}
