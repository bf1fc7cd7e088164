//! Shared by the unit tests of this crate: a context without a driver.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use voiddht_identity::network::NetworkSecrets;
use voiddht_identity::{Identity, KeyKind, Policy, server_config};
use voiddht_wire::PeerAddress;
use voiddht_wire::peer::NodeInfo;

use crate::clock::Clock;
use crate::context::Context;
use crate::counters::Counters;
use crate::event::Event;
use crate::limits::Limits;
use crate::network::{self, Network};
use crate::outbox::Budget;
use crate::own_address::{Addresses, OwnAddress};

pub(crate) const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A context of its own identity, and the inbox that its driver would read.
pub(crate) fn context(policy: Policy, limits: Limits) -> (Arc<Context>, mpsc::Receiver<Event>) {
    let identity = Identity::generate(KeyKind::Ed25519, policy, LOOPBACK).unwrap();
    context_of(identity, limits)
}

/// The context of a member of a private network.
pub(crate) fn private_context(secrets: &str) -> (Arc<Context>, mpsc::Receiver<Event>) {
    let identity = Identity::generate(KeyKind::Ed25519, Policy::SelfCertifying, LOOPBACK).unwrap();
    let membership = network::seal(NetworkSecrets::parse(secrets).unwrap(), &identity).unwrap();
    let network = Network::new(PathBuf::new(), membership);
    build(identity, Some(network), Limits::default())
}

pub(crate) fn context_of(
    identity: Identity,
    limits: Limits,
) -> (Arc<Context>, mpsc::Receiver<Event>) {
    build(identity, None, limits)
}

fn build(
    identity: Identity,
    network: Option<Network>,
    limits: Limits,
) -> (Arc<Context>, mpsc::Receiver<Event>) {
    let (inbox, events) = mpsc::channel(limits.inbox_events);
    let context = Context {
        server_config: server_config(&identity),
        network,
        own: NodeInfo { address: PeerAddress::new(LOOPBACK, 7402), id: identity.node_id() },
        identity,
        own_address: OwnAddress::new(
            Addresses {
                bound: SocketAddr::new(LOOPBACK, 7402),
                source: None,
                announced: PeerAddress::new(LOOPBACK, 7402),
                lost: None,
            },
            false,
            false,
        ),
        own_sessions: crate::own_sessions::OwnSessions::default(),
        data_dir: None,
        is_durable: false,
        subscribers: crate::node_events::Subscribers::new(),
        clock: Clock::start(),
        callers: crate::callers::Callers::default(),
        budget: Budget::new(limits.queued_bytes),
        counters: Arc::new(Counters::default()),
        inbox,
        tasks: TaskTracker::new(),
        finish: CancellationToken::new(),
        stop: CancellationToken::new(),
        accepted: AtomicU64::new(0),
        limits,
    };
    (Arc::new(context), events)
}
