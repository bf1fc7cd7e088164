//! What is seen while a drill runs: a bar on a terminal, a line for each step elsewhere.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::output::Output;

/// How often the time is shown anew, where nothing else happens.
const TICK: Duration = Duration::from_millis(250);

/// How far a drill is.
#[derive(Clone, Debug)]
pub(super) struct Progress {
    bar: ProgressBar,
    lines: Option<Output>,
    case: &'static str,
}

impl Progress {
    /// The progress of a drill of this name.
    pub(super) fn new(case: &'static str, output: &Output) -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        let target = match is_terminal {
            true => ProgressDrawTarget::stderr(),
            false => ProgressDrawTarget::hidden(),
        };
        let bar = ProgressBar::with_draw_target(None, target);
        let style = ProgressStyle::with_template("{prefix} {msg} {wide_bar} {pos}/{len} {elapsed}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_prefix(case);
        bar.enable_steady_tick(TICK);
        Self { bar, lines: (!is_terminal).then_some(*output), case }
    }

    /// The next step begins, which has this many parts.
    pub(super) fn step(&self, what: &str, parts: usize) {
        self.bar.set_message(what.to_owned());
        self.bar.set_length(parts as u64);
        self.bar.set_position(0);
        if let Some(output) = self.lines {
            output.notice(format_args!("{}: {what}", self.case));
        }
    }

    /// One part of the step is done.
    pub(super) fn advance(&self) {
        self.bar.inc(1);
    }

    /// So many parts of the step are done.
    pub(super) fn reach(&self, parts: usize) {
        self.bar.set_position(parts as u64);
    }

    /// Waits, and shows it.
    pub(super) async fn wait(&self, what: &str, duration: Duration) {
        let seconds = duration.as_secs().max(1);
        self.step(what, usize::try_from(seconds).unwrap_or(usize::MAX));
        let each = duration.div_f64(seconds as f64);
        for _ in 0..seconds {
            tokio::time::sleep(each).await;
            self.advance();
        }
    }

    /// The bar makes room for the table.
    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
