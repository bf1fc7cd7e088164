//! The programs as processes: arguments, exit statuses, streams, signals.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;

use common::ports::free_address;
use common::{Server, complaint, dht, read_until, server, with_input};
use rustix::process::{Pid, Signal, kill_process};

#[test]
fn wrong_arguments_end_with_status_2_and_one_line() {
    for (arguments, needle) in [
        (&["-m", "70000"][..], "\"70000\" for --module-port <PORT>: must be a port"),
        (&["-a", "nowhere"], "must be an IPv4 or IPv6 address"),
        (&["--peer", "::1:7402"], "must be HOST:PORT"),
        (&["-l", "loud"], "must be one of trace, debug, info, warn, err, critical, off"),
        (&["--frobnicate"], "there is no option --frobnicate"),
        (&["::1", "1", "2", "::1", "3", "surplus"], "one argument too many"),
    ] {
        let text = complaint(server().args(arguments), 2);
        assert!(text.starts_with("dht_server: ") && text.contains(needle), "{text}");
    }
    for (arguments, needle) in [
        (
            &[][..],
            "one of put, get, keep, kept, unkeep, withdraw, key, status, peers, ping, explain, doctor",
        ),
        (&["explain"], "<KEY> is missing"),
        (&["status", "--http", "nowhere"], "HOST:PORT"),
        (&["bench", "--at-once", "0"], "must be a number from 1 to"),
        (&["put"], "<KEY> is missing"),
        (&["get"], "<KEY> is missing"),
        (&["put", "key", "value", "--ttl", "0"], "must be a number from 1 to 65535"),
        (&["put", "key", ""], "at least one byte"),
        (&["put", "key", "value", "--file", "f"], "given twice"),
        (&["put", "key", "--file", "/nonexistent"], "/nonexistent: No such file"),
        (&["put", "--content-addressed", "value", "surplus"], "one argument too many"),
        (&["get", "key", "--node", "localhost"], "must be HOST:PORT"),
        (&["testnet", "--nodes", "0"], "must be a number from 1 to"),
        (&["testnet", "--base-port", "65530"], "the last would be"),
        (&["testnet", "-a", "192.0.2.1"], "must be a loopback address"),
    ] {
        let text = complaint(dht().args(arguments), 2);
        assert!(text.starts_with("dht: ") && text.contains(needle), "{arguments:?}: {text}");
    }
}

#[test]
fn the_environment_sets_what_the_command_line_does_not() {
    let text = complaint(server().env("VOIDDHT_MODULE_PORT", "many"), 2);
    assert!(text.contains("\"many\" for VOIDDHT_MODULE_PORT"), "{text}");
    let mut command = server();
    command.env("VOIDDHT_HOST_ADDRESS", "127.0.0.7").env("VOIDDHT_MODULE_PORT", "many");
    command.env("VOIDDHT_P2P_PORT", "0").args(["--module-port", "0"]);
    let node = Server::spawn(command);
    assert_eq!(node.api.ip().to_string(), "127.0.0.7");
    let from_environment =
        dht().env("VOIDDHT_NODE", node.api.to_string()).args(["get", "x"]).output();
    assert_eq!(from_environment.unwrap().status.code(), Some(1));
}

#[test]
fn help_has_examples_and_goes_to_standard_output() {
    for arguments in [
        &["--help"][..],
        &["put", "--help"],
        &["get", "--help"],
        &["status", "--help"],
        &["explain", "--help"],
        &["doctor", "--help"],
        &["bench", "--help"],
        &["testnet", "--help"],
    ] {
        let output = dht().args(arguments).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && output.stderr.is_empty());
        assert!(text.contains("Usage: dht"), "{text}");
        assert!(arguments.len() == 1 || text.contains("Examples:\n  dht "), "{text}");
        assert!(!text.contains('\x1b'), "colour without a terminal");
    }
    let output = server().arg("-h").stdout(Stdio::piped()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("Examples:") && text.contains("VOIDDHT_MODULE_PORT"), "{text}");
}

#[test]
fn a_port_in_use_is_named() {
    for option in ["-m", "-p"] {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port().to_string();
        let other = if option == "-m" { "-p" } else { "-m" };
        let mut command = server();
        command.args(["-a", "127.0.0.1", "-l", "off", option, &port, other, "0"]);
        let text = complaint(&mut command, 1);
        assert!(text.contains(&port) && text.contains("in use"), "{text}");
    }
}

#[test]
fn a_node_that_is_not_there_is_status_3() {
    let free = free_address().to_string();
    for arguments in [&["get", "key"][..], &["put", "key", "value"]] {
        let text = complaint(dht().args(arguments).args(["--node", &free]), 3);
        assert!(text.contains(&free), "{text}");
    }
    // A server is there, but not a node.
    let babbler = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = babbler.local_addr().unwrap().to_string();
    let talk = std::thread::spawn(move || {
        let (mut stream, _) = babbler.accept().unwrap();
        std::io::Write::write_all(&mut stream, b"SSH-2.0-OpenSSH_9.2\r\n").unwrap();
        let _ = stream.read(&mut [0; 64]);
    });
    let text = complaint(dht().args(["get", "key", "--node", &address]), 3);
    assert!(text.contains("broke the protocol"), "{text}");
    talk.join().unwrap();
}

#[test]
fn values_come_from_arguments_files_and_standard_input_and_go_out_raw() {
    let node = Server::start(&["-a", "127.0.0.1"]);
    let put = node.dht(&["put", "by argument", "value"]);
    assert_eq!((put.status.code(), put.stdout.as_slice()), (Some(0), &b"stored on 1 node\n"[..]));
    assert_eq!(node.get("by argument").unwrap(), b"value");

    let binary: Vec<u8> = (0..=255).cycle().take(65_495).collect();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &binary).unwrap();
    let path = file.path().to_str().unwrap();
    assert!(node.dht(&["put", "by file", "--file", path]).status.success());
    assert_eq!(node.get("by file").unwrap(), binary);

    let api = node.api.to_string();
    let piped = with_input(dht().args(["put", "by pipe", "-n", &api]), b"\0\n");
    assert!(piped.status.success());
    assert_eq!(node.get("by pipe").unwrap(), b"\0\n");

    let own = with_input(dht().args(["put", "-c", "--file", "-", "-n", &api]), &binary);
    let key = String::from_utf8(own.stdout).unwrap();
    assert_eq!(node.get(key.trim()).unwrap(), binary);
    let hello = node.dht(&["put", "--content-addressed", "hello"]);
    let sha256_of_hello = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824\n";
    assert_eq!(hello.stdout, sha256_of_hello.as_bytes());

    let long = with_input(dht().args(["put", "long", "-n", &api]), &vec![0; 65_496]);
    assert_eq!(long.status.code(), Some(2));
    assert!(String::from_utf8(long.stderr).unwrap().contains("at most 65495 bytes"));
    assert_eq!(node.get("long"), None);
}

#[test]
fn a_closed_pipe_is_no_error() {
    let node = Server::start(&["-a", "127.0.0.1"]);
    let api = node.api.to_string();
    let value = vec![b'x'; 65_495];
    assert!(with_input(dht().args(["put", "key", "-n", &api]), &value).status.success());
    let mut command = dht();
    command.args(["get", "key", "-n", &api]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut reader = command.spawn().unwrap();
    drop(reader.stdout.take());
    let output = reader.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
}

#[test]
fn a_signal_ends_a_node_in_order() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut node = Server::start(&["-a", "127.0.0.1"]);
        node.signal(signal);
        assert_eq!(node.wait().code(), Some(0));
        let rest = node.rest();
        assert!(rest.contains("stopped"), "{rest}");
        assert!(!rest.contains('\x1b') && !rest.contains("ERROR"), "{rest}");
    }
}

#[test]
fn a_level_says_how_much_is_logged() {
    let api = free_address();
    let mut command = server();
    command.args(["-a", "127.0.0.1", "-m", &api.port().to_string(), "-p", "0", "-l", "err"]);
    let mut node = command.stderr(Stdio::piped()).spawn().unwrap();
    // Nothing is logged that would say when it is ready.
    while TcpStream::connect(api).is_err() {
        assert!(node.try_wait().unwrap().is_none(), "it did not start");
        std::thread::yield_now();
    }
    kill_process(Pid::from_child(&node), Signal::TERM).unwrap();
    let mut text = String::new();
    node.stderr.take().unwrap().read_to_string(&mut text).unwrap();
    assert_eq!((node.wait().unwrap().code(), text.as_str()), (Some(0), ""));
}

#[test]
fn a_test_network_finds_every_value_and_serves_until_it_is_interrupted() {
    let exiting = dht()
        .args(["testnet", "--nodes", "8", "--values", "30", "--load-seconds", "0", "--exit"])
        .args(["--seed", "1"])
        .output()
        .unwrap();
    let text = String::from_utf8(exiting.stdout).unwrap();
    assert!(exiting.status.success(), "{text}");
    assert!(text.contains("seed 1\n") && text.contains("30 of 30"), "{text}");
    assert!(String::from_utf8(exiting.stderr).unwrap().contains("8 of 8 nodes joined"));

    let mut command = dht();
    command.args(["testnet", "--nodes", "3", "--values", "3", "--load-seconds", "0", "-a", "::1"]);
    let mut network = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let table = read_until(network.stdout.as_mut().unwrap(), "Ctrl-C");
    let apis: Vec<_> = table.lines().filter_map(|line| line.strip_prefix("  [::1]:")).collect();
    assert_eq!(apis.len(), 3, "{table}");
    let (first, last) = (format!("[::1]:{}", apis[0]), format!("[::1]:{}", apis[2]));
    let put = dht().args(["put", "greeting", "hello", "-n", &first]).output().unwrap();
    assert_eq!(put.stdout, b"stored on 3 nodes\n");
    let get = dht().args(["get", "greeting", "-n", &last]).output().unwrap();
    assert_eq!(get.stdout, b"hello");
    kill_process(Pid::from_child(&network), Signal::INT).unwrap();
    assert_eq!(network.wait().unwrap().code(), Some(0));
}
