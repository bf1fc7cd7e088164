//! `/v1/kept`, and packets that are kept for their owners.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use common::{Served, loopback};
use data_encoding::Specification;
use voiddht_gateway::{Settings, Token};
use voiddht_signed::{Draft, Name, Salt, SigningKey};
use voiddht_wire::Key;

#[tokio::test]
async fn a_value_is_kept_listed_and_kept_no_longer() {
    let served = Served::start(4, loopback()).await;
    let key = Key::of_value(b"name");
    let path = format!("/v1/kept/{key}");
    let far = 4_000_000_000_u64;
    let kept =
        served.put(&format!("{path}?ttl=600&replication=3&until={far}"), &[], b"value").await;
    let json = kept.json();
    assert_eq!((kept.status, &json["ttl"]), (200, &600.into()));
    assert!((1..=3).contains(&json["stored_on"].as_u64().unwrap()));
    assert_eq!((&json["key"], &json["on_disk"]), (&key.to_string().into(), &false.into()));
    let list = served.get("/v1/kept", &[]).await.json();
    assert_eq!(list.as_array().unwrap().len(), 1);
    let one = served.get(&path, &[]).await.json();
    assert_eq!(list[0]["key"], one["key"]);
    assert_eq!((&one["state"], &one["end_ms"]), (&"kept".into(), &(far * 1000).into()));
    assert_eq!(served.get("/v1/text/name", &[]).await.text(), "value");
    assert_eq!(served.send("DELETE", &path, &[], b"").await.status, 204);
    served.send("DELETE", &path, &[], b"").await.problem(404, "not_kept");
    served.get(&path, &[]).await.problem(404, "not_kept");
    served.put(&format!("{path}?until=soon"), &[], b"x").await.problem(400, "bad_request");
    served.put(&format!("{path}?until=1"), &[], b"x").await.problem(400, "ended");
    served.put(&path, &[], b"").await.problem(400, "bad_request");
    served.stop().await;
}

#[tokio::test]
async fn what_a_node_keeps_is_its_operators() {
    let token = Token::new(&[b'a'; 32]);
    let served = Served::start(1, Settings { token, public: true, ..loopback() }).await;
    let key = format!("/v1/kept/{}", Key::of_value(b"a"));
    for (method, path) in [("GET", "/v1/kept"), ("GET", &key), ("PUT", &key), ("DELETE", &key)] {
        served.send(method, path, &[], b"x").await.problem(401, "unauthorized");
    }
    served.stop().await;
}

#[tokio::test]
async fn a_fresh_packet_is_kept_for_its_owner() {
    let served = Served::start(3, loopback()).await;
    let owner = SigningKey::from_seed(&[3; 32]).unwrap();
    let mut specification = Specification::new();
    specification.symbols.push_str("ybndrfg8ejkmcpqxot1uwisza345h769");
    let text = specification.encoding().unwrap().encode(owner.public_key().as_bytes());
    let name = Name::bep44(owner.public_key(), Salt::EMPTY);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros() as u64;
    for timestamp in [now, now + 1] {
        let draft = Draft {
            name,
            seq: timestamp,
            not_after: 0,
            body: Bytes::from_static(b"12:a DNS packet"),
        };
        let envelope = draft.sign(&owner, None).unwrap();
        let head = [envelope.signature().as_slice(), &timestamp.to_be_bytes()].concat();
        let payload = [head.as_slice(), b"a DNS packet"].concat();
        let answer = served.put(&format!("/pkarr/{text}"), &[], &payload).await;
        assert_eq!(answer.status, 204, "{answer:?}");
        let nodes: u64 = answer.field("pkarr-dht-stored-nodes").unwrap().parse().unwrap();
        assert!((1..=3).contains(&nodes));
        let kept = served.get("/v1/kept", &[]).await.json();
        assert_eq!(kept.as_array().unwrap().len(), 1);
        assert_eq!(kept[0]["key"], name.key().to_string());
        assert_eq!(kept[0]["seq"], timestamp.to_string());
        let week = 7 * 24 * 60 * 60 * 1000;
        assert_eq!(kept[0]["end_ms"], timestamp / 1000 + week);
    }
    served.stop().await;
}
