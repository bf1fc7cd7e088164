//! A scenario: an experiment as a data file, with the network, its events, its plots, and what is
//! promised.
//!
//! A file is TOML; an unknown key is an error. Two tables make one file into many runs:
//! for each combination of the variables of `[vary]` there is a world of its own, and within it
//! the steps are gone through once for each combination of those of `[within]`, on the network
//! that `[[setup]]` has made. `without` leaves combinations out. Wherever a file says `"$name"`, the value of that variable stands; and a unit may follow, as in
//! `"$minutes min"`.
//!
//! [`Plan::parse`] reads a file; [`crate::run`] executes it; [`shipped`] names those that come
//! with the program. `docs/scenarios.md` is the page for those who write one.

mod content;
mod error;
mod matrix;
mod setting;
mod settings;
pub mod shipped;
mod span;
mod step;
mod view;

pub use content::Scenario;
pub use error::ScenarioError;
pub use matrix::{Point, Round};
pub use setting::{Setting, Settings};
pub use settings::{LatencySettings, NetworkSettings, NodeSettings};
pub use span::Span;
pub use step::{
    Cut, Get, Grow, How, Infiltrate, Kill, Leave, Live, Lookup, Put, Return, Sessions, Split,
    Start, Step, Surround, Wait,
};
pub use view::{Axis, Line, Plot, Promise};

/// A scenario in all its combinations.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The file's name, without its ending.
    pub name: String,
    /// What it shows.
    pub about: String,
    /// The worlds, in order.
    pub points: Vec<Point>,
    /// Runs of each world.
    pub repeat: u32,
    /// The figures that the table shows; all, if none is named.
    pub show: Vec<String>,
    /// Pictures.
    pub plots: Vec<Plot>,
    /// What must hold.
    pub promises: Vec<Promise>,
}

impl Plan {
    /// Reads a scenario. `name` is what it is called.
    ///
    /// # Errors
    /// The first thing in it that is wrong, with its place where that is known.
    pub fn parse(name: &str, text: &str) -> Result<Self, ScenarioError> {
        let points = matrix::points(text)?;
        for round in points.iter().flat_map(|point| &point.rounds) {
            check(&round.scenario)?;
        }
        let first = points.first().and_then(|point| point.rounds.first());
        let Some(Round { scenario, .. }) = first else {
            return Err(ScenarioError::NoValues("[vary]".to_owned()));
        };
        Ok(Self {
            name: name.to_owned(),
            about: scenario.about.clone(),
            repeat: scenario.repeat.max(1),
            show: scenario.show.clone(),
            plots: scenario.plot.clone(),
            promises: scenario.promise.clone(),
            points,
        })
    }

    /// Every world that is to be run, with the number of the repetition.
    pub fn jobs(&self) -> impl Iterator<Item = (&Point, u32)> {
        let repeat = self.repeat;
        self.points.iter().flat_map(move |point| (0..repeat).map(move |number| (point, number)))
    }

    /// Whether there is a world for each value of this variable.
    pub fn varies(&self, name: &str) -> bool {
        self.points.first().is_some_and(|point| point.settings.contains_key(name))
    }

    /// Keeps only the worlds in which these variables have these values.
    pub fn keep_only(&mut self, wanted: &Settings) {
        self.points.retain(|point| point.matches(wanted));
    }
}

/// What the types cannot say.
fn check(scenario: &Scenario) -> Result<(), ScenarioError> {
    let refuse =
        |step: &str, what: String| Err(ScenarioError::Step { step: step.to_owned(), what });
    if let Err(what) = scenario.node.config().check() {
        return refuse("[node]", what.to_string());
    }
    if let Err(what) = scenario.network.check() {
        return refuse("[network]", what);
    }
    let steps = || scenario.setup.iter().chain(&scenario.step);
    if !matches!(steps().next(), Some(Step::Grow(_))) {
        return refuse(
            "[[setup]]",
            "the first step must be `grow`: there is no node yet".to_owned(),
        );
    }
    for step in steps() {
        if let Err(what) = step.check() {
            return refuse(step.name(), what);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
