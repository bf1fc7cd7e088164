//! Values through the HTTP gateway of a node on another machine: `--gateway URL`.
//!
//! `url` is where it is, `exchange` one request and its answer. What a gateway says is not taken on
//! trust where it can be checked: envelopes and content-addressed values are verified here.

mod exchange;
mod url;

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use data_encoding::{BASE64, HEXLOWER};
use hyper::header::{ACCEPT, AUTHORIZATION, HeaderName, HeaderValue, IF_MATCH, IF_NONE_MATCH};
use hyper::{HeaderMap, Method};
use serde_json::Value;
use voiddht_client::signed::{Envelope, Freshness, Name, Terms, VerifiedEnvelope, now_millis};
use voiddht_client::{Key, PutReceipt};
use voiddht_gateway::read_token;

use self::exchange::problem;
use self::url::GatewayUrl;
use crate::http::Answer;
use crate::outcome::Failure;
use crate::output::Output;

/// The media type of an envelope.
const ENVELOPE: &str = "application/vnd.voiddht.envelope";
/// How the gateway says that it has verified a value.
const PROOF: HeaderName = HeaderName::from_static("voiddht-proof");

/// Which gateway to use in place of a node's module API.
#[derive(Clone, Debug, Args)]
pub(super) struct GatewayArguments {
    /// Use the HTTP gateway at this address in place of a node's module API
    ///
    /// For nodes on other machines: what was given to dht_server --gateway, or the address of the
    /// reverse proxy before it, like https://dht.example.org.
    #[arg(long, value_name = "URL")]
    gateway: Option<GatewayUrl>,

    /// A file with the gateway's token; its mode must be 0600
    #[arg(long, value_name = "FILE")]
    gateway_token: Option<PathBuf>,
}

/// A gateway, and what it wants to be sent.
#[derive(Clone, Debug)]
pub(super) struct GatewayClient {
    url: GatewayUrl,
    authorization: Option<HeaderValue>,
    timeout: Duration,
}

/// How a conditional publication ended.
#[derive(Debug)]
pub(super) enum Publication {
    /// It is stored on so many nodes.
    Stored(u8),
    /// This envelope is the newest.
    Conflict(Box<VerifiedEnvelope>),
}

impl GatewayArguments {
    /// The gateway that is meant; `None`: a node's module API is.
    ///
    /// # Errors
    /// [`Failure::Usage`] for a token that cannot be read, or that is for no gateway.
    pub(super) fn client(&self, timeout: u64) -> Result<Option<GatewayClient>, Failure> {
        let Some(url) = &self.gateway else {
            return match &self.gateway_token {
                None => Ok(None),
                Some(path) => Err(Failure::Usage(format!(
                    "{}: a token is for a gateway, which --gateway URL names",
                    path.display()
                ))),
            };
        };
        let token = self.gateway_token.as_deref().map(read_token).transpose();
        let token = token.map_err(|error| Failure::Usage(error.to_string()))?;
        let authorization = token.map(|token| {
            let field = HeaderValue::from_bytes(&[b"Bearer ", token.as_slice()].concat());
            field.map_err(|_| Failure::Usage("the token cannot be sent: it is not text".to_owned()))
        });
        let mut authorization = authorization.transpose()?;
        if let Some(field) = &mut authorization {
            field.set_sensitive(true);
        }
        let timeout = Duration::from_secs(timeout);
        Ok(Some(GatewayClient { url: url.clone(), authorization, timeout }))
    }
}

impl GatewayClient {
    /// Puts a value.
    pub(super) async fn put(
        &self,
        key: Key,
        value: Bytes,
        ttl: Option<u16>,
        replication: Option<u8>,
    ) -> Result<PutReceipt, Failure> {
        let path = format!("/v1/values/{key}?{}", query(ttl, replication));
        let answer = self.ask(Method::PUT, &path, HeaderMap::new(), value).await?;
        match answer.status {
            200 => {
                let nodes = self.stored_on(&answer)?;
                let outstanding = self.read_json(&answer)?["outstanding"].as_u64().unwrap_or(0);
                let outstanding = u8::try_from(outstanding).unwrap_or(u8::MAX);
                Ok(PutReceipt::Stored { nodes, outstanding, terms: None })
            }
            409 | 503 | 507 => Ok(PutReceipt::Failed { why: problem(&answer) }),
            _ => Err(self.refused(&answer)),
        }
    }

    /// Gets a value; `None` if no node has one. Where the key is to be the value's SHA-256, nothing else
    /// is an answer.
    pub(super) async fn get(
        &self,
        key: Key,
        content_addressed: bool,
    ) -> Result<Option<Bytes>, Failure> {
        let path = format!("/v1/values/{key}");
        let answer = self.ask(Method::GET, &path, HeaderMap::new(), Bytes::new()).await?;
        let says_hash = answer.headers.get(PROOF).is_some_and(|proof| proof == "hash");
        match answer.status {
            200 if (says_hash || content_addressed) && !key.proves(&answer.body) => {
                Err(self.untrue("a value whose SHA-256 is not its key"))
            }
            200 => Ok(Some(answer.body)),
            404 => Ok(None),
            _ => Err(self.refused(&answer)),
        }
    }

    /// The same with what the gateway knows of it, in the words of `dht get --json`.
    pub(super) async fn get_json(&self, key: Key) -> Result<Value, Failure> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let path = format!("/v1/values/{key}");
        let answer = self.ask(Method::GET, &path, headers, Bytes::new()).await?;
        let found = match answer.status {
            200 => Some(self.read_json(&answer)?),
            404 => None,
            _ => return Err(self.refused(&answer)),
        };
        let of = |name: &str| found.as_ref().map_or(Value::Null, |found| found[name].clone());
        let value = of("value");
        let bytes = value.as_str().and_then(|text| BASE64.decode(text.as_bytes()).ok());
        Ok(serde_json::json!({
            "key": key.to_string(), "found": found.is_some(), "value_base64": value,
            "value_bytes": bytes.map(|bytes| bytes.len()), "version": of("seq"),
            "ttl_seconds_left": of("ttl"), "replicas": of("agreeing"), "dissenting": null,
            "verified": of("proof"), "took_ms": null,
        }))
    }

    /// Reads the newest envelope of a name, and verifies it.
    pub(super) async fn resolve(
        &self,
        name: &Name,
        freshness: Freshness,
    ) -> Result<Option<VerifiedEnvelope>, Failure> {
        let query = match freshness {
            Freshness::Latest => "",
            Freshness::First => "?first",
            Freshness::Thorough => "?thorough",
        };
        let salt = url::encoded(name.salt.as_bytes());
        let path = match salt.is_empty() {
            true => format!("/v1/signed/{}{query}", name.owner),
            false => format!("/v1/signed/{}/{salt}{query}", name.owner),
        };
        let answer = self.ask(Method::GET, &path, envelopes(), Bytes::new()).await?;
        match answer.status {
            200 => self.verified(name, answer.body).map(Some),
            404 => Ok(None),
            _ => Err(self.refused(&answer)),
        }
    }

    /// Publishes an envelope if the newest one is `expected`, or if there is none.
    pub(super) async fn publish_if(
        &self,
        envelope: &Envelope,
        expected: Option<&Envelope>,
        terms: Terms,
    ) -> Result<Publication, Failure> {
        let given = |number: u16| Some(number).filter(|number| *number != 0);
        let replication = Some(terms.replication).filter(|nodes| *nodes != 0);
        let path = format!("/v1/signed?{}", query(given(terms.ttl_seconds), replication));
        let mut headers = envelopes();
        match expected.map(|expected| format!("\"{}\"", HEXLOWER.encode(&expected.digest()))) {
            Some(tag) => {
                let tag = HeaderValue::try_from(tag).map_err(Failure::failed)?;
                headers.insert(IF_MATCH, tag);
            }
            None => {
                headers.insert(IF_NONE_MATCH, HeaderValue::from_static("*"));
            }
        }
        let value = envelope.bytes().clone();
        let answer = self.ask(Method::PUT, &path, headers, value).await?;
        match answer.status {
            200 => self.stored_on(&answer).map(Publication::Stored),
            409 | 412 if answer.is(ENVELOPE) => {
                let newest = self.verified(envelope.name(), answer.body)?;
                Ok(Publication::Conflict(Box::new(newest)))
            }
            409 | 412 | 507 => Err(Failure::Failed(problem(&answer))),
            _ => Err(self.refused(&answer)),
        }
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        mut headers: HeaderMap,
        body: Bytes,
    ) -> Result<Answer, Failure> {
        if let Some(authorization) = &self.authorization {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        let asking = exchange::exchange(&self.url, method, path, headers, body);
        let answer = tokio::time::timeout(self.timeout, asking).await;
        let slow = || {
            let seconds = self.timeout.as_secs();
            Failure::Unreachable(format!("{}: no answer within {seconds} s (--timeout)", self.url))
        };
        answer.map_err(|_| slow())?
    }

    fn verified(&self, name: &Name, bytes: Bytes) -> Result<VerifiedEnvelope, Failure> {
        let envelope = Envelope::parse(bytes).ok().filter(|envelope| envelope.name() == name);
        let verified = envelope.and_then(|envelope| envelope.verify(now_millis() / 1000).ok());
        verified.ok_or_else(|| self.untrue("a signed value that does not verify"))
    }

    /// Has the gateway's node keep a withdrawal that was just published, so that no older value comes
    /// back. Says what became of it.
    pub(super) async fn keep_withdrawal(
        &self,
        envelope: &Envelope,
        output: &Output,
    ) -> Result<(), Failure> {
        let path = format!("/v1/kept/{}", envelope.key());
        let value = envelope.bytes().clone();
        let answer = self.ask(Method::PUT, &path, HeaderMap::new(), value).await?;
        match answer.status {
            200 if self.read_json(&answer)?["on_disk"] == true => {
                output.notice("the gateway's node keeps the withdrawal");
            }
            200 => output.complaint(
                "warning: the gateway's node has no data directory: it keeps the withdrawal until it \
                 stops",
            ),
            _ => output.complaint(format_args!(
                "warning: the withdrawal is not kept, and holds for one TTL: {}",
                problem(&answer)
            )),
        }
        Ok(())
    }

    fn stored_on(&self, answer: &Answer) -> Result<u8, Failure> {
        let nodes = self.read_json(answer)?["stored_on"].as_u64();
        let nodes = nodes.ok_or_else(|| self.untrue("a receipt that cannot be read"))?;
        Ok(u8::try_from(nodes).unwrap_or(u8::MAX))
    }

    fn read_json(&self, answer: &Answer) -> Result<Value, Failure> {
        serde_json::from_slice(&answer.body).map_err(|_| self.untrue("no JSON"))
    }

    fn untrue(&self, what: &str) -> Failure {
        Failure::Unreachable(format!("{}: the gateway returned {what}", self.url))
    }

    /// A refusal in the gateway's own words. What the caller can mend is a wrong argument.
    fn refused(&self, answer: &Answer) -> Failure {
        let text = format!("{}: {}", self.url, problem(answer));
        match answer.status {
            400 | 401 | 403 | 413 => Failure::Usage(text),
            _ => Failure::Unreachable(text),
        }
    }
}

/// `ttl=…&replication=…`, as far as they are given.
fn query(ttl: Option<u16>, replication: Option<u8>) -> String {
    let ttl = ttl.map(|ttl| format!("ttl={ttl}"));
    let replication = replication.map(|nodes| format!("replication={nodes}"));
    let given: Vec<String> = ttl.into_iter().chain(replication).collect();
    given.join("&")
}

fn envelopes() -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static(ENVELOPE));
    headers
}
