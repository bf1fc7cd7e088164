//! What the connection layer allows: every limit, with its default and the reason for it.

use std::time::Duration;

/// Connections with peers: one with each contact, as far as they fit, because a connection is the
/// best sign that a contact is alive, and saves the handshake. The table of a node among 2 000 others
/// has about 500 contacts, and as many other nodes connect to it. 1 024 cost some 10 MiB. The programs
/// raise the soft limit of open files at start; without that a pool keeps to its share of the limit.
pub const CONNECTIONS: usize = 1024;
/// Connections from one public address, or one /64 of IPv6. A guess: the nodes of one household
/// or one small host.
pub const CONNECTIONS_PER_ADDRESS: usize = 16;
/// Accepted connections whose handshake is not over. Each may take
/// [`crate::handshake::ACCEPT_DEADLINE`] and some 30 KiB.
pub const HANDSHAKES: usize = 256;
/// Requests to or from one peer that are unanswered. 64 concurrent operations ask each of the k
/// closest for a thing or two.
pub const REQUESTS_PER_PEER: usize = 256;
/// Bytes that wait to be written to one connection: 64 of the largest values.
pub const QUEUED_BYTES_PER_CONNECTION: usize = 4 * 1024 * 1024;
/// Bytes that may wait to be written to one connection even when [`QUEUED_BYTES`] is reached, so that
/// peers which do not read keep no other from being answered. One message may pass it: with
/// [`CONNECTIONS`] and a quarter, 160 MiB more.
pub const QUEUED_BYTES_GUARANTEED: usize = 64 * 1024;
/// Bytes that wait to be written to all connections together.
pub const QUEUED_BYTES: usize = 64 * 1024 * 1024;
/// Certificates that are fetched at once, to see whether a contact listens where it says; others
/// wait for their turn.
pub const PROBES: usize = 16;
/// Events that wait for the driver. Its readers wait for a place, so that a flood of messages
/// becomes back-pressure in TCP; with the largest message in each place, 16 MiB.
pub const INBOX_EVENTS: usize = 256;
/// Module API connections. A guess: local programs are few.
pub const API_CONNECTIONS: usize = 256;
/// Requests of one module API connection that are unanswered; after that, it is not read.
pub const API_REQUESTS_PER_CONNECTION: usize = 256;
/// Answers that wait to be written to one module API connection: as many of the largest values as
/// it may have requests in flight. A program that reads less is disconnected.
pub const API_QUEUED_BYTES_PER_CONNECTION: usize = 16 * 1024 * 1024;
/// Answers that wait to be written to all module API connections together. When that is reached, a
/// program that has [`API_QUEUED_BYTES_GUARANTEED`] waiting is disconnected.
pub const API_QUEUED_BYTES: usize = 64 * 1024 * 1024;
/// Answers that may wait on one module API connection in any case. With [`API_CONNECTIONS`], 80 MiB
/// more.
pub const API_QUEUED_BYTES_GUARANTEED: usize = 256 * 1024;
/// How long handing over and saying goodbye may take when the node is asked to stop.
pub const LEAVE_DEADLINE: Duration = Duration::from_secs(10);

/// What the connection layer allows. Where a limit is reached, requests are refused or
/// connections closed, and the limit is counted; nothing queues without a bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// See [`CONNECTIONS`]. Held under the node's share of the process's open files too. Inbound
    /// connections may exceed it for a while, by a quarter.
    pub connections: usize,
    /// Connections from one address; default [`CONNECTIONS_PER_ADDRESS`].
    pub connections_per_address: usize,
    /// Whether loopback and private addresses may exceed it: the nodes of a test network share
    /// one, and remote hosts cannot have one.
    pub private_addresses_exempt: bool,
    /// Handshakes in progress; default [`HANDSHAKES`].
    pub handshakes: usize,
    /// Outstanding requests to or from one peer; default [`REQUESTS_PER_PEER`].
    pub requests_per_peer: usize,
    /// Bytes queued on one connection; default [`QUEUED_BYTES_PER_CONNECTION`].
    pub queued_bytes_per_connection: usize,
    /// Bytes queued on all connections; default [`QUEUED_BYTES`].
    pub queued_bytes: usize,
    /// Probes in progress; default [`PROBES`].
    pub probes: usize,
    /// Events queued for the driver; default [`INBOX_EVENTS`].
    pub inbox_events: usize,
    /// Module API connections; default [`API_CONNECTIONS`].
    pub api_connections: usize,
    /// Outstanding requests of one module API connection; default
    /// [`API_REQUESTS_PER_CONNECTION`].
    pub api_requests_per_connection: usize,
    /// Bytes queued on all module API connections; default [`API_QUEUED_BYTES`].
    pub api_queued_bytes: usize,
    /// Time limit for leaving the network; default [`LEAVE_DEADLINE`].
    pub leave_deadline: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: CONNECTIONS,
            connections_per_address: CONNECTIONS_PER_ADDRESS,
            private_addresses_exempt: true,
            handshakes: HANDSHAKES,
            requests_per_peer: REQUESTS_PER_PEER,
            queued_bytes_per_connection: QUEUED_BYTES_PER_CONNECTION,
            queued_bytes: QUEUED_BYTES,
            probes: PROBES,
            inbox_events: INBOX_EVENTS,
            api_connections: API_CONNECTIONS,
            api_requests_per_connection: API_REQUESTS_PER_CONNECTION,
            api_queued_bytes: API_QUEUED_BYTES,
            leave_deadline: LEAVE_DEADLINE,
        }
    }
}
