//! Progress output while a system is measured.

use indicatif::{ProgressBar, ProgressStyle};

/// A bar on standard error, where that is a terminal.
#[derive(Debug)]
pub(crate) struct Progress(ProgressBar);

impl Progress {
    pub(crate) fn new(name: &'static str, steps: usize) -> Self {
        let style = ProgressStyle::with_template("{prefix:>12} {bar:24} {msg}")
            .expect("the template is well-formed");
        let bar = ProgressBar::new(steps as u64).with_style(style).with_prefix(name);
        Self(bar)
    }

    /// The next step begins.
    pub(crate) fn step(&self, name: &'static str) {
        self.0.set_message(name);
        self.0.inc(1);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
