//! Settings of a node that is to be started.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use voiddht_core::configured::{ConfiguredPeer, PeerName};
use voiddht_identity::{KeyKind, Policy};
use voiddht_node::{Descriptors, Settings};
use voiddht_store::Storage;

use crate::error::StartError;
use crate::limits::Limits;
use crate::node::Node;

/// Settings of a node. [`Node::builder`] has the defaults: values in memory, no peers, the port chosen by
/// the system, [`Policy::SelfCertifying`]. Nothing else listens unless it is asked for.
///
/// ```no_run
/// use voiddht::Node;
///
/// # async fn example() -> Result<(), voiddht::StartError> {
/// let node = Node::builder()
///     .listen(([0, 0, 0, 0], 7402).into())
///     .peers(["192.0.2.1:7402", "dht.example.org:7402"])
///     .data_dir("/var/lib/example/dht")
///     .start()
///     .await?;
/// # Ok(())
/// # }
/// ```
#[must_use = "a node runs once it is started"]
pub struct NodeBuilder {
    settings: Settings,
    storage: Option<Box<dyn Storage>>,
    /// The first peer that cannot be one.
    wrong_peer: Option<String>,
}

impl std::fmt::Debug for NodeBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NodeBuilder").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Default for NodeBuilder {
    fn default() -> Self {
        let any = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let settings = Settings { host: any, api: None, ..Settings::loopback() };
        Self { settings, storage: None, wrong_peer: None }
    }
}

impl Node {
    /// Settings of a node that is to be started: in memory, without peers, and on a port that the system
    /// chooses.
    pub fn builder() -> NodeBuilder {
        NodeBuilder::default()
    }
}

impl NodeBuilder {
    /// Adds a peer of the network to be joined, at most 64: `HOST:PORT`, a text or a [`SocketAddr`].
    /// Names are resolved again before each attempt. A network's first node has none.
    pub fn peer(mut self, peer: impl ToString) -> Self {
        let text = peer.to_string();
        match parse_peer(&text) {
            Some(peer) => self.settings.peers.push(peer),
            None => self.wrong_peer = self.wrong_peer.or(Some(text)),
        }
        self
    }

    /// Adds peers, as [`Self::peer`] does.
    pub fn peers<P: ToString>(self, peers: impl IntoIterator<Item = P>) -> Self {
        peers.into_iter().fold(self, Self::peer)
    }

    /// Where the node listens for peers; port 0 lets the system choose. All addresses of IPv4 by
    /// default. A specific address is also the one that it announces; otherwise peers take the one that
    /// they see.
    pub fn listen(mut self, address: SocketAddr) -> Self {
        (self.settings.listen, self.settings.host) = (None, address.ip());
        self.settings.p2p_port = address.port();
        self
    }

    /// Where peers reach the node, if a router or container engine maps that to where it listens. To be
    /// called after [`Self::listen`].
    pub fn announce(mut self, address: SocketAddr) -> Self {
        self.settings.listen = Some(self.settings.listen.unwrap_or(self.settings.host));
        self.settings.host = address.ip();
        self.settings.announce_port = Some(address.port());
        self
    }

    /// Keeps identity, contacts, pinned certificates and records in a directory, which is made if there is
    /// none. A STORE is acknowledged after its record is on disk. Replaces [`Self::storage`].
    #[cfg(feature = "redb")]
    pub fn data_dir(mut self, directory: impl Into<PathBuf>) -> Self {
        (self.settings.data_dir, self.storage) = (Some(directory.into()), None);
        self
    }

    /// Keeps the same in storage of the program's own. Replaces `data_dir`.
    pub fn storage(mut self, storage: impl Storage) -> Self {
        self.settings.data_dir = None;
        self.storage = Some(Box::new(storage));
        self
    }

    /// Keeps nothing: the node has a new identity at each start. The default.
    pub fn memory_only(mut self) -> Self {
        (self.settings.data_dir, self.storage) = (None, None);
        self
    }

    /// How a node ID is authenticated, a property of the whole network:
    /// [`Policy::SelfCertifying`] by default.
    pub fn identity_policy(mut self, policy: Policy) -> Self {
        self.settings.policy = policy;
        self
    }

    /// The kind of key that is made where there is none yet; [`KeyKind::Ed25519`] by default.
    pub fn key_kind(mut self, kind: KeyKind) -> Self {
        self.settings.key_kind = kind;
        self
    }

    /// The file with the secret of a private network (`dht network new`), which only its owner may read:
    /// only nodes that have it join.
    pub fn network_secret(mut self, file: impl Into<PathBuf>) -> Self {
        self.settings.network_secret = Some(file.into());
        self
    }

    /// Makes the node a client: it holds no records, announces no port, and is in no routing table. It
    /// puts and gets as any other.
    pub fn client(mut self) -> Self {
        self.settings.core.client = true;
        self
    }

    /// The TTL of values that are put without one: 6 hours by default, at most 65 535 s.
    pub fn default_ttl(mut self, ttl: Duration) -> Self {
        self.settings.core.default_ttl = ttl;
        self
    }

    /// What the node may use.
    pub fn limits(mut self, limits: Limits) -> Self {
        limits.apply(&mut self.settings);
        self
    }

    /// The budget of open files that this node shares with others of the process. By default it has one of
    /// its own, of as many as the process may open.
    pub fn descriptors(mut self, descriptors: Descriptors) -> Self {
        self.settings.descriptors = descriptors;
        self
    }

    /// Serves the VoidPhone module API there, without authentication: on loopback, for programs of this
    /// machine. Not served by default.
    pub fn module_api(mut self, address: SocketAddr) -> Self {
        self.settings.api = Some(address);
        self
    }

    /// Serves the dashboard, `/metrics` and health checks there, without authentication. Not served by
    /// default.
    #[cfg(feature = "http")]
    pub fn http(mut self, address: SocketAddr) -> Self {
        self.settings.http = Some(address);
        self
    }

    /// Starts the node on the current tokio runtime, which needs I/O and time enabled. When this
    /// returns it listens, and has begun to look for its peers; [`Node::joined`] waits for them. Reading
    /// the storage blocks.
    ///
    /// # Errors
    /// [`StartError`]; nothing is left running.
    pub async fn start(self) -> Result<Node, StartError> {
        if let Some(peer) = &self.wrong_peer {
            return Err(StartError::peer(peer));
        }
        let started = match self.storage {
            Some(storage) => voiddht_node::Node::start_on(self.settings, storage).await,
            None => voiddht_node::Node::start(self.settings).await,
        };
        Ok(Node::new(started?))
    }
}

/// An address or a name, with a port.
fn parse_peer(text: &str) -> Option<ConfiguredPeer> {
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Some(address.into());
    }
    let (host, port) = text.rsplit_once(':')?;
    let is_name = !host.is_empty() && !host.contains([':', '/', ' ']);
    let name = PeerName::new(text).filter(|_| is_name && port.parse() != Ok(0_u16));
    port.parse::<u16>().ok()?;
    name.map(ConfiguredPeer::Name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_are_addresses_or_names_with_ports() {
        for peer in ["192.0.2.1:7402", "[2001:db8::1]:7402", "dht.example.org:7402"] {
            assert_eq!(parse_peer(peer).map(|peer| peer.to_string()).as_deref(), Some(peer));
        }
        for wrong in ["", "192.0.2.1", "example.org", ":7402", "a:b:1", "example.org:70000", "a:0"]
        {
            assert_eq!(parse_peer(wrong), None, "{wrong}");
        }
    }
}
