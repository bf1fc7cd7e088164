//! The outbox: bytes that wait to be written to one connection.
//!
//! Senders encode messages straight into the buffer here; the connection's task takes the whole
//! buffer and writes it at once. So a burst of messages costs one wake-up, one write and no
//! allocation of its own, and a bound on bytes is a bound on memory. Nothing here waits: a full
//! outbox refuses, and its caller reports that to the requester.
//!
//! The outbox also counts the requests that were read from the connection and not answered yet.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

use bytes::BytesMut;
use voiddht_wire::limits::MAX_FRAME_BYTES;

/// Bytes that may wait in all the outboxes of a node together.
#[derive(Debug)]
pub(crate) struct Budget {
    limit: usize,
    used: AtomicUsize,
    /// Bytes that were ever put into them.
    total: AtomicU64,
}

impl Budget {
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, used: AtomicUsize::new(0), total: AtomicU64::new(0) })
    }

    /// Bytes that wait now.
    pub(crate) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Bytes that were ever put into the outboxes.
    pub(crate) fn total(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }

    fn is_spent(&self) -> bool {
        self.used() >= self.limit
    }
}

/// What each outbox takes beyond its bounds to say that they are reached: the one message that
/// may have passed them, and a refusal for each request that may be unanswered.
const RESERVED_BYTES: usize = MAX_FRAME_BYTES + 32 * 1024;

/// The bounds of one outbox.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OutboxLimits {
    /// Once this many bytes wait, nothing more is taken. One message may pass the bound, since
    /// its length is known only when it is encoded.
    pub(crate) bytes: usize,
    /// As many bytes may wait even while the budget of all outboxes is spent, so that those who
    /// do not read cannot keep others from being answered.
    pub(crate) guaranteed: usize,
    /// Requests of the other side that may be outstanding.
    pub(crate) unanswered: usize,
}

/// Why a message was not taken.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum PushError<E> {
    /// Too much waits already: on this connection, or on all of them together.
    Full,
    /// The connection is ending.
    Closed,
    /// The message cannot be encoded.
    Encode(E),
}

/// What the connection's task has to do next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// Write what was taken.
    Bytes,
    /// Nothing to write; the waker is kept. `read` says whether more requests are welcome.
    Nothing {
        /// `false` while too many requests are unanswered.
        read: bool,
    },
    /// Everything has been written, and the connection is to be closed.
    Finished,
    /// The connection is to be closed at once, written or not.
    Killed,
}

/// In the order in which an outbox passes through them; it may skip some.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Open,
    /// What was read is answered; nothing more is read.
    Finishing,
    Closing,
    Killed,
}

/// The bytes that wait to be written to one connection.
#[derive(Debug)]
pub(crate) struct Outbox {
    limits: OutboxLimits,
    budget: Arc<Budget>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    pending: BytesMut,
    /// Bytes that the task has taken and not finished writing.
    in_writing: usize,
    unanswered: usize,
    waker: Option<Waker>,
    phase: Phase,
}

impl Outbox {
    pub(crate) fn new(limits: OutboxLimits, budget: Arc<Budget>) -> Arc<Self> {
        let state = State {
            pending: BytesMut::new(),
            in_writing: 0,
            unanswered: 0,
            waker: None,
            phase: Phase::Open,
        };
        Arc::new(Self { limits, budget, state: Mutex::new(state) })
    }

    /// Appends what `encode` writes.
    ///
    /// # Errors
    /// [`PushError`]; the outbox is then as it was.
    pub(crate) fn push<E>(
        &self,
        encode: impl FnOnce(&mut BytesMut) -> Result<(), E>,
    ) -> Result<(), PushError<E>> {
        let spent = self.budget.is_spent();
        self.push_within(if spent { self.limits.guaranteed } else { self.limits.bytes }, encode)
    }

    /// As [`Outbox::push`], for the few bytes that say that there is no room: a reserve beyond the
    /// bounds is kept for those.
    ///
    /// # Errors
    /// [`PushError`]; the outbox is then as it was.
    pub(crate) fn push_small<E>(
        &self,
        encode: impl FnOnce(&mut BytesMut) -> Result<(), E>,
    ) -> Result<(), PushError<E>> {
        self.push_within(self.limits.bytes.saturating_add(RESERVED_BYTES), encode)
    }

    fn push_within<E>(
        &self,
        bytes: usize,
        encode: impl FnOnce(&mut BytesMut) -> Result<(), E>,
    ) -> Result<(), PushError<E>> {
        let mut state = self.lock();
        if state.phase > Phase::Finishing {
            return Err(PushError::Closed);
        }
        if state.waiting() >= bytes {
            return Err(PushError::Full);
        }
        let before = state.pending.len();
        if let Err(error) = encode(&mut state.pending) {
            state.pending.truncate(before);
            return Err(PushError::Encode(error));
        }
        let added = state.pending.len() - before;
        self.budget.used.fetch_add(added, Ordering::Relaxed);
        self.budget.total.fetch_add(added as u64, Ordering::Relaxed);
        Self::wake(state);
        Ok(())
    }

    /// Counts a request that was read. `false`: too many are unanswered, and this one is not
    /// counted.
    pub(crate) fn begin_request(&self) -> bool {
        let mut state = self.lock();
        let free = state.unanswered < self.limits.unanswered;
        state.unanswered += usize::from(free);
        free
    }

    /// Whether another request may be read.
    pub(crate) fn has_room(&self) -> bool {
        self.lock().unanswered < self.limits.unanswered
    }

    /// Counts a request as answered, or as one that needs no answer.
    pub(crate) fn end_request(&self) {
        let mut state = self.lock();
        let was_full = state.unanswered >= self.limits.unanswered;
        state.unanswered = state.unanswered.saturating_sub(1);
        if was_full || state.is_finished() {
            Self::wake(state);
        }
    }

    /// Closes the connection after every request that was read has been answered.
    pub(crate) fn finish(&self) {
        self.enter(Phase::Finishing);
    }

    /// Closes the connection after what waits has been written.
    pub(crate) fn close(&self) {
        self.enter(Phase::Closing);
    }

    /// Closes the connection at once.
    pub(crate) fn kill(&self) {
        self.enter(Phase::Killed);
    }

    /// Whether nothing waits, nothing is being written, and nothing is unanswered.
    pub(crate) fn is_idle(&self) -> bool {
        let state = self.lock();
        state.waiting() == 0 && state.unanswered == 0
    }

    /// For the connection's task: moves what waits into `into`, which must be empty.
    pub(crate) fn take(&self, cx: &Context<'_>, into: &mut BytesMut) -> Taken {
        let mut state = self.lock();
        if state.phase == Phase::Killed {
            return Taken::Killed;
        }
        if !state.pending.is_empty() {
            std::mem::swap(&mut state.pending, into);
            state.in_writing = into.len();
            return Taken::Bytes;
        }
        if state.is_finished() {
            return Taken::Finished;
        }
        state.keep_waker(cx);
        let read = state.phase == Phase::Open && state.unanswered < self.limits.unanswered;
        Taken::Nothing { read }
    }

    /// For the connection's task, while a write is in progress: whether it is still wanted.
    pub(crate) fn is_killed(&self, cx: &Context<'_>) -> bool {
        let mut state = self.lock();
        state.keep_waker(cx);
        state.phase == Phase::Killed
    }

    /// For the connection's task: what was taken has been written.
    pub(crate) fn written(&self) {
        let mut state = self.lock();
        self.budget.used.fetch_sub(state.in_writing, Ordering::Relaxed);
        state.in_writing = 0;
    }

    fn enter(&self, phase: Phase) {
        let mut state = self.lock();
        if state.phase < phase {
            state.phase = phase;
            Self::wake(state);
        }
    }

    /// Wakes the task, the lock released first: it may run on another thread at once.
    fn wake(mut state: MutexGuard<'_, State>) {
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic while the lock was held leaves at worst half a message, which the other side
        // will refuse; poisoning would turn it into a panic of every task that comes after.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn waiting(&self) -> usize {
        self.pending.len() + self.in_writing
    }

    /// Whether the connection is to be closed once what waits has been written.
    fn is_finished(&self) -> bool {
        match self.phase {
            Phase::Open => false,
            Phase::Finishing => self.unanswered == 0,
            Phase::Closing | Phase::Killed => true,
        }
    }

    fn keep_waker(&mut self, cx: &Context<'_>) {
        match &mut self.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        let left = self.lock().waiting();
        self.budget.used.fetch_sub(left, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use bytes::BufMut;

    use super::*;

    fn outbox(bytes: usize, unanswered: usize, budget: &Arc<Budget>) -> Arc<Outbox> {
        Outbox::new(OutboxLimits { bytes, guaranteed: 0, unanswered }, Arc::clone(budget))
    }

    fn push(outbox: &Outbox, bytes: &[u8]) -> Result<(), PushError<Infallible>> {
        outbox.push(|buffer| {
            buffer.put_slice(bytes);
            Ok(())
        })
    }

    fn take(outbox: &Outbox) -> (Taken, BytesMut) {
        let mut into = BytesMut::new();
        let taken = outbox.take(&Context::from_waker(Waker::noop()), &mut into);
        (taken, into)
    }

    #[test]
    fn what_was_pushed_is_taken_at_once_and_in_order() {
        let outbox = outbox(100, 1, &Budget::new(100));
        push(&outbox, b"one ").unwrap();
        push(&outbox, b"two").unwrap();
        let (taken, bytes) = take(&outbox);
        assert_eq!((taken, &bytes[..]), (Taken::Bytes, &b"one two"[..]));
        assert!(!outbox.is_idle(), "taken, but not yet written");
        outbox.written();
        assert!(outbox.is_idle());
        assert_eq!(take(&outbox).0, Taken::Nothing { read: true });
    }

    #[test]
    fn one_that_finishes_answers_what_was_read_and_reads_no_more() {
        let outbox = outbox(100, 2, &Budget::new(100));
        assert!(outbox.begin_request());
        outbox.finish();
        assert_eq!(take(&outbox).0, Taken::Nothing { read: false });
        push(&outbox, b"answer").unwrap();
        outbox.end_request();
        assert_eq!(take(&outbox).0, Taken::Bytes);
        assert_eq!(take(&outbox).0, Taken::Finished);
        outbox.close();
        outbox.finish();
        assert_eq!(push(&outbox, b"late"), Err(PushError::Closed), "closing is not taken back");
    }

    #[test]
    fn both_bounds_refuse_and_free_again() {
        let budget = Budget::new(6);
        let (one, two) = (outbox(4, 1, &budget), outbox(4, 1, &budget));
        push(&one, b"1234").unwrap();
        assert_eq!(push(&one, b"5"), Err(PushError::Full), "its own bound");
        push(&two, b"12").unwrap();
        assert_eq!(push(&two, b"3"), Err(PushError::Full), "the bound of all");
        take(&one);
        assert_eq!(push(&one, b"5"), Err(PushError::Full), "not written yet");
        one.written();
        push(&one, b"5").unwrap();
        drop(one);
        drop(two);
        assert_eq!(budget.used(), 0, "what a connection leaves behind is given back");
    }

    /// Sixteen peers that did not read spent the budget of all: no other was answered.
    #[test]
    fn a_spent_budget_leaves_each_its_share() {
        let budget = Budget::new(8);
        let limits = OutboxLimits { bytes: 100, guaranteed: 4, unanswered: 1 };
        let (greedy, modest) =
            (Outbox::new(limits, Arc::clone(&budget)), Outbox::new(limits, Arc::clone(&budget)));
        push(&greedy, b"12345678").unwrap();
        assert_eq!(push(&greedy, b"9"), Err(PushError::Full));
        push(&modest, b"1234").unwrap();
        assert_eq!(push(&modest, b"5"), Err(PushError::Full), "its share is used up");
    }

    #[test]
    fn a_full_outbox_can_still_say_so() {
        let outbox = outbox(4, 1, &Budget::new(4));
        push(&outbox, b"1234").unwrap();
        let busy = |buffer: &mut BytesMut| {
            buffer.put_slice(&[0; 100]);
            Ok::<_, Infallible>(())
        };
        let said = (0..).take_while(|_| outbox.push_small(busy).is_ok()).count();
        assert_eq!(said, RESERVED_BYTES.div_ceil(100), "not without a bound either");
    }

    #[test]
    fn a_message_that_cannot_be_encoded_leaves_nothing() {
        let outbox = outbox(100, 1, &Budget::new(100));
        let result = outbox.push(|buffer| {
            buffer.put_slice(b"half a mess");
            Err("too long")
        });
        assert_eq!(result, Err(PushError::Encode("too long")));
        assert!(outbox.is_idle());
    }

    #[test]
    fn closing_writes_what_waits_and_killing_does_not() {
        let budget = Budget::new(100);
        let closing = outbox(100, 1, &budget);
        push(&closing, b"bye").unwrap();
        closing.close();
        assert_eq!(push(&closing, b"more"), Err(PushError::Closed));
        assert_eq!(take(&closing).0, Taken::Bytes);
        closing.written();
        assert_eq!(take(&closing).0, Taken::Finished);

        let killed = outbox(100, 1, &budget);
        push(&killed, b"bye").unwrap();
        killed.kill();
        killed.close();
        assert_eq!(take(&killed).0, Taken::Killed, "killing is final");
    }

    #[test]
    fn unanswered_requests_are_counted() {
        let outbox = outbox(100, 2, &Budget::new(100));
        assert!(outbox.begin_request() && outbox.begin_request());
        assert!(!outbox.begin_request());
        assert_eq!(take(&outbox).0, Taken::Nothing { read: false });
        outbox.end_request();
        assert_eq!(take(&outbox).0, Taken::Nothing { read: true });
        assert!(!outbox.is_idle());
        outbox.end_request();
        assert!(outbox.is_idle());
    }
}
