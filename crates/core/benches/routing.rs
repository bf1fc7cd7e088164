//! What the routing table costs: every request that a node answers asks it for the closest
//! contacts, every message that arrives touches it.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use rand::rngs::ChaCha8Rng;
use rand::{Rng, SeedableRng};
use voiddht_core::contact::AdmittedContact;
use voiddht_core::routing::{RoutingConfig, RoutingTable};
use voiddht_core::time::Moment;
use voiddht_wire::peer::NodeInfo;
use voiddht_wire::{Key, NodeId, PeerAddress};

/// Contacts of the table that is asked.
const CONTACTS: usize = 1_000;
/// Points about which it is asked, in turn.
const TARGETS: usize = 256;

fn random_bytes(random: &mut impl Rng) -> [u8; 32] {
    let mut bytes = [0; 32];
    random.fill_bytes(&mut bytes);
    bytes
}

fn random_node(random: &mut impl Rng) -> NodeInfo {
    NodeInfo {
        address: PeerAddress::new([127, 0, 0, 1].into(), 7402),
        id: NodeId::from_bytes(random_bytes(random)),
    }
}

fn insert(table: &mut RoutingTable, node: NodeInfo) {
    if let Some(admitted) = AdmittedContact::probed(node, true) {
        table.insert(admitted, Moment::default());
    }
}

/// A table of exactly [`CONTACTS`], from as many random nodes as that takes.
fn table(random: &mut impl Rng) -> RoutingTable {
    let own = NodeId::from_bytes(random_bytes(random));
    let mut table = RoutingTable::new(own, RoutingConfig::default());
    while table.len() < CONTACTS {
        insert(&mut table, random_node(random));
    }
    table
}

fn benchmarks(criterion: &mut Criterion) {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let mut table = table(&mut random);
    let targets: Vec<_> =
        (0..TARGETS).map(|_| Key::from_bytes(random_bytes(&mut random))).collect();
    let strangers: Vec<_> = (0..TARGETS).map(|_| random_node(&mut random)).collect();
    let members: Vec<_> = table.iter().map(|contact| *contact.id()).collect();

    let mut found = Vec::new();
    let mut turn = targets.iter().cycle();
    criterion.bench_function("closest 20 of 1000", |bencher| {
        bencher.iter(|| {
            if let Some(target) = turn.next() {
                table.closest(target, 20, &mut found);
            }
            black_box(found.len())
        });
    });
    let mut turn = strangers.iter().cycle();
    criterion.bench_function("wants a stranger", |bencher| {
        bencher.iter(|| turn.next().map(|stranger| table.wants(black_box(stranger))));
    });
    let mut turn = members.iter().cycle();
    criterion.bench_function("a member answered", |bencher| {
        let rtt = Some(Duration::from_millis(1));
        bencher.iter(|| turn.next().map(|id| table.answered(id, rtt, Moment::default())));
    });
    let nodes: Vec<_> = (0..CONTACTS).map(|_| random_node(&mut random)).collect();
    criterion.bench_function("fill a table from 1000 nodes", |bencher| {
        bencher.iter(|| {
            let mut table = RoutingTable::new(NodeId::default(), RoutingConfig::default());
            nodes.iter().for_each(|node| insert(&mut table, *node));
            table.len()
        });
    });
}

criterion_group!(benches, benchmarks);
criterion_main!(benches);
