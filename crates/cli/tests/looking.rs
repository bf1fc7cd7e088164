//! The commands that look at running nodes: what they say, in words and as JSON, and how they end.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener};
use std::process::{Output, Stdio};

use common::ports::free_address;
use common::{Server, complaint, dht, read_until};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::NamedTempFile;

/// Two nodes that know each other, and where the second serves its page.
fn pair() -> (Server, Server, String) {
    let first = Server::start(&["-a", "127.0.0.1"]);
    let port = first.p2p.port().to_string();
    let second = Server::start(&[
        "-a",
        "127.0.0.1",
        "-A",
        "127.0.0.1",
        "-P",
        &port,
        "--http",
        "127.0.0.1:0",
    ]);
    let http = second.http();
    (first, second.joined(), http)
}

/// What a command prints, which must end with this status.
fn said(arguments: &[&str], http: &str, status: i32) -> String {
    let output = dht().args(arguments).args(["--http", http]).output().unwrap();
    text(&output, status)
}

fn text(output: &Output, status: i32) -> String {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let complained = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{text}{complained}");
    assert!(!text.contains('\x1b'), "colour without a terminal");
    text
}

fn json(arguments: &[&str], http: &str, status: i32) -> Value {
    let all = [arguments, &["--json"]].concat();
    serde_json::from_str(&said(&all, http, status)).unwrap()
}

#[test]
fn status_is_the_page_in_words() {
    let (_first, second, http) = pair();
    let text = said(&["status"], &http, 0);
    for needle in
        ["● Joined, with 1 contact.", &second.p2p.to_string(), "all IDs", "none was reached"]
    {
        assert!(text.contains(needle), "{needle} in\n{text}");
    }
    let status = json(&["status"], &http, 0);
    assert_eq!(status["kind"], "node");
    assert_eq!(status["table"]["contacts"], 1);
    assert!(text.contains(status["node"]["id"].as_str().unwrap()));
}

#[test]
fn a_node_that_is_not_part_of_its_network_is_status_1() {
    let dead = free_address().to_string();
    let node = Server::start(&["-a", "127.0.0.1", "--peer", &dead, "--http", "127.0.0.1:0"]);
    let http = node.http();
    let text = said(&["status"], &http, 1);
    assert!(text.contains("Joining its network.") && text.contains("--peer"), "{text}");
    let text = said(&["doctor"], &http, 1);
    assert!(text.contains("✗ network"), "{text}");
}

#[test]
fn explain_tells_the_steps_of_a_get() {
    let (first, _second, http) = pair();
    assert!(first.dht(&["put", "greeting", "hello"]).status.success());
    let text = said(&["explain", "greeting"], &http, 0);
    assert!(text.contains("● Found, 5 B") && text.contains("SHA-256 of \"greeting\""), "{text}");
    let missing = said(&["explain", "nothing"], &http, 1);
    assert!(missing.contains("● Not found"), "{missing}");
    let operation = json(&["explain", "nothing"], &http, 1);
    let steps = operation["steps"].as_array().unwrap();
    assert_eq!((steps.len(), &operation["asked"]), (1, &1.into()));
    assert_eq!(steps[0]["address"], first.p2p.to_string());
    let put = first.dht(&["put", "--content-addressed", "proof"]);
    let key = String::from_utf8(put.stdout).unwrap();
    let proved = json(&["explain", key.trim()], &http, 0);
    assert_eq!(proved["proves_itself"], true);
}

#[test]
fn the_doctor_has_peers_dial_back_and_tries_the_module_api() {
    let (_first, second, http) = pair();
    let text = said(&["doctor"], &http, 0);
    for needle in ["✓ programs", "✓ network", "✓ reachable", "! address", "✓ clock", "✓ disk"]
    {
        assert!(text.contains(needle), "{needle} in\n{text}");
    }
    let examined = json(&["doctor"], &http, 0);
    let programs = &examined["checks"][0];
    assert_eq!((&programs["name"], &programs["result"]), (&"programs".into(), &"well".into()));
    let told = programs["text"].as_str().unwrap();
    assert!(told.contains(&second.api.to_string()) && told.contains("on 2 nodes"), "{told}");
}

#[test]
fn a_bench_measures_what_programs_see() {
    let (first, second, _) = pair();
    let nodes = format!("{},{}", first.api, second.api);
    let options = ["--values", "20", "--load-seconds", "1", "--at-once", "8", "--seed", "7"];
    let mut command = dht();
    command.args(["bench", "--node", &nodes]).args(options);
    let narrow = text(&command.output().unwrap(), 0);
    assert!(narrow.lines().skip(1).all(|line| line.chars().count() <= 80), "{narrow}");
    let output = command.env("COLUMNS", "140").output().unwrap();
    let table = text(&output, 0);
    for needle in ["seed 7", "p99.9", "put, one at a time", "get, 8 at once", "20 of 20"] {
        assert!(table.contains(needle), "{needle} in\n{table}");
    }
    let output = dht().args(["bench", "-n", &nodes, "--json"]).args(options).output().unwrap();
    let figures: Value = serde_json::from_str(&text(&output, 0)).unwrap();
    let loads = figures["loads"].as_array().unwrap();
    assert_eq!(loads.len(), 4);
    for load in loads {
        assert!(load["right"].as_u64() > Some(0) && load["missing"] == 0, "{load}");
        assert!(load["latency_ms"]["p50"].as_f64() <= load["latency_ms"]["max"].as_f64());
    }
    let free = free_address().to_string();
    let told = complaint(dht().args(["bench", "--node", &free]).stderr(Stdio::piped()), 3);
    assert!(told.contains(&free), "{told}");
}

#[test]
fn a_page_that_is_not_served_is_status_3_and_says_how_it_would_be() {
    let free = free_address().to_string();
    for arguments in [&["status"][..], &["explain", "key"], &["doctor"], &["peers"]] {
        let told = complaint(dht().args(arguments).args(["--http", &free]), 3);
        assert!(told.contains(&free) && told.contains("started with --http"), "{told}");
    }
    // A server is there, but not a node.
    let babbler = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = babbler.local_addr().unwrap().to_string();
    let talk = std::thread::spawn(move || {
        let (mut stream, _) = babbler.accept().unwrap();
        stream.write_all(b"SSH-2.0-OpenSSH_9.2\r\n\r\n").unwrap();
        // Until the end of the other side: a socket that is closed with something unread resets the
        // connection, and what it wrote may never be seen.
        stream.shutdown(Shutdown::Write).unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let told = complaint(dht().args(["status", "--http", &address]), 3);
    assert!(told.contains("not a voiddht node"), "{told}");
    talk.join().unwrap();
}

#[test]
fn the_page_of_the_configured_node_is_looked_at() {
    let (_first, _second, http) = pair();
    let file = NamedTempFile::new().unwrap();
    std::fs::write(file.path(), format!("[dht]\nhttp = {http}\n")).unwrap();
    let output = dht().args(["status", "--config"]).arg(file.path()).output().unwrap();
    assert!(text(&output, 0).contains("Joined"));
    let output = dht().arg("status").env("VOIDDHT_HTTP", &http).output().unwrap();
    assert!(text(&output, 0).contains("Joined"));
}

/// Every command wanted a port, and `dht_server --http`.
#[test]
fn local_tools_need_no_port() {
    let data = tempfile::tempdir().unwrap();
    let runtime = tempfile::tempdir().unwrap();
    let first = Server::start(&["-a", "127.0.0.1"]);
    let peer = first.p2p.to_string();
    let directory = data.path().join("node");
    let directory = directory.to_str().unwrap();
    let node =
        Server::start(&["-a", "127.0.0.1", "--peer", &peer, "--data-dir", directory]).joined();
    assert!(first.dht(&["put", "greeting", "hello"]).status.success());
    let said = |arguments: &[&str]| {
        let mut command = dht();
        // Without the sockets of other nodes of this machine.
        command.env("XDG_RUNTIME_DIR", runtime.path());
        text(&command.args(arguments).args(["--data-dir", directory]).output().unwrap(), 0)
    };
    assert!(said(&["status"]).contains("● Joined, with 1 contact."));
    assert!(said(&["explain", "greeting"]).contains("● Found, 5 B"));
    assert!(said(&["doctor"]).contains("✓ programs"));
    assert!(said(&["pins", "list"]).contains(&peer));
    let peers = said(&["peers"]);
    assert!(peers.contains(&peer) && peers.contains("connected"), "{peers}");
    let contacts: Value = serde_json::from_str(&said(&["peers", "--json"])).unwrap();
    assert_eq!((&contacts[0]["address"], &contacts[0]["failures"]), (&peer.into(), &0.into()));
    drop(node);
    let told = complaint(dht().args(["status", "--data-dir", directory]), 3);
    assert!(told.contains("no node answers at the control socket"), "{told}");
}

#[test]
fn a_node_without_a_data_directory_is_found_on_its_machine() {
    let runtime = tempfile::tempdir().unwrap();
    let start = || {
        let mut command = common::server();
        command.env("XDG_RUNTIME_DIR", runtime.path());
        Server::spawn({
            command.args(["-a", "127.0.0.1", "-m", "0", "-p", "0"]);
            command
        })
    };
    let dht = || {
        let mut command = dht();
        command.env("XDG_RUNTIME_DIR", runtime.path());
        command
    };
    let stderr = complaint(dht().args(["pins", "list"]), 3);
    assert!(stderr.contains("no running node was found"), "{stderr}");
    let first = start();
    let status = text(&dht().arg("status").output().unwrap(), 0);
    assert!(status.contains(&first.p2p.to_string()), "{status}");
    let second = start();
    let told = complaint(dht().arg("status"), 2);
    assert!(told.contains("several nodes run on this machine"), "{told}");
    let socket = runtime.path().join(format!("voiddht/{}.sock", second.api));
    let status = dht().args(["status", "--data-dir"]).arg(&socket).output().unwrap();
    assert!(text(&status, 0).contains(&second.p2p.to_string()));
    drop((first, second));
    let told = complaint(dht().args(["pins", "list"]), 3);
    assert!(told.contains("no running node was found"), "{told}");
}

#[test]
fn several_nodes_have_a_line_each() {
    let (_first, _second, http) = pair();
    let free = free_address().to_string();
    let output = dht().args(["status", &http, &free]).output().unwrap();
    let lines = text(&output, 3);
    let lines: Vec<_> = lines.lines().collect();
    assert!(lines[..3].iter().all(|line| line.chars().count() <= 80), "{lines:?}");
    assert!(lines[1].contains(&http) && lines[1].contains("joined"), "{lines:?}");
    assert!(lines[2].contains(&free) && lines[2].contains("unreachable"), "{lines:?}");
    let output = dht().args(["status", "--json", &http]).output().unwrap();
    let all: Value = serde_json::from_str(&text(&output, 0)).unwrap();
    assert_eq!(all[0]["status"]["kind"], "node");
}

#[test]
fn ping_tells_what_is_there_and_leaves_nothing_behind() {
    let (first, second, http) = pair();
    let said = |address: &str, status| {
        text(&dht().args(["ping", "--timeout", "3", address]).output().unwrap(), status)
    };
    let peer = said(&second.p2p.to_string(), 0);
    assert!(peer.contains("a voiddht node") && peer.contains("self-certifying"), "{peer}");
    assert!(peer.contains("it reached port"), "{peer}");
    assert!(said(&first.api.to_string(), 1).contains("a module API"));
    assert!(said(&http, 1).contains("a node's dashboard"));
    let free = free_address().to_string();
    assert!(said(&free, 3).contains("nothing answers there"));
    let tofu = Server::start(&["-a", "127.0.0.1", "--identity", "tofu"]);
    let output = dht().args(["ping", "--json", &tofu.p2p.to_string()]).output().unwrap();
    let found: Value = serde_json::from_str(&text(&output, 0)).unwrap();
    assert_eq!((&found["what"], &found["policy"]), (&"voiddht".into(), &"tofu".into()));
    // What pinged is no contact.
    assert_eq!(json(&["status"], &http, 0)["table"]["contacts"], 1);
}

#[test]
fn a_mapped_port_is_shown_without_an_address_that_is_none() {
    let node =
        Server::start(&["-a", "0.0.0.0", "--announce-port", "17402", "--http", "127.0.0.1:0"]);
    let status = said(&["status"], &node.http(), 0);
    assert!(status.contains(", announced as port 17402"), "{status}");
}

/// A service that reads what a client says first and, where this has something to say about it, answers.
/// It serves as many connections as the process lives for.
fn service(answer: fn(&[u8]) -> Option<&'static [u8]>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for tcp in listener.incoming() {
            let mut tcp = tcp.unwrap();
            std::thread::spawn(move || {
                let mut asked = [0; 512];
                let read = tcp.read(&mut asked).unwrap_or(0);
                let _ = match answer(&asked[..read]) {
                    Some(answer) => tcp.write_all(answer),
                    // As one that waits for the end of a line: until the client leaves.
                    None => tcp.read(&mut asked).map(drop),
                };
            });
        }
    });
    address
}

#[test]
fn ping_names_the_service_that_is_no_node() {
    let check = |answer: fn(&[u8]) -> Option<&'static [u8]>, timeout, what, words| {
        let address = service(answer);
        let ping = |more: &[&str]| {
            let mut ping = dht();
            ping.args(["ping", "--timeout", timeout, &address]).args(more);
            text(&ping.output().unwrap(), 1)
        };
        let found: Value = serde_json::from_str(&ping(&["--json"])).unwrap();
        assert_eq!(found["what"], what);
        let said = ping(&[]);
        assert!(said.contains::<&str>(words), "{said}");
    };
    let http: fn(&[u8]) -> Option<&'static [u8]> =
        |asked| asked.starts_with(b"GET ").then_some(&b"HTTP/1.0 404 Not Found\r\n\r\n"[..]);
    check(|_| Some(&b"\x15\x03\x01\0\x02\x02\n"[..]), "5", "tls", "a TLS server that is no node");
    check(|_| Some(&b"SSH-2.0-x\r\n"[..]), "5", "other", "another protocol");
    // It waits for the end of a line, which a GET of the module API has not.
    check(http, "2", "http", "an HTTP server that is no voiddht node's");
    check(|_| None, "1", "silent", "accepts connections and sends nothing");
}

#[test]
fn get_and_put_tell_programs_what_they_know() {
    let data = tempfile::tempdir().unwrap();
    let directory = data.path().join("node");
    let directory = directory.to_str().unwrap();
    let first = Server::start(&["-a", "127.0.0.1"]);
    let peer = first.p2p.to_string();
    let node =
        Server::start(&["-a", "127.0.0.1", "--peer", &peer, "--data-dir", directory]).joined();
    let put = node.dht(&["put", "--json", "--ttl", "600", "greeting", "hello"]);
    let put: Value = serde_json::from_slice(&put.stdout).unwrap();
    assert_eq!((&put["stored"], &put["ttl_seconds"]), (&2.into(), &600.into()));
    let get = dht().args(["get", "--json", "--data-dir", directory, "greeting"]).output().unwrap();
    let get: Value = serde_json::from_str(&text(&get, 0)).unwrap();
    assert_eq!((&get["value_base64"], &get["verified"]), (&"aGVsbG8=".into(), &"vote".into()));
    assert!((590..=600).contains(&get["ttl_seconds_left"].as_u64().unwrap()), "{get}");
    let known = node.dht(&["get", "--json", "greeting"]);
    let known: Value = serde_json::from_slice(&known.stdout).unwrap();
    assert!(known["found"] == true && known["verified"].is_null(), "{known}");
    let short = Server::start(&["-a", "127.0.0.1", "--max-ttl", "60", "--default-ttl", "60"]);
    let cut = short.dht(&["put", "--ttl", "600", "greeting", "hello"]);
    let told = String::from_utf8(cut.stderr).unwrap();
    assert!(told.contains("lives for 60 s instead of 600 s"), "{told}");
}

#[test]
fn a_test_network_has_a_page_of_all_its_nodes() {
    let mut command = dht();
    command.args(["testnet", "--nodes", "3", "--values", "3", "--load-seconds", "0"]);
    command.args(["--http", "127.0.0.1:0"]);
    let mut network = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let told = read_until(network.stdout.as_mut().unwrap(), "Ctrl-C");
    let http = told.lines().find_map(|line| line.trim().strip_prefix("http://")).unwrap();
    let http = http.trim_end_matches('/');
    let all = said(&["status"], http, 0);
    assert!(all.contains("3 of 3 nodes have joined.") && all.contains("node 2"), "{all}");
    let one = said(&["status", "--index", "1"], http, 0);
    assert!(one.contains("node 1: Joined, with 2 contacts."), "{one}");
    let refused = complaint(dht().args(["status", "--index", "9", "--http", http]), 1);
    assert!(refused.contains("no such node"), "{refused}");
    kill_process(Pid::from_child(&network), Signal::INT).unwrap();
    assert_eq!(network.wait().unwrap().code(), Some(0));
}
