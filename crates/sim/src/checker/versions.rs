//! No holder replaces a record by an older version of it, save by the self-verifying value.

use std::collections::BTreeMap;

use voiddht_core::event::Write;
use voiddht_session::Output;
use voiddht_wire::Key;

use super::observer::{Checker, Site, Violations};
use crate::host::HostId;

/// See the [module](self).
#[derive(Debug, Default)]
pub struct Versions {
    held: BTreeMap<(HostId, Key), u64>,
}

impl Checker for Versions {
    fn name(&self) -> &'static str {
        "versions"
    }

    fn started(&mut self, at: &Site) {
        let first = (at.host, Key::default());
        let own: Vec<_> =
            self.held.range(first..).map(|(at, _)| *at).take_while(|it| it.0 == at.host).collect();
        for one in own {
            self.held.remove(&one);
        }
    }

    fn put_out(&mut self, at: &Site, output: &Output, found: &mut Violations) {
        let Output::Persist { writes, .. } = output else { return };
        for write in writes {
            match write {
                Write::PutRecord(record) => {
                    let before = self.held.insert((at.host, record.key), record.version);
                    if let Some(before) = before.filter(|before| *before > record.version)
                        && !record.key.proves(&record.value)
                    {
                        let what = format!(
                            "version {} of {:?} in the place of {before}",
                            record.version, record.key
                        );
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
    }
}
