//! Puts and gets through the nodes' module APIs, as local programs would: which PUTs were
//! acknowledged, and whether their values are found.
//!
//! When the test stops a node, its program uses another one. That is counted, and is no failure; a
//! wrong answer of a node, and a node that fails by itself, are.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use rand::rngs::ChaCha8Rng;
use rand::{Rng, RngExt};
use tokio::task::{JoinSet, LocalSet};
use voiddht_cli::outcome::Failure;
use voiddht_cli::progress::Progress;
use voiddht_client::{Key, Put, RequestError};

use crate::fleet::entries::{Chosen, Entries, NotChosen};

/// TTL of the values: no chaos test takes that long.
const TTL_SECONDS: u16 = 6 * 3600;
/// How often an operation is taken to another node before it counts as failed. While half of all
/// nodes are being ended, one in a thousand would need ten.
const MOVES: usize = 30;
/// The pause before each, so that a node that ends is not asked thirty times meanwhile.
const MOVE_PAUSE: Duration = Duration::from_millis(20);

/// A value that a node has said is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) key: Key,
    pub(super) value: Bytes,
}

/// What came of operations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// PUTs that were acknowledged.
    pub(super) stored: usize,
    /// PUTs that a node could store nowhere.
    pub(super) refused: usize,
    /// PUTs with unknown outcome: the node ended before its answer.
    pub(super) unknown: usize,
    /// GETs that brought the value.
    pub(super) found: usize,
    /// GETs that brought another one.
    pub(super) wrong: usize,
    /// GETs to which the answer was that there is none, or that had none in time.
    pub(super) missing: usize,
    /// Operations that were taken to another node because theirs was ended.
    pub(super) moved: usize,
}

impl Tally {
    /// GETs that did not bring the value.
    pub(super) fn failed_gets(&self) -> usize {
        self.wrong + self.missing
    }

    /// The GETs of both.
    pub(super) fn and(&self, other: &Self) -> Self {
        Self {
            found: self.found + other.found,
            wrong: self.wrong + other.wrong,
            missing: self.missing + other.missing,
            ..*self
        }
    }

    pub(super) fn gets(&self) -> usize {
        self.found + self.failed_gets()
    }
}

/// Load on a network under test: PUTs and GETs with their counts.
#[derive(Debug)]
pub(super) struct Load {
    entries: Rc<Entries>,
    value_bytes: usize,
    random: RefCell<ChaCha8Rng>,
    stored: RefCell<Vec<Stored>>,
    tally: Cell<Tally>,
    stop: Cell<bool>,
    /// The first operation that failed, in words.
    first_failure: RefCell<Option<String>>,
}

/// What a GET brought.
enum Got {
    Right,
    Wrong,
    Missing,
}

impl Load {
    pub(super) fn new(entries: Rc<Entries>, value_bytes: usize, random: ChaCha8Rng) -> Rc<Self> {
        Rc::new(Self {
            entries,
            value_bytes,
            random: RefCell::new(random),
            stored: RefCell::default(),
            tally: Cell::default(),
            stop: Cell::default(),
            first_failure: RefCell::default(),
        })
    }

    /// Everything that was acknowledged.
    pub(super) fn stored(&self) -> Vec<Stored> {
        self.stored.borrow().clone()
    }

    /// What came of the operations since this was asked last.
    pub(super) fn take_tally(&self) -> Tally {
        self.tally.take()
    }

    /// The first operation that failed, in words.
    pub(super) fn first_failure(&self) -> Option<String> {
        self.first_failure.borrow().clone()
    }

    /// Puts this many values, some concurrently.
    pub(super) async fn put(
        self: &Rc<Self>,
        count: usize,
        at_once: usize,
        progress: &Progress,
    ) -> Result<(), Failure> {
        let left = Rc::new(Cell::new(count));
        self.side_by_side(at_once, |load| {
            let (left, progress) = (Rc::clone(&left), progress.clone());
            async move {
                while left.get() > 0 {
                    left.set(left.get() - 1);
                    load.put_one().await?;
                    progress.advance();
                }
                Ok(())
            }
        })
        .await
    }

    /// Gets each of these values once, some concurrently, through any nodes.
    pub(super) async fn get(
        self: &Rc<Self>,
        values: &[Stored],
        at_once: usize,
    ) -> Result<Tally, Failure> {
        self.get_through(values, at_once, None).await
    }

    /// The same, through one node.
    pub(super) async fn get_through(
        self: &Rc<Self>,
        values: &[Stored],
        at_once: usize,
        through: Option<usize>,
    ) -> Result<Tally, Failure> {
        let before = self.take_tally();
        let next = Rc::new(Cell::new(0));
        let values: Rc<[Stored]> = values.into();
        self.side_by_side(at_once, |load| {
            let (next, values) = (Rc::clone(&next), Rc::clone(&values));
            async move {
                while let Some(stored) = values.get(next.replace(next.get() + 1)) {
                    load.get_one(stored, through).await?;
                }
                Ok(())
            }
        })
        .await?;
        Ok(self.tally.replace(before))
    }

    /// Puts and gets until [`Load::stop`]: so many programs of each kind.
    pub(super) async fn run(
        self: &Rc<Self>,
        putting: usize,
        getting: usize,
    ) -> Result<(), Failure> {
        self.stop.set(false);
        let first = Rc::new(Cell::new(0));
        self.side_by_side(putting + getting, |load| {
            let number = first.replace(first.get() + 1);
            async move {
                while !load.stop.get() {
                    let chosen = match number < putting {
                        true => None,
                        false => load.choose_stored(),
                    };
                    match chosen {
                        None => load.put_one().await?,
                        Some(stored) => load.get_one(&stored, None).await?,
                    }
                }
                Ok(())
            }
        })
        .await
    }

    /// Ends [`Load::run`] after what is in progress.
    pub(super) fn stop(&self) {
        self.stop.set(true);
    }

    /// Waits until this many values have been acknowledged.
    pub(super) async fn until_stored(&self, count: usize) {
        while self.stored.borrow().len() < count {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn side_by_side<F>(
        self: &Rc<Self>,
        count: usize,
        work: impl Fn(Rc<Self>) -> F,
    ) -> Result<(), Failure>
    where
        F: Future<Output = Result<(), Failure>> + 'static,
    {
        let local = LocalSet::new();
        let mut tasks = JoinSet::new();
        for _ in 0..count {
            tasks.spawn_local_on(work(Rc::clone(self)), &local);
        }
        local.run_until(tasks.join_all()).await.into_iter().collect()
    }

    async fn put_one(&self) -> Result<(), Failure> {
        let new = self.new_value();
        let put = Put::new(new.key, new.value.clone()).ttl_seconds(TTL_SECONDS);
        let Some(chosen) = self.choose(None).await? else {
            self.count(|tally| tally.unknown += 1);
            return Ok(());
        };
        match chosen.client.put_acknowledged(put).await {
            Ok(0) => self.failed(|tally| tally.refused += 1, &chosen, "stored a value nowhere"),
            Ok(_) => {
                self.stored.borrow_mut().push(new);
                self.count(|tally| tally.stored += 1);
            }
            Err(error) => {
                let is_ours = self.broke(&chosen, &error);
                self.count(|tally| tally.unknown += 1);
                if !is_ours {
                    self.note_failure(format!("a PUT at node {}: {error}", chosen.number));
                }
            }
        }
        Ok(())
    }

    async fn get_one(&self, stored: &Stored, through: Option<usize>) -> Result<(), Failure> {
        for _ in 0..MOVES {
            let Some(chosen) = self.choose(through).await? else { break };
            let got = match chosen.client.get(stored.key).await {
                Ok(Some(value)) if value == stored.value => Got::Right,
                Ok(Some(_)) => Got::Wrong,
                Ok(None) => Got::Missing,
                Err(error) if self.broke(&chosen, &error) => {
                    self.count(|tally| tally.moved += 1);
                    tokio::time::sleep(MOVE_PAUSE).await;
                    continue;
                }
                Err(error) => {
                    self.note_failure(format!("a GET at node {}: {error}", chosen.number));
                    Got::Missing
                }
            };
            match got {
                Got::Right => self.count(|tally| tally.found += 1),
                Got::Wrong => {
                    self.failed(|tally| tally.wrong += 1, &chosen, "brought another value")
                }
                Got::Missing => self.failed(|tally| tally.missing += 1, &chosen, "found no value"),
            }
            return Ok(());
        }
        self.note_failure("a GET found no node to ask".to_owned());
        self.count(|tally| tally.missing += 1);
        Ok(())
    }

    /// A node to ask; `None` if for long there was none.
    async fn choose(&self, through: Option<usize>) -> Result<Option<Chosen>, Failure> {
        for _ in 0..MOVES {
            let chosen = match through {
                Some(number) => self.entries.this(number).await,
                None => self.entries.any().await,
            };
            match chosen {
                Ok(chosen) => return Ok(Some(chosen)),
                Err(NotChosen::Unreachable(why)) => return Err(Failure::Failed(why)),
                Err(NotChosen::Ended) => {
                    self.count(|tally| tally.moved += 1);
                    tokio::time::sleep(MOVE_PAUSE).await;
                }
            }
        }
        Ok(None)
    }

    fn broke(&self, chosen: &Chosen, error: &RequestError) -> bool {
        !matches!(error, RequestError::Timeout { .. }) && self.entries.broke(chosen)
    }

    fn choose_stored(&self) -> Option<Stored> {
        let stored = self.stored.borrow();
        match stored.len() {
            0 => None,
            count => stored.get(self.random.borrow_mut().random_range(..count)).cloned(),
        }
    }

    fn new_value(&self) -> Stored {
        let mut random = self.random.borrow_mut();
        let (mut key, mut value) = ([0; 32], vec![0; self.value_bytes]);
        random.fill_bytes(&mut key);
        random.fill_bytes(&mut value);
        Stored { key: Key::from_bytes(key), value: Bytes::from(value) }
    }

    fn count(&self, change: impl FnOnce(&mut Tally)) {
        let mut tally = self.tally.get();
        change(&mut tally);
        self.tally.set(tally);
    }

    fn failed(&self, change: impl FnOnce(&mut Tally), at: &Chosen, what: &str) {
        self.count(change);
        self.note_failure(format!("node {} {what}", at.number));
    }

    fn note_failure(&self, what: String) {
        self.first_failure.borrow_mut().get_or_insert(what);
    }
}
