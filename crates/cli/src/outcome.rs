//! Exit statuses and failures of a program.

use std::fmt;
use std::process::ExitCode;

/// Exit statuses, the same for both programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done; for `dht get`: found.
    Success = 0,
    /// Not found, not stored, or the program could not do its work.
    Negative = 1,
    /// A wrong argument.
    Usage = 2,
    /// The node could not be reached, or did not answer.
    Unreachable = 3,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a program ended before its work was done. The texts are single lines.
#[derive(Debug)]
pub enum Failure {
    /// The caller asked for something that cannot be; the text says what could.
    Usage(String),
    /// The node could not be reached, or did not answer.
    Unreachable(String),
    /// Anything else.
    Failed(String),
    /// The reader of our standard output closed it. Not an error.
    OutputClosed,
}

impl Failure {
    /// A failure that comes of an error of the environment.
    pub fn failed(error: impl fmt::Display) -> Self {
        Self::Failed(error.to_string())
    }

    /// The exit status that says it.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Usage(_) => Exit::Usage,
            Self::Unreachable(_) => Exit::Unreachable,
            Self::Failed(_) => Exit::Negative,
            Self::OutputClosed => Exit::Success,
        }
    }

    /// What to tell the caller, if anything.
    pub fn message(&self) -> Option<&str> {
        match self {
            Self::Usage(text) | Self::Unreachable(text) | Self::Failed(text) => Some(text),
            Self::OutputClosed => None,
        }
    }
}
