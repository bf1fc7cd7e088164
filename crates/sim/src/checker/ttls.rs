//! No honest holder lengthens a TTL, neither in its store nor in the copies that it sends.
//!
//! Each holder is compared with what it has accepted itself, so that this applies whatever others
//! send: a value that an adversary publishes again is a publication.

use std::collections::BTreeMap;
use std::time::Duration;

use voiddht_core::event::Write;
use voiddht_core::time::BootTime;
use voiddht_session::Output;
use voiddht_wire::Key;
use voiddht_wire::peer::{Body, Record};

use super::observer::{Checker, Site, Violations};
use crate::host::HostId;

/// Expiries on disk are in milliseconds of a calendar.
const ROUNDING: Duration = Duration::from_millis(2);

/// See the [module](self).
#[derive(Debug, Default)]
pub struct Ttls {
    held: BTreeMap<(HostId, Key), Held>,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    version: u64,
    expires: BootTime,
}

impl Ttls {
    fn check_write(&mut self, at: &Site, write: &Write, found: &mut Violations) {
        match write {
            Write::PutRecord(record) => {
                let expires = at.now.boot + record.expires.since(at.now.wall);
                let now = Held { version: record.version, expires };
                let before = self.held.insert((at.host, record.key), now);
                // A publication of the same self-verifying value may move its deadline, whatever its
                // version: whether one did is for the ledger to say.
                if let Some(before) = before.filter(|before| before.version == now.version)
                    && !record.key.proves(&record.value)
                    && expires > before.expires + ROUNDING
                {
                    let longer = expires.since(before.expires);
                    let what = format!("keeps {:?} {longer:?} longer than it did", record.key);
                    found.add(self.name(), at, what);
                }
            }
            Write::RemoveRecord(key) => {
                self.held.remove(&(at.host, *key));
            }
            Write::PutKept { .. }
            | Write::RemoveKept(_)
            | Write::PutContact(_)
            | Write::PutTenure { .. }
            | Write::RemoveContact(_) => {}
        }
    }

    fn check_copy(&self, at: &Site, record: &Record, found: &mut Violations) {
        let Some(held) = self.held.get(&(at.host, record.key)) else { return };
        let ends = at.now.boot + Duration::from_secs(record.ttl.into());
        if record.version == Some(held.version) && ends > held.expires + ROUNDING {
            let longer = ends.since(held.expires);
            let what = format!("hands on {:?} for {longer:?} longer than it has", record.key);
            found.add(self.name(), at, what);
        }
    }
}

impl Checker for Ttls {
    fn name(&self) -> &'static str {
        "ttls"
    }

    fn started(&mut self, at: &Site) {
        let last = Key::from_bytes([0xff; 32]);
        let own = (at.host, Key::default())..=(at.host, last);
        let own: Vec<_> = self.held.range(own).map(|(place, _)| *place).collect();
        for place in own {
            self.held.remove(&place);
        }
    }

    fn put_out(&mut self, at: &Site, output: &Output, found: &mut Violations) {
        match output {
            Output::Persist { writes, .. } => {
                for write in writes {
                    self.check_write(at, write, found);
                }
            }
            Output::Send { message, .. } => match &message.body {
                Body::Store(record) if record.maintenance => self.check_copy(at, record, found),
                Body::FindValueReply(record) => self.check_copy(at, record, found),
                _ => {}
            },
            _ => {}
        }
    }
}
