//! Metrics, health and status over HTTP, on the address and on the Unix socket.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use common::http::{get, get_and_shut_down, get_on_socket, request};
use common::{key, network, node, settings, soon, start, stop, until};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use voiddht_node::http::{ControlSocket, HTTP_CONNECTIONS, HttpServer, HttpSettings, Watched};
use voiddht_node::{Node, Settings};
use voiddht_wire::Publication;

const SECRET: &[u8] = b"the content of a value";

fn with_http(peers: &[&Node]) -> Settings {
    Settings { http: Some(SocketAddr::from(([127, 0, 0, 1], 0))), ..settings(peers) }
}

/// Two nodes with a value between them; the second serves HTTP.
async fn pair() -> (Vec<Node>, SocketAddr) {
    let first = node(&[]).await;
    let second = start(with_http(&[&first])).await;
    soon(second.joined()).await;
    let value = Bytes::from_static(SECRET);
    soon(second.handle().put(Publication::new(key(1), value))).await.unwrap();
    let address = second.http_address().expect("it was asked to serve");
    (vec![first, second], address)
}

#[tokio::test]
async fn status_says_who_the_node_is_what_it_knows_and_what_it_holds() {
    let (nodes, address) = pair().await;
    let status = get(address, "/status.json").await.json();
    assert_eq!(status["kind"], "node");
    assert_eq!(status["node"]["id"], nodes[1].id().to_string());
    assert_eq!(status["node"]["p2p_address"], nodes[1].p2p_address().to_string());
    assert_eq!(status["health"]["state"], "joined");
    assert_eq!(status["table"]["contacts"], 1);
    let contact = &status["table"]["buckets"][0]["contacts"][0];
    assert_eq!(contact["id"], nodes[0].id().to_string());
    assert_eq!((&contact["failures"], &contact["connected"]), (&0.into(), &true.into()));
    assert_eq!(status["records"]["count"], 1);
    assert_eq!(status["records"]["sample"][0]["key"], key(1).to_string());
    assert_eq!(status["records"]["sample"][0]["bytes"], SECRET.len());
    let finished = status["operations"]["finished"].as_array().unwrap();
    let put = finished.iter().find(|one| one["kind"] == "put").expect("the PUT is remembered");
    assert_eq!((&put["result"], &put["nodes"]), (&"stored".into(), &2.into()));
    stop(nodes).await;
}

#[tokio::test]
async fn a_get_is_explained_step_by_step_and_no_value_is_shown_anywhere() {
    let (nodes, address) = pair().await;
    // One that does not hold the value has to ask.
    let third = start(with_http(&[&nodes[0]])).await;
    soon(third.joined()).await;
    until(|| async { third.handle().status().await.unwrap().core.contacts.len() == 2 }).await;
    let asked = third.http_address().unwrap();
    let found = get(asked, &format!("/explain?key={}", key(1))).await.json();
    assert_eq!((&found["result"], &found["value_bytes"]), (&"found".into(), &SECRET.len().into()));
    let steps = found["steps"].as_array().unwrap();
    assert_eq!(found["asked"], steps.len());
    assert!(steps.iter().any(|step| step["answer"] == "value" && step["took_ms"].is_f64()));
    let missing = get(asked, "/explain?text=nothing+there").await.json();
    assert_eq!(missing["result"], "missing");
    assert_eq!(missing["key"], voiddht_wire::Key::of_value(b"nothing there").to_string());
    for wrong in ["/explain", "/explain?key=12", "/explain?key=a&text=b", "/explain?text="] {
        assert_eq!(get(asked, wrong).await.status, 400, "{wrong}");
    }
    let content = std::str::from_utf8(SECRET).unwrap();
    for path in ["/status.json", "/metrics", "/", &format!("/explain?key={}", key(1))] {
        for address in [address, asked] {
            let answer = get(address, path).await;
            assert_eq!(answer.status, 200, "{path}");
            assert!(!answer.body.contains(content), "{path}");
        }
    }
    stop(nodes).await;
    soon(third.shutdown()).await;
}

#[tokio::test]
async fn a_node_is_ready_once_it_has_joined() {
    // A peer that does not exist: a port that was just free.
    let closed = common::ports::free_address();
    let mut alone = with_http(&[]);
    alone.peers = vec![closed.into()];
    let alone = start(alone).await;
    let address = alone.http_address().unwrap();
    assert_eq!(get(address, "/healthz").await.status, 200);
    let not_ready = get(address, "/readyz").await;
    assert_eq!(not_ready.status, 503);
    assert!(not_ready.body.contains("No known peer has answered"), "{}", not_ready.body);
    let late = start(Settings { peers: vec![alone.p2p_address().into()], ..settings(&[]) }).await;
    until(|| async { get(address, "/readyz").await.status == 200 }).await;
    soon(alone.shutdown()).await;
    soon(late.shutdown()).await;
}

#[tokio::test]
async fn metrics_are_numbers_with_help() {
    let (nodes, address) = pair().await;
    let answer = get(address, "/metrics").await;
    assert!(answer.head.contains("content-type: text/plain; version=0.0.4"));
    for line in [
        "voiddht_ready 1",
        "voiddht_driver_responding 1",
        "voiddht_contacts{state=\"responsive\"} 1",
        "voiddht_records 1",
        "voiddht_operations_total{operation=\"put\",outcome=\"stored\"} 1",
        "voiddht_requests_total{type=\"store\",outcome=\"answered\"} 1",
        "voiddht_limit_reached_total{limit=\"connections\"} 0",
    ] {
        assert!(answer.body.lines().any(|found| found == line), "{line} in\n{}", answer.body);
    }
    for line in answer.body.lines().filter(|line| !line.starts_with('#')) {
        let value = line.rsplit(' ').next().unwrap();
        assert!(value.parse::<f64>().is_ok(), "{line}");
    }
    stop(nodes).await;
}

#[tokio::test]
async fn every_number_that_an_operator_needs_is_there() {
    let (nodes, address) = pair().await;
    let answer = get(address, "/metrics").await.body;
    for family in [
        "voiddht_handshakes_total",
        "voiddht_connections",
        "voiddht_buckets",
        "voiddht_records",
        "voiddht_record_bytes",
        "voiddht_stores_refused_total",
        "voiddht_upkeep_copies_total",
        "voiddht_bans_total",
        "voiddht_limit_reached_total",
        "voiddht_isolated",
        "voiddht_operation_duration_seconds",
        "voiddht_request_duration_seconds",
        "process_cpu_seconds_total",
        "process_resident_memory_bytes",
        "process_open_fds",
        "process_max_fds",
    ] {
        assert!(answer.contains(&format!("\n{family}")), "{family} in\n{answer}");
        assert!(answer.contains(&format!("# HELP {family} ")), "{family}");
    }
    stop(nodes).await;
}

/// A cap of the settings that has no place in the metrics cannot be watched. The list names every
/// field, so that a new one is thought of here.
#[test]
fn every_limit_of_the_settings_is_counted() {
    let voiddht_node::Limits {
        connections: _,
        connections_per_address: _,
        private_addresses_exempt: _,
        handshakes: _,
        requests_per_peer: _,
        // Counted as queued_bytes: the reader of either is slow.
        queued_bytes_per_connection: _,
        queued_bytes: _,
        probes: _,
        inbox_events: _,
        api_connections: _,
        api_requests_per_connection: _,
        // A deadline, no cap.
        api_queued_bytes: _,
        leave_deadline: _,
    } = voiddht_node::Limits::default();
    for name in [
        "connections",
        "connections_per_address",
        "handshakes",
        "requests_per_peer",
        "queued_bytes",
        "probes",
        "inbox_events",
        "api_connections",
        "api_requests_per_connection",
        "http_connections",
        "http_streams",
        "http_questions",
        "max_operations",
        "max_records",
        "max_bytes",
    ] {
        assert!(voiddht_node::counters::limit_names().contains(name), "{name}");
    }
}

#[tokio::test]
async fn a_doctor_has_the_contacts_dial_back() {
    let (nodes, address) = pair().await;
    let examined = get(address, "/doctor").await.json();
    assert_eq!(examined["node"], nodes[1].id().to_string());
    let result = |name: &str| {
        let checks = examined["checks"].as_array().unwrap().iter();
        let check = checks.clone().find(|check| check["name"] == name).unwrap();
        (check["result"].as_str().unwrap(), check["text"].as_str().unwrap())
    };
    assert_eq!(result("network").0, "well");
    let reachable = result("reachable");
    assert!(reachable.0 == "well" && reachable.1.contains("127.0.0.1"), "{reachable:?}");
    assert_eq!(result("address").0, "warning", "no other machine reaches loopback");
    assert_eq!(result("disk").0, "well");
    stop(nodes).await;
}

#[tokio::test]
async fn more_questions_than_there_are_places_are_refused_and_counted() {
    let (nodes, address) = pair().await;
    let mut asked = tokio::task::JoinSet::new();
    for _ in 0..16 {
        asked.spawn(async move { get(address, "/doctor").await.status });
    }
    let mut refused = 0;
    while let Some(status) = asked.join_next().await {
        match status.unwrap() {
            200 => {}
            503 => refused += 1,
            other => panic!("{other}"),
        }
    }
    let counted = nodes[1].handle().counts().limits.get("http_questions").copied();
    assert_eq!(counted.unwrap_or(0), refused);
    stop(nodes).await;
}

#[tokio::test]
async fn several_nodes_are_one_network() {
    let nodes = network(4).await;
    let watched = nodes.iter().enumerate().map(|(number, node)| Watched {
        handle: node.handle(),
        label: Some(format!("node {number}")),
    });
    let settings =
        HttpSettings { address: Some(([127, 0, 0, 1], 0).into()), ..HttpSettings::default() };
    let server = HttpServer::start(settings, watched.collect()).await.unwrap();
    let address = server.address().unwrap();
    let whole = get(address, "/status.json").await.json();
    assert_eq!(whole["kind"], "network");
    for (number, node) in nodes.iter().enumerate() {
        let shown = &whole["nodes"][number];
        assert_eq!(shown["id"], node.id().to_string());
        assert_eq!((&shown["state"], &shown["contacts"]), (&"joined".into(), &3.into()));
    }
    let one = get(address, "/status.json?node=2").await.json();
    assert_eq!((&one["kind"], &one["label"]), (&"node".into(), &"node 2".into()));
    assert_eq!(one["node"]["id"], nodes[2].id().to_string());
    assert_eq!(get(address, "/status.json?node=4").await.status, 404);
    assert_eq!(get(address, "/readyz").await.status, 200);
    let metrics = get(address, "/metrics").await.body;
    assert!(metrics.contains("voiddht_contacts{node=\"node 3\",state=\"responsive\"} 3"));
    assert_eq!(metrics.matches("# TYPE voiddht_contacts ").count(), 1);
    soon(server.shutdown()).await;
    stop(nodes).await;
}

#[tokio::test]
async fn the_live_stream_tells_what_happens_and_ends_with_the_node() {
    let (mut nodes, address) = pair().await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!("GET /events HTTP/1.1\r\nhost: {address}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut lines = BufReader::new(stream).lines();
    let watched = nodes.pop().unwrap();
    let mut put_seen = false;
    let mut put = false;
    while let Some(line) = soon(lines.next_line()).await.unwrap() {
        let Some(json) = line.strip_prefix("data: ") else { continue };
        if !put {
            put = true;
            let value = Bytes::from_static(SECRET);
            soon(watched.handle().put(Publication::new(key(7), value))).await.unwrap();
            continue;
        }
        let view: serde_json::Value = serde_json::from_str(json).unwrap();
        let finished = view["operations"]["finished"].as_array().unwrap();
        if let Some(one) = finished.iter().find(|one| one["key"] == key(7).to_string()) {
            let steps = one["steps"].as_array().unwrap();
            assert!(steps.iter().any(|step| step["answer"] == "stored"), "it is being watched");
            put_seen = true;
            break;
        }
    }
    assert!(put_seen);
    soon(watched.shutdown()).await;
    while let Ok(Some(_)) = soon(lines.next_line()).await {}
    stop(nodes).await;
}

#[tokio::test]
async fn foreign_names_and_foreign_pages_are_refused() {
    let (nodes, address) = pair().await;
    let rebound = request(address, "GET / HTTP/1.1\r\nhost: attacker.example\r\n").await;
    assert_eq!(rebound.status, 421);
    let head = format!("GET /explain?text=x HTTP/1.1\r\nhost: {address}\r\n");
    let foreign = request(address, &format!("{head}sec-fetch-site: cross-site\r\n")).await;
    assert_eq!(foreign.status, 403);
    let page = get(address, "/").await;
    assert!(page.head.contains("content-security-policy: default-src 'none'"), "{}", page.head);
    for field in ["x-frame-options: deny", "x-content-type-options: nosniff", "no-referrer"] {
        assert!(page.head.contains(field), "{field}");
    }
    let posted = request(address, &format!("POST / HTTP/1.1\r\nhost: {address}\r\n")).await;
    assert_eq!(posted.status, 405);
    assert_eq!(get(address, "/nothing").await.status, 404);
    // Pins are listed and forgotten on the Unix socket alone.
    assert_eq!(get(address, "/pins.json").await.status, 404);
    let id = nodes[0].id();
    let forget = format!("DELETE /pins/{id} HTTP/1.1\r\nhost: {address}\r\n");
    assert_eq!(request(address, &forget).await.status, 404);
    stop(nodes).await;
}

#[tokio::test]
async fn local_tools_speak_to_the_node_on_a_socket_of_its_own() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("run/7401.sock");
    let node =
        start(Settings { control: Some(ControlSocket::At(path.clone())), ..settings(&[]) }).await;
    assert_eq!(node.http_address(), None);
    let status = get_on_socket(&path, "/status.json").await.json();
    assert_eq!(status["node"]["id"], node.id().to_string());
    assert!(status["history"].is_null(), "only a page needs it");
    let second =
        start(Settings { control: Some(ControlSocket::At(path.clone())), ..settings(&[]) }).await;
    let same = get_on_socket(&path, "/status.json").await.json();
    assert_eq!(same["node"]["id"], node.id().to_string(), "the second goes on without");
    soon(second.shutdown()).await;
    soon(node.shutdown()).await;
    assert!(!path.exists());
}

#[tokio::test]
async fn whoever_is_one_too_many_is_closed_and_counted() {
    let (nodes, address) = pair().await;
    let mut idle = Vec::new();
    for _ in 0..HTTP_CONNECTIONS {
        idle.push(TcpStream::connect(address).await.unwrap());
    }
    let mut one_more = TcpStream::connect(address).await.unwrap();
    let mut nothing = [0];
    // Closed or reset, and no byte came.
    assert!(!matches!(soon(one_more.read(&mut nothing)).await, Ok(1..)));
    let reached = nodes[1].handle().counts().limits.get("http_connections").copied();
    assert_eq!(reached, Some(1));
    drop(idle);
    until(|| async {
        let Ok(mut stream) = TcpStream::connect(address).await else { return false };
        let head = format!("GET /healthz HTTP/1.1\r\nhost: {address}\r\n\r\n");
        let asked = stream.write_all(head.as_bytes()).await;
        asked.is_ok() && matches!(stream.read(&mut [0]).await, Ok(1))
    })
    .await;
    stop(nodes).await;
}

/// The answer to a question that takes time was dropped when the client had closed its side.
#[tokio::test]
async fn a_client_that_sends_no_more_still_gets_its_answer() {
    let (nodes, address) = pair().await;
    let path = format!("/explain?key={}", key(1));
    let answer = get_and_shut_down(address, &path).await;
    assert!(answer.json().is_object(), "{}", answer.body);
    stop(nodes).await;
}

#[tokio::test]
async fn a_head_without_end_is_refused() {
    let (nodes, address) = pair().await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let line = format!("x: {}\r\n", "y".repeat(1000));
    stream.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
    let mut refused = false;
    for _ in 0..1000 {
        if stream.write_all(line.as_bytes()).await.is_err() {
            refused = true;
            break;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(refused, "it does not read a megabyte of head");
    stop(nodes).await;
}

/// `promtool check metrics` reads the text as Prometheus would, and complains of bad names too.
#[tokio::test]
async fn promtool_has_nothing_to_say_about_a_node_under_load() {
    let Some(promtool) = common::tools::find("promtool", "prometheus") else { return };
    let (nodes, address) = pair().await;
    let handle = nodes[1].handle();
    let mut load = tokio::task::JoinSet::new();
    for number in 0..64 {
        let handle = handle.clone();
        load.spawn(async move {
            let value = Bytes::from(vec![1; 100 + number as usize]);
            soon(handle.put(Publication::new(key(number), value))).await.unwrap();
            soon(handle.get(key(number))).await.unwrap();
        });
    }
    // Once in the middle of it, and once after: both must pass.
    for _ in 0..2 {
        let metrics = get(address, "/metrics").await;
        assert_eq!(metrics.status, 200);
        let mut child = std::process::Command::new(&promtool)
            .args(["check", "metrics"])
            .stdin(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        std::io::Write::write_all(&mut stdin, metrics.body.as_bytes()).unwrap();
        drop(stdin);
        let output = child.wait_with_output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(output.status.success() && said.is_empty(), "{said}");
        while let Some(done) = load.join_next().await {
            done.unwrap();
        }
    }
    let counted = get(address, "/metrics").await.body;
    assert!(counted.contains("voiddht_operations_total{operation=\"get\",outcome=\"found\"} 64"));
    stop(nodes).await;
}
