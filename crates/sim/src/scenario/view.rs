//! Plots and assertions of a scenario: the tables of `[[plot]]` and `[[promise]]`.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::setting::{Setting, Settings};

/// A picture.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Plot {
    /// The name of its files, without an ending.
    pub file: String,
    /// What stands above it.
    pub title: String,
    /// The axis from left to right.
    pub x: Axis,
    /// The axis from bottom to top.
    pub y: Axis,
    /// What is drawn.
    pub line: Vec<Line>,
}

/// One axis.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Axis {
    /// What stands beside it.
    pub label: String,
    /// Whether each step is ten times the one before.
    #[serde(default)]
    pub log: bool,
    /// Whether its numbers are shares, to be shown in percent.
    #[serde(default)]
    pub percent: bool,
    /// Where it begins; by default where the data do.
    pub from: Option<f64>,
    /// Where it ends.
    pub to: Option<f64>,
}

/// One line, or several that differ in a variable.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Line {
    /// What it is; `{name}` stands for the value of that variable.
    pub label: String,
    /// The variable or figure from left to right. Not needed with `series` or `points`.
    pub x: Option<String>,
    /// The figure from bottom to top.
    pub y: Option<String>,
    /// Figures that a step took over time, in place of `x` and `y`: time from left to right.
    pub series: Option<String>,
    /// Points that are known from elsewhere, in place of `x` and `y`.
    pub points: Option<Vec<(f64, f64)>>,
    /// One line for each value of this variable.
    pub by: Option<String>,
    /// Only runs in which these variables have these values.
    #[serde(default, rename = "where")]
    pub only: BTreeMap<String, toml::Value>,
    /// Dashed, for what is not measured here.
    #[serde(default)]
    pub dashed: bool,
}

/// What must hold.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Promise {
    /// The figure.
    pub figure: String,
    /// Its least value.
    pub at_least: Option<f64>,
    /// Its greatest value.
    pub at_most: Option<f64>,
    /// Only in runs in which these variables have these values.
    #[serde(default, rename = "where")]
    pub only: BTreeMap<String, toml::Value>,
}

impl Promise {
    /// Whether it is about this run.
    pub fn is_about(&self, settings: &Settings) -> bool {
        matches(&self.only, settings)
    }

    /// Whether a value keeps it.
    pub fn is_kept_by(&self, value: f64) -> bool {
        self.at_least.is_none_or(|least| value >= least)
            && self.at_most.is_none_or(|most| value <= most)
    }

    /// What is promised, in words.
    pub fn bound(&self) -> String {
        match (self.at_least, self.at_most) {
            (Some(least), Some(most)) => format!("from {least} to {most}"),
            (Some(least), None) => format!("at least {least}"),
            (None, Some(most)) => format!("at most {most}"),
            (None, None) => "anything".to_owned(),
        }
    }
}

impl Line {
    /// Whether a run belongs to it.
    pub fn is_about(&self, settings: &Settings) -> bool {
        matches(&self.only, settings)
    }
}

fn matches(only: &BTreeMap<String, toml::Value>, settings: &Settings) -> bool {
    only.iter().all(|(name, value)| settings.get(name) == Setting::of_toml(value).as_ref())
}
