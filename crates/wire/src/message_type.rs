//! The types of messages between nodes: the one table from which decoding, admission of frames, names in
//! metrics and the table of docs/protocol.md follow.
//!
//! A new message is a row here and a variant of [`Body`](crate::peer::Body); the compiler then names every
//! place that must know it.

use crate::address::ADDRESS_BYTES;
use crate::dialect::Dialect;
use crate::id::ID_BYTES;
use crate::limits::{
    MAX_NODES, MAX_VALUE_BYTES, NODE_INFO_BYTES, RECORD_FIXED_BYTES, RPC_HEADER_BYTES,
};
use crate::message_error::MessageError;

/// The codes that peer messages have, those of later versions among them.
const CODES: std::ops::Range<u16> = 660..700;
/// Those of requests.
const REQUEST_CODES: std::ops::Range<u16> = 660..670;

/// The size of a body, without the RPC header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodySize {
    /// So many bytes.
    Exactly(usize),
    /// So many bytes, and a value of 1 to [`MAX_VALUE_BYTES`].
    BeforeValue(usize),
    /// At most [`MAX_NODES`] nodes.
    Nodes,
}

impl BodySize {
    /// Checks the size of a body. `Err(None)` stands for a wrong size, which the caller words.
    pub(crate) fn check(self, body_bytes: usize) -> Result<(), Option<MessageError>> {
        match self {
            Self::Exactly(bytes) if body_bytes == bytes => Ok(()),
            Self::Exactly(_) => Err(None),
            Self::BeforeValue(fixed) => {
                check_value(body_bytes.checked_sub(fixed).ok_or(None)?).map_err(Some)
            }
            Self::Nodes if !body_bytes.is_multiple_of(NODE_INFO_BYTES) => Err(None),
            Self::Nodes => check_nodes(body_bytes / NODE_INFO_BYTES).map_err(Some),
        }
    }

    /// The longest body.
    const fn most(self) -> usize {
        match self {
            Self::Exactly(bytes) => bytes,
            Self::BeforeValue(fixed) => fixed + MAX_VALUE_BYTES,
            Self::Nodes => MAX_NODES * NODE_INFO_BYTES,
        }
    }
}

pub(crate) fn check_value(bytes: usize) -> Result<(), MessageError> {
    match bytes {
        0 => Err(MessageError::EmptyValue),
        1..=MAX_VALUE_BYTES => Ok(()),
        _ => Err(MessageError::ValueTooLarge(bytes)),
    }
}

pub(crate) fn check_nodes(count: usize) -> Result<(), MessageError> {
    if count > MAX_NODES { Err(MessageError::TooManyNodes(count)) } else { Ok(()) }
}

/// Declares the table: code, name, and size of the body in each dialect.
macro_rules! message_types {
    ($(
        $(#[$doc:meta])*
        $variant:ident = $code:literal, $name:literal, legacy: $legacy:expr, v1: $v1:expr;
    )+) => {
        /// What a message asks or answers.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u16)]
        pub enum MessageType {
            $($(#[$doc])* $variant = $code,)+
        }

        impl MessageType {
            /// Every type, by code.
            pub const ALL: [Self; [$($code),+].len()] = [$(Self::$variant),+];

            /// The type with this code; `None` if this version has none.
            pub const fn of(code: u16) -> Option<Self> {
                match code {
                    $($code => Some(Self::$variant),)+
                    _ => None,
                }
            }

            /// The name, as logs and metrics give it.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }

            pub(crate) const fn body_size(self, dialect: Dialect) -> BodySize {
                match (self, dialect) {
                    $(
                        (Self::$variant, Dialect::Legacy) => $legacy,
                        (Self::$variant, Dialect::V1) => $v1,
                    )+
                }
            }
        }
    };
}

use BodySize::{BeforeValue, Exactly, Nodes};

message_types! {
    /// Are you there?
    Ping = 660, "ping", legacy: Exactly(0), v1: Exactly(0);
    /// Keep this record.
    Store = 661, "store", legacy: BeforeValue(2 + ID_BYTES), v1: BeforeValue(RECORD_FIXED_BYTES);
    /// Which nodes do you know near this point?
    FindNode = 662, "find_node", legacy: Exactly(ID_BYTES), v1: Exactly(ID_BYTES);
    /// The value of this key, or the nodes near it.
    FindValue = 663, "find_value", legacy: Exactly(ID_BYTES), v1: Exactly(ID_BYTES);
    /// I am here.
    PingReply = 670, "ping_reply", legacy: Exactly(0), v1: Exactly(ADDRESS_BYTES);
    /// The record is kept.
    StoreReply = 671, "store_reply", legacy: Exactly(ID_BYTES), v1: Exactly(ID_BYTES);
    /// The nodes nearest to the point; also where there is no value.
    FindNodeReply = 672, "find_node_reply", legacy: Nodes, v1: Nodes;
    /// The value.
    FindValueReply = 673, "find_value_reply",
        legacy: BeforeValue(ID_BYTES), v1: BeforeValue(RECORD_FIXED_BYTES);
    /// The request was not executed.
    Error = 680, "error", legacy: Exactly(2), v1: Exactly(2);
}

impl MessageType {
    /// The type on the wire.
    pub const fn code(self) -> u16 {
        self as u16
    }

    /// Whether an RPC header precedes the body: only a legacy ERROR has none.
    pub fn has_header(self, dialect: Dialect) -> bool {
        self != Self::Error || dialect == Dialect::V1
    }

    /// The longest body of such a message, the RPC header included.
    pub fn most_bytes(self, dialect: Dialect) -> usize {
        let header = if self.has_header(dialect) { RPC_HEADER_BYTES } else { 0 };
        header + self.body_size(dialect).most()
    }
}

/// Whether messages of this code ask for something; all others answer.
pub fn is_request(code: u16) -> bool {
    REQUEST_CODES.contains(&code)
}

/// Whether a code that this version does not know may be that of a peer of a later version. The
/// legacy dialect has no later version.
pub fn may_be_of_later_version(dialect: Dialect, code: u16) -> bool {
    dialect == Dialect::V1 && MessageType::of(code).is_none() && CODES.contains(&code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_lie_in_their_ranges_and_lead_back_to_their_types() {
        for (place, of_type) in MessageType::ALL.into_iter().enumerate() {
            let code = of_type.code();
            assert_eq!(MessageType::of(code), Some(of_type));
            assert!(CODES.contains(&code) && !may_be_of_later_version(Dialect::V1, code));
            assert_eq!(is_request(code), !of_type.name().ends_with("reply") && code != 680);
            assert!(place == 0 || MessageType::ALL[place - 1] < of_type);
        }
        for code in CODES.filter(|code| MessageType::of(*code).is_none()) {
            assert!(may_be_of_later_version(Dialect::V1, code));
            assert!(!may_be_of_later_version(Dialect::Legacy, code));
        }
        assert!(!may_be_of_later_version(Dialect::V1, 700));
    }

    #[test]
    fn the_protocols_page_has_a_row_for_each() {
        let page = include_str!("../../../docs/protocol.md");
        for of_type in MessageType::ALL {
            let row = format!("| {} | {} |", of_type.code(), of_type.name().to_uppercase());
            assert!(page.contains(&row), "docs/protocol.md lacks {row}");
        }
    }
}
