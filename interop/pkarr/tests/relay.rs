//! The pkarr crate publishes and resolves through `/pkarr` of real `dht_server` processes. It knows nothing
//! of voiddht: relays are all that it is given.
//!
//! `VOIDDHT_PROGRAMS` is the directory of the built programs.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use pkarr::errors::{PublishError, ResolveError};
use pkarr::{Client, Keypair, ResolvePolicy, SignedPacket, Timestamp};

/// Nodes of the network.
const NODES: usize = 3;

/// A `dht_server`; killed when dropped.
struct Server {
    process: Child,
    p2p: String,
    gateway: String,
}

impl Server {
    fn start(peers: &[&str]) -> Self {
        let programs = std::env::var_os("VOIDDHT_PROGRAMS").expect("the directory of dht_server");
        let mut command = Command::new(PathBuf::from(programs).join("dht_server"));
        command.env_clear().args(["-a", "127.0.0.1", "-m", "0", "-p", "0", "--gateway", "0"]);
        command.arg("--die-with-parent");
        if !peers.is_empty() {
            command.arg("--peer").arg(peers.join(","));
        }
        let mut process = command.stderr(Stdio::piped()).spawn().expect("dht_server starts");
        let lines = BufReader::new(process.stderr.take().expect("it is piped")).lines();
        let mut server = Self { process, p2p: String::new(), gateway: String::new() };
        let mut lines = lines.map_while(Result::ok);
        for line in &mut lines {
            let field = |start: &str| {
                line.split_whitespace().find_map(|word| word.strip_prefix(start)).map(str::to_owned)
            };
            if let Some(address) = field("p2p=") {
                server.p2p = address;
            }
            if let Some(place) = field("http://") {
                server.gateway = place.trim_end_matches("/v1/").to_owned();
            }
            let is_joined = peers.is_empty() || line.contains("joined the network");
            if is_joined && !server.gateway.is_empty() {
                break;
            }
        }
        assert!(!server.gateway.is_empty(), "it ended before it served");
        // What it logs later is read, so that it does not wait.
        std::thread::spawn(move || lines.for_each(drop));
        server
    }

    /// A new client, which remembers nothing, of this node's relay.
    fn client(&self) -> Client {
        let relay = format!("http://{}/pkarr", self.gateway);
        let mut builder = Client::builder();
        builder.no_default_network().relays(&[relay.as_str()]).expect("a URL");
        builder.relay_request_timeout(Duration::from_secs(30)).build().expect("a client")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn network() -> Vec<Server> {
    let mut servers = vec![Server::start(&[])];
    while servers.len() < NODES {
        let next = Server::start(&[&servers[0].p2p]);
        servers.push(next);
    }
    servers
}

fn packet(keys: &Keypair, text: &str, timestamp: Timestamp) -> SignedPacket {
    let name = "_iroh".try_into().expect("a name");
    let builder = SignedPacket::builder().txt(name, text.try_into().expect("a text"), 300);
    builder.timestamp(timestamp).sign(keys).expect("it fits")
}

#[tokio::test]
async fn the_pkarr_crate_publishes_and_resolves() {
    let servers = network();
    let keys = Keypair::random();
    let unknown = servers[1].client();
    let missing = unknown.resolve(&keys.public_key(), ResolvePolicy::NetworkOnly).await;
    assert!(matches!(missing, Err(ResolveError::NotFound)), "{missing:?}");

    let now = Timestamp::now();
    let (first, second) = (packet(&keys, "first", now), packet(&keys, "second", now + 1));
    let stored = servers[0].client().publish(&first).await.expect("it is published");
    // Slow nodes need not have answered yet.
    assert!((1..=NODES).contains(&usize::try_from(stored).expect("a number of nodes")));
    for server in &servers {
        for policy in [ResolvePolicy::CacheFirst, ResolvePolicy::NetworkOnly] {
            let resolved = server.client().resolve(&keys.public_key(), policy).await;
            assert_eq!(resolved.expect("it is there").as_bytes(), first.as_bytes());
        }
    }

    // Through another node, and then the older one again by a client that has not heard.
    servers[1].client().publish(&second).await.expect("it is newer");
    let refused = servers[2].client().publish(&first).await;
    assert_eq!(refused.err(), Some(PublishError::NotMostRecent));
    let resolved =
        servers[2].client().resolve(&keys.public_key(), ResolvePolicy::NetworkOnly).await;
    assert_eq!(resolved.expect("it is there").as_bytes(), second.as_bytes());
}

/// A client that has a packet asks with If-Modified-Since, and takes 304 for what it is.
#[tokio::test]
async fn a_client_asks_again_and_keeps_what_it_has() {
    let server = Server::start(&[]);
    let keys = Keypair::random();
    let packet = packet(&keys, "only", Timestamp::now());
    let client = server.client();
    client.publish(&packet).await.expect("it is published");
    for policy in [ResolvePolicy::CacheFirst, ResolvePolicy::NetworkOnly, ResolvePolicy::CacheOnly]
    {
        let resolved = client.resolve(&keys.public_key(), policy).await.expect("it is there");
        assert_eq!(resolved.as_bytes(), packet.as_bytes());
    }
}
