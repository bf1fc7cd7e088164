//! Every size that the wire allows, in one place. Integers on the wire are big-endian.

use crate::address::ADDRESS_BYTES;
use crate::id::ID_BYTES;

/// `size u16 | type u16`.
pub const FRAME_HEADER_BYTES: usize = 4;
/// The true length of a long frame, after its type (`voiddht/1` only).
pub const LONG_LENGTH_BYTES: usize = 4;
/// The greatest frame whose length fits its `size u16`.
pub const MAX_SHORT_FRAME_BYTES: usize = u16::MAX as usize;

/// `ttl u16 · replication u8 · flags u8 · key 32` of DHT PUT.
pub const API_PUT_FIXED_BYTES: usize = 4 + ID_BYTES;
/// The largest value of a DHT PUT, and so the largest value there is.
pub const MAX_VALUE_BYTES: usize = MAX_SHORT_FRAME_BYTES - FRAME_HEADER_BYTES - API_PUT_FIXED_BYTES;

/// `flags u8 · 0 u8 · 0 u16 · least generation u32 · least seq u64 · key 32` of DHT ASK.
pub const API_ASK_BYTES: usize = 16 + ID_BYTES;
/// `key 32 · proof u8 · agreeing u8 · ttl u16` of DHT TOLD.
pub const API_TOLD_FIXED_BYTES: usize = ID_BYTES + 4;
/// What precedes the value of a DHT PUT IF: as in a DHT PUT, and the expected digest.
pub const API_PUT_IF_FIXED_BYTES: usize = API_PUT_FIXED_BYTES + 32;
/// The largest value of a DHT PUT IF.
pub const MAX_PUT_IF_VALUE_BYTES: usize = MAX_VALUE_BYTES - 32;

/// `sender's node ID 32 · sender's listening port u16 · RPC ID 32`.
pub const RPC_HEADER_BYTES: usize = ID_BYTES + 2 + ID_BYTES;
/// A node in a list.
pub const NODE_INFO_BYTES: usize = ADDRESS_BYTES + ID_BYTES;
/// Nodes in a FIND_NODE_REPLY, at most: the k of the network.
pub const MAX_NODES: usize = 20;
/// `ttl u16 · flags u8 · 0 u8 · version u64 · key 32` before a value in `voiddht/1`.
pub const RECORD_FIXED_BYTES: usize = 2 + 1 + 1 + 8 + ID_BYTES;
/// What the largest value needs in the largest message: the end of a long frame, its header
/// and its long length included.
pub const MAX_FRAME_BYTES: usize = FRAME_HEADER_BYTES
    + LONG_LENGTH_BYTES
    + RPC_HEADER_BYTES
    + RECORD_FIXED_BYTES
    + MAX_VALUE_BYTES;
/// The largest value that fits a STORE of the legacy dialect.
pub const MAX_LEGACY_VALUE_BYTES: usize =
    MAX_SHORT_FRAME_BYTES - FRAME_HEADER_BYTES - RPC_HEADER_BYTES - 2 - ID_BYTES;
/// The pushed certificate, PEM or DER, at most.
pub const MAX_CERTIFICATE_BYTES: usize = 8 * 1024;

const _: () = assert!(MAX_VALUE_BYTES == 65_495, "PROTOCOL, section 1");
const _: () = assert!(MAX_PUT_IF_VALUE_BYTES == 65_463);
const _: () =
    assert!(FRAME_HEADER_BYTES + API_TOLD_FIXED_BYTES + MAX_VALUE_BYTES == MAX_SHORT_FRAME_BYTES);
const _: () = assert!(MAX_LEGACY_VALUE_BYTES == 65_431, "PROTOCOL, section 3");
