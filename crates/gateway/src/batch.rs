//! `POST /v1/batch`: many puts in one request, for publishing in bulk.
//!
//! A line of JSON is a put: `{"key": "…"}` or `{"text": "…"}`, or neither for a content-addressed value, and
//! `value` in Base64; `ttl` and `replication` if wanted. Each is answered by a line as it ends, with the
//! number of the line that it answers.
//!
//! The body is streamed. Lines are gathered into windows; a window is put in the order of its keys, so that
//! puts that go to the same nodes follow one another, and the next one is read when it has been begun.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Uri, header};
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use data_encoding::BASE64;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use voiddht_node::GatewayRequest;
use voiddht_node::http::body_of;
use voiddht_wire::limits::MAX_VALUE_BYTES;
use voiddht_wire::{Key, Publication};

use crate::bounds::{
    MAX_BATCH_BYTES, MAX_BATCH_REQUESTS, MAX_WINDOW_BYTES, MAX_WINDOW_LINES, too_large,
};
use crate::problem::Problem;
use crate::request::{Condition, Parameters, Terms};
use crate::shared::Shared;
use crate::{body, values};

/// The media type of lines of JSON.
const LINES: &str = "application/x-ndjson";
/// A line, at most: the largest value in Base64, and some hundred bytes around it.
const MAX_LINE_BYTES: usize = MAX_VALUE_BYTES.div_ceil(3) * 4 + 1024;
/// Answers that wait for the client; each is some 120 bytes. A client that sends all before it
/// reads needs them.
const MAX_WAITING_ANSWERS: usize = 8192;

pub(crate) async fn post(
    State(shared): State<Shared>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    Parameters::of(&uri, &[])?;
    Condition::refuse(&headers)?;
    body::check_length(&shared.node, &headers, MAX_BATCH_BYTES)?;
    let slot = shared.bounds.batch(&shared.node)?;
    let (answers, receiver) = mpsc::channel(MAX_WAITING_ANSWERS);
    let (stop, tasks) = (shared.stop.clone(), shared.tasks.clone());
    tasks.spawn(async move {
        let batch = Batch { shared, answers, puts: JoinSet::new() };
        let _ = stop.run_until_cancelled(batch.run(body)).await;
        drop(slot);
    });
    Ok(([(header::CONTENT_TYPE, LINES)], body_of(receiver)).into_response())
}

/// A line of the request.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    key: Option<String>,
    text: Option<String>,
    value: String,
    ttl: Option<u64>,
    replication: Option<u64>,
}

/// A put that waits for its turn.
#[derive(Debug)]
struct Put {
    line: u64,
    publication: Publication,
}

struct Batch {
    shared: Shared,
    answers: mpsc::Sender<Bytes>,
    puts: JoinSet<()>,
}

impl Batch {
    /// Ends when every line is answered, or when the client has left.
    async fn run(mut self, body: Body) {
        let mut lines = Lines::new(body);
        let mut window = Window::default();
        let ended = loop {
            let next = lines.next(&self.shared).await;
            let line = match next {
                Ok(Some(line)) => line,
                Ok(None) => break None,
                Err(problem) => break Some(problem),
            };
            match parse(&line, lines.number) {
                Ok(None) => continue,
                Ok(Some(put)) => window.add(put),
                Err(problem) => {
                    let failed = json!({"line": lines.number, "error": problem.to_json()});
                    if !answer(&self.answers, &failed).await {
                        return;
                    }
                }
            }
            if window.is_full() && !self.begin(&mut window).await {
                return;
            }
        };
        if !self.begin(&mut window).await {
            return;
        }
        while self.puts.join_next().await.is_some() {}
        if let Some(problem) = ended {
            // What follows was not read.
            answer(&self.answers, &json!({"error": problem.to_json()})).await;
        }
    }

    /// Begins all puts of a window, in the order of their keys. `false`: the client has left.
    async fn begin(&mut self, window: &mut Window) -> bool {
        for put in window.take_sorted() {
            while self.puts.len() >= MAX_BATCH_REQUESTS {
                self.puts.join_next().await;
            }
            if self.answers.is_closed() {
                return false;
            }
            let Some(slot) = self.shared.bounds.batch_request(&self.shared.node).await else {
                return false;
            };
            let (shared, answers) = (self.shared.clone(), self.answers.clone());
            self.puts.spawn(async move {
                let answered = execute(&shared, put).await;
                drop(slot);
                answer(&answers, &answered).await;
            });
        }
        true
    }
}

async fn execute(shared: &Shared, put: Put) -> Value {
    shared.node.gateway_request(GatewayRequest::Write);
    let Put { line, publication } = put;
    let text = publication.key.to_string();
    match values::store(shared, publication).await {
        Ok(stored) => stored.view(json!({"line": line, "key": text})),
        Err(problem) => json!({"line": line, "key": text, "error": problem.to_json()}),
    }
}

/// Sends an answer, waiting for the client to read. `false`: it has left.
async fn answer(answers: &mpsc::Sender<Bytes>, answered: &Value) -> bool {
    answers.send(format!("{answered}\n").into()).await.is_ok()
}

/// A put, or `None` of an empty line.
fn parse(line: &[u8], number: u64) -> Result<Option<Put>, Problem> {
    if line.iter().all(u8::is_ascii_whitespace) {
        return Ok(None);
    }
    let line: Line = serde_json::from_slice(line).map_err(|error| {
        let advice = "A line is {\"key\": 64 hexadecimal digits, \"value\": Base64}, or has text in place \
                      of key, or neither.";
        Problem::bad_request(format!("The line cannot be read: {error}."), advice)
    })?;
    let value = BASE64.decode(line.value.as_bytes()).map_err(|error| {
        Problem::bad_request(format!("value is not Base64: {error}."), "Encode it with padding.")
    })?;
    let key = match (line.key, line.text) {
        (None, None) => Key::of_value(&value),
        (None, Some(text)) => Key::of_value(text.as_bytes()),
        (Some(key), None) => key.parse().map_err(|_| {
            Problem::bad_request(format!("{key:?} is no key."), "It has 64 hexadecimal digits.")
        })?,
        (Some(_), Some(_)) => {
            let advice = "Leave one of them out.";
            return Err(Problem::bad_request("A line has either key or text.", advice));
        }
    };
    let terms = Terms::checked(line.ttl, line.replication)?;
    Ok(Some(Put { line: number, publication: terms.publication(key, value) }))
}

/// Puts that are sorted together.
#[derive(Debug, Default)]
struct Window {
    puts: Vec<Put>,
    bytes: usize,
}

impl Window {
    fn add(&mut self, put: Put) {
        self.bytes += put.publication.value.len();
        self.puts.push(put);
    }

    fn is_full(&self) -> bool {
        self.puts.len() >= MAX_WINDOW_LINES || self.bytes >= MAX_WINDOW_BYTES
    }

    /// By region of the key space; puts of one key keep their order.
    fn take_sorted(&mut self) -> Vec<Put> {
        self.bytes = 0;
        let mut puts = std::mem::take(&mut self.puts);
        puts.sort_by_key(|put| put.publication.key);
        puts
    }
}

/// The lines of a body as they come.
struct Lines {
    body: Body,
    buffer: BytesMut,
    /// Where the search for the end of a line goes on.
    searched: usize,
    read: usize,
    is_over: bool,
    /// The line that was last returned, from 1.
    number: u64,
}

impl Lines {
    fn new(body: Body) -> Self {
        let (buffer, searched, read) = (BytesMut::new(), 0, 0);
        Self { body, buffer, searched, read, is_over: false, number: 0 }
    }

    async fn next(&mut self, shared: &Shared) -> Result<Option<Bytes>, Problem> {
        loop {
            if let Some(line) = self.take_line() {
                self.number += 1;
                return Ok(Some(line));
            }
            if self.is_over {
                return Ok(None);
            }
            if self.buffer.len() > MAX_LINE_BYTES {
                return Err(too_large(&shared.node, MAX_LINE_BYTES));
            }
            match body::next_part(&mut self.body, shared.pace.body).await? {
                Some(part) => {
                    self.read += part.len();
                    if self.read > MAX_BATCH_BYTES {
                        return Err(too_large(&shared.node, MAX_BATCH_BYTES));
                    }
                    self.buffer.extend_from_slice(&part);
                }
                None => self.is_over = true,
            }
        }
    }

    fn take_line(&mut self) -> Option<Bytes> {
        let rest = self.buffer.get(self.searched..).unwrap_or_default();
        match rest.iter().position(|byte| *byte == b'\n') {
            Some(at) => {
                let line = self.buffer.split_to(self.searched + at + 1).freeze();
                self.searched = 0;
                Some(line)
            }
            None if self.is_over && !self.buffer.is_empty() => {
                self.searched = 0;
                Some(self.buffer.split().freeze())
            }
            None => {
                self.searched = self.buffer.len();
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_its_key_or_is_addressed_by_its_content() {
        let key = |line: &str| parse(line.as_bytes(), 1).unwrap().unwrap().publication.key;
        assert_eq!(key(r#"{"value":"aGVsbG8="}"#), Key::of_value(b"hello"));
        assert_eq!(key(r#"{"text":"a","value":"aGVsbG8=","ttl":60}"#), Key::of_value(b"a"));
        let digits = "ab".repeat(32);
        let line = format!(r#"{{"key":"{digits}","value":"aGVsbG8="}}"#);
        assert_eq!(key(&line), Key::from_bytes([0xab; 32]));
        for wrong in [
            "{}",
            "hello",
            r#"{"value":"!"}"#,
            r#"{"value":"aGVsbG8=","life":3}"#,
            r#"{"value":"aGVsbG8=","ttl":0}"#,
            r#"{"value":"aGVsbG8=","key":"12"}"#,
            r#"{"value":"aGVsbG8=","key":"12","text":"a"}"#,
        ] {
            assert!(parse(wrong.as_bytes(), 1).is_err(), "{wrong}");
        }
        assert!(parse(b" \r", 1).unwrap().is_none());
    }

    #[test]
    fn a_window_is_sorted_by_key_and_keeps_the_order_of_one_key() {
        let mut window = Window::default();
        for (line, key) in [(1, 9), (2, 3), (3, 9), (4, 1)] {
            let key = Key::from_bytes([key; 32]);
            window.add(Put { line, publication: Publication::new(key, "x") });
        }
        let lines: Vec<u64> = window.take_sorted().iter().map(|put| put.line).collect();
        assert_eq!((lines, window.bytes), (vec![4, 2, 1, 3], 0));
    }

    #[test]
    fn lines_end_with_a_newline_or_the_body() {
        let mut lines = Lines::new(Body::empty());
        let mut taken = Vec::new();
        for part in ["a\nb", "b\n\nc"] {
            lines.buffer.extend_from_slice(part.as_bytes());
            while let Some(line) = lines.take_line() {
                taken.push(line);
            }
        }
        lines.is_over = true;
        taken.extend(lines.take_line());
        assert_eq!(taken, ["a\n", "bb\n", "\n", "c"]);
        assert!(lines.take_line().is_none());
    }
}
