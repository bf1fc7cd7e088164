//! The schedule of recurring tasks, each queued at most once.

use std::collections::BTreeSet;

use crate::time::Moment;

/// Work that a point in time brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Task {
    /// Try the known peers again.
    Join,
    /// Try configured peers while the node has contacts.
    Peers,
    /// Look for the own ID, so that the neighbourhood is known.
    FindSelf,
    /// Look into buckets that were quiet for long.
    RefreshBuckets,
    /// See whether records are on the nodes that should hold them.
    Upkeep,
    /// Republish kept values.
    Keep,
    /// Bring records to nodes that have appeared, or have taken the place of some that died.
    Movement,
    /// Send copies again that failed.
    CopiesAgain,
    /// Send records to replicas that PUTs have missed.
    Unreached,
    /// Try contacts that were given up: a healed partition is found so.
    LostContacts,
    /// Ask contacts again that did not answer.
    Suspects,
    /// Compare the estimate of the network's size with the own neighbourhood.
    CheckSize,
    /// Ask contacts to dial this node back, or judge by the callers.
    Reach,
    /// Announce the new address to contacts.
    Reintroduce,
    /// Begin operations that have waited long enough.
    Unpark,
    /// Stop waiting for the end of the hand-over.
    LeaveBy,
}

#[derive(Debug, Default)]
pub(super) struct Schedule {
    due: BTreeSet<(Moment, Task)>,
}

impl Schedule {
    /// Sets the time of a task, in place of the one that it had.
    pub(super) fn set(&mut self, task: Task, at: Moment) {
        self.cancel(task);
        self.due.insert((at, task));
    }

    /// Sets the time of a task unless it is due earlier already.
    pub(super) fn set_earlier(&mut self, task: Task, at: Moment) {
        if self.due_at(task).is_none_or(|due| due > at) {
            self.set(task, at);
        }
    }

    pub(super) fn cancel(&mut self, task: Task) {
        self.due.retain(|(_, waiting)| *waiting != task);
    }

    pub(super) fn is_set(&self, task: Task) -> bool {
        self.due_at(task).is_some()
    }

    pub(super) fn next_due(&self) -> Option<Moment> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Takes the next task that is due.
    pub(super) fn next(&mut self, now: Moment) -> Option<Task> {
        let (at, task) = *self.due.first()?;
        if at > now {
            return None;
        }
        self.due.remove(&(at, task));
        Some(task)
    }

    fn due_at(&self, task: Task) -> Option<Moment> {
        self.due.iter().find(|(_, waiting)| *waiting == task).map(|(at, _)| *at)
    }
}
