//! The README's examples for HTTP and Python, run as they stand there against a real node: what they
//! print is what the README says behind them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;
#[path = "../../node/tests/common/tools.rs"]
#[allow(dead_code, reason = "another test looks for packages of Python")]
mod tools;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use common::Server;

/// The gateway and the module API that the README's examples talk to.
const GATEWAY: &str = "127.0.0.1:9403";

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// The samples of one language below one heading of the README.
fn samples(heading: &str, language: &str) -> Vec<String> {
    let text = fs::read_to_string(root().join("README.md")).unwrap();
    let section = text.split(&format!("## {heading}\n")).nth(1).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let begin = format!("```{language}\n");
    section.split(&begin).skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

/// What a line is said to print: behind its last `#` with a space on both sides.
fn expected(line: &str) -> Option<&str> {
    line.rsplit_once(" # ").map(|(_, said)| said.trim())
}

fn gateway(server: &Server) -> String {
    let line = server.line_with("gateway at http://");
    line.split("http://").nth(1).unwrap().split('/').next().unwrap().to_owned()
}

fn printed(output: &Output) -> &str {
    assert!(output.status.success(), "{output:?}");
    std::str::from_utf8(&output.stdout).unwrap().trim_end()
}

#[test]
fn the_commands_print_what_the_readme_says() {
    if tools::find("curl", "curl").is_none() {
        return;
    }
    let server = Server::start(&["--gateway", "0"]);
    let address = gateway(&server);
    let directory = tempfile::tempdir().unwrap();
    let programs = Path::new(env!("CARGO_BIN_EXE_dht")).parent().unwrap();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    let mut compared = 0;
    for line in samples("Over HTTP", "sh").iter().flat_map(|sample| sample.lines()) {
        if line.starts_with("dht_server") {
            continue;
        }
        let command = line.replace(GATEWAY, &address);
        let mut bash = Command::new("bash");
        bash.args(["-euc", &command]).current_dir(&directory).env("PATH", &path);
        let output = bash.output().unwrap();
        if let Some(expected) = expected(line) {
            assert_eq!(printed(&output), expected, "{line}");
            compared += 1;
        }
    }
    assert!(compared > 5, "{compared}");
}

#[test]
fn the_python_programs_print_what_the_readme_says() {
    let Some(python) = tools::find("python3", "python3") else { return };
    let server = Server::start(&["--gateway", "0"]);
    let address = gateway(&server);
    let client = format!("Client({:?}, {})", server.api.ip().to_string(), server.api.port());
    let mut seen = 0;
    let of_package = samples("Put and get", "python");
    for program in samples("Over HTTP", "python").iter().chain(&of_package) {
        let text = program.replace(GATEWAY, &address).replace("Client()", &client);
        let mut command = Command::new(&python);
        command.args(["-c", &text]).env("PYTHONPATH", root().join("clients/python/src"));
        let output = command.output().unwrap();
        let said: Vec<&str> = program.lines().filter_map(expected).collect();
        let printed = printed(&output);
        assert!(!printed.is_empty(), "{program}");
        if !said.is_empty() {
            assert_eq!(printed.lines().collect::<Vec<_>>(), said);
        }
        seen += 1;
    }
    assert!(seen >= 2, "{seen}");
}
