//! The kinds of adversaries by name, as scenarios and reports call them.

use std::fmt;
use std::str::FromStr;

use voiddht_wire::Key;

use super::clock_ahead::ClockAhead;
use super::colluding_inventor::ColludingInventor;
use super::dropping::Dropping;
use super::eclipse::Eclipse;
use super::flooding::Flooding;
use super::interceptor::Adversary;
use super::node_liar::NodeLiar;
use super::outsider::Outsider;
use super::replaying::Replaying;
use super::slow::Slow;
use super::sybil::Sybil;
use super::value_liar::ValueLiar;
use super::wrong_addresses::WrongAddresses;

/// A kind of adversary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Confirms STOREs and discards the records: [`Dropping`].
    Dropping,
    /// Returns accomplices or invented nodes: [`NodeLiar`].
    NodeLiar,
    /// Returns a forged value: [`ValueLiar`].
    ValueLiar,
    /// Withholds one key with ground IDs: [`Eclipse`].
    Eclipse,
    /// One party with many IDs: [`Sybil`].
    Sybil,
    /// Fills the stores of others: [`Flooding`].
    Flooding,
    /// Answers just before the timeout: [`Slow`].
    Slow,
    /// Stores and returns old versions: [`Replaying`].
    Replaying,
    /// Republishes values with versions from the future: [`ClockAhead`].
    ClockAhead,
    /// Names real nodes at wrong addresses: [`WrongAddresses`].
    WrongAddresses,
    /// Invents nodes that its accomplices confirm: [`ColludingInventor`].
    ColludingInventor,
    /// See [`Outsider`].
    Outsider,
}

/// The text names no kind of adversary.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no adversary {got:?}; there are {}", Kind::ALL.map(Kind::name).join(", "))]
pub struct UnknownKind {
    got: String,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Dropping,
        Self::NodeLiar,
        Self::ValueLiar,
        Self::Eclipse,
        Self::Sybil,
        Self::Flooding,
        Self::Slow,
        Self::Replaying,
        Self::ClockAhead,
        Self::WrongAddresses,
        Self::ColludingInventor,
        Self::Outsider,
    ];

    /// Its name, which [`FromStr`] reads.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dropping => "dropping",
            Self::NodeLiar => "node-liar",
            Self::ValueLiar => "value-liar",
            Self::Eclipse => "eclipse",
            Self::Sybil => "sybil",
            Self::Flooding => "flooding",
            Self::Slow => "slow",
            Self::Replaying => "replaying",
            Self::ClockAhead => "clock-ahead",
            Self::WrongAddresses => "wrong-addresses",
            Self::ColludingInventor => "colluding-inventor",
            Self::Outsider => "outsider",
        }
    }

    /// What it does, in one line.
    pub fn description(self) -> &'static str {
        match self {
            Self::Dropping => "throws away what it confirms, and ends lookups",
            Self::NodeLiar => "names accomplices, or nodes that do not exist",
            Self::ValueLiar => "returns a forgery with the highest version, in collusion",
            Self::Eclipse => "takes one key away, and is a model node otherwise",
            Self::Sybil => "one party under many names, which names only itself and forges values",
            Self::Flooding => "fills the stores of others",
            Self::Slow => "answers just before it is given up",
            Self::Replaying => "stores and returns what was true once",
            Self::ClockAhead => {
                "publishes again whatever is published, with versions ahead of the clock"
            }
            Self::WrongAddresses => "names real nodes at wrong addresses",
            Self::ColludingInventor => "names nodes that do not exist, the same as its accomplices",
            Self::Outsider => "has no secret of the private network, and wants in",
        }
    }

    /// One of them, the `number`th. `point` is the key that it is after, if it is after one.
    pub fn make(self, number: usize, point: Key) -> Box<dyn Adversary> {
        match self {
            Self::Dropping => Box::new(Dropping),
            Self::NodeLiar => Box::new(NodeLiar { invents: number % 2 == 1 }),
            Self::ValueLiar => Box::new(ValueLiar),
            Self::Eclipse => Box::new(Eclipse { key: point }),
            Self::Sybil => Box::new(Sybil),
            Self::Flooding => Box::new(Flooding::default()),
            Self::Slow => Box::new(Slow),
            Self::Replaying => Box::new(Replaying::default()),
            Self::ClockAhead => Box::new(ClockAhead::default()),
            Self::WrongAddresses => Box::new(WrongAddresses),
            Self::ColludingInventor => Box::new(ColludingInventor),
            Self::Outsider => Box::new(Outsider::default()),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Kind {
    type Err = UnknownKind;

    fn from_str(text: &str) -> Result<Self, UnknownKind> {
        let is_meant = |kind: &Self| kind.name() == text;
        Self::ALL.into_iter().find(is_meant).ok_or_else(|| UnknownKind { got: text.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_found_by_its_name_and_a_wrong_one_is_told_what_there_is() {
        for kind in Kind::ALL {
            assert_eq!(kind.to_string().parse(), Ok(kind));
        }
        let error = "nice".parse::<Kind>().unwrap_err().to_string();
        assert!(error.contains("\"nice\"") && error.contains("value-liar"), "{error}");
    }
}
