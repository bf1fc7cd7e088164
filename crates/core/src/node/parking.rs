//! Operations that wait until this node knows its neighbourhood.
//!
//! A node that just started serves at once, but has no contacts: a GET would find only the node's
//! own records, and a PUT would store nowhere else. While the node joins, operations wait, for a
//! short time.

use std::time::Duration;

use super::Node;
use super::schedule::Task;
use crate::event::{Command, CommandId, Notice, Outcome};
use crate::label::Limit;
use crate::time::Now;

/// The longest that an operation waits: then it has to do with what the node knows.
const PATIENCE: Duration = Duration::from_secs(2);

/// Operations that wait, in order. No more of them than operations may be in progress.
#[derive(Debug, Default)]
pub(super) struct Parked(Vec<Waiting>);

#[derive(Debug)]
struct Waiting {
    id: CommandId,
    command: Command,
    since: Now,
    /// Whether its steps are listed: what was set when it came.
    traced: bool,
}

impl Node {
    /// Has an operation wait.
    pub(super) fn park(&mut self, id: CommandId, command: Command) {
        if self.parked.0.len() >= self.config.max_operations {
            self.notice(Notice::LimitReached { limit: Limit::MaxOperations });
            return self.answer(id, Outcome::Busy);
        }
        let (since, traced) = (self.now, self.config.trace_steps);
        self.parked.0.push(Waiting { id, command, since, traced });
        if !self.schedule.is_set(Task::Unpark) {
            self.schedule.set(Task::Unpark, self.now.mono + PATIENCE);
        }
    }

    /// Begins everything that waits.
    pub(super) fn unpark(&mut self) {
        self.schedule.cancel(Task::Unpark);
        let trace_steps = self.config.trace_steps;
        for Waiting { id, command, since, traced } in std::mem::take(&mut self.parked.0) {
            self.config.trace_steps = traced;
            self.start_operation(id, command, since);
        }
        self.config.trace_steps = trace_steps;
    }
}
