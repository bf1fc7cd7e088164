//! Replicas that this node's PUTs have not reached: they are sent the record after the PUT has ended.
//!
//! A PUT goes past nodes that do not answer, and ends without those that are overdue. One that is alive
//! all the same would hold what the key had before until the next renewal, and with a few like it some
//! reads would return that. So each replica that was silent or busy is tried again at growing pauses:
//! with one record, and once it has answered, with the next that it lacks.
//!
//! Only what this node published last under a key is sent, and only until it expires.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use voiddht_wire::peer::{Body, ErrorCode, NodeInfo, Record};
use voiddht_wire::{Key, NodeId};

use super::context::Context;
use super::schedule::Task;
use crate::config::FAIL_AFTER;
use crate::label::Limit;
use crate::operation::put::Missed;
use crate::operation::{Answer, Published, record_of};
use crate::request::Purpose;
use crate::time::{BootTime, Moment, Now};

/// The pause before each further try at a replica. A node that restarts is back within the last of them.
const TRIES_AFTER: [Duration; 3] =
    [Duration::from_secs(1), Duration::from_secs(4), Duration::from_secs(16)];
/// Replicas that are sent a record at the same time.
const IN_FLIGHT: usize = 16;
/// Records that replicas lack, counted for each replica. 200 bytes each.
const MAX_UNREACHED: usize = 4096;

/// See the module's description.
#[derive(Debug, Default)]
pub(super) struct Unreached {
    replicas: BTreeMap<NodeId, Replica>,
    /// When each replica is tried next. The others have a record to answer.
    due: BTreeSet<(Moment, NodeId)>,
    /// The records that all replicas lack.
    lacked: usize,
}

/// A node that should hold records, and was not reached.
#[derive(Debug)]
struct Replica {
    node: NodeInfo,
    lacks: BTreeMap<Key, Lacked>,
    /// When it is tried next; `None` while it has a record to answer.
    due: Option<Moment>,
    /// Tries that failed since it answered.
    failed: usize,
}

/// A record that a replica lacks.
#[derive(Clone, Copy, Debug)]
struct Lacked {
    version: u64,
    expires: BootTime,
}

impl Unreached {
    /// A PUT of this record that began then has ended: the replicas that it missed will be tried.
    pub(super) fn put_ended(
        &mut self,
        cx: &mut Context,
        (record, began): (&Record, Now),
        missed: Vec<Missed>,
    ) {
        let Some(version) = record.version else { return };
        let expires = began.boot + Duration::from_secs(record.ttl.into());
        for Missed { node, is_awaited } in missed {
            // Of one whose answer is awaited more is known by then.
            let (pause, failed) = if is_awaited { (FAIL_AFTER.1, 0) } else { (TRIES_AFTER[0], 1) };
            if self.lacked >= MAX_UNREACHED {
                return cx.limit_reached(Limit::UnreachedReplicas);
            }
            let lacks = BTreeMap::new();
            let new = Replica { node, lacks, due: None, failed };
            let replica = self.replicas.entry(node.id).or_insert(new);
            let is_new = replica.lacks.is_empty();
            let before = replica.lacks.insert(record.key, Lacked { version, expires });
            self.lacked += usize::from(before.is_none());
            if is_new {
                let at = cx.now.mono + cx.jittered(pause);
                self.plan(cx, node.id, at);
            }
        }
    }

    /// An answer to a STORE of a PUT that has ended.
    pub(super) fn handle_late_answer(
        &mut self,
        cx: &mut Context,
        from: &NodeId,
        stored: (Key, Option<u64>),
        answer: &Answer,
    ) {
        if !is_miss(answer) {
            self.settle(from, stored);
        } else if self.replicas.get(from).is_some_and(|replica| replica.failed == 0) {
            self.try_later(cx, from);
        }
    }

    /// An answer to a STORE that was sent from here.
    pub(super) fn handle_answer(
        &mut self,
        cx: &mut Context,
        from: &NodeId,
        stored: (Key, Option<u64>),
        answer: &Answer,
    ) {
        if is_miss(answer) {
            self.try_later(cx, from);
        } else {
            self.settle(from, stored);
            if let Some(replica) = self.replicas.get_mut(from) {
                replica.failed = 0;
                self.plan(cx, *from, cx.now.mono);
            }
        }
        // There is room for another.
        cx.schedule.set_earlier(Task::Unreached, cx.now.mono);
    }

    /// Sends a record to each replica whose time has come, as far as there may be more in flight.
    /// `published` is what this node published last under a key.
    pub(super) fn run(
        &mut self,
        cx: &mut Context,
        published: impl Fn(&Context, &Key) -> Option<Published>,
    ) {
        while self.replicas.len() - self.due.len() < IN_FLIGHT
            && cx.leaving.is_none()
            && let Some((at, id)) = self.due.first().copied()
        {
            if at > cx.now.mono {
                return cx.schedule.set_earlier(Task::Unreached, at);
            }
            let contact = cx.table.get(&id);
            if contact.is_some_and(|contact| contact.is_suspect()) {
                self.try_later(cx, &id);
                continue;
            }
            let address = contact.map(|contact| contact.address());
            let record = self.next_record(cx, &id, &published).filter(|_| !cx.is_banned(&id));
            let (Some(record), Some(replica)) = (record, self.replicas.get_mut(&id)) else {
                self.forget(&id);
                continue;
            };
            self.due.remove(&(at, id));
            replica.due = None;
            let to = NodeInfo { address: address.unwrap_or(replica.node.address), id };
            cx.request(to, Body::Store(record), Purpose::Replica);
        }
    }

    /// The next record that a replica lacks, past those that have expired or were replaced.
    fn next_record(
        &mut self,
        cx: &Context,
        id: &NodeId,
        published: impl Fn(&Context, &Key) -> Option<Published>,
    ) -> Option<Record> {
        let lacks = &mut self.replicas.get_mut(id)?.lacks;
        while let Some((key, lacked)) = lacks.first_key_value().map(|(key, it)| (*key, *it)) {
            let ttl = lacked.expires.since(cx.now.boot);
            let is_it = |it: &Published| it.version == lacked.version && ttl.as_secs() > 0;
            if let Some(Published { value, version }) = published(cx, &key).filter(is_it) {
                return Some(record_of(key, value.bytes().clone(), version, ttl));
            }
            lacks.remove(&key);
            self.lacked -= 1;
        }
        None
    }

    /// A replica holds a record, or a newer one, or will not take it.
    fn settle(&mut self, id: &NodeId, (key, version): (Key, Option<u64>)) {
        let Some(replica) = self.replicas.get_mut(id) else { return };
        if replica.lacks.get(&key).is_some_and(|lacked| Some(lacked.version) == version) {
            replica.lacks.remove(&key);
            self.lacked -= 1;
        }
        if replica.lacks.is_empty() {
            self.forget(id);
        }
    }

    fn try_later(&mut self, cx: &mut Context, id: &NodeId) {
        let Some(replica) = self.replicas.get_mut(id) else { return };
        let Some(pause) = TRIES_AFTER.get(replica.failed).copied() else { return self.forget(id) };
        replica.failed += 1;
        let at = cx.now.mono + cx.jittered(pause);
        self.plan(cx, *id, at);
    }

    fn plan(&mut self, cx: &mut Context, id: NodeId, at: Moment) {
        let Some(replica) = self.replicas.get_mut(&id) else { return };
        if let Some(before) = replica.due.replace(at) {
            self.due.remove(&(before, id));
        }
        self.due.insert((at, id));
        cx.schedule.set_earlier(Task::Unreached, at);
    }

    fn forget(&mut self, id: &NodeId) {
        let Some(replica) = self.replicas.remove(id) else { return };
        self.lacked -= replica.lacks.len();
        if let Some(at) = replica.due {
            self.due.remove(&(at, *id));
        }
    }
}

/// Whether a replica was not reached, or had no time.
fn is_miss(answer: &Answer) -> bool {
    matches!(answer, Answer::Failed | Answer::Refused(ErrorCode::Busy))
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use bytes::Bytes;
    use rand::SeedableRng;
    use rand::rngs::ChaCha8Rng;

    use super::*;
    use crate::config::Config;
    use crate::event::{Notice, Output};
    use crate::record::order::Class;
    use crate::record::value::VerifiedValue;
    use crate::time::WallTime;

    const VERSION: u64 = 7;
    const TTL: Duration = Duration::from_secs(600);

    fn node(number: u16) -> NodeInfo {
        let address = SocketAddr::from(([127, 0, 0, 1], 10_000 + number)).into();
        NodeInfo { id: NodeId::from_bytes(key(number).to_bytes()), address }
    }

    fn key(number: u16) -> Key {
        Key::of_value(&number.to_be_bytes())
    }

    fn at(second: u64) -> Now {
        let passed = Duration::from_secs(second);
        Now::never_suspended(Moment::default() + passed, WallTime::default() + passed)
    }

    /// A node whose PUTs have missed replicas.
    struct Publisher {
        cx: Context,
        unreached: Unreached,
        /// The version of what was published last under each key.
        version: u64,
    }

    impl Publisher {
        fn new() -> Self {
            let random = ChaCha8Rng::seed_from_u64(1);
            let cx = Context::new(node(0), Config::default(), random);
            Self { cx, unreached: Unreached::default(), version: VERSION }
        }

        fn misses(&mut self, replica: u16, of: u16, is_awaited: bool) {
            let record = record_of(key(of), Bytes::from_static(b"value"), VERSION, TTL);
            let missed = vec![Missed { node: node(replica), is_awaited }];
            self.unreached.put_ended(&mut self.cx, (&record, at(0)), missed);
        }

        fn hears_late(&mut self, replica: u16, of: u16, answer: &Answer) {
            let stored = (key(of), Some(VERSION));
            self.unreached.handle_late_answer(&mut self.cx, &node(replica).id, stored, answer);
        }

        /// What is sent in these seconds, if each STORE is answered at once: the second and the replica.
        fn sends(
            &mut self,
            seconds: std::ops::Range<u64>,
            answer: Option<&Answer>,
        ) -> Vec<(u64, NodeId)> {
            let mut sent = Vec::new();
            for second in seconds {
                self.cx.set_now(at(second));
                while let Some(Task::Unreached) = self.cx.schedule.next(self.cx.now.mono) {
                    let value = VerifiedValue::of_class("value".into(), Class::Plain);
                    let published = Published { value, version: self.version };
                    self.unreached.run(&mut self.cx, |_, _| Some(published.clone()));
                    while let Some(output) = self.cx.poll_output() {
                        let Output::Request { to, message } = output else { continue };
                        let Body::Store(record) = message.body else { panic!("{message:?}") };
                        assert_eq!(u64::from(record.ttl), TTL.as_secs() - second);
                        let (id, stored) = (to.id.unwrap(), (record.key, record.version));
                        sent.push((second, id));
                        if let Some(answer) = answer {
                            self.unreached.handle_answer(&mut self.cx, &id, stored, answer);
                        }
                    }
                }
            }
            sent
        }

        fn assert_idle(&self) {
            let Unreached { replicas, due, lacked } = &self.unreached;
            assert_eq!((replicas.len(), due.len(), *lacked), (0, 0, 0));
        }
    }

    #[test]
    fn a_replica_is_tried_three_times_whatever_it_lacks() {
        let mut publisher = Publisher::new();
        (0..5).for_each(|number| publisher.misses(1, number, false));
        let sent = publisher.sends(0..60, Some(&Answer::Failed));
        let seconds: Vec<u64> = sent.iter().map(|(second, _)| *second).collect();
        let [first, second, third] = seconds[..] else { panic!("{seconds:?}") };
        assert!((1..=2).contains(&first), "{seconds:?}");
        assert!((3..=5).contains(&(second - first)), "{seconds:?}");
        assert!((12..=20).contains(&(third - second)), "{seconds:?}");
        publisher.assert_idle();
    }

    #[test]
    fn a_replica_that_answers_is_sent_all_that_it_lacks() {
        let mut publisher = Publisher::new();
        (0..5).for_each(|number| publisher.misses(1, number, false));
        assert_eq!(publisher.sends(0..3, Some(&Answer::Refused(ErrorCode::Busy))).len(), 1);
        assert_eq!(publisher.sends(3..10, Some(&Answer::Stored)).len(), 5);
        publisher.assert_idle();
    }

    #[test]
    fn what_was_published_anew_is_not_sent() {
        let mut publisher = Publisher::new();
        publisher.misses(1, 1, false);
        publisher.version += 1;
        assert_eq!(publisher.sends(0..60, Some(&Answer::Stored)), []);
        publisher.assert_idle();
    }

    #[test]
    fn a_replica_whose_answer_was_awaited_is_sent_the_record_only_if_it_failed() {
        let mut publisher = Publisher::new();
        publisher.misses(1, 1, true);
        publisher.misses(2, 1, true);
        publisher.misses(2, 2, true);
        publisher.hears_late(1, 1, &Answer::Stored);
        publisher.hears_late(2, 1, &Answer::Failed);
        // Both failed for the same reason: it is tried once for it.
        publisher.hears_late(2, 2, &Answer::Failed);
        assert_eq!(publisher.sends(0..3, Some(&Answer::Stored)).len(), 2);
        publisher.assert_idle();
    }

    #[test]
    fn few_replicas_are_tried_at_once_and_not_too_many_remembered() {
        let mut publisher = Publisher::new();
        (0..=MAX_UNREACHED as u16).for_each(|number| publisher.misses(number, number, false));
        let output = publisher.cx.poll_output();
        let limit = Limit::UnreachedReplicas;
        assert!(
            matches!(output, Some(Output::Notice(Notice::LimitReached { limit: it })) if it == limit)
        );
        assert_eq!(publisher.unreached.lacked, MAX_UNREACHED);
        assert_eq!(publisher.sends(0..5, None).len(), IN_FLIGHT);
    }
}
