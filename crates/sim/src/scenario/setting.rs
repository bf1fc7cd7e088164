//! Variables of a scenario, and their values.

use std::collections::BTreeMap;
use std::fmt;

/// A variable's value.
#[derive(Clone, Debug, PartialEq, PartialOrd)]
pub enum Setting {
    /// A number.
    Number(f64),
    /// Anything else.
    Text(String),
}

/// Values of some variables, by name.
pub type Settings = BTreeMap<String, Setting>;

impl Setting {
    /// What a person typed: a number if it reads as one.
    pub fn parse(text: &str) -> Self {
        match text.parse() {
            Ok(number) => Self::Number(number),
            Err(_) => Self::Text(text.to_owned()),
        }
    }

    /// The number, if it is one.
    pub fn number(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Text(_) => None,
        }
    }

    pub(super) fn of_toml(value: &toml::Value) -> Option<Self> {
        match value {
            toml::Value::Integer(number) => Some(Self::Number(*number as f64)),
            toml::Value::Float(number) => Some(Self::Number(*number)),
            toml::Value::String(text) => Some(Self::Text(text.clone())),
            toml::Value::Boolean(flag) => Some(Self::Text(flag.to_string())),
            _ => None,
        }
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Text(text) => f.write_str(text),
        }
    }
}
