//! Attacks on the connection layer, against real processes: what docs/adversaries.md reports.
//!
//! ```sh
//! cargo run -p voiddht-node --example hostile -- pool target/release/dht_server
//! ```
//!
//! Starts nodes from the given program, attacks the first, and prints what an honest user sees.
//! Attacks: `pool`, `silent`, `idle`, `half`, `flood`; in a network namespace of its own (see
//! [`ports`], [`scope`] and [`vanish`] for how): `ports`, `scope`, `vanish`.

#![allow(clippy::print_stdout, reason = "its results are for people")]

use std::error::Error;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::BytesMut;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::{TlsConnector, client};
use voiddht_identity::{Certificate, Identity, KeyKind, Policy, client_config};
use voiddht_wire::api::{Acknowledge, Answer, Put, Request};
use voiddht_wire::peer::{Body, Decoded, Dialect, Header, Message, NodeInfo};
use voiddht_wire::{Key, PeerAddress, Publication, RpcId};

type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

const FIRST_PORT: u16 = 21_000;
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::main]
async fn main() -> Outcome {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [attack, server] = &arguments[..] else {
        return Err("usage: hostile ATTACK PATH-OF-dht_server".into());
    };
    let server = PathBuf::from(server);
    match attack.as_str() {
        "pool" => pool(&server).await,
        "silent" => silent(&server).await,
        "idle" => idle(&server).await,
        "half" => half(&server).await,
        "flood" => flood(&server).await,
        "ports" => ports(&server).await,
        "scope" => scope(&server).await,
        "vanish" => vanish(&server).await,
        other => Err(format!("no such attack: {other}").into()),
    }
}

/// Running nodes; they end with this.
struct Nodes(Vec<(Child, IpAddr, u16)>);

impl Drop for Nodes {
    fn drop(&mut self) {
        for (child, ..) in &mut self.0 {
            // It may have ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Nodes {
    /// Starts a node at each of these addresses, which joins through the first.
    async fn start(server: &PathBuf, hosts: &[IpAddr], options: &[&str]) -> Outcome<Self> {
        let mut nodes = Self(Vec::new());
        for (host, number) in hosts.iter().zip(0u16..) {
            let port = FIRST_PORT + 2 * number;
            let mut command = Command::new(server);
            command.args(["-a", &host.to_string(), "-m", &port.to_string()]);
            command.args(["-p", &(port + 1).to_string(), "-l", "warn"]).args(options);
            if let Some((_, first, first_port)) = nodes.0.first() {
                command.args(["--peer", &SocketAddr::new(*first, first_port + 1).to_string()]);
            }
            let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
            nodes.0.push((child, *host, port));
            until_listening(SocketAddr::new(*host, port + 1)).await?;
        }
        sleep(Duration::from_secs(3)).await;
        Ok(nodes)
    }

    async fn on_loopback(server: &PathBuf, count: usize, options: &[&str]) -> Outcome<Self> {
        Self::start(server, &vec!["127.0.0.1".parse()?; count], options).await
    }

    fn api(&self, number: usize) -> SocketAddr {
        // The module API listens on loopback.
        SocketAddr::from(([127, 0, 0, 1], self.0[number].2))
    }

    fn p2p(&self, number: usize) -> SocketAddr {
        SocketAddr::new(self.0[number].1, self.0[number].2 + 1)
    }
}

async fn until_listening(address: SocketAddr) -> Outcome {
    timeout(PATIENCE, async {
        while TcpStream::connect(address).await.is_err() {
            sleep(Duration::from_millis(50)).await;
        }
    })
    .await?;
    Ok(())
}

/// One identity holds up to 700 connections to a node, each in use, for long enough that others become
/// idle and are closed to make room.
async fn pool(server: &PathBuf) -> Outcome {
    let nodes = Nodes::on_loopback(server, 24, &[]).await?;
    report("without the attack", &nodes).await?;
    let identity = identity("127.0.0.1".parse()?)?;
    let held = Arc::new(AtomicUsize::new(0));
    let began = Instant::now();
    for number in 0.. {
        if began.elapsed() > Duration::from_secs(20) {
            break;
        }
        let opened = match handshake(nodes.p2p(0), &identity).await {
            Ok(tls) if held.load(Ordering::Relaxed) < 700 => tls,
            // A refused connection is an answer, too.
            _ => {
                sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        tokio::spawn(keep_busy(opened, identity.clone(), number, Arc::clone(&held)));
    }
    println!("connections that one ID holds: {}", held.load(Ordering::Relaxed));
    report("under the attack", &nodes).await
}

/// Keeps a connection in use for as long as it lasts.
async fn keep_busy(
    mut tls: client::TlsStream<TcpStream>,
    identity: Identity,
    number: u32,
    held: Arc<AtomicUsize>,
) {
    held.fetch_add(1, Ordering::Relaxed);
    while ping(&mut tls, &identity, number).await.is_ok() {
        sleep(Duration::from_millis(500)).await;
    }
    held.fetch_sub(1, Ordering::Relaxed);
}

/// Twenty PUTs and GETs at the first node, of values that the second stored.
async fn report(when: &str, nodes: &Nodes) -> Outcome {
    let mut fewest = u8::MAX;
    let (mut found, mut slowest) = (0, Duration::ZERO);
    for number in 0..20u8 {
        let value = [number, when.len() as u8].repeat(50);
        let key = Key::of_value(&[number, 7, when.len() as u8]);
        fewest = fewest.min(put(nodes.api(0), key, &value).await?);
        let key = Key::of_value(&[number, 8, when.len() as u8]);
        put(nodes.api(1), key, &value).await?;
        let began = Instant::now();
        found += usize::from(get(nodes.api(0), key).await? == Some(value));
        slowest = slowest.max(began.elapsed());
    }
    println!(
        "{when}: PUTs on {fewest} nodes or more, {found} of 20 GETs right, the slowest in {} ms",
        slowest.as_millis()
    );
    Ok(())
}

/// Connections that send nothing, 64 in a second, while new nodes come.
async fn silent(server: &PathBuf) -> Outcome {
    let nodes = Nodes::on_loopback(server, 1, &[]).await?;
    let target = nodes.p2p(0);
    tokio::spawn(async move {
        loop {
            tokio::spawn(async move {
                if let Ok(mut tcp) = TcpStream::connect(target).await {
                    let _ = tcp.read_to_end(&mut Vec::new()).await;
                }
            });
            sleep(Duration::from_millis(1000 / 64)).await;
        }
    });
    sleep(Duration::from_secs(10)).await;
    let (mut joined, mut slowest) = (0, Duration::ZERO);
    for number in 0..20 {
        let identity = identity("127.0.0.1".parse()?)?;
        let began = Instant::now();
        if let Ok(Ok(mut tls)) = timeout(Duration::from_secs(3), handshake(target, &identity)).await
            && ping(&mut tls, &identity, number).await.is_ok()
        {
            joined += 1;
            slowest = slowest.max(began.elapsed());
        }
    }
    println!(
        "{joined} of 20 new nodes connect within 3 s, the slowest in {} ms",
        slowest.as_millis()
    );
    Ok(())
}

/// As many idle programs as there are slots, and one more.
async fn idle(server: &PathBuf) -> Outcome {
    let nodes = Nodes::on_loopback(server, 1, &["--max-api-connections", "16"]).await?;
    let mut held = Vec::new();
    for _ in 0..16 {
        held.push(TcpStream::connect(nodes.api(0)).await?);
    }
    sleep(Duration::from_millis(200)).await;
    let served = put(nodes.api(0), Key::of_value(b"one more"), b"value").await.is_ok();
    println!("with 16 of 16 slots held by idle programs, one more is served: {served}");
    Ok(())
}

/// Programs that close their side after the last request.
async fn half(server: &PathBuf) -> Outcome {
    let nodes = Nodes::on_loopback(server, 3, &[]).await?;
    let key = Key::of_value(b"half");
    put(nodes.api(0), key, b"an answer").await?;
    let mut answered = 0;
    for _ in 0..30 {
        let mut stream = TcpStream::connect(nodes.api(1)).await?;
        stream.write_all(&frame(&Request::Get { key })?).await?;
        stream.shutdown().await?;
        let mut answer = Vec::new();
        timeout(PATIENCE, stream.read_to_end(&mut answer)).await??;
        answered += usize::from(!answer.is_empty());
    }
    println!("{answered} of 30 programs that half-closed were answered");
    Ok(())
}

/// Connections of peers that break a rule: bytes of log that they cause.
async fn flood(server: &PathBuf) -> Outcome {
    let log = std::env::temp_dir().join(format!("hostile-{}.log", std::process::id()));
    let file = std::fs::File::create(&log)?;
    let (api, p2p) = (FIRST_PORT.to_string(), FIRST_PORT + 1);
    let child = Command::new(server)
        .args(["-a", "127.0.0.1", "-m", &api, "-p", &p2p.to_string()])
        .stderr(file)
        .spawn()?;
    let nodes = Nodes(vec![(child, "127.0.0.1".parse()?, FIRST_PORT)]);
    until_listening(nodes.p2p(0)).await?;
    let before = std::fs::metadata(&log)?.len();
    let began = Instant::now();
    for _ in 0..1000 {
        let mut tcp = TcpStream::connect(nodes.p2p(0)).await?;
        // Not TLS. The node may close first.
        let _ = tcp.write_all(b"GET / HTTP/1.1\r\n\r\n").await;
        let _ = tcp.read_to_end(&mut Vec::new()).await;
    }
    let bytes = std::fs::metadata(&log)?.len() - before;
    println!(
        "1000 broken handshakes in {:.1} s: {bytes} bytes of log",
        began.elapsed().as_secs_f64()
    );
    std::fs::remove_file(&log)?;
    Ok(())
}

/// Twelve nodes, each at its own address, on a machine with eight source ports.
///
/// ```sh
/// unshare -n sh -c 'ip link set lo up; echo 40000 40007 > /proc/sys/net/ipv4/ip_local_port_range;
///     exec target/debug/examples/hostile ports target/release/dht_server'
/// ```
async fn ports(server: &PathBuf) -> Outcome {
    let hosts: Vec<IpAddr> = (1..=12).map(|last| [127, 0, 0, last].into()).collect();
    let nodes = Nodes::start(server, &hosts, &[]).await?;
    // Programs need ports, too: theirs have a destination of their own.
    let mut fewest = u8::MAX;
    for number in 0..5u8 {
        fewest = fewest.min(put(nodes.api(0), Key::of_value(&[number]), b"value").await?);
    }
    println!("with 8 source ports, PUTs of one of 12 nodes are stored on {fewest} nodes or more");
    Ok(())
}

/// A peer with a public address names addresses of the node's machine and of its local network.
///
/// ```sh
/// unshare -n sh -c 'ip link set lo up; for a in 203.0.113.1 192.0.2.1 10.1.2.3; do
///     ip addr add $a/32 dev lo; done; exec target/debug/examples/hostile scope target/release/dht_server'
/// ```
async fn scope(server: &PathBuf) -> Outcome {
    let (own, hostile): (IpAddr, IpAddr) = ("203.0.113.1".parse()?, "192.0.2.1".parse()?);
    let mut victims = Vec::new();
    for named in ["127.0.0.1:7402", "10.1.2.3:7402", "203.0.113.1:22", "203.0.113.1:30000"] {
        victims.push((named, TcpListener::bind(named).await?));
    }
    let peer = identity(hostile)?;
    let listener = TcpListener::bind((hostile, 7402)).await?;
    let named: Vec<PeerAddress> = victims
        .iter()
        .map(|(address, _)| address.parse::<SocketAddr>().map(PeerAddress::from))
        .collect::<Result<_, _>>()?;
    tokio::spawn(answer_with(listener, peer, named));
    let (port, at) = (FIRST_PORT.to_string(), own.to_string());
    let p2p = (FIRST_PORT + 1).to_string();
    let child = Command::new(server)
        .args(["-a", &at, "-m", &port, "-p", &p2p, "--peer", "192.0.2.1:7402"])
        .stderr(Stdio::null())
        .spawn()?;
    let _nodes = Nodes(vec![(child, own, FIRST_PORT)]);
    for (address, listener) in victims {
        let dialed = timeout(Duration::from_secs(3), listener.accept()).await.is_ok();
        println!(
            "{address} named by a peer at 192.0.2.1: {}",
            if dialed { "dialled" } else { "not dialled" }
        );
    }
    Ok(())
}

/// Sixteen programs whose machine loses its network: no packet of theirs arrives any more, no FIN
/// either.
///
/// ```sh
/// unshare -n sh -c 'ip link set lo up; exec target/debug/examples/hostile vanish target/release/dht_server'
/// ```
async fn vanish(server: &PathBuf) -> Outcome {
    ip("addr add 10.66.0.2/32 dev lo")?;
    let options = ["--max-api-connections", "16", "--http", "127.0.0.1:9402"];
    let nodes = Nodes::on_loopback(server, 1, &options).await?;
    let mut held = Vec::new();
    for _ in 0..16 {
        let socket = tokio::net::TcpSocket::new_v4()?;
        socket.bind("10.66.0.2:0".parse()?)?;
        held.push(socket.connect(nodes.api(0)).await?);
    }
    ip("addr del 10.66.0.2/32 dev lo")?;
    ip("route add blackhole 10.66.0.2/32")?;
    for seconds in [0, 90, 90] {
        sleep(Duration::from_secs(seconds)).await;
        let mut http = TcpStream::connect("127.0.0.1:9402").await?;
        http.write_all(b"GET /metrics HTTP/1.0\r\nhost: localhost\r\n\r\n").await?;
        let mut page = String::new();
        http.read_to_string(&mut page).await?;
        let held = page.lines().find(|line| line.starts_with("voiddht_api_connections"));
        println!("{seconds} s later: {}", held.unwrap_or("no metric"));
    }
    Ok(())
}

fn ip(arguments: &str) -> Outcome {
    let done = Command::new("ip").args(arguments.split(' ')).status()?;
    if done.success() { Ok(()) } else { Err(format!("ip {arguments}: {done}").into()) }
}

/// Serves as a peer that answers every FIND_NODE with nodes at these addresses.
async fn answer_with(
    listener: TcpListener,
    identity: Identity,
    named: Vec<PeerAddress>,
) -> Outcome {
    loop {
        let (tcp, _) = listener.accept().await?;
        tokio::spawn(converse(tcp, identity.clone(), named.clone()));
    }
}

async fn converse(mut tcp: TcpStream, identity: Identity, named: Vec<PeerAddress>) -> Outcome {
    tcp.write_all(&identity.pushed()).await?;
    let config = voiddht_identity::server_config(&identity);
    let mut tls = tokio_rustls::TlsAcceptor::from(config).accept(tcp).await?;
    while let Decoded::Message(asked) = receive(&mut tls).await? {
        let nodes = named.iter().zip(1u8..).map(|(address, number)| NodeInfo {
            address: *address,
            id: voiddht_wire::NodeId::from_bytes([number; 32]),
        });
        let body = match asked.body {
            Body::FindNode { .. } => Body::FindNodeReply { nodes: nodes.collect() },
            _ => Body::PingReply { observed: None },
        };
        let rpc_id = asked.header.rpc_id;
        let header = Header { sender: identity.node_id(), port: 7402, rpc_id };
        send(&mut tls, &Message { header, body }).await?;
    }
    Ok(())
}

fn identity(host: IpAddr) -> Outcome<Identity> {
    Ok(Identity::generate(KeyKind::Ed25519, Policy::SelfCertifying, host)?)
}

async fn handshake(to: SocketAddr, identity: &Identity) -> Outcome<client::TlsStream<TcpStream>> {
    let mut tcp = TcpStream::connect(to).await?;
    tcp.set_nodelay(true)?;
    let length = tcp.read_u32().await?;
    let mut pushed = vec![0; usize::try_from(length)?];
    tcp.read_exact(&mut pushed).await?;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    let pushed = Certificate::parse_pushed(&pushed, identity.policy(), now.as_secs())?;
    let config = client_config(identity, pushed, None)?;
    Ok(TlsConnector::from(config).connect(ServerName::IpAddress(to.ip().into()), tcp).await?)
}

async fn ping(tls: &mut client::TlsStream<TcpStream>, identity: &Identity, number: u32) -> Outcome {
    let mut rpc = [0; 32];
    rpc[..4].copy_from_slice(&number.to_be_bytes());
    let header = Header { sender: identity.node_id(), port: 0, rpc_id: RpcId::from_bytes(rpc) };
    send(tls, &Message { header, body: Body::Ping }).await?;
    timeout(PATIENCE, receive(tls)).await??;
    Ok(())
}

async fn send(stream: &mut (impl AsyncWriteExt + Unpin), message: &Message) -> Outcome {
    let mut buffer = BytesMut::new();
    message.encode(Dialect::V1, &mut buffer)?;
    stream.write_all(&buffer).await?;
    Ok(stream.flush().await?)
}

async fn receive(stream: &mut (impl AsyncReadExt + Unpin)) -> Outcome<Decoded> {
    let size = usize::from(stream.read_u16().await?);
    let kind = stream.read_u16().await?;
    let mut body = vec![0; size.saturating_sub(4)];
    stream.read_exact(&mut body).await?;
    Ok(Message::decode(Dialect::V1, kind, body.into())?)
}

fn frame(request: &Request) -> Outcome<BytesMut> {
    let mut buffer = BytesMut::new();
    request.encode(&mut buffer)?;
    Ok(buffer)
}

async fn ask(api: SocketAddr, request: &Request) -> Outcome<Answer> {
    let mut stream = TcpStream::connect(api).await?;
    stream.write_all(&frame(request)?).await?;
    let size = usize::from(timeout(PATIENCE, stream.read_u16()).await??);
    let kind = stream.read_u16().await?;
    let mut body = vec![0; size.saturating_sub(4)];
    stream.read_exact(&mut body).await?;
    Ok(Answer::decode(kind, body.into())?)
}

/// On how many nodes it is stored.
async fn put(api: SocketAddr, key: Key, value: &[u8]) -> Outcome<u8> {
    let put =
        Put { publication: Publication::new(key, value.to_vec()), acknowledge: Acknowledge::Count };
    Ok(match ask(api, &Request::Put(put)).await? {
        Answer::Success { value, .. } => value.first().copied().unwrap_or(0),
        _ => 0,
    })
}

async fn get(api: SocketAddr, key: Key) -> Outcome<Option<Vec<u8>>> {
    Ok(match ask(api, &Request::Get { key }).await? {
        Answer::Success { value, .. } => Some(value.to_vec()),
        _ => None,
    })
}
