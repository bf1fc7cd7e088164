//! `/pkarr/{key}`: DNS packets that their owner has signed, as pkarr's relays serve them
//! (<https://github.com/pubky/pkarr/blob/main/design/relays.md>).
//!
//! A packet is a mutable item of BEP 44, which its owner signed for the Mainline DHT; here it is the body of
//! an envelope of form 2, whose signature is the same one. So nothing is signed here, and what is returned
//! is what the client verifies anyway. `kept_packets`: how many packets the node republishes.

use std::sync::LazyLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{self, HeaderName};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use data_encoding::{Encoding, Specification};
use voiddht_core::operation::PutFailure;
use voiddht_node::kept::{Keep, KeepError, KeepOutcome, KeepRefusal};
use voiddht_signed::{Envelope, Name, PublicKey, Salt};
use voiddht_wire::api::Freshness;

use crate::kept_packets::FRESH;
use crate::problem::Problem;
use crate::request::{Parameters, Terms, segments};
use crate::shared::Shared;
use crate::signed::{self, Published};
use crate::values::Stored;
use crate::{body, bounds, found, kept as kept_values, values};

/// A DNS packet, at most: what a bencoded string of BEP 44 may have.
const PACKET_BYTES: usize = 1000;
/// A DNS packet, at least: its header.
const PACKET_HEADER_BYTES: usize = 12;
/// What precedes the packet: the signature, and the timestamp in microseconds.
const HEAD_BYTES: usize = voiddht_signed::SIGNATURE_BYTES + 8;
/// For how long a packet is to be stored: as long as the nodes allow. Its owner publishes it again.
const LIFETIME: Duration = Duration::from_secs(u16::MAX as u64);
const PAYLOAD: &str = "application/pkarr.org/relays#payload";
/// On how many nodes a packet is stored.
const STORED_NODES: HeaderName = HeaderName::from_static("pkarr-dht-stored-nodes");
/// The sequence number of what is published under a key and is no packet.
const INVALID_SEQ: HeaderName = HeaderName::from_static("pkarr-invalid-signed-packet-seq");

/// z-base-32, as Zooko O'Whielacronx wrote it.
static Z_BASE_32: LazyLock<Option<Encoding>> = LazyLock::new(|| {
    let mut specification = Specification::new();
    specification.symbols.push_str("ybndrfg8ejkmcpqxot1uwisza345h769");
    specification.encoding().ok()
});

/// Publishes a packet.
pub(crate) async fn put(
    State(shared): State<Shared>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    Parameters::of(&uri, &[])?;
    let owner = owner(&uri)?;
    shared.bounds.packet(&shared.node).map_err(|seconds| {
        let detail = format!(
            "More than {} packets are published here in a second.",
            bounds::MAX_PACKETS_PER_SECOND
        );
        let advice = "Send this one again after Retry-After.";
        Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many", detail, advice).retry_after(seconds)
    })?;
    let payload = body::read(&shared, &headers, body, HEAD_BYTES + PACKET_BYTES).await?;
    let envelope = signed::verify(wrap(owner, &payload)?)?;
    match publish(&shared, &envelope).await? {
        Published::Stored(Stored { nodes, .. }) => {
            Ok((StatusCode::NO_CONTENT, [(STORED_NODES, HeaderValue::from(nodes))]).into_response())
        }
        Published::Newer(newest) | Published::Other(newest) => {
            let problem = Problem::new(
                StatusCode::CONFLICT,
                "superseded",
                "A packet with a later timestamp is published under this key.",
                "Resolve it, merge, and sign again with a later timestamp.",
            );
            Err(match newest {
                Some(newest) => problem.with("timestamp", newest.seq().to_string()),
                None => problem,
            })
        }
    }
}

/// Publishes a packet, and has the node keep it while it is fresh.
async fn publish(shared: &Shared, envelope: &Envelope) -> Result<Published, Problem> {
    let (node, key) = (&shared.node, envelope.key());
    let terms = Terms { ttl: Some(LIFETIME), replication: None };
    if !shared.bounds.kept_packets.admit(node, key).await {
        return signed::publish(shared, envelope, terms).await;
    }
    let until = UNIX_EPOCH + Duration::from_micros(envelope.seq()) + FRESH;
    let keep = Keep::new(key, envelope.bytes().clone()).ttl(LIFETIME).until(until);
    match node.keep(keep).await {
        Ok(KeepOutcome { stored: Some(nodes), outstanding, failure: None, .. }) => {
            Ok(Published::Stored(Stored { nodes, outstanding }))
        }
        Ok(KeepOutcome { failure: Some(PutFailure::Superseded { .. }), .. })
        | Err(KeepError::Refused(KeepRefusal::Older)) => {
            Ok(Published::Newer(signed::newest(shared, key, Freshness::Thorough).await?))
        }
        Ok(KeepOutcome { failure: Some(failure), .. }) => Err(values::not_stored(&failure)),
        // It is not fresh any more, or cannot be kept: its owner may publish it all the same.
        Ok(KeepOutcome { stored: None, .. }) | Err(KeepError::Refused(_)) => {
            signed::publish(shared, envelope, terms).await
        }
        Err(error) => Err(kept_values::refused(&error)),
    }
}

/// Resolves a packet.
pub(crate) async fn get(
    State(shared): State<Shared>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let owner = owner(&uri)?;
    let freshness = match Parameters::of(&uri, &["policy"])?.value("policy") {
        Some("network_only") => Freshness::Thorough,
        _ => Freshness::Latest,
    };
    let key = Name::bep44(owner, Salt::EMPTY).key();
    let newest = signed::newest(&shared, key, freshness).await?;
    let Some(envelope) = newest.filter(|envelope| !envelope.is_withdrawal()) else {
        return Err(Problem::not_found("No packet is published under this key."));
    };
    let Some(packet) = unwrap(&envelope) else {
        let problem = Problem::not_found("What is published under this key is no DNS packet.");
        let seq = HeaderValue::from(envelope.seq());
        return Ok(([(INVALID_SEQ, seq)], problem).into_response());
    };
    let published = UNIX_EPOCH + Duration::from_micros(envelope.seq());
    let mut fields = HeaderMap::new();
    // A clock far beyond what a date can say is left out.
    if let Some(date) = date(published) {
        fields.insert(header::LAST_MODIFIED, date);
    }
    if is_known(&headers, published) {
        return Ok((StatusCode::NOT_MODIFIED, fields).into_response());
    }
    fields.insert(header::CONTENT_TYPE, HeaderValue::from_static(PAYLOAD));
    let head = [envelope.signature().as_slice(), &envelope.seq().to_be_bytes()].concat();
    Ok((fields, Bytes::from([head.as_slice(), packet].concat())).into_response())
}

/// The key in a path: 52 letters of z-base-32.
fn owner(uri: &Uri) -> Result<PublicKey, Problem> {
    let segments = segments(uri);
    let text = segments.get(1).map(Vec::as_slice).unwrap_or_default();
    let decoded = Z_BASE_32.as_ref().and_then(|encoding| encoding.decode(text).ok());
    let owner =
        decoded.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok()).map(PublicKey::from_bytes);
    owner.filter(|owner| !owner.is_refused()).ok_or_else(|| {
        let advice = "It is an Ed25519 public key in z-base-32.";
        Problem::bad_request("The path has no key: 52 letters of z-base-32.", advice)
    })
}

/// The envelope that a payload is.
fn wrap(owner: PublicKey, payload: &Bytes) -> Result<Envelope, Problem> {
    let short = || {
        let least = HEAD_BYTES + PACKET_HEADER_BYTES;
        let advice =
            "The body is signature (64), timestamp (8) and a DNS packet of up to 1000 bytes.";
        Problem::bad_request(format!("A payload has at least {least} bytes."), advice)
    };
    let (signature, rest) = payload.split_first_chunk().ok_or_else(short)?;
    let (timestamp, packet) = rest.split_first_chunk().ok_or_else(short)?;
    if packet.len() < PACKET_HEADER_BYTES {
        return Err(short());
    }
    let value = [format!("{}:", packet.len()).as_bytes(), packet].concat();
    let seq = u64::from_be_bytes(*timestamp);
    Envelope::from_bep44(owner, Salt::EMPTY, seq, *signature, &value).map_err(|error| {
        let advice = "The timestamp is in microseconds since 1970.";
        Problem::bad_request(format!("The payload cannot be published: {error}."), advice)
    })
}

/// The packet in an envelope, whose body is a bencoded string if pkarr made it.
fn unwrap(envelope: &Envelope) -> Option<&[u8]> {
    let body = envelope.body();
    let colon = body.iter().position(|byte| *byte == b':')?;
    let (length, packet) = (body.get(..colon)?, body.get(colon + 1..)?);
    let is_exact = packet.len().to_string().as_bytes() == length;
    (is_exact && (PACKET_HEADER_BYTES..=PACKET_BYTES).contains(&packet.len())).then_some(packet)
}

/// Whether If-Modified-Since says that the client has nothing older. Dates count seconds.
fn is_known(headers: &HeaderMap, published: SystemTime) -> bool {
    let since = headers.get(header::IF_MODIFIED_SINCE).and_then(|field| field.to_str().ok());
    let since = since.and_then(|text| httpdate::parse_http_date(text).ok());
    let seconds = |time: SystemTime| time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    since.is_some_and(|since| seconds(published) <= seconds(since))
}

/// HTTP's dates end with the year 9999.
fn date(time: SystemTime) -> Option<HeaderValue> {
    const END: u64 = 253_402_300_800;
    let seconds = time.duration_since(UNIX_EPOCH).ok()?.as_secs();
    (seconds < END).then(|| found::text(httpdate::fmt_http_date(time)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(packet: &[u8]) -> Bytes {
        [[7; 64].as_slice(), &42u64.to_be_bytes(), packet].concat().into()
    }

    #[test]
    fn a_payload_is_an_envelope_and_comes_back() {
        let owner = PublicKey::from_bytes([9; 32]);
        for length in [12, 1000] {
            let packet = vec![3; length];
            let envelope = wrap(owner, &payload(&packet)).unwrap();
            assert_eq!((envelope.seq(), envelope.signature()), (42, &[7; 64]));
            assert_eq!(unwrap(&envelope), Some(packet.as_slice()));
        }
        assert!(wrap(owner, &payload(&[0; 11])).is_err());
        assert!(wrap(owner, &Bytes::from_static(&[0; 71])).is_err());
        let other = Envelope::from_bep44(owner, Salt::EMPTY, 1, [7; 64], b"i1e").unwrap();
        assert_eq!(unwrap(&other), None);
    }

    #[test]
    fn a_key_is_52_letters() {
        let owner_of = |text: &str| owner(&format!("/pkarr/{text}").parse().unwrap());
        // The letters of a key of pkarr's documentation.
        let text = "o4dksfbqk85ogzdb5osziw6befigbuxmuxkuxq8434q89uj56uyy";
        let key = owner_of(text).unwrap();
        let encoding = Z_BASE_32.as_ref().unwrap();
        assert_eq!(encoding.encode(key.as_bytes()), text);
        for wrong in ["", "o4dk", &text.to_uppercase(), &text[1..], &format!("{text}y")] {
            assert!(owner_of(wrong).is_err(), "{wrong}");
        }
        let last = format!("{}b", &text[..51]);
        assert!(owner_of(&last).is_err(), "bits that are not there");
    }

    #[test]
    fn a_date_counts_seconds() {
        let published = UNIX_EPOCH + Duration::from_micros(1_500_000_000_900_000);
        let since = |seconds| {
            let mut headers = HeaderMap::new();
            let at = UNIX_EPOCH + Duration::from_secs(seconds);
            headers.insert(header::IF_MODIFIED_SINCE, date(at).unwrap());
            is_known(&headers, published)
        };
        assert!(since(1_500_000_000) && since(1_500_000_001) && !since(1_499_999_999));
        assert!(date(UNIX_EPOCH + Duration::from_micros(i64::MAX as u64)).is_none());
    }
}
