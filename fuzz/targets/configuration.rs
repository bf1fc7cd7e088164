//! Configuration files, read for both programs. A mistake has its line and is one line of text; what
//! is taken, clap takes too.

#![no_main]

use std::cell::OnceCell;
use std::path::Path;

use clap::Command;
use libfuzzer_sys::fuzz_target;
use voiddht_cli::arguments::ini::{Ini, Mistake};
use voiddht_cli::arguments::{self, Program, SECTION};
use voiddht_cli::{commands, server};

thread_local! {
    // Building them takes longer than reading a file.
    static DAEMON: OnceCell<Command> = const { OnceCell::new() };
    static TOOL: OnceCell<Command> = const { OnceCell::new() };
}

fuzz_target!(|data: &[u8]| {
    let Ok(text) = str::from_utf8(data) else { return };
    let lines = text.lines().count();
    let file = match Ini::parse(Path::new("f"), text) {
        Ok(file) => file,
        Err(mistake) => return check_mistake(&mistake, lines),
    };
    assert!(file.lines.iter().all(|line| (1..=lines).contains(&line.number)));
    DAEMON
        .with(|daemon| settings::<server::args::Arguments>(&file, daemon, &["dht_server"], lines));
    TOOL.with(|tool| settings::<commands::Arguments>(&file, tool, &["dht", "get", "key"], lines));
});

fn settings<T: Program>(file: &Ini, command: &OnceCell<Command>, words: &[&str], lines: usize) {
    let command = command.get_or_init(arguments::command::<T>);
    match T::file_settings(file, command) {
        Ok(settings) => {
            let command = settings.apply(SECTION, command.clone());
            let taken = command.try_get_matches_from(words);
            assert!(taken.is_ok(), "a value that was checked is refused: {taken:?}");
        }
        Err(mistake) => check_mistake(&mistake, lines),
    }
}

fn check_mistake(mistake: &Mistake, lines: usize) {
    // A file without the section of the program has no line to name.
    assert!(mistake.line.is_none_or(|line| (1..=lines.max(1)).contains(&line)));
    let text = mistake.to_string();
    assert!(!text.contains(char::is_control), "more than a line: {text:?}");
}
