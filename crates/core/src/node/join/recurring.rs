//! When a node that has joined looks up its own ID again, and random points, for the estimate of the
//! network's size.

use std::time::Duration;

use crate::node::context::Context;
use crate::node::schedule::Task;
use crate::time::Moment;

/// The first pause until the own ID is looked for again.
const FIRST_FIND_SELF: Duration = Duration::from_secs(1);
/// The shortest pause between refreshes of buckets, however many there are.
const MIN_REFRESH_PAUSE: Duration = Duration::from_secs(1);
/// When the own ID is looked up after a lost contact was found again, and the shortest pause between
/// two lookups for that reason. A guess: a healed partition brings many contacts back within seconds.
const FOUND_AGAIN: Duration = Duration::from_secs(2);
/// How often the estimate of the network's size is compared with the own neighbourhood. Each time in
/// a row that they contradict each other, the pause doubles.
const SIZE_CHECK: Duration = Duration::from_secs(30);

/// The pauses of lookups that recur.
#[derive(Debug, Default)]
pub(in super::super) struct Recurring {
    find_self_pause: Duration,
    /// When a random point is looked up next, together with the own ID, and the pause after that.
    look_anywhere: (Moment, Duration),
    size_check_pause: Duration,
}

impl Recurring {
    /// The pause until the next lookup of the own ID.
    pub(super) fn pause(&self) -> Duration {
        self.find_self_pause
    }

    /// The node has joined.
    pub(super) fn start(&mut self, cx: &mut Context) {
        self.look_anywhere = (cx.now.mono, FIRST_FIND_SELF);
        let pause = cx.jittered(cx.config.refresh_interval);
        cx.schedule.set_earlier(Task::RefreshBuckets, cx.now.mono + pause);
        self.size_check_pause = SIZE_CHECK;
        cx.schedule.set_earlier(Task::CheckSize, cx.now.mono + SIZE_CHECK);
    }

    /// Looks for the own ID soon, and often at first.
    pub(in super::super) fn restart(&mut self, cx: &mut Context) {
        self.find_self_pause = FIRST_FIND_SELF / 2;
        self.plan_find_self(cx);
    }

    /// Looks for the own ID soon: a lost contact is back, and may know nodes that this one does not.
    pub(in super::super) fn find_self_soon(&self, cx: &mut Context) {
        let at = cx.now.mono + cx.jittered(FOUND_AGAIN);
        cx.schedule.set_earlier(Task::FindSelf, at);
    }

    /// The own ID has been looked for: the next time.
    pub(in super::super) fn plan_find_self(&mut self, cx: &mut Context) {
        let pause = self.find_self_pause.max(FIRST_FIND_SELF / 2) * 2;
        self.find_self_pause = pause.min(cx.config.refresh_interval);
        let pause = cx.jittered(self.find_self_pause);
        cx.set_after(Task::FindSelf, pause);
    }

    /// Whether a random point is to be looked up too, whenever the own ID is.
    pub(in super::super) fn is_time_to_look_anywhere(&mut self, cx: &Context) -> bool {
        let (at, pause) = self.look_anywhere;
        if at > cx.now.mono {
            return false;
        }
        // The next lookup of the own ID may be due a little earlier than after the whole pause.
        let next = cx.now.mono + pause / 2;
        self.look_anywhere = (next, (2 * pause).min(cx.config.refresh_interval));
        true
    }

    /// The next comparison of the estimate with the own neighbourhood.
    pub(in super::super) fn plan_size_check(&mut self, cx: &mut Context, is_contradicted: bool) {
        self.size_check_pause = match is_contradicted {
            true => (self.size_check_pause * 2).min(cx.config.refresh_interval),
            false => SIZE_CHECK,
        };
        let pause = cx.jittered(self.size_check_pause.max(SIZE_CHECK));
        cx.set_after(Task::CheckSize, pause);
    }

    /// The next refresh of a bucket: one at a time, so that the whole table is refreshed within the
    /// interval.
    pub(in super::super) fn plan_refresh(&self, cx: &mut Context) {
        let buckets = cx.table.buckets().count().max(1) as u32;
        let pause = (cx.config.refresh_interval / buckets).max(MIN_REFRESH_PAUSE);
        let pause = cx.jittered(pause);
        cx.set_after(Task::RefreshBuckets, pause);
    }
}
