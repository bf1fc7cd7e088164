//! Delegations: an owner lets another key write one of its values.
//!
//! A delegation is for one owner and salt, has an end, and has a generation: a higher generation
//! outranks everything that was written under a lower one. It travels inside each envelope that it
//! permits; on its own, between the owner's machine and the writer's, it is a short text.

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};

use crate::fields::Fields;
use crate::{Name, PublicKey, SIGNATURE_BYTES, Salt};

/// `writer 32 · generation u32 · not-after u64 · signature 64`, as it stands in an envelope.
pub const DELEGATION_BYTES: usize = 32 + 4 + 8 + SIGNATURE_BYTES;

/// The first line of a delegation's text.
const FIRST_LINE: &str = "voiddht delegation 1";

/// Lets `writer` write in the owner's name. Its signature may be wrong: see
/// [`crate::VerifiedEnvelope`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delegation {
    /// The key that may write.
    pub writer: PublicKey,
    /// 1 or more. A higher one outranks all that was written under a lower one.
    pub generation: u32,
    /// When it ends, in seconds since 1970; never 0.
    pub not_after: u64,
    /// The owner's signature.
    pub signature: [u8; SIGNATURE_BYTES],
}

/// A delegation's text is not well-formed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseDelegationError {
    /// The first line is another.
    #[error("the first line is not \"{FIRST_LINE}\"")]
    FirstLine,
    /// What follows is not one line of hexadecimal digits.
    #[error("the second line is not hexadecimal, or others follow")]
    NotHex,
    /// The digits are too few or too many for the fields.
    #[error("the delegation has the wrong length")]
    Length,
    /// A field is out of its range.
    #[error("{0} is out of range")]
    Range(&'static str),
}

impl Delegation {
    /// The fields in the order in which an envelope has them.
    pub(crate) fn encode(&self) -> [u8; DELEGATION_BYTES] {
        let mut bytes = [0; DELEGATION_BYTES];
        bytes[..32].copy_from_slice(self.writer.as_bytes());
        bytes[32..36].copy_from_slice(&self.generation.to_be_bytes());
        bytes[36..44].copy_from_slice(&self.not_after.to_be_bytes());
        bytes[44..].copy_from_slice(&self.signature);
        bytes
    }

    /// Reads the fields, without judging their ranges.
    pub(crate) fn take(fields: &mut Fields<'_>) -> Option<Self> {
        Some(Self {
            writer: PublicKey::from_bytes(fields.take()?),
            generation: fields.take_u32()?,
            not_after: fields.take_u64()?,
            signature: fields.take()?,
        })
    }

    /// The text that an owner hands to a writer: a first line, then `owner 32 · n u8 · salt n ·
    /// delegation 108` in hexadecimal digits on the second.
    pub fn to_text(&self, name: &Name) -> String {
        let salt = &name.salt;
        let parts: [&[u8]; 4] =
            [name.owner.as_bytes(), &[salt.length()], salt.as_bytes(), &self.encode()];
        format!("{FIRST_LINE}\n{}\n", HEXLOWER.encode(&parts.concat()))
    }

    /// Reads that text: the native name that it is for, and the delegation.
    ///
    /// # Errors
    /// [`ParseDelegationError`] names the part that is not well-formed. Signatures are not checked.
    pub fn from_text(text: &str) -> Result<(Name, Self), ParseDelegationError> {
        let mut lines = text.trim_end().lines();
        if lines.next() != Some(FIRST_LINE) {
            return Err(ParseDelegationError::FirstLine);
        }
        let (Some(digits), None) = (lines.next(), lines.next()) else {
            return Err(ParseDelegationError::NotHex);
        };
        let bytes = HEXLOWER_PERMISSIVE
            .decode(digits.trim().as_bytes())
            .map_err(|_| ParseDelegationError::NotHex)?;
        let mut fields = Fields::new(&bytes);
        let read = Self::take_with_name(&mut fields).filter(|_| fields.remaining() == 0);
        let (owner, salt, delegation) = read.ok_or(ParseDelegationError::Length)?;
        let salt = Salt::new(salt).map_err(|_| ParseDelegationError::Range("the salt's length"))?;
        delegation.check_ranges().map_err(ParseDelegationError::Range)?;
        Ok((Name::native(owner, salt), delegation))
    }

    fn take_with_name<'a>(fields: &mut Fields<'a>) -> Option<(PublicKey, &'a [u8], Self)> {
        let owner = PublicKey::from_bytes(fields.take()?);
        let salt_length = usize::from(fields.take_u8()?);
        let salt = fields.take_slice(salt_length)?;
        Some((owner, salt, Self::take(fields)?))
    }

    /// A delegation has a generation and an end; the error names the field that is 0.
    pub(crate) fn check_ranges(&self) -> Result<(), &'static str> {
        if self.generation == 0 {
            Err("the delegation's generation")
        } else if self.not_after == 0 {
            Err("the delegation's end")
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> (Name, Delegation) {
        let name = Name::native(PublicKey::from_bytes([1; 32]), Salt::new(b"endpoint").unwrap());
        let delegation = Delegation {
            writer: PublicKey::from_bytes([2; 32]),
            generation: 7,
            not_after: 2_000_000_000,
            signature: [3; SIGNATURE_BYTES],
        };
        (name, delegation)
    }

    #[test]
    fn text_round_trips() {
        let (name, delegation) = example();
        let text = delegation.to_text(&name);
        assert_eq!(Delegation::from_text(&text), Ok((name, delegation)));
        assert_eq!(Delegation::from_text(text.trim_end()), Ok((name, delegation)));
    }

    #[test]
    fn text_that_is_not_a_delegation_is_refused_with_its_reason() {
        use ParseDelegationError::{FirstLine, Length, NotHex, Range};
        let (name, delegation) = example();
        let text = delegation.to_text(&name);
        let no_end = Delegation { not_after: 0, ..delegation }.to_text(&name);
        let no_generation = Delegation { generation: 0, ..delegation }.to_text(&name);
        let cases = [
            (String::new(), FirstLine),
            (text.replacen("delegation 1", "delegation 2", 1), FirstLine),
            (FIRST_LINE.to_owned(), NotHex),
            (text.clone() + "more\n", NotHex),
            (text.trim_end().to_owned() + "0", NotHex),
            (text.trim_end().to_owned() + "00", Length),
            (text[..text.len() - 3].to_owned(), Length),
            (no_end, Range("the delegation's end")),
            (no_generation, Range("the delegation's generation")),
        ];
        for (text, expected) in cases {
            assert_eq!(Delegation::from_text(&text), Err(expected), "{text}");
        }
    }
}
