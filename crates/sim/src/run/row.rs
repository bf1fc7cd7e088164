//! What a run measures, and how far it is.

use std::collections::BTreeMap;

use crate::scenario::Settings;

/// What was measured in one pass through the steps.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row {
    /// The values of all variables.
    pub settings: Settings,
    /// Figures by name, in the order in which they were taken.
    pub figures: Vec<(String, f64)>,
    /// Figures over time, by name: seconds since the step began, and the value.
    pub series: BTreeMap<String, Vec<(f64, f64)>>,
}

/// How far a run is.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// What is being done.
    pub step: &'static str,
    /// How much of it is done.
    pub done: u64,
    /// Out of how much.
    pub of: u64,
}
