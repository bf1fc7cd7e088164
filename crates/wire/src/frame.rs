//! The frame that both protocols share: `size u16 | type u16 | body`, where `size` counts the
//! whole frame. Between `voiddht/1` peers a size of 0 announces a long frame: its true length,
//! counted over the whole frame too, stands in a `u32` right after the type.

use bytes::{BufMut, BytesMut};

use crate::limits::{
    FRAME_HEADER_BYTES, LONG_LENGTH_BYTES, MAX_FRAME_BYTES, MAX_SHORT_FRAME_BYTES,
};

/// Why a frame cannot be read: the sender broke a rule, and its connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum FrameError {
    /// The size does not even cover the frame's own header.
    #[error("a frame of {0} bytes is shorter than its header")]
    TooShort(usize),
    /// The size is more than the largest message needs.
    #[error("a frame of {0} bytes is longer than the {MAX_FRAME_BYTES} that a message needs")]
    TooLong(usize),
    /// A long frame that would have fitted a short one: one encoding for each message.
    #[error("a long frame of {0} bytes would have fitted a short one")]
    NeedlesslyLong(usize),
}

/// What the first four bytes of a frame say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameStart {
    /// A body of this many bytes follows.
    Short {
        /// Type of the message.
        kind: u16,
        /// Bytes that follow.
        body_bytes: usize,
    },
    /// Four bytes of true length follow: give them to [`long_body_bytes`].
    Long {
        /// Type of the message.
        kind: u16,
    },
}

/// Reads the first four bytes of a frame. `long_frames` says whether the dialect has them.
///
/// # Errors
/// [`FrameError::TooShort`] where the size does not cover the header.
pub fn parse_start(
    bytes: [u8; FRAME_HEADER_BYTES],
    long_frames: bool,
) -> Result<FrameStart, FrameError> {
    let size = usize::from(u16::from_be_bytes([bytes[0], bytes[1]]));
    let kind = u16::from_be_bytes([bytes[2], bytes[3]]);
    if size == 0 && long_frames {
        return Ok(FrameStart::Long { kind });
    }
    match size.checked_sub(FRAME_HEADER_BYTES) {
        Some(body_bytes) => Ok(FrameStart::Short { kind, body_bytes }),
        None => Err(FrameError::TooShort(size)),
    }
}

/// Reads the true length of a long frame; the answer is the number of bytes that follow it.
///
/// # Errors
/// [`FrameError::TooLong`] before anything is allocated, [`FrameError::NeedlesslyLong`] where a
/// short frame would have done.
pub fn long_body_bytes(bytes: [u8; LONG_LENGTH_BYTES]) -> Result<usize, FrameError> {
    let size = u32::from_be_bytes(bytes) as usize;
    if size > MAX_FRAME_BYTES {
        return Err(FrameError::TooLong(size));
    }
    if size <= MAX_SHORT_FRAME_BYTES + LONG_LENGTH_BYTES {
        return Err(FrameError::NeedlesslyLong(size));
    }
    Ok(size - FRAME_HEADER_BYTES - LONG_LENGTH_BYTES)
}

/// Writes the start of a frame whose body has `body_bytes`, and makes room for all of it, so that the
/// buffer grows once. `false`, and nothing is written, if a frame of that dialect cannot be as long.
#[must_use]
pub fn put_start(buffer: &mut BytesMut, kind: u16, body_bytes: usize, long_frames: bool) -> bool {
    let size = FRAME_HEADER_BYTES + body_bytes;
    if let Ok(size) = u16::try_from(size) {
        buffer.reserve(usize::from(size));
        buffer.put_u16(size);
        buffer.put_u16(kind);
        return true;
    }
    let size = size + LONG_LENGTH_BYTES;
    if !long_frames || size > MAX_FRAME_BYTES {
        return false;
    }
    buffer.reserve(size);
    buffer.put_u16(0);
    buffer.put_u16(kind);
    buffer.put_u32(size as u32);
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_says_how_much_follows() {
        assert_eq!(
            parse_start([0, 36, 0x02, 0x8b], false),
            Ok(FrameStart::Short { kind: 651, body_bytes: 32 })
        );
        assert_eq!(parse_start([0, 3, 0, 1], true), Err(FrameError::TooShort(3)));
        assert_eq!(parse_start([0, 0, 0, 1], false), Err(FrameError::TooShort(0)));
        assert_eq!(parse_start([0, 0, 0, 1], true), Ok(FrameStart::Long { kind: 1 }));
    }

    #[test]
    fn a_long_length_is_judged_before_anything_is_allocated() {
        let max = MAX_FRAME_BYTES as u32;
        assert_eq!(long_body_bytes(max.to_be_bytes()), Ok(MAX_FRAME_BYTES - 8));
        assert_eq!(
            long_body_bytes((max + 1).to_be_bytes()),
            Err(FrameError::TooLong(MAX_FRAME_BYTES + 1))
        );
        assert_eq!(
            long_body_bytes(u32::MAX.to_be_bytes()),
            Err(FrameError::TooLong(u32::MAX as usize))
        );
        assert_eq!(long_body_bytes([0; 4]), Err(FrameError::NeedlesslyLong(0)));
    }

    #[test]
    fn every_length_has_one_encoding_and_reads_back() {
        for body in [0, 1, 65_531, 65_532, MAX_FRAME_BYTES - 8] {
            let mut buffer = BytesMut::new();
            assert!(put_start(&mut buffer, 7, body, true));
            assert!(buffer.capacity() >= buffer.len() + body, "the body needs no more room");
            let start = buffer[..4].try_into().unwrap();
            let read = match parse_start(start, true).unwrap() {
                FrameStart::Short { kind: 7, body_bytes } => body_bytes,
                FrameStart::Long { kind: 7 } => {
                    long_body_bytes(buffer[4..].try_into().unwrap()).unwrap()
                }
                other => panic!("{other:?}"),
            };
            assert_eq!(read, body);
        }
        let mut buffer = BytesMut::new();
        assert!(!put_start(&mut buffer, 7, 65_532, false));
        assert!(!put_start(&mut buffer, 7, MAX_FRAME_BYTES - 7, true));
        assert!(buffer.is_empty());
    }
}
