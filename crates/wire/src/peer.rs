//! The messages between nodes, in both dialects.
//!
//! A message is a [`Header`] and a [`Body`]. What differs between the dialects (the fields of a
//! record, the ERROR without a header, long frames) stays in this crate: the rest of the node
//! sees one kind of message. Codes, names and sizes are in the table of [`crate::message_type`].

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::address::{ADDRESS_BYTES, PeerAddress};
pub use crate::dialect::{ALPN, Dialect};
use crate::frame;
use crate::id::{Key, NodeId, RpcId};
use crate::limits::{
    FRAME_HEADER_BYTES, LONG_LENGTH_BYTES, MAX_SHORT_FRAME_BYTES, NODE_INFO_BYTES, RPC_HEADER_BYTES,
};
pub use crate::message_error::MessageError;
use crate::message_type::{
    self, BodySize, MessageType, check_nodes, check_value, may_be_of_later_version,
};

/// Bit 0 of a STORE's flags: a copy made by upkeep, not a publication.
pub const FLAG_MAINTENANCE: u8 = 1;

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
        /// At most [`MAX_NODES`](crate::limits::MAX_NODES).
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
    /// 1 to [`MAX_VALUE_BYTES`](crate::limits::MAX_VALUE_BYTES) bytes.
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

/// What a frame held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decoded {
    /// A whole message.
    Message(Message),
    /// A legacy ERROR, which names neither its sender nor its request.
    BareError(ErrorCode),
}

impl Body {
    /// Its row in the table of types; `None` for one of a later version.
    pub fn message_type(&self) -> Option<MessageType> {
        Some(match self {
            Self::Ping => MessageType::Ping,
            Self::Store(_) => MessageType::Store,
            Self::FindNode { .. } => MessageType::FindNode,
            Self::FindValue { .. } => MessageType::FindValue,
            Self::PingReply { .. } => MessageType::PingReply,
            Self::StoreReply { .. } => MessageType::StoreReply,
            Self::FindNodeReply { .. } => MessageType::FindNodeReply,
            Self::FindValueReply(_) => MessageType::FindValueReply,
            Self::Error(_) => MessageType::Error,
            Self::Unknown { .. } => return None,
        })
    }

    /// The message type on the wire.
    pub fn kind(&self) -> u16 {
        match self {
            Self::Unknown { kind } => *kind,
            known => known.message_type().map_or(0, MessageType::code),
        }
    }

    /// The message's name, as logs and metrics give it.
    pub fn name(&self) -> &'static str {
        self.message_type().map_or("unknown", MessageType::name)
    }

    /// Whether the message asks for something; all others answer.
    pub fn is_request(&self) -> bool {
        message_type::is_request(self.kind())
    }

    fn encoded_bytes(&self, dialect: Dialect) -> usize {
        let value_bytes = match self {
            Self::Store(record) | Self::FindValueReply(record) => record.value.len(),
            _ => 0,
        };
        match self.message_type().map(|of_type| of_type.body_size(dialect)) {
            Some(BodySize::Exactly(bytes)) => bytes,
            Some(BodySize::BeforeValue(fixed)) => fixed + value_bytes,
            Some(BodySize::Nodes) => self.nodes().len() * NODE_INFO_BYTES,
            None => 0,
        }
    }

    fn nodes(&self) -> &[NodeInfo] {
        if let Self::FindNodeReply { nodes } = self { nodes } else { &[] }
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
            Body::FindNodeReply { nodes } => check_nodes(nodes.len())?,
            _ => {}
        }
        let header_bytes = self.header_bytes(dialect);
        let body_bytes = header_bytes + self.body.encoded_bytes(dialect);
        if !frame::put_start(buffer, self.body.kind(), body_bytes, dialect.has_long_frames()) {
            return Err(MessageError::DoesNotFit(body_bytes));
        }
        if header_bytes > 0 {
            buffer.put_slice(&self.header.sender.to_bytes());
            buffer.put_u16(self.header.port);
            buffer.put_slice(&self.header.rpc_id.to_bytes());
        }
        self.body.put(dialect, buffer);
        Ok(())
    }

    fn header_bytes(&self, dialect: Dialect) -> usize {
        let bare = self.body.message_type().is_some_and(|of_type| !of_type.has_header(dialect));
        if bare { 0 } else { RPC_HEADER_BYTES }
    }

    /// The length in bytes of the frame that [`Self::encode`] writes, from the table of message types.
    pub fn frame_bytes(&self, dialect: Dialect) -> usize {
        let body_bytes = self.header_bytes(dialect) + self.body.encoded_bytes(dialect);
        let short = FRAME_HEADER_BYTES + body_bytes;
        if short > MAX_SHORT_FRAME_BYTES { short + LONG_LENGTH_BYTES } else { short }
    }

    /// Reads the body of a frame.
    ///
    /// # Errors
    /// [`MessageError`] names the rule that the peer broke.
    pub fn decode(dialect: Dialect, kind: u16, mut body: Bytes) -> Result<Decoded, MessageError> {
        let wrong_size = MessageError::WrongSize { kind, body_bytes: body.len() };
        let of_type = MessageType::of(kind);
        if of_type.is_none() && !may_be_of_later_version(dialect, kind) {
            return Err(MessageError::UnknownType(kind));
        }
        let check = |of_type: MessageType, body_bytes: usize| {
            let checked = of_type.body_size(dialect).check(body_bytes);
            checked.map_err(|error| error.unwrap_or(wrong_size))
        };
        if let Some(bare) = of_type.filter(|of_type| !of_type.has_header(dialect)) {
            check(bare, body.len())?;
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
        let body = match of_type {
            Some(of_type) => {
                check(of_type, body.len())?;
                Body::take(dialect, of_type, body)
            }
            None => Body::Unknown { kind },
        };
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

    /// Reads a body whose size was checked.
    fn take(dialect: Dialect, of_type: MessageType, mut body: Bytes) -> Self {
        let legacy = dialect == Dialect::Legacy;
        match of_type {
            MessageType::Ping => Self::Ping,
            MessageType::Store if legacy => {
                let ttl = body.get_u16();
                Self::Store(Record::take_legacy(ttl, body))
            }
            MessageType::Store => Self::Store(Record::take(body)),
            MessageType::FindNode => Self::FindNode { target: Key::from_bytes(take(&mut body)) },
            MessageType::FindValue => Self::FindValue { key: Key::from_bytes(take(&mut body)) },
            MessageType::PingReply if legacy => Self::PingReply { observed: None },
            MessageType::PingReply => {
                Self::PingReply { observed: Some(PeerAddress::from_bytes(&take(&mut body))) }
            }
            MessageType::StoreReply => Self::StoreReply { key: Key::from_bytes(take(&mut body)) },
            MessageType::FindNodeReply => Self::FindNodeReply { nodes: take_nodes(body) },
            MessageType::FindValueReply if legacy => {
                Self::FindValueReply(Record::take_legacy(0, body))
            }
            MessageType::FindValueReply => Self::FindValueReply(Record::take(body)),
            MessageType::Error => Self::Error(ErrorCode::from_u16(body.get_u16())),
        }
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

    fn take(mut body: Bytes) -> Self {
        let ttl = body.get_u16();
        let flags = body.get_u8();
        let _reserved = body.get_u8();
        let version = body.get_u64();
        let key = Key::from_bytes(take(&mut body));
        let maintenance = flags & FLAG_MAINTENANCE != 0;
        Self { key, value: body, ttl, version: Some(version), maintenance }
    }

    fn take_legacy(ttl: u16, mut body: Bytes) -> Self {
        let key = Key::from_bytes(take(&mut body));
        Self { key, value: body, ttl, version: None, maintenance: false }
    }
}

fn take_nodes(mut body: Bytes) -> Vec<NodeInfo> {
    let count = body.len() / NODE_INFO_BYTES;
    let mut node = || NodeInfo {
        address: PeerAddress::from_bytes(&take(&mut body)),
        id: NodeId::from_bytes(take(&mut body)),
    };
    (0..count).map(|_| node()).collect()
}

/// The next `N` bytes. The caller has checked that they are there.
fn take<const N: usize>(body: &mut Bytes) -> [u8; N] {
    let mut bytes = [0; N];
    body.copy_to_slice(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests;
