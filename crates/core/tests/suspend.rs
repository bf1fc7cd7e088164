//! A machine that is suspended: deadlines of records go on, timers do not.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use voiddht_core::event::{Input, Output};
use voiddht_core::peer::{ConnectionId, Peer};
use voiddht_core::time::{BootTime, Moment, Now, WallTime};
use voiddht_core::{Config, Node};
use voiddht_wire::peer::{Body, ErrorCode, Header, Message, NodeInfo, Record};
use voiddht_wire::{Key, NodeId, RpcId};

const WALL: u64 = 1_700_000_000_000;

struct Host {
    node: Node,
    asked: u8,
}

fn info(number: u8) -> NodeInfo {
    let address = SocketAddr::from(([192, 0, 2, number], 7402));
    NodeInfo { address: address.into(), id: NodeId::from_bytes([number; 32]) }
}

/// So many seconds awake, and so many suspended.
fn now(awake: u64, suspended: u64) -> Now {
    Now {
        mono: Moment::from_micros(awake * 1_000_000),
        boot: BootTime::from_micros((awake + suspended) * 1_000_000),
        wall: WallTime::from_millis(WALL + 1000 * (awake + suspended)),
    }
}

fn copy(key: u8, ttl: u16, now: Now, maintenance: bool) -> Body {
    Body::Store(Record {
        key: Key::from_bytes([key; 32]),
        value: Bytes::from_static(b"value"),
        ttl,
        version: Some(now.wall.as_millis()),
        maintenance,
    })
}

impl Host {
    fn new() -> Self {
        let seed = ChaCha8Rng::seed_from_u64(1);
        Self { node: Node::new(info(1), Config::default(), seed).unwrap(), asked: 0 }
    }

    /// The answer to a request of a peer.
    fn ask(&mut self, now: Now, body: Body) -> Body {
        self.asked += 1;
        let rpc_id = RpcId::from_bytes([self.asked; 32]);
        let header = Header { sender: info(2).id, port: 7402, rpc_id };
        let peer = Peer::danger_assume_proved(info(2).id, info(2).address);
        let message = Message { header, body };
        self.node.handle_input(now, Input::Received { connection: ConnectionId(1), peer, message });
        let mut answer = None;
        while let Some(output) = self.node.poll_output() {
            match output {
                Output::Persist { ticket, .. } => {
                    self.node.handle_input(now, Input::Persisted { ticket, durable: true });
                }
                Output::Reply { message, .. } => answer = Some(message.body),
                _ => {}
            }
        }
        answer.unwrap()
    }

    fn finds(&mut self, now: Now, key: u8) -> bool {
        let body = Body::FindValue { key: Key::from_bytes([key; 32]) };
        matches!(self.ask(now, body), Body::FindValueReply(_))
    }
}

/// A replica that was suspended past a value's expiry served it again.
#[test]
fn a_value_ends_while_the_machine_is_suspended() {
    let mut host = Host::new();
    let stored = host.ask(now(1, 0), copy(1, 20, now(1, 0), false));
    assert!(matches!(stored, Body::StoreReply { .. }));
    assert!(host.finds(now(5, 0), 1));
    assert!(host.finds(now(5, 14), 1));
    assert!(!host.finds(now(5, 16), 1), "20 s after it was stored, of which it was awake for 4");
    assert!(host.node.records().is_empty(), "and it is dropped");
}

/// What a peer sent before the suspend lies in the socket, with the TTL that was left then.
#[test]
fn what_lay_in_sockets_meanwhile_is_not_taken() {
    for maintenance in [true, false] {
        let mut host = Host::new();
        assert!(!host.finds(now(1, 0), 1));
        let late = || copy(1, 20, now(1, 0), maintenance);
        assert_eq!(host.ask(now(1, 600), late()), Body::Error(ErrorCode::Busy));
        assert!(!host.finds(now(1, 600), 1));
        let taken = host.ask(now(3, 600), copy(1, 20, now(3, 600), maintenance));
        assert!(matches!(taken, Body::StoreReply { .. }), "{taken:?}");
    }
}

#[test]
fn the_wake_up_for_an_expiry_is_on_the_clock_that_stands_still() {
    let mut host = Host::new();
    host.ask(now(1, 0), copy(1, 20, now(1, 0), false));
    assert!(!host.finds(now(2, 4), 9));
    assert!(host.node.next_wakeup().unwrap() <= now(17, 0).mono + Duration::from_millis(1));
}
