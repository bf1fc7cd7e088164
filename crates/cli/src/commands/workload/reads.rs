//! The ways of reading, side by side: values that need a vote, signed ones, and content-addressed ones,
//! in turns, so that whatever else the machine does is the same for all.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rand::rngs::ChaCha8Rng;
use rand::{Rng, RngExt};
use voiddht_client::signed::{Draft, Freshness, Name, Owner, Salt, now_millis};
use voiddht_client::{Ask, Client, Key, RequestError};

use super::measured::{Checked, Load};
use super::{Stored, Workload, judge, new_value, put};
use crate::outcome::Failure;
use crate::process;

/// Values of each kind, and reads of each kind one at a time.
const VALUES: usize = 400;

/// A way of reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Vote,
    SignedLatest,
    SignedFirst,
    HashFirst,
}

impl Way {
    const ALL: [Self; 4] = [Self::Vote, Self::SignedLatest, Self::SignedFirst, Self::HashFirst];

    fn name(self) -> &'static str {
        match self {
            Self::Vote => "get by vote",
            Self::SignedLatest => "get signed, latest",
            Self::SignedFirst => "get signed, first",
            Self::HashFirst => "get by hash, first",
        }
    }
}

/// Values of each kind.
#[derive(Debug)]
struct Values {
    plain: Vec<Stored>,
    signed: Vec<Stored>,
    hashed: Vec<Stored>,
}

impl Values {
    fn of(&self, way: Way) -> &[Stored] {
        match way {
            Way::Vote => &self.plain,
            Way::SignedLatest | Way::SignedFirst => &self.signed,
            Way::HashFirst => &self.hashed,
        }
    }
}

impl Workload {
    /// Puts values of each kind, reads all of them one at a time, and then random ones with so many
    /// reads in flight: `rounds` times each way in turn, `lasts` each time.
    pub(in super::super) async fn compare_reads(
        &mut self,
        at_once: usize,
        lasts: Duration,
        rounds: usize,
    ) -> Result<Vec<Load>, Failure> {
        let (values, mut loads) = self.put_each_kind().await?;
        let values = Rc::new(values);
        for way in Way::ALL {
            loads.push(self.read_one_at_a_time(way, values.of(way)).await?);
        }
        let mut sums: Vec<Option<Load>> = vec![None; Way::ALL.len()];
        for _ in 0..rounds {
            for (way, sum) in Way::ALL.into_iter().zip(&mut sums) {
                let load = self.read_at_once(way, &values, at_once, lasts).await?;
                match sum {
                    None => *sum = Some(load),
                    Some(sum) => {
                        sum.checked.merge(load.checked);
                        sum.took += load.took;
                        sum.processor_time += load.processor_time;
                    }
                }
            }
        }
        loads.extend(sums.into_iter().flatten());
        Ok(loads)
    }

    async fn put_each_kind(&mut self) -> Result<(Values, Vec<Load>), Failure> {
        let (entries, bytes) = (self.entries.len(), self.value_bytes);
        let mut seed = [0; 32];
        self.random.fill_bytes(&mut seed);
        let owner = Owner::from_seed(&seed)
            .ok_or_else(|| Failure::failed("these bytes make no key: try another --seed"))?;
        let plain = (0..VALUES).map(|_| new_value(&mut self.random, bytes, entries)).collect();
        let signed: Result<Vec<Stored>, Failure> = (0..VALUES)
            .map(|number| signed_value(&owner, number, &mut self.random, bytes, entries))
            .collect();
        let hashed = (0..VALUES).map(|_| {
            let new = new_value(&mut self.random, bytes, entries);
            Stored { key: Key::of_value(&new.value), ..new }
        });
        let values = Values { plain, signed: signed?, hashed: hashed.collect() };
        let mut loads = Vec::new();
        for (name, kind) in [
            ("put plain, one at a time", &values.plain),
            ("put signed, one at a time", &values.signed),
            ("put hashed, one at a time", &values.hashed),
        ] {
            self.progress.step(name, kind.len());
            let (begun, spent) = (Instant::now(), process::processor_time());
            let mut checked = Checked::default();
            for stored in kind {
                put(&self.entries, stored, self.ttl_seconds, &mut checked).await?;
                self.progress.advance();
            }
            loads.push(Load::since(name, checked, begun, spent));
        }
        Ok((values, loads))
    }

    async fn read_one_at_a_time(&mut self, way: Way, values: &[Stored]) -> Result<Load, Failure> {
        let name = format!("{}, one at a time", way.name());
        self.progress.step(&name, values.len());
        let (begun, spent) = (Instant::now(), process::processor_time());
        let mut checked = Checked::default();
        for stored in values {
            read(&self.entries, stored, way, &mut self.random, &mut checked).await?;
            self.progress.advance();
        }
        Ok(Load::since(name, checked, begun, spent))
    }

    async fn read_at_once(
        &mut self,
        way: Way,
        values: &Rc<Values>,
        at_once: usize,
        lasts: Duration,
    ) -> Result<Load, Failure> {
        let (entries, values) = (Rc::clone(&self.entries), Rc::clone(values));
        let work = move |mut random: ChaCha8Rng, until: Instant, done: Rc<Cell<u64>>| {
            let (entries, values) = (Rc::clone(&entries), Rc::clone(&values));
            async move {
                let mut checked = Checked::default();
                let values = values.of(way);
                while Instant::now() < until {
                    let stored = &values[random.random_range(..values.len())];
                    read(&entries, stored, way, &mut random, &mut checked).await?;
                    done.set(done.get() + 1);
                }
                Ok((checked, Vec::new()))
            }
        };
        let name = format!("{}, {at_once} at once", way.name());
        Ok(self.under_load(name, at_once, lasts, work).await?.0)
    }
}

/// A signed value of its own name, whose envelope has this size at least.
fn signed_value(
    owner: &Owner,
    number: usize,
    random: &mut ChaCha8Rng,
    bytes: usize,
    entries: usize,
) -> Result<Stored, Failure> {
    let salt = Salt::new(&(number as u64).to_be_bytes()).map_err(Failure::failed)?;
    let name = Name::native(owner.public_key(), salt);
    let mut body = vec![0; bytes];
    random.fill_bytes(&mut body);
    let draft = Draft { name, seq: now_millis().max(1), not_after: 0, body: body.into() };
    let envelope = draft.sign(owner, None).map_err(Failure::failed)?;
    let entry = random.random_range(..entries);
    Ok(Stored { key: envelope.key(), value: envelope.bytes().clone(), entry })
}

async fn read(
    entries: &[Client],
    stored: &Stored,
    way: Way,
    random: &mut ChaCha8Rng,
    checked: &mut Checked,
) -> Result<(), Failure> {
    let step = match entries.len() {
        1 => 0,
        several => random.random_range(1..several),
    };
    let client = &entries[(stored.entry + step) % entries.len()];
    let started = Instant::now();
    let found = ask(client, stored.key, way).await;
    checked.latencies.add(started.elapsed());
    match judge(found)?.flatten() {
        Some(value) if value == stored.value => checked.right += 1,
        Some(_) => checked.wrong += 1,
        None => checked.missing += 1,
    }
    Ok(())
}

async fn ask(client: &Client, key: Key, way: Way) -> Result<Option<Bytes>, RequestError> {
    let freshness = match way {
        Way::Vote => return client.get(key).await,
        Way::HashFirst => return client.get_content_addressed(key).await,
        Way::SignedLatest => Freshness::Latest,
        Way::SignedFirst => Freshness::First,
    };
    let ask = Ask { proved_only: true, freshness, key, ..Ask::default() };
    Ok(client.ask(ask).await?.value)
}
