//! Progress output of worlds: a bar for each on a terminal, a line for each elsewhere.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use voiddht_sim::run;

use crate::output::Output;

/// How often the time is shown again, where nothing else happens.
const TICK: Duration = Duration::from_millis(250);

/// How far all worlds of a scenario are.
pub(super) struct Progress {
    bars: MultiProgress,
    all: ProgressBar,
    lines: Option<Output>,
    name: String,
}

/// How far one of them is.
pub(super) struct Bar {
    bar: ProgressBar,
    step: &'static str,
    world: String,
}

impl Progress {
    pub(super) fn new(name: &str, worlds: usize, output: &Output) -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        let target = match is_terminal {
            true => ProgressDrawTarget::stderr(),
            false => ProgressDrawTarget::hidden(),
        };
        let bars = MultiProgress::with_draw_target(target);
        let all = bars.add(ProgressBar::new(worlds as u64));
        all.set_style(style("{prefix} {wide_bar} {pos}/{len} worlds {elapsed}"));
        all.set_prefix(name.to_owned());
        all.enable_steady_tick(TICK);
        Self { bars, all, lines: (!is_terminal).then_some(*output), name: name.to_owned() }
    }

    /// One more world begins.
    pub(super) fn begin(&self, world: String) -> Bar {
        let bar = self.bars.add(ProgressBar::new(1));
        bar.set_style(style("  {prefix} {msg} {wide_bar} {percent}% {elapsed}"));
        bar.set_prefix(world.clone());
        bar.enable_steady_tick(TICK);
        Bar { bar, step: "", world }
    }

    /// A world has come to its end.
    pub(super) fn end(&self, bar: Bar) {
        if let Some(output) = self.lines {
            let seconds = bar.bar.elapsed().as_secs_f64();
            output.notice(format_args!("{} {}: {seconds:.1} s", self.name, bar.world));
        }
        bar.bar.finish_and_clear();
        self.all.inc(1);
    }

    /// The bars make room for the table.
    pub(super) fn finish(&self) {
        self.all.finish_and_clear();
    }
}

impl Bar {
    pub(super) fn show(&mut self, progress: run::Progress) {
        if self.step != progress.step {
            self.step = progress.step;
            self.bar.set_message(progress.step);
        }
        self.bar.set_length(progress.of.max(1));
        self.bar.set_position(progress.done);
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
