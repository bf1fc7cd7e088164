//! Why a request has no answer, and which rules a peer can break.

use std::fmt;

use voiddht_wire::peer::MessageError;

/// What answers at an address instead of a node's port for peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Service {
    /// The port on which a node serves local programs.
    ModuleApi,
    /// An HTTP server: a node's dashboard, perhaps.
    Http,
    /// A TLS server that pushes no certificate first.
    Tls,
    /// Something that takes connections and says nothing.
    Silent,
    /// Something else.
    Other,
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ModuleApi => "a module API (--module-port)",
            Self::Http => "an HTTP server (a dashboard, --http, perhaps)",
            Self::Tls => "a TLS server that is no node",
            Self::Silent => "a service that accepts connections and sends nothing",
            Self::Other => "something that speaks another protocol",
        })
    }
}

/// Why a request has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Undelivered {
    /// No process listens there.
    #[error("the connection was refused")]
    Refused,
    /// The network says that the address cannot be reached.
    #[error("the address cannot be reached")]
    Unreachable,
    /// The dial, or the handshake, took too long.
    #[error("the peer did not complete a connection in time")]
    DialTimeout,
    /// Something listens there that is no node's port for peers.
    #[error("this is not a node's port for peers, but {0}")]
    NotAPeerPort(Service),
    /// A node with another identity policy than this one's.
    #[error("the peer has another identity policy: its network runs with {option}")]
    OtherPolicy {
        /// The option with which this node could join it.
        option: &'static str,
    },
    /// A node whose certificate cannot be read without the secret of its private network.
    #[error("the peer belongs to another network, or is no node")]
    OtherNetwork,
    /// A node of a public network, where this one belongs to a private network.
    #[error("the peer is a node of a public network")]
    PublicNetwork,
    /// This very node.
    #[error("this node itself is there")]
    OwnNode,
    /// Another process with this node's identity.
    #[error("another process has this node's identity")]
    DuplicateIdentity,
    /// Another node than expected, or one that could not be authenticated.
    #[error("the peer could not be authenticated as the expected node")]
    WrongIdentity,
    /// The connection ended before the answer.
    #[error("the connection ended before the answer")]
    ConnectionLost,
    /// A limit of this node, not the peer's fault: no connection or place in a queue was free.
    #[error("this node has no connection free")]
    LocalLimit,
    /// The message does not fit the peer's dialect, not the peer's fault.
    #[error("the value does not fit a message of the peer's dialect")]
    DoesNotFit,
}

impl Undelivered {
    /// Whether this says something about the peer, rather than about this node.
    pub fn blames_peer(self) -> bool {
        !matches!(self, Self::LocalLimit | Self::DoesNotFit)
    }

    /// Whether the expected node is certainly not at that address: no patience is due. An
    /// unreachable network is not among these, since it may be this machine's own.
    pub fn is_final(self) -> bool {
        matches!(
            self,
            Self::Refused
                | Self::NotAPeerPort(_)
                | Self::OtherPolicy { .. }
                | Self::OtherNetwork
                | Self::PublicNetwork
                | Self::OwnNode
                | Self::DuplicateIdentity
                | Self::WrongIdentity
        )
    }

    /// A short name, for programs.
    pub fn code(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::DialTimeout => "timed_out",
            Self::NotAPeerPort(_) => "not_a_peer_port",
            Self::OtherPolicy { .. } => "other_policy",
            Self::OtherNetwork => "other_network",
            Self::PublicNetwork => "public_network",
            Self::OwnNode => "own_node",
            Self::DuplicateIdentity => "duplicate_identity",
            Self::WrongIdentity => "wrong_identity",
            Self::ConnectionLost => "connection_lost",
            Self::LocalLimit => "local_limit",
            Self::DoesNotFit => "does_not_fit",
        }
    }

    /// What the operator can do about a configured peer that fails like this.
    pub fn advice(self) -> &'static str {
        match self {
            Self::Refused => "Is the peer running, and is this its port for peers (--p2p-port)?",
            Self::Unreachable => "Check this machine's network and its route to the peer.",
            Self::DialTimeout => {
                "Is the peer's machine up? Does a firewall drop connections to its port?"
            }
            Self::NotAPeerPort(_) => {
                "Give the peer's port for peers with --peer (its --p2p-port, 7402 by default)."
            }
            Self::OtherPolicy { .. } => {
                "All nodes of a network need the same --identity: change this node's, or join \
                 another network."
            }
            Self::OtherNetwork => "Check the address; a private network has --network-secret.",
            Self::PublicNetwork => "Start the peer with this network's secret, or remove it.",
            Self::OwnNode => "Remove this node's own address from --peer.",
            Self::DuplicateIdentity => {
                "Stop one of the two, or give it a data directory of its own: no identity is for two."
            }
            Self::WrongIdentity => "See the peer's log: it failed to authenticate.",
            Self::ConnectionLost => "See the peer's log: it closed the connection.",
            Self::LocalLimit => "Raise --max-connections, and the limit of open files.",
            Self::DoesNotFit => "",
        }
    }
}

/// A rule that a peer broke, as the connection layer and the core see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Misbehaviour {
    /// A frame that cannot be read.
    #[error("malformed message: {0}")]
    Malformed(#[from] MessageError),
    /// A header whose sender is not the one that the certificate authenticated.
    #[error("a header with another node's ID")]
    ForeignSender,
    /// A reply to nothing that was asked.
    #[error("a reply to no outstanding request")]
    UnawaitedReply,
    /// A reply of another kind, or about another key, than was asked.
    #[error("a reply that does not fit its request")]
    WrongReply,
    /// A value that the other replicas deny.
    #[error("a value that the majority of its replicas denies")]
    DeniedValue,
    /// A frame that was begun and not finished in time.
    #[error("a frame that was not finished in time")]
    StalledFrame,
}
