//! A world in which a scenario is in progress: who is in it, which values were put, what was
//! measured since the last row.

use rand::RngExt;
use voiddht_core::time::Moment;
use voiddht_wire::Key;

use super::row::{Progress, Row};
use crate::host::HostId;
use crate::world::World;

/// A value that was put.
#[derive(Clone, Copy, Debug)]
pub(super) struct Value {
    pub(super) number: u64,
    pub(super) bytes: usize,
    pub(super) expires: Moment,
}

impl Value {
    /// A key that is not its value's hash.
    pub(super) fn key(&self) -> Key {
        value_key(self.number)
    }

    /// Its content: its number, and as much after it as it is long.
    pub(super) fn content(&self) -> Vec<u8> {
        let mut content = format!("{:016}", self.number).into_bytes();
        content.resize(self.bytes, b'.');
        content
    }
}

pub(super) struct Stage<'a> {
    pub(super) world: World,
    pub(super) row: Row,
    /// Honest hosts that run.
    pub(super) honest: Vec<HostId>,
    /// Hosts that do not run, and may return.
    pub(super) dead: Vec<HostId>,
    pub(super) values: Vec<Value>,
    pub(super) next_value: u64,
    /// Whether hosts have data directories.
    pub(super) disk: bool,
    pub(super) progress: Teller<'a>,
}

/// Reports how far the present step is.
pub(super) struct Teller<'a> {
    tell: &'a mut dyn FnMut(Progress),
    step: &'static str,
}

impl Teller<'_> {
    pub(super) fn begin(&mut self, step: &'static str) {
        self.step = step;
        self.tell(0, 1);
    }

    pub(super) fn tell(&mut self, done: u64, of: u64) {
        (self.tell)(Progress { step: self.step, done, of });
    }
}

impl<'a> Stage<'a> {
    pub(super) fn new(world: World, progress: &'a mut dyn FnMut(Progress)) -> Self {
        Self {
            world,
            row: Row::default(),
            honest: Vec::new(),
            dead: Vec::new(),
            values: Vec::new(),
            next_value: 0,
            disk: false,
            progress: Teller { tell: progress, step: "" },
        }
    }

    /// A random honest host that runs. `None` if there is none.
    pub(super) fn any(&mut self) -> Option<HostId> {
        let count = self.honest.len();
        (count > 0).then(|| self.honest[self.world.random().random_range(0..count)])
    }

    /// How many records of a key nodes keep, as they are set.
    pub(super) fn k(&self) -> usize {
        self.world.config().node.k
    }
}

/// The key of a value.
pub(super) fn value_key(number: u64) -> Key {
    Key::of_value(format!("key {number}").as_bytes())
}

/// A figure's name, with what a step is called before it.
pub(super) fn named(name: Option<&String>, figure: &str) -> String {
    match name {
        Some(name) => format!("{name}.{figure}"),
        None => figure.to_owned(),
    }
}
