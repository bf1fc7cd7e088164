use tokio::sync::oneshot::error::TryRecvError;
use voiddht_wire::api::{Acknowledge, Ask, Proof, Put};
use voiddht_wire::{ConditionalPut, Publication};

use super::*;

type Get = oneshot::Receiver<Result<Option<Bytes>, RequestError>>;
type Count = oneshot::Receiver<Result<u8, RequestError>>;
type Written = oneshot::Receiver<Result<(), RequestError>>;

fn key(number: u8) -> Key {
    Key::from_bytes([number; 32])
}

fn get(requests: &mut Requests, number: u8) -> Get {
    let (sender, receiver) = oneshot::channel();
    let key = key(number);
    let waiter = Waiter::Value(sender);
    requests.submit(Pending { key, request: Request::Get { key }, waiter, place: None }).unwrap();
    receiver
}

fn put_request(number: u8, acknowledge: bool) -> Request {
    let value = Bytes::from_static(b"new");
    let acknowledge = if acknowledge { Acknowledge::Count } else { Acknowledge::No };
    Request::Put(Put { publication: Publication::new(key(number), value), acknowledge })
}

fn put(requests: &mut Requests, number: u8) -> Written {
    let (sender, receiver) = oneshot::channel();
    let (key, request) = (key(number), put_request(number, false));
    let waiter = Waiter::Written(sender);
    requests.submit(Pending { key, request, waiter, place: None }).unwrap();
    receiver
}

fn put_acknowledged(requests: &mut Requests, number: u8) -> Count {
    let (sender, receiver) = oneshot::channel();
    let (key, request) = (key(number), put_request(number, true));
    let waiter = Waiter::Count(sender);
    requests.submit(Pending { key, request, waiter, place: None }).unwrap();
    receiver
}

fn success(requests: &mut Requests, number: u8, value: &'static [u8]) {
    let value = Bytes::from_static(value);
    requests.handle_answer(Answer::Success { key: key(number), value }).unwrap();
}

/// What goes out now: `G` for a GET, `P` for a PUT, `A` for an acknowledged one, `I` for
/// a conditional one, `Q` for an ASK, and the key.
fn outgoing(requests: &mut Requests) -> String {
    let letters = requests.take_outgoing().into_iter().map(|outgoing| {
        if let Some((waiter, _)) = outgoing.written {
            waiter.written();
        }
        match outgoing.request {
            Request::Get { key } => format!("G{}", key.to_bytes()[0]),
            Request::Put(put) if put.acknowledge != Acknowledge::No => {
                format!("A{}", put.publication.key.to_bytes()[0])
            }
            Request::Put(put) => format!("P{}", put.publication.key.to_bytes()[0]),
            Request::Ask(ask) => format!("Q{}", ask.key.to_bytes()[0]),
            Request::PutIf(put) => format!("I{}", put.publication.key.to_bytes()[0]),
        }
    });
    letters.collect::<Vec<_>>().join(" ")
}

#[test]
fn different_keys_do_not_wait_and_answers_may_come_in_any_order() {
    let mut requests = Requests::default();
    let (mut one, mut two) = (get(&mut requests, 1), get(&mut requests, 2));
    assert_eq!(outgoing(&mut requests), "G1 G2");
    success(&mut requests, 2, b"two");
    assert_eq!(one.try_recv().unwrap_err(), TryRecvError::Empty);
    assert_eq!(two.try_recv().unwrap().unwrap().unwrap(), "two");
    requests.handle_answer(Answer::Failure { key: key(1) }).unwrap();
    assert_eq!(one.try_recv().unwrap().unwrap(), None);
}

#[test]
fn requests_for_one_key_go_out_one_answer_at_a_time_in_order() {
    let mut requests = Requests::default();
    let mut first = get(&mut requests, 1);
    let mut count = put_acknowledged(&mut requests, 1);
    let mut plain = put(&mut requests, 1);
    let mut last = get(&mut requests, 1);
    assert_eq!(outgoing(&mut requests), "G1");
    success(&mut requests, 1, b"\x03");
    assert_eq!(first.try_recv().unwrap().unwrap().unwrap(), "\x03");
    assert_eq!(outgoing(&mut requests), "A1");
    assert_eq!(plain.try_recv().unwrap_err(), TryRecvError::Empty);
    success(&mut requests, 1, b"\x03");
    assert_eq!(count.try_recv().unwrap().unwrap(), 3);
    assert_eq!(outgoing(&mut requests), "P1 G1");
    plain.try_recv().unwrap().unwrap();
    success(&mut requests, 1, b"new");
    assert_eq!(last.try_recv().unwrap().unwrap().unwrap(), "new");
    assert!(requests.lanes.is_empty());
}

#[test]
fn unacknowledged_puts_await_nothing() {
    let mut requests = Requests::default();
    let (_one, _two, _get) = (put(&mut requests, 1), put(&mut requests, 1), get(&mut requests, 1));
    assert_eq!(outgoing(&mut requests), "P1 P1 G1");
}

#[test]
fn gets_that_wait_together_share_one_answer() {
    let mut requests = Requests::default();
    let mut gets: Vec<_> = (0..4).map(|_| get(&mut requests, 1)).collect();
    assert_eq!(outgoing(&mut requests), "G1");
    success(&mut requests, 1, b"old");
    assert_eq!(gets.remove(0).try_recv().unwrap().unwrap().unwrap(), "old");
    assert_eq!(outgoing(&mut requests), "G1");
    success(&mut requests, 1, b"new");
    for mut waiting in gets {
        assert_eq!(waiting.try_recv().unwrap().unwrap().unwrap(), "new");
    }
    assert_eq!(outgoing(&mut requests), "");
}

#[test]
fn a_get_that_was_given_up_keeps_its_answer_from_the_next() {
    let mut requests = Requests::default();
    drop(get(&mut requests, 1));
    let mut count = put_acknowledged(&mut requests, 1);
    success(&mut requests, 1, b"a value, not a count");
    assert_eq!(count.try_recv().unwrap_err(), TryRecvError::Empty);
    success(&mut requests, 1, &[7]);
    assert_eq!(count.try_recv().unwrap().unwrap(), 7);
}

#[test]
fn what_is_given_up_before_it_went_out_never_does() {
    let mut requests = Requests::default();
    let _first = get(&mut requests, 1);
    drop(put_acknowledged(&mut requests, 1));
    drop(put(&mut requests, 1));
    assert_eq!(outgoing(&mut requests), "G1");
    requests.handle_answer(Answer::Failure { key: key(1) }).unwrap();
    assert_eq!(outgoing(&mut requests), "");
    assert!(requests.lanes.is_empty());
}

#[test]
fn an_answer_that_nobody_asked_for_and_a_long_count_are_refused() {
    let mut requests = Requests::default();
    let unasked = requests.handle_answer(Answer::Failure { key: key(9) });
    assert!(matches!(unasked, Err(ProtocolError::Unasked(got)) if got == key(9)));
    let mut count = put_acknowledged(&mut requests, 1);
    let value = Bytes::from_static(b"12");
    let long = requests.handle_answer(Answer::Success { key: key(1), value });
    assert!(matches!(long, Err(ProtocolError::Acknowledgement { bytes: 2 })));
    assert!(matches!(count.try_recv().unwrap(), Err(RequestError::Protocol(_))));
}

#[test]
fn an_end_reaches_everyone_and_the_first_reason_stays() {
    let mut requests = Requests::default();
    let mut awaited = get(&mut requests, 1);
    let mut waiting = put_acknowledged(&mut requests, 1);
    let mut unwritten = put(&mut requests, 2);
    requests.end(&RequestError::Closed);
    requests.end(&RequestError::Protocol(ProtocolError::CutShort));
    assert!(matches!(awaited.try_recv().unwrap(), Err(RequestError::Closed)));
    assert!(matches!(waiting.try_recv().unwrap(), Err(RequestError::Closed)));
    assert!(matches!(unwritten.try_recv().unwrap(), Err(RequestError::Closed)));
    let (sender, _receiver) = oneshot::channel();
    let request = Request::Get { key: key(3) };
    let late = Pending { key: key(3), request, waiter: Waiter::Value(sender), place: None };
    assert!(matches!(requests.submit(late), Err(RequestError::Closed)));
}

#[test]
fn an_ask_and_a_conditional_put_end_with_their_own_answers() {
    let key = Key::from_bytes([1; 32]);
    let submit = |requests: &mut Requests, request: Request, waiter: Waiter| {
        requests.submit(Pending { key, request, waiter, place: None }).unwrap();
    };
    let mut requests = Requests::default();
    let (told_sender, mut told_receiver) = oneshot::channel();
    let (outcome_sender, mut outcome_receiver) = oneshot::channel();
    submit(&mut requests, Request::Ask(Ask { key, ..Ask::default() }), Waiter::Told(told_sender));
    let put = ConditionalPut { publication: Publication::new(key, "new"), expected: [0; 32] };
    submit(&mut requests, Request::PutIf(put), Waiter::Conditional(outcome_sender));
    assert_eq!(requests.take_outgoing().len(), 1, "answers carry only the key");

    let told = Told { key, proof: Proof::Signature, agreeing: 5, ttl: 9, value: None };
    requests.handle_answer(Answer::Told(told.clone())).unwrap();
    assert_eq!(told_receiver.try_recv().unwrap().unwrap(), told);
    assert_eq!(requests.take_outgoing().len(), 1);
    requests.handle_answer(Answer::Conflict { key, value: "newest".into() }).unwrap();
    let outcome = outcome_receiver.try_recv().unwrap().unwrap();
    assert_eq!(outcome, PutIfOutcome::Conflict("newest".into()));
}

#[test]
fn an_answer_of_another_type_breaks_the_protocol_and_ends_its_request() {
    let key = Key::from_bytes([1; 32]);
    let mut requests = Requests::default();
    let (sender, mut receiver) = oneshot::channel();
    let (request, waiter) = (Request::Get { key }, Waiter::Value(sender));
    requests.submit(Pending { key, request, waiter, place: None }).unwrap();
    let conflict = Answer::Conflict { key, value: "newest".into() };
    assert!(matches!(requests.handle_answer(conflict), Err(ProtocolError::WrongAnswer)));
    assert!(receiver.try_recv().unwrap().is_err());
}
