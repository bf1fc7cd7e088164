//! The reader of frames that stands behind every port, fed in pieces of any size. However a stream
//! is cut, its frames are those that a look at the whole stream finds.

#![no_main]

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use libfuzzer_sys::fuzz_target;
use tokio::io::{AsyncRead, ReadBuf};
use voiddht_fuzz::Source;
use voiddht_wire::frame::{self, FrameError, FrameStart};
use voiddht_wire::limits::{FRAME_HEADER_BYTES, LONG_LENGTH_BYTES};

// The very file of the node, which is private there.
#[allow(dead_code)]
#[path = "../../crates/node/src/frame_reader.rs"]
mod frame_reader;

use frame_reader::{Frame, FrameReader, FrameRules, ReadError};

/// A type that has no body longer than this.
const SHORT_KIND: u16 = 9;
const SHORT_BYTES: usize = 100;

#[derive(Clone, Copy)]
struct Rules {
    long_frames: bool,
}

impl FrameRules for Rules {
    type Broken = FrameError;

    fn has_long_frames(&self) -> bool {
        self.long_frames
    }

    fn reads_while_writing(&self) -> bool {
        true
    }

    fn admit(&self, kind: u16, body_bytes: usize) -> Result<(), FrameError> {
        match kind == SHORT_KIND && body_bytes > SHORT_BYTES {
            true => Err(FrameError::TooLong(body_bytes)),
            false => Ok(()),
        }
    }
}

/// A stream that comes in pieces, with waits between them.
struct Pieces<'a> {
    stream: &'a [u8],
    sizes: &'a [u8],
    turn: usize,
}

impl AsyncRead for Pieces<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let size = self.sizes.get(self.turn % self.sizes.len().max(1)).copied().unwrap_or(0);
        self.turn += 1;
        if size == 0 && self.turn % 2 == 0 {
            return Poll::Pending;
        }
        // Small pieces cut headers, large ones bodies.
        let size = if size < 128 { usize::from(size) + 1 } else { usize::from(size) * 64 };
        let (piece, rest) =
            self.stream.split_at(size.min(self.stream.len()).min(buffer.remaining()));
        buffer.put_slice(piece);
        self.stream = rest;
        Poll::Ready(Ok(()))
    }
}

#[derive(Debug, PartialEq, Eq)]
enum End {
    Ended,
    CutOff,
    Broken(FrameError),
}

fuzz_target!(|data: &[u8]| {
    let mut source = Source(data);
    let rules = Rules { long_frames: source.byte() & 1 == 0 };
    let count = usize::from(source.byte() % 8);
    let sizes = source.slice(count);
    let stream = source.0;
    assert_eq!(read(rules, Pieces { stream, sizes, turn: 0 }), look(rules, stream));
});

fn read(rules: Rules, mut stream: Pieces<'_>) -> (Vec<Frame>, End) {
    let mut reader = FrameReader::new(rules);
    let mut frames = Vec::new();
    let mut cx = Context::from_waker(Waker::noop());
    loop {
        match reader.poll_frame(&mut stream, &mut cx) {
            Poll::Pending => {}
            Poll::Ready(Ok(frame)) => frames.push(frame),
            Poll::Ready(Err(end)) => {
                let end = match end {
                    ReadError::Ended => End::Ended,
                    ReadError::CutOff => End::CutOff,
                    ReadError::Broken(error) => End::Broken(error),
                    ReadError::Io(error) => panic!("{error}"),
                };
                return (frames, end);
            }
        }
    }
}

/// The same, by looking at all of the stream at once.
fn look(rules: Rules, mut stream: &[u8]) -> (Vec<Frame>, End) {
    let mut frames = Vec::new();
    let end = loop {
        match look_at_one(rules, stream) {
            Ok(Some((frame, rest))) => {
                frames.push(frame);
                stream = rest;
            }
            Ok(None) if stream.is_empty() => break End::Ended,
            Ok(None) => break End::CutOff,
            Err(error) => break End::Broken(error),
        }
    };
    (frames, end)
}

fn look_at_one(rules: Rules, stream: &[u8]) -> Result<Option<(Frame, &[u8])>, FrameError> {
    let Some((start, mut rest)) = stream.split_first_chunk::<FRAME_HEADER_BYTES>() else {
        return Ok(None);
    };
    let (kind, bytes) = match frame::parse_start(*start, rules.long_frames)? {
        FrameStart::Short { kind, body_bytes } => (kind, body_bytes),
        FrameStart::Long { kind } => {
            rules.admit(kind, usize::from(u16::MAX))?;
            let Some((length, body)) = rest.split_first_chunk::<LONG_LENGTH_BYTES>() else {
                return Ok(None);
            };
            rest = body;
            (kind, frame::long_body_bytes(*length)?)
        }
    };
    rules.admit(kind, bytes)?;
    let body = rest.split_at_checked(bytes);
    Ok(body.map(|(body, rest)| (Frame { kind, body: body.to_vec().into() }, rest)))
}
