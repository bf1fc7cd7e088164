//! A configuration file to begin with: every key of the daemon, with what it is by default, and
//! commented out.

use std::fmt::Write;

use clap::{Arg, Command};
use voiddht_cli::arguments::SECTION;
use voiddht_cli::arguments::file::is_setting;

const HEAD: &str = "\
# Configuration of dht_server(8) and dht(1): see voiddht.conf(5) for each key.
#
# A key that is commented out shows its default, or the form of its value where it has none.
# `dht_server -c FILE --check` says what a node would run with, and where each value comes from.
";

/// The file.
pub(crate) fn file(daemon: &Command) -> String {
    let mut text = format!("{HEAD}\n[{SECTION}]\n");
    let mut last_heading = None;
    for option in daemon.get_arguments().filter(|option| is_setting(option)) {
        let heading = option.get_help_heading();
        if heading != last_heading {
            last_heading = heading;
            let heading = heading.unwrap_or_default();
            write_line(&mut text, &format!("\n# --- {heading} ---"));
        }
        let help = option.get_help().map(ToString::to_string).unwrap_or_default();
        write_line(&mut text, &format!("\n# {help}"));
        let name = option.get_long().unwrap_or_default();
        write_line(&mut text, &format!(";{name} = {}", value(option)));
    }
    text
}

/// The default; where there is none, what the help calls the value.
fn value(option: &Arg) -> String {
    if !option.get_action().takes_values() {
        return "no".to_owned();
    }
    let words = option.get_default_values().iter().map(|word| word.to_string_lossy().into_owned());
    let words: Vec<_> = words.collect();
    if !words.is_empty() {
        return words.join(",");
    }
    let names = option.get_value_names().unwrap_or_default();
    names.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(" ")
}

fn write_line(text: &mut String, line: &str) {
    writeln!(text, "{line}").expect("a string takes everything");
}
