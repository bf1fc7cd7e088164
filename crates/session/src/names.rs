//! The names of connections.
//!
//! Two sides name connections: the pool those that it has dialled, the driver those that it
//! accepts. The names of the first are odd, those of the others even, so neither needs to know of
//! the other.

use voiddht_core::peer::ConnectionId;

/// The name of the accepted connection with this number. The driver does not reuse numbers.
pub fn accepted(number: u64) -> ConnectionId {
    ConnectionId(number.wrapping_mul(2))
}

/// Names connections that this node dials.
#[derive(Debug)]
pub(crate) struct DialNames {
    next: u64,
}

impl DialNames {
    pub(crate) fn new() -> Self {
        Self { next: 1 }
    }

    pub(crate) fn next(&mut self) -> ConnectionId {
        let name = ConnectionId(self.next);
        self.next = self.next.wrapping_add(2);
        name
    }
}
