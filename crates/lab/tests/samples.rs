//! README and docs against the repository: the programs accept every command, links resolve, and the
//! paths of the code map exist. (Samples in Rust are doctests of the crate `voiddht`.)

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::path::{Path, PathBuf};

use clap::Command;
use voiddht_cli::arguments;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The README and every page of docs/.
fn pages() -> Vec<PathBuf> {
    let root = root();
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
        if ["dht", "dht_server", "dht-lab"].contains(&name) && !is_open {
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
        "dht-lab" => arguments::command::<voiddht_lab::Arguments>(),
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

/// Every Markdown file of the repository; build output and hidden directories are skipped.
fn markdown(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        let (path, name) = (entry.path(), entry.file_name());
        let is_skipped = name.to_string_lossy().starts_with('.')
            || ["target", "corpus", "artifacts"].iter().any(|skipped| name == *skipped);
        if entry.file_type().unwrap().is_dir() {
            if !is_skipped {
                markdown(&path, found);
            }
        } else if path.extension().is_some_and(|extension| extension == "md") {
            found.push(path);
        }
    }
}

/// A page without its code blocks and code spans.
fn prose(text: &str) -> String {
    let mut is_code = false;
    let lines = text.lines().filter(|line| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    });
    let text = lines.collect::<Vec<_>>().join("\n");
    // A span ends with its paragraph at the latest.
    let paragraphs = text.split("\n\n").map(|text| text.split('`').step_by(2).collect::<String>());
    paragraphs.collect::<Vec<_>>().join("\n\n")
}

/// The targets of the links and images of a page.
fn links(text: &str) -> Vec<String> {
    let text = prose(text);
    let targets = text.split("](").skip(1);
    targets.map(|rest| rest.split(')').next().unwrap().to_owned()).collect()
}

/// The anchors of a page, as GitHub derives them from headings.
fn anchors(text: &str) -> Vec<String> {
    let mut is_code = false;
    let headings = text.lines().filter(|line| {
        is_code ^= line.trim_start().starts_with("```");
        !is_code && line.starts_with('#')
    });
    let anchor = |heading: &str| {
        let kept = heading.trim_start_matches('#').trim().chars().filter_map(|char| match char {
            ' ' => Some('-'),
            '-' | '_' => Some(char),
            _ => char.is_alphanumeric().then_some(char),
        });
        kept.collect::<String>().to_lowercase()
    };
    headings.map(anchor).collect()
}

/// What is wrong with a link of a page, if anything.
fn broken(page: &Path, link: &str) -> Option<String> {
    let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
    let target = match file {
        "" => page.to_owned(),
        file => page.parent().unwrap().join(file),
    };
    if !target.exists() {
        return Some(format!("{}: {link} does not exist", page.display()));
    }
    let is_found = anchor.is_empty()
        || anchors(&fs::read_to_string(&target).unwrap()).iter().any(|one| one == anchor);
    (!is_found).then(|| format!("{}: {link} has no such heading", page.display()))
}

#[test]
fn every_relative_link_resolves() {
    let (mut files, mut seen, mut wrong) = (Vec::new(), 0, Vec::new());
    markdown(&root(), &mut files);
    for page in files {
        for link in links(&fs::read_to_string(&page).unwrap()) {
            if !link.contains("://") && !link.starts_with("mailto:") {
                seen += 1;
                wrong.extend(broken(&page, &link));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(seen > 50, "only {seen}");
}

#[test]
fn broken_links_are_found() {
    let page = root().join("README.md");
    assert_eq!(broken(&page, "docs/operating.md#limits"), None);
    assert!(broken(&page, "docs/operating.md#no-such-heading").is_some());
    assert!(broken(&page, "docs/no-such-page.md").is_some());
    let text =
        "# A `b`, c?\n[x](y.md)\n```\n[not](this)\n# nor this\n```\n`[nor](that)` [`z`](#a-b-c)";
    assert_eq!(links(text), ["y.md", "#a-b-c"]);
    assert_eq!(anchors(text), ["a-b-c"]);
}

/// Paths may be relative to the root or to `crates/`.
#[test]
fn every_path_of_the_architecture_exists() {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let is_path = |span: &&str| {
        let is_plain = |char: char| char.is_ascii_alphanumeric() || "._/-".contains(char);
        let is_named = span.contains('/') || span.ends_with(".rs") || span.ends_with(".md");
        // The protocol's name.
        is_named && !span.starts_with('/') && span.chars().all(is_plain) && *span != "voiddht/1"
    };
    let paths: Vec<&str> =
        text.lines().flat_map(|line| line.split('`').skip(1).step_by(2)).filter(is_path).collect();
    assert!(paths.len() > 80, "only {}", paths.len());
    for path in paths {
        let exists = [root(), root().join("crates")].iter().any(|base| base.join(path).exists());
        assert!(exists, "ARCHITECTURE.md: {path} does not exist");
    }
}
