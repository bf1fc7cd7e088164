//! What a value under a key is, before any signature is checked.

use bytes::Bytes;
use voiddht_wire::Key;

use crate::Envelope;

/// What the bytes under a key are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// The key is their SHA-256: nothing else need be checked.
    ContentAddressed,
    /// An envelope that belongs under this key. It counts only once [`Envelope::verify`] succeeds;
    /// otherwise it is never held, and no answer.
    Signed(Box<Envelope>),
    /// Anything else: an ordinary value.
    Plain,
}

impl Claim {
    /// Judges the bytes of a value under a key. Costs one hash: a SHA-512 of the name where the
    /// bytes are an envelope, a SHA-256 of the value otherwise.
    pub fn of(key: &Key, value: &Bytes) -> Self {
        match Envelope::parse(value.clone()) {
            Ok(envelope) if envelope.key() == *key => Self::Signed(Box::new(envelope)),
            _ if key.proves(value) => Self::ContentAddressed,
            _ => Self::Plain,
        }
    }
}
