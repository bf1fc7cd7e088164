//! What a check is, and how it came out.

use serde::Serialize;

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Grade {
    /// As it should be.
    Well,
    /// It is unknown.
    Unknown,
    /// The node works, and there is something to look at.
    Warning,
    /// The node does not do what it is for.
    Failed,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Its name, for programs: `network`, `membership` (of a node of a private network), `join`,
    /// `reachable`, `address`, `clock`, `disk`, `limits` or `peers`.
    pub name: &'static str,
    /// How it came out.
    pub result: Grade,
    /// What was found.
    pub text: String,
    /// What to do about it; empty where there is nothing to do.
    pub advice: String,
}

impl Check {
    pub(super) fn new(
        name: &'static str,
        result: Grade,
        text: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self { name, result, text: text.into(), advice: advice.into() }
    }
}
