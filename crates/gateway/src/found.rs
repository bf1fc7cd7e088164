//! A value that was found, as answers show it.

use axum::http::header::{self, HeaderName};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use data_encoding::BASE64;
use serde::Serialize;
use sha2::{Digest, Sha256};
use voiddht_node::GetOutcome;
use voiddht_signed::Envelope;
use voiddht_wire::Key;
use voiddht_wire::api::Proof;

use crate::problem::Problem;
use crate::request::{EntityTag, accepts};

/// How a value was verified: `hash`, `signature`, or `vote AGREEING/VOTES`.
pub(crate) const PROOF: HeaderName = HeaderName::from_static("voiddht-proof");
/// The sequence number of a signed value.
pub(crate) const SEQ: HeaderName = HeaderName::from_static("voiddht-seq");
/// For how many seconds it still lives, by what the replicas say.
pub(crate) const TTL: HeaderName = HeaderName::from_static("voiddht-ttl");

/// JSON, as clients ask for it.
pub(crate) const JSON: &str = "application/json";
const BYTES: &str = "application/octet-stream";

/// A value, and how it was verified.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    key: Key,
    value: Bytes,
    proof: Proof,
    /// The publisher's clock, of a value that is not signed.
    version: Option<u64>,
    /// Its sequence number, of a signed one.
    seq: Option<u64>,
    ttl: Option<u16>,
    agreeing: u32,
    votes: u32,
    asked: u32,
}

/// The same for programs.
#[derive(Debug, Serialize)]
pub(crate) struct FoundView {
    key: String,
    /// In Base64.
    value: String,
    ttl: Option<u16>,
    proof: &'static str,
    /// As a string: it passes 2^53.
    seq: Option<String>,
    agreeing: u32,
    votes: u32,
    asked: u32,
}

impl Found {
    /// What a GET brought; a problem if nothing.
    pub(crate) fn of(key: Key, outcome: GetOutcome) -> Result<Self, Problem> {
        let report = outcome.report;
        let Some(value) = outcome.value else {
            return Err(match (report.asked, report.answered) {
                (1.., 0) => Problem::cut_off("None of the known nodes answered."),
                _ => Problem::not_found(format!("No node that was asked has a value under {key}.")),
            });
        };
        let proof = outcome.proof.unwrap_or(Proof::Vote);
        let signed = (proof == Proof::Signature).then(|| Envelope::parse(value.clone()).ok());
        Ok(Self {
            key,
            proof,
            version: outcome.version,
            seq: signed.flatten().map(|envelope| envelope.seq()),
            ttl: report.ttl_left,
            agreeing: report.agreeing,
            votes: report.agreeing + report.dissenting,
            asked: report.asked,
            value,
        })
    }

    pub(crate) fn tag(&self) -> EntityTag {
        match self.proof {
            Proof::Hash => EntityTag(self.key.to_bytes()),
            _ => EntityTag(Sha256::digest(&self.value).into()),
        }
    }

    /// Names this state of the value in a stream of events: its sequence number, or its version.
    pub(crate) fn event_id(&self) -> String {
        let number = self.seq.or(self.version);
        number.map_or_else(|| self.tag().to_string().replace('"', ""), |number| number.to_string())
    }

    pub(crate) fn view(&self) -> FoundView {
        FoundView {
            key: self.key.to_string(),
            value: BASE64.encode(&self.value),
            ttl: self.ttl,
            proof: self.proof.name(),
            seq: self.seq.map(|seq| seq.to_string()),
            agreeing: self.agreeing,
            votes: self.votes,
            asked: self.asked,
        }
    }

    /// The answer to a GET with these fields.
    pub(crate) fn into_response(self, request: &HeaderMap) -> Response {
        let tag = self.tag();
        let mut headers = HeaderMap::new();
        let proof = match self.proof {
            Proof::Vote => text(format!("vote {}/{}", self.agreeing, self.votes)),
            _ => HeaderValue::from_static(self.proof.name()),
        };
        headers.insert(PROOF, proof);
        headers.insert(header::ETAG, text(tag.to_string()));
        headers.insert(header::VARY, HeaderValue::from_name(header::ACCEPT));
        if let Some(seq) = self.seq {
            headers.insert(SEQ, HeaderValue::from(seq));
        }
        if let Some(ttl) = self.ttl {
            headers.insert(TTL, HeaderValue::from(ttl));
        }
        if tag.is_known(request) {
            return (StatusCode::NOT_MODIFIED, headers).into_response();
        }
        if accepts(request, JSON) {
            return (headers, json(&self.view())).into_response();
        }
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(BYTES));
        (headers, self.value).into_response()
    }
}

/// An answer in JSON.
pub(crate) fn json(value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(body) => ([(header::CONTENT_TYPE, JSON)], body).into_response(),
        Err(error) => {
            tracing::error!(%error, "an answer could not be written as JSON");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// A field of digits, letters and punctuation.
pub(crate) fn text(text: String) -> HeaderValue {
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""))
}
