//! Progress output of long commands: a bar on a terminal, a line for each step elsewhere.

use std::cell::Cell;
use std::convert::Infallible;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::output::Output;
use crate::paint::words::number;

/// How often the time is shown again, where nothing else happens.
const TICK: Duration = Duration::from_millis(250);

/// How far it is.
#[derive(Clone, Debug)]
pub struct Progress {
    bar: ProgressBar,
    lines: Option<Output>,
    case: &'static str,
}

impl Progress {
    /// The progress of what has this name.
    pub fn new(case: &'static str, output: &Output) -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        let target = match is_terminal {
            true => ProgressDrawTarget::stderr(),
            false => ProgressDrawTarget::hidden(),
        };
        let bar = ProgressBar::with_draw_target(None, target);
        let style =
            ProgressStyle::with_template("{prefix} {msg} {wide_bar} {percent:>3} % {elapsed}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_prefix(case);
        bar.enable_steady_tick(TICK);
        Self { bar, lines: (!is_terminal).then_some(*output), case }
    }

    /// The next step begins, which has this many parts.
    pub fn step(&self, what: &str, parts: usize) {
        self.bar.set_message(what.to_owned());
        self.bar.set_length(parts as u64);
        self.bar.set_position(0);
        if let Some(output) = self.lines {
            output.notice(format_args!("{}: {what}", self.case));
        }
    }

    /// One part of the step is done.
    pub fn advance(&self) {
        self.bar.inc(1);
    }

    /// So many parts of the step are done.
    pub fn reach(&self, parts: usize) {
        self.bar.set_position(parts as u64);
    }

    /// Waits, and shows it.
    pub async fn wait(&self, what: &str, duration: Duration) {
        let seconds = duration.as_secs().max(1);
        self.step(what, usize::try_from(seconds).unwrap_or(usize::MAX));
        let each = duration.div_f64(seconds as f64);
        for _ in 0..seconds {
            tokio::time::sleep(each).await;
            self.advance();
        }
    }

    /// Shows how a load goes on that lasts so long, and how many operations are done in a second,
    /// until the caller stops polling.
    pub async fn follow(&self, what: &str, lasts: Duration, done: &Cell<u64>) -> Infallible {
        let begun = Instant::now();
        self.step(what, usize::try_from(lasts.as_millis()).unwrap_or(usize::MAX));
        loop {
            tokio::time::sleep(TICK).await;
            let took = begun.elapsed();
            self.bar.set_position(u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
            let rate = done.get() as f64 / took.as_secs_f64();
            self.bar.set_message(format!("{what}: {} /s", number(rate.round() as u64)));
        }
    }

    /// The bar makes room for the table.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
