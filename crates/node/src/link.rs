//! One stream, driven by one task: frames are read from it while the outbox is written to it.
//!
//! Both directions are polled together and all their state is in the [`Link`], so cancelling a wait
//! loses nothing, and one task without a buffer of its own serves an idle connection. A read is
//! always pending: that lets rustls shrink its buffer.
//!
//! A frame that was begun must be finished in time, and a write must make progress. Between frames
//! a connection may be idle indefinitely.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::{Sleep, sleep, timeout};

use crate::frame_reader::{Frame, FrameReader, FrameRules, ReadError};
use crate::outbox::{Outbox, Taken};

/// How long one frame may take from its first byte to its last, whatever trickles in
/// meanwhile: the protocol's own figure.
pub(crate) const FRAME_DEADLINE: Duration = Duration::from_secs(10);
/// How long the other side may take nothing at all of what is written to it. The frame's figure:
/// a reader slower than that cannot finish a frame in time either.
pub(crate) const WRITE_STALL_DEADLINE: Duration = Duration::from_secs(10);
/// How long saying goodbye may take: it is a courtesy.
const GOODBYE_DEADLINE: Duration = Duration::from_secs(1);

/// How a link ended.
#[derive(Debug)]
pub(crate) enum LinkEnd<B> {
    /// The other side ended it between two frames, in good order.
    Theirs,
    /// This node closed it, and everything has been written.
    Ours,
    /// This node closed it at once.
    Killed,
    /// The other side ended it inside a frame, or without TLS's close_notify.
    CutOff,
    /// The stream failed.
    Io(io::Error),
    /// The other side broke a rule of the frames.
    Broken(B),
    /// The other side began a frame and did not finish it in time.
    StalledFrame,
    /// The other side does not read.
    StalledWrite,
}

/// Both directions of one stream, polled together.
#[derive(Debug)]
pub(crate) struct Link<S, R> {
    stream: S,
    reader: FrameReader<R>,
    outbox: Arc<Outbox>,
    writing: BytesMut,
    /// How much of `writing` is written; meaningless while it is empty.
    written: usize,
    /// Set while a frame is incomplete. Boxed: there is none nearly always.
    frame_deadline: Option<Pin<Box<Sleep>>>,
    /// Set while the other side takes nothing.
    write_deadline: Option<Pin<Box<Sleep>>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin, R: FrameRules + Unpin> Link<S, R> {
    pub(crate) fn new(stream: S, rules: R, outbox: Arc<Outbox>) -> Self {
        Self {
            stream,
            reader: FrameReader::new(rules),
            outbox,
            writing: BytesMut::new(),
            written: 0,
            frame_deadline: None,
            write_deadline: None,
        }
    }

    /// The rules it was made with.
    pub(crate) fn rules(&self) -> &R {
        self.reader.rules()
    }

    /// What is written to it.
    pub(crate) fn outbox(&self) -> &Arc<Outbox> {
        &self.outbox
    }

    /// The next frame; meanwhile what is put into the outbox is written. May be dropped and
    /// called again.
    ///
    /// # Errors
    /// [`LinkEnd`]: there will be no more frames.
    pub(crate) async fn next(&mut self) -> Result<Frame, LinkEnd<R::Broken>> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// The first bytes that come, ahead of all frames; meanwhile what is put into the outbox is
    /// written. Called once, before [`Self::next`]; not to be dropped before its end.
    ///
    /// # Errors
    /// [`LinkEnd`]: there will be no frames.
    pub(crate) async fn preamble<const N: usize>(&mut self) -> Result<[u8; N], LinkEnd<R::Broken>> {
        let mut bytes = [0; N];
        let mut filled = 0;
        poll_fn(|cx| {
            self.poll_outbox(cx)?;
            while filled < N {
                let mut buffer = ReadBuf::new(&mut bytes[filled..]);
                let read = ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer));
                match read.map(|()| buffer.filled().len()) {
                    Ok(0) => return Poll::Ready(Err(LinkEnd::CutOff)),
                    Ok(read) => filled += read,
                    Err(error) => return Poll::Ready(Err(LinkEnd::Io(error))),
                }
            }
            Poll::Ready(Ok(()))
        })
        .await?;
        Ok(bytes)
    }

    /// Says goodbye, if that is quickly done, and drops the stream.
    pub(crate) async fn close(mut self) {
        // An error or a delay changes nothing: the stream is dropped either way.
        let _ = timeout(GOODBYE_DEADLINE, self.stream.shutdown()).await;
    }

    /// The same, and waits for as long for the other side's end. What comes to a closed socket is
    /// answered by a reset, and a reset may overtake what was written last.
    pub(crate) async fn close_and_linger(mut self) {
        let _ = timeout(GOODBYE_DEADLINE, async {
            self.stream.shutdown().await?;
            let mut unread = [0; 256];
            while self.stream.read(&mut unread).await? > 0 {}
            Ok::<_, io::Error>(())
        })
        .await;
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Frame, LinkEnd<R::Broken>>> {
        let read = match self.poll_outbox(cx) {
            Ok(read) => read,
            Err(end) => return Poll::Ready(Err(end)),
        };
        // Inside a frame reading goes on: the frame's deadline is running.
        if !read && !self.reader.is_inside_frame() {
            return Poll::Pending;
        }
        match self.reader.poll_frame(&mut self.stream, cx) {
            Poll::Ready(frame) => {
                self.frame_deadline = None;
                Poll::Ready(frame.map_err(LinkEnd::from))
            }
            Poll::Pending if self.reader.is_inside_frame() => {
                ready!(poll_deadline(&mut self.frame_deadline, FRAME_DEADLINE, cx));
                Poll::Ready(Err(LinkEnd::StalledFrame))
            }
            Poll::Pending => Poll::Pending,
        }
    }

    /// Writes as much as the stream takes. The answer is whether to read more.
    fn poll_outbox(&mut self, cx: &mut Context<'_>) -> Result<bool, LinkEnd<R::Broken>> {
        loop {
            if self.writing.is_empty() {
                match self.outbox.take(cx, &mut self.writing) {
                    Taken::Bytes => self.written = 0,
                    Taken::Nothing { read } => return Ok(read),
                    Taken::Finished => return Err(LinkEnd::Ours),
                    Taken::Killed => return Err(LinkEnd::Killed),
                }
            }
            match self.poll_write(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Err(LinkEnd::Io(error)),
                Poll::Pending if self.outbox.is_killed(cx) => return Err(LinkEnd::Killed),
                Poll::Pending => {
                    let late = poll_deadline(&mut self.write_deadline, WRITE_STALL_DEADLINE, cx);
                    let read = self.reader.rules().reads_while_writing();
                    return if late.is_ready() { Err(LinkEnd::StalledWrite) } else { Ok(read) };
                }
            }
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.writing.len() {
            let rest = &self.writing[self.written..];
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, rest))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += written;
            self.write_deadline = None;
        }
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        self.write_deadline = None;
        self.outbox.written();
        // Not kept for the next write: among many connections, the buffer that another one has
        // just given back is nearer to the processor than one of its own would be.
        self.writing = BytesMut::new();
        Poll::Ready(Ok(()))
    }
}

/// Whether the deadline, which begins at the first call, has passed.
fn poll_deadline(
    deadline: &mut Option<Pin<Box<Sleep>>>,
    after: Duration,
    cx: &mut Context<'_>,
) -> Poll<()> {
    deadline.get_or_insert_with(|| Box::pin(sleep(after))).as_mut().poll(cx)
}

impl<B> From<ReadError<B>> for LinkEnd<B> {
    fn from(error: ReadError<B>) -> Self {
        match error {
            ReadError::Ended => Self::Theirs,
            ReadError::CutOff => Self::CutOff,
            ReadError::Io(error) => Self::Io(error),
            ReadError::Broken(rule) => Self::Broken(rule),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use bytes::BufMut;
    use tokio::io::{DuplexStream, duplex};
    use tokio::time::Instant;
    use voiddht_wire::frame::FrameError;

    use super::*;
    use crate::outbox::{Budget, OutboxLimits};

    struct ShortFrames;

    impl FrameRules for ShortFrames {
        type Broken = FrameError;

        fn has_long_frames(&self) -> bool {
            false
        }

        fn reads_while_writing(&self) -> bool {
            true
        }

        fn admit(&self, _: u16, _: usize) -> Result<(), FrameError> {
            Ok(())
        }
    }

    const FRAME: &[u8] = &[0, 5, 0, 7, 1];

    /// A link and the other end of its stream, which holds `room` bytes each way.
    fn link(room: usize, unanswered: usize) -> (Link<DuplexStream, ShortFrames>, DuplexStream) {
        let (near, far) = duplex(room);
        let limits = OutboxLimits { bytes: 1 << 20, guaranteed: 0, unanswered };
        (Link::new(near, ShortFrames, Outbox::new(limits, Budget::new(1 << 20))), far)
    }

    fn push(outbox: &Outbox, bytes: &[u8]) {
        outbox
            .push(|buffer| {
                buffer.put_slice(bytes);
                Ok::<_, Infallible>(())
            })
            .unwrap();
    }

    #[tokio::test]
    async fn both_directions_move_while_a_frame_is_awaited() {
        let (mut link, mut far) = link(8, 1);
        let outbox = Arc::clone(link.outbox());
        let near = tokio::spawn(async move { link.next().await.map(|frame| frame.kind) });
        let sent = [9; 100];
        push(&outbox, &sent);
        let mut got = [0; 100];
        far.read_exact(&mut got).await.unwrap();
        assert_eq!(got, sent, "more than the stream holds at once");
        far.write_all(FRAME).await.unwrap();
        assert_eq!(near.await.unwrap().unwrap(), 7);
    }

    #[tokio::test]
    async fn what_is_pushed_while_the_task_waits_wakes_it() {
        let (mut link, mut far) = link(64, 1);
        let outbox = Arc::clone(link.outbox());
        let near = tokio::spawn(async move { link.next().await.map(drop) });
        for word in [&b"one"[..], b"two"] {
            push(&outbox, word);
            let mut got = [0; 3];
            far.read_exact(&mut got).await.unwrap();
            assert_eq!(got, word);
        }
        outbox.close();
        assert!(matches!(near.await.unwrap(), Err(LinkEnd::Ours)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_frame_that_trickles_ends_at_its_deadline() {
        let (mut link, mut far) = link(64, 1);
        let begun = Instant::now();
        let trickle = tokio::spawn(async move {
            far.write_all(&[0, 100, 0, 7]).await.unwrap();
            while far.write_all(&[0]).await.is_ok() {
                sleep(Duration::from_millis(900)).await;
            }
        });
        assert!(matches!(link.next().await, Err(LinkEnd::StalledFrame)));
        let took = begun.elapsed();
        assert!(took >= FRAME_DEADLINE && took < FRAME_DEADLINE + Duration::from_secs(1));
        drop(link);
        trickle.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn silence_between_frames_is_no_fault() {
        let (mut link, mut far) = link(64, 1);
        let near = tokio::spawn(async move { link.next().await.map(|frame| frame.kind) });
        sleep(100 * FRAME_DEADLINE).await;
        far.write_all(FRAME).await.unwrap();
        assert_eq!(near.await.unwrap().unwrap(), 7);
    }

    #[tokio::test(start_paused = true)]
    async fn a_side_that_does_not_read_is_given_up() {
        let (mut link, _far) = link(8, 1);
        push(link.outbox(), &[0; 100]);
        let begun = Instant::now();
        assert!(matches!(link.next().await, Err(LinkEnd::StalledWrite)));
        assert_eq!(begun.elapsed().as_secs(), WRITE_STALL_DEADLINE.as_secs());
    }

    #[tokio::test]
    async fn reading_stops_while_too_much_is_unanswered() {
        let (mut link, mut far) = link(64, 1);
        let outbox = Arc::clone(link.outbox());
        far.write_all(&[FRAME, FRAME].concat()).await.unwrap();
        link.next().await.unwrap();
        assert!(outbox.begin_request());
        {
            let mut next = std::pin::pin!(link.next());
            let poll = poll_fn(|cx| Poll::Ready(next.as_mut().poll(cx))).await;
            assert!(poll.is_pending(), "the second frame is left in the stream");
        }
        let near = tokio::spawn(async move { link.next().await.map(drop) });
        outbox.end_request();
        near.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_killed_link_ends_though_nobody_reads_it() {
        let (mut link, _far) = link(8, 1);
        let outbox = Arc::clone(link.outbox());
        push(&outbox, &[0; 100]);
        let near = tokio::spawn(async move { link.next().await.map(drop) });
        tokio::task::yield_now().await;
        outbox.kill();
        assert!(matches!(near.await.unwrap(), Err(LinkEnd::Killed)));
    }

    #[tokio::test]
    async fn the_first_bytes_are_read_while_the_outbox_is_written() {
        let (mut link, mut far) = link(8, 1);
        let outbox = Arc::clone(link.outbox());
        let near = tokio::spawn(async move {
            let first: [u8; 34] = link.preamble().await.unwrap();
            (first, link.next().await.map(|frame| frame.kind).unwrap())
        });
        let sent = [9; 100];
        push(&outbox, &sent);
        let mut got = [0; 100];
        far.read_exact(&mut got).await.unwrap();
        assert_eq!(got, sent, "requests do not wait for the other side's proof");
        far.write_all(&[[7; 34].as_slice(), FRAME].concat()).await.unwrap();
        assert_eq!(
            near.await.unwrap(),
            ([7; 34], 7),
            "not a byte more is read ahead of the frames"
        );
    }

    #[tokio::test]
    async fn first_bytes_that_do_not_come_whole_end_the_link() {
        let (mut cut, mut far) = link(64, 1);
        far.write_all(&[7; 33]).await.unwrap();
        drop(far);
        assert!(matches!(cut.preamble::<34>().await, Err(LinkEnd::CutOff)));
        let (mut given_up, _far) = link(64, 1);
        given_up.outbox().kill();
        assert!(matches!(given_up.preamble::<34>().await, Err(LinkEnd::Killed)));
    }

    #[tokio::test]
    async fn the_other_sides_end_is_told_apart_from_a_cut() {
        let (mut ended, far) = link(64, 1);
        drop(far);
        assert!(matches!(ended.next().await, Err(LinkEnd::Theirs)));
        let (mut cut, mut far) = link(64, 1);
        far.write_all(&FRAME[..4]).await.unwrap();
        drop(far);
        assert!(matches!(cut.next().await, Err(LinkEnd::CutOff)));
    }
}
