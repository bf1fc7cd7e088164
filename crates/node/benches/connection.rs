//! What one pooled connection costs over bare TLS, and what an operation costs in a warm network.
//!
//! Everything runs on one thread, as a node does: the echo, both ends of the connection, all 64
//! nodes. So figures of one run compare with each other, and are those of one core.
//!
//! * `tls_echo`: requests of a FIND_VALUE's size over rustls, without any node: the floor.
//! * `two_nodes`: GETs of an absent key in a network of two: each is one request and its answer
//!   over the one connection, and the work of both cores and drivers.
//! * `network_of_64`: GET and PUT of 100-byte values, every node knowing every other.

#![allow(clippy::print_stderr, reason = "a benchmark reports on the terminal")]
#![allow(missing_docs, reason = "criterion's macros write undocumented functions")]

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use bytes::Bytes;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio_rustls::{TlsAcceptor, TlsConnector, client};
use voiddht_identity::{Identity, KeyKind, Policy, client_config, server_config};
use voiddht_node::{Node, Settings};
use voiddht_wire::limits::MAX_NODES;
use voiddht_wire::{Key, Publication};

/// The bytes of a FIND_VALUE: frame, RPC header, key.
const REQUEST_BYTES: usize = 4 + 66 + 32;
const AT_ONCE: usize = 64;
const NODES: usize = 64;
const KEYS: u64 = 1000;

type Group<'a> = BenchmarkGroup<'a, criterion::measurement::WallTime>;

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

fn key(number: u64) -> Key {
    Key::of_value(&number.to_be_bytes())
}

fn tls_echo(c: &mut Criterion) {
    let runtime = runtime();
    let mut stream = runtime.block_on(echo_stream());
    let mut group = c.benchmark_group("tls_echo");
    for at_once in [1, AT_ONCE] {
        group.throughput(Throughput::Elements(at_once as u64));
        let mut buffer = vec![7; REQUEST_BYTES * at_once];
        group.bench_function(format!("{at_once}_at_once"), |bencher| {
            bencher.iter(|| {
                runtime.block_on(async {
                    stream.write_all(&buffer).await.expect("the echo listens");
                    stream.flush().await.expect("the echo listens");
                    stream.read_exact(&mut buffer).await.expect("the echo answers");
                });
            });
        });
    }
    group.finish();
}

/// A TLS connection to a task that sends back what it reads.
async fn echo_stream() -> client::TlsStream<TcpStream> {
    let identity = || {
        let host = IpAddr::V4(Ipv4Addr::LOCALHOST);
        Identity::generate(KeyKind::Ed25519, Policy::SelfCertifying, host).expect("an identity")
    };
    let (server, client) = (identity(), identity());
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
    let address = listener.local_addr().expect("a bound socket has an address");
    let acceptor = TlsAcceptor::from(server_config(&server));
    tokio::spawn(async move {
        let (tcp, _) = listener.accept().await.expect("a connection");
        tcp.set_nodelay(true).expect("a socket");
        let mut tls = acceptor.accept(tcp).await.expect("a handshake");
        let mut buffer = vec![0; REQUEST_BYTES * AT_ONCE];
        while let Ok(read @ 1..) = tls.read(&mut buffer).await {
            tls.write_all(&buffer[..read]).await.expect("the client listens");
            tls.flush().await.expect("the client listens");
        }
    });
    let config = client_config(&client, server.certificate().clone(), None).expect("a certificate");
    let tcp = TcpStream::connect(address).await.expect("the echo listens");
    tcp.set_nodelay(true).expect("a socket");
    let name = ServerName::IpAddress(address.ip().into());
    TlsConnector::from(config).connect(name, tcp).await.expect("a handshake")
}

/// Nodes of which each knows at least the k closest others.
async fn network(count: usize) -> Vec<Node> {
    let mut nodes: Vec<Node> = Vec::new();
    for _ in 0..count {
        let mut settings = Settings::loopback();
        settings.peers =
            nodes.first().map(|first| first.p2p_address().into()).into_iter().collect();
        nodes.push(Node::start(settings).await.expect("a node"));
    }
    for node in &nodes {
        let handle = node.handle();
        let enough = (count - 1).min(MAX_NODES);
        while handle.status().await.expect("a running node").core.contacts.len() < enough {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    nodes
}

/// Messages that these nodes have sent so far.
async fn messages_sent(nodes: &[Node]) -> u64 {
    let mut sent = 0;
    for node in nodes {
        sent += node.handle().status().await.expect("a running node").counts.messages_sent;
    }
    sent
}

fn two_nodes(c: &mut Criterion) {
    let runtime = runtime();
    let nodes = runtime.block_on(network(2));
    let mut group = c.benchmark_group("two_nodes");
    gets(&mut group, &runtime, &nodes, 1);
    gets(&mut group, &runtime, &nodes, AT_ONCE);
    group.finish();
}

fn network_of_64(c: &mut Criterion) {
    let runtime = runtime();
    let begun = Instant::now();
    let nodes = runtime.block_on(network(NODES));
    eprintln!("{NODES} nodes know each other well after {:?}", begun.elapsed());
    runtime.block_on(put_all(&nodes));
    let mut group = c.benchmark_group("network_of_64");
    gets(&mut group, &runtime, &nodes, 1);
    gets(&mut group, &runtime, &nodes, AT_ONCE);
    puts(&mut group, &runtime, &nodes, 1);
    puts(&mut group, &runtime, &nodes, AT_ONCE);
    group.finish();
}

async fn put_all(nodes: &[Node]) {
    for number in 0..KEYS {
        let node = &nodes[number as usize % nodes.len()];
        let put = node.handle().put(Publication::new(key(number), Bytes::from(vec![7; 100]))).await;
        assert!(put.expect("a running node").stored > 0);
    }
}

fn gets(group: &mut Group<'_>, runtime: &Runtime, nodes: &[Node], at_once: usize) {
    let mut number = 0;
    operations(group, runtime, nodes, at_once, "get", || {
        number += 1;
        let handle = nodes[(number * 7) as usize % nodes.len()].handle();
        async move { handle.get(key(number % KEYS)).await.map(drop).expect("a running node") }
    });
}

fn puts(group: &mut Group<'_>, runtime: &Runtime, nodes: &[Node], at_once: usize) {
    let mut number = 0;
    operations(group, runtime, nodes, at_once, "put", || {
        number += 1;
        let handle = nodes[(number * 7) as usize % nodes.len()].handle();
        let value = Bytes::from(vec![number as u8; 100]);
        let put = async move { handle.put(Publication::new(key(number % KEYS), value)).await };
        async move { put.await.map(drop).expect("a running node") }
    });
}

/// Keeps `at_once` operations in flight until all are done.
fn operations<F>(
    group: &mut Group<'_>,
    runtime: &Runtime,
    nodes: &[Node],
    at_once: usize,
    name: &str,
    mut operation: impl FnMut() -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let before = runtime.block_on(messages_sent(nodes));
    let mut done = 0;
    group.throughput(Throughput::Elements(1));
    group.bench_function(format!("{name}_{at_once}_at_once"), |bencher| {
        bencher.iter_custom(|count| {
            done += count;
            runtime.block_on(async {
                let begun = Instant::now();
                let mut running = JoinSet::new();
                for _ in 0..count {
                    if running.len() >= at_once {
                        running.join_next().await;
                    }
                    running.spawn(operation());
                }
                while running.join_next().await.is_some() {}
                begun.elapsed()
            })
        });
    });
    if done > 0 {
        let sent = runtime.block_on(messages_sent(nodes)) - before;
        eprintln!("{:.1} messages for each {name}", sent as f64 / done as f64);
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(3));
    targets = tls_echo, two_nodes, network_of_64
}
criterion_main!(benches);
