//! The encoding of a signed value.
//!
//! | at | bytes | field |
//! |---|---|---|
//! | 0 | 4 | magic `56 44 53 01` ("VDS", 1) |
//! | 4 | 1 | form: 1 native, 2 BEP 44 |
//! | 5 | 1 | flags: bit 0 = written by a delegated key (form 1 only); all others 0 |
//! | 6 | 1 | n, length of the salt, 0…64 |
//! | 7 | 1 | 0 |
//! | 8 | 32 | owner: Ed25519 public key |
//! | 40 | 8 | seq u64: 1 … 2⁶³−1 in form 1, 0 … 2⁶³−1 in form 2 |
//! | 48 | 8 | not-after, u64 seconds since 1970; 0 = none (form 2: always 0) |
//! | 56 | 108 or 0 | with flag bit 0: writer 32 · generation u32 (≥ 1) · not-after u64 (≠ 0) · owner's signature 64 |
//! | … | n | salt |
//! | … | 64 | signature |
//! | … | rest | body; empty is a withdrawal (form 2: `0:`) |
//!
//! Parsing is strict, so every envelope has exactly one encoding. It checks the form alone: whether
//! keys and signatures are good is [`crate::verify`]'s to decide.

use bytes::Bytes;
use sha2::{Digest, Sha256};
use voiddht_wire::Key;
use voiddht_wire::limits::MAX_VALUE_BYTES;

use crate::delegation::DELEGATION_BYTES;
use crate::fields::Fields;
use crate::name::MAX_SALT_BYTES;
use crate::{Delegation, Form, Name, PublicKey, SIGNATURE_BYTES, Salt};

/// The first bytes of every envelope: "VDS" and the version of the layout.
pub const MAGIC: [u8; 4] = *b"VDS\x01";
/// The greatest sequence number: BEP 44 writes it as a signed 64-bit integer.
pub const MAX_SEQ: u64 = i64::MAX as u64;
/// Bytes before the delegation, or before the salt where there is none.
pub const FIXED_BYTES: usize = 56;
/// Smallest and largest body of form 2, a bencoded string of 0 to 1 000 bytes.
pub const BEP44_BODY_BYTES: std::ops::RangeInclusive<usize> = 2..=1005;
/// The body of form 2 that withdraws a value: the empty bencoded string.
pub const BEP44_WITHDRAWAL: &[u8] = b"0:";

/// Flag bit 0: a delegation follows the fixed fields.
const FLAG_DELEGATED: u8 = 1;

/// Which rule of the layout bytes break: they are no envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum ParseError {
    /// The first four bytes are others.
    #[error("it does not begin with an envelope's magic number")]
    Magic,
    /// Neither 1 nor 2.
    #[error("form {0} is unknown")]
    Form(u8),
    /// A flag that the form does not have.
    #[error("flags {0:#04x} are not allowed in this form")]
    Flags(u8),
    /// The salt's length is above 64.
    #[error("a salt of {0} bytes is longer than {MAX_SALT_BYTES}")]
    Salt(u8),
    /// The reserved byte is not 0.
    #[error("the reserved byte is not 0")]
    Reserved,
    /// The bytes end before the body.
    #[error("it is cut short")]
    Truncated,
    /// The sequence number is out of the form's range.
    #[error("sequence number {0} is out of range")]
    Seq(u64),
    /// Form 2 has no end of its own.
    #[error("an envelope of BEP 44 cannot have an end")]
    NotAfter,
    /// A delegation without generation or without end.
    #[error("{0} is 0")]
    Delegation(&'static str),
    /// The body is too short or too long for the form.
    #[error("a body of {0} bytes is out of range")]
    Body(usize),
}

/// A well-formed signed value. Nothing is said about keys and signatures: see
/// [`crate::VerifiedEnvelope`]. Clones share the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    bytes: Bytes,
    name: Name,
    seq: u64,
    not_after: u64,
    delegation: Option<Delegation>,
    signature: [u8; SIGNATURE_BYTES],
}

/// Fields of an envelope before they are laid out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parts<'a> {
    pub(crate) name: &'a Name,
    pub(crate) seq: u64,
    pub(crate) not_after: u64,
    pub(crate) delegation: Option<&'a Delegation>,
    pub(crate) signature: [u8; SIGNATURE_BYTES],
    pub(crate) body: &'a [u8],
}

impl Envelope {
    /// Reads an envelope, all of `bytes`.
    ///
    /// # Errors
    /// [`ParseError`] names the rule that is broken: then the bytes are a plain value.
    pub fn parse(bytes: Bytes) -> Result<Self, ParseError> {
        use ParseError::Truncated;
        let mut fields = Fields::new(&bytes);
        if fields.take() != Some(MAGIC) {
            return Err(ParseError::Magic);
        }
        let [form, flags, salt_length, reserved] = fields.take().ok_or(Truncated)?;
        let form = Form::from_code(form).ok_or(ParseError::Form(form))?;
        let is_delegated = parse_flags(form, flags)?;
        if usize::from(salt_length) > MAX_SALT_BYTES {
            return Err(ParseError::Salt(salt_length));
        }
        if reserved != 0 {
            return Err(ParseError::Reserved);
        }
        let owner = PublicKey::from_bytes(fields.take().ok_or(Truncated)?);
        let seq = fields.take_u64().ok_or(Truncated)?;
        let not_after = fields.take_u64().ok_or(Truncated)?;
        let delegation = match is_delegated {
            true => Some(Delegation::take(&mut fields).ok_or(Truncated)?),
            false => None,
        };
        let salt = fields.take_slice(usize::from(salt_length)).ok_or(Truncated)?;
        let salt = Salt::new(salt).map_err(|_| ParseError::Salt(salt_length))?;
        let signature = fields.take().ok_or(Truncated)?;
        let name = Name { form, owner, salt };
        check_ranges(form, seq, not_after, delegation.as_ref())?;
        check_body(form, fields.remaining(), bytes.len())?;
        Ok(Self { bytes, name, seq, not_after, delegation, signature })
    }

    /// Lays out an envelope, and reads it back so that the same rules hold.
    pub(crate) fn from_parts(parts: &Parts<'_>) -> Result<Self, ParseError> {
        let Parts { name, seq, not_after, delegation, signature, body } = parts;
        let flags = if delegation.is_some() { FLAG_DELEGATED } else { 0 };
        let mut bytes = Vec::with_capacity(
            FIXED_BYTES + DELEGATION_BYTES + MAX_SALT_BYTES + SIGNATURE_BYTES + body.len(),
        );
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&[name.form.code(), flags, name.salt.length(), 0]);
        bytes.extend_from_slice(name.owner.as_bytes());
        bytes.extend_from_slice(&seq.to_be_bytes());
        bytes.extend_from_slice(&not_after.to_be_bytes());
        if let Some(delegation) = delegation {
            bytes.extend_from_slice(&delegation.encode());
        }
        bytes.extend_from_slice(name.salt.as_bytes());
        bytes.extend_from_slice(signature);
        bytes.extend_from_slice(body);
        Self::parse(bytes.into())
    }

    /// Wraps a mutable item of BEP 44 as another program signed it; `value` is the bencoded `v`.
    ///
    /// # Errors
    /// [`ParseError`] names the field that is out of range. The signature is not checked.
    pub fn from_bep44(
        owner: PublicKey,
        salt: Salt,
        seq: u64,
        signature: [u8; SIGNATURE_BYTES],
        value: &[u8],
    ) -> Result<Self, ParseError> {
        let name = Name::bep44(owner, salt);
        let not_after = 0;
        let delegation = None;
        Self::from_parts(&Parts { name: &name, seq, not_after, delegation, signature, body: value })
    }

    /// All bytes: the value as nodes store it.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Form, owner and salt.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// The key under which it belongs.
    pub fn key(&self) -> Key {
        self.name.key()
    }

    /// The sequence number.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// Its own end in seconds since 1970, 0 for none; see [`Self::effective_end`].
    pub fn not_after(&self) -> u64 {
        self.not_after
    }

    /// The permission of the key that wrote it, where that is not the owner's own right.
    pub fn delegation(&self) -> Option<&Delegation> {
        self.delegation.as_ref()
    }

    /// The delegation's generation, 0 without one.
    pub fn generation(&self) -> u32 {
        self.delegation.map_or(0, |delegation| delegation.generation)
    }

    /// The key whose signature it bears.
    pub fn writer(&self) -> PublicKey {
        self.delegation.map_or(self.name.owner, |delegation| delegation.writer)
    }

    /// The writer's signature.
    pub fn signature(&self) -> &[u8; SIGNATURE_BYTES] {
        &self.signature
    }

    /// What it says.
    pub fn body(&self) -> &[u8] {
        self.bytes.get(self.body_start()..).unwrap_or_default()
    }

    /// The same, sharing the envelope's memory.
    pub fn body_bytes(&self) -> Bytes {
        self.bytes.slice(self.body_start()..)
    }

    /// Whether the owner withdraws the value: an empty body, or BEP 44's empty string.
    pub fn is_withdrawal(&self) -> bool {
        match self.name.form {
            Form::Native => self.body().is_empty(),
            Form::Bep44 => self.body() == BEP44_WITHDRAWAL,
        }
    }

    /// When it ends, in seconds since 1970: the earlier of its own end and its delegation's.
    /// `None` if neither has one.
    pub fn effective_end(&self) -> Option<u64> {
        let own = (self.not_after != 0).then_some(self.not_after);
        let delegated = self.delegation.map(|delegation| delegation.not_after);
        own.into_iter().chain(delegated).min()
    }

    /// The SHA-256 of all bytes: the last rule of the order, and what a conditional PUT expects.
    pub fn digest(&self) -> [u8; 32] {
        Sha256::digest(&self.bytes).into()
    }

    /// What a native signature covers, up to the signature itself: form to salt.
    pub(crate) fn signed_head(&self) -> &[u8] {
        let end = self.body_start().saturating_sub(SIGNATURE_BYTES);
        self.bytes.get(MAGIC.len()..end).unwrap_or_default()
    }

    fn body_start(&self) -> usize {
        let delegation = if self.delegation.is_some() { DELEGATION_BYTES } else { 0 };
        FIXED_BYTES + delegation + usize::from(self.name.salt.length()) + SIGNATURE_BYTES
    }
}

/// Whether a delegation follows.
fn parse_flags(form: Form, flags: u8) -> Result<bool, ParseError> {
    match (form, flags) {
        (_, 0) => Ok(false),
        (Form::Native, FLAG_DELEGATED) => Ok(true),
        _ => Err(ParseError::Flags(flags)),
    }
}

fn check_ranges(
    form: Form,
    seq: u64,
    not_after: u64,
    delegation: Option<&Delegation>,
) -> Result<(), ParseError> {
    let least = if form == Form::Native { 1 } else { 0 };
    if !(least..=MAX_SEQ).contains(&seq) {
        return Err(ParseError::Seq(seq));
    }
    if form == Form::Bep44 && not_after != 0 {
        return Err(ParseError::NotAfter);
    }
    delegation.map_or(Ok(()), Delegation::check_ranges).map_err(ParseError::Delegation)
}

fn check_body(form: Form, body: usize, whole: usize) -> Result<(), ParseError> {
    let fits = match form {
        Form::Native => whole <= MAX_VALUE_BYTES,
        Form::Bep44 => BEP44_BODY_BYTES.contains(&body),
    };
    if fits { Ok(()) } else { Err(ParseError::Body(body)) }
}

#[cfg(test)]
mod tests;
