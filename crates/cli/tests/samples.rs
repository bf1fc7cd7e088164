//! The commands of README and docs: their programs understand each of them. (Samples in Rust are
//! doctests of the client.)

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::path::{Path, PathBuf};

use clap::Command;
use voiddht_cli::arguments;

/// The README and every page of docs/.
fn pages() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let docs = fs::read_dir(root.join("docs")).unwrap();
    let mut pages: Vec<_> = docs.map(|entry| entry.unwrap().path()).collect();
    pages.retain(|page| page.extension().is_some_and(|extension| extension == "md"));
    pages.sort();
    pages.push(root.join("README.md"));
    pages
}

/// The lines of all shell samples of a page, continued ones joined.
fn shell_lines(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let (mut is_shell, mut continues) = (false, false);
    for line in text.lines() {
        if let Some(language) = line.strip_prefix("```") {
            is_shell = language == "sh";
            continue;
        }
        if !is_shell {
            continue;
        }
        let line = line.trim();
        let (part, more) = match line.strip_suffix('\\') {
            Some(part) => (part, true),
            None => (line, false),
        };
        match lines.last_mut() {
            Some(last) if continues => last.push_str(part),
            _ => lines.push(part.to_owned()),
        }
        continues = more;
    }
    lines
}

/// The words of a line as a shell has them, each operator a word of its own; without its comment.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for char in line.chars() {
        match (char, quote) {
            (_, Some(end)) if char == end => quote = None,
            (_, Some(_)) => word.get_or_insert_default().push(char),
            ('\'' | '"', None) => {
                quote = Some(char);
                word.get_or_insert_default();
            }
            ('#', None) if word.is_none() => break,
            (' ', None) => words.extend(word.take()),
            ('|' | '&' | '>' | '<' | ';' | '(' | ')', None) => {
                words.extend(word.take());
                words.push(char.to_string());
            }
            _ => word.get_or_insert_default().push(char),
        }
    }
    words.extend(word);
    words
}

/// The commands of ours in a line, each from its name to the next operator.
fn commands(line: &str) -> Vec<Vec<String>> {
    let mut found: Vec<Vec<String>> = Vec::new();
    let mut is_open = false;
    for word in words(line) {
        let name = word.rsplit('/').next().unwrap_or_default();
        if ["dht", "dht_server"].contains(&name) && !is_open {
            found.push(vec![name.to_owned()]);
            is_open = true;
        } else if word.len() == 1 && "|&><;()".contains(&word) {
            is_open = false;
        } else if is_open {
            found.last_mut().unwrap().push(word);
        }
    }
    // As `cargo run --bin dht -- …` has them.
    for command in &mut found {
        command.retain(|word| word != "--");
    }
    found
}

fn parse(words: &[String]) -> Result<(), String> {
    let command: Command = match words[0].as_str() {
        "dht" => arguments::command::<voiddht_cli::commands::Arguments>(),
        _ => arguments::command::<voiddht_cli::server::args::Arguments>(),
    };
    match command.try_get_matches_from(words) {
        Ok(_) => Ok(()),
        Err(error) if error.use_stderr() => Err(format!("{words:?}: {error}")),
        Err(_) => Ok(()),
    }
}

#[test]
fn every_command_of_the_pages_is_understood() {
    let mut seen = 0;
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        for line in shell_lines(&text) {
            // Installs the programs: no command of theirs.
            if line.starts_with("cargo install") || line.starts_with("docker ") {
                continue;
            }
            for command in commands(&line) {
                seen += 1;
                parse(&command).unwrap_or_else(|error| panic!("{}: {error}", page.display()));
            }
        }
    }
    assert!(seen > 25, "only {seen}");
}

#[test]
fn what_is_no_command_is_found_out() {
    let check = |line: &str| commands(line).iter().map(|one| parse(one)).collect::<Vec<_>>();
    assert!(check("key=$(dht put --content-addressed --file 'a b.jpg')   # the key")[0].is_ok());
    assert!(check("dht put --no-such-option a b")[0].is_err());
    assert!(check("VOIDDHT_PEER=a:1 target/release/dht_server --modul-port 1 &")[0].is_err());
    assert_eq!(check("dht get a > b; dht status | less # dht nothing").len(), 2);
    assert!(check("cargo build").is_empty());
}
