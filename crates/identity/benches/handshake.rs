//! What a handshake between two nodes costs, both ends on one thread, without sockets: with each key
//! exchange group, in a public network and in a private one.
//!
//! A handshake is all that both sides compute: reading the pushed certificate, TLS with two certificates,
//! the checks after it; in a private network also opening the push, the exporter on both sides, two
//! proofs, their verification, and the records of TLS that carry them. So the difference between public
//! and private, of the same group and in one run, is the cost of membership.

#![allow(missing_docs, reason = "criterion's macros write undocumented functions")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::hint::black_box;
use std::io::{Read, Write};
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use rustls::{ConnectionCommon, ServerConfig, SideData};
use support::wire::{Ends, connect};
use support::{NOW, identity};
use voiddht_identity::network::{Exchange, Membership, NetworkSecrets, PROOF_BYTES, exporter};
use voiddht_identity::{
    AcceptedPeer, Certificate, Identity, KeyExchange, KeyKind, Policy, accepted_peer,
    client_config, dialed_peer, server_config,
};

const POLICY: Policy = Policy::SelfCertifying;

/// One end.
struct Node {
    identity: Identity,
    membership: Option<Membership>,
    server: Arc<ServerConfig>,
}

impl Node {
    fn new(key_exchange: KeyExchange, is_private: bool) -> Self {
        let identity = identity(KeyKind::Ed25519, POLICY).with_key_exchange(key_exchange);
        let membership = is_private.then(|| {
            let secrets = NetworkSecrets::parse(&"ab".repeat(32)).expect("a secret");
            Membership::new(secrets, &identity, [7; 12]).expect("a short certificate")
        });
        Self { server: server_config(&identity), identity, membership }
    }

    fn pushed(&self) -> bytes::Bytes {
        let sealed = self.membership.as_ref().map(|membership| membership.push().to_bytes());
        sealed.unwrap_or_else(|| self.identity.pushed())
    }

    fn read_pushed(&self, pushed: &[u8]) -> Certificate {
        match &self.membership {
            Some(membership) => membership.open(pushed, POLICY, NOW).expect("a member's").0,
            None => Certificate::parse_pushed(pushed, POLICY, NOW).expect("a node's"),
        }
    }
}

fn handshake(client: &Node, server: &Node) {
    let pushed = client.read_pushed(&server.pushed()[4..]);
    let config =
        client_config(&client.identity, pushed.clone(), None).expect("a right certificate");
    let mut ends = connect(config, Arc::clone(&server.server)).expect("a handshake");
    let there = dialed_peer(&ends.client, &pushed, &client.identity).expect("a node");
    let here = accepted_peer(&ends.server, &server.identity, NOW).expect("a node");
    let AcceptedPeer::Proved(here) = here else { panic!("it has shown its certificate") };
    if let (Some(of_client), Some(of_server)) = (&client.membership, &server.membership) {
        let at_client = exporter(&ends.client).expect("the handshake is over");
        let at_server = exporter(&ends.server).expect("the handshake is over");
        let by_client = of_client.as_client(at_client, there.node_id());
        let by_server = of_server.as_server(at_server, here.node_id());
        prove(&mut ends, (of_client, &by_client), (of_server, &by_server));
    }
    black_box((there, here));
}

/// Both proofs, as they cross the connection.
fn prove(ends: &mut Ends, client: (&Membership, &Exchange), server: (&Membership, &Exchange)) {
    let Ends { client: at_client, server: at_server, .. } = ends;
    let proof = carry(at_client, at_server, client.0.prove(client.1));
    server.0.verify(server.1, &proof).expect("the client is a member");
    let proof = carry(at_server, at_client, server.0.prove(server.1));
    client.0.verify(client.1, &proof).expect("the server is a member");
}

fn carry<A: SideData, B: SideData>(
    from: &mut ConnectionCommon<A>,
    to: &mut ConnectionCommon<B>,
    proof: [u8; PROOF_BYTES],
) -> [u8; PROOF_BYTES] {
    from.writer().write_all(&proof).expect("a buffer");
    let mut bytes = Vec::new();
    from.write_tls(&mut bytes).expect("a buffer");
    to.read_tls(&mut &bytes[..]).expect("a buffer");
    to.process_new_packets().expect("a record");
    let mut arrived = [0; PROOF_BYTES];
    to.reader().read_exact(&mut arrived).expect("all of it has come");
    arrived
}

fn handshakes(c: &mut Criterion) {
    let mut group = c.benchmark_group("handshake");
    for (name, key_exchange) in
        [("x25519", KeyExchange::classical()), ("x25519mlkem768", KeyExchange::hybrid())]
    {
        for (network, is_private) in [("public", false), ("private", true)] {
            let [client, server] = [(); 2].map(|()| Node::new(key_exchange.clone(), is_private));
            group.bench_function(format!("{name}/{network}"), |bencher| {
                bencher.iter(|| handshake(&client, &server));
            });
        }
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(100)
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(5));
    targets = handshakes
}
criterion_main!(benches);
