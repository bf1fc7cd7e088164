//! Reads frames from a stream of bytes, however the bytes are split.
//!
//! The first bytes of a frame are read into the reader itself, and a buffer for the body exists
//! only while that body is being read: an idle connection has no buffer. A length is checked before
//! any allocation, and the buffer grows with the received bytes, so a peer that announces much and
//! sends little costs little memory.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{BufMut, Bytes};
use tokio::io::{AsyncRead, ReadBuf};
use tokio_util::io::poll_read_buf;
use voiddht_wire::frame::{self, FrameError, FrameStart};
use voiddht_wire::limits::{FRAME_HEADER_BYTES, LONG_LENGTH_BYTES};

/// What a body's buffer has room for at first; it then doubles. A guess: every message without
/// a value fits, and a thousand connections that stall cost 4 MiB.
const FIRST_BODY_BYTES: usize = 4 * 1024;

/// The rules by which a frame is judged before its body is read.
pub(crate) trait FrameRules {
    /// A rule that the sender broke.
    type Broken: From<FrameError>;

    /// Whether a size of 0 announces a long frame.
    fn has_long_frames(&self) -> bool;

    /// Whether the other side is read while it does not itself take what is written to it.
    fn reads_while_writing(&self) -> bool;

    /// Whether a frame of that type can have a body as long.
    fn admit(&self, kind: u16, body_bytes: usize) -> Result<(), Self::Broken>;
}

/// A whole frame.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    /// The type of the message.
    pub(crate) kind: u16,
    /// What stands between its header and its end.
    pub(crate) body: Bytes,
}

/// Why there is no next frame.
#[derive(Debug)]
pub(crate) enum ReadError<B> {
    /// The stream ended between two frames, in good order.
    Ended,
    /// The stream ended inside a frame, or without TLS's close_notify.
    CutOff,
    /// The stream failed.
    Io(io::Error),
    /// The sender broke a rule.
    Broken(B),
}

/// Reads frames from a stream of bytes.
#[derive(Debug)]
pub(crate) struct FrameReader<R> {
    rules: R,
    /// The frame's own header, its long length included.
    start: [u8; FRAME_HEADER_BYTES + LONG_LENGTH_BYTES],
    start_bytes: usize,
    body: Option<PartialBody>,
}

#[derive(Debug)]
struct PartialBody {
    kind: u16,
    wanted: usize,
    bytes: Vec<u8>,
}

impl<R: FrameRules> FrameReader<R> {
    pub(crate) fn new(rules: R) -> Self {
        Self {
            rules,
            start: [0; FRAME_HEADER_BYTES + LONG_LENGTH_BYTES],
            start_bytes: 0,
            body: None,
        }
    }

    /// The rules it was made with.
    pub(crate) fn rules(&self) -> &R {
        &self.rules
    }

    /// Whether a frame was begun and not finished.
    pub(crate) fn is_inside_frame(&self) -> bool {
        self.start_bytes > 0
    }

    /// The next whole frame. What was read of it is kept while more is awaited.
    pub(crate) fn poll_frame<S: AsyncRead + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Frame, ReadError<R::Broken>>> {
        if self.body.is_none() {
            let body = ready!(self.poll_start(stream, cx))?;
            self.body = Some(body);
        }
        let Some(body) = &mut self.body else { return Poll::Pending };
        while body.bytes.len() < body.wanted {
            ready!(body.poll_read(stream, cx))?;
        }
        let frame = Frame { kind: body.kind, body: std::mem::take(&mut body.bytes).into() };
        self.body = None;
        self.start_bytes = 0;
        Poll::Ready(Ok(frame))
    }

    fn poll_start<S: AsyncRead + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<Result<PartialBody, ReadError<R::Broken>>> {
        ready!(self.poll_start_bytes(FRAME_HEADER_BYTES, stream, cx))?;
        let [a, b, c, d, long @ ..] = self.start;
        let start = frame::parse_start([a, b, c, d], self.rules.has_long_frames());
        let (kind, wanted) = match start.map_err(broken)? {
            FrameStart::Short { kind, body_bytes } => (kind, body_bytes),
            FrameStart::Long { kind } => {
                // A type that cannot be as long is refused before its length is awaited.
                self.rules.admit(kind, usize::from(u16::MAX)).map_err(ReadError::Broken)?;
                if self.start_bytes == FRAME_HEADER_BYTES + LONG_LENGTH_BYTES {
                    (kind, frame::long_body_bytes(long).map_err(broken)?)
                } else {
                    let all = FRAME_HEADER_BYTES + LONG_LENGTH_BYTES;
                    ready!(self.poll_start_bytes(all, stream, cx))?;
                    return self.poll_start(stream, cx);
                }
            }
        };
        self.rules.admit(kind, wanted).map_err(ReadError::Broken)?;
        let bytes = Vec::with_capacity(wanted.min(FIRST_BODY_BYTES));
        Poll::Ready(Ok(PartialBody { kind, wanted, bytes }))
    }

    /// Reads until `wanted` bytes of the frame's start are there.
    fn poll_start_bytes<S: AsyncRead + Unpin>(
        &mut self,
        wanted: usize,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), ReadError<R::Broken>>> {
        while self.start_bytes < wanted {
            let mut buffer = ReadBuf::new(&mut self.start[self.start_bytes..wanted]);
            let read = ready!(Pin::new(&mut *stream).poll_read(cx, &mut buffer));
            match read.map(|()| buffer.filled().len()) {
                Ok(0) => return Poll::Ready(Err(ended(self.start_bytes > 0))),
                Ok(read) => self.start_bytes += read,
                Err(error) => return Poll::Ready(Err(failed(error))),
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl PartialBody {
    fn poll_read<S: AsyncRead + Unpin, B>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), ReadError<B>>> {
        let missing = self.wanted - self.bytes.len();
        if self.bytes.len() == self.bytes.capacity() {
            self.bytes.reserve_exact(missing.min(self.bytes.len().max(FIRST_BODY_BYTES)));
        }
        let room = missing.min(self.bytes.capacity() - self.bytes.len());
        let mut buffer = (&mut self.bytes).limit(room);
        Poll::Ready(match ready!(poll_read_buf(Pin::new(stream), cx, &mut buffer)) {
            Ok(0) => Err(ended(true)),
            Ok(_) => Ok(()),
            Err(error) => Err(failed(error)),
        })
    }
}

fn broken<B: From<FrameError>>(error: FrameError) -> ReadError<B> {
    ReadError::Broken(error.into())
}

fn ended<B>(inside_frame: bool) -> ReadError<B> {
    if inside_frame { ReadError::CutOff } else { ReadError::Ended }
}

/// rustls reports an end without close_notify as an unexpected one.
fn failed<B>(error: io::Error) -> ReadError<B> {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => ReadError::CutOff,
        _ => ReadError::Io(error),
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncWriteExt, duplex};
    use voiddht_wire::limits::MAX_FRAME_BYTES;

    use super::*;

    struct AnyFrame;

    impl FrameRules for AnyFrame {
        type Broken = FrameError;

        fn has_long_frames(&self) -> bool {
            true
        }

        fn reads_while_writing(&self) -> bool {
            true
        }

        fn admit(&self, kind: u16, body_bytes: usize) -> Result<(), FrameError> {
            if kind == 9 { Err(FrameError::TooLong(body_bytes)) } else { Ok(()) }
        }
    }

    fn frame(kind: u16, body: &[u8]) -> Vec<u8> {
        let mut buffer = bytes::BytesMut::new();
        assert!(frame::put_start(&mut buffer, kind, body.len(), true));
        buffer.extend_from_slice(body);
        buffer.to_vec()
    }

    /// Reads frames from `bytes` until the stream gives no more, `piece` bytes at a time.
    async fn read_all(bytes: &[u8], piece: usize) -> (Vec<Frame>, ReadError<FrameError>) {
        let (mut near, mut far) = duplex(piece);
        let bytes = bytes.to_vec();
        let writer = tokio::spawn(async move {
            // The reader may stop early, at a broken rule.
            near.write_all(&bytes).await.ok();
        });
        let mut reader = FrameReader::new(AnyFrame);
        let mut frames = Vec::new();
        let end = loop {
            match poll_fn(|cx| reader.poll_frame(&mut far, cx)).await {
                Ok(frame) => frames.push(frame),
                Err(end) => break end,
            }
        };
        drop(far);
        writer.await.unwrap();
        (frames, end)
    }

    #[tokio::test]
    async fn frames_arrive_whole_however_they_are_cut() {
        let long = vec![3; MAX_FRAME_BYTES - 8];
        let bodies: [&[u8]; 4] = [b"", b"one", &long, &[7; 5000]];
        let stream: Vec<u8> = bodies.iter().flat_map(|body| frame(7, body)).collect();
        for piece in [1, 3, 4096, 1 << 20] {
            let (frames, end) = read_all(&stream, piece).await;
            let read: Vec<&[u8]> = frames.iter().map(|frame| &frame.body[..]).collect();
            assert_eq!(read, bodies, "in pieces of {piece}");
            assert!(matches!(end, ReadError::Ended));
        }
    }

    #[tokio::test]
    async fn a_stream_that_ends_inside_a_frame_is_cut_off() {
        let mut long = vec![0, 0, 0, 7];
        long.extend((MAX_FRAME_BYTES as u32).to_be_bytes());
        for whole in [frame(7, b"abc"), long] {
            for cut in 1..whole.len() {
                let (frames, end) = read_all(&whole[..cut], 64).await;
                assert!(frames.is_empty());
                assert!(matches!(end, ReadError::CutOff), "cut at {cut}: {end:?}");
            }
        }
    }

    #[tokio::test]
    async fn a_start_that_cannot_be_right_is_refused_before_its_body_comes() {
        for (start, expected) in [
            (&[0, 3, 0, 1][..], FrameError::TooShort(3)),
            (&[0, 10, 0, 9], FrameError::TooLong(6)),
            (&[0, 0, 0, 9], FrameError::TooLong(65_535)),
            (&[0, 0, 0, 1, 0, 0, 0, 9], FrameError::NeedlesslyLong(9)),
            (&[0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff], FrameError::TooLong(u32::MAX as usize)),
        ] {
            let (_near, mut far) = {
                let (mut near, far) = duplex(64);
                near.write_all(start).await.unwrap();
                (near, far)
            };
            let mut reader = FrameReader::new(AnyFrame);
            let end = poll_fn(|cx| reader.poll_frame(&mut far, cx)).await;
            assert!(matches!(end, Err(ReadError::Broken(error)) if error == expected), "{start:?}");
        }
    }

    #[tokio::test]
    async fn memory_follows_what_came_and_not_what_was_announced() {
        let (mut near, mut far) = duplex(64);
        let mut reader = FrameReader::new(AnyFrame);
        near.write_all(&[0xff, 0xff, 0, 7, 1]).await.unwrap();
        assert!(poll_fn(|cx| Poll::Ready(reader.poll_frame(&mut far, cx))).await.is_pending());
        assert!(reader.is_inside_frame());
        let held = reader.body.as_ref().map(|body| body.bytes.capacity());
        assert_eq!(held, Some(FIRST_BODY_BYTES));
    }
}
