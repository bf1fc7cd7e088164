//! What a node is started with: where it listens, its configured peers, its storage and its limits.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use voiddht_core::configured::ConfiguredPeer;
use voiddht_identity::{KeyExchange, KeyKind, PinLimits, Policy};

use crate::descriptors::Descriptors;
#[cfg(feature = "http")]
use crate::http::control::ControlSocket;
#[cfg(feature = "http")]
use crate::http::control_routes::ControlRoutes;
pub use crate::limits::*;

/// Settings of a node: addresses, peers, storage, limits.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The announced address: where peers reach this node. Unspecified: peers use the one that they
    /// see, and third parties are given the one that they agree on.
    pub host: IpAddr,
    /// The bound address. `None`: `host` where this machine has it, otherwise all addresses of its
    /// family, as behind 1:1 NAT.
    pub listen: Option<IpAddr>,
    /// The bound port for peers; 0 lets the system choose.
    pub p2p_port: u16,
    /// The announced port, where a router or a container engine maps another one to `p2p_port`.
    pub announce_port: Option<u16>,
    /// Whether the node moves to another address of this machine when it loses `host`: true where
    /// `host` was derived from the routing table, false where the operator gave it.
    pub follow_address: bool,
    /// Where the module API listens; port 0 lets the system choose. `None`: nowhere.
    pub api: Option<SocketAddr>,
    /// Configured peers, by address or by name; names are resolved before each attempt to join.
    /// Empty: the first node of a network.
    pub peers: Vec<ConfiguredPeer>,
    /// How a node ID is authenticated: a property of the whole network.
    pub policy: Policy,
    /// The file with the secrets of the private network that the node belongs to; `None`: a public
    /// one.
    pub network_secret: Option<PathBuf>,
    /// The key exchange groups of TLS; `None`: [`KeyExchange::hybrid`] in a private network,
    /// [`KeyExchange::classical`] in a public one.
    pub key_exchange: Option<KeyExchange>,
    /// The kind of key that is made where there is none yet.
    pub key_kind: KeyKind,
    /// The bounds of pins, and of the checks when another key is proved for a pinned ID.
    pub pins: PinLimits,
    /// The data directory; `None`: nowhere. Needs the feature `redb`, and is ignored by
    /// [`crate::Node::start_on`].
    pub data_dir: Option<PathBuf>,
    /// The budget of open files, shared with the other nodes of the process. Its own by default.
    pub descriptors: Descriptors,
    /// Where metrics, health and the dashboard are served; `None`: nowhere.
    #[cfg(feature = "http")]
    pub http: Option<SocketAddr>,
    /// The Unix socket by which its owner's tools speak to the node; `None`: there is none. A node
    /// that cannot make it warns, and goes on without.
    #[cfg(feature = "http")]
    pub control: Option<ControlSocket>,
    /// What else is served on that socket, such as the routes of the HTTP gateway.
    #[cfg(feature = "http")]
    pub control_routes: Option<ControlRoutes>,
    /// The limits of the connection layer.
    pub limits: Limits,
    /// The settings of the core.
    pub core: voiddht_core::Config,
    /// The core's randomness, for tests that are to repeat; `None`: from the operating system.
    pub seed: Option<u64>,
}

impl Settings {
    /// A node on this machine alone, without peers, on ports that the system chooses.
    pub fn loopback() -> Self {
        let host = IpAddr::V4(Ipv4Addr::LOCALHOST);
        Self {
            host,
            listen: None,
            p2p_port: 0,
            announce_port: None,
            follow_address: false,
            api: Some(SocketAddr::new(host, 0)),
            peers: Vec::new(),
            policy: Policy::default(),
            network_secret: None,
            key_exchange: None,
            key_kind: KeyKind::default(),
            pins: PinLimits::default(),
            data_dir: None,
            descriptors: Descriptors::of_process(),
            #[cfg(feature = "http")]
            http: None,
            #[cfg(feature = "http")]
            control: None,
            #[cfg(feature = "http")]
            control_routes: None,
            limits: Limits::default(),
            core: voiddht_core::Config::default(),
            seed: None,
        }
    }
}
