//! Making envelopes and delegations.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use bytes::Bytes;
use zeroize::Zeroizing;

use crate::envelope::Parts;
use crate::{Delegation, Envelope, Form, Name, ParseError, PublicKey, SIGNATURE_BYTES, message};

/// An Ed25519 key pair that signs.
pub struct SigningKey {
    pair: Ed25519KeyPair,
    public: PublicKey,
    seed: Zeroizing<[u8; 32]>,
}

/// A draft cannot be signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// A field is out of range.
    #[error(transparent)]
    Form(#[from] ParseError),
    /// The key is neither the owner nor the delegated writer.
    #[error("this key may not sign the value: it is neither the owner nor the delegated writer")]
    WrongKey,
    /// Form 2 has no delegation.
    #[error("a value of BEP 44 can only be signed by its owner")]
    Bep44Delegation,
}

impl SigningKey {
    /// The key pair of a 32-byte seed (RFC 8032, section 5.1.5). `None` if the library refuses it,
    /// which it does for no seed.
    pub fn from_seed(seed: &[u8; 32]) -> Option<Self> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).ok()?;
        let public = pair.public_key().as_ref().try_into().ok()?;
        let public = PublicKey::from_bytes(public);
        Some(Self { pair, public, seed: Zeroizing::new(*seed) })
    }

    /// Its public key.
    pub fn public_key(&self) -> PublicKey {
        self.public
    }

    /// The seed: the private key.
    pub fn danger_seed(&self) -> &[u8; 32] {
        &self.seed
    }

    /// Lets `writer` write `name` under `generation` until `not_after`, in seconds since 1970.
    ///
    /// # Errors
    /// [`SignError`]: this key is not the owner, the form has no delegations, or `generation` or
    /// `not_after` is 0.
    pub fn delegate(
        &self,
        name: &Name,
        writer: PublicKey,
        generation: u32,
        not_after: u64,
    ) -> Result<Delegation, SignError> {
        if name.form != Form::Native {
            return Err(SignError::Bep44Delegation);
        }
        if name.owner != self.public {
            return Err(SignError::WrongKey);
        }
        let message = message::of_delegation_parts(name, &writer, generation, not_after);
        let delegation =
            Delegation { writer, generation, not_after, signature: self.sign(&message) };
        delegation.check_ranges().map_err(ParseError::Delegation)?;
        Ok(delegation)
    }

    fn sign(&self, message: &[u8]) -> [u8; SIGNATURE_BYTES] {
        let mut bytes = [0; SIGNATURE_BYTES];
        bytes.copy_from_slice(self.pair.sign(message).as_ref());
        bytes
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKey").field("public", &self.public).finish_non_exhaustive()
    }
}

/// An envelope before it is signed.
#[derive(Clone, Debug)]
pub struct Draft {
    /// The owner and name of the value.
    pub name: Name,
    /// The sequence number.
    pub seq: u64,
    /// The end in seconds since 1970; 0 for none.
    pub not_after: u64,
    /// What it says. Empty withdraws the value (form 1; in form 2 `0:` does).
    pub body: Bytes,
}

impl Draft {
    /// Signs it: as the owner, or as the delegated writer.
    ///
    /// # Errors
    /// [`SignError`].
    pub fn sign(
        &self,
        key: &SigningKey,
        delegation: Option<&Delegation>,
    ) -> Result<Envelope, SignError> {
        if delegation.is_some() && self.name.form == Form::Bep44 {
            return Err(SignError::Bep44Delegation);
        }
        if key.public != delegation.map_or(self.name.owner, |delegation| delegation.writer) {
            return Err(SignError::WrongKey);
        }
        let unsigned = self.lay_out(delegation, [0; SIGNATURE_BYTES])?;
        let signature = key.sign(&message::of_envelope(&unsigned));
        Ok(self.lay_out(delegation, signature)?)
    }

    fn lay_out(
        &self,
        delegation: Option<&Delegation>,
        signature: [u8; SIGNATURE_BYTES],
    ) -> Result<Envelope, ParseError> {
        let Self { name, seq, not_after, body } = self;
        let (seq, not_after) = (*seq, *not_after);
        Envelope::from_parts(&Parts { name, seq, not_after, delegation, signature, body })
    }
}
