//! The pkarr relay, as its clients use it. The pkarr crate itself: interop/pkarr.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use bytes::Bytes;
use common::{Answer, Served, loopback};
use data_encoding::Specification;
use voiddht_gateway::Settings;
use voiddht_signed::{Draft, Envelope, Name, Salt, SigningKey};

/// 2017-07-14, in microseconds.
const TIMESTAMP: u64 = 1_500_000_000_900_000;

fn owner() -> SigningKey {
    SigningKey::from_seed(&[2; 32]).unwrap()
}

fn path() -> String {
    let mut specification = Specification::new();
    specification.symbols.push_str("ybndrfg8ejkmcpqxot1uwisza345h769");
    let z_base_32 = specification.encoding().unwrap();
    format!("/pkarr/{}", z_base_32.encode(owner().public_key().as_bytes()))
}

/// What another program signed: nothing of the gateway makes it.
fn signed(timestamp: u64, value: &[u8]) -> Envelope {
    let name = Name::bep44(owner().public_key(), Salt::EMPTY);
    let body = Bytes::copy_from_slice(value);
    Draft { name, seq: timestamp, not_after: 0, body }.sign(&owner(), None).unwrap()
}

fn payload(timestamp: u64, packet: &[u8]) -> Vec<u8> {
    let value = [format!("{}:", packet.len()).as_bytes(), packet].concat();
    let signature = *signed(timestamp, &value).signature();
    [signature.as_slice(), &timestamp.to_be_bytes(), packet].concat()
}

async fn publish(served: &Served, payload: &[u8]) -> Answer {
    served.put(&path(), &[], payload).await
}

#[tokio::test]
async fn a_packet_is_published_and_resolved() {
    let served = Served::start(5, loopback()).await;
    served.get(&path(), &[]).await.problem(404, "not_found");
    let packet = payload(TIMESTAMP, &[7; 1000]);
    let published = publish(&served, &packet).await;
    assert_eq!((published.status, published.body.len()), (204, 0));
    let nodes: u64 = published.field("pkarr-dht-stored-nodes").unwrap().parse().unwrap();
    assert!((1..=5).contains(&nodes));
    for query in ["", "?policy=cache_first", "?policy=network_only"] {
        let resolved = served.get(&format!("{}{query}", path()), &[]).await;
        assert_eq!((resolved.status, &resolved.body), (200, &packet));
        assert_eq!(resolved.field("content-type"), Some("application/pkarr.org/relays#payload"));
        let modified = "Fri, 14 Jul 2017 02:40:00 GMT";
        assert_eq!(resolved.field("last-modified"), Some(modified));
        let since = [("if-modified-since", modified)];
        assert_eq!(served.get(&path(), &since).await.status, 304);
        let since = [("if-modified-since", "Fri, 14 Jul 2017 02:39:59 GMT")];
        assert_eq!(served.get(&path(), &since).await.status, 200);
    }
    served.stop().await;
}

#[tokio::test]
async fn a_later_packet_wins_and_an_earlier_one_is_a_conflict() {
    let served = Served::start(3, loopback()).await;
    assert_eq!(publish(&served, &payload(TIMESTAMP, &[1; 12])).await.status, 204);
    let later = payload(TIMESTAMP + 1, &[2; 12]);
    assert_eq!(publish(&served, &later).await.status, 204);
    let earlier = publish(&served, &payload(TIMESTAMP, &[1; 12])).await;
    let problem = earlier.problem(409, "superseded");
    assert_eq!(problem["timestamp"], (TIMESTAMP + 1).to_string());
    assert_eq!(served.get(&path(), &[]).await.body, later);
    // Again, as every hour.
    assert_eq!(publish(&served, &later).await.status, 204);
    served.stop().await;
}

#[tokio::test]
async fn what_is_no_packet_of_the_owner_is_refused() {
    let served = Served::start(2, loopback()).await;
    let good = payload(TIMESTAMP, &[1; 12]);
    let mut forged = good.clone();
    forged[80] ^= 1;
    publish(&served, &forged).await.problem(400, "bad_signature");
    publish(&served, &good[..83]).await.problem(400, "bad_request");
    publish(&served, &[]).await.problem(400, "bad_request");
    publish(&served, &[7; 1073]).await.problem(413, "too_large");
    let mut late = good.clone();
    late[64] = 0xff;
    publish(&served, &late).await.problem(400, "bad_request");
    for wrong in ["/pkarr/abc", "/pkarr/o4dksfbqk85ogzdb5osziw6befigbuxmuxkuxq8434q89uj56uyb"] {
        served.put(wrong, &[], &good).await.problem(400, "bad_request");
        served.get(wrong, &[]).await.problem(400, "bad_request");
    }
    // A mutable item of another program, under the same key.
    let other = signed(TIMESTAMP, b"i42e");
    assert_eq!(served.put("/v1/signed", &[], other.bytes()).await.status, 200);
    let resolved = served.get(&path(), &[]).await;
    resolved.problem(404, "not_found");
    let seq = TIMESTAMP.to_string();
    assert_eq!(resolved.field("pkarr-invalid-signed-packet-seq"), Some(seq.as_str()));
    served.stop().await;
}

#[tokio::test]
async fn too_many_packets_are_told_to_come_again() {
    let served = Served::start(1, loopback()).await;
    let packet = payload(TIMESTAMP, &[1; 12]);
    let mut statuses = Vec::new();
    let refused = loop {
        let answer = publish(&served, &packet).await;
        if answer.status != 204 {
            break answer;
        }
        statuses.push(answer.status);
        assert!(statuses.len() < 100_000);
    };
    refused.problem(429, "too_many");
    assert_eq!(refused.field("retry-after"), Some("1"));
    assert!(statuses.len() >= 200, "{}", statuses.len());
    assert_eq!(served.reached("gateway_packets"), 1);
    served.stop().await;
}

#[tokio::test]
async fn pages_of_every_site_publish_and_resolve() {
    let served = Served::start(1, loopback()).await;
    let page = [("sec-fetch-site", "cross-site"), ("origin", "https://app.example")];
    let asks = [page[0], page[1], ("access-control-request-method", "PUT")];
    let preflight = served.send("OPTIONS", &path(), &asks, b"").await;
    assert_eq!(
        (preflight.status, preflight.field("access-control-allow-origin")),
        (204, Some("*"))
    );
    let packet = payload(TIMESTAMP, &[1; 12]);
    let published = served.put(&path(), &page, &packet).await;
    assert_eq!(
        (published.status, published.field("access-control-allow-origin")),
        (204, Some("*"))
    );
    let exposed = published.field("access-control-expose-headers").unwrap();
    assert!(exposed.contains("Pkarr-Dht-Stored-Nodes"));
    // Not by a name of their own that resolves to this machine.
    let rebound = [("host", "attacker.example")];
    served.put(&path(), &rebound, &packet).await.problem(421, "wrong_host");
    served.stop().await;
}

#[tokio::test]
async fn a_token_is_asked_for_here_too() {
    let token = voiddht_gateway::Token::new(&[b'a'; 32]);
    let served = Served::start(1, Settings { token, ..loopback() }).await;
    publish(&served, &payload(TIMESTAMP, &[1; 12])).await.problem(401, "unauthorized");
    served.stop().await;
}
