//! Many commands, some of them in progress at any time.

use std::collections::HashMap;
use std::time::Duration;

use voiddht_core::event::{Command, CommandId, Outcome};

use super::stage::Stage;
use crate::host::HostId;

/// The longest that one command may take, in virtual time: it is counted as failed then.
const PATIENCE: Duration = Duration::from_secs(120);
/// How often progress is reported.
const TELL_EVERY: u64 = 64;

impl Stage<'_> {
    /// Gives commands as `next` yields them, `at_once` in progress at any time, and hands each
    /// one's outcome to `ended`, with what `next` gave along. `of` is how many there will be.
    pub(super) fn run_commands<T>(
        &mut self,
        of: u64,
        at_once: usize,
        mut next: impl FnMut(&mut Self) -> Option<(HostId, Command, T)>,
        mut ended: impl FnMut(&mut Self, T, Option<Outcome>),
    ) {
        // Looked into, never iterated: its order is nowhere seen.
        let mut open: HashMap<CommandId, T> = HashMap::new();
        let mut done = 0;
        let mut is_over = false;
        loop {
            while !is_over && open.len() < at_once.max(1) {
                let Some((host, command, with)) = next(self) else {
                    is_over = true;
                    break;
                };
                match self.world.command(host, command) {
                    Some(id) => {
                        open.insert(id, with);
                    }
                    None => ended(self, with, None),
                }
            }
            if open.is_empty() {
                return self.progress.tell(of, of);
            }
            let end = self.world.now() + PATIENCE;
            let Some(one) = self.world.run_until_ended(end) else {
                // Nothing ends any more: the nodes that were asked are gone.
                for (_, with) in sorted(open) {
                    ended(self, with, None);
                }
                return;
            };
            if let Some(with) = open.remove(&one.id) {
                ended(self, with, Some(one.outcome));
                done += 1;
                if done % TELL_EVERY == 0 {
                    self.progress.tell(done, of);
                }
            }
        }
    }
}

fn sorted<T>(open: HashMap<CommandId, T>) -> Vec<(CommandId, T)> {
    let mut open: Vec<_> = open.into_iter().collect();
    open.sort_unstable_by_key(|(id, _)| id.0);
    open
}
