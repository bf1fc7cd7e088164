//! The messages between nodes, in both dialects.
//!
//! A message is a [`Header`] and a [`Body`]. What differs between the dialects (the fields of a
//! record, the ERROR without a header, long frames) stays in this file: the rest of the node
//! sees one kind of message.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::address::{ADDRESS_BYTES, PeerAddress};
use crate::frame::{self, FrameError};
use crate::id::{ID_BYTES, Key, NodeId, RpcId};
use crate::limits::{
    MAX_NODES, MAX_VALUE_BYTES, NODE_INFO_BYTES, RECORD_FIXED_BYTES, RPC_HEADER_BYTES,
};

/// Type of PING.
pub const PING: u16 = 660;
/// Type of STORE.
pub const STORE: u16 = 661;
/// Type of FIND_NODE.
pub const FIND_NODE: u16 = 662;
/// Type of FIND_VALUE.
pub const FIND_VALUE: u16 = 663;
/// Type of PING_REPLY.
pub const PING_REPLY: u16 = 670;
/// Type of STORE_REPLY.
pub const STORE_REPLY: u16 = 671;
/// Type of FIND_NODE_REPLY.
pub const FIND_NODE_REPLY: u16 = 672;
/// Type of FIND_VALUE_REPLY.
pub const FIND_VALUE_REPLY: u16 = 673;
/// Type of ERROR.
pub const ERROR: u16 = 680;

/// Types of requests, those of later versions among them.
const REQUESTS: std::ops::Range<u16> = PING..PING_REPLY;
/// Every type that a peer message may have, those of later versions among them.
const PEER_TYPES: std::ops::Range<u16> = PING..700;

/// The ALPN protocol that tells our dialect from the original's, which offers none.
pub const ALPN: &[u8] = b"voiddht/1";

/// Bit 0 of a STORE's flags: a copy made by upkeep, not a publication.
pub const FLAG_MAINTENANCE: u8 = 1;

/// How a connection speaks, settled by ALPN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// The original network's: one request per connection, no versions, no long frames.
    Legacy,
    /// `voiddht/1`: both sides authenticated, many requests in flight, records with versions.
    V1,
}

impl Dialect {
    /// Whether a frame of size 0 announces a longer one.
    pub fn has_long_frames(self) -> bool {
        self == Self::V1
    }
}

/// One message: sender, exchange, and content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The RPC header.
    pub header: Header,
    /// The rest.
    pub body: Body,
}

/// The 66 bytes before every body (a legacy ERROR alone has none).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The sender's node ID: a claim until its certificate proves it.
    pub sender: NodeId,
    /// The port at which the sender listens; 0 if it does not.
    pub port: u16,
    /// Fresh and random in a request, echoed in its reply.
    pub rpc_id: RpcId,
}

/// What a message says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// Are you there?
    Ping,
    /// Keep this record.
    Store(Record),
    /// Which nodes do you know near this point?
    FindNode {
        /// The point.
        target: Key,
    },
    /// The value of this key, or the nodes near it.
    FindValue {
        /// The key.
        key: Key,
    },
    /// I am here.
    PingReply {
        /// The requester as seen from the answering node (`voiddht/1` only).
        observed: Option<PeerAddress>,
    },
    /// The record is kept.
    StoreReply {
        /// Its key.
        key: Key,
    },
    /// The nodes nearest to the point, nearest first; also where there is no value.
    FindNodeReply {
        /// At most [`MAX_NODES`].
        nodes: Vec<NodeInfo>,
    },
    /// The value.
    FindValueReply(Record),
    /// The request was not executed.
    Error(ErrorCode),
    /// A message of a type that this version does not know (`voiddht/1` only): its sender may be
    /// newer. A request is answered by [`ErrorCode::BadRequest`], anything else is ignored, and
    /// neither counts against the sender.
    Unknown {
        /// Its type; what follows the header is dropped.
        kind: u16,
    },
}

/// A node in a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeInfo {
    /// Where it listens.
    pub address: PeerAddress,
    /// Its ID.
    pub id: NodeId,
}

/// A record as STORE and FIND_VALUE_REPLY carry it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The value's key.
    pub key: Key,
    /// 1 to [`MAX_VALUE_BYTES`] bytes.
    pub value: Bytes,
    /// Seconds left to live. A legacy FIND_VALUE_REPLY does not tell, and reads as 0.
    pub ttl: u16,
    /// The publisher's clock in milliseconds since 1970; `None` in the legacy dialect.
    pub version: Option<u64>,
    /// Whether this is a copy made by upkeep ([`FLAG_MAINTENANCE`]).
    pub maintenance: bool,
}

/// Why a request was not executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u16)]
pub enum ErrorCode {
    /// The request breaks a rule.
    BadRequest = 10,
    /// What was asked for is not here.
    NotFound = 11,
    /// The request is well formed, but this node will not carry it out.
    NotAcceptable = 12,
    /// Busy, or over a limit: another node, or later.
    Busy = 13,
    /// The version of a STORE is too far ahead of this node's clock. A node that does not know the code
    /// reads it as [`Self::Internal`]. The legacy dialect says [`Self::NotAcceptable`] instead.
    FutureVersion = 14,
    /// The node's own fault.
    Internal = 20,
}

impl ErrorCode {
    /// The code for a number; unknown numbers are the answering node's own trouble.
    pub fn from_u16(code: u16) -> Self {
        match code {
            10 => Self::BadRequest,
            11 => Self::NotFound,
            12 => Self::NotAcceptable,
            13 => Self::Busy,
            14 => Self::FutureVersion,
            _ => Self::Internal,
        }
    }
}

/// A rule of the message layer that a peer broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum MessageError {
    /// The frame itself is wrong.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// A type that no peer message has.
    #[error("unknown message type {0}")]
    UnknownType(u16),
    /// The body does not fit the type.
    #[error("a message of type {kind} cannot have a body of {body_bytes} bytes")]
    WrongSize {
        /// Type of the message.
        kind: u16,
        /// Length of what came with it.
        body_bytes: usize,
    },
    /// More nodes in a list than k.
    #[error("a list of {0} nodes is longer than {MAX_NODES}")]
    TooManyNodes(usize),
    /// A record without a value.
    #[error("a record without a value")]
    EmptyValue,
    /// A record whose value is larger than any can be.
    #[error("a value of {0} bytes is larger than {MAX_VALUE_BYTES}")]
    ValueTooLarge(usize),
    /// The message does not fit a frame of the dialect.
    #[error("a body of {0} bytes does not fit a frame of the legacy dialect")]
    DoesNotFit(usize),
}

/// What a frame held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decoded {
    /// A whole message.
    Message(Message),
    /// A legacy ERROR, which names neither its sender nor its request.
    BareError(ErrorCode),
}

impl Body {
    /// The message type on the wire.
    pub fn kind(&self) -> u16 {
        match self {
            Self::Ping => PING,
            Self::Store(_) => STORE,
            Self::FindNode { .. } => FIND_NODE,
            Self::FindValue { .. } => FIND_VALUE,
            Self::PingReply { .. } => PING_REPLY,
            Self::StoreReply { .. } => STORE_REPLY,
            Self::FindNodeReply { .. } => FIND_NODE_REPLY,
            Self::FindValueReply(_) => FIND_VALUE_REPLY,
            Self::Error(_) => ERROR,
            Self::Unknown { kind } => *kind,
        }
    }

    /// The message's name, as logs and metrics give it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Ping => "ping",
            Self::Store(_) => "store",
            Self::FindNode { .. } => "find_node",
            Self::FindValue { .. } => "find_value",
            Self::PingReply { .. } => "ping_reply",
            Self::StoreReply { .. } => "store_reply",
            Self::FindNodeReply { .. } => "find_node_reply",
            Self::FindValueReply(_) => "find_value_reply",
            Self::Error(_) => "error",
            Self::Unknown { .. } => "unknown",
        }
    }

    /// Whether the message asks for something; all others answer.
    pub fn is_request(&self) -> bool {
        REQUESTS.contains(&self.kind())
    }

    fn encoded_bytes(&self, dialect: Dialect) -> usize {
        let legacy = dialect == Dialect::Legacy;
        match self {
            Self::Ping | Self::Unknown { .. } => 0,
            Self::PingReply { .. } if legacy => 0,
            Self::PingReply { .. } => ADDRESS_BYTES,
            Self::Store(record) if legacy => 2 + ID_BYTES + record.value.len(),
            Self::FindValueReply(record) if legacy => ID_BYTES + record.value.len(),
            Self::Store(record) | Self::FindValueReply(record) => {
                RECORD_FIXED_BYTES + record.value.len()
            }
            Self::FindNode { .. } | Self::FindValue { .. } | Self::StoreReply { .. } => ID_BYTES,
            Self::FindNodeReply { nodes } => nodes.len() * NODE_INFO_BYTES,
            Self::Error(_) => 2,
        }
    }
}

impl Message {
    /// Appends the whole frame to `buffer`.
    ///
    /// # Errors
    /// [`MessageError::DoesNotFit`], and the buffer is as it was, where the dialect has no frame
    /// as long; [`MessageError::EmptyValue`], [`MessageError::TooManyNodes`] for what no peer
    /// would accept.
    pub fn encode(&self, dialect: Dialect, buffer: &mut BytesMut) -> Result<(), MessageError> {
        match &self.body {
            Body::Store(record) | Body::FindValueReply(record) => check_value(record.value.len())?,
            Body::FindNodeReply { nodes } if nodes.len() > MAX_NODES => {
                return Err(MessageError::TooManyNodes(nodes.len()));
            }
            _ => {}
        }
        let bare = dialect == Dialect::Legacy && matches!(self.body, Body::Error(_));
        let header_bytes = if bare { 0 } else { RPC_HEADER_BYTES };
        let body_bytes = header_bytes + self.body.encoded_bytes(dialect);
        if !frame::put_start(buffer, self.body.kind(), body_bytes, dialect.has_long_frames()) {
            return Err(MessageError::DoesNotFit(body_bytes));
        }
        if !bare {
            buffer.put_slice(&self.header.sender.to_bytes());
            buffer.put_u16(self.header.port);
            buffer.put_slice(&self.header.rpc_id.to_bytes());
        }
        self.body.put(dialect, buffer);
        Ok(())
    }

    /// Reads the body of a frame.
    ///
    /// # Errors
    /// [`MessageError`] names the rule that the peer broke.
    pub fn decode(dialect: Dialect, kind: u16, mut body: Bytes) -> Result<Decoded, MessageError> {
        let wrong_size = MessageError::WrongSize { kind, body_bytes: body.len() };
        if !is_known(kind) && !may_be_of_later_version(dialect, kind) {
            return Err(MessageError::UnknownType(kind));
        }
        if dialect == Dialect::Legacy && kind == ERROR {
            if body.len() != 2 {
                return Err(wrong_size);
            }
            return Ok(Decoded::BareError(ErrorCode::from_u16(body.get_u16())));
        }
        if body.len() < RPC_HEADER_BYTES {
            return Err(wrong_size);
        }
        let header = Header {
            sender: NodeId::from_bytes(take(&mut body)),
            port: body.get_u16(),
            rpc_id: RpcId::from_bytes(take(&mut body)),
        };
        let body = Body::take(dialect, kind, body).map_err(|error| error.unwrap_or(wrong_size))?;
        Ok(Decoded::Message(Self { header, body }))
    }
}

impl Body {
    fn put(&self, dialect: Dialect, buffer: &mut BytesMut) {
        match self {
            Self::Ping | Self::Unknown { .. } => {}
            Self::Store(record) => {
                if dialect == Dialect::Legacy {
                    buffer.put_u16(record.ttl);
                    buffer.put_slice(&record.key.to_bytes());
                    buffer.put_slice(&record.value);
                } else {
                    record.put(buffer);
                }
            }
            Self::FindValueReply(record) => {
                if dialect == Dialect::Legacy {
                    buffer.put_slice(&record.key.to_bytes());
                    buffer.put_slice(&record.value);
                } else {
                    record.put(buffer);
                }
            }
            Self::FindNode { target: key } | Self::FindValue { key } | Self::StoreReply { key } => {
                buffer.put_slice(&key.to_bytes());
            }
            Self::PingReply { observed } => {
                if dialect == Dialect::V1 {
                    buffer.put_slice(&observed.map_or([0; ADDRESS_BYTES], PeerAddress::to_bytes));
                }
            }
            Self::FindNodeReply { nodes } => {
                for node in nodes {
                    buffer.put_slice(&node.address.to_bytes());
                    buffer.put_slice(&node.id.to_bytes());
                }
            }
            Self::Error(ErrorCode::FutureVersion) if dialect == Dialect::Legacy => {
                buffer.put_u16(ErrorCode::NotAcceptable as u16);
            }
            Self::Error(code) => buffer.put_u16(*code as u16),
        }
    }

    /// `Err(None)` stands for a wrong size, which the caller words.
    fn take(dialect: Dialect, kind: u16, mut body: Bytes) -> Result<Self, Option<MessageError>> {
        let legacy = dialect == Dialect::Legacy;
        let exactly = |bytes: usize| if body.len() == bytes { Ok(()) } else { Err(None) };
        Ok(match kind {
            PING => {
                exactly(0)?;
                Self::Ping
            }
            STORE if legacy => {
                if body.len() < 2 + ID_BYTES {
                    return Err(None);
                }
                let ttl = body.get_u16();
                Self::Store(Record::take_legacy(ttl, body)?)
            }
            STORE => Self::Store(Record::take(body)?),
            FIND_NODE => {
                exactly(ID_BYTES)?;
                Self::FindNode { target: Key::from_bytes(take(&mut body)) }
            }
            FIND_VALUE => {
                exactly(ID_BYTES)?;
                Self::FindValue { key: Key::from_bytes(take(&mut body)) }
            }
            PING_REPLY if legacy => {
                exactly(0)?;
                Self::PingReply { observed: None }
            }
            PING_REPLY => {
                exactly(ADDRESS_BYTES)?;
                let observed = PeerAddress::from_bytes(&take(&mut body));
                Self::PingReply { observed: Some(observed) }
            }
            STORE_REPLY => {
                exactly(ID_BYTES)?;
                Self::StoreReply { key: Key::from_bytes(take(&mut body)) }
            }
            FIND_NODE_REPLY => Self::FindNodeReply { nodes: take_nodes(body)? },
            FIND_VALUE_REPLY if legacy => Self::FindValueReply(Record::take_legacy(0, body)?),
            FIND_VALUE_REPLY => Self::FindValueReply(Record::take(body)?),
            ERROR => {
                exactly(2)?;
                Self::Error(ErrorCode::from_u16(body.get_u16()))
            }
            kind => Self::Unknown { kind },
        })
    }
}

impl Record {
    fn put(&self, buffer: &mut BytesMut) {
        buffer.put_u16(self.ttl);
        buffer.put_u8(if self.maintenance { FLAG_MAINTENANCE } else { 0 });
        buffer.put_u8(0);
        buffer.put_u64(self.version.unwrap_or(0));
        buffer.put_slice(&self.key.to_bytes());
        buffer.put_slice(&self.value);
    }

    fn take(mut body: Bytes) -> Result<Self, Option<MessageError>> {
        if body.len() < RECORD_FIXED_BYTES {
            return Err(None);
        }
        let ttl = body.get_u16();
        let flags = body.get_u8();
        let _reserved = body.get_u8();
        let version = body.get_u64();
        let key = Key::from_bytes(take(&mut body));
        check_value(body.len())?;
        let maintenance = flags & FLAG_MAINTENANCE != 0;
        Ok(Self { key, value: body, ttl, version: Some(version), maintenance })
    }

    fn take_legacy(ttl: u16, mut body: Bytes) -> Result<Self, Option<MessageError>> {
        if body.len() < ID_BYTES {
            return Err(None);
        }
        let key = Key::from_bytes(take(&mut body));
        check_value(body.len())?;
        Ok(Self { key, value: body, ttl, version: None, maintenance: false })
    }
}

fn is_known(kind: u16) -> bool {
    matches!(kind, PING..=FIND_VALUE | PING_REPLY..=FIND_VALUE_REPLY | ERROR)
}

/// Whether a type that this version does not know may be that of a peer of a later version. The
/// legacy dialect has no later version.
pub fn may_be_of_later_version(dialect: Dialect, kind: u16) -> bool {
    dialect == Dialect::V1 && !is_known(kind) && PEER_TYPES.contains(&kind)
}

fn check_value(bytes: usize) -> Result<(), MessageError> {
    match bytes {
        0 => Err(MessageError::EmptyValue),
        1..=MAX_VALUE_BYTES => Ok(()),
        _ => Err(MessageError::ValueTooLarge(bytes)),
    }
}

fn take_nodes(mut body: Bytes) -> Result<Vec<NodeInfo>, Option<MessageError>> {
    if !body.len().is_multiple_of(NODE_INFO_BYTES) {
        return Err(None);
    }
    let count = body.len() / NODE_INFO_BYTES;
    if count > MAX_NODES {
        return Err(Some(MessageError::TooManyNodes(count)));
    }
    let mut node = || NodeInfo {
        address: PeerAddress::from_bytes(&take(&mut body)),
        id: NodeId::from_bytes(take(&mut body)),
    };
    Ok((0..count).map(|_| node()).collect())
}

/// The next `N` bytes. The caller has checked that they are there.
fn take<const N: usize>(body: &mut Bytes) -> [u8; N] {
    let mut bytes = [0; N];
    body.copy_to_slice(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests;
