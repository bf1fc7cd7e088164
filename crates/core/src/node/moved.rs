//! This machine has another address: connections from the old one are closed, and the new one is
//! announced to contacts.
//!
//! A contact learns it from the header of any request: it probes the address that the request came
//! from, and updates its entry. Without such a request it would find out only when its own requests
//! to the old address fail, and drop the node.

use std::collections::VecDeque;
use std::time::Duration;

use voiddht_wire::peer::{Body, NodeInfo};

use super::context::Context;
use super::schedule::Task;
use crate::request::Purpose;

/// Contacts that are told in one step.
const AT_ONCE: usize = 16;
/// The pause between two steps: a handshake takes a contact a millisecond, and this node as much.
const PAUSE: Duration = Duration::from_millis(200);

/// Contacts that have yet to be told of the new address, the nearest first. No more than the routing
/// table has.
#[derive(Debug, Default)]
pub(super) struct Reintroductions(VecDeque<NodeInfo>);

impl Reintroductions {
    /// The node is reached at another address from now on: it closes the connections that it has,
    /// and plans to announce itself to its contacts.
    pub(super) fn start(&mut self, cx: &mut Context) {
        for peer in cx.connected.clone() {
            cx.hang_up(peer);
        }
        let own = cx.own.id.as_key();
        let mut contacts: Vec<_> = cx.table.iter().map(|contact| contact.info()).collect();
        contacts.sort_unstable_by_key(|contact| own.distance(&contact.id));
        self.0 = contacts.into();
        // Not before the driver has closed the old connections.
        cx.set_after(Task::Reintroduce, PAUSE);
    }

    /// Notifies the next contacts. True once all have been.
    pub(super) fn go_on(&mut self, cx: &mut Context) -> bool {
        for _ in 0..AT_ONCE {
            let Some(contact) = self.0.pop_front() else { return true };
            if cx.table.get(&contact.id).is_some() {
                cx.request(contact, Body::Ping, Purpose::Liveness);
            }
        }
        cx.set_after(Task::Reintroduce, PAUSE);
        false
    }
}
