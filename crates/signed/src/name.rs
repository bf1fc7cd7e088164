//! What a signed value is called: form, owner and salt, and the key that follows from them.

use std::fmt;

use sha2::{Digest, Sha512};
use voiddht_wire::Key;

use crate::PublicKey;
use crate::message::VALUE_CONTEXT;

/// The longest salt, in bytes (BEP 44).
pub const MAX_SALT_BYTES: usize = 64;

/// Which rules an envelope follows: how it is signed, and which fields it may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Form {
    /// voiddht's own: an end, and delegation to another writer.
    Native,
    /// A mutable item of BEP 44.
    Bep44,
}

impl Form {
    /// The byte that stands for it.
    pub const fn code(self) -> u8 {
        match self {
            Self::Native => 1,
            Self::Bep44 => 2,
        }
    }

    /// The form that a byte stands for.
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Native),
            2 => Some(Self::Bep44),
            _ => None,
        }
    }
}

/// Distinguishes several values of one owner. 0 to 64 bytes of any kind.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Salt {
    length: u8,
    /// Zero behind `length`, so that derived comparisons hold.
    bytes: [u8; MAX_SALT_BYTES],
}

/// A salt has at most 64 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a salt has at most {MAX_SALT_BYTES} bytes, this one has {0}")]
pub struct SaltTooLong(pub usize);

impl Salt {
    /// No salt.
    pub const EMPTY: Self = Self { length: 0, bytes: [0; MAX_SALT_BYTES] };

    /// The salt with these bytes.
    ///
    /// # Errors
    /// [`SaltTooLong`].
    pub fn new(salt: &[u8]) -> Result<Self, SaltTooLong> {
        let refuse = SaltTooLong(salt.len());
        let mut bytes = [0; MAX_SALT_BYTES];
        bytes.get_mut(..salt.len()).ok_or(refuse)?.copy_from_slice(salt);
        Ok(Self { length: u8::try_from(salt.len()).map_err(|_| refuse)?, bytes })
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }

    /// How many bytes it has, as the envelope states it.
    pub fn length(&self) -> u8 {
        self.length
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }
}

impl fmt::Debug for Salt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Salt({})", self.as_bytes().escape_ascii())
    }
}

/// The name of a signed value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name {
    /// The form of its envelopes.
    pub form: Form,
    /// The key pair that it belongs to.
    pub owner: PublicKey,
    /// Which of the owner's values it is.
    pub salt: Salt,
}

impl Name {
    /// A value of `owner` in the native form.
    pub const fn native(owner: PublicKey, salt: Salt) -> Self {
        Self { form: Form::Native, owner, salt }
    }

    /// A mutable item of BEP 44.
    pub const fn bep44(owner: PublicKey, salt: Salt) -> Self {
        Self { form: Form::Bep44, owner, salt }
    }

    /// The key under which it is stored: half of a SHA-512. With a SHA-256, the hashed bytes, which
    /// are public, would be a content-addressed value of that key and outrank every envelope.
    pub fn key(&self) -> Key {
        let mut hash = Sha512::new();
        hash.update(VALUE_CONTEXT);
        hash.update([self.form.code()]);
        hash.update(self.owner.as_bytes());
        hash.update(self.salt.as_bytes());
        let digest: [u8; 64] = hash.finalize().into();
        let mut key = [0; 32];
        key.copy_from_slice(&digest[..32]);
        Key::from_bytes(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn salts_are_bounded_and_compare_by_their_bytes() {
        assert_eq!(Salt::new(&[1; 64]).map(|salt| salt.length()), Ok(64));
        assert_eq!(Salt::new(&[1; 65]), Err(SaltTooLong(65)));
        assert_eq!(Salt::new(&[1; 300]), Err(SaltTooLong(300)));
        assert_ne!(Salt::new(&[]), Salt::new(&[0]));
        assert_eq!(Salt::new(&[]), Ok(Salt::EMPTY));
    }

    #[test]
    fn form_owner_and_salt_all_reach_the_key() {
        let owner = PublicKey::from_bytes([7; 32]);
        let salt = Salt::new(b"endpoint").unwrap();
        let name = Name::native(owner, salt);
        let others = [
            Name::bep44(owner, salt),
            Name::native(PublicKey::from_bytes([8; 32]), salt),
            Name::native(owner, Salt::EMPTY),
        ];
        assert!(others.iter().all(|other| other.key() != name.key()));
    }
}
