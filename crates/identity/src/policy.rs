//! The two choices that a setting makes: how a node ID is authenticated, and which kind of key a
//! node has.

use std::fmt;
use std::str::FromStr;

/// What a node ID stands on: a property of the whole network (PROTOCOL, section 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Policy {
    /// A node ID is the SHA-256 of the node's public key. It can be neither chosen nor taken.
    #[default]
    SelfCertifying,
    /// Trust on first use: IDs are random, as in the original network, whose peers may join.
    Tofu,
}

/// The kind of a node's key. All three are read from peers, whichever a node has itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum KeyKind {
    /// Ed25519: the cheapest handshake.
    #[default]
    Ed25519,
    /// ECDSA over P-256 with SHA-256.
    EcdsaP256,
    /// RSA with 2048 bits, the original network's.
    Rsa2048,
}

impl Policy {
    /// Every value, in the order of the help text.
    pub const ALL: [Self; 2] = [Self::SelfCertifying, Self::Tofu];

    /// As options, logs and metrics call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SelfCertifying => "self-certifying",
            Self::Tofu => "tofu",
        }
    }
}

impl KeyKind {
    /// Every value, in the order of the help text.
    pub const ALL: [Self; 3] = [Self::Ed25519, Self::EcdsaP256, Self::Rsa2048];

    fn name(self) -> &'static str {
        match self {
            Self::Ed25519 => "ed25519",
            Self::EcdsaP256 => "p256",
            Self::Rsa2048 => "rsa2048",
        }
    }
}

/// The text names none of the choices.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}, got {got:?}")]
pub struct ParseChoiceError {
    expected: &'static str,
    got: String,
}

impl FromStr for Policy {
    type Err = ParseChoiceError;

    fn from_str(text: &str) -> Result<Self, ParseChoiceError> {
        choose(&Self::ALL, Self::name, "self-certifying or tofu", text)
    }
}

impl FromStr for KeyKind {
    type Err = ParseChoiceError;

    fn from_str(text: &str) -> Result<Self, ParseChoiceError> {
        choose(&Self::ALL, Self::name, "ed25519, p256 or rsa2048", text)
    }
}

fn choose<T: Copy>(
    all: &[T],
    name: fn(T) -> &'static str,
    expected: &'static str,
    text: &str,
) -> Result<T, ParseChoiceError> {
    all.iter()
        .copied()
        .find(|choice| name(*choice) == text)
        .ok_or_else(|| ParseChoiceError { expected, got: text.chars().take(80).collect() })
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back_and_others_are_told_what_would_be_right() {
        for policy in Policy::ALL {
            assert_eq!(policy.to_string().parse(), Ok(policy));
        }
        for kind in KeyKind::ALL {
            assert_eq!(kind.to_string().parse(), Ok(kind));
        }
        let error = "rsa".parse::<KeyKind>().unwrap_err();
        assert_eq!(error.to_string(), r#"expected ed25519, p256 or rsa2048, got "rsa""#);
        let error = "TOFU".parse::<Policy>().unwrap_err();
        assert_eq!(error.to_string(), r#"expected self-certifying or tofu, got "TOFU""#);
    }
}
