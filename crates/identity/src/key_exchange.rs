//! Key exchange groups: which a node offers, in which order.
//!
//! rustls sends key shares for the first group of a client's list and, where that is the hybrid, for
//! X25519 beside it; the server takes the first group of the client's list that it knows. Every list
//! has X25519 first or directly behind the hybrid, so whichever lists two nodes have, the server finds
//! a share that it knows: there is never a HelloRetryRequest, which would cost a round trip.

use std::fmt;
use std::str::FromStr;

use rustls::crypto::SupportedKxGroup;
use rustls::crypto::aws_lc_rs::kx_group;
use rustls::{CommonState, NamedGroup};

/// One key exchange group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyExchangeGroup {
    /// ML-KEM-768 and X25519 together: what is recorded today stays secret from a quantum computer.
    /// Adds 2 KiB to a handshake.
    X25519MlKem768,
    /// X25519.
    X25519,
    /// ECDH over P-256.
    P256,
}

impl KeyExchangeGroup {
    /// Every group, the strongest first.
    pub const ALL: [Self; 3] = [Self::X25519MlKem768, Self::X25519, Self::P256];

    /// As options, metrics and logs call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::X25519MlKem768 => "x25519mlkem768",
            Self::X25519 => "x25519",
            Self::P256 => "p256",
        }
    }

    /// The group that a handshake has negotiated; `None` before that.
    pub fn negotiated(connection: &CommonState) -> Option<Self> {
        match connection.negotiated_key_exchange_group()?.name() {
            NamedGroup::X25519MLKEM768 => Some(Self::X25519MlKem768),
            NamedGroup::X25519 => Some(Self::X25519),
            NamedGroup::secp256r1 => Some(Self::P256),
            _ => None,
        }
    }

    pub(crate) fn of_provider(self) -> &'static dyn SupportedKxGroup {
        match self {
            Self::X25519MlKem768 => kx_group::X25519MLKEM768,
            Self::X25519 => kx_group::X25519,
            Self::P256 => kx_group::SECP256R1,
        }
    }
}

impl fmt::Display for KeyExchangeGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The groups that a node offers, the preferred one first. As a dialler its order decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyExchange(Vec<KeyExchangeGroup>);

/// Why a list of groups is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyExchangeError {
    /// A name that no group has.
    #[error("expected x25519mlkem768, x25519 or p256, got {0:?}")]
    Unknown(String),
    /// The same group twice.
    #[error("{0} stands there twice")]
    Repeated(KeyExchangeGroup),
    /// Some pairs of nodes would need a second round trip.
    #[error("x25519 must come first, or directly behind x25519mlkem768: every node has it")]
    WithoutX25519,
}

impl KeyExchange {
    /// Of a node of a public network: what every OpenSSL since 1.1.1 offers. Without the hybrid the
    /// two hellos fit one packet each.
    pub fn classical() -> Self {
        Self(vec![KeyExchangeGroup::X25519, KeyExchangeGroup::P256])
    }

    /// Of a node of a private network.
    pub fn hybrid() -> Self {
        Self(KeyExchangeGroup::ALL.to_vec())
    }

    /// A list of groups, the preferred one first.
    ///
    /// # Errors
    /// [`KeyExchangeError`].
    pub fn new(groups: Vec<KeyExchangeGroup>) -> Result<Self, KeyExchangeError> {
        for (index, group) in groups.iter().enumerate() {
            if groups[..index].contains(group) {
                return Err(KeyExchangeError::Repeated(*group));
            }
        }
        match groups[..] {
            [KeyExchangeGroup::X25519, ..]
            | [KeyExchangeGroup::X25519MlKem768, KeyExchangeGroup::X25519, ..] => Ok(Self(groups)),
            _ => Err(KeyExchangeError::WithoutX25519),
        }
    }

    /// The groups, the preferred one first.
    pub fn groups(&self) -> &[KeyExchangeGroup] {
        &self.0
    }
}

impl FromStr for KeyExchange {
    type Err = KeyExchangeError;

    /// Reads names with commas between them.
    fn from_str(text: &str) -> Result<Self, KeyExchangeError> {
        let group = |name: &str| {
            let found = KeyExchangeGroup::ALL.into_iter().find(|group| group.name() == name.trim());
            found.ok_or_else(|| KeyExchangeError::Unknown(name.chars().take(80).collect()))
        };
        Self::new(text.split(',').map(group).collect::<Result<_, _>>()?)
    }
}

impl fmt::Display for KeyExchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.0.iter().map(|group| group.name()).collect();
        f.pad(&names.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        for list in [KeyExchange::classical(), KeyExchange::hybrid()] {
            assert_eq!(list.to_string().parse(), Ok(list));
        }
        let one: KeyExchange = "x25519".parse().unwrap();
        assert_eq!(one.groups(), [KeyExchangeGroup::X25519]);
    }

    #[test]
    fn lists_that_could_need_a_second_round_trip_are_refused() {
        for text in ["p256", "p256,x25519", "x25519mlkem768", "x25519mlkem768,p256,x25519"] {
            assert_eq!(text.parse::<KeyExchange>(), Err(KeyExchangeError::WithoutX25519), "{text}");
        }
        let twice = Err(KeyExchangeError::Repeated(KeyExchangeGroup::X25519));
        assert_eq!("x25519,x25519".parse::<KeyExchange>(), twice);
        for text in ["", "x448", "X25519", "x25519;p256"] {
            let refused = text.parse::<KeyExchange>();
            assert_eq!(refused, Err(KeyExchangeError::Unknown(text.to_owned())));
        }
    }
}
