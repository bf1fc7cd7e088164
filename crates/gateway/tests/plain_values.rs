//! `/v1/values` and `/v1/text`, over real sockets and nodes.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::nodes::ports::free_address;
use common::nodes::{settings, soon, start};
use common::{Served, loopback};
use data_encoding::BASE64;
use sha2::{Digest, Sha256};
use voiddht_core::Config;
use voiddht_wire::Key;
use voiddht_wire::limits::MAX_VALUE_BYTES;

fn etag(value: &[u8]) -> String {
    format!("\"{}\"", data_encoding::HEXLOWER.encode(&Sha256::digest(value)))
}

#[tokio::test]
async fn what_is_put_is_returned_to_the_byte() {
    let served = Served::start(6, loopback()).await;
    let value: Vec<u8> = (0..=255).collect();
    let stored = served.put("/v1/text/a%20key%2F%ff?ttl=600&replication=3", &[], &value).await;
    assert_eq!(stored.status, 200);
    stored.stored_on(3);
    let got = served.get("/v1/text/a%20key%2f%FF", &[]).await;
    assert_eq!((got.status, &got.body), (200, &value));
    assert_eq!(got.field("content-type"), Some("application/octet-stream"));
    assert_eq!(got.field("etag"), Some(etag(&value).as_str()));
    assert!(got.field("voiddht-proof").unwrap().starts_with("vote "));
    let ttl: u16 = got.field("voiddht-ttl").unwrap().parse().unwrap();
    assert!((1..=600).contains(&ttl));
    // Words are their SHA-256.
    let key = Key::of_value(b"a key/\xff");
    let by_key = served.get(&format!("/v1/values/{key}"), &[("accept", "application/json")]).await;
    let json = by_key.json();
    assert_eq!(json["key"], key.to_string());
    assert_eq!(json["value"], BASE64.encode(&value));
    assert_eq!((&json["proof"], &json["seq"]), (&"vote".into(), &().into()));
    assert_eq!(json["agreeing"], json["votes"]);
    let head = served.send("HEAD", &format!("/v1/values/{key}"), &[], b"").await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    served.stop().await;
}

#[tokio::test]
async fn a_client_that_has_the_value_is_not_sent_it() {
    let served = Served::start(2, loopback()).await;
    served.put("/v1/text/a", &[], b"value").await;
    let tag = etag(b"value");
    for tags in [tag.as_str(), "*", &format!("\"other\", W/{tag}")] {
        let got = served.get("/v1/text/a", &[("if-none-match", tags)]).await;
        assert_eq!((got.status, got.body.len()), (304, 0), "{tags}");
        assert_eq!(got.field("etag"), Some(tag.as_str()));
    }
    assert_eq!(served.get("/v1/text/a", &[("if-none-match", "\"other\"")]).await.status, 200);
    served.stop().await;
}

#[tokio::test]
async fn a_post_is_content_addressed() {
    let served = Served::start(3, loopback()).await;
    let value = vec![7; MAX_VALUE_BYTES];
    let posted = served.send("POST", "/v1/values?ttl=60", &[], &value).await;
    let key = Key::of_value(&value);
    assert_eq!(posted.status, 201);
    assert_eq!(posted.field("location"), Some(format!("/v1/values/{key}").as_str()));
    posted.stored_on(3);
    assert_eq!(posted.json()["key"], key.to_string());
    let got = served.get(posted.field("location").unwrap(), &[]).await;
    assert_eq!((got.status, got.field("voiddht-proof")), (200, Some("hash")));
    assert_eq!(got.body, value);
    // Whatever else is put there, the hash wins.
    let other = served.put(&format!("/v1/values/{key}"), &[], b"other").await;
    other.problem(409, "superseded");
    served.stop().await;
}

#[tokio::test]
async fn what_cannot_be_is_refused_with_what_would_be_right() {
    let served = Served::start(1, loopback()).await;
    for (method, path, fields, body, status, code) in [
        ("GET", "/v1/values/abc", vec![], "", 400, "bad_request"),
        ("GET", "/v1/text/a?ttl=3", vec![], "", 400, "bad_request"),
        ("PUT", "/v1/text/a", vec![], "", 400, "bad_request"),
        ("PUT", "/v1/text/a?ttl=65536", vec![], "x", 400, "bad_request"),
        ("PUT", "/v1/text/a?replication=0", vec![], "x", 400, "bad_request"),
        ("PUT", "/v1/text/a", vec![("if-match", "\"a\"")], "x", 400, "bad_request"),
        ("POST", "/v1/values", vec![("if-none-match", "*")], "x", 400, "bad_request"),
        ("GET", "/v1/text/nothing", vec![], "", 404, "not_found"),
        ("GET", "/v1/nothing", vec![], "", 404, "no_such_path"),
        ("GET", "/", vec![], "", 404, "no_such_path"),
        ("DELETE", "/v1/text/a", vec![], "", 405, "wrong_method"),
        ("GET", "/v1/values", vec![], "", 405, "wrong_method"),
        ("OPTIONS", "/v1/values", vec![], "", 405, "wrong_method"),
    ] {
        let answer = served.send(method, path, &fields, body.as_bytes()).await;
        println!("{method} {path}");
        answer.problem(status, code);
        assert_eq!(answer.field("allow").is_some(), status == 405);
    }
    served.stop().await;
}

#[tokio::test]
async fn a_value_that_no_node_takes_is_not_stored() {
    // The only other node has room for nothing.
    let full = start(voiddht_node::Settings {
        core: Config {
            records: voiddht_core::record::RecordLimits::of_size(1, 1),
            ..Config::default()
        },
        ..settings(&[])
    })
    .await;
    let client = start(voiddht_node::Settings {
        core: Config { client: true, ..Config::default() },
        ..settings(&[&full])
    })
    .await;
    soon(client.joined()).await;
    let served = Served::over(vec![full, client], loopback()).await;
    let answer = served.put("/v1/text/a", &[], b"value").await;
    answer.problem(507, "not_stored");
    served.stop().await;
}

#[tokio::test]
async fn a_node_that_is_cut_off_says_so_and_when_to_come_again() {
    // A peer that does not exist: a port that was just free.
    let unused = free_address();
    let peers = vec![unused.into()];
    let core = Config { client: true, ..Config::default() };
    let alone = start(voiddht_node::Settings { peers, core, ..settings(&[]) }).await;
    let served = Served::over(vec![alone], loopback()).await;
    let answer = served.put("/v1/text/a", &[], b"value").await;
    answer.problem(503, "cut_off");
    assert_eq!(answer.field("retry-after"), Some("10"));
    served.stop().await;
}

#[tokio::test]
async fn the_document_is_served() {
    let served = Served::start(1, loopback()).await;
    let answer = served.get("/v1/openapi.json", &[]).await;
    assert_eq!(answer.field("content-type"), Some("application/json"));
    assert_eq!(answer.json()["info"]["title"], "voiddht gateway");
    served.stop().await;
}
