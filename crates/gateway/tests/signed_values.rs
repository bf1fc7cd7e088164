//! `/v1/signed`: publishing on a condition, conflicts, and what a reader is sent.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use bytes::Bytes;
use common::{Answer, Served, loopback};
use data_encoding::BASE64;
use voiddht_signed::{Draft, Envelope, Name, Salt, SigningKey};

const ENVELOPE: (&str, &str) = ("accept", "application/vnd.voiddht.envelope");

fn owner() -> SigningKey {
    SigningKey::from_seed(&[1; 32]).unwrap()
}

fn name() -> Name {
    Name::native(owner().public_key(), Salt::new(b"end point").unwrap())
}

fn path() -> String {
    format!("/v1/signed/{}/end%20point", owner().public_key())
}

fn signed(seq: u64, body: &'static str) -> Envelope {
    let body = Bytes::from_static(body.as_bytes());
    Draft { name: name(), seq, not_after: 0, body }.sign(&owner(), None).unwrap()
}

fn tag(envelope: &Envelope) -> String {
    format!("\"{}\"", data_encoding::HEXLOWER.encode(&envelope.digest()))
}

async fn publish(served: &Served, envelope: &Envelope, fields: &[(&str, &str)]) -> Answer {
    served.put("/v1/signed", fields, envelope.bytes()).await
}

#[tokio::test]
async fn an_owners_value_is_published_and_read() {
    let served = Served::start(4, loopback()).await;
    let first = signed(1 << 60, "203.0.113.7:51820");
    let published = publish(&served, &first, &[]).await;
    assert_eq!(published.status, 200);
    published.stored_on(4);
    assert_eq!(published.field("etag"), Some(tag(&first).as_str()));
    for query in ["", "?first", "?thorough"] {
        let read = served.get(&format!("{}{query}", path()), &[]).await;
        assert_eq!((read.status, read.text()), (200, "203.0.113.7:51820"));
        assert_eq!(read.field("voiddht-seq"), Some("1152921504606846976"));
        assert_eq!(read.field("etag"), Some(tag(&first).as_str()));
    }
    let read = served.get(&path(), &[ENVELOPE]).await;
    assert_eq!(read.field("content-type"), Some(ENVELOPE.1));
    // The reader verifies it without trusting the gateway.
    assert!(Envelope::parse(read.body.into()).unwrap().verify(0).is_ok());
    let json = served.get(&path(), &[("accept", "application/json")]).await.json();
    assert_eq!((&json["seq"], &json["generation"]), (&"1152921504606846976".into(), &0.into()));
    assert_eq!(json["value"], BASE64.encode(b"203.0.113.7:51820"));
    assert_eq!(served.get(&path(), &[("if-none-match", &tag(&first))]).await.status, 304);
    // As bytes under its key, it is the envelope.
    let raw = served.get(&format!("/v1/values/{}", first.key()), &[]).await;
    assert_eq!(raw.field("voiddht-proof"), Some("signature"));
    assert_eq!(raw.field("voiddht-seq"), Some("1152921504606846976"));
    assert_eq!(&raw.body, first.bytes());
    served.stop().await;
}

#[tokio::test]
async fn an_older_one_is_refused_with_the_newer_one_in_the_body() {
    let served = Served::start(4, loopback()).await;
    let (older, newer) = (signed(1, "older"), signed(2, "newer"));
    assert_eq!(publish(&served, &newer, &[]).await.status, 200);
    let refused = publish(&served, &older, &[]).await;
    let problem = refused.problem(409, "superseded");
    assert_eq!(problem["seq"], "2");
    assert_eq!(problem["newest"], BASE64.encode(newer.bytes()));
    assert_eq!(refused.field("etag"), Some(tag(&newer).as_str()));
    let refused = publish(&served, &older, &[ENVELOPE]).await;
    assert_eq!((refused.status, &refused.body), (409, &newer.bytes().to_vec()));
    served.stop().await;
}

#[tokio::test]
async fn a_condition_holds_or_the_newest_is_in_the_body() {
    let served = Served::start(4, loopback()).await;
    let (first, second, third) = (signed(1, "1"), signed(2, "2"), signed(3, "3"));
    let missing = publish(&served, &second, &[("if-match", &tag(&first))]).await;
    assert!(missing.problem(412, "not_the_newest")["newest"].is_null());
    assert_eq!(publish(&served, &first, &[("if-none-match", "*")]).await.status, 200);
    let taken = publish(&served, &second, &[("if-none-match", "*")]).await;
    assert_eq!(taken.problem(412, "not_the_newest")["newest"], BASE64.encode(first.bytes()));
    assert_eq!(publish(&served, &second, &[("if-match", &tag(&first))]).await.status, 200);
    let late = publish(&served, &third, &[("if-match", &tag(&first)), ENVELOPE]).await;
    assert_eq!((late.status, &late.body), (412, &second.bytes().to_vec()));
    let older = publish(&served, &first, &[("if-match", &tag(&second))]).await;
    older.problem(409, "superseded");
    assert_eq!(served.get(&path(), &[]).await.text(), "2");
    served.stop().await;
}

#[tokio::test]
async fn a_wrong_signature_and_what_is_no_envelope_are_refused() {
    let served = Served::start(1, loopback()).await;
    let mut forged = signed(1, "mine").bytes().to_vec();
    *forged.last_mut().unwrap() ^= 1;
    let answer = served.put("/v1/signed", &[], &forged).await;
    answer.problem(400, "bad_signature");
    let expired = Draft { name: name(), seq: 1, not_after: 1, body: Bytes::new() };
    let expired = expired.sign(&owner(), None).unwrap();
    publish(&served, &expired, &[]).await.problem(400, "bad_signature");
    served.put("/v1/signed", &[], b"hello").await.problem(400, "bad_request");
    let both = [("if-match", "\"a\""), ("if-none-match", "*")];
    publish(&served, &signed(1, "a"), &both).await.problem(400, "bad_request");
    // As a plain put to its key, too.
    let key = signed(1, "mine").key();
    let answer = served.put(&format!("/v1/values/{key}"), &[], &forged).await;
    answer.problem(400, "bad_signature");
    for wrong in ["/v1/signed/abc", "/v1/signed/0000/a"] {
        served.get(wrong, &[]).await.problem(400, "bad_request");
    }
    let weak = "01".to_owned() + &"00".repeat(31);
    served.get(&format!("/v1/signed/{weak}"), &[]).await.problem(400, "bad_request");
    let long = "a".repeat(65);
    let path = format!("/v1/signed/{}/{long}", owner().public_key());
    served.get(&path, &[]).await.problem(400, "bad_request");
    served.get(&format!("{}?first&thorough", self::path()), &[]).await.problem(400, "bad_request");
    served.get(&self::path(), &[]).await.problem(404, "not_found");
    served.stop().await;
}

#[tokio::test]
async fn a_withdrawn_value_is_not_found_and_its_withdrawal_can_be_verified() {
    let served = Served::start(3, loopback()).await;
    publish(&served, &signed(1, "here"), &[]).await;
    let withdrawal = signed(2, "");
    assert_eq!(publish(&served, &withdrawal, &[]).await.status, 200);
    let read = served.get(&path(), &[]).await;
    assert_eq!(read.problem(404, "not_found")["withdrawn"], true);
    assert_eq!(read.field("etag"), Some(tag(&withdrawal).as_str()));
    assert_eq!(&served.get(&path(), &[ENVELOPE]).await.body, withdrawal.bytes());
    let next = [("if-match", read.field("etag").unwrap())];
    assert_eq!(publish(&served, &signed(3, "back"), &next).await.status, 200);
    served.stop().await;
}
