//! Hostile peers against running nodes, to see on real processes what a defence is worth.
//!
//! ```sh
//! cargo run --release -p voiddht-node --example identities -- flood 127.0.0.1:7402 127.0.0.1:7404
//! ```
//!
//! * `flood NODE…`: one identity stores values of 65 kB with the longest TTL until each node
//!   refuses 50 of them in a row.
//! * `floods NODE…`: eight identities do so one after the other.
//! * `flush NODE…`: 300 identities join one after the other, are accepted as contacts, and say
//!   goodbye.
//! * `drain NODE…`: one fresh identity joins, listens, and counts what it is handed for 40 s.
//! * `unknown NODE…`: one identity sends messages of a type that no version knows.

#![allow(clippy::print_stdout, reason = "what it has seen is its result")]

mod peer;

use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use peer::{Connection, Failure, identity};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use voiddht_identity::Identity;
use voiddht_wire::Key;
use voiddht_wire::peer::{Body, ErrorCode, Record};

/// Refusals in a row after which a store is taken to be full.
const REFUSALS: u32 = 50;
/// Values that one flood sends to each node at the most.
const MOST_VALUES: u32 = 16_384;
/// Identities of `floods`.
const FLOODERS: u32 = 8;
/// Identities of a `flush`.
const IDENTITIES: u32 = 300;
/// How long a `drain` listens.
const LISTENS: Duration = Duration::from_secs(40);

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((attack, nodes)) = arguments.split_first() else {
        return Err("usage: identities flood|floods|flush|drain|unknown NODE…".into());
    };
    let nodes: Vec<SocketAddr> = nodes.iter().map(|node| node.parse()).collect::<Result<_, _>>()?;
    match attack.as_str() {
        "flood" => flood(1, &nodes).await,
        "floods" => flood(FLOODERS, &nodes).await,
        "flush" => flush(&nodes).await,
        "drain" => drain(&nodes).await,
        "unknown" => unknown(&nodes).await,
        other => Err(format!("no attack is called {other}").into()),
    }
}

async fn flood(identities: u32, nodes: &[SocketAddr]) -> Result<(), Failure> {
    for _ in 0..identities {
        flood_as(&identity()?, nodes).await?;
    }
    Ok(())
}

async fn flood_as(identity: &Identity, nodes: &[SocketAddr]) -> Result<(), Failure> {
    println!("node {} floods", identity.node_id().short());
    let started = Instant::now();
    for node in nodes {
        let mut connection = Connection::open(identity, *node, 0).await?;
        let (mut stored, mut refused, mut number) = (0u32, 0u32, 0u64);
        while refused < REFUSALS && stored < MOST_VALUES {
            number += 1;
            let record = Record {
                key: Key::of_value(
                    &[&number.to_be_bytes()[..], &identity.node_id().to_bytes()].concat(),
                ),
                value: Bytes::from(vec![0xff; 65_000]),
                ttl: u16::MAX,
                version: Some(milliseconds()?),
                maintenance: false,
            };
            match connection.ask(Body::Store(record)).await? {
                Body::StoreReply { .. } => (stored, refused) = (stored + 1, 0),
                _ => refused += 1,
            }
        }
        println!("{node}: {stored} values of 65 kB stored ({} MiB)", (stored * 65) >> 10);
    }
    println!("after {:.1} s", started.elapsed().as_secs_f64());
    Ok(())
}

async fn flush(nodes: &[SocketAddr]) -> Result<(), Failure> {
    let started = Instant::now();
    for _ in 0..IDENTITIES {
        let identity = identity()?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let pushed = identity.pushed();
        let probes = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                // A probe reads the certificate and goes away.
                let _ = stream.write_all(&pushed).await;
                let _ = stream.shutdown().await;
            }
        });
        for node in nodes {
            join_and_leave(&identity, *node, port).await?;
        }
        probes.abort();
    }
    println!("{IDENTITIES} identities after {:.1} s", started.elapsed().as_secs_f64());
    Ok(())
}

/// Becomes a contact, and says goodbye.
async fn join_and_leave(identity: &Identity, node: SocketAddr, port: u16) -> Result<(), Failure> {
    let mut connection = Connection::open(identity, node, port).await?;
    connection.ask(Body::Ping).await?;
    // The probe of the listening address needs no longer on loopback.
    tokio::time::sleep(Duration::from_millis(5)).await;
    connection.set_port(0);
    connection.ask(Body::Ping).await?;
    Ok(())
}

async fn drain(nodes: &[SocketAddr]) -> Result<(), Failure> {
    let identity = identity()?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    let pushed = identity.pushed();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.write_all(&pushed).await;
            let _ = stream.shutdown().await;
        }
    });
    let started = Instant::now();
    let mut listening = Vec::new();
    for node in nodes {
        let mut connection = Connection::open(&identity, *node, port).await?;
        connection.send(Body::Ping).await?;
        listening.push(tokio::spawn(count(connection, started)));
    }
    let mut arrivals = Vec::new();
    for one in listening {
        arrivals.extend(one.await?);
    }
    arrivals.sort_unstable();
    let total: usize = arrivals.iter().map(|(_, bytes)| bytes).sum();
    for second in [1, 4, 10, 20, 30, 40] {
        let until = Duration::from_secs(second);
        let bytes: usize = arrivals.iter().filter(|(at, _)| *at <= until).map(|(_, it)| it).sum();
        println!("after {second:>2} s: {:.2} MiB", bytes as f64 / f64::from(1 << 20));
    }
    println!("{} records, {total} bytes", arrivals.len());
    Ok(())
}

/// Takes every STORE that comes, and says when, and of how many bytes.
async fn count(mut connection: Connection, started: Instant) -> Vec<(Duration, usize)> {
    let mut arrivals = Vec::new();
    let end = started + LISTENS;
    while let Ok(Ok(message)) = tokio::time::timeout_at(end.into(), connection.receive()).await {
        let reply = match message.body {
            Body::Store(record) => {
                arrivals.push((started.elapsed(), record.value.len()));
                Body::StoreReply { key: record.key }
            }
            Body::Ping => Body::PingReply { observed: None },
            Body::FindNode { .. } | Body::FindValue { .. } => {
                Body::FindNodeReply { nodes: Vec::new() }
            }
            _ => continue,
        };
        if connection.answer(message.header.rpc_id, reply).await.is_err() {
            break;
        }
    }
    arrivals
}

async fn unknown(nodes: &[SocketAddr]) -> Result<(), Failure> {
    let identity = identity()?;
    for node in nodes {
        for time in 1..=5 {
            let outcome = send_unknown(&identity, *node).await;
            let text = match &outcome {
                Ok(code) => format!("answered by {code:?}, and a PING after it too"),
                Err(failure) => format!("failed: {failure}"),
            };
            println!("{node}: message {time} of type 664: {text}");
        }
    }
    Ok(())
}

async fn send_unknown(identity: &Identity, node: SocketAddr) -> Result<Option<ErrorCode>, Failure> {
    let mut connection = Connection::open(identity, node, 0).await?;
    connection.ask(Body::Ping).await?;
    let mut frame = vec![0, 70, 2, 152];
    frame.extend_from_slice(&identity.node_id().to_bytes());
    frame.extend_from_slice(&[0, 0]);
    frame.extend_from_slice(&[9; 32]);
    connection.send_bytes(&frame).await?;
    let code = match connection.receive().await?.body {
        Body::Error(code) => Some(code),
        _ => None,
    };
    connection.ask(Body::Ping).await?;
    Ok(code)
}

fn milliseconds() -> Result<u64, Failure> {
    Ok(u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?)
}
