use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use super::*;
use crate::identity::Identity;
use crate::policy::KeyKind;

const HOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A clock that goes only where a test moves it.
#[derive(Clone, Copy, Default)]
struct Clock(Duration);

impl Clock {
    fn forward(&mut self, by: Duration) {
        self.0 += by;
    }

    fn now(self) -> Now {
        let wall = WallTime::from_millis(1_700_000_000_000 + self.0.as_millis() as u64);
        Now::never_suspended(Moment::from_micros(self.0.as_micros() as u64), wall)
    }
}

fn claiming(id: NodeId) -> ProvedPeer {
    let identity = Identity::generate_with_id(KeyKind::Ed25519, id, HOST).unwrap();
    ProvedPeer::assume(identity.certificate().clone())
}

fn id(number: u64) -> NodeId {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    NodeId::from_bytes(bytes)
}

fn at(port: u16) -> PeerAddress {
    PeerAddress::new(HOST, port)
}

fn pins(limits: PinLimits) -> Pins {
    Pins::new(claiming(id(u64::MAX)).certificate().clone(), limits)
}

/// Everything that the pins ask for, sorted by kind.
#[derive(Default)]
struct Drained {
    pings: Vec<TakeoverPing>,
    outcomes: Vec<(Outcome, u32)>,
    saved: Vec<PinRecord>,
    forgotten: Vec<NodeId>,
}

fn drain(pins: &mut Pins) -> Drained {
    let mut drained = Drained::default();
    while let Some(output) = pins.poll_output() {
        match output {
            PinOutput::Ping(ping) => drained.pings.push(ping),
            PinOutput::Settled(end) => drained.outcomes.push((end.outcome, end.turned_away)),
            PinOutput::Save(record) => drained.saved.push(record),
            PinOutput::Forget(id) => drained.forgotten.push(id),
        }
    }
    drained
}

/// Wakes the pins whenever they ask for it until `end`, with an owner that answers each PING in
/// one way after `delay`. The answer is all that they asked for.
fn run_until(
    pins: &mut Pins,
    clock: &mut Clock,
    end: Duration,
    delay: Duration,
    result: impl Fn(Duration) -> PingResult,
) -> Drained {
    let mut all = Drained::default();
    let mut answers: Vec<(Duration, TakeoverPing, PingResult)> = Vec::new();
    loop {
        let drained = drain(pins);
        answers.extend(
            drained.pings.iter().map(|ping| (clock.0 + delay, ping.clone(), result(clock.0))),
        );
        all.pings.extend(drained.pings);
        all.outcomes.extend(drained.outcomes);
        all.saved.extend(drained.saved);
        all.forgotten.extend(drained.forgotten);
        let wakeup = pins.next_wakeup().map(|moment| Duration::from_micros(moment.as_micros()));
        let answer = answers.iter().map(|(when, ..)| *when).min();
        let Some(next) = wakeup.into_iter().chain(answer).min().filter(|next| *next <= end) else {
            clock.0 = end.max(clock.0);
            return all;
        };
        clock.0 = next.max(clock.0);
        if let Some(index) = answers.iter().position(|(when, ..)| *when <= clock.0) {
            let (_, ping, result) = answers.remove(index);
            pins.ping_ended(&ping, result, clock.now().mono);
        } else {
            pins.handle_wakeup(clock.now().mono);
        }
    }
}

const AT_ONCE: Duration = Duration::from_millis(1);
const STARTED: Verdict = Verdict::TurnedAway(TurnedAway::CheckStarted);
const UNDER_WAY: Verdict = Verdict::TurnedAway(TurnedAway::CheckUnderWay);
const TOO_MANY: Verdict = Verdict::TurnedAway(TurnedAway::TooManyChecks);
const REFUSED: Verdict = Verdict::Refused(TakeoverRefused::OwnerAnswered);

#[test]
fn the_first_certificate_is_pinned_and_known_from_then_on() {
    let (mut pins, clock) = (pins(PinLimits::default()), Clock::default());
    let owner = claiming(id(1));
    assert_eq!(pins.observe(&owner, at(1), clock.now()), Verdict::Pinned);
    assert_eq!(pins.observe(&owner, at(1), clock.now()), Verdict::Known);
    assert_eq!(pins.certificate(&id(1)), Some(owner.certificate()));
    let drained = drain(&mut pins);
    assert_eq!(drained.saved, pins.records().collect::<Vec<_>>());
    assert_eq!(drained.saved[0].address, at(1));
    assert!(drained.pings.is_empty() && pins.next_wakeup().is_none());
}

#[test]
fn a_takeover_is_refused_while_the_owner_answers() {
    let (mut pins, mut clock) = (pins(PinLimits::default()), Clock::default());
    let (owner, newcomer) = (claiming(id(1)), claiming(id(1)));
    pins.observe(&owner, at(1), clock.now());
    drain(&mut pins);
    assert_eq!(pins.observe(&newcomer, at(2), clock.now()), STARTED);
    let end = TAKEOVER_GRACE * 2;
    let all = run_until(&mut pins, &mut clock, end, AT_ONCE, |_| PingResult::Answered);
    assert_eq!(all.outcomes, [(Outcome::OwnerAnswered, 1)]);
    let [ping] = &all.pings[..] else { panic!("{} PINGs", all.pings.len()) };
    assert_eq!((ping.address, &ping.certificate), (at(1), owner.certificate()));
    assert_eq!(pins.observe(&newcomer, at(2), clock.now()), REFUSED);
    assert!(drain(&mut pins).pings.is_empty(), "an owner that has just answered is left alone");
    assert_eq!(pins.certificate(&id(1)), Some(owner.certificate()));
    // After the cool-down a newcomer is checked afresh.
    clock.forward(COOL_DOWN);
    assert_eq!(pins.observe(&newcomer, at(2), clock.now()), STARTED);
    assert_eq!(pins.counters().conflicts, 3);
}

#[test]
fn a_takeover_is_accepted_after_three_silences_and_not_before() {
    let (mut pins, mut clock) = (pins(PinLimits::default()), Clock::default());
    let (owner, newcomer) = (claiming(id(1)), claiming(id(1)));
    pins.observe(&owner, at(1), clock.now());
    pins.set_member(&id(1), true);
    drain(&mut pins);
    assert_eq!(pins.observe(&newcomer, at(2), clock.now()), STARTED);
    let nearly = TAKEOVER_GRACE - Duration::from_millis(1);
    let all = run_until(&mut pins, &mut clock, nearly, AT_ONCE, |_| PingResult::Silent);
    assert_eq!((all.pings.len(), all.outcomes.len()), (3, 0));
    assert!(all.pings.iter().all(|ping| ping.address == at(1)));
    assert_eq!(pins.observe(&newcomer, at(2), clock.now()), UNDER_WAY);
    let all = run_until(&mut pins, &mut clock, TAKEOVER_GRACE, AT_ONCE, |_| PingResult::Silent);
    assert_eq!(all.outcomes, [(Outcome::OwnerSilent, 2)]);
    assert_eq!(pins.certificate(&id(1)), Some(owner.certificate()), "only when it comes again");
    assert_eq!(pins.observe(&newcomer, at(2), clock.now()), Verdict::Replaced);
    assert_eq!(pins.observe(&newcomer, at(2), clock.now()), Verdict::Known);
    assert!(pins.table.get(&id(1)).is_some_and(|pin| pin.member), "membership is the ID's");
    let saved = drain(&mut pins).saved;
    assert_eq!(saved.len(), 1);
    assert_eq!(saved[0].certificate, newcomer.certificate().der().to_vec());
    assert_eq!(saved[0].address, at(2));
    assert_eq!(pins.observe(&owner, at(1), clock.now()), STARTED, "now the roles have changed");
}

#[test]
fn an_owner_that_is_overloaded_for_three_seconds_is_not_replaced() {
    let (mut pins, mut clock) = (pins(PinLimits::default()), Clock::default());
    let (owner, newcomer) = (claiming(id(1)), claiming(id(1)));
    pins.observe(&owner, at(1), clock.now());
    pins.observe(&newcomer, at(2), clock.now());
    let all = run_until(&mut pins, &mut clock, TAKEOVER_GRACE * 2, AT_ONCE, |sent| {
        if sent < Duration::from_secs(3) { PingResult::Silent } else { PingResult::Answered }
    });
    assert_eq!(all.outcomes, [(Outcome::OwnerAnswered, 1)]);
    assert_eq!(pins.observe(&newcomer, at(2), clock.now()), REFUSED);
}

#[test]
fn the_slowest_answer_within_the_grace_counts_and_a_late_one_undoes_a_vacancy() {
    for (delay, outcomes) in [
        (TAKEOVER_GRACE / 3 - AT_ONCE, vec![(Outcome::OwnerAnswered, 1)]),
        (TAKEOVER_GRACE - AT_ONCE, vec![(Outcome::OwnerAnswered, 1)]),
        (TAKEOVER_GRACE + AT_ONCE, vec![(Outcome::OwnerSilent, 1)]),
    ] {
        let (mut pins, mut clock) = (pins(PinLimits::default()), Clock::default());
        let (owner, newcomer) = (claiming(id(1)), claiming(id(1)));
        pins.observe(&owner, at(1), clock.now());
        pins.observe(&newcomer, at(2), clock.now());
        let end = TAKEOVER_GRACE * 3;
        let all = run_until(&mut pins, &mut clock, end, delay, |_| PingResult::Answered);
        assert_eq!(all.outcomes, outcomes, "{delay:?}");
        assert_ne!(pins.observe(&newcomer, at(2), clock.now()), Verdict::Replaced);
    }
}

#[test]
fn an_owner_that_shows_itself_ends_the_check() {
    let (mut pins, mut clock) = (pins(PinLimits::default()), Clock::default());
    let (owner, newcomer) = (claiming(id(1)), claiming(id(1)));
    pins.observe(&owner, at(1), clock.now());
    pins.observe(&newcomer, at(2), clock.now());
    clock.forward(Duration::from_secs(9));
    assert_eq!(pins.observe(&owner, at(1), clock.now()), Verdict::Known);
    assert_eq!(drain(&mut pins).outcomes, [(Outcome::OwnerAnswered, 1)]);
    assert_eq!(pins.next_wakeup(), None);
    assert_eq!(pins.observe(&newcomer, at(2), clock.now()), REFUSED);
}

#[test]
fn a_node_that_could_not_ask_decides_nothing() {
    let (mut pins, mut clock) = (pins(PinLimits::default()), Clock::default());
    let (owner, newcomer) = (claiming(id(1)), claiming(id(1)));
    pins.observe(&owner, at(1), clock.now());
    pins.observe(&newcomer, at(2), clock.now());
    let all = run_until(&mut pins, &mut clock, TAKEOVER_GRACE, AT_ONCE, |sent| {
        if sent.is_zero() { PingResult::NotAsked } else { PingResult::Silent }
    });
    assert_eq!(all.outcomes, [(Outcome::Undecided, 1)]);
    let again = pins.observe(&newcomer, at(2), clock.now());
    assert_eq!(again, Verdict::TurnedAway(TurnedAway::OwnerNotAsked));
    clock.forward(TAKEOVER_GRACE);
    assert_eq!(pins.observe(&newcomer, at(2), clock.now()), STARTED);
    assert_eq!(pins.certificate(&id(1)), Some(owner.certificate()));
}

#[test]
fn a_node_that_was_stopped_still_leaves_the_owner_its_time() {
    let (mut pins, mut clock) = (pins(PinLimits::default()), Clock::default());
    let (owner, newcomer) = (claiming(id(1)), claiming(id(1)));
    pins.observe(&owner, at(1), clock.now());
    pins.observe(&newcomer, at(2), clock.now());
    drain(&mut pins);
    clock.forward(Duration::from_secs(60));
    pins.handle_wakeup(clock.now().mono);
    let drained = drain(&mut pins);
    assert_eq!((drained.pings.len(), drained.outcomes.len()), (1, 0));
    let end = clock.0 + TAKEOVER_GRACE;
    let all = run_until(&mut pins, &mut clock, end, AT_ONCE, |_| PingResult::Answered);
    assert_eq!(all.outcomes, [(Outcome::OwnerAnswered, 1)]);
}

#[test]
fn conflicts_over_one_id_share_one_check() {
    let (mut pins, mut clock) = (pins(PinLimits::default()), Clock::default());
    pins.observe(&claiming(id(1)), at(1), clock.now());
    drain(&mut pins);
    let first = pins.observe(&claiming(id(1)), at(2), clock.now());
    assert_eq!(first, STARTED);
    for port in 3..103 {
        assert_eq!(pins.observe(&claiming(id(1)), at(port), clock.now()), UNDER_WAY);
    }
    let all = run_until(&mut pins, &mut clock, TAKEOVER_GRACE, AT_ONCE, |_| PingResult::Silent);
    assert_eq!(all.pings.len(), PINGS_PER_CHECK as usize);
    assert_eq!(all.outcomes, [(Outcome::OwnerSilent, 101)]);
}

#[test]
fn ten_thousand_conflicts_in_a_minute_cause_a_named_number_of_pings() {
    let (mut pins, mut clock) = (pins(PinLimits::default()), Clock::default());
    let ids = 500;
    for number in 0..ids {
        pins.observe(&claiming(id(number)), at(1), clock.now());
    }
    let newcomers: Vec<_> = (0..10_000).map(|number| claiming(id(number % ids))).collect();
    drain(&mut pins);
    let step = Duration::from_secs(60) / 10_000;
    let (mut pings, mut over_limit) = (Vec::new(), 0);
    for newcomer in &newcomers {
        // Unresponsive owners are the worst case: each costs three PINGs, and is soon asked again.
        let end = clock.0 + step;
        let all = run_until(&mut pins, &mut clock, end, AT_ONCE, |_| PingResult::Silent);
        pings.extend(all.pings.iter().map(|ping| (end, ping.address)));
        over_limit += u64::from(pins.observe(newcomer, at(666), clock.now()) == TOO_MANY);
        assert!(pins.checks_under_way() <= MAX_CHECKS);
    }
    assert!(pings.len() <= MAX_PINGS_PER_MINUTE, "{} PINGs", pings.len());
    assert!(pings.len() >= MAX_PINGS_PER_MINUTE / 2, "the budget is there to be used");
    assert!(pings.iter().all(|(_, address)| *address == at(1)), "a PING left its pin");
    assert!(over_limit > 9_000, "{over_limit}");
    assert_eq!(pins.counters().over_limit, over_limit);
}

#[test]
fn no_minute_has_more_pings_than_the_limit_wherever_it_begins() {
    let (mut pins, mut clock) = (pins(PinLimits::default()), Clock::default());
    for number in 0..200 {
        pins.observe(&claiming(id(number)), at(1), clock.now());
    }
    let newcomers: Vec<_> = (0..200).map(|number| claiming(id(number))).collect();
    let mut sent = Vec::new();
    for round in 0..1_000 {
        let end = clock.0 + Duration::from_millis(307);
        while let Some(output) = pins.poll_output() {
            sent.extend(matches!(output, PinOutput::Ping(_)).then_some(clock.0));
        }
        clock.0 = end;
        pins.handle_wakeup(clock.now().mono);
        pins.observe(&newcomers[round % 200], at(2), clock.now());
    }
    for (index, first) in sent.iter().enumerate() {
        let minute = sent[index..].iter().take_while(|at| **at < *first + Duration::from_secs(60));
        assert!(minute.count() <= MAX_PINGS_PER_MINUTE);
    }
    assert!(sent.len() > MAX_PINGS_PER_MINUTE * 3, "five minutes, {} PINGs", sent.len());
}

#[test]
fn a_new_certificate_of_the_same_key_is_no_conflict() {
    let (mut pins, clock) = (pins(PinLimits::default()), Clock::default());
    let owner = Identity::generate(KeyKind::Ed25519, Policy::SelfCertifying, HOST).unwrap();
    let moved = owner.with_host("10.1.2.3".parse().unwrap()).unwrap();
    let (old, new) = (owner.certificate(), moved.certificate());
    assert!(old != new && old.node_id() == new.node_id());
    pins.observe(&ProvedPeer::assume(old.clone()), at(1), clock.now());
    pins.set_member(&old.node_id(), true);
    drain(&mut pins);
    let verdict = pins.observe(&ProvedPeer::assume(new.clone()), at(0), clock.now());
    assert_eq!(verdict, Verdict::Renewed);
    let drained = drain(&mut pins);
    assert!(drained.pings.is_empty());
    assert_eq!(drained.saved[0].certificate, new.der().to_vec());
    assert_eq!(drained.saved[0].address, at(1), "an address without a port is no better one");
    assert_eq!(pins.certificate(&old.node_id()), Some(new));
}

#[test]
fn nobody_takes_this_nodes_own_id() {
    let (mut pins, clock) = (pins(PinLimits::default()), Clock::default());
    let thief = claiming(id(u64::MAX));
    let verdict = pins.observe(&thief, at(1), clock.now());
    assert_eq!(verdict, Verdict::Refused(TakeoverRefused::OwnId));
    let own = ProvedPeer::assume(pins.own.clone());
    assert_eq!(pins.observe(&own, at(1), clock.now()), Verdict::Known);
    assert!(pins.is_empty() && drain(&mut pins).pings.is_empty());
}

#[test]
fn when_there_are_too_many_members_stay_longest() {
    let limits = PinLimits { max_pins: 20, max_checks: 2, ..PinLimits::default() };
    let (mut pins, clock) = (pins(limits), Clock::default());
    let owners: Vec<_> = (0..20).map(|number| claiming(id(number))).collect();
    for owner in &owners {
        pins.observe(owner, at(1), clock.now());
    }
    for number in 0..5 {
        pins.set_member(&id(number), true);
    }
    pins.observe(&owners[5], at(1), clock.now());
    drain(&mut pins);
    let evicted: Vec<NodeId> = (100..115)
        .flat_map(|number| {
            pins.observe(&claiming(id(number)), at(1), clock.now());
            drain(&mut pins).forgotten
        })
        .collect();
    let expected: Vec<NodeId> = (6..20).chain([5]).map(id).collect();
    assert_eq!(evicted, expected, "the least recently seen first, and no member");
    assert_eq!((pins.len(), pins.counters().evicted), (20, 15));
    // A member that left the table is as good as any other: the oldest here.
    pins.set_member(&id(3), false);
    pins.observe(&claiming(id(200)), at(1), clock.now());
    assert_eq!(drain(&mut pins).forgotten, [id(3)]);
    // A table full of members gives up the one that was not seen for longest.
    let others: Vec<NodeId> = pins.records().map(|record| record.node_id).collect();
    for other in others {
        pins.set_member(&other, true);
    }
    pins.observe(&claiming(id(201)), at(1), clock.now());
    assert_eq!(drain(&mut pins).forgotten, [id(0)]);
}

#[test]
fn a_pin_under_check_is_not_flushed_out_by_newcomers() {
    let limits = PinLimits { max_pins: 5, max_checks: 2, ..PinLimits::default() };
    let (mut pins, clock) = (pins(limits), Clock::default());
    let owner = claiming(id(1));
    pins.observe(&owner, at(1), clock.now());
    assert_eq!(pins.observe(&claiming(id(1)), at(2), clock.now()), STARTED);
    for number in 100..120 {
        pins.observe(&claiming(id(number)), at(1), clock.now());
    }
    assert_eq!(pins.certificate(&id(1)), Some(owner.certificate()));
    assert_eq!(pins.len(), 5);
}

#[test]
fn large_certificates_cannot_take_more_than_the_bytes_allowed() {
    let limits = PinLimits { max_bytes: 1, max_checks: 0, ..PinLimits::default() };
    let (mut pins, clock) = (pins(limits), Clock::default());
    for number in 0..50 {
        pins.observe(&claiming(id(number)), at(1), clock.now());
    }
    let bytes: usize = pins.records().map(|record| record.certificate.len()).sum();
    let most = voiddht_wire::limits::MAX_CERTIFICATE_BYTES;
    assert!(bytes <= most && bytes > most / 2, "{bytes} bytes, of which the least is one");
}

#[test]
fn pins_come_back_from_disk_in_their_order_and_are_read_strictly() {
    let (mut first, mut clock) = (pins(PinLimits::default()), Clock::default());
    for number in 0..10 {
        clock.forward(Duration::from_secs(1));
        first.observe(&claiming(id(9 - number)), at(1), clock.now());
    }
    let mut records = drain(&mut first).saved;
    assert_eq!(records.len(), 10);
    records[3].certificate.push(0);
    records[4].node_id = id(77);
    let limits = PinLimits { max_pins: 7, max_checks: 2, ..PinLimits::default() };
    let mut second = pins(limits);
    let refused = second.restore(records, Policy::Tofu, clock.now());
    assert_eq!(
        refused,
        [(id(6), CertificateError::TrailingBytes(1)), (id(77), CertificateError::NotACertificate)]
    );
    assert_eq!(
        drain(&mut second).forgotten,
        [id(6), id(77), id(9)],
        "two that are refused, and the oldest, which made room for the youngest"
    );
    let listed: Vec<NodeId> = second.records().map(|record| record.node_id).collect();
    assert_eq!(listed, [0, 1, 2, 3, 4, 7, 8].map(id));
    let mut third = pins(limits);
    let refused = third.restore(second.records().collect(), Policy::SelfCertifying, clock.now());
    assert_eq!(refused.len(), 7, "chosen IDs are not for the other policy");
}

#[test]
fn a_forgotten_pin_is_free_for_the_next() {
    let (mut pins, clock) = (pins(PinLimits::default()), Clock::default());
    let (owner, newcomer) = (claiming(id(1)), claiming(id(1)));
    pins.observe(&owner, at(1), clock.now());
    pins.observe(&newcomer, at(2), clock.now());
    drain(&mut pins);
    assert!(pins.forget(&id(1)) && !pins.forget(&id(1)));
    let drained = drain(&mut pins);
    assert_eq!(drained.outcomes, [(Outcome::Forgotten, 1)]);
    assert_eq!(drained.forgotten, [id(1)]);
    assert_eq!(pins.observe(&newcomer, at(2), clock.now()), Verdict::Pinned);
}

#[test]
fn the_disk_hears_of_a_move_at_once_and_of_being_seen_once_an_hour() {
    let (mut pins, mut clock) = (pins(PinLimits::default()), Clock::default());
    let owner = claiming(id(1));
    pins.observe(&owner, at(0), clock.now());
    drain(&mut pins);
    let saved = |pins: &mut Pins, address, clock: Clock| {
        pins.observe(&owner, address, clock.now());
        drain(pins).saved.len()
    };
    assert_eq!(saved(&mut pins, at(5), clock), 1);
    assert_eq!(saved(&mut pins, at(0), clock), 0, "a remote address is not where it listens");
    for _ in 0..59 {
        clock.forward(Duration::from_secs(60));
        assert_eq!(saved(&mut pins, at(5), clock), 0);
    }
    clock.forward(Duration::from_secs(60));
    assert_eq!(saved(&mut pins, at(5), clock), 1);
}

#[test]
fn a_node_that_is_found_listening_is_asked_there() {
    let (mut pins, clock) = (pins(PinLimits::default()), Clock::default());
    let (owner, thief) = (claiming(id(1)), claiming(id(1)));
    pins.observe(&owner, at(0), clock.now());
    drain(&mut pins);
    pins.located(thief.certificate(), at(9), clock.now());
    pins.located(claiming(id(2)).certificate(), at(9), clock.now());
    assert!(drain(&mut pins).saved.is_empty(), "another certificate moves nothing");
    pins.located(owner.certificate(), at(7), clock.now());
    assert_eq!(drain(&mut pins).saved[0].address, at(7));
    pins.observe(&thief, at(9), clock.now());
    assert_eq!(drain(&mut pins).pings[0].address, at(7));
}
