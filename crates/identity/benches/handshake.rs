//! What a handshake between two nodes costs, both ends on one thread, without sockets: with each key
//! exchange group, in a public network and in a private one.
//!
//! A handshake is all that both sides compute: reading the pushed certificate, TLS with two certificates,
//! the checks after it; in a private network also opening the push, the exporter on both sides, two
//! proofs, their verification, and the records of TLS that carry them. So the difference between public
//! and private, of the same group and in one run, is the cost of membership.
//!
//! That difference is small, so it is also measured in turns: one handshake of each kind after the other,
//! in processor time, and medians of all. Other work on the machine then meets all kinds alike. The proofs
//! are measured within the very handshakes too: exporter, HMACs, comparison and records, of both sides.

#![allow(clippy::print_stderr, reason = "a benchmark speaks to its caller")]
#![allow(missing_docs, reason = "criterion's macros write undocumented functions")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::hint::black_box;
use std::io::{Read, Write};
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use rustix::time::{ClockId, clock_gettime};
use rustls::{ConnectionCommon, ServerConfig, SideData};
use support::wire::{Ends, connect};
use support::{NOW, identity};
use voiddht_identity::network::{Exchange, Membership, NetworkSecrets, PROOF_BYTES, exporter};
use voiddht_identity::{
    AcceptedPeer, Certificate, Identity, KeyExchange, KeyKind, Policy, accepted_peer,
    client_config, dialed_peer, server_config,
};

/// Handshakes of each kind that are measured in turns.
const TURNS: usize = 2_000;
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

/// The answer is what the proofs took of it, in processor time.
fn handshake(client: &Node, server: &Node) -> Duration {
    let pushed = client.read_pushed(&server.pushed()[4..]);
    let config =
        client_config(&client.identity, pushed.clone(), None).expect("a right certificate");
    let mut ends = connect(config, Arc::clone(&server.server)).expect("a handshake");
    let there = dialed_peer(&ends.client, &pushed, &client.identity).expect("a node");
    let here = accepted_peer(&ends.server, &server.identity, NOW).expect("a node");
    let AcceptedPeer::Proved(here) = here else { panic!("it has shown its certificate") };
    let before = processor_time();
    if let (Some(of_client), Some(of_server)) = (&client.membership, &server.membership) {
        let at_client = exporter(&ends.client).expect("the handshake is over");
        let at_server = exporter(&ends.server).expect("the handshake is over");
        let by_client = of_client.as_client(at_client, there.node_id());
        let by_server = of_server.as_server(at_server, here.node_id());
        prove(&mut ends, (of_client, &by_client), (of_server, &by_server));
    }
    let proofs = processor_time() - before;
    black_box((there, here));
    proofs
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

/// Two nodes of each kind: each group in a public and in a private network.
fn pairs() -> Vec<(String, [Node; 2])> {
    let groups = [("x25519", KeyExchange::classical()), ("x25519mlkem768", KeyExchange::hybrid())];
    let networks = [("public", false), ("private", true)];
    let pairs = groups.iter().flat_map(|(name, groups)| {
        networks.map(|(network, is_private)| {
            let pair = [(); 2].map(|()| Node::new(groups.clone(), is_private));
            (format!("{name}/{network}"), pair)
        })
    });
    pairs.collect()
}

fn handshakes(c: &mut Criterion) {
    let mut group = c.benchmark_group("handshake");
    for (name, [client, server]) in pairs() {
        group.bench_function(name, |bencher| bencher.iter(|| handshake(&client, &server)));
    }
    group.finish();
}

/// Processor time of this thread.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}

fn in_turns(_: &mut Criterion) {
    let pairs = pairs();
    let mut whole = vec![Vec::with_capacity(TURNS); pairs.len()];
    let mut proofs = whole.clone();
    for _ in 0..TURNS {
        for (kind, (_, [client, server])) in pairs.iter().enumerate() {
            let before = processor_time();
            proofs[kind].push(handshake(client, server));
            whole[kind].push(processor_time() - before);
        }
    }
    let whole: Vec<f64> = whole.into_iter().map(median_micros).collect();
    let proofs: Vec<f64> = proofs.into_iter().map(median_micros).collect();
    for ((name, _), (whole, proofs)) in pairs.iter().zip(whole.iter().zip(&proofs)) {
        let share = proofs / whole * 100.0;
        eprintln!("{name:23} {whole:7.1} µs for both sides; proofs {proofs:4.1} µs, {share:.1} %");
    }
    let [classical, private, hybrid, private_hybrid] = whole[..] else { return };
    let more = |of: f64, than: f64| (of / than - 1.0) * 100.0;
    eprintln!("a private network with x25519: {:+.1} %", more(private, classical));
    eprintln!("a private network with x25519mlkem768: {:+.1} %", more(private_hybrid, hybrid));
    eprintln!("x25519mlkem768 instead of x25519: {:+.1} %", more(hybrid, classical));
}

fn median_micros(mut samples: Vec<Duration>) -> f64 {
    samples.sort_unstable();
    samples[samples.len() / 2].as_secs_f64() * 1e6
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(100)
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(5));
    targets = in_turns, handshakes
}
criterion_main!(benches);
