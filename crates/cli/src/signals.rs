//! SIGINT and SIGTERM: the first stops a program in good order, the second at once.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that ask a program to stop.
#[derive(Debug)]
pub struct StopSignals {
    interrupt: Signal,
    terminate: Signal,
}

impl StopSignals {
    /// Catches them from now on. Must be called on a tokio runtime with I/O enabled.
    ///
    /// # Errors
    /// If the operating system refuses.
    pub fn catch() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Waits for the next one.
    pub async fn next(&mut self) -> StopSignal {
        tokio::select! {
            _ = self.interrupt.recv() => StopSignal::Interrupt,
            _ = self.terminate.recv() => StopSignal::Terminate,
        }
    }
}

/// Catches SIGHUP from now on. Must be called on a tokio runtime with I/O enabled.
///
/// # Errors
/// If the operating system refuses.
pub fn hangups() -> io::Result<Signal> {
    signal(SignalKind::hangup())
}

/// Makes a write that would exceed the limit on the length of files (`RLIMIT_FSIZE`) fail as on a
/// full disk, where it would end the process otherwise. From now on. Must be called on a tokio
/// runtime with I/O enabled.
///
/// # Errors
/// If the operating system refuses.
pub fn outlive_file_limit() -> io::Result<()> {
    // The handler stays when its stream is dropped, and does nothing.
    signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw())).map(drop)
}

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopSignal {
    /// SIGINT, as by Ctrl-C.
    Interrupt,
    /// SIGTERM, as by a service manager.
    Terminate,
}

impl StopSignal {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Interrupt => "SIGINT",
            Self::Terminate => "SIGTERM",
        }
    }

    /// The exit status of a program that this signal ended at once, as shells count it.
    pub fn exit_status(self) -> i32 {
        match self {
            Self::Interrupt => 128 + 2,
            Self::Terminate => 128 + 15,
        }
    }
}
