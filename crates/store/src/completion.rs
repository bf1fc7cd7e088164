//! How a group of writes ended, and what is notified of it.

use voiddht_core::event::Ticket;

use crate::error::WriteFailed;

/// The end of a group of writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completion {
    /// Which group.
    pub ticket: Ticket,
    /// Whether it will be found after a power cut. If not, it may or may not be: the writes are
    /// not tried again, later ones are.
    pub result: Result<(), WriteFailed>,
}

/// Told of every completion, in the order in which the groups were submitted, from the writer's
/// thread: it must not block, and a panic in it ends the writing.
pub type OnCompletion = Box<dyn Fn(Completion) + Send>;
