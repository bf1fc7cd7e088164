//! Files, `--check`, `--health`, and what a service manager is told.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};
use std::time::Duration;

use common::{Server, complaint, dht, server};
use rustix::process::Signal;
use tempfile::{NamedTempFile, TempDir};

fn file(text: &str) -> NamedTempFile {
    let file = NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    file
}

/// What a program that succeeds prints.
fn printed(command: &mut Command) -> String {
    let output = command.stdout(Stdio::piped()).stderr(Stdio::piped()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn both_programs_live_by_one_file() {
    let port = common::ports::free_address().port();
    let config = file(&format!(
        "hostkey = /k\n[dht]\nlisten_address = 127.0.0.1:0\napi_address = 127.0.0.1:{port}\n\
         [dht.put]\nttl = 60\n[onion]\n!\n"
    ));
    let mut command = server();
    let node = Server::spawn({
        command.arg("-c").arg(config.path());
        command
    });
    assert_eq!(node.api.port(), port);
    let put = dht().arg("--config").arg(config.path()).args(["put", "key", "value"]).output();
    assert!(put.unwrap().status.success());
    let get = dht().env("VOIDDHT_CONFIG", config.path()).args(["get", "key"]).output().unwrap();
    assert_eq!(get.stdout, b"value");
}

#[test]
fn a_wrong_file_ends_either_program_with_status_2_and_its_line() {
    let config = file("[dht]\n\nmodul-port = 3\n");
    let place = format!("{}:3: there is no key modul-port", config.path().display());
    let text = complaint(server().arg("-c").arg(config.path()), 2);
    assert!(text.contains(&place) && text.contains("nearest is module-port"), "{text}");
    let text = complaint(dht().arg("--config").arg(config.path()).args(["get", "key"]), 2);
    assert!(text.contains(&place), "{text}");
}

#[test]
fn a_check_tells_each_value_and_its_source_in_the_form_of_a_file() {
    let config = file("[dht]\nmin_ttl = 5\nmax-ttl = 600\ndefault_ttl = 300\n");
    let data = TempDir::new().unwrap();
    let directory = data.path().join("a # b");
    let mut command = server();
    command.arg("-c").arg(config.path()).args(["--check", "127.0.0.1", "1", "--min-ttl", "6"]);
    command.env("VOIDDHT_PEER", "127.0.0.1:7,[::1]:8").env("VOIDDHT_VERIFY_CERTIFICATES", "yes");
    command.arg("--data-dir").arg(&directory);
    let first = printed(&mut command);
    let path = config.path().display();
    for (value, source) in [
        ("host-address = 127.0.0.1 ", "; command line".to_owned()),
        ("module-port = 1 ", "; command line".to_owned()),
        ("p2p-port = 7402 ", "; default".to_owned()),
        ("; api-address =", "; not set".to_owned()),
        ("min-ttl = 6 ", "; command line".to_owned()),
        ("max-ttl = 600 ", format!("; {path}:3")),
        ("peer = 127.0.0.1:7,[::1]:8 ", "; VOIDDHT_PEER".to_owned()),
        ("verify_certificates = yes ", "; VOIDDHT_VERIFY_CERTIFICATES".to_owned()),
        ("; peer-address =", "; not set".to_owned()),
    ] {
        let line = first.lines().find(|line| line.starts_with(value));
        assert!(line.is_some_and(|line| line.ends_with(&source)), "{value} {source}\n{first}");
    }
    assert!(first.contains("peers are served on 127.0.0.1:7402"), "{first}");
    assert!(first.contains("local programs on 127.0.0.1:1;"), "{first}");
    assert!(first.contains("joined through 127.0.0.1:7, or [::1]:8"), "{first}");
    assert!(!directory.exists(), "asking makes nothing");

    // The same again, from what was printed alone.
    let copy = file(&first);
    let again = printed(server().arg("-c").arg(copy.path()).arg("--check"));
    let values = |text: &str| -> Vec<String> {
        text.lines()
            .map(|line| line.rsplit_once("  ;").unwrap_or((line, "")).0.to_owned())
            .collect()
    };
    let trimmed = |text| values(text).iter().map(|line| line.trim().to_owned()).collect::<Vec<_>>();
    assert_eq!(trimmed(&first), trimmed(&again));
}

/// `VOIDDHT_PEER=` was "must be HOST:PORT", and so was a space after a comma.
#[test]
fn an_empty_variable_is_an_unset_one_and_spaces_around_commas_are_skipped() {
    let mut command = server();
    for name in ["VOIDDHT_PEER", "VOIDDHT_LOGLEVEL", "VOIDDHT_CONFIG", "VOIDDHT_COUNT_PRIVATE"] {
        command.env(name, "");
    }
    let text = printed(command.arg("--check"));
    assert!(text.contains("; peer =") && text.contains("loglevel = info"), "{text}");
    let text = printed(server().env("VOIDDHT_PEER", " 127.0.0.1:7 , [::1]:8").arg("--check"));
    assert!(text.contains("peer = 127.0.0.1:7,[::1]:8 "), "{text}");
    let config = file("[dht]\npeer = 127.0.0.1:7, [::1]:8\n");
    let text = printed(server().arg("-c").arg(config.path()).arg("--check"));
    assert!(text.contains("peer = 127.0.0.1:7,[::1]:8 "), "{text}");
    let help = printed(server().env("VOIDDHT_PEER", "").arg("--help"));
    assert!(help.contains("[env: VOIDDHT_PEER]"), "{help}");
    let node = dht().env("VOIDDHT_NODE", "").args(["get", "--timeout", "1", "--help"]).output();
    assert!(node.unwrap().status.success());
}

#[test]
fn a_check_refuses_what_a_start_would_refuse() {
    let text = complaint(server().args(["--check", "--min-ttl", "9", "--max-ttl", "8"]), 2);
    assert!(text.contains("ttls must rise"), "{text}");
    let text = complaint(server().args(["--check", "-m", "7402"]), 2);
    assert!(text.contains("port 7402 is given twice, to p2p and module API"), "{text}");
    let text = complaint(server().args(["--check", "-a", "127.0.0.1", "--http", "7401"]), 2);
    assert!(text.contains("port 7401 is given twice"), "{text}");
    printed(server().args([
        "--check",
        "-a",
        "127.0.0.2",
        "--api-address",
        "127.0.0.3",
        "-m",
        "7402",
    ]));
    let text = complaint(server().args(["--check", "--api-address", "192.0.2.77"]), 1);
    assert!(text.contains("cannot listen on 192.0.2.77 (module API)"), "{text}");
    let file = file("");
    let below = file.path().join("below");
    let text = complaint(server().args(["--check", "--data-dir"]).arg(below), 1);
    assert!(text.contains("cannot be used") && text.contains("is not a directory"), "{text}");
}

#[test]
fn a_check_says_where_a_node_behind_a_router_is_reached() {
    let check = |arguments: &[&str]| printed(server().arg("--check").args(arguments));
    let text = check(&["-a", "192.0.2.77"]);
    assert!(text.contains("; So peers are served on 0.0.0.0:7402\n"), "{text}");
    assert!(text.contains("; and told to reach the node at 192.0.2.77:7402,"), "{text}");
    let text = check(&["-a", "0.0.0.0", "--announce-port", "17402"]);
    assert!(text.contains("told to use port 17402 of the address that they see"), "{text}");
    let text = check(&["-a", "127.0.0.1"]);
    assert!(text.contains("; So peers are served on 127.0.0.1:7402\n; and local"), "{text}");
}

/// The file said `loglevel = warn` and one peer; it was changed, and only a restart took it over.
#[test]
fn sighup_reads_the_log_level_and_the_peers_again() {
    let first = Server::start(&["-a", "127.0.0.1"]);
    let config = file("[dht]\nhost-address = 127.0.0.1\nloglevel = info\n");
    let mut command = server();
    command.arg("-c").arg(config.path()).args(["-m", "0", "-p", "0", "--log-format", "json"]);
    let node = Server::spawn(command);
    let changed =
        format!("[dht]\nhost-address = 127.0.0.1\nloglevel = debug\npeer = {}\n", first.p2p);
    std::fs::write(config.path(), changed).unwrap();
    node.signal(Signal::HUP);
    let line = node.line_with("settings reloaded");
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&line["level"], &line["peers"]), (&"INFO".into(), &1.into()));
    node.line_with("DEBUG");
    assert_eq!(node.get("nothing"), None, "joined by now, or not: it answers");
    std::fs::write(config.path(), "[dht]\nloglevel = loud\n").unwrap();
    node.signal(Signal::HUP);
    let line = node.line_with("settings not reloaded");
    assert!(line.contains("loud") && line.contains("keeping the old ones"), "{line}");
    first.joined();
}

#[test]
fn health_is_that_of_the_node_with_the_same_options() {
    let node = Server::start(&["-a", "127.0.0.1"]);
    let port = node.api.port().to_string();
    let mut healthy = server();
    // As in a container, where the module API is open.
    healthy.args(["--health", "-a", "127.0.0.1", "--api-address", "0.0.0.0", "-m", &port]);
    assert_eq!(printed(&mut healthy), "");
    drop(node);
    let text = complaint(server().args(["--health", "-a", "127.0.0.1", "-m", &port]), 1);
    assert!(text.contains("is unhealthy"), "{text}");
    let text = complaint(server().args(["--health", "-a", "127.0.0.1", "-m", "0"]), 2);
    assert!(text.contains("--module-port 0"), "{text}");
    let text = complaint(server().args(["--health", "--check"]), 2);
    assert!(text.contains("cannot be given together"), "{text}");
}

#[test]
fn a_service_manager_hears_of_the_start_the_life_and_the_end() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut heard = String::new();
    let mut hear = |wanted: &str| {
        while !heard.contains(wanted) {
            let mut datagram = [0; 512];
            let length = manager.recv(&mut datagram).unwrap();
            heard += str::from_utf8(&datagram[..length]).unwrap();
        }
    };
    let mut command = server();
    command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "20000");
    command.args(["-a", "127.0.0.1", "-m", "0", "-p", "0", "--leave-deadline", "100"]);
    let mut node = Server::spawn(command);
    hear("READY=1\n");
    hear("STATUS=serving, part of the network\n");
    hear("WATCHDOG=1\nWATCHDOG=1\n");
    node.signal(Signal::TERM);
    hear("STOPPING=1\n");
    // What the node may take, and ten seconds for closing.
    hear("EXTEND_TIMEOUT_USEC=110000000\n");
    assert!(node.wait().success());
}
