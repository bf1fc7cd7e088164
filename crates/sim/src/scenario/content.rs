//! What a file says once its variables have values.

use serde::Deserialize;

use super::settings::{NetworkSettings, NodeSettings};
use super::step::{Lookup, Step};
use super::view::{Plot, Promise};

/// One run's settings and steps: what a file says once its variables have values.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// What it shows, in a line or two.
    pub about: String,
    /// Only for [`matrix`](super::matrix), which has read it before.
    #[serde(default, rename = "vary")]
    _vary: toml::Table,
    #[serde(default, rename = "within")]
    _within: toml::Table,
    #[serde(default, rename = "without")]
    _without: Vec<toml::Table>,
    /// Runs of each combination, each with a seed of its own; their figures are averaged.
    #[serde(default = "one")]
    pub repeat: u32,
    /// The network.
    #[serde(default)]
    pub network: NetworkSettings,
    /// Every node's settings, where they differ from those that are shipped.
    #[serde(default)]
    pub node: NodeSettings,
    /// What is done once in each world.
    #[serde(default)]
    pub setup: Vec<Step>,
    /// What is done for each combination of the variables of `[within]`.
    #[serde(default)]
    pub step: Vec<Step>,
    /// The figures that the table shows; all, if none is named.
    #[serde(default)]
    pub show: Vec<String>,
    /// Pictures.
    #[serde(default)]
    pub plot: Vec<Plot>,
    /// What must hold.
    #[serde(default)]
    pub promise: Vec<Promise>,
}

impl Scenario {
    /// Whether it looks at every step of a lookup.
    pub(crate) fn needs_steps(&self) -> bool {
        let mut steps = self.setup.iter().chain(&self.step);
        steps.any(|step| matches!(step, Step::Lookup(Lookup { siblings: Some(_), .. })))
    }
}

fn one() -> u32 {
    1
}
