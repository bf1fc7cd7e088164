//! GET and PUT whose peers answer anything, in any order, or not at all.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use voiddht_core::density::{MAX_WIDENING, NetworkSize, SizeEstimate};
use voiddht_core::lookup::{Breadth, Lookup, MAX_REQUESTS};
use voiddht_core::operation::get::{ReadMode, ReadPolicy};
use voiddht_core::operation::{Answer, Asked as Question, Get, Next, Published, Put};
use voiddht_core::record::order::Class;
use voiddht_core::time::WallTime;
use voiddht_wire::peer::{Body, ErrorCode, NodeInfo, Record};
use voiddht_wire::{Key, NodeId};

use super::source::{self, Source};

/// The highest version that replicas accept.
const HIGHEST_VERSION: u64 = 100;

/// A request of an operation that waits for its answer.
struct Asked {
    node: NodeInfo,
    body: Body,
}

fn breadth(source: &mut Source<'_>) -> Breadth {
    Breadth {
        want: 1 + source.below(20),
        alpha: 1 + source.below(4),
        paths: source.one_of(&[1, 5, 2]),
        diversity: source::diversity(source),
    }
}

/// A small network, or a large one, or no idea.
fn size(source: &mut Source<'_>) -> Option<SizeEstimate> {
    let mut observer = NetworkSize::default();
    let spread = source.one_of(&[0, 1, 200]);
    for target in 0..spread {
        let target = Key::of_value(&[target]);
        let mut distances: Vec<_> =
            (0..100).map(|number| target.distance(&source::node(number).id)).collect();
        distances.sort_unstable();
        distances.truncate(20);
        observer.observe(&distances);
    }
    observer.estimate()
}

fn record(key: Key, source: &mut Source<'_>) -> Record {
    let version = source.one_of(&[Some(7), Some(6), Some(8), None, Some(u64::MAX)]);
    Record { key, value: value(source.byte()), ttl: 60, version, maintenance: false }
}

fn value(choice: u8) -> Bytes {
    Bytes::from(vec![choice % 4; 3])
}

/// An answer that fits the request.
fn answer(to: &Body, source: &mut Source<'_>) -> Answer {
    let choice = if source.is_empty() { 0 } else { source.byte() % 8 };
    match (choice, to) {
        (0, _) => Answer::Failed,
        (1, _) => Answer::Refused(source.one_of(&[ErrorCode::Busy, ErrorCode::NotAcceptable])),
        (_, Body::Store(_)) => Answer::Stored,
        (2..=5, Body::FindValue { key }) => Answer::Value(record(*key, source)),
        _ => Answer::Nodes(source::nodes(source, 20)),
    }
}

/// It ends; it returns only what it was given: self-verifying values before all else, never
/// something older than its own publication; and it blames no node that agreed.
pub(crate) fn get(bytes: &[u8]) {
    let mut source = Source::new(bytes);
    let key = source.one_of(&[Key::default(), Key::of_value(&value(1)), Key::of_value(b"any")]);
    let (breadth, quorum) = (breadth(&mut source), 1 + source.below(6));
    let search = Lookup::new(key, source::own(), breadth, &source::nodes(&mut source, 20));
    let floor = source
        .flag()
        .then(|| Published { value: source::verified(&key, &value(source.byte())), version: 7 });
    let held = source.flag().then(|| record(key, &mut source));
    let mut given: Vec<(NodeId, Record)> = Vec::new();
    given.extend(held.clone().map(|record| (source::own(), record)));
    let size = size(&mut source);
    let policy = ReadPolicy {
        mode: ReadMode::default(),
        began: WallTime::default(),
        quorum,
        breadth,
        size,
        salt: source.byte().into(),
    };
    let mut get = Get::new(source::own(), search, policy, floor.clone(), held);
    let mut waiting: Vec<Asked> = Vec::new();
    let mut asked = 0;
    loop {
        match get.next_step() {
            Next::Ask { node, body, .. } => {
                asked += 1;
                let fits = match body {
                    // Or at a point beside it.
                    Body::FindNode { .. } => true,
                    Body::FindValue { key: wanted } => wanted == key,
                    _ => false,
                };
                assert!(fits && node.address.is_dialable() && node.id != source::own());
                waiting.push(Asked { node, body });
            }
            Next::Wait => {
                assert!(!waiting.is_empty(), "waits for nothing");
                let index = source.below(waiting.len());
                if source.byte() % 8 == 7 && !source.is_empty() {
                    get.handle_late(&waiting[index].node.id);
                    continue;
                }
                let Asked { node, body } = waiting.swap_remove(index);
                let answer = answer(&body, &mut source);
                if let Answer::Value(record) = &answer {
                    given.push((node.id, record.clone()));
                }
                get.handle_answer(&node.id, answer);
            }
            Next::MoreContacts(count) => {
                get.add_contacts(&source::nodes(&mut source, count.min(40)));
            }
            Next::KeepLocally(_) => panic!("a GET keeps nothing"),
            Next::Connect(_) => panic!("a GET connects to no node that it does not ask"),
            Next::Done => break,
        }
    }
    assert!(asked <= 2 * MAX_REQUESTS + 2 * breadth.want as u32, "asked {asked} times");
    check_found(&get, key, &given, floor);
}

fn check_found(get: &Get, key: Key, given: &[(NodeId, Record)], floor: Option<Published>) {
    let found = get.found();
    let of_floor = |value: &Bytes| floor.as_ref().is_some_and(|floor| floor.value.bytes() == value);
    let values = given.iter().map(|(_, record)| &record.value);
    let proof =
        values.chain(floor.as_ref().map(|floor| floor.value.bytes())).find(|it| key.proves(it));
    assert!(proof.is_none_or(|proof| found.bytes() == Some(proof)), "proof is not believed");
    let Some(value) = found.bytes() else {
        assert!(given.is_empty() && floor.is_none(), "finds nothing, and was given something");
        return;
    };
    let was_given = given.iter().any(|(_, record)| record.value == *value);
    assert!(was_given || of_floor(value), "a value that was never given");
    let not_older = floor.as_ref().is_none_or(|floor| found.version >= Some(floor.version));
    assert!(not_older || of_floor(value) || proof.is_some(), "older than what was published here");
    for liar in get.liars() {
        let lied = given.iter().any(|(giver, record)| *giver == liar && record.value != *value);
        // It may have given the winner too, when it was asked again: its first answer is its vote.
        assert!(liar != source::own() && lied);
    }
}

/// It ends; it has no more copies on their way than it was asked for; it counts every node that
/// confirmed its last version, or refused it and has the value, once, and no other; and its version
/// only rises.
pub(crate) fn put(bytes: &[u8]) {
    let mut source = Source::new(bytes);
    let key = source.one_of(&[Key::default(), Key::of_value(b"any")]);
    let breadth = breadth(&mut source);
    let search = Lookup::new(key, source::own(), breadth, &source::nodes(&mut source, 20));
    let record = Record { version: Some(7), ..record(key, &mut source) };
    let (replication, size) = (1 + source.below(24), size(&mut source));
    let own = source::own();
    let class =
        if record.key.proves(&record.value) { Class::ContentAddressed } else { Class::Plain };
    let clock = (WallTime::default(), HIGHEST_VERSION);
    let mut put = Put::new((record, class), replication, &own, search, size, clock);
    let mut run = PutRun::default();
    loop {
        match put.next_step() {
            Next::Ask { node, body, .. } => run.ask(node, body, replication),
            Next::KeepLocally(record) => {
                assert!(!run.local_open, "is asked to keep it twice");
                run.check_version(&record);
                run.local_open = true;
            }
            Next::Connect(node) => {
                assert!(node.address.is_dialable() && node.id != own);
                assert!(run.connected.insert(node.id), "connects twice to a node");
                assert!(run.connected.len() <= replication, "connects to too many nodes");
            }
            Next::MoreContacts(count) => {
                put.add_contacts(&source::nodes(&mut source, count.min(40)));
            }
            Next::Wait => run.go_on(&mut put, &mut source),
            Next::Done => break,
        }
    }
    let confirmed = run.confirmed.iter().filter(|(_, version)| Some(**version) == run.version);
    let all = confirmed.count() + usize::from(run.local_kept);
    assert_eq!(put.confirmed(), all, "counts wrongly");
}

#[derive(Default)]
struct PutRun {
    waiting: Vec<Asked>,
    /// Overdue copies: the recipient and the version.
    late: BTreeSet<(NodeId, Option<u64>)>,
    version: Option<u64>,
    confirmed: BTreeMap<NodeId, u64>,
    local_open: bool,
    local_kept: bool,
    /// Probable replicas that it has connected to.
    connected: BTreeSet<NodeId>,
}

impl PutRun {
    fn ask(&mut self, node: NodeInfo, body: Body, replication: usize) {
        assert!(node.address.is_dialable() && node.id != source::own());
        if let Body::Store(record) = &body {
            self.check_version(record);
            let same = |asked: &&Asked| matches!(&asked.body, Body::Store(other) if other.version == record.version);
            let open: Vec<_> = self.waiting.iter().filter(same).collect();
            assert!(open.iter().all(|asked| asked.node.id != node.id), "stores twice on a node");
            let is_late = |asked: &&&Asked| self.late.contains(&(asked.node.id, record.version));
            let in_time = open.iter().filter(|asked| !is_late(asked)).count();
            // As many more where the neighbourhood is too dense.
            let most = replication + MAX_WIDENING;
            assert!(in_time < most, "more copies on their way than were asked for");
        }
        self.waiting.push(Asked { node, body });
    }

    fn check_version(&mut self, record: &Record) {
        assert!(record.version >= self.version && record.version <= Some(HIGHEST_VERSION));
        if record.version > self.version {
            self.version = record.version;
            self.local_open = false;
            self.local_kept = false;
        }
    }

    /// One of those that are waited for answers, or is overdue.
    fn go_on(&mut self, put: &mut Put, source: &mut Source<'_>) {
        let waits_for_disk = self.local_open && !self.local_kept;
        assert!(waits_for_disk || !self.waiting.is_empty(), "waits for nothing");
        if self.waiting.is_empty() || (waits_for_disk && source.byte() % 4 == 3) {
            self.local_kept = source.flag();
            self.local_open = self.local_kept;
            return put.handle_kept_locally(self.local_kept);
        }
        let index = source.below(self.waiting.len());
        if source.byte() % 8 == 7 && !source.is_empty() {
            let Asked { node, body } = &self.waiting[index];
            if let Body::Store(record) = body {
                self.late.insert((node.id, record.version));
            }
            return put.handle_late(&node.id, Question::of(body));
        }
        let Asked { node, body } = self.waiting.swap_remove(index);
        let answer = answer(&body, source);
        if let (Answer::Stored, Body::Store(record)) = (&answer, &body) {
            // An answer about an earlier version may come after one about the last.
            let confirmed = self.confirmed.entry(node.id).or_default();
            *confirmed = record.version.unwrap_or(0).max(*confirmed);
        }
        if let (Answer::Value(held), Body::FindValue { .. }) = (&answer, &body)
            && held.value == put.record().value
        {
            // It refused the version, and has the value.
            self.confirmed.insert(node.id, self.version.unwrap_or(0));
        }
        put.handle_answer(&node.id, Question::of(&body), answer);
    }
}
