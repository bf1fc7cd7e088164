//! Operations that wait until this node knows its neighbourhood.
//!
//! A node that just started serves at once, but has no contacts: a GET would find only the node's
//! own records, and a PUT would store nowhere else. While the node joins, operations wait, for a
//! short time.

use std::time::Duration;

use super::context::Context;
use super::schedule::Task;
use crate::event::{Command, CommandId};
use crate::time::Now;

/// The longest that an operation waits: then it has to do with what the node knows.
const PATIENCE: Duration = Duration::from_secs(2);

/// Operations that wait, in order. No more of them than operations may be in progress.
#[derive(Debug, Default)]
pub(super) struct Parked(Vec<ParkedOperation>);

/// An operation that waits.
#[derive(Debug)]
pub(super) struct ParkedOperation {
    pub(super) id: CommandId,
    pub(super) command: Command,
    /// When it came.
    pub(super) since: Now,
    /// Whether its steps are listed: what was set when it came.
    pub(super) traced: bool,
}

impl Parked {
    /// Has an operation wait. False if too many do.
    pub(super) fn add(&mut self, cx: &mut Context, id: CommandId, command: Command) -> bool {
        if self.0.len() >= cx.config.max_operations {
            return false;
        }
        let (since, traced) = (cx.now, cx.config.trace_steps);
        self.0.push(ParkedOperation { id, command, since, traced });
        if !cx.schedule.is_set(Task::Unpark) {
            cx.set_after(Task::Unpark, PATIENCE);
        }
        true
    }

    /// Everything that waits, which begins now.
    pub(super) fn take(&mut self, cx: &mut Context) -> Vec<ParkedOperation> {
        cx.schedule.cancel(Task::Unpark);
        std::mem::take(&mut self.0)
    }
}
