//! Every option of both programs can be given on the command line, by the environment and by the
//! file, and the help tells of it. (The man pages and completions: `crates/papers/tests`.)

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;

use clap::{Arg, ArgAction, Command};
use common::{complaint, dht, server};
use tempfile::NamedTempFile;
use voiddht_cli::arguments::file::is_setting;
use voiddht_cli::{arguments, commands};

/// What no option takes that is not free text.
const WRONG: &str = "!";

fn daemon() -> Command {
    arguments::command::<voiddht_cli::server::args::Arguments>()
}

fn settings(command: &Command) -> Vec<&Arg> {
    command.get_arguments().filter(|option| is_setting(option)).collect()
}

fn file(text: &str) -> NamedTempFile {
    let file = NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    file
}

/// A value that fits: the default where there is one, so that no two settings contradict.
fn fitting(option: &Arg) -> String {
    if let (ArgAction::SetTrue, _) | (_, []) = (option.get_action(), option.get_default_values()) {
        return match option.get_value_names().and_then(|names| names.first()) {
            _ if !option.get_action().takes_values() => "yes",
            Some(name) => match name.as_str() {
                "ADDRESS" | "ADDRESS[:PORT]" | "HOST" => "127.0.0.1",
                "HOST:PORT" => "127.0.0.1:7402",
                "ADDRESS:PORT" => "127.0.0.1:7403",
                "ORIGIN" => "https://app.example",
                "DIR" => "/nowhere",
                "FILE" => return secret_file(),
                "GROUPS" => "x25519",
                "NUMBER" | "SECONDS" | "PORT" | "MIB" => "7",
                other => panic!("this test knows no value for {other}"),
            },
            None => panic!("{option} takes a value without a name"),
        }
        .to_owned();
    }
    option.get_default_values()[0].to_str().unwrap().to_owned()
}

/// A file that `--check` reads: the secret of a private network.
fn secret_file() -> String {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("options.secret");
    std::fs::write(&path, "ab".repeat(32)).unwrap();
    std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Where `--check` says that an option comes from.
fn source(command: &mut std::process::Command, option: &Arg) -> String {
    let output = command.arg("--check").stdout(Stdio::piped()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let start = format!("{} = ", option.get_long().unwrap());
    let line = text.lines().find(|line| line.starts_with(&start));
    let line = line.unwrap_or_else(|| panic!("{option}: {text}{output:?}", output = output.stderr));
    line.rsplit_once("; ").unwrap().1.to_owned()
}

#[test]
fn the_daemon_takes_each_option_from_everywhere() {
    let daemon = daemon();
    for option in settings(&daemon) {
        let (name, value) = (option.get_long().unwrap(), fitting(option));
        let typed = match option.get_action().takes_values() {
            true => format!("--{name}={value}"),
            false => format!("--{name}"),
        };
        // A port for a peer needs the peer.
        let base = || {
            let mut command = server();
            if name == "peer-port" {
                command.args(["--peer-address", "127.0.0.1"]);
            }
            command
        };
        assert_eq!(source(base().arg(typed), option), "command line");
        let variable = format!("VOIDDHT_{}", name.replace('-', "_").to_uppercase());
        assert_eq!(source(base().env(&variable, &value), option), variable);
        for key in [name.to_owned(), name.replace('-', "_"), name.to_uppercase()] {
            let config = file(&format!("[dht]\n{key} = {value}\n"));
            let place = format!("{}:2", config.path().display());
            assert_eq!(source(base().arg("-c").arg(config.path()), option), place);
        }
    }
}

#[test]
fn the_tool_takes_each_option_from_everywhere() {
    let tool = arguments::command::<commands::Arguments>();
    let mut seen = 0;
    for command in tool.get_subcommands() {
        let mut words = vec![command.get_name().to_owned()];
        words.extend(command.get_positionals().next().map(|argument| {
            let allowed = argument.get_possible_values();
            let is_address = argument.get_value_names().is_some_and(|it| it[0] == "HOST:PORT");
            let word = if is_address { "127.0.0.1:1" } else { "word" };
            allowed.first().map_or(word.to_owned(), |value| value.get_name().to_owned())
        }));
        for option in settings(command) {
            let name = option.get_long().unwrap();
            let variable = option.get_env().unwrap().to_str().unwrap();
            let is_told = |text: &str, by: &str| {
                // Free text is taken, and then does not name a file.
                text.contains(&format!("{WRONG:?} for {by}"))
                    || text.contains(&format!("{WRONG}: "))
            };
            let text = complaint(dht().args(&words).env(variable, WRONG), 2);
            assert!(is_told(&text, variable), "{text}");
            let typed = format!("--{name}={WRONG}");
            complaint(dht().args(&words).arg(typed), 2);
            let section = command.get_name();
            let config = file(&format!("[dht.{section}]\n{name} = {WRONG}\n"));
            let text = complaint(dht().args(&words).arg("--config").arg(config.path()), 2);
            assert!(is_told(&text, name), "{text}");
            seen += 1;
        }
    }
    assert!(seen > 10, "{seen}");
}

#[test]
fn variables_are_called_as_their_options() {
    for option in settings(&daemon()) {
        let name = option.get_long().unwrap();
        let variable = option.get_env().unwrap().to_str().unwrap();
        assert_eq!(variable, format!("VOIDDHT_{}", name.replace('-', "_").to_uppercase()));
    }
    let tool = arguments::command::<commands::Arguments>();
    for command in tool.get_subcommands() {
        for option in settings(command) {
            let name = option.get_long().unwrap().replace('-', "_").to_uppercase();
            let variable = option.get_env().unwrap().to_str().unwrap();
            let below = format!("VOIDDHT_{}_{name}", command.get_name().to_uppercase());
            // Options that several commands share have one variable for all of them.
            assert!(variable == below || variable == format!("VOIDDHT_{name}"), "{variable}");
        }
    }
}

#[test]
fn the_help_tells_of_each_option_and_its_variable() {
    let mut all = vec![daemon(), arguments::command::<commands::Arguments>()];
    while let Some(mut command) = all.pop() {
        let help = command.render_long_help().to_string();
        for option in command.get_arguments().filter(|option| option.get_long().is_some()) {
            assert!(option.get_help().is_some_and(|help| !help.to_string().is_empty()), "{option}");
            assert!(help.contains(&format!("--{}", option.get_long().unwrap())), "{option}");
            if let Some(variable) = option.get_env() {
                assert!(
                    help.contains(&format!("[env: {}]", variable.to_str().unwrap())),
                    "{option}"
                );
            }
        }
        all.extend(command.get_subcommands().cloned());
    }
}
