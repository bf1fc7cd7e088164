//! What every checker is: it observes a run, step by step, and reports violations.

use std::fmt;

use voiddht_core::Node;
use voiddht_core::event::{Command, CommandId};
use voiddht_core::time::{BootTime, Moment, Now};
use voiddht_session::Output;
use voiddht_wire::NodeId;

use crate::host::{Host, HostId};

/// Violations kept in full; beyond them they are only counted.
const MAX_KEPT: usize = 100;

/// Something that watches a run.
pub trait Checker {
    /// What it watches.
    fn name(&self) -> &'static str;

    /// A host's node has started, with an empty memory.
    fn started(&mut self, _at: &Site) {}

    /// An adversary took control of a host's node.
    fn corrupted(&mut self, _at: &Site) {}

    /// A host's node is about to be told to do something.
    fn commanded(&mut self, _at: &Site, _id: CommandId, _command: &Command) {}

    /// A host's session has put something out. A STORE may have waited for a connection: then the
    /// site's time is that at which the node made it.
    fn put_out(&mut self, _at: &Site, _output: &Output, _found: &mut Violations) {}

    /// A host's node has done a step, and everything that it put out is on its way.
    fn stepped(&mut self, _at: &Site, _node: &Node, _found: &mut Violations) {}

    /// The run has come to a point at which the whole world is looked at:
    /// [`World::survey`](crate::World::survey).
    fn surveyed(&mut self, _all: &Survey<'_>, _found: &mut Violations) {}
}

/// A whole world at one moment.
#[derive(Clone, Copy)]
pub struct Survey<'a> {
    /// When.
    pub now: Moment,
    /// Its hosts, adversaries and dead ones included.
    pub hosts: &'a [Host],
}

impl Survey<'_> {
    /// When, as the clock of records' deadlines counts it.
    pub fn boot_now(&self) -> BootTime {
        BootTime::from_micros(self.now.as_micros())
    }

    /// The site of something that concerns no host more than another.
    pub(super) fn nowhere(&self) -> Site {
        let (mono, boot) = (self.now, self.boot_now());
        let now = Now { mono, boot, ..Default::default() };
        Site { now, host: HostId(0), id: NodeId::default() }
    }
}

/// Where and when something happened.
#[derive(Clone, Copy, Debug)]
pub struct Site {
    /// When, by the clocks of the host.
    pub now: Now,
    /// The host.
    pub host: HostId,
    /// Its node.
    pub id: NodeId,
}

/// Something that must not be.
#[derive(Clone, Debug)]
pub struct Violation {
    /// The checker's name.
    pub checker: &'static str,
    /// When.
    pub at: Moment,
    /// Where.
    pub host: HostId,
    /// What.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.at.as_micros() as f64 / 1e6;
        write!(f, "{} at {seconds:.3} s, host {}: {}", self.checker, self.host.0, self.what)
    }
}

/// What the checkers found.
#[derive(Clone, Debug, Default)]
pub struct Violations {
    kept: Vec<Violation>,
    count: u64,
}

impl Violations {
    /// Notes one.
    pub fn add(&mut self, checker: &'static str, at: &Site, what: String) {
        self.count += 1;
        if self.kept.len() < MAX_KEPT {
            let Site { now, host, .. } = *at;
            self.kept.push(Violation { checker, at: now.mono, host, what });
        }
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The first of them.
    pub fn kept(&self) -> &[Violation] {
        &self.kept
    }
}
