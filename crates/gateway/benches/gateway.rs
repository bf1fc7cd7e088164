//! The gateway beside the module API of the same node, and beside OpenDHT's REST proxy (Debian: `dhtnode`),
//! on the same work in one run.
//!
//! ```sh
//! cargo bench -p voiddht-gateway --bench gateway -- --rounds 5 --seconds 3
//! ```
//!
//! Networks of twenty nodes on loopback, everything at its default: voiddht's nodes in this process on a
//! thread for each processor, OpenDHT's as twenty processes of `dhtnode`. One node of each is asked by HTTP/1.1
//! over up to 64 connections that stay open; the module API over as many. Values have 100 random bytes under
//! random keys, so voiddht takes five agreeing votes where OpenDHT takes what comes. The three take turns in
//! each round; what is printed are medians of the rounds, and of their ratios.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a benchmark fails by panicking")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it prints what it measured")]

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use data_encoding::{BASE64, HEXLOWER};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::HOST;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Handle};
use voiddht_client::{Client, Key};
use voiddht_gateway::{BoundGateway, Gateway, Settings};
use voiddht_node::Node;

/// Nodes of each network.
const NODES: usize = 20;
/// GETs in flight under load.
const IN_FLIGHT: usize = 64;
/// Values that are put, and got.
const VALUES: usize = 500;
/// How long a network is warmed up by GETs before anything is timed.
const WARMING: Duration = Duration::from_secs(2);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum System {
    ModuleApi,
    Gateway,
    Proxy,
}

impl System {
    fn name(self) -> &'static str {
        match self {
            Self::ModuleApi => "module API",
            Self::Gateway => "gateway",
            Self::Proxy => "OpenDHT's proxy",
        }
    }
}

/// What one system did in one round.
#[derive(Clone, Copy, Debug)]
struct Figures {
    p50_ms: f64,
    p99_ms: f64,
    per_second: f64,
}

/// Where each system is asked.
#[derive(Clone, Copy, Debug)]
struct Places {
    api: SocketAddr,
    gateway: SocketAddr,
    proxy: Option<SocketAddr>,
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let number = |name: &str, default: u64| {
        let at = arguments.iter().position(|word| word == name);
        at.map_or(default, |at| arguments[at + 1].parse().expect("a number"))
    };
    let (rounds, seconds) = (number("--rounds", 3), number("--seconds", 2));
    let asking = Builder::new_current_thread().enable_all().build().unwrap();
    let voiddht = asking.block_on(Voiddht::start());
    let opendht = Opendht::start();
    let places = Places {
        api: voiddht.api,
        gateway: voiddht.gateway,
        proxy: opendht.as_ref().map(|opendht| opendht.proxy),
    };
    asking.block_on(measure(places, rounds, Duration::from_secs(seconds)));
}

async fn measure(places: Places, rounds: u64, lasts: Duration) {
    let mut systems = vec![System::ModuleApi, System::Gateway];
    systems.extend(places.proxy.map(|_| System::Proxy));
    for system in systems.iter().skip(1) {
        fill(places, *system).await;
    }
    let mut all: Vec<Vec<Figures>> = vec![Vec::new(); systems.len()];
    for system in &systems {
        load(places, *system, IN_FLIGHT, WARMING).await;
    }
    for _ in 0..rounds {
        for (figures, system) in all.iter_mut().zip(&systems) {
            let (mut alone, _) = load(places, *system, 1, lasts).await;
            let (_, per_second) = load(places, *system, IN_FLIGHT, lasts).await;
            alone.sort_unstable();
            let p50_ms = percentile(&alone, 50);
            let p99_ms = percentile(&alone, 99);
            figures.push(Figures { p50_ms, p99_ms, per_second });
        }
    }
    report(&systems, &all);
}

fn report(systems: &[System], all: &[Vec<Figures>]) {
    let of =
        |index: usize, figure: fn(&Figures) -> f64| median(all[index].iter().map(figure).collect());
    println!("| {NODES} nodes, GETs | p50, one at a time | p99 | rate, {IN_FLIGHT} in flight |");
    println!("|---|---:|---:|---:|");
    for (index, system) in systems.iter().enumerate() {
        println!(
            "| {} | {:.3} ms | {:.2} ms | {:.0}/s |",
            system.name(),
            of(index, |it| it.p50_ms),
            of(index, |it| it.p99_ms),
            of(index, |it| it.per_second)
        );
    }
    for (other, system) in systems.iter().enumerate().filter(|(index, _)| *index != 1) {
        let ratio = |figure: fn(&Figures) -> f64| {
            let rounds = all[1].iter().zip(&all[other]);
            median(rounds.map(|(gateway, other)| figure(gateway) / figure(other)).collect())
        };
        println!(
            "gateway / {}: p50 {:.2}, rate {:.2}",
            system.name(),
            ratio(|it| it.p50_ms),
            ratio(|it| it.per_second)
        );
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn percentile(sorted: &[Duration], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted[rank - 1].as_secs_f64() * 1000.0
}

/// The key and value of a number: the same in each run.
fn item(number: usize) -> ([u8; 32], Vec<u8>) {
    let digest = |purpose: &str| Sha256::digest(format!("{purpose} {number}"));
    let value = [digest("a"), digest("b"), digest("c"), digest("d")].concat();
    (digest("key").into(), value[..100].to_vec())
}

/// Puts all values.
async fn fill(places: Places, system: System) {
    let mut http = Http::connect(places, system).await;
    for number in 0..VALUES {
        let (key, value) = item(number);
        let (method, path, body) = match system {
            System::Proxy => {
                let body = json!({"data": BASE64.encode(&value)}).to_string();
                (Method::POST, format!("/key/{}", HEXLOWER.encode(&key[..20])), body.into_bytes())
            }
            _ => (Method::PUT, format!("/v1/values/{}", HEXLOWER.encode(&key)), value),
        };
        http.ask(method, path, body.into()).await;
    }
}

/// Keeps so many GETs in flight for so long: how long each took, and how many there were in a second.
async fn load(
    places: Places,
    system: System,
    in_flight: usize,
    lasts: Duration,
) -> (Vec<Duration>, f64) {
    let next = Arc::new(AtomicUsize::new(0));
    let mut connections = Vec::new();
    for _ in 0..in_flight {
        connections.push(Asker::connect(places, system).await);
    }
    let begun = Instant::now();
    let workers = connections.into_iter().map(|mut asker| {
        let next = Arc::clone(&next);
        tokio::spawn(async move {
            let mut latencies = Vec::new();
            while begun.elapsed() < lasts {
                let number = next.fetch_add(7919, Ordering::Relaxed) % VALUES;
                let started = Instant::now();
                asker.get(number).await;
                latencies.push(started.elapsed());
            }
            latencies
        })
    });
    let workers: Vec<_> = workers.collect();
    let mut all = Vec::new();
    for worker in workers {
        all.extend(worker.await.expect("every GET succeeds"));
    }
    let rate = all.len() as f64 / begun.elapsed().as_secs_f64();
    (all, rate)
}

/// One connection to one system.
enum Asker {
    Api(Box<Client>),
    Http(Http),
}

impl Asker {
    async fn connect(places: Places, system: System) -> Self {
        match system {
            System::ModuleApi => Self::Api(Box::new(Client::connect(places.api).await.unwrap())),
            _ => Self::Http(Http::connect(places, system).await),
        }
    }

    async fn get(&mut self, number: usize) {
        let (key, value) = item(number);
        match self {
            Self::Api(client) => {
                let found = client.get(Key::from_bytes(key)).await.unwrap();
                assert_eq!(found.as_deref(), Some(value.as_slice()));
            }
            Self::Http(http) if http.is_proxy => {
                let path = format!("/key/{}", HEXLOWER.encode(&key[..20]));
                let body = http.ask(Method::GET, path, Bytes::new()).await;
                let line = body.split(|byte| *byte == b'\n').next().unwrap();
                let json: Value = serde_json::from_slice(line).expect("a value");
                assert_eq!(json["data"], BASE64.encode(&value));
            }
            Self::Http(http) => {
                let path = format!("/v1/values/{}", HEXLOWER.encode(&key));
                assert_eq!(http.ask(Method::GET, path, Bytes::new()).await, value);
            }
        }
    }
}

/// A connection that stays open, and is made anew if the server has closed it.
struct Http {
    address: SocketAddr,
    is_proxy: bool,
    sender: SendRequest<Full<Bytes>>,
}

impl Http {
    async fn connect(places: Places, system: System) -> Self {
        let is_proxy = system == System::Proxy;
        let address = if is_proxy { places.proxy.unwrap() } else { places.gateway };
        Self { address, is_proxy, sender: dial(address).await }
    }

    async fn ask(&mut self, method: Method, path: String, body: Bytes) -> Bytes {
        if self.sender.ready().await.is_err() {
            self.sender = dial(self.address).await;
        }
        let request = Request::builder().method(method).uri(path);
        let request = request.header(HOST, self.address.to_string()).body(Full::new(body));
        let answer = self.sender.send_request(request.unwrap()).await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.status());
        answer.into_body().collect().await.unwrap().to_bytes()
    }
}

async fn dial(address: SocketAddr) -> SendRequest<Full<Bytes>> {
    let stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let (sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

/// Twenty nodes, the first of them with a gateway.
struct Voiddht {
    api: SocketAddr,
    gateway: SocketAddr,
    _nodes: Vec<Node>,
    _gateway: Gateway,
}

impl Voiddht {
    async fn start() -> Self {
        let processors = std::thread::available_parallelism().map_or(2, usize::from);
        let threads: Vec<Handle> = (0..processors).map(|_| thread()).collect();
        let mut nodes: Vec<Node> = Vec::new();
        for number in 0..NODES {
            let mut settings = voiddht_node::Settings::loopback();
            settings.peers = nodes.iter().take(3).map(|node| node.p2p_address().into()).collect();
            let starting = async move {
                let node = Node::start(settings).await.unwrap();
                node.joined().await;
                node
            };
            nodes.push(on(&threads[number % processors], starting).await);
        }
        for node in &nodes {
            while node.handle().status().await.unwrap().core.contacts.len() < NODES - 1 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        let handle = nodes[0].handle();
        let (gateway, address) = on(&threads[0], async move {
            let gateway = Gateway::default();
            let settings = Settings::new((Ipv4Addr::LOCALHOST, 0).into());
            let bound = BoundGateway::bind(settings).await.unwrap();
            let address = bound.address();
            gateway.serve(bound, handle);
            (gateway, address)
        })
        .await;
        Self {
            api: nodes[0].api_address().unwrap(),
            gateway: address,
            _nodes: nodes,
            _gateway: gateway,
        }
    }
}

/// A thread with a runtime, which lives as long as the process.
fn thread() -> Handle {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let handle = runtime.handle().clone();
    std::thread::spawn(move || runtime.block_on(std::future::pending::<()>()));
    handle
}

async fn on<T: Send + 'static>(
    thread: &Handle,
    work: impl Future<Output = T> + Send + 'static,
) -> T {
    thread.spawn(work).await.unwrap()
}

/// Twenty processes of `dhtnode`, the last of them with the proxy.
struct Opendht {
    proxy: SocketAddr,
    processes: Vec<Child>,
}

impl Opendht {
    /// `None` where it is not installed.
    fn start() -> Option<Self> {
        let proxy = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
        let mut opendht = Self { proxy, processes: Vec::new() };
        let mut first = String::new();
        for number in 0..NODES {
            let port =
                UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
            let mut command = Command::new("dhtnode");
            command.args(["-s", "-n", "7402", "-p", &port.to_string()]);
            if number == 0 {
                first = format!("127.0.0.1:{port}");
            } else {
                command.args(["-b", &first]);
            }
            if number == NODES - 1 {
                command.args(["--proxyserver", &proxy.port().to_string()]);
            }
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            match command.spawn() {
                Ok(process) => opendht.processes.push(process),
                Err(error) => {
                    eprintln!("OpenDHT is left out: dhtnode: {error}");
                    return None;
                }
            }
        }
        // It does not say when it has joined.
        std::thread::sleep(Duration::from_secs(5));
        Some(opendht)
    }
}

impl Drop for Opendht {
    fn drop(&mut self) {
        for process in &mut self.processes {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}
