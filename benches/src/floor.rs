//! The floor: one request of a FIND_VALUE's size and its echo, over the TLS that voiddht uses,
//! without any node. Once with both ends on one thread, and once across two.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use anyhow::Result;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio_rustls::{TlsAcceptor, TlsConnector, client};
use voiddht_identity::{Identity, KeyKind, Policy, client_config, server_config};

use crate::rows::{self, Figures};
use crate::threads::NodeThread;

/// Frame, RPC header, key.
const REQUEST_BYTES: usize = 4 + 66 + 32;
const REQUESTS: usize = 5000;

pub(crate) async fn measure() -> Result<Figures> {
    let other = NodeThread::start()?;
    let ends = [
        (rows::FLOOR_ONE_THREAD, Handle::current()),
        (rows::FLOOR_TWO_THREADS, other.runtime().clone()),
    ];
    let mut figures = Figures::new();
    for (row, server) in ends {
        figures.insert(row.to_owned(), median(&server).await?.as_secs_f64() * 1000.0);
    }
    Ok(figures)
}

async fn median(server: &Handle) -> Result<Duration> {
    let mut stream = echo(server).await?;
    let (mut buffer, mut latencies) = ([7; REQUEST_BYTES], Vec::new());
    // The first half warms up.
    for _ in 0..2 * REQUESTS {
        let begun = Instant::now();
        stream.write_all(&buffer).await?;
        stream.flush().await?;
        stream.read_exact(&mut buffer).await?;
        latencies.push(begun.elapsed());
    }
    let timed = &mut latencies[REQUESTS..];
    timed.sort_unstable();
    Ok(timed[timed.len() / 2])
}

/// A connection to a task there that sends back what it reads.
async fn echo(server: &Handle) -> Result<client::TlsStream<TcpStream>> {
    let host = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let identity = || Identity::generate(KeyKind::Ed25519, Policy::SelfCertifying, host);
    let (server_identity, client_identity) = (identity()?, identity()?);
    let acceptor = TlsAcceptor::from(server_config(&server_identity));
    // Bound here, used there: a socket belongs to the runtime on which it was made.
    let listener = std::net::TcpListener::bind((host, 0))?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    server.spawn(async move {
        let (tcp, _) = TcpListener::from_std(listener)?.accept().await?;
        tcp.set_nodelay(true)?;
        let mut tls = acceptor.accept(tcp).await?;
        let mut buffer = [0; REQUEST_BYTES];
        while let read @ 1.. = tls.read(&mut buffer).await? {
            tls.write_all(&buffer[..read]).await?;
            tls.flush().await?;
        }
        anyhow::Ok(())
    });
    let config = client_config(&client_identity, server_identity.certificate().clone(), None)?;
    let tcp = TcpStream::connect(address).await?;
    tcp.set_nodelay(true)?;
    let name = ServerName::IpAddress(address.ip().into());
    Ok(TlsConnector::from(config).connect(name, tcp).await?)
}
