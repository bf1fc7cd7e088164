//! Log lines on standard error: how many, and with or without colour.

use clap::ValueEnum;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, reload};

use crate::paint::wants_colour;

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

/// How a log line is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object in each line, for programs.
    Json,
}

/// Changes what is logged while the program runs.
#[derive(Clone, Debug)]
pub struct LogControl(reload::Handle<Targets, Registry>);

impl LogControl {
    /// Logs this level and above from now on.
    pub fn set_level(&self, level: LogLevel) {
        // It only fails where the subscriber is gone, and with it the log.
        let _ = self.0.reload(targets(level));
    }
}

/// Sends log lines of this level and above to standard error from now on. Of libraries, only
/// warnings and worse are shown: their lower levels explain the libraries.
///
/// A second call changes nothing.
pub fn start(level: LogLevel, format: LogFormat) -> LogControl {
    let (filter, control) = reload::Layer::new(targets(level));
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines: Box<dyn Layer<_> + Send + Sync> = match format {
        LogFormat::Text => lines.with_ansi(wants_colour(&std::io::stderr())).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    // It only fails where a subscriber is set already.
    let _ = tracing_subscriber::registry().with(filter).with(lines).try_init();
    LogControl(control)
}

fn targets(level: LogLevel) -> Targets {
    let own = level.filter();
    Targets::new().with_default(own.min(LevelFilter::WARN)).with_target("voiddht", own)
}
