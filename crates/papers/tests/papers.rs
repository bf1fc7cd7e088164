//! Every option is in every paper, and the papers are in order.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command as Process;

use clap::Command;
use tempfile::TempDir;
use voiddht_cli::arguments::file::is_setting;
use voiddht_cli::arguments::ini::Ini;
use voiddht_cli::arguments::{self, Program, SECTION};
use voiddht_cli::{commands, server};

fn written() -> TempDir {
    let directory = TempDir::new().unwrap();
    let mut papers = Process::new(env!("CARGO_BIN_EXE_voiddht-papers"));
    papers.arg(directory.path()).env("SOURCE_DATE_EPOCH", "0");
    assert!(papers.status().unwrap().success());
    directory
}

/// Each program and each command, with the section of its man page and that of the file.
fn each(visit: &mut impl FnMut(&Command, &str, &str)) {
    let daemon = arguments::command::<server::args::Arguments>();
    visit(&daemon, "8", "dht");
    below(&arguments::command::<commands::Arguments>(), "dht", visit);
}

fn below(command: &Command, section: &str, visit: &mut impl FnMut(&Command, &str, &str)) {
    visit(command, "1", section);
    for inner in command.get_subcommands() {
        below(inner, &format!("{section}.{}", inner.get_name()), visit);
    }
}

/// Text as roff has it.
fn escaped(text: &str) -> String {
    text.replace('-', r"\-")
}

#[test]
fn every_option_is_in_its_page_and_its_completions() {
    let papers = written();
    let read = |path: String| fs::read_to_string(papers.path().join(path)).unwrap();
    each(&mut |command, number, _| {
        let name = command.get_display_name().unwrap_or_else(|| command.get_name());
        let page = read(format!("man/{name}.{number}"));
        let program = name.split('-').next().unwrap();
        let scripts = [
            read(format!("completions/{program}.bash")),
            read(format!("completions/_{program}")),
            read(format!("completions/{program}.fish")),
        ];
        for option in command.get_arguments() {
            let Some(long) = option.get_long() else { continue };
            let bold = format!(r"\fB{}\fR", escaped(&format!("--{long}")));
            assert!(page.contains(&bold), "--{long} is not in the page of {name}");
            if let Some(variable) = option.get_env() {
                let variable = format!(r"\fB{}\fR", variable.to_str().unwrap());
                assert!(page.contains(&variable), "{variable} is not in the page of {name}");
            }
            assert!(scripts[0].contains(&format!("--{long}")), "--{long}: bash");
            assert!(scripts[1].contains(&format!("--{long}")), "--{long}: zsh");
            assert!(scripts[2].contains(&format!("-l {long}")), "--{long}: fish");
        }
    });
}

#[test]
fn every_key_is_in_the_page_of_the_file() {
    let papers = written();
    let page = fs::read_to_string(papers.path().join("man/voiddht.conf.5")).unwrap();
    let sections: Vec<(&str, &str)> =
        page.split(".SH \"SECTION [").skip(1).map(|text| text.split_once("]\"").unwrap()).collect();
    let mut wanted = BTreeSet::new();
    each(&mut |command, _, section| {
        for option in command.get_arguments().filter(|option| is_setting(option)) {
            wanted.insert(section.to_owned());
            let name = option.get_long().unwrap();
            let (_, text) = sections.iter().find(|(name, _)| *name == section).unwrap();
            let key = format!(r"\fB{}\fR = ", escaped(name));
            assert!(text.contains(&key), "{name} is not in the section [{section}]");
        }
    });
    assert_eq!(
        sections.iter().map(|(name, _)| (*name).to_owned()).collect::<BTreeSet<_>>(),
        wanted
    );
    for alias in server::args::ALIASES {
        assert!(page.contains(&format!(r"\fB{}\fR = ", escaped(alias.key))), "{}", alias.key);
    }
}

#[test]
fn the_sample_file_has_every_key_with_its_default() {
    let papers = written();
    let text = fs::read_to_string(papers.path().join("voiddht.conf")).unwrap();
    let daemon = arguments::command::<server::args::Arguments>();
    let parse = |text: &str| {
        let file = Ini::parse(Path::new("voiddht.conf"), text).unwrap();
        server::args::Arguments::file_settings(&file, &daemon).map_err(|mistake| mistake.text)
    };
    let nothing = parse(&text).unwrap();
    for option in daemon.get_arguments().filter(|option| is_setting(option)) {
        let (name, id) = (option.get_long().unwrap(), option.get_id().as_str());
        assert_eq!(nothing.get(SECTION, id), None, "{name}");
        let start = format!("\n;{name} = ");
        let (before, after) = text.split_once(&start).unwrap_or_else(|| panic!("no {name}"));
        assert!(before.lines().last().unwrap().starts_with("# "), "nothing is said of {name}");
        // The same file with this key no longer commented out.
        let settings = parse(&format!("{before}\n{name} = {after}"));
        match option.get_default_values() {
            // The form of a value is no value, but for free text.
            [] => assert!(settings.is_err() || settings.unwrap().get(SECTION, id).is_some()),
            [default] if option.get_action().takes_values() => {
                let settings = settings.unwrap();
                assert_eq!(settings.get(SECTION, id).unwrap().0, default.to_str().unwrap());
            }
            _ => assert_eq!(settings.unwrap().get(SECTION, id).unwrap().0, "no"),
        }
    }
}

/// mandoc's lint is the stricter of the two that there are; it is asked where it is installed, and
/// must be where the environment says that tools may not be missing.
#[test]
fn the_pages_pass_the_lint() {
    let papers = written();
    let pages: Vec<_> =
        fs::read_dir(papers.path().join("man")).unwrap().map(|page| page.unwrap().path()).collect();
    assert!(pages.len() > 4, "{pages:?}");
    match Process::new("mandoc").args(["-T", "lint", "-W", "style"]).args(&pages).output() {
        Ok(output) => {
            let complaints = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success() && complaints.is_empty(), "{complaints}");
        }
        Err(error) => {
            assert!(std::env::var_os("VOIDDHT_REQUIRE_TOOLS").is_none(), "mandoc: {error}");
        }
    }
}

#[test]
fn the_same_source_gives_the_same_papers() {
    let (one, other) = (written(), written());
    for entry in fs::read_dir(one.path().join("man")).unwrap() {
        let name = Path::new("man").join(entry.unwrap().file_name());
        let read = |papers: &TempDir| fs::read(papers.path().join(&name)).unwrap();
        assert_eq!(read(&one), read(&other), "{}", name.display());
        assert!(String::from_utf8(read(&one)).unwrap().contains("1970-01-01"));
    }
}
