//! This machine has another address: connections from the old one are closed, and the new one is
//! announced to contacts.
//!
//! A contact learns it from the header of any request: it probes the address that the request came
//! from, and updates its entry. Without such a request it would find out only when its own requests
//! to the old address fail, and drop the node.

use std::collections::VecDeque;
use std::time::Duration;

use voiddht_wire::PeerAddress;
use voiddht_wire::peer::{Body, NodeInfo};

use super::Node;
use super::schedule::Task;
use crate::event::Output;
use crate::request::Purpose;

/// Contacts that are told in one step.
const AT_ONCE: usize = 16;
/// The pause between two steps: a handshake takes a contact a millisecond, and this node as much.
const PAUSE: Duration = Duration::from_millis(200);

/// Contacts that have yet to be told of the new address, the nearest first. No more than the routing
/// table has.
#[derive(Debug, Default)]
pub(super) struct Reintroductions(VecDeque<NodeInfo>);

impl Node {
    /// The node is reached at another address from now on.
    pub(super) fn handle_address_changed(&mut self, address: PeerAddress) {
        self.own.address = address;
        if self.leaving.is_some() {
            return;
        }
        self.reachability.forget();
        for peer in self.connected.clone() {
            self.outputs.push_back(Output::HangUp { peer });
        }
        let own = self.own.id.as_key();
        let mut contacts: Vec<_> = self.table.iter().map(|contact| contact.info()).collect();
        contacts.sort_unstable_by_key(|contact| own.distance(&contact.id));
        self.reintroductions.0 = contacts.into();
        // Not before the driver has closed the old connections.
        self.schedule.set(Task::Reintroduce, self.now.mono + PAUSE);
        self.schedule.cancel(Task::Reach);
        self.plan_reach_check();
        if self.table.is_empty() {
            self.schedule.set(Task::Join, self.now.mono);
        }
    }

    /// Notifies the next contacts.
    pub(super) fn reintroduce(&mut self) {
        if self.leaving.is_some() {
            return;
        }
        for _ in 0..AT_ONCE {
            let Some(contact) = self.reintroductions.0.pop_front() else {
                return self.restart_find_self();
            };
            if self.table.get(&contact.id).is_some() {
                self.request(contact.into(), Body::Ping, Purpose::Liveness);
            }
        }
        self.schedule.set(Task::Reintroduce, self.now.mono + PAUSE);
    }
}
