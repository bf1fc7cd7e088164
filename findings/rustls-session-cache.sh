#!/usr/bin/env bash
# rustls 0.23.46: a client with Resumption::in_memory_sessions(256) remembers the sessions of 32
# servers, and if it connects to 33 in turn, it resumes none. The number is divided by the eight
# tickets that a server may have, as only ClientSessionMemoryCache::new() says; the docs of
# Resumption and ClientConfig speak of 256 server names. Eviction is first in, first out, whether or
# not an entry is used. Expected: 256 servers, and beyond that fewer resumptions, not none.
#
# With the 33rd server each reconnection becomes a full handshake. Pass eight times the number of
# servers: `config.resumption = Resumption::in_memory_sessions(8 * servers)`.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/src"
cat >"$work/Cargo.toml" <<'TOML'
[package]
name = "finding"
version = "0.0.0"
edition = "2021"
[dependencies]
rcgen = "=0.14.10"
rustls = { version = "=0.23.46", default-features = false, features = ["ring", "std"] }
TOML
cat >"$work/src/main.rs" <<'RUST'
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::{
    ClientConfig, ClientConnection, HandshakeKind, RootCertStore, ServerConfig, ServerConnection,
};

/// Connects in memory, lets the session tickets arrive, and returns whether a session was resumed.
fn connect(client: &Arc<ClientConfig>, server: &Arc<ServerConfig>, name: String) -> bool {
    let mut client =
        ClientConnection::new(client.clone(), name.try_into().expect("a name")).expect("a client");
    let mut server = ServerConnection::new(server.clone()).expect("a server");
    while client.wants_write() || server.wants_write() {
        let mut bytes = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut bytes).expect("written");
        }
        let mut unread = &bytes[..];
        while !unread.is_empty() {
            server.read_tls(&mut unread).expect("read");
            server.process_new_packets().expect("valid");
        }
        bytes.clear();
        while server.wants_write() {
            server.write_tls(&mut bytes).expect("written");
        }
        let mut unread = &bytes[..];
        while !unread.is_empty() {
            client.read_tls(&mut unread).expect("read");
            client.process_new_packets().expect("valid");
        }
    }
    assert!(!client.is_handshaking() && !server.is_handshaking());
    client.handshake_kind() == Some(HandshakeKind::Resumed)
}

/// Of this many servers, how many resume the session when all are connected to for the second time.
fn resumed(servers: usize, resumption: Resumption) -> usize {
    let made =
        rcgen::generate_simple_self_signed(["*.example.com".to_owned()]).expect("a certificate");
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).expect("a root");
    let mut client = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    client.resumption = resumption;
    let client = Arc::new(client);
    // One configuration per server, so that each has its own store of sessions.
    let servers: Vec<Arc<ServerConfig>> = (0..servers)
        .map(|_| {
            let key = made.signing_key.serialize_der().try_into().expect("a key");
            let server = ServerConfig::builder().with_no_client_auth();
            Arc::new(server.with_single_cert(vec![made.cert.der().clone()], key).expect("a server"))
        })
        .collect();
    let round = || {
        let each = servers.iter().enumerate();
        each.filter(|(index, server)| connect(&client, server, format!("node{index}.example.com")))
            .count()
    };
    assert_eq!(round(), 0);
    round()
}

fn main() {
    for servers in [31, 32, 33, 64, 256] {
        println!("default, {servers} servers: {} resumed", resumed(servers, Resumption::default()));
    }
    for size in [256, 8 * 256] {
        println!(
            "in_memory_sessions({size}), 256 servers: {} resumed",
            resumed(256, Resumption::in_memory_sessions(size))
        );
    }
}
RUST
seen=$(cd "$work" && cargo run --quiet)
echo "rustls 0.23.46, every server for the second time:"
echo "$seen"
wanted='default, 31 servers: 31 resumed
default, 32 servers: 32 resumed
default, 33 servers: 0 resumed
default, 64 servers: 0 resumed
default, 256 servers: 0 resumed
in_memory_sessions(256), 256 servers: 0 resumed
in_memory_sessions(2048), 256 servers: 256 resumed'
[ "$seen" = "$wanted" ] || {
    echo "the behaviour has changed; it was:" >&2
    echo "$wanted" >&2
    exit 1
}
