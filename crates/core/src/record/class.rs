//! The class of a record as the disk remembers it.

use bytes::Bytes;
use voiddht_signed::{Envelope, Precedence};

use super::order::Class;

/// What was verified of a value before it was written: it is not verified again at start. Generation and
/// sequence number of a signed value are read from its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoredClass {
    /// Nothing.
    Plain,
    /// It is an envelope of its key, and its signatures hold.
    Signed,
    /// The key is its SHA-256.
    ContentAddressed,
}

impl StoredClass {
    /// The class of this value; `None` if the value cannot be of it.
    pub(crate) fn of(self, value: &Bytes) -> Option<Class> {
        match self {
            Self::Plain => Some(Class::Plain),
            Self::ContentAddressed => Some(Class::ContentAddressed),
            Self::Signed => {
                let envelope = Envelope::parse(value.clone()).ok()?;
                Some(Class::Signed(envelope.precedence()))
            }
        }
    }

    /// The class of a value whose bytes the disk no longer has: it sorts below every value of its kind.
    pub(crate) fn without_bytes(self) -> Class {
        match self {
            Self::Plain => Class::Plain,
            Self::Signed => Class::Signed(Precedence::default()),
            Self::ContentAddressed => Class::ContentAddressed,
        }
    }
}

impl From<Class> for StoredClass {
    fn from(class: Class) -> Self {
        match class {
            Class::Plain => Self::Plain,
            Class::Signed(_) => Self::Signed,
            Class::ContentAddressed => Self::ContentAddressed,
        }
    }
}
