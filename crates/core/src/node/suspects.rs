//! Suspects: contacts that did not answer the last request.
//!
//! They are retried, at growing pauses, until they answer or have failed too often. Otherwise
//! unused contacts would stay suspects for hours, and a node whose network is gone would not notice
//! that it is isolated.

use std::collections::BTreeMap;
use std::time::Duration;

use voiddht_wire::NodeId;
use voiddht_wire::peer::Body;

use super::context::Context;
use super::schedule::Task;
use crate::request::Purpose;
use crate::time::Moment;

/// The pause after the first failure: soon, since a contact is asked last by operations once it has failed
/// twice ([`SILENT_AFTER`](super::contacts::SILENT_AFTER)).
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// Each further failure makes the pause so many times as long. With
/// [`crate::contact::MAX_FAILURES_IN_A_ROW`] a contact that refuses connections is given up after nine
/// seconds, long enough for most restarts, and an unresponsive one after half a minute.
const PAUSE_FACTOR: u32 = 8;
/// Suspects asked in one step; with more, the next step follows soon.
const ASKED_AT_ONCE: usize = 64;
/// How soon.
const STEP_PAUSE: Duration = Duration::from_millis(100);

/// When each suspect is asked next. No more of them than contacts.
#[derive(Debug, Default)]
pub(super) struct Suspects(BTreeMap<NodeId, Moment>);

impl Suspects {
    /// Whether there is none. There may be none left though it says that there are.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A contact failed, and keeps its place for now.
    pub(super) fn add(&mut self, cx: &mut Context, id: NodeId) {
        if !self.0.contains_key(&id) {
            self.plan(cx, id);
        }
    }

    /// Asks those whose time has come.
    pub(super) fn ask(&mut self, cx: &mut Context) {
        if cx.leaving.is_some() {
            return;
        }
        let now = cx.now.mono;
        let is_due = |(id, at): (&NodeId, &Moment)| (*at <= now).then_some(*id);
        let due: Vec<NodeId> = self.0.iter().filter_map(is_due).take(ASKED_AT_ONCE).collect();
        for id in due {
            self.0.remove(&id);
            let Some(contact) = cx.table.get(&id).filter(|contact| contact.is_suspect()) else {
                continue;
            };
            let to = contact.info();
            self.plan(cx, id);
            cx.request(to, Body::Ping, Purpose::Liveness);
        }
        if let Some(next) = self.0.values().min() {
            let at = (*next).max(now + STEP_PAUSE);
            cx.schedule.set_earlier(Task::Suspects, at);
        }
    }

    fn plan(&mut self, cx: &mut Context, id: NodeId) {
        let failures = cx.table.get(&id).map_or(1, |contact| contact.failures());
        let pause = FIRST_PAUSE * PAUSE_FACTOR.pow(u32::from(failures.saturating_sub(1).min(2)));
        let at = cx.now.mono + cx.jittered(pause);
        self.0.insert(id, at);
        cx.schedule.set_earlier(Task::Suspects, at);
    }
}
