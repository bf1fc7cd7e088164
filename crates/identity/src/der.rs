//! DER's outer form, to the last byte (X.690, sections 8.1 and 10.1).
//!
//! The library that parses certificates ignores bytes that it does not need: a fourth element in
//! the outer sequence, a length with a leading zero. With pins that compare whole certificates, one
//! certificate must have one encoding, so this strict walk comes first. It does not interpret the
//! elements.

/// How deep elements may nest. A certificate of ours has 7 levels; the bound keeps the walk's own
/// stack small whatever a peer sends.
const MAX_DEPTH: usize = 16;

/// Universal, constructed: SEQUENCE.
const CONSTRUCTED: u8 = 0x20;
/// The five low bits that say that the tag goes on in the next byte. No certificate needs it.
const LONG_TAG: u8 = 0x1f;

/// Why bytes are not DER.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum DerError {
    /// The bytes end within an element.
    #[error("the bytes end within an element")]
    Truncated,
    /// A tag that goes on in a second byte.
    #[error("a tag of more than one byte")]
    LongTag,
    /// A length that is not written in the one way that DER allows.
    #[error("a length that is indefinite or longer than needed")]
    Length,
    /// A boolean or an integer that is not written in the one way that DER allows.
    #[error("a boolean or an integer that is not in its one form")]
    Value,
    /// Elements within elements, too deep for a certificate.
    #[error("elements nest deeper than {MAX_DEPTH} levels")]
    TooDeep,
}

/// One element: tag, length, content.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Element<'a> {
    /// The tag byte.
    pub(crate) tag: u8,
    /// What is inside.
    pub(crate) content: &'a [u8],
    /// The whole element.
    pub(crate) raw: &'a [u8],
}

/// Reads the element at the start of `input`; the answer's second half is what follows it.
pub(crate) fn read(input: &[u8]) -> Result<(Element<'_>, &[u8]), DerError> {
    let (&[tag, first], after) = input.split_first_chunk().ok_or(DerError::Truncated)?;
    if tag & LONG_TAG == LONG_TAG {
        return Err(DerError::LongTag);
    }
    let (length, after) = match first {
        0..=0x7f => (usize::from(first), after),
        0x81 => {
            let (&[length], after) = after.split_first_chunk().ok_or(DerError::Truncated)?;
            (at_least(usize::from(length), 0x80)?, after)
        }
        0x82 => {
            let (length, after) = after.split_first_chunk().ok_or(DerError::Truncated)?;
            (at_least(usize::from(u16::from_be_bytes(*length)), 0x100)?, after)
        }
        // 0x80 is indefinite, and three bytes of length are more than a certificate may have.
        _ => return Err(DerError::Length),
    };
    let (content, rest) = after.split_at_checked(length).ok_or(DerError::Truncated)?;
    let raw = &input[..input.len() - rest.len()];
    Ok((Element { tag, content, raw }, rest))
}

fn at_least(length: usize, least: usize) -> Result<usize, DerError> {
    if length < least { Err(DerError::Length) } else { Ok(length) }
}

/// Checks every element in `input`, and within them, however deep.
pub(crate) fn check(input: &[u8]) -> Result<(), DerError> {
    check_level(input, 0)
}

fn check_level(mut input: &[u8], depth: usize) -> Result<(), DerError> {
    if depth > MAX_DEPTH {
        return Err(DerError::TooDeep);
    }
    while !input.is_empty() {
        let (element, rest) = read(input)?;
        if element.tag & CONSTRUCTED != 0 {
            check_level(element.content, depth + 1)?;
        } else if !has_one_form(element) {
            return Err(DerError::Value);
        }
        input = rest;
    }
    Ok(())
}

/// BOOLEAN (1) is one byte, 0 or 255; INTEGER (2) has no needless first byte.
fn has_one_form(element: Element<'_>) -> bool {
    match (element.tag, element.content) {
        (1, content) => matches!(content, [0x00 | 0xff]),
        (2, [] | [0, 0..=0x7f, ..] | [0xff, 0x80..=0xff, ..]) => false,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_form_is_taken_and_every_other_refused() {
        for (bytes, expected) in [
            (&[0x30, 3, 2, 1, 5][..], Ok(())),
            (&[0x30, 0x80, 2, 1, 5, 0, 0], Err(DerError::Length)),
            (&[0x30, 0x81, 3, 2, 1, 5], Err(DerError::Length)),
            (&[0x30, 0x82, 0, 3, 2, 1, 5], Err(DerError::Length)),
            (&[0x30, 0x83, 0, 0, 3, 2, 1, 5], Err(DerError::Length)),
            (&[0x30, 4, 2, 1, 5], Err(DerError::Truncated)),
            (&[0x30], Err(DerError::Truncated)),
            (&[0x30, 3, 2, 2, 5], Err(DerError::Truncated)),
            (&[0x1f, 0x81, 0], Err(DerError::LongTag)),
            (&[1, 1, 1], Err(DerError::Value)),
            (&[1, 1, 0xff], Ok(())),
            (&[2, 0], Err(DerError::Value)),
            (&[2, 2, 0, 1], Err(DerError::Value)),
            (&[2, 2, 0, 0x80], Ok(())),
            (&[2, 2, 0xff, 0xff], Err(DerError::Value)),
        ] {
            assert_eq!(check(bytes), expected, "{bytes:x?}");
        }
    }

    #[test]
    fn nesting_is_bounded() {
        let nested = |levels: u8| -> Vec<u8> {
            (0..levels).rev().flat_map(|inside| [0x30, 2 * inside]).collect()
        };
        assert_eq!(check(&nested(MAX_DEPTH as u8)), Ok(()));
        assert_eq!(check(&nested(MAX_DEPTH as u8 + 2)), Err(DerError::TooDeep));
    }
}
