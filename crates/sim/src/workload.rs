//! Many commands, some in progress at any time, and how each of them ended.

use std::collections::BTreeMap;
use std::time::Duration;

use voiddht_core::event::{Command, CommandId, Outcome};

use crate::host::HostId;
use crate::world::World;

/// The longest that one command may take, in virtual time: operations end by themselves.
const PATIENCE: Duration = Duration::from_secs(600);

impl World {
    /// Gives many commands, `at_once` in progress at any time, and returns how each ended: `None`
    /// for one whose node did not run, or died.
    pub fn run_commands(
        &mut self,
        commands: Vec<(HostId, Command)>,
        at_once: usize,
    ) -> Vec<Option<Outcome>> {
        let mut outcomes: Vec<Option<Outcome>> = vec![None; commands.len()];
        let mut waiting = commands.into_iter().enumerate();
        let mut open: BTreeMap<CommandId, usize> = BTreeMap::new();
        loop {
            while open.len() < at_once.max(1)
                && let Some((number, (host, command))) = waiting.next()
            {
                if let Some(id) = self.command(host, command) {
                    open.insert(id, number);
                }
            }
            if open.is_empty() {
                return outcomes;
            }
            let end = self.now() + PATIENCE;
            let Some(ended) = self.run_until_ended(end) else { return outcomes };
            if let Some(number) = open.remove(&ended.id) {
                outcomes[number] = Some(ended.outcome);
            }
        }
    }

    /// Lets time pass, and forgets what ended meanwhile.
    pub fn pass(&mut self, time: Duration) {
        let end = self.now() + time;
        self.run_until(end);
        while self.next_ended().is_some() {}
    }
}
