//! Progress output while nodes join: a bar on a terminal, a few lines elsewhere.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::outcome::Failure;
use crate::output::Output;

/// Lines that are printed where there is no terminal.
const LINES: u64 = 4;

/// How far the joining is.
#[derive(Clone, Debug)]
pub struct Joining {
    bar: ProgressBar,
    lines: Option<Output>,
}

impl Joining {
    /// Of this many nodes, none has joined.
    pub fn new(nodes: usize, output: &Output) -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        let target = match is_terminal {
            true => ProgressDrawTarget::stderr(),
            false => ProgressDrawTarget::hidden(),
        };
        let bar = ProgressBar::with_draw_target(Some(nodes as u64), target);
        let style =
            ProgressStyle::with_template("{pos:>5} of {len} nodes joined {wide_bar} {elapsed}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self { bar, lines: (!is_terminal).then_some(*output) }
    }

    /// One more has joined.
    pub fn advance(&self) {
        self.bar.inc(1);
        let (position, length) = (self.bar.position(), self.bar.length().unwrap_or(0));
        let quarter = |nodes: u64| nodes * LINES / length.max(1);
        if let Some(output) = self.lines.filter(|_| quarter(position) > quarter(position - 1)) {
            output.notice(format_args!("{position} of {length} nodes joined"));
        }
    }

    /// The time is over, and not all have joined.
    pub fn late(&self, deadline: Duration) -> Failure {
        let (position, length) = (self.bar.position(), self.bar.length().unwrap_or(0));
        Failure::Failed(format!(
            "only {position} of {length} nodes have joined within {deadline:?}"
        ))
    }

    /// All have joined: the bar makes room for the table.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
