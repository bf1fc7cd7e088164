//! The PINGs to the owners of contested pins: the checks in progress, and their budget.
//!
//! One check asks [`PINGS_PER_CHECK`] times, a third of the grace apart, and ends a third after the
//! last. The distances are kept from PING to PING rather than from the start, so a node that was
//! itself stopped for a minute does not wake up to find that an owner had no time to answer.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use voiddht_core::time::Moment;
use voiddht_wire::NodeId;

use super::limits::PinLimits;

/// How often an owner is asked before it counts as unresponsive (PROTOCOL, section 4).
pub const PINGS_PER_CHECK: u32 = 3;
const MINUTE: Duration = Duration::from_secs(60);

/// Everything in progress.
#[derive(Debug)]
pub(super) struct Checks {
    max_checks: usize,
    pings_per_minute: usize,
    /// Time from one PING to the next, and from the last one to the end.
    interval: Duration,
    under_way: BTreeMap<NodeId, Check>,
    /// When PINGs were sent within the last minute; no longer than `pings_per_minute`.
    sent: VecDeque<Moment>,
}

/// One check over one ID.
#[derive(Debug)]
struct Check {
    /// PINGs sent.
    sent: u32,
    /// Whether this node has sent each PING that was due, as far as is known.
    asked: bool,
    /// When the next PING is due, or the end.
    due: Moment,
    /// Connections refused because of it.
    turned_away: u32,
}

/// What is due in a check.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Ask again.
    Ping,
    /// The last PING has had its time.
    End {
        /// Connections refused.
        turned_away: u32,
        /// Whether the owner was asked as often as it must be.
        asked: bool,
    },
}

impl Checks {
    pub(super) fn new(limits: &PinLimits) -> Self {
        Self {
            max_checks: limits.max_checks,
            pings_per_minute: limits.pings_per_minute,
            interval: limits.takeover_grace / PINGS_PER_CHECK,
            under_way: BTreeMap::new(),
            sent: VecDeque::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.under_way.len()
    }

    pub(super) fn is_under_way(&self, id: &NodeId) -> bool {
        self.under_way.contains_key(id)
    }

    /// Counts one more connection refused; whether there is a check over this ID.
    pub(super) fn turn_away(&mut self, id: &NodeId) -> bool {
        match self.under_way.get_mut(id) {
            Some(check) => {
                check.turned_away = check.turned_away.saturating_add(1);
                true
            }
            None => false,
        }
    }

    /// Starts a check, whose first PING the caller sends now; `false` at a limit.
    pub(super) fn start(&mut self, id: NodeId, now: Moment) -> bool {
        self.forget_sent(now);
        // What is in progress may send all that it has left, so that is spent already. It makes the
        // limit hold in every minute, not on average.
        let promised: u32 = self.under_way.values().map(|check| PINGS_PER_CHECK - check.sent).sum();
        let spent = self.sent.len() + (promised + PINGS_PER_CHECK) as usize;
        if self.under_way.len() >= self.max_checks || spent > self.pings_per_minute {
            return false;
        }
        let check = Check { sent: 1, asked: true, due: now + self.interval, turned_away: 1 };
        self.under_way.insert(id, check);
        self.sent.push_back(now);
        true
    }

    /// Notes that a PING was not sent after all.
    pub(super) fn not_asked(&mut self, id: &NodeId) {
        if let Some(check) = self.under_way.get_mut(id) {
            check.asked = false;
        }
    }

    /// Ends a check early; the answer is how many connections it has refused.
    pub(super) fn stop(&mut self, id: &NodeId) -> Option<u32> {
        self.under_way.remove(id).map(|check| check.turned_away)
    }

    pub(super) fn next_wakeup(&self) -> Option<Moment> {
        self.under_way.values().map(|check| check.due).min()
    }

    /// Takes the next step that is due, if any.
    pub(super) fn due(&mut self, now: Moment) -> Option<(NodeId, Step)> {
        self.forget_sent(now);
        let (id, check) = self.under_way.iter_mut().find(|(_, check)| check.due <= now)?;
        let id = *id;
        if check.sent < PINGS_PER_CHECK {
            check.sent += 1;
            check.due = now + self.interval;
            self.sent.push_back(now);
            return Some((id, Step::Ping));
        }
        let (turned_away, asked) = (check.turned_away, check.asked);
        self.under_way.remove(&id);
        Some((id, Step::End { turned_away, asked }))
    }

    fn forget_sent(&mut self, now: Moment) {
        while self.sent.front().is_some_and(|sent| now.since(*sent) >= MINUTE) {
            self.sent.pop_front();
        }
    }
}
