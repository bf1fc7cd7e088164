//! One man page for each program and each command.

use anyhow::Context;
use clap::builder::PossibleValue;
use clap::{Arg, Command};
use roff::{Inline, bold, italic, roman};
use time::OffsetDateTime;

use crate::page::Page;

/// Which pages belong together.
const SEE_ALSO: &str = "dht(1), dht_server(8), voiddht.conf(5)";

/// How the page of a command is called.
pub(crate) fn title(command: &Command) -> &str {
    command.get_display_name().unwrap_or_else(|| command.get_name())
}

/// The page of a command.
pub(crate) fn page(command: &Command, section: &str, date: &str) -> anyhow::Result<Vec<u8>> {
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let mut page = Page::new(title(command), section, date);
    page.section("NAME");
    page.text(&format!("{} - {about}", title(command)));
    page.section("SYNOPSIS");
    let usage = command.clone().render_usage().to_string();
    let forms = usage.trim_start_matches("Usage: ").lines().map(str::trim);
    page.lines(forms);
    page.section("DESCRIPTION");
    let description = command.get_long_about().map_or(about, ToString::to_string);
    page.paragraphs(&description);
    add_options(&mut page, command);
    add_commands(&mut page, command);
    if let Some(text) = command.get_after_help() {
        add_afterword(&mut page, &text.to_string());
    }
    page.section("SEE ALSO");
    page.text(SEE_ALSO);
    page.finish()
}

/// Positions first, then options under their headings, in the order of their definition.
fn add_options(page: &mut Page, command: &Command) {
    let shown: Vec<_> = command.get_arguments().filter(|option| !option.is_hide_set()).collect();
    let mut headings: Vec<Option<&str>> = Vec::new();
    for option in &shown {
        if !headings.contains(&heading(option)) {
            headings.push(heading(option));
        }
    }
    for wanted in headings {
        page.section(&wanted.unwrap_or("Options").to_uppercase());
        for option in shown.iter().filter(|option| heading(option) == wanted) {
            page.tagged(tag(option));
            page.paragraphs(&help(option));
            add_choices(page, option);
            for source in sources(option) {
                page.next_line();
                page.text(&source);
            }
        }
    }
}

fn heading(option: &Arg) -> Option<&str> {
    match option.is_positional() {
        true => Some("Arguments"),
        false => option.get_help_heading(),
    }
}

fn tag(option: &Arg) -> Vec<Inline> {
    let mut tag = Vec::new();
    if let Some(short) = option.get_short() {
        tag.extend([bold(format!("-{short}")), roman(", ")]);
    }
    tag.extend(option.get_long().map(|long| bold(format!("--{long}"))));
    let takes_values = option.get_action().takes_values();
    for value in option.get_value_names().filter(|_| takes_values).unwrap_or_default() {
        if !tag.is_empty() {
            tag.push(roman(" "));
        }
        tag.push(italic(value.as_str()));
    }
    tag
}

fn help(option: &Arg) -> String {
    let help = option.get_long_help().or(option.get_help());
    help.map(ToString::to_string).unwrap_or_default()
}

fn add_choices(page: &mut Page, option: &Arg) {
    let choices = option.get_possible_values();
    let choices: Vec<&PossibleValue> =
        choices.iter().filter(|choice| !choice.is_hide_set()).collect();
    if choices.is_empty() || !option.get_action().takes_values() {
        return;
    }
    page.next_line();
    if choices.iter().any(|choice| choice.get_help().is_some()) {
        for (index, choice) in choices.iter().enumerate() {
            if index > 0 {
                page.next_line();
            }
            let meaning = choice.get_help().map(ToString::to_string).unwrap_or_default();
            page.text(&format!("`{}`: {meaning}", choice.get_name()));
        }
    } else {
        let names: Vec<_> =
            choices.iter().map(|choice| format!("`{}`", choice.get_name())).collect();
        page.text(&format!("One of {}.", names.join(", ")));
    }
}

/// Where else it can be set, and its default.
fn sources(option: &Arg) -> Vec<String> {
    let variable =
        option.get_env().map(|name| format!("Environment: `{}`.", name.to_string_lossy()));
    let defaults = option.get_default_values().iter().map(|word| word.to_string_lossy());
    let defaults: Vec<_> = defaults.filter(|_| option.get_action().takes_values()).collect();
    let default = (!defaults.is_empty()).then(|| format!("Default: `{}`.", defaults.join(",")));
    default.into_iter().chain(variable).collect()
}

fn add_commands(page: &mut Page, command: &Command) {
    let mut commands = command.get_subcommands().filter(|below| !below.is_hide_set()).peekable();
    if commands.peek().is_none() {
        return;
    }
    page.section("COMMANDS");
    for below in commands {
        page.tagged(vec![bold(title(below)), roman("(1)")]);
        page.paragraphs(&below.get_about().map(ToString::to_string).unwrap_or_default());
    }
}

/// What stands below the options in the help: `Heading:` with indented lines becomes a section,
/// set line by line; other lines are text.
fn add_afterword(page: &mut Page, text: &str) {
    for paragraph in text.split("\n\n") {
        match paragraph.split_once(":\n") {
            Some((heading, lines)) if lines.starts_with(' ') => {
                page.section(&heading.to_uppercase());
                page.lines(lines.lines().map(|line| line.strip_prefix("  ").unwrap_or(line)));
            }
            _ => {
                page.section("NOTES");
                page.text(paragraph);
            }
        }
    }
}

/// The date of the pages, `YYYY-MM-DD`: that of the source where the builder knows it, as
/// reproducible builds do, or today.
pub(crate) fn date(source_date_epoch: Option<&str>) -> anyhow::Result<String> {
    let seconds = match source_date_epoch {
        Some(text) => text.parse::<i64>().context("SOURCE_DATE_EPOCH is not a number")?,
        None => {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
            i64::try_from(now.as_secs())?
        }
    };
    Ok(OffsetDateTime::from_unix_timestamp(seconds)?.date().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, expected) in [
            ("0", "1970-01-01"),
            ("951782399", "2000-02-28"),
            ("951782400", "2000-02-29"),
            ("951868800", "2000-03-01"),
            ("1798761599", "2026-12-31"),
            ("4107542400", "2100-03-01"),
        ] {
            assert_eq!(date(Some(seconds)).unwrap(), expected);
        }
        assert!(date(Some("soon")).is_err());
        assert_eq!(date(None).unwrap().len(), 10);
    }
}
