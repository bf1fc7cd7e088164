//! What the core reports: counted, logged, shown, and acted on where the announced port follows.

use voiddht_core::configured::{ConfiguredPeer, PeerState};
use voiddht_core::event::Notice;
use voiddht_core::peer_clocks::ClockEstimate;
use voiddht_core::time::Now;

use super::Driver;
use crate::log_limit::{Line, log_limited};

impl Driver {
    pub(super) fn notice(&mut self, now: Now, notice: &Notice) {
        self.context.counters.notice(notice);
        self.observer.notice(now, notice);
        self.context.subscribers.notice(notice);
        let logs = &self.context.counters.logs;
        match notice {
            Notice::Joined { contacts } => {
                tracing::info!(contacts, "joined the network");
                self.joined.send_replace(true);
            }
            Notice::Isolated => {
                log_limited!(
                    logs,
                    Line::Isolated,
                    warn,
                    "no contact is left: trying to find the network again"
                );
            }
            Notice::JoinFailed { retry_in } => {
                log_limited!(
                    logs,
                    Line::Isolated,
                    warn,
                    ?retry_in,
                    "none of the known peers answered: trying again"
                );
            }
            Notice::PeerChanged { peer, state } => {
                log_peer(peer, state);
                if self.session.core().is_joined() {
                    self.joined.send_replace(true);
                }
            }
            Notice::Misbehaviour { peer, what } => {
                log_limited!(logs, Line::Misbehaviour, info, peer = peer.short(), rule = %what,
                    "a peer misbehaved");
            }
            Notice::Banned { peer, lasts } => {
                log_limited!(
                    logs,
                    Line::Banned,
                    warn,
                    peer = peer.short(),
                    ?lasts,
                    "a peer is banned"
                );
            }
            Notice::KeepEnded { key, state } => {
                // No more lines than values that this node's own users keep.
                tracing::info!(%key, %state, "a value is kept no longer");
            }
            Notice::KeepAdopted { key } => {
                tracing::info!(%key, "a newer signed value is kept in place of an older one");
            }
            Notice::LimitReached { limit } => {
                tracing::debug!(limit = limit.name(), "a limit is reached");
            }
            Notice::AccountLimited { account, used, evicted } => {
                self.account_limits.log(now.mono, account, *used, *evicted);
            }
            Notice::ContactAdded(contact) => {
                self.contact_log.changed(contact, true, now.mono);
            }
            Notice::ContactRemoved(contact) => {
                self.contact_log.changed(contact, false, now.mono);
            }
            Notice::ClockWrong(clock) => {
                let ClockEstimate { ahead_ms, at_least, contacts } = *clock;
                tracing::warn!(
                    ahead_seconds = ahead_ms / 1000,
                    at_least,
                    contacts,
                    "this machine's clock is wrong: set it by NTP, or values will be refused"
                );
            }
            Notice::ClockRight => tracing::info!("this machine's clock is right again"),
            Notice::DuplicateIdentity { address } => tracing::error!(
                %address,
                "another process has this node's identity: peers reach one or the other"
            ),
            Notice::Unreachable { asked } => {
                let port = self.context.own_address.now().announced.port();
                tracing::warn!(
                    asked,
                    port,
                    "unreachable: no contact dialled this node back; it is a client until one does"
                );
                self.context.own_address.set_client(true);
            }
            Notice::Reachable => {
                tracing::info!("reachable: a peer dialled this node");
                self.context.own_address.set_client(false);
            }
            Notice::RequestEnded { .. }
            | Notice::KeepPublished { .. }
            | Notice::StoreRefused { .. }
            | Notice::StoreRejected { .. }
            | Notice::LookupEnded { .. } => {}
        }
    }
}

/// Says what has become of a configured peer.
fn log_peer(peer: &ConfiguredPeer, state: &PeerState) {
    match state {
        PeerState::Untried => {}
        PeerState::Joined { node, address } => {
            let node = node.short();
            tracing::info!(%peer, node, %address, "configured peer is part of the network");
        }
        PeerState::Split { node, address } => {
            let node = node.short();
            tracing::warn!(
                %peer, node, %address,
                "network split: a configured peer belongs to another network; joining both"
            );
        }
        PeerState::Failed(reason) => {
            let advice = reason.advice();
            tracing::warn!(%peer, %reason, advice, "cannot join through a configured peer");
        }
        PeerState::OwnNode => {
            tracing::warn!(%peer, "a configured peer is this node itself: dropped from the list");
        }
    }
}
