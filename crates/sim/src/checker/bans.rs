//! No honest node is banned by an honest one.

use std::collections::BTreeSet;

use voiddht_core::event::Notice;
use voiddht_session::Output;
use voiddht_wire::NodeId;

use super::observer::{Checker, Site, Violations};

/// See the [module](self).
#[derive(Debug, Default)]
pub struct Bans {
    corrupted: BTreeSet<NodeId>,
}

impl Checker for Bans {
    fn name(&self) -> &'static str {
        "bans"
    }

    fn corrupted(&mut self, at: &Site) {
        self.corrupted.insert(at.id);
    }

    fn put_out(&mut self, at: &Site, output: &Output, found: &mut Violations) {
        if let Output::Notice(Notice::Banned { peer, .. }) = output
            && !self.corrupted.contains(peer)
        {
            found.add(self.name(), at, format!("banned {peer:?}, which is honest"));
        }
    }
}
