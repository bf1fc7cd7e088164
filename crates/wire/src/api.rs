//! The VoidPhone module API: DHT PUT, DHT GET and their answers; and what voiddht adds for programs
//! that use it first: DHT ASK, DHT PUT IF and their answers.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::frame;
use crate::id::{ID_BYTES, Key};
use crate::limits::{
    API_ASK_BYTES, API_PUT_FIXED_BYTES, API_PUT_IF_FIXED_BYTES, API_TOLD_FIXED_BYTES,
    MAX_PUT_IF_VALUE_BYTES, MAX_VALUE_BYTES,
};
use crate::publication::{ConditionalPut, Publication};

/// Type of DHT PUT.
pub const DHT_PUT: u16 = 650;
/// Type of DHT GET.
pub const DHT_GET: u16 = 651;
/// Type of DHT SUCCESS.
pub const DHT_SUCCESS: u16 = 652;
/// Type of DHT FAILURE.
pub const DHT_FAILURE: u16 = 653;
/// Type of DHT ASK: a GET that says how the value must be verified.
pub const DHT_ASK: u16 = 654;
/// Type of DHT TOLD, the answer to it.
pub const DHT_TOLD: u16 = 655;
/// Type of DHT PUT IF: publishes a signed value if the newest is the one that the program has read.
pub const DHT_PUT_IF: u16 = 656;
/// Type of DHT CONFLICT: the newest is another.
pub const DHT_CONFLICT: u16 = 657;

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
/// Bit 0 of an ASK's flags: values that only a vote supports do not count.
pub const ASK_PROVED_ONLY: u8 = 1;
/// Bit 1 of an ASK's flags: [`Freshness::First`].
pub const ASK_FIRST: u8 = 2;
/// Bit 2 of an ASK's flags: [`Freshness::Thorough`].
pub const ASK_THOROUGH: u8 = 4;

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
    /// Find a value, verified as the program says.
    Ask(Ask),
    /// Publish a signed value, unless another has been published meanwhile.
    PutIf(ConditionalPut),
}

/// The body of a DHT PUT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Put {
    /// What is published.
    pub publication: Publication,
    /// Which answer is wanted.
    pub acknowledge: Acknowledge,
}

/// How much certainty that no newer signed value exists a reader pays for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Freshness {
    /// A quorum of the closest nodes, on as many paths, has the same signed value and none another;
    /// otherwise all of the closest nodes are asked.
    #[default]
    Latest,
    /// The first valid signed value that any node returns. A single malicious node can return an
    /// older one.
    First,
    /// All of the closest nodes are asked.
    Thorough,
}

/// The body of a DHT ASK.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ask {
    /// Whether values that only a vote supports do not count.
    pub proved_only: bool,
    /// How many nodes must agree that there is no newer one.
    pub freshness: Freshness,
    /// Signed values of a lower generation do not count.
    pub least_generation: u32,
    /// Nor, within that generation, those with a lower sequence number.
    pub least_seq: u64,
    /// The value's key.
    pub key: Key,
}

/// How a value was verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Proof {
    /// Replicas agree on it.
    Vote,
    /// Its key is its SHA-256.
    Hash,
    /// It is an envelope of its key, and its signatures hold.
    Signature,
}

impl Proof {
    /// The byte that stands for it.
    pub const fn code(self) -> u8 {
        match self {
            Self::Vote => 0,
            Self::Hash => 1,
            Self::Signature => 2,
        }
    }

    /// What a byte stands for.
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Vote),
            1 => Some(Self::Hash),
            2 => Some(Self::Signature),
            _ => None,
        }
    }

    /// The word for it in tables and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Vote => "vote",
            Self::Hash => "hash",
            Self::Signature => "signature",
        }
    }
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
    /// The end of an ASK.
    Told(Told),
    /// A PUT IF has lost against this value, which the node has fetched and verified.
    Conflict {
        /// The key of the request.
        key: Key,
        /// The newest envelope.
        value: Bytes,
    },
}

/// The body of a DHT TOLD.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The key of the request.
    pub key: Key,
    /// How the value was verified.
    pub proof: Proof,
    /// How many nodes returned it.
    pub agreeing: u8,
    /// Seconds that it has left.
    pub ttl: u16,
    /// `None`: nothing was found.
    pub value: Option<Bytes>,
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
    #[error("a PUT needs a value of at least one byte")]
    EmptyValue,
    /// A flag, a byte or a combination of them that has no meaning.
    #[error("a message of type {kind} has a reserved or contradictory field")]
    Reserved {
        /// Type of the message.
        kind: u16,
    },
    /// A type that only the other side may send, or that is not of the DHT module.
    #[error("type {0} is not a message that may be sent here")]
    UnexpectedType(u16),
}

impl Request {
    /// Judges the length of a body that a client announces, before anything is read.
    ///
    /// # Errors
    /// [`ApiError`] says which rule the client broke.
    pub fn check_size(kind: u16, body_bytes: usize) -> Result<(), ApiError> {
        let (fixed, most) = match kind {
            DHT_GET if body_bytes == ID_BYTES => return Ok(()),
            DHT_ASK if body_bytes == API_ASK_BYTES => return Ok(()),
            DHT_PUT => (API_PUT_FIXED_BYTES, MAX_VALUE_BYTES),
            DHT_PUT_IF => (API_PUT_IF_FIXED_BYTES, MAX_PUT_IF_VALUE_BYTES),
            DHT_GET | DHT_ASK => return Err(ApiError::WrongSize { kind, body_bytes }),
            other => return Err(ApiError::UnexpectedType(other)),
        };
        match body_bytes.checked_sub(fixed) {
            Some(0) => Err(ApiError::EmptyValue),
            Some(value) if value <= most => Ok(()),
            _ => Err(ApiError::WrongSize { kind, body_bytes }),
        }
    }

    /// The key that it is about.
    pub fn key(&self) -> Key {
        match self {
            Self::Get { key } => *key,
            Self::Put(put) => put.publication.key,
            Self::Ask(ask) => ask.key,
            Self::PutIf(put) => put.publication.key,
        }
    }

    /// Reads the body of a frame that a client sent.
    ///
    /// # Errors
    /// [`ApiError`] says which rule the client broke.
    pub fn decode(kind: u16, mut body: Bytes) -> Result<Self, ApiError> {
        Self::check_size(kind, body.len())?;
        match kind {
            DHT_PUT => Ok(Self::Put(Put::decode(body))),
            DHT_PUT_IF => Ok(Self::PutIf(ConditionalPut::decode(body))),
            DHT_ASK => Ask::decode(body).map(Self::Ask),
            _ => Ok(Self::Get { key: take_key(&mut body) }),
        }
    }

    /// Appends the whole frame to `buffer`.
    ///
    /// # Errors
    /// [`ApiError::EmptyValue`] and [`ApiError::WrongSize`] where the value does not fit.
    pub fn encode(&self, buffer: &mut BytesMut) -> Result<(), ApiError> {
        match self {
            Self::Put(put) => put.encode(buffer),
            Self::PutIf(put) => put.encode(buffer),
            Self::Ask(ask) => ask.encode(buffer),
            Self::Get { key } => {
                put_start(buffer, DHT_GET, ID_BYTES)?;
                buffer.put_slice(&key.to_bytes());
                Ok(())
            }
        }
    }
}

impl Put {
    /// Reads a body whose size was checked.
    fn decode(mut body: Bytes) -> Self {
        let (ttl, replication) = (body.get_u16(), body.get_u8());
        let acknowledge = Acknowledge::of_flags(body.get_u8());
        let publication = Publication::new(take_key(&mut body), body);
        Self { publication: publication.with_api_terms(ttl, replication), acknowledge }
    }

    fn encode(&self, buffer: &mut BytesMut) -> Result<(), ApiError> {
        put_publication(buffer, DHT_PUT, &self.publication, self.acknowledge.flags(), &[])
    }
}

impl ConditionalPut {
    /// Reads a body whose size was checked.
    fn decode(mut body: Bytes) -> Self {
        let (ttl, replication, _flags) = (body.get_u16(), body.get_u8(), body.get_u8());
        let key = take_key(&mut body);
        let expected = take_id(&mut body);
        let publication = Publication::new(key, body).with_api_terms(ttl, replication);
        Self { publication, expected }
    }

    fn encode(&self, buffer: &mut BytesMut) -> Result<(), ApiError> {
        // No flags: it is always answered.
        put_publication(buffer, DHT_PUT_IF, &self.publication, 0, &self.expected)
    }
}

impl Ask {
    fn decode(mut body: Bytes) -> Result<Self, ApiError> {
        let flags = body.get_u8();
        let reserved = (body.get_u8(), body.get_u16());
        let freshness = match flags & !ASK_PROVED_ONLY {
            0 => Freshness::Latest,
            ASK_FIRST => Freshness::First,
            ASK_THOROUGH => Freshness::Thorough,
            _ => return Err(ApiError::Reserved { kind: DHT_ASK }),
        };
        if reserved != (0, 0) {
            return Err(ApiError::Reserved { kind: DHT_ASK });
        }
        Ok(Self {
            proved_only: flags & ASK_PROVED_ONLY != 0,
            freshness,
            least_generation: body.get_u32(),
            least_seq: body.get_u64(),
            key: take_key(&mut body),
        })
    }

    fn encode(&self, buffer: &mut BytesMut) -> Result<(), ApiError> {
        let freshness = match self.freshness {
            Freshness::Latest => 0,
            Freshness::First => ASK_FIRST,
            Freshness::Thorough => ASK_THOROUGH,
        };
        put_start(buffer, DHT_ASK, API_ASK_BYTES)?;
        buffer.put_u8(freshness | if self.proved_only { ASK_PROVED_ONLY } else { 0 });
        buffer.put_bytes(0, 3);
        buffer.put_u32(self.least_generation);
        buffer.put_u64(self.least_seq);
        buffer.put_slice(&self.key.to_bytes());
        Ok(())
    }
}

impl Answer {
    /// The key of the request that this answers.
    pub fn key(&self) -> Key {
        match self {
            Self::Success { key, .. }
            | Self::Failure { key }
            | Self::FailureBecause { key, .. }
            | Self::Conflict { key, .. } => *key,
            Self::Told(told) => told.key,
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
            DHT_CONFLICT if body.len() > ID_BYTES => {
                Ok(Self::Conflict { key: take_key(&mut body), value: body })
            }
            DHT_FAILURE if body.len() == ID_BYTES => Ok(Self::Failure { key: take_key(&mut body) }),
            DHT_FAILURE if body.len() > ID_BYTES => {
                Ok(Self::FailureBecause { key: take_key(&mut body), why: body })
            }
            DHT_TOLD if body.len() >= API_TOLD_FIXED_BYTES => Told::decode(body).map(Self::Told),
            DHT_SUCCESS | DHT_FAILURE | DHT_TOLD | DHT_CONFLICT => Err(wrong_size),
            other => Err(ApiError::UnexpectedType(other)),
        }
    }

    /// Appends the whole frame to `buffer`.
    ///
    /// # Errors
    /// [`ApiError::WrongSize`] where the value is longer than any value can be.
    pub fn encode(&self, buffer: &mut BytesMut) -> Result<(), ApiError> {
        match self {
            Self::Success { key, value } => put_keyed(buffer, DHT_SUCCESS, key, value),
            Self::Failure { key } => put_keyed(buffer, DHT_FAILURE, key, &[]),
            Self::FailureBecause { key, why } => put_keyed(buffer, DHT_FAILURE, key, why),
            Self::Conflict { key, value } => put_keyed(buffer, DHT_CONFLICT, key, value),
            Self::Told(told) => told.encode(buffer),
        }
    }
}

impl Told {
    fn decode(mut body: Bytes) -> Result<Self, ApiError> {
        let key = take_key(&mut body);
        let proof = Proof::from_code(body.get_u8()).ok_or(ApiError::Reserved { kind: DHT_TOLD })?;
        let (agreeing, ttl) = (body.get_u8(), body.get_u16());
        let value = (!body.is_empty()).then_some(body);
        Ok(Self { key, proof, agreeing, ttl, value })
    }

    fn encode(&self, buffer: &mut BytesMut) -> Result<(), ApiError> {
        let value = self.value.as_deref().unwrap_or_default();
        put_start(buffer, DHT_TOLD, API_TOLD_FIXED_BYTES + value.len())?;
        buffer.put_slice(&self.key.to_bytes());
        buffer.put_u8(self.proof.code());
        buffer.put_u8(self.agreeing);
        buffer.put_u16(self.ttl);
        buffer.put_slice(value);
        Ok(())
    }
}

/// Appends a request that publishes: the terms, the flags and the key, what is the request's own
/// (`condition`), and the value.
fn put_publication(
    buffer: &mut BytesMut,
    kind: u16,
    publication: &Publication,
    flags: u8,
    condition: &[u8],
) -> Result<(), ApiError> {
    let value = &publication.value;
    let body_bytes = API_PUT_FIXED_BYTES + condition.len() + value.len();
    Request::check_size(kind, body_bytes)?;
    put_start(buffer, kind, body_bytes)?;
    let (ttl, replication) = publication.api_terms();
    buffer.put_u16(ttl);
    buffer.put_u8(replication);
    buffer.put_u8(flags);
    buffer.put_slice(&publication.key.to_bytes());
    buffer.put_slice(condition);
    buffer.put_slice(value);
    Ok(())
}

fn put_keyed(buffer: &mut BytesMut, kind: u16, key: &Key, value: &[u8]) -> Result<(), ApiError> {
    put_start(buffer, kind, ID_BYTES + value.len())?;
    buffer.put_slice(&key.to_bytes());
    buffer.put_slice(value);
    Ok(())
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
    Key::from_bytes(take_id(body))
}

fn take_id(body: &mut Bytes) -> [u8; ID_BYTES] {
    let mut bytes = [0; ID_BYTES];
    body.copy_to_slice(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests;
