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

/// Values of each kind, and operations of each kind one at a time.
const VALUES: usize = 400;
/// Signed values of which no node reads one twice, for as long as there are others.
const UNREAD_VALUES: usize = 2000;

/// A way of reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Vote,
    SignedLatest,
    SignedFirst,
    /// As the one before, of values that the reading node has not verified before.
    SignedFirstUnread,
    HashFirst,
}

impl Way {
    /// Those that are compared one at a time, where no value has been read before.
    const ONE_AT_A_TIME: [Self; 4] =
        [Self::Vote, Self::SignedLatest, Self::SignedFirst, Self::HashFirst];
    const ALL: [Self; 5] = [
        Self::Vote,
        Self::SignedLatest,
        Self::SignedFirst,
        Self::SignedFirstUnread,
        Self::HashFirst,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Vote => "get by vote",
            Self::SignedLatest => "get signed, latest",
            Self::SignedFirst => "get signed, first",
            Self::SignedFirstUnread => "get signed, first, not read before",
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
    unread: Vec<Stored>,
    /// How many reads of `unread` have begun.
    unread_turn: Cell<usize>,
}

impl Values {
    fn of(&self, way: Way) -> &[Stored] {
        match way {
            Way::Vote => &self.plain,
            Way::SignedLatest | Way::SignedFirst => &self.signed,
            Way::SignedFirstUnread => &self.unread,
            Way::HashFirst => &self.hashed,
        }
    }

    /// The value to read next, and how many nodes after its publisher the reader is.
    fn next(&self, way: Way, entries: usize, random: &mut ChaCha8Rng) -> (&Stored, usize) {
        let values = self.of(way);
        if way == Way::SignedFirstUnread {
            let turn = self.unread_turn.replace(self.unread_turn.get() + 1);
            let step = 1 + turn / values.len() % (entries - 1).max(1);
            return (&values[turn % values.len()], step);
        }
        (&values[random.random_range(..values.len())], any_step(entries, random))
    }
}

/// How many nodes after its publisher a random other node is, of so many.
fn any_step(entries: usize, random: &mut ChaCha8Rng) -> usize {
    if entries > 1 { random.random_range(1..entries) } else { 0 }
}

impl Workload {
    /// Puts values of each kind and reads each of them once, one at a time, the kinds in turns. Then
    /// reads them with so many in flight: `rounds` times each way in turn, `lasts` each time.
    pub(crate) async fn compare_reads(
        &mut self,
        at_once: usize,
        lasts: Duration,
        rounds: usize,
    ) -> Result<Vec<Load>, Failure> {
        let values = self.new_values()?;
        let mut loads = self.put_in_turns(&values).await?;
        loads.extend(self.read_in_turns(&values).await?);
        self.put_unread(&values.unread).await?;
        let values = Rc::new(values);
        let mut sums: Vec<Option<Load>> = vec![None; Way::ALL.len()];
        for _ in 0..rounds {
            for (way, sum) in Way::ALL.into_iter().zip(&mut sums) {
                let load = self.read_at_once(way, &values, at_once, lasts).await?;
                match sum {
                    None => *sum = Some(load),
                    Some(sum) => sum.merge(load),
                }
            }
        }
        loads.extend(sums.into_iter().flatten());
        Ok(loads)
    }

    fn new_values(&mut self) -> Result<Values, Failure> {
        let (entries, bytes) = (self.entries.len(), self.value_bytes);
        let mut seed = [0; 32];
        self.random.fill_bytes(&mut seed);
        let owner = Owner::from_seed(&seed)
            .ok_or_else(|| Failure::failed("these bytes make no key: try another --seed"))?;
        let plain = (0..VALUES).map(|_| new_value(&mut self.random, bytes, entries)).collect();
        let signed: Result<Vec<Stored>, Failure> = (0..VALUES + UNREAD_VALUES)
            .map(|number| signed_value(&owner, number, &mut self.random, bytes, entries))
            .collect();
        let mut signed = signed?;
        let unread = signed.split_off(VALUES);
        let hashed = (0..VALUES).map(|_| {
            let new = new_value(&mut self.random, bytes, entries);
            Stored { key: Key::of_value(&new.value), ..new }
        });
        Ok(Values { plain, signed, hashed: hashed.collect(), unread, unread_turn: Cell::new(0) })
    }

    async fn put_in_turns(&mut self, values: &Values) -> Result<Vec<Load>, Failure> {
        let kinds = [&values.plain, &values.signed, &values.hashed];
        let names = ["put plain", "put signed", "put hashed"];
        let mut loads = names.map(|name| Load::none(format!("{name}, one at a time")));
        self.progress.step("put, each kind in turn", kinds.len() * VALUES);
        for number in 0..VALUES {
            for (kind, load) in kinds.iter().zip(&mut loads) {
                let (begun, spent) = (Instant::now(), process::processor_time());
                put(&self.entries, &kind[number], self.ttl_seconds, &mut load.checked).await?;
                load.add_time(begun, spent);
                self.progress.advance();
            }
        }
        Ok(loads.into())
    }

    async fn read_in_turns(&mut self, values: &Values) -> Result<Vec<Load>, Failure> {
        let ways = Way::ONE_AT_A_TIME;
        let mut loads = ways.map(|way| Load::none(format!("{}, one at a time", way.name())));
        self.progress.step("get, each way in turn", ways.len() * VALUES);
        for number in 0..VALUES {
            for (way, load) in ways.iter().zip(&mut loads) {
                let stored = &values.of(*way)[number];
                let step = any_step(self.entries.len(), &mut self.random);
                let (begun, spent) = (Instant::now(), process::processor_time());
                read(&self.entries, stored, *way, step, &mut load.checked).await?;
                load.add_time(begun, spent);
                self.progress.advance();
            }
        }
        Ok(loads.into())
    }

    /// Puts the values that each node reads once, without measuring that.
    async fn put_unread(&mut self, values: &[Stored]) -> Result<(), Failure> {
        self.progress.step("put what no node has read", values.len());
        let mut checked = Checked::default();
        for stored in values {
            put(&self.entries, stored, self.ttl_seconds, &mut checked).await?;
            self.progress.advance();
        }
        Ok(())
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
                while Instant::now() < until {
                    let (stored, step) = values.next(way, entries.len(), &mut random);
                    read(&entries, stored, way, step, &mut checked).await?;
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
    step: usize,
    checked: &mut Checked,
) -> Result<(), Failure> {
    let client = &entries[(stored.entry + step) % entries.len()];
    let started = Instant::now();
    let found = ask(client, stored.key, way).await;
    let took = started.elapsed();
    let found = judge(found)?.flatten();
    checked.count(took, found.as_deref(), &stored.value);
    Ok(())
}

async fn ask(client: &Client, key: Key, way: Way) -> Result<Option<Bytes>, RequestError> {
    let freshness = match way {
        Way::Vote => return client.get(key).await,
        Way::HashFirst => return client.get_content_addressed(key).await,
        Way::SignedLatest => Freshness::Latest,
        Way::SignedFirst | Way::SignedFirstUnread => Freshness::First,
    };
    let ask = Ask { proved_only: true, freshness, key, ..Ask::default() };
    Ok(client.ask(ask).await?.value)
}
