//! Lookups that recur once a node has joined: of its own ID, of quiet buckets, and of random points, for
//! the estimate of the network's size.

use std::time::Duration;

use rand::RngExt;
use voiddht_wire::Key;

use super::super::Node;
use super::super::operate::Origin;
use super::super::schedule::Task;
use super::FIRST_FIND_SELF;
use crate::label::LookupPurpose;

/// The shortest pause between refreshes of buckets, however many there are.
const MIN_REFRESH_PAUSE: Duration = Duration::from_secs(1);
/// When the own ID is looked up after a lost contact was found again, and the shortest pause between
/// two lookups for that reason. A guess: a healed partition brings many contacts back within seconds.
const FOUND_AGAIN: Duration = Duration::from_secs(2);
/// How often the estimate of the network's size is compared with the own neighbourhood. Each time in
/// a row that they contradict each other, the pause doubles.
pub(super) const SIZE_CHECK: Duration = Duration::from_secs(30);
/// Lookups of random points where they do. Two times renew half of what the estimate is made of.
const SIZE_LOOKUPS: usize = crate::density::NEIGHBOURHOODS / 4;

impl Node {
    /// Looks for the own ID, and plans the next time.
    pub(in super::super) fn find_self(&mut self) {
        if self.leaving.is_some() {
            return;
        }
        if !self.table.is_empty() {
            self.start_find(Origin::Own(LookupPurpose::Refresh), self.own.id.as_key(), self.now);
            let (at, pause) = self.joining.look_anywhere;
            if at <= self.now.mono {
                // The next lookup of the own ID may be due a little earlier than after the whole pause.
                self.joining.look_anywhere =
                    (self.now.mono + pause / 2, (2 * pause).min(self.config.refresh_interval));
                self.look_anywhere(1);
            }
        }
        self.plan_find_self();
    }

    /// Looks at random points, to learn the size of the network. Joining filled the estimate within
    /// seconds, and a node that joined a small network would go on believing in it.
    fn look_anywhere(&mut self, points: usize) {
        for _ in 0..points {
            let target = Key::from_bytes(self.random.random());
            self.start_find(Origin::Own(LookupPurpose::Refresh), target, self.now);
        }
    }

    /// Compares the estimate of the network's size with the own neighbourhood, which costs no
    /// request, and renews it where they contradict each other.
    pub(in super::super) fn check_size(&mut self) {
        if self.leaving.is_some() {
            return;
        }
        self.write_tenures();
        let own = self.own.id.as_key();
        let neighbours = self.closest(&own, self.config.k);
        let distances: Vec<_> = neighbours.iter().map(|node| own.distance(&node.id)).collect();
        self.size.observe_own(&distances);
        let pause = &mut self.joining.size_check_pause;
        if self.size.is_contradicted() {
            let next = (*pause * 2).min(self.config.refresh_interval);
            *pause = next;
            self.look_anywhere(SIZE_LOOKUPS);
        } else {
            *pause = SIZE_CHECK;
        }
        let pause = self.jittered(self.joining.size_check_pause.max(SIZE_CHECK));
        self.schedule.set(Task::CheckSize, self.now.mono + pause);
    }

    pub(in super::super) fn refresh_buckets(&mut self) {
        let quiet_since = self.now.mono.back(self.config.refresh_interval);
        let quiet: Vec<_> = self.table.buckets_unvisited_since(quiet_since).collect();
        let target = match quiet.len() {
            0 => None,
            count => {
                let range = quiet[self.random.random_range(0..count)];
                Some(range.random_target(&mut self.random))
            }
        };
        if let Some(target) = target
            && !self.table.is_empty()
        {
            self.start_find(Origin::Own(LookupPurpose::Refresh), target, self.now);
        }
        // One bucket at a time, so that the whole table is refreshed within the interval.
        let buckets = self.table.buckets().count().max(1) as u32;
        let pause = self.jittered((self.config.refresh_interval / buckets).max(MIN_REFRESH_PAUSE));
        self.schedule.set(Task::RefreshBuckets, self.now.mono + pause);
    }

    /// Looks for the own ID soon, and often at first.
    pub(in super::super) fn restart_find_self(&mut self) {
        self.joining.find_self_pause = FIRST_FIND_SELF / 2;
        self.plan_find_self();
    }

    /// Looks for the own ID soon: a lost contact is back, and may know nodes that this one does not.
    pub(in super::super) fn find_self_soon(&mut self) {
        let at = self.now.mono + self.jittered(FOUND_AGAIN);
        self.schedule.set_earlier(Task::FindSelf, at);
    }

    pub(super) fn plan_find_self(&mut self) {
        let pause = self.joining.find_self_pause.max(FIRST_FIND_SELF / 2) * 2;
        self.joining.find_self_pause = pause.min(self.config.refresh_interval);
        let pause = self.jittered(self.joining.find_self_pause);
        self.schedule.set(Task::FindSelf, self.now.mono + pause);
    }
}
