//! The small world in which any input is made: few peers, keys and values, so that inputs meet
//! again and again, and each of them odd in some way.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::LazyLock;
use std::time::Duration;

use bytes::Bytes;
use voiddht_core::Config;

use voiddht_core::configured::PeerName;
use voiddht_core::peer::Peer;
use voiddht_core::quota::requests::{Rate, RequestLimits};
use voiddht_core::record::RecordLimits;
use voiddht_wire::limits::MAX_VALUE_BYTES;
use voiddht_wire::peer::{ErrorCode, NodeInfo};
use voiddht_wire::{Key, NodeId, PeerAddress};

/// Peers that exist. The fuzzer names them by number, modulo this.
pub(crate) const PEERS: u8 = 32;
/// When the world begins, by the wall clock, in milliseconds since 1970.
pub(crate) const WALL_START: u64 = 1_800_000_000_000;

/// The node under test.
pub(crate) fn own() -> NodeInfo {
    NodeInfo { address: address(255), id: NodeId::from_bytes([0x5a; 32]) }
}

/// The one name of a configured peer.
pub(crate) fn name() -> PeerName {
    PeerName::new("peers.example:7402").expect("it is short")
}

/// Settings from eight bytes: everything small, so that limits are met.
pub(crate) fn config(choices: [u8; 8]) -> Config {
    let pick = |index: usize, from: &[usize]| from[usize::from(choices[index]) % from.len()];
    let k = pick(0, &[20, 1, 2, 3, 8]);
    let records = pick(5, &[1 << 20, 1, 4, 16]);
    let interval = |index| Duration::from_secs(pick(index, &[3600, 1, 10, 86_400]) as u64);
    Config {
        k,
        alpha: pick(1, &[3, 1, 20]).min(k),
        b: pick(1, &[5, 1, 8]),
        disjoint_paths: pick(2, &[5, 1, 2, 16]),
        vote_quorum: pick(3, &[5, 1, 2, 20]).min(k),
        replication: pick(3, &[20, 1, 4]).min(k),
        max_operations: pick(4, &[4096, 1, 3, 80]),
        records: RecordLimits::of_size(records, pick(5, &[256 << 20, 2048, 1 << 16])),
        requests: request_limits(choices[4]),
        refresh_interval: interval(6),
        upkeep_interval: interval(7),
        trace_steps: choices[6] & 0x80 != 0,
        ..Config::default()
    }
}

fn request_limits(choice: u8) -> RequestLimits {
    let slow = Rate { per_second: 1, burst: 3 };
    match choice & 0x80 {
        0 => RequestLimits::default(),
        _ => {
            RequestLimits { per_peer: slow, per_prefix: slow, count_private: true, max_tracked: 2 }
        }
    }
}

/// Peer `number`: most are anywhere, the last eight nearer to the node under test than chance
/// would have them, and neighbours of one another.
pub(crate) fn peer(number: u8) -> NodeInfo {
    static ALL: LazyLock<Vec<NodeInfo>> = LazyLock::new(|| (0..PEERS).map(make_peer).collect());
    ALL[usize::from(number % PEERS)]
}

fn make_peer(number: u8) -> NodeInfo {
    let id = if number < 24 {
        Key::of_value(&[number]).to_bytes()
    } else {
        let mut near = own().id.to_bytes();
        near[usize::from(number) % 32] ^= number;
        near
    };
    NodeInfo { address: address(number), id: NodeId::from_bytes(id) }
}

/// Loopback, public IPv4 of a few prefixes, and IPv6.
fn address(number: u8) -> PeerAddress {
    let ip: IpAddr = match number % 3 {
        0 => Ipv4Addr::new(127, 0, 0, 1).into(),
        1 => Ipv4Addr::new(203, 0, 113 + number % 2, number).into(),
        _ => Ipv6Addr::new(0x2001, 0xdb8, u16::from(number % 4), 0, 0, 0, 0, u16::from(number))
            .into(),
    };
    PeerAddress::new(ip, 7000 + u16::from(number))
}

/// How a peer is connected: from its listener or another port, proved or only claimed.
pub(crate) fn connected_peer(number: u8, proved: bool, dialed: bool) -> Peer {
    let NodeInfo { address, id } = peer(number);
    let remote = if dialed { address } else { address.with_port(50_000) };
    if proved { Peer::danger_assume_proved(id, remote) } else { Peer::claimed(id, remote) }
}

/// A node that a peer names: mostly one that exists, else an address that cannot be dialled, an ID
/// made up near the node under test or near key 0, or the node under test itself.
pub(crate) fn named_node(choice: u8) -> NodeInfo {
    let mut node = peer(choice);
    match choice {
        200..=215 => node.address = node.address.with_port(0),
        216..=223 => node.address = PeerAddress::new(Ipv4Addr::UNSPECIFIED.into(), 1),
        224..=239 => node.id = ground(own().id.as_key(), choice),
        240..=253 => node.id = ground(key(0), choice),
        254 => node.id = own().id,
        255 => node = own(),
        _ => {}
    }
    node
}

fn ground(near: Key, choice: u8) -> NodeId {
    let mut bytes = near.to_bytes();
    bytes[31] ^= choice;
    NodeId::from_bytes(bytes)
}

/// Keys: two that values prove, one that is the own ID, one a peer's, and others.
pub(crate) fn key(number: u8) -> Key {
    static ALL: LazyLock<Vec<Key>> = LazyLock::new(|| (0..16).map(make_key).collect());
    ALL[usize::from(number % 16)]
}

fn make_key(number: u8) -> Key {
    match number {
        0 | 1 => Key::of_value(&value(number)),
        2 => own().id.as_key(),
        3 => peer(3).id.as_key(),
        other => Key::of_value(&[other, other]),
    }
}

/// Values: small ones, and the largest. No two are equally long.
pub(crate) fn value(number: u8) -> Bytes {
    static ALL: LazyLock<Vec<Bytes>> = LazyLock::new(|| {
        let bytes = |number| if number == 7 { MAX_VALUE_BYTES } else { 1 + usize::from(number) };
        (0..8).map(|number| Bytes::from(vec![number; bytes(number)])).collect()
    });
    ALL[usize::from(number % 8)].clone()
}

/// Lives in seconds, as the wire has them.
pub(crate) fn ttl(choice: u8) -> u16 {
    [600, 0, 1, 2, 60, 7200, u16::MAX][usize::from(choice) % 7]
}

/// Versions, by the wall clock of the node under test.
pub(crate) fn version(choice: u8, wall_millis: u64) -> Option<u64> {
    let minutes = |count: u64| count * 60_000;
    match choice % 9 {
        0 => Some(wall_millis),
        1 => None,
        2 => Some(0),
        3 => Some(1),
        4 => Some(wall_millis.saturating_add(1)),
        5 => Some(wall_millis.saturating_add(minutes(4))),
        6 => Some(wall_millis.saturating_add(minutes(10))),
        7 => Some(wall_millis.saturating_sub(minutes(1))),
        _ => Some(u64::MAX),
    }
}

/// Spans of time, from nothing to a month.
pub(crate) fn span(choice: u8) -> Duration {
    let millis = |count| Duration::from_millis(count);
    match choice % 12 {
        0 => Duration::ZERO,
        1 => Duration::from_micros(1),
        2 => millis(1),
        3 => millis(21),
        4 => millis(250),
        5 => millis(1000),
        6 => millis(2000),
        7 => millis(10_000),
        8 => millis(60_000),
        9 => millis(700_000),
        10 => millis(3_600_000),
        _ => millis(30 * 86_400_000),
    }
}

/// Every code that a peer may answer with.
pub(crate) fn error_code(choice: u8) -> ErrorCode {
    ErrorCode::from_u16(10 + u16::from(choice % 5))
}
