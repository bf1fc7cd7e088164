//! The only place that prints: results on standard output, diagnostics on standard error.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};

use crate::outcome::{Exit, Failure};

/// Both output streams of a program.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    program: &'static str,
}

impl Output {
    /// The output of the program of this name.
    pub fn of(program: &'static str) -> Self {
        Self { program }
    }

    /// One line, or several, of results.
    ///
    /// # Errors
    /// [`Failure::OutputClosed`] when the reader has closed it, [`Failure::Failed`] when it cannot
    /// be written, as on a full disk.
    pub fn line(&self, text: impl Display) -> Result<(), Failure> {
        check(writeln!(io::stdout().lock(), "{text}"))
    }

    /// A result as it is, to the byte.
    ///
    /// # Errors
    /// As [`Output::line`].
    pub fn raw(&self, bytes: &[u8]) -> Result<(), Failure> {
        let mut stdout = io::stdout().lock();
        check(stdout.write_all(bytes).and_then(|()| stdout.flush()))
    }

    /// One line for the person at the terminal. If even that cannot be written, nothing more can
    /// be said.
    pub fn notice(&self, text: impl Display) {
        let _ = writeln!(io::stderr().lock(), "{text}");
    }

    /// One line that says why the program does not do what it was asked, with its name.
    pub fn complaint(&self, text: impl Display) {
        self.notice(format_args!("{}: {text}", self.program));
    }

    /// The end of a program: says why, where there is something to say.
    pub fn conclude(&self, result: Result<Exit, Failure>) -> Exit {
        result.unwrap_or_else(|failure| {
            if let Some(message) = failure.message() {
                self.complaint(message);
            }
            failure.exit()
        })
    }
}

fn check(written: io::Result<()>) -> Result<(), Failure> {
    written.map_err(|error| match error.kind() {
        ErrorKind::BrokenPipe => Failure::OutputClosed,
        _ => Failure::Failed(format!("standard output cannot be written: {error}")),
    })
}
