//! The nodes of a fleet that are asked, each by one connection with its module API.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use rand::RngExt;
use rand::rngs::ChaCha8Rng;
use voiddht_client::{Client, Options};

/// How long one operation may take. A node answers within a few seconds, be it with FAILURE.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(30);

/// The nodes through which a load may put and get.
#[derive(Debug)]
pub(crate) struct Entries {
    entries: RefCell<BTreeMap<usize, Entry>>,
    random: RefCell<ChaCha8Rng>,
}

#[derive(Debug)]
struct Entry {
    api: SocketAddr,
    client: Option<Client>,
    /// Which of the runs of its node it belongs to: a connection that breaks while the node is
    /// ended, or after, is no fault.
    run: u64,
    is_ending: bool,
}

/// A node that was chosen, and a connection with it.
#[derive(Debug)]
pub(crate) struct Chosen {
    pub(crate) number: usize,
    pub(crate) client: Client,
    run: u64,
}

/// Why there is none.
#[derive(Debug)]
pub(crate) enum NotChosen {
    /// The test has ended the node that was chosen, or none runs now: another may do.
    Ended,
    /// A node that runs cannot be reached.
    Unreachable(String),
}

impl Entries {
    pub(crate) fn new(random: ChaCha8Rng) -> Self {
        Self { entries: RefCell::default(), random: RefCell::new(random) }
    }

    /// A node serves from now on.
    pub(crate) fn open(&self, number: usize, api: SocketAddr) {
        let run = self.random.borrow_mut().random();
        let mut entries = self.entries.borrow_mut();
        let is_open = entries.get(&number).is_some_and(|entry| !entry.is_ending);
        if !is_open {
            entries.insert(number, Entry { api, client: None, run, is_ending: false });
        }
    }

    /// A node is about to be ended. It is asked for as long as it answers.
    pub(crate) fn ending(&self, number: usize) {
        if let Some(entry) = self.entries.borrow_mut().get_mut(&number) {
            entry.is_ending = true;
        }
    }

    /// A node has ended, or is not to be asked any more.
    pub(crate) fn close(&self, number: usize) {
        self.entries.borrow_mut().remove(&number);
    }

    /// Any node, each as likely.
    pub(crate) async fn any(&self) -> Result<Chosen, NotChosen> {
        let number = {
            let entries = self.entries.borrow();
            let count = entries.len();
            let place = if count == 0 { 0 } else { self.random.borrow_mut().random_range(..count) };
            entries.keys().nth(place).copied()
        };
        self.this(number.ok_or(NotChosen::Ended)?).await
    }

    /// This node.
    pub(crate) async fn this(&self, number: usize) -> Result<Chosen, NotChosen> {
        let (api, run) = {
            let entries = self.entries.borrow();
            let entry = entries.get(&number).ok_or(NotChosen::Ended)?;
            if let Some(client) = entry.client.clone() {
                return Ok(Chosen { number, client, run: entry.run });
            }
            (entry.api, entry.run)
        };
        let options = Options { request_timeout: OPERATION_TIMEOUT, ..Options::default() };
        let connected = Client::connect_with(api, options).await;
        match connected {
            Ok(client) => {
                if let Some(entry) = self.entries.borrow_mut().get_mut(&number)
                    && entry.run == run
                {
                    entry.client = Some(client.clone());
                }
                Ok(Chosen { number, client, run })
            }
            Err(_) if self.was_ended(number, run) => Err(NotChosen::Ended),
            Err(error) => Err(NotChosen::Unreachable(format!("node {number}: {error}"))),
        }
    }

    /// A connection broke. Whether that is the test's own doing.
    pub(crate) fn broke(&self, chosen: &Chosen) -> bool {
        if let Some(entry) = self.entries.borrow_mut().get_mut(&chosen.number)
            && entry.run == chosen.run
        {
            entry.client = None;
        }
        self.was_ended(chosen.number, chosen.run)
    }

    fn was_ended(&self, number: usize, run: u64) -> bool {
        let entries = self.entries.borrow();
        entries.get(&number).is_none_or(|entry| entry.run != run || entry.is_ending)
    }
}
