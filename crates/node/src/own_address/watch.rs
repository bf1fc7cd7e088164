//! Changes of this machine's addresses: noticed, reported, and followed where no address was
//! configured.
//!
//! Looked at every [`INTERVAL`]. Where the node dials from a certain address, the machine loses it by
//! DHCP, by a new prefix or by hand; connections from it are dead then, and no new one can be made.
//! A node that chose the address itself moves to the one from which its peers are reached now, and so
//! does one that took the loopback address because it started before this machine had a network or
//! its name service. A node that leaves the choice to the system only needs new connections.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use voiddht_core::configured::ConfiguredPeer;
use voiddht_wire::PeerAddress;

use super::{Addresses, address_towards, has_address};
use crate::context::Context;
use crate::event::Event;
use crate::listener;
use crate::resolver::Resolver;

/// How often the machine's addresses are looked at: a few system calls.
const INTERVAL: Duration = Duration::from_secs(2);
/// Peers towards which the routing table is asked. Any that is reachable will do.
const MAX_TOWARDS: usize = 8;

/// The listener for peers, which moves with the address, and what it takes to move it.
pub(crate) struct Watch {
    context: Arc<Context>,
    /// Addresses of configured peers: the route to them tells the node's own.
    peers: Vec<SocketAddr>,
    /// The configured peer from which a node on the loopback address learns that it should move.
    /// `None` once that peer is known to run on this machine.
    first: Option<ConfiguredPeer>,
    resolver: Resolver,
    /// Ends the listener.
    listening: CancellationToken,
    /// The address that the system chose to dial from, where it chooses.
    chosen: Option<IpAddr>,
    /// Whether the last attempt to listen on another address failed: said once.
    is_stuck: bool,
}

impl Watch {
    /// Listens for peers.
    pub(crate) fn new(
        context: Arc<Context>,
        listener: TcpListener,
        peers: &[ConfiguredPeer],
    ) -> Self {
        let listening = listen(&context, listener);
        Self {
            context,
            peers: peers.iter().filter_map(address_of).collect(),
            first: peers.first().cloned(),
            resolver: Resolver::default(),
            listening,
            chosen: None,
            is_stuck: false,
        }
    }

    /// Looks after the addresses until the node stops.
    pub(crate) async fn run(mut self) {
        let mut ticks = tokio::time::interval(INTERVAL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let addresses = self.context.own_address.now();
            match addresses.source {
                Some(source) => self.look_at(source, addresses).await,
                None => self.look_at_chosen(addresses).await,
            }
        }
    }

    /// Where the node dials from a certain address.
    async fn look_at(&mut self, source: IpAddr, addresses: Addresses) {
        match (has_address(source), addresses.lost) {
            (true, None) if source.is_loopback() && self.context.own_address.follows() => {
                self.leave_loopback(source, addresses).await;
            }
            (true, None) => {}
            (true, Some(_)) => {
                tracing::info!(address = %source, "this machine has its address again");
                self.change(Addresses { lost: None, ..addresses }).await;
            }
            (false, lost) => {
                if lost.is_none() {
                    tracing::warn!(address = %source, "this machine no longer has the address");
                    let gone = Addresses { lost: Some(source), ..addresses };
                    self.context.own_address.set(gone);
                }
                if self.context.own_address.follows() {
                    self.follow(source, addresses).await;
                }
            }
        }
    }

    /// Moves to the address from which peers are reached now, if there is one.
    async fn follow(&mut self, old: IpAddr, addresses: Addresses) {
        let towards = self.towards().await;
        let new = towards.into_iter().filter_map(address_towards);
        // The loopback address reaches peers on this machine alone.
        if let Some(new) = new.into_iter().find(|new| !new.is_loopback() || old.is_loopback()) {
            self.move_to(new, old, addresses).await;
        }
    }

    /// Moves from the loopback address once the route to the first configured peer leads elsewhere,
    /// as it would have been chosen at the start.
    async fn leave_loopback(&mut self, old: IpAddr, addresses: Addresses) {
        let towards: Vec<SocketAddr> = match &self.first {
            None => return,
            Some(ConfiguredPeer::Address(address)) => vec![address.socket_addr()],
            Some(ConfiguredPeer::Name(name)) => {
                let resolved = self.resolver.resolve(name.clone(), old).await;
                resolved.unwrap_or_default().iter().map(|address| address.socket_addr()).collect()
            }
        };
        match towards.into_iter().find_map(address_towards) {
            Some(new) if new.is_loopback() => self.first = None,
            Some(new) => self.move_to(new, old, addresses).await,
            None => {}
        }
    }

    async fn move_to(&mut self, new: IpAddr, old: IpAddr, addresses: Addresses) {
        let bound = SocketAddr::new(new, addresses.bound.port());
        match TcpListener::bind(bound).await {
            Ok(listener) => {
                self.is_stuck = false;
                self.listening.cancel();
                self.listening = listen(&self.context, listener);
                tracing::info!(%old, %new, "moved to another address of this machine");
                let announced = PeerAddress::new(new, addresses.announced.port());
                self.change(Addresses { bound, source: Some(new), announced, lost: None }).await;
            }
            Err(error) if !self.is_stuck => {
                self.is_stuck = true;
                tracing::warn!(address = %bound, %error, "cannot move to another address: retrying");
            }
            Err(_) => {}
        }
    }

    /// Where the system chooses the address to dial from: connections from another one are dead.
    async fn look_at_chosen(&mut self, addresses: Addresses) {
        let towards = self.towards().await;
        let Some(new) = towards.into_iter().find_map(address_towards) else { return };
        let old = self.chosen.replace(new);
        // A second address, or a better route, takes nothing from the connections that there are.
        if let Some(old) = old.filter(|old| *old != new && !has_address(*old)) {
            tracing::info!(%old, %new, "this machine has another address: connecting anew");
            self.change(addresses).await;
        }
    }

    async fn change(&self, addresses: Addresses) {
        self.context.own_address.set(addresses);
        self.context.tell(Event::AddressChanged(addresses.announced)).await;
    }

    /// Peers that the node wants to reach: configured ones, and some contacts.
    async fn towards(&self) -> Vec<SocketAddr> {
        let mut towards = self.peers.clone();
        let (asking, answer) = oneshot::channel();
        if towards.len() < MAX_TOWARDS
            && self.context.tell(Event::Status(asking)).await
            && let Ok(status) = answer.await
        {
            towards.extend(status.contacts.iter().map(|contact| contact.address.socket_addr()));
        }
        towards.truncate(MAX_TOWARDS);
        towards
    }
}

fn address_of(peer: &ConfiguredPeer) -> Option<SocketAddr> {
    match peer {
        ConfiguredPeer::Address(address) => Some(address.socket_addr()),
        ConfiguredPeer::Name(_) => None,
    }
}

/// Accepts peers until the node stops, or the token that comes back is cancelled.
fn listen(context: &Arc<Context>, listener: TcpListener) -> CancellationToken {
    let until = context.stop.child_token();
    let accepting = listener::run(Arc::clone(context), listener);
    let token = until.clone();
    context.tasks.spawn(async move {
        // Ends by the token alone.
        let _ = token.run_until_cancelled_owned(accepting).await;
    });
    until
}
