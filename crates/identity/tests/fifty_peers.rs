//! Fifty peers whose certificates all have the same subject, as the original network's have, met in
//! random order: each is known again, every time. There, only the first of them was (docs/trust.md).

// The helpers of a test may fail as it may.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;

use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom;
use rustls::ClientConfig;
use support::forge::{Forge, ID_OID, extension, name};
use support::wire::connect;
use support::{NOW, identity};
use voiddht_core::time::{Moment, Now, WallTime};
use voiddht_identity::{
    AcceptedPeer, Certificate, Identity, KeyKind, PinLimits, Pins, Policy, ProvedPeer, Verdict,
    accepted_peer, client_config, dialed_peer, server_config,
};
use voiddht_wire::PeerAddress;

const PEERS: usize = 50;
const ROUNDS: u64 = 4;

/// A peer with a certificate of the original's kind, as far as the subject goes.
struct Peer {
    forge: Forge,
    pushed: Certificate,
}

impl Peer {
    fn new(number: u8) -> Self {
        let mut forge = Forge::right(KeyKind::Ed25519);
        let subject = name("TUM, Technical University Munich. Voidphone DHT project");
        (forge.subject, forge.issuer) = (subject.clone(), subject);
        forge.extensions[1] = extension(ID_OID, false, &[number; 32]);
        let pushed = Certificate::parse_der(&forge.der(), Policy::Tofu, NOW).unwrap();
        Self { forge, pushed }
    }

    /// What a node that dials it has proved.
    fn dialed_by(&self, node: &Identity) -> ProvedPeer {
        let client = client_config(node, self.pushed.clone(), None).unwrap();
        let mut server = rustls::ServerConfig::clone(&server_config(node));
        server.cert_resolver = self.forge.shown();
        server.alpn_protocols.clear();
        let ends = connect(client, Arc::new(server)).unwrap();
        dialed_peer(&ends.client, &self.pushed, node).unwrap()
    }

    /// What a node has proved that it dials.
    fn dials(&self, node: &Identity) -> ProvedPeer {
        let pushed = Certificate::parse_pushed(&node.pushed()[4..], Policy::Tofu, NOW).unwrap();
        let mut client = ClientConfig::clone(&client_config(node, pushed, None).unwrap());
        client.client_auth_cert_resolver = self.forge.shown();
        let ends = connect(Arc::new(client), server_config(node)).unwrap();
        match accepted_peer(&ends.server, node, NOW).unwrap() {
            AcceptedPeer::Proved(proved) => proved,
            AcceptedPeer::Unproved => panic!("it has shown its certificate"),
        }
    }
}

#[test]
fn fifty_that_share_a_subject_are_all_known_again_in_any_order() {
    let peers: Vec<Peer> = (1..=PEERS as u8).map(Peer::new).collect();
    let node = identity(KeyKind::Ed25519, Policy::Tofu);
    let now = Now::never_suspended(Moment::default(), WallTime::from_millis(NOW * 1000));
    let at = |peer: &Peer| {
        PeerAddress::new(support::HOST, u16::from(peer.pushed.node_id().to_bytes()[0]))
    };
    for seed in 0..ROUNDS {
        let mut order: Vec<&Peer> = peers.iter().collect();
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut pins = Pins::new(node.certificate().clone(), PinLimits::default());
        order.shuffle(&mut random);
        for peer in &order {
            assert_eq!(pins.observe(&peer.dialed_by(&node), at(peer), now), Verdict::Pinned);
        }
        order.shuffle(&mut random);
        let known = order.iter().filter(|peer| {
            let (there, here) = (peer.dialed_by(&node), peer.dials(&node));
            pins.observe(&there, at(peer), now) == Verdict::Known
                && pins.observe(&here, at(peer), now) == Verdict::Known
        });
        assert_eq!(known.count(), PEERS, "seed {seed}");
        // And after a restart, from what lies on disk.
        let mut again = Pins::new(node.certificate().clone(), PinLimits::default());
        assert_eq!(again.restore(pins.records().collect(), Policy::Tofu, now), []);
        order.shuffle(&mut random);
        for peer in &order {
            assert_eq!(again.observe(&peer.dials(&node), at(peer), now), Verdict::Known);
        }
        assert_eq!((again.counters().conflicts, again.checks_under_way()), (0, 0));
    }
}
