//! Puts and gets through the nodes' module APIs, over real sockets, as a local program would.
//!
//! Keys, values and the node to ask are random, and repeat with the seed. A value is always got
//! through another node than the one it was put through.
//!
//! The load runs on a thread without nodes. A program in another process sees the same latencies,
//! to a few hundredths; on a node's own thread they would look better than they are.

use std::cell::Cell;
use std::future::Future;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom;
use rand::{Rng, RngExt, SeedableRng};
use tokio::task::{JoinSet, LocalSet};
use voiddht_client::{Client, Key, Options, Put, RequestError};

use self::measured::{Checked, Load};
use super::progress::Progress;
use crate::outcome::Failure;
use crate::process;

pub(crate) mod measured;
mod reads;

/// Nodes that are talked to, of a larger network a random choice: each costs open files.
const MAX_ENTRIES: usize = 128;

/// The values that were put, and the means to put and get more.
#[derive(Debug)]
pub(crate) struct Workload {
    entries: Rc<[Client]>,
    value_bytes: usize,
    ttl_seconds: u16,
    random: ChaCha8Rng,
    values: Vec<Stored>,
    progress: Progress,
}

/// A value that a node has said is stored.
#[derive(Clone, Debug)]
struct Stored {
    key: Key,
    value: Bytes,
    /// The entry that it was put through.
    entry: usize,
}

impl Workload {
    /// Connects to the nodes, each at one of its addresses. `ttl_seconds`: 0 is the nodes' default. An
    /// operation that takes longer than `timeout` counts as missing.
    pub(crate) async fn new(
        mut apis: Vec<Vec<SocketAddr>>,
        value_bytes: usize,
        ttl_seconds: u16,
        timeout: Duration,
        mut random: ChaCha8Rng,
        progress: Progress,
    ) -> Result<Self, Failure> {
        if apis.len() > MAX_ENTRIES {
            apis.shuffle(&mut random);
            apis.truncate(MAX_ENTRIES);
        }
        let options = Options {
            connect_timeout: timeout.min(Options::CONNECT_TIMEOUT),
            request_timeout: timeout,
            ..Options::default()
        };
        let mut entries = Vec::new();
        for api in apis {
            let client = Client::connect_with(&api[..], options.clone()).await;
            entries.push(client.map_err(unreachable)?);
        }
        let entries = entries.into();
        Ok(Self { entries, value_bytes, ttl_seconds, random, values: Vec::new(), progress })
    }

    /// Puts this many values, each after the one before it.
    pub(crate) async fn put_one_at_a_time(&mut self, count: usize) -> Result<Load, Failure> {
        let name = "put, one at a time";
        self.progress.step(name, count);
        let (begun, spent) = (Instant::now(), process::processor_time());
        let mut checked = Checked::default();
        for _ in 0..count {
            let stored = new_value(&mut self.random, self.value_bytes, self.entries.len());
            put(&self.entries, &stored, self.ttl_seconds, &mut checked).await?;
            self.values.push(stored);
            self.progress.advance();
        }
        Ok(Load::since(name, checked, begun, spent))
    }

    /// Gets every value that was put, each after the one before it.
    pub(crate) async fn get_one_at_a_time(&mut self) -> Result<Load, Failure> {
        let name = "get, one at a time";
        self.progress.step(name, self.values.len());
        let (begun, spent) = (Instant::now(), process::processor_time());
        let mut checked = Checked::default();
        for stored in &self.values {
            get(&self.entries, stored, &mut self.random, &mut checked).await?;
            self.progress.advance();
        }
        Ok(Load::since(name, checked, begun, spent))
    }

    /// Puts new values for a while, this many concurrently.
    pub(crate) async fn put_at_once(
        &mut self,
        at_once: usize,
        lasts: Duration,
    ) -> Result<Load, Failure> {
        let (entries, bytes) = (Rc::clone(&self.entries), self.value_bytes);
        let ttl = self.ttl_seconds;
        let work = move |mut random: ChaCha8Rng, until: Instant, done: Rc<Cell<u64>>| {
            let entries = Rc::clone(&entries);
            async move {
                let (mut checked, mut values) = (Checked::default(), Vec::new());
                while Instant::now() < until {
                    let stored = new_value(&mut random, bytes, entries.len());
                    put(&entries, &stored, ttl, &mut checked).await?;
                    values.push(stored);
                    done.set(done.get() + 1);
                }
                Ok((checked, values))
            }
        };
        let name = format!("put, {at_once} at once");
        let (load, values) = self.under_load(name, at_once, lasts, work).await?;
        self.values.extend(values);
        Ok(load)
    }

    /// Gets random ones of the values for a while, this many concurrently.
    pub(crate) async fn get_at_once(
        &mut self,
        at_once: usize,
        lasts: Duration,
    ) -> Result<Load, Failure> {
        let entries = Rc::clone(&self.entries);
        let values: Rc<[Stored]> = self.values.clone().into();
        let work = move |mut random: ChaCha8Rng, until: Instant, done: Rc<Cell<u64>>| {
            let (entries, values) = (Rc::clone(&entries), Rc::clone(&values));
            async move {
                let mut checked = Checked::default();
                while !values.is_empty() && Instant::now() < until {
                    let stored = &values[random.random_range(..values.len())];
                    get(&entries, stored, &mut random, &mut checked).await?;
                    done.set(done.get() + 1);
                }
                Ok((checked, Vec::new()))
            }
        };
        Ok(self.under_load(format!("get, {at_once} at once"), at_once, lasts, work).await?.0)
    }

    /// All is done: the bar makes room for the table.
    pub(crate) fn finish(&self) {
        self.progress.finish();
    }

    /// Runs `work` in several tasks of this thread, and measures them together.
    async fn under_load<F>(
        &mut self,
        name: String,
        at_once: usize,
        lasts: Duration,
        work: impl Fn(ChaCha8Rng, Instant, Rc<Cell<u64>>) -> F,
    ) -> Result<(Load, Vec<Stored>), Failure>
    where
        F: Future<Output = Result<(Checked, Vec<Stored>), Failure>> + 'static,
    {
        let done = Rc::new(Cell::new(0));
        let (begun, spent) = (Instant::now(), process::processor_time());
        let local = LocalSet::new();
        let mut tasks = JoinSet::new();
        for _ in 0..at_once {
            let random = ChaCha8Rng::from_rng(&mut self.random);
            tasks.spawn_local_on(work(random, begun + lasts, Rc::clone(&done)), &local);
        }
        let ended = tokio::select! {
            ended = local.run_until(tasks.join_all()) => ended,
            never = self.progress.follow(&name, lasts, &done) => match never {},
        };
        let (mut all, mut values) = (Checked::default(), Vec::new());
        for part in ended {
            let (checked, stored) = part?;
            all.merge(checked);
            values.extend(stored);
        }
        Ok((Load::since(name, all, begun, spent), values))
    }
}

impl Load {
    fn since(
        name: impl Into<String>,
        checked: Checked,
        begun: Instant,
        spent_before: Duration,
    ) -> Self {
        let mut load = Self { checked, ..Self::none(name.into()) };
        load.add_time(begun, spent_before);
        load
    }

    fn add_time(&mut self, begun: Instant, spent_before: Duration) {
        self.took += begun.elapsed();
        self.processor_time += process::processor_time().saturating_sub(spent_before);
    }
}

fn new_value(random: &mut ChaCha8Rng, bytes: usize, entries: usize) -> Stored {
    let (mut key, mut value) = ([0; 32], vec![0; bytes]);
    random.fill_bytes(&mut key);
    random.fill_bytes(&mut value);
    let entry = random.random_range(..entries);
    Stored { key: Key::from_bytes(key), value: Bytes::from(value), entry }
}

async fn put(
    entries: &[Client],
    new: &Stored,
    ttl_seconds: u16,
    checked: &mut Checked,
) -> Result<(), Failure> {
    let started = Instant::now();
    let put = Put::new(new.key, new.value.clone()).ttl_seconds(ttl_seconds);
    let stored = entries[new.entry].put_acknowledged(put).await;
    checked.latencies.add(started.elapsed());
    match judge(stored)? {
        Some(0) | None => checked.missing += 1,
        Some(_) => checked.right += 1,
    }
    Ok(())
}

async fn get(
    entries: &[Client],
    stored: &Stored,
    random: &mut ChaCha8Rng,
    checked: &mut Checked,
) -> Result<(), Failure> {
    // Any but the one that it was put through, each as likely; where there is only one, that.
    let step = match entries.len() {
        1 => 0,
        several => random.random_range(1..several),
    };
    let entry = (stored.entry + step) % entries.len();
    let started = Instant::now();
    let found = entries[entry].get(stored.key).await;
    let took = started.elapsed();
    let found = judge(found)?.flatten();
    checked.count(took, found.as_deref(), &stored.value);
    Ok(())
}

/// An operation that ends by timeout is counted; a connection that ends is the end of the test.
fn judge<T>(result: Result<T, RequestError>) -> Result<Option<T>, Failure> {
    match result {
        Ok(answer) => Ok(Some(answer)),
        Err(RequestError::Timeout { .. }) => Ok(None),
        Err(error) => Err(unreachable(error)),
    }
}

fn unreachable(error: impl std::fmt::Display) -> Failure {
    Failure::Unreachable(error.to_string())
}
