//! What happens in a world at a moment.

use voiddht_core::event::{Ticket, Undelivered, Write};
use voiddht_core::peer::ConnectionId;
use voiddht_session::{Ending, ProbeEnd};
use voiddht_wire::NodeId;
use voiddht_wire::peer::{Message, NodeInfo};

use crate::adversary::interceptor::Deed;
use crate::host::HostId;
use crate::pipe::{PipeId, Side};

/// Something that happens at a moment.
///
/// What concerns a pipe finds none if that has ended; what concerns a session names its run, and is
/// dropped if the host was restarted.
#[derive(Debug)]
pub(super) enum Event {
    /// A session wanted to be woken.
    Wake { host: HostId },
    /// A message reaches the other end of its connection.
    Arrival { pipe: PipeId, to: Side, message: Message },
    /// A handshake has come to its end.
    Dialled { pipe: PipeId, wanted: Option<NodeId> },
    /// A dial ends at an address where no host is.
    DialFailed { at: HostId, run: u32, connection: ConnectionId, why: Undelivered },
    /// The dialler's first bytes reach the other side: it knows the dialler.
    Accepted { pipe: PipeId },
    /// A connection ends, as one side sees it.
    Closed { pipe: PipeId, at: Side, clean: bool },
    /// A connection breaks on which nothing comes any more, unless it was healed meanwhile.
    Broken { pipe: PipeId, at: Side },
    /// A session hears of the end of what it has closed.
    Ended { at: HostId, run: u32, connection: ConnectionId, ending: Ending },
    /// A probe's end.
    Probed { at: HostId, run: u32, contact: NodeInfo, found: ProbeEnd },
    /// A disk has done, or not done, its work.
    Persisted { at: HostId, run: u32, ticket: Ticket, writes: Vec<Write>, durable: bool },
    /// An adversary's own time has come.
    Mischief { at: HostId, run: u32 },
    /// An adversary does something after a while.
    Said { at: HostId, run: u32, deed: Box<Deed> },
}
