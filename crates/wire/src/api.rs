//! The VoidPhone module API: DHT PUT, DHT GET and their answers.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::frame;
use crate::id::{ID_BYTES, Key};
use crate::limits::{API_PUT_FIXED_BYTES, MAX_VALUE_BYTES};

/// Type of DHT PUT.
pub const DHT_PUT: u16 = 650;
/// Type of DHT GET.
pub const DHT_GET: u16 = 651;
/// Type of DHT SUCCESS.
pub const DHT_SUCCESS: u16 = 652;
/// Type of DHT FAILURE.
pub const DHT_FAILURE: u16 = 653;

/// Bit 0 of a PUT's flags: the client wants to know from how many nodes the value can be fetched.
pub const FLAG_ACKNOWLEDGE: u8 = 1;
/// Bit 1 of a PUT's flags, with bit 0: the client also wants to know how many nodes have not answered
/// yet, or why the PUT failed. A node that does not know the bit ignores it.
pub const FLAG_RECEIPT: u8 = 2;

/// What a client wants to hear of a PUT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acknowledge {
    /// Nothing.
    No,
    /// From how many nodes the value can be fetched ([`FLAG_ACKNOWLEDGE`]).
    Count,
    /// How many nodes have not answered, or why it failed, too ([`FLAG_RECEIPT`]).
    Receipt,
}

impl Acknowledge {
    fn of_flags(flags: u8) -> Self {
        match (flags & FLAG_ACKNOWLEDGE != 0, flags & FLAG_RECEIPT != 0) {
            (false, _) => Self::No,
            (true, false) => Self::Count,
            (true, true) => Self::Receipt,
        }
    }

    fn flags(self) -> u8 {
        match self {
            Self::No => 0,
            Self::Count => FLAG_ACKNOWLEDGE,
            Self::Receipt => FLAG_ACKNOWLEDGE | FLAG_RECEIPT,
        }
    }
}

/// What a local program asks of its node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Store a value.
    Put(Put),
    /// Find a value.
    Get {
        /// The value's key.
        key: Key,
    },
}

/// The body of a DHT PUT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Put {
    /// Seconds that the value shall live; 0 is the node's default.
    pub ttl: u16,
    /// Nodes that shall hold it; 0 is the node's default, k.
    pub replication: u8,
    /// Which answer is wanted.
    pub acknowledge: Acknowledge,
    /// The value's key.
    pub key: Key,
    /// 1 to [`MAX_VALUE_BYTES`] bytes.
    pub value: Bytes,
}

/// What the node answers. Answers come as they are ready; the key says which request is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The value of a GET. For an acknowledged PUT one byte, the nodes from which the value can be
    /// fetched; where a receipt is wanted a second one, the nodes that have not answered yet.
    Success {
        /// The key of the request.
        key: Key,
        /// The value, or the counts.
        value: Bytes,
    },
    /// Nothing was found, or the PUT failed.
    Failure {
        /// The key of the request.
        key: Key,
    },
    /// The PUT failed, and a receipt was wanted: FAILURE with the reason after the key.
    FailureBecause {
        /// The key of the request.
        key: Key,
        /// The reason, UTF-8.
        why: Bytes,
    },
}

/// What was wrong with a frame of the module API.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// The body's length does not fit its type.
    #[error("a message of type {kind} cannot have a body of {body_bytes} bytes")]
    WrongSize {
        /// Type of the message.
        kind: u16,
        /// Length of what came with it.
        body_bytes: usize,
    },
    /// A PUT without a value.
    #[error("a DHT PUT needs a value of at least one byte")]
    EmptyValue,
    /// A type that only the other side may send, or that is not of the DHT module.
    #[error("type {0} is not a message that may be sent here")]
    UnexpectedType(u16),
}

impl Request {
    /// Reads the body of a frame that a client sent.
    ///
    /// # Errors
    /// [`ApiError`] says which rule the client broke.
    pub fn decode(kind: u16, mut body: Bytes) -> Result<Self, ApiError> {
        let wrong_size = ApiError::WrongSize { kind, body_bytes: body.len() };
        match kind {
            DHT_PUT if body.len() == API_PUT_FIXED_BYTES => Err(ApiError::EmptyValue),
            DHT_PUT if body.len() < API_PUT_FIXED_BYTES => Err(wrong_size),
            DHT_PUT => Ok(Self::Put(Put {
                ttl: body.get_u16(),
                replication: body.get_u8(),
                acknowledge: Acknowledge::of_flags(body.get_u8()),
                key: take_key(&mut body),
                value: body,
            })),
            DHT_GET if body.len() == ID_BYTES => Ok(Self::Get { key: take_key(&mut body) }),
            DHT_GET => Err(wrong_size),
            other => Err(ApiError::UnexpectedType(other)),
        }
    }

    /// Appends the whole frame to `buffer`.
    ///
    /// # Errors
    /// [`ApiError::EmptyValue`] and [`ApiError::WrongSize`] where the value does not fit a PUT.
    pub fn encode(&self, buffer: &mut BytesMut) -> Result<(), ApiError> {
        match self {
            Self::Put(put) if put.value.is_empty() => Err(ApiError::EmptyValue),
            Self::Put(put) => {
                put_start(buffer, DHT_PUT, API_PUT_FIXED_BYTES + put.value.len())?;
                buffer.put_u16(put.ttl);
                buffer.put_u8(put.replication);
                buffer.put_u8(put.acknowledge.flags());
                buffer.put_slice(&put.key.to_bytes());
                buffer.put_slice(&put.value);
                Ok(())
            }
            Self::Get { key } => {
                put_start(buffer, DHT_GET, ID_BYTES)?;
                buffer.put_slice(&key.to_bytes());
                Ok(())
            }
        }
    }
}

impl Answer {
    /// The key of the request that this answers.
    pub fn key(&self) -> Key {
        match self {
            Self::Success { key, .. }
            | Self::Failure { key }
            | Self::FailureBecause { key, .. } => *key,
        }
    }

    /// Reads the body of a frame that a node sent.
    ///
    /// # Errors
    /// [`ApiError`] says which rule the node broke.
    pub fn decode(kind: u16, mut body: Bytes) -> Result<Self, ApiError> {
        let wrong_size = ApiError::WrongSize { kind, body_bytes: body.len() };
        match kind {
            DHT_SUCCESS if body.len() > ID_BYTES => {
                Ok(Self::Success { key: take_key(&mut body), value: body })
            }
            DHT_FAILURE if body.len() == ID_BYTES => Ok(Self::Failure { key: take_key(&mut body) }),
            DHT_FAILURE if body.len() > ID_BYTES => {
                Ok(Self::FailureBecause { key: take_key(&mut body), why: body })
            }
            DHT_SUCCESS | DHT_FAILURE => Err(wrong_size),
            other => Err(ApiError::UnexpectedType(other)),
        }
    }

    /// Appends the whole frame to `buffer`.
    ///
    /// # Errors
    /// [`ApiError::WrongSize`] where the value is longer than any value can be.
    pub fn encode(&self, buffer: &mut BytesMut) -> Result<(), ApiError> {
        match self {
            Self::Success { key, value } => {
                put_start(buffer, DHT_SUCCESS, ID_BYTES + value.len())?;
                buffer.put_slice(&key.to_bytes());
                buffer.put_slice(value);
            }
            Self::Failure { key } => {
                put_start(buffer, DHT_FAILURE, ID_BYTES)?;
                buffer.put_slice(&key.to_bytes());
            }
            Self::FailureBecause { key, why } => {
                put_start(buffer, DHT_FAILURE, ID_BYTES + why.len())?;
                buffer.put_slice(&key.to_bytes());
                buffer.put_slice(why);
            }
        }
        Ok(())
    }
}

fn put_start(buffer: &mut BytesMut, kind: u16, body_bytes: usize) -> Result<(), ApiError> {
    if body_bytes > API_PUT_FIXED_BYTES + MAX_VALUE_BYTES
        || !frame::put_start(buffer, kind, body_bytes, false)
    {
        return Err(ApiError::WrongSize { kind, body_bytes });
    }
    Ok(())
}

fn take_key(body: &mut Bytes) -> Key {
    let mut bytes = [0; ID_BYTES];
    body.copy_to_slice(&mut bytes);
    Key::from_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame_of(request: &Request) -> BytesMut {
        let mut buffer = BytesMut::new();
        request.encode(&mut buffer).unwrap();
        buffer
    }

    #[test]
    fn a_put_stands_as_the_protocol_draws_it() {
        let put = Put {
            ttl: 0x0102,
            replication: 3,
            acknowledge: Acknowledge::Count,
            key: Key::from_bytes([0xaa; 32]),
            value: Bytes::from_static(b"v"),
        };
        let frame = frame_of(&Request::Put(put.clone()));
        assert_eq!(&frame[..8], &[0, 41, 0x02, 0x8a, 1, 2, 3, 1]);
        assert_eq!(&frame[8..], [&[0xaa; 32][..], b"v"].concat());
        assert_eq!(Request::decode(DHT_PUT, frame.freeze().slice(4..)), Ok(Request::Put(put)));
    }

    #[test]
    fn unknown_flags_are_ignored_and_a_receipt_needs_an_acknowledgement() {
        for (flags, expected) in [
            (0, Acknowledge::No),
            (2, Acknowledge::No),
            (0xfc, Acknowledge::No),
            (1, Acknowledge::Count),
            (0xfd, Acknowledge::Count),
            (3, Acknowledge::Receipt),
            (0xff, Acknowledge::Receipt),
        ] {
            assert_eq!(Acknowledge::of_flags(flags), expected, "{flags:#x}");
        }
        for one in [Acknowledge::No, Acknowledge::Count, Acknowledge::Receipt] {
            assert_eq!(Acknowledge::of_flags(one.flags()), one);
        }
    }

    #[test]
    fn the_largest_value_fits_to_the_byte() {
        let put = |bytes| {
            Request::Put(Put {
                ttl: 0,
                replication: 0,
                acknowledge: Acknowledge::No,
                key: Key::default(),
                value: Bytes::from(vec![7; bytes]),
            })
        };
        assert_eq!(frame_of(&put(MAX_VALUE_BYTES)).len(), 65_535);
        let mut buffer = BytesMut::new();
        assert!(put(MAX_VALUE_BYTES + 1).encode(&mut buffer).is_err());
        assert_eq!(put(0).encode(&mut buffer), Err(ApiError::EmptyValue));
        assert!(buffer.is_empty());
    }

    #[test]
    fn answers_read_back_and_wrong_bodies_are_named() {
        let key = Key::from_bytes([1; 32]);
        for answer in [
            Answer::Success { key, value: Bytes::from_static(b"x") },
            Answer::Failure { key },
            Answer::FailureBecause { key, why: Bytes::from_static(b"superseded") },
        ] {
            let mut buffer = BytesMut::new();
            answer.encode(&mut buffer).unwrap();
            let kind = u16::from_be_bytes([buffer[2], buffer[3]]);
            assert_eq!(Answer::decode(kind, buffer.freeze().slice(4..)), Ok(answer));
        }
        let body = |bytes: usize| Bytes::from(vec![0; bytes]);
        assert_eq!(Request::decode(DHT_PUT, body(36)), Err(ApiError::EmptyValue));
        for (kind, bytes) in [(DHT_PUT, 35), (DHT_GET, 31), (DHT_GET, 33), (DHT_GET, 0)] {
            assert_eq!(
                Request::decode(kind, body(bytes)),
                Err(ApiError::WrongSize { kind, body_bytes: bytes })
            );
        }
        for kind in [DHT_SUCCESS, DHT_FAILURE, 0, 660, u16::MAX] {
            assert_eq!(Request::decode(kind, body(33)), Err(ApiError::UnexpectedType(kind)));
        }
    }
}
