//! The task behind a client: one reads answers, the other half writes what may go out.
//!
//! Both halves are polled by one task, so that neither is cancelled in the middle of a read or a
//! write, and a request on a single-threaded runtime is never handed to another thread.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::Notify;
use voiddht_wire::api::Answer;
use voiddht_wire::frame::{self, FrameStart};
use voiddht_wire::limits::FRAME_HEADER_BYTES;

use crate::error::{ProtocolError, RequestError};
use crate::requests::{Outgoing, Pending, Requests};

/// Bytes read at once: many small answers, or a quarter of the largest.
const READ_BUFFER_BYTES: usize = 16 * 1024;
/// Bytes that are gathered before a write: what waits beyond them goes with the next one. The
/// buffer can grow past it by one frame, and is kept.
const WRITE_BATCH_BYTES: usize = 64 * 1024;
/// After the last write, how long answers may still come in. Closing at once, with answers
/// unread, would make the operating system reset the connection, and with it discard requests
/// that the node has not read yet.
const CLOSE_GRACE: Duration = Duration::from_secs(1);

/// What the client's handles and its task both see.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    requests: Mutex<Requests>,
    /// Something may be written, or there are no handles any more.
    wake: Notify,
}

impl Shared {
    /// Takes a request in and wakes the task.
    ///
    /// # Errors
    /// The reason for which the connection has ended, if it has.
    pub(crate) fn submit(&self, pending: Pending) -> Result<(), RequestError> {
        self.requests().submit(pending)?;
        self.wake.notify_one();
        Ok(())
    }

    /// Wakes the task, so that it sees that the last handle is gone.
    pub(crate) fn hang_up(&self) {
        self.wake.notify_one();
    }

    fn requests(&self) -> MutexGuard<'_, Requests> {
        // Requests has no step that could panic half done, so a poisoned lock guards sound data.
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Serves the connection until it ends or `alive` says that it is no longer needed.
pub(crate) async fn run(
    stream: TcpStream,
    shared: Arc<Shared>,
    alive: impl Fn() -> bool + Send + 'static,
) {
    let (read_half, write_half) = stream.into_split();
    let reason = tokio::select! {
        reason = read_answers(read_half, &shared) => reason,
        reason = write_requests(write_half, &shared, alive) => reason,
    };
    shared.requests().end(&reason);
}

async fn read_answers(read_half: OwnedReadHalf, shared: &Shared) -> RequestError {
    let mut reader = BufReader::with_capacity(READ_BUFFER_BYTES, read_half);
    loop {
        let answer = match read_answer(&mut reader).await {
            Ok(answer) => answer,
            Err(reason) => return reason,
        };
        match shared.requests().handle_answer(answer) {
            // The answer has let a request for the same key go out.
            Ok(true) => shared.wake.notify_one(),
            Ok(false) => {}
            Err(broken) => return broken.into(),
        }
    }
}

async fn read_answer(reader: &mut BufReader<OwnedReadHalf>) -> Result<Answer, RequestError> {
    let mut header = [0; FRAME_HEADER_BYTES];
    let first = reader.read(&mut header).await.map_err(lost)?;
    if first == 0 {
        return Err(RequestError::Closed);
    }
    reader.read_exact(&mut header[first..]).await.map_err(cut_short)?;
    let start = frame::parse_start(header, false).map_err(ProtocolError::from)?;
    let FrameStart::Short { kind, body_bytes } = start else {
        return Err(ProtocolError::from(frame::FrameError::TooShort(0)).into());
    };
    let mut body = vec![0; body_bytes];
    reader.read_exact(&mut body).await.map_err(cut_short)?;
    Ok(Answer::decode(kind, Bytes::from(body)).map_err(ProtocolError::from)?)
}

async fn write_requests(
    mut write_half: OwnedWriteHalf,
    shared: &Shared,
    alive: impl Fn() -> bool,
) -> RequestError {
    let mut buffer = BytesMut::new();
    let reason = loop {
        let outgoing = shared.requests().take_outgoing();
        if !outgoing.is_empty() {
            if let Err(broken) = write_all(&mut write_half, &mut buffer, outgoing).await {
                break lost(broken);
            }
        } else if alive() {
            shared.wake.notified().await;
        } else {
            break match write_half.shutdown().await {
                Ok(()) => RequestError::Closed,
                Err(broken) => lost(broken),
            };
        }
    };
    // What the node has answered already is still read, by the other half.
    tokio::time::sleep(CLOSE_GRACE).await;
    reason
}

/// Writes requests in as few system calls as their sizes allow.
async fn write_all(
    write_half: &mut OwnedWriteHalf,
    buffer: &mut BytesMut,
    outgoing: impl IntoIterator<Item = Outgoing>,
) -> std::io::Result<()> {
    let mut in_buffer = Vec::new();
    let mut outgoing = outgoing.into_iter().peekable();
    while let Some(Outgoing { request, written }) = outgoing.next() {
        match (request.encode(buffer), written) {
            (Ok(()), written) => in_buffer.extend(written),
            // Values are measured before they come here, so nothing else can be wrong.
            (Err(refused), Some((waiter, _))) => {
                waiter.fail(&ProtocolError::from(refused).into());
            }
            (Err(refused), None) => return Err(std::io::Error::other(refused)),
        }
        if buffer.len() >= WRITE_BATCH_BYTES || outgoing.peek().is_none() {
            write_half.write_all(buffer).await?;
            buffer.clear();
            in_buffer.drain(..).for_each(|(waiter, _place)| waiter.written());
        }
    }
    Ok(())
}

fn lost(error: std::io::Error) -> RequestError {
    RequestError::Lost(Arc::new(error))
}

fn cut_short(error: std::io::Error) -> RequestError {
    match error.kind() {
        std::io::ErrorKind::UnexpectedEof => ProtocolError::CutShort.into(),
        _ => lost(error),
    }
}
