//! The ledger of publications: no copy outlives its TTL, no GET returns anything else.
//!
//! Adversaries publish too, and their values and TTLs are unknown: with them only answers without
//! an excuse are checked. [`Ttls`](super::Ttls) applies in any case.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use voiddht_core::event::{Command, CommandId, Outcome, Write};
use voiddht_core::time::BootTime;
use voiddht_session::Output;
use voiddht_wire::Key;

use super::observer::{Checker, Site, Violations};

/// How much later than its publication said a copy may end: a PUT takes its time to find the
/// nodes, and every STORE some to arrive, at which its TTL begins. Renewals round down.
const TOLERANCE: Duration = Duration::from_secs(15);

/// See the [module](self).
#[derive(Debug)]
pub struct Ledger {
    /// What a PUT that names no TTL gets.
    default_ttl: Duration,
    /// Whether only honest nodes store: then every record was published.
    all_honest: bool,
    published: BTreeMap<Key, Vec<Publication>>,
    gets: BTreeMap<CommandId, Key>,
}

#[derive(Debug)]
struct Publication {
    value: Bytes,
    began: BootTime,
    ends: BootTime,
}

impl Ledger {
    /// An empty ledger of a world whose nodes have this default.
    pub fn new(default_ttl: Duration) -> Self {
        Self { default_ttl, all_honest: true, published: BTreeMap::new(), gets: BTreeMap::new() }
    }

    fn check_record(&self, at: &Site, write: &Write, found: &mut Violations) {
        let Write::PutRecord(record) = write else { return };
        let ends = at.now.boot + record.expires.since(at.now.wall);
        let same = self.published.get(&record.key).into_iter().flatten();
        let same = same.filter(|one| one.value == record.value);
        // Publications of a self-verifying value never shorten what an earlier one has said.
        let publication = match record.key.proves(&record.value) {
            true => same.max_by_key(|one| one.ends),
            false => same.last(),
        };
        match publication {
            _ if !self.all_honest => {}
            Some(one) if ends > one.ends + TOLERANCE => {
                let late = ends.since(one.ends).as_secs_f64();
                let what = format!("a copy of {:?} ends {late:.1} s late", record.key);
                found.add(self.name(), at, what);
            }
            Some(_) => {}
            None => {
                let what = format!("a value of {:?} that was never published", record.key);
                found.add(self.name(), at, what);
            }
        }
    }

    fn check_answer(&mut self, at: &Site, id: CommandId, outcome: &Outcome, to: &mut Violations) {
        let Some(key) = self.gets.remove(&id) else { return };
        let Outcome::Get { value: Some(value), .. } = outcome else { return };
        let publications = self.published.get(&key).map_or(&[][..], Vec::as_slice);
        let current = publications.iter().any(|one| {
            one.value == *value && one.began <= at.now.boot && at.now.boot < one.ends + TOLERANCE
        });
        if !current && self.all_honest {
            to.add(self.name(), at, format!("a GET of {key:?} returned what was not published"));
        }
    }
}

impl Checker for Ledger {
    fn name(&self) -> &'static str {
        "ledger"
    }

    fn corrupted(&mut self, _at: &Site) {
        self.all_honest = false;
    }

    fn commanded(&mut self, at: &Site, id: CommandId, command: &Command) {
        match command {
            Command::Put(put) => {
                let began = at.now.boot;
                let ends = began + put.ttl.unwrap_or(self.default_ttl);
                let publication = Publication { value: put.value.clone(), began, ends };
                self.published.entry(put.key).or_default().push(publication);
            }
            Command::Get { key } => {
                self.gets.insert(id, *key);
            }
            _ => {}
        }
    }

    fn put_out(&mut self, at: &Site, output: &Output, found: &mut Violations) {
        match output {
            Output::Persist { writes, .. } => {
                for write in writes {
                    self.check_record(at, write, found);
                }
            }
            Output::Answer { id, outcome } => self.check_answer(at, *id, outcome, found),
            _ => {}
        }
    }
}
