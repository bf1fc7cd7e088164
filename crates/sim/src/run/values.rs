//! Steps that put, get and count values.

use std::time::Duration;

use rand::RngExt;
use voiddht_core::config::MAX_TTL;
use voiddht_core::event::{Command, Outcome};

use super::stage::{Stage, Value, named};
use super::statistics::{Operations, Sample, share};
use crate::directory::Directory;
use crate::scenario::{Get, Put};
use voiddht_wire::Publication;

/// How many replicas values have.
#[derive(Clone, Copy, Debug)]
pub(super) struct Census {
    /// On how many of the k closest nodes a value lies, on average.
    pub(super) replicas: f64,
    /// The least of all values.
    pub(super) least: f64,
}

impl Stage<'_> {
    pub(super) fn put(&mut self, put: &Put) {
        let ttl = put.ttl.map_or(MAX_TTL, |span| span.0);
        let mut left = put.values;
        let mut operations = Operations::default();
        let mut stored = Sample::default();
        self.run_commands(
            put.values,
            put.at_once,
            |stage| {
                left = left.checked_sub(1)?;
                let host = stage.any()?;
                let value = stage.new_value(put.bytes, ttl);
                Some((host, put_command(&value, ttl), value))
            },
            |stage, value, outcome| match outcome {
                Some(Outcome::Put { receipt, report }) => {
                    operations.add(&report);
                    stored.add(receipt.stored as f64);
                    if receipt.stored > 0 {
                        stage.values.push(value);
                    }
                }
                _ => stored.add(0.0),
            },
        );
        self.row.set("stored", stored.mean());
        self.row.set("stored-least", stored.least());
        operations.tell_times(&mut self.row, "put");
    }

    pub(super) fn get(&mut self, get: &Get) {
        let count = get.gets.unwrap_or(self.values.len() as u64);
        let lost = self.lost_share();
        let mut number = 0;
        let (mut found, mut wrong) = (0, 0);
        let mut operations = Operations::default();
        self.run_commands(
            count,
            get.at_once,
            |stage| {
                if number >= count || stage.values.is_empty() {
                    return None;
                }
                let value = match get.gets {
                    None => stage.values[number as usize],
                    Some(_) => stage.any_value()?,
                };
                number += 1;
                Some((stage.any()?, Command::Get { key: value.key() }, value))
            },
            |_, value, outcome| {
                let Some(Outcome::Get { value: got, report, .. }) = outcome else { return };
                operations.add(&report);
                match got {
                    Some(got) if got == value.content() => found += 1,
                    Some(_) => wrong += 1,
                    None => {}
                }
            },
        );
        let name = get.name.as_ref();
        let row = &mut self.row;
        row.set(named(name, "found"), share(found, count));
        row.set(named(name, "wrong"), wrong as f64);
        row.set(named(name, "lost"), lost);
        row.set(named(name, "requests"), operations.requests.mean());
        row.set(named(name, "timeouts"), operations.timeouts.mean());
        row.set(named(name, "get-hops"), operations.hops.mean());
        operations.tell_times(row, &named(name, "get"));
    }

    /// A value that was put and has some time left.
    pub(super) fn any_value(&mut self) -> Option<Value> {
        let count = self.values.len();
        (count > 0).then(|| self.values[self.world.random().random_range(0..count)])
    }

    pub(super) fn new_value(&mut self, bytes: usize, ttl: Duration) -> Value {
        let number = self.next_value;
        self.next_value += 1;
        Value { number, bytes, expires: self.world.now() + ttl }
    }

    /// On how many of the k closest nodes each value lies.
    pub(super) fn census(&self) -> Census {
        let directory = Directory::of(&self.world);
        let k = self.k().min(directory.len()).max(1);
        let mut replicas = Sample::default();
        for value in &self.values {
            replicas.add(directory.replicas(&self.world, &value.key(), k) as f64);
        }
        Census { replicas: replicas.mean(), least: replicas.least() }
    }

    /// The share of the values that no node holds any more.
    pub(super) fn lost_share(&self) -> f64 {
        let now = self.world.boot_now();
        let mut lost = 0;
        for value in &self.values {
            let key = value.key();
            let holds = |host: &crate::host::HostId| {
                let node = self.world.host(*host).node();
                node.is_some_and(|node| node.records().get(&key, now).is_some())
            };
            lost += u64::from(!self.honest.iter().any(holds));
        }
        lost as f64 / self.values.len().max(1) as f64
    }
}

pub(super) fn put_command(value: &Value, ttl: Duration) -> Command {
    Command::Put(Publication::new(value.key(), value.content()).ttl(ttl))
}
