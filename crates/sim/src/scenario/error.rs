//! Why a file is no scenario.

/// Why a file is no scenario.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScenarioError {
    /// It is not TOML, has an unknown key, or a value of the wrong kind.
    #[error("{0}")]
    Malformed(String),
    /// A variable is used that the file does not give.
    #[error("${0} is used, but neither [vary] nor [within] gives it a value")]
    UnknownVariable(String),
    /// A variable that nothing depends on.
    #[error("{0} is given values, but \"${0}\" is nowhere")]
    UnusedVariable(String),
    /// A variable without values, or one with values that are neither numbers nor texts.
    #[error("{0} needs a list of numbers or texts")]
    NoValues(String),
    /// A step that cannot be.
    #[error("{step}: {what}")]
    Step {
        /// Which.
        step: String,
        /// What is wrong with it.
        what: String,
    },
}
