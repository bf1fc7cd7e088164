//! A page whose routing table is made up, to see how one of any size looks: the shipped document,
//! and a view of a real node into which contacts and operations have been put.

use std::net::SocketAddr;
use std::time::Duration;

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use voiddht_core::contact::AdmittedContact;
use voiddht_core::routing::{RoutingConfig, RoutingTable};
use voiddht_core::time::Moment;
use voiddht_wire::peer::NodeInfo;
use voiddht_wire::{Key, NodeId};

use crate::common::http::Answer;

/// Fills the view of a real node with about so many contacts, and a GET that crosses them.
pub(crate) fn with_contacts(mut view: Value, wanted: usize) -> Value {
    let mut random = ChaCha8Rng::seed_from_u64(wanted as u64);
    let own: NodeId = view["node"]["id"].as_str().unwrap().parse().unwrap();
    let mut table = RoutingTable::new(own, RoutingConfig::default());
    // Where buckets are full only few more find a place: that many nodes there must be.
    for _ in 0..100 * wanted {
        if table.len() >= wanted {
            break;
        }
        let address = SocketAddr::from(([198, 51, random.random(), random.random()], 7402)).into();
        let node = NodeInfo { address, id: NodeId::from_bytes(random.random()) };
        let admitted = AdmittedContact::probed(node, true).expect("the address can be dialled");
        table.insert(admitted, Moment::default());
    }
    let contact = |node: &NodeInfo, random: &mut ChaCha8Rng| {
        let slow = random.random_bool(0.05);
        let rtt = random.random_range(20.0..60.0) * if slow { 6.0 } else { 1.0 };
        json!({
            "id": node.id.to_string(), "address": node.address.to_string(),
            "rtt_ms": random.random_bool(0.95).then_some(rtt), "rtt_deviation_ms": rtt / 8.0,
            "seen_seconds_ago": random.random_range(0..900),
            "failures": u8::from(random.random_bool(0.04)), "connected": random.random_bool(0.3),
        })
    };
    let buckets: Vec<Value> = table
        .buckets()
        .map(|bucket| {
            let nodes = bucket.contacts().iter().map(|contact| contact.info());
            let contacts: Vec<_> = nodes.map(|node| contact(&node, &mut random)).collect();
            json!({
                "prefix": bucket.range().prefix().to_string(), "depth": bucket.range().depth(),
                "own": bucket.range().contains(&own), "size": contacts.len(), "candidates": 3,
                "looked_up_seconds_ago": 40, "contacts": contacts,
            })
        })
        .collect();
    view["table"] = json!({
        "contacts": table.len(), "suspects": 2, "rtt_median_ms": 40.0, "buckets": buckets,
        "changes": changes(&table),
    });
    view["records"]["sample"] = (0..wanted.min(60))
        .map(|_| {
            let key = Key::from_bytes(random.random()).to_string();
            json!({ "key": key, "bytes": 100, "ttl_seconds": 600, "cached": false })
        })
        .collect();
    view["operations"]["finished"] = json!([lookup(&table, &mut random)]);
    view
}

/// The last contacts to come and go.
fn changes(table: &RoutingTable) -> Value {
    let contacts = table.iter().take(12).enumerate().map(|(index, contact)| {
        json!({
            "at_ms": 1_000 * index, "id": contact.id().to_string(),
            "address": contact.address().to_string(),
            "change": if index % 3 == 0 { "left" } else { "joined" },
        })
    });
    contacts.collect()
}

/// A GET on five paths: first nodes anywhere, then those near to the key.
fn lookup(table: &RoutingTable, random: &mut ChaCha8Rng) -> Value {
    let key = Key::from_bytes(random.random());
    let (mut near, mut anywhere) = (Vec::new(), Vec::new());
    table.closest(&key, 7, &mut near);
    for _ in 0..5 {
        let mut one = Vec::new();
        table.closest(&Key::from_bytes(random.random()), 1, &mut one);
        anywhere.append(&mut one);
    }
    let step = |node: &NodeInfo, path: usize, named_by: Option<NodeId>, at: f64, answer: &str| {
        json!({
            "id": node.id.to_string(), "address": node.address.to_string(), "path": path,
            "named_by": named_by.map(|id| id.to_string()), "asked_after_ms": at,
            "took_ms": 31.0 + at / 9.0, "answer": answer,
            "nodes": (answer == "nodes").then_some(20), "version": null,
        })
    };
    let first = anywhere.iter().enumerate();
    let mut steps: Vec<_> =
        first.map(|(path, node)| step(node, path, None, path as f64, "nodes")).collect();
    for (index, node) in near.iter().enumerate() {
        let path = index % anywhere.len();
        let answer = if index == 3 { "failed" } else { "value" };
        let at = 36.0 + 4.0 * index as f64;
        steps.push(step(node, path, Some(anywhere[path].id), at, answer));
    }
    json!({
        "number": 1, "kind": "get", "purpose": "command", "key": key.to_string(),
        "result": "found", "nodes": null, "value_bytes": 1234, "started_at_ms": 0, "took_ms": 103.0,
        "asked": steps.len(), "answered": steps.len() - 1, "refused": 0, "failed": 1, "hops": 2,
        "agreeing": 6, "dissenting": 0, "steps": steps,
    })
}

/// Serves a document, and this view as its live stream, for as long as the test runs.
pub(crate) async fn serve(page: &Answer, view: Value) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let body = page.body.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream, body.clone(), view.clone()));
        }
    });
    address
}

async fn answer(mut stream: TcpStream, page: String, view: Value) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    }
    let is_live = head.starts_with(b"GET /events");
    let kind = if is_live { "text/event-stream" } else { "text/html; charset=utf-8" };
    let head = format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    if !is_live {
        return stream.write_all(page.as_bytes()).await;
    }
    loop {
        stream.write_all(format!("data: {view}\n\n").as_bytes()).await?;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}
