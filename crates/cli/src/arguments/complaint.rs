//! Error messages for wrong arguments, one line each.

use std::error::Error as _;
use std::ffi::{OsStr, OsString};

use clap::Command;
use clap::error::{ContextKind, ContextValue, Error, ErrorKind};

/// What was wrong, and what would be right.
pub(super) fn one_line(error: &Error, command: &Command, arguments: &[OsString]) -> String {
    let told = Told { error, command, arguments };
    match error.kind() {
        ErrorKind::ValueValidation => told.refused_value(),
        ErrorKind::InvalidValue => told.unknown_value(),
        ErrorKind::UnknownArgument => told.unknown_argument(),
        ErrorKind::InvalidSubcommand => told.unknown_command(),
        ErrorKind::MissingSubcommand => {
            let known = told.list(ContextKind::ValidSubcommand);
            format!("a command is missing, one of {known}; see --help")
        }
        ErrorKind::MissingRequiredArgument => {
            let missing = told.list(ContextKind::InvalidArg);
            format!("{missing} is missing; see --help")
        }
        ErrorKind::ArgumentConflict => {
            let (one, other) = (told.argument(), told.list(ContextKind::PriorArg));
            if one == other || other.is_empty() {
                format!("{one} can be given only once")
            } else {
                format!("{one} and {other} cannot be given together")
            }
        }
        _ => first_paragraph(error),
    }
}

/// What was expected instead of a value.
pub(super) fn expectation(error: &Error) -> String {
    let (command, arguments) = (&Command::new(""), &[]);
    let told = Told { error, command, arguments };
    match (error.kind(), told.list(ContextKind::ValidValue).as_str()) {
        (ErrorKind::ValueValidation, _) => told.expected(),
        (ErrorKind::InvalidValue, "") => "a value is needed".to_owned(),
        (ErrorKind::InvalidValue, known) => format!("must be one of {known}"),
        _ => first_paragraph(error),
    }
}

struct Told<'a> {
    error: &'a Error,
    command: &'a Command,
    arguments: &'a [OsString],
}

impl Told<'_> {
    fn refused_value(&self) -> String {
        let (value, expected) = (self.text(ContextKind::InvalidValue), self.expected());
        format!("{value:?} for {}: {expected}", self.origin())
    }

    fn expected(&self) -> String {
        self.error.source().map(ToString::to_string).unwrap_or_default()
    }

    fn unknown_value(&self) -> String {
        let known = self.list(ContextKind::ValidValue);
        let value = self.text(ContextKind::InvalidValue);
        match (value.as_str(), known.as_str()) {
            ("", "") => format!("{} needs a value", self.argument()),
            ("", known) => format!("{} needs a value, one of {known}", self.argument()),
            (value, known) => format!("{value:?} for {}: must be one of {known}", self.origin()),
        }
    }

    fn unknown_argument(&self) -> String {
        let argument = self.argument();
        match self.list(ContextKind::SuggestedArg).as_str() {
            "" if argument.starts_with('-') => {
                format!("there is no option {argument}; --help lists all")
            }
            "" => format!("{argument:?} is one argument too many; see --help"),
            similar => format!("there is no option {argument}, but there is {similar}"),
        }
    }

    fn unknown_command(&self) -> String {
        let command = self.text(ContextKind::InvalidSubcommand);
        match self.list(ContextKind::SuggestedSubcommand).as_str() {
            "" => format!("there is no command {command:?}; --help lists all"),
            similar => format!("there is no command {command:?}, but there is {similar}"),
        }
    }

    /// The option as the caller gave it: by its name, or by its environment variable.
    fn origin(&self) -> String {
        let argument = self.argument();
        let value = self.text(ContextKind::InvalidValue);
        let typed = self.arguments.iter().any(|typed| typed.to_string_lossy().contains(&value));
        let variable = self.variable(self.command, &argument);
        match variable {
            Some(variable) if !typed => variable.to_string_lossy().into_owned(),
            _ => argument,
        }
    }

    /// The variable of an option: of the command that was typed, for others have options of the
    /// same name.
    fn variable<'c>(&self, command: &'c Command, argument: &str) -> Option<&'c OsStr> {
        let typed = self.arguments.iter().skip(1);
        let command =
            typed.clone().find_map(|typed| command.find_subcommand(typed)).unwrap_or(command);
        let option = command.get_arguments().find(|known| known.to_string() == argument);
        option.and_then(clap::Arg::get_env)
    }

    fn argument(&self) -> String {
        self.list(ContextKind::InvalidArg)
    }

    fn text(&self, kind: ContextKind) -> String {
        match self.error.get(kind) {
            Some(ContextValue::String(text)) => text.clone(),
            _ => String::new(),
        }
    }

    fn list(&self, kind: ContextKind) -> String {
        match self.error.get(kind) {
            Some(ContextValue::String(text)) => text.clone(),
            Some(ContextValue::Strings(texts)) => texts.join(", "),
            Some(ContextValue::StyledStr(text)) => text.to_string(),
            _ => String::new(),
        }
    }
}

/// What clap would say, without its usage and in one line: for the kinds that these programs do
/// not bring about.
fn first_paragraph(error: &Error) -> String {
    let rendered = error.render().to_string();
    let paragraph = rendered.split("\n\n").next().unwrap_or(&rendered);
    let words: Vec<_> = paragraph.split_whitespace().collect();
    words.join(" ").trim_start_matches("error: ").to_owned()
}
