//! The rules by which a well-formed envelope is refused.
//!
//! Ed25519 is checked without the cofactor and with S below the group order, which aws-lc-rs does;
//! keys and R of small order, or not canonically encoded, are refused before: what remains is what
//! ed25519-dalek's `verify_strict` accepts.

use std::ops::Deref;

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};

use crate::public_key::is_refused_point;
use crate::{Delegation, Envelope, Name, PublicKey, SIGNATURE_BYTES, message};

/// How far clocks may differ when an end is judged: an envelope is taken for this long after its
/// end. What badly kept clocks are wrong by.
pub const CLOCK_TOLERANCE_SECS: u64 = 5 * 60;

/// Why an envelope under its own key is never held, and no answer for a reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refused {
    /// The owner's key is of small order or not canonically encoded.
    #[error("the owner's key is weak: of small order, or not canonically encoded")]
    WeakOwner,
    /// The same of the delegated writer's key.
    #[error("the writer's key is weak: of small order, or not canonically encoded")]
    WeakWriter,
    /// The signature's R is of small order or not canonically encoded.
    #[error("the signature is weak: its first half is of small order, or not canonically encoded")]
    WeakSignature,
    /// The delegation is not signed by the owner, for this salt.
    #[error("the delegation's signature is wrong")]
    DelegationSignature,
    /// The writer's signature does not fit.
    #[error("the signature is wrong")]
    Signature,
    /// Its end, or its delegation's, has passed.
    #[error("it has expired")]
    Expired,
}

/// An envelope of which every key and signature was checked. It may expire later:
/// [`Envelope::has_expired`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedEnvelope(Envelope);

impl VerifiedEnvelope {
    /// The envelope.
    pub fn into_inner(self) -> Envelope {
        self.0
    }
}

impl Deref for VerifiedEnvelope {
    type Target = Envelope;

    fn deref(&self) -> &Envelope {
        &self.0
    }
}

impl Envelope {
    /// Checks everything: end, keys, and the one or two signatures, in the order of what they cost.
    ///
    /// `now` is in seconds since 1970.
    ///
    /// # Errors
    /// [`Refused`] names the first rule that is broken.
    pub fn verify(self, now: u64) -> Result<VerifiedEnvelope, Refused> {
        if self.has_expired(now) {
            return Err(Refused::Expired);
        }
        self.verify_at_any_time()
    }

    /// Checks keys and signatures, but not the end: for a value that was taken before.
    ///
    /// # Errors
    /// [`Refused`] names the first rule that is broken.
    pub fn verify_at_any_time(self) -> Result<VerifiedEnvelope, Refused> {
        if self.name().owner.is_refused() {
            return Err(Refused::WeakOwner);
        }
        if let Some(delegation) = self.delegation() {
            delegation.verify(self.name())?;
        }
        let message = message::of_envelope(&self);
        check(&self.writer(), &message, self.signature(), Refused::Signature)?;
        Ok(VerifiedEnvelope(self))
    }

    /// Whether its effective end has passed for longer than clocks may differ.
    pub fn has_expired(&self, now: u64) -> bool {
        self.effective_end().is_some_and(|end| end.saturating_add(CLOCK_TOLERANCE_SECS) < now)
    }

    /// How many signatures [`Self::verify`] checks: what it costs.
    pub fn signature_checks(&self) -> u32 {
        if self.delegation().is_some() { 2 } else { 1 }
    }
}

impl Delegation {
    /// Checks both keys and the owner's signature, for this name.
    ///
    /// # Errors
    /// [`Refused`] names the first rule that is broken.
    pub fn verify(&self, name: &Name) -> Result<(), Refused> {
        if name.owner.is_refused() {
            return Err(Refused::WeakOwner);
        }
        if self.writer.is_refused() {
            return Err(Refused::WeakWriter);
        }
        let message = message::of_delegation(name, self);
        check(&name.owner, &message, &self.signature, Refused::DelegationSignature)
    }
}

fn check(
    key: &PublicKey,
    message: &[u8],
    signature: &[u8; SIGNATURE_BYTES],
    wrong: Refused,
) -> Result<(), Refused> {
    let [r, _s] = halves(signature);
    if is_refused_point(&r) {
        return Err(Refused::WeakSignature);
    }
    let key = UnparsedPublicKey::new(&ED25519, key.as_bytes());
    key.verify(message, signature).map_err(|_| wrong)
}

fn halves(signature: &[u8; SIGNATURE_BYTES]) -> [[u8; 32]; 2] {
    let mut halves = [[0; 32]; 2];
    halves[0].copy_from_slice(&signature[..32]);
    halves[1].copy_from_slice(&signature[32..]);
    halves
}
