//! Parses arguments, environment and configuration file into checked values.
//!
//! The options of each program are defined once with clap, beside the code that uses them. Help,
//! man page, completions, keys of the configuration file and names of the variables are derived
//! from that definition, and an error is one line that says what is expected. The command line
//! takes precedence over the environment, then the file, then the default.
//!
//! `ini` parses the format of a file, `file` maps its keys, `source` records where a value came
//! from, `values` parses the types, `complaint` has the messages.

mod complaint;
pub mod file;
pub mod ini;
pub mod ports;
pub mod source;
pub mod values;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, CommandFactory, Error, FromArgMatches};

use self::file::FileSettings;
pub use self::file::SECTION;
use self::ini::{Ini, Mistake};
use self::source::Sources;
use crate::outcome::Failure;

/// How the names of all variables begin.
const VARIABLE_PREFIX: &str = "VOIDDHT_";

/// A program, by its arguments.
pub trait Program: CommandFactory + FromArgMatches {
    /// What a configuration file sets of it.
    ///
    /// # Errors
    /// The first [`Mistake`] in what it looks at.
    fn file_settings(file: &Ini, command: &Command) -> Result<FileSettings, Mistake>;
}

/// Where else options are set; every program has it. It has no short name, because some command
/// of the tool has another use for the letter.
#[derive(Clone, Debug, Args)]
pub struct Configuration {
    /// Read options from this file too
    ///
    /// An INI file with a section `[dht]`; voiddht.conf(5) lists its keys. The command line and the
    /// environment win over it.
    #[arg(long, env = "VOIDDHT_CONFIG", value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
}

/// What was said.
#[derive(Debug)]
pub enum Typed<T> {
    /// Arguments, and where each of them comes from.
    Arguments(T, Sources),
    /// The caller wanted the help or the version, and has it now.
    Answered,
}

/// Reads the arguments of a program, whose name is the first of them, with its environment and
/// its file.
///
/// # Errors
/// [`Failure::Usage`] with one line for the first mistake.
pub fn parse<T: Program>(
    arguments: impl IntoIterator<Item = OsString>,
) -> Result<Typed<T>, Failure> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let command = command::<T>();
    let Some(matches) = matched(&command, &arguments)? else { return Ok(Typed::Answered) };
    let path = matches.try_get_one::<PathBuf>("config").ok().flatten();
    let Some(path) = path else { return typed(matches, None) };
    let file = Ini::read(path).and_then(|file| T::file_settings(&file, &command));
    let settings = file.map_err(|mistake| Failure::Usage(mistake.to_string()))?;
    // Once more, now that the file's word is known. Its values are in order.
    let command = settings.apply(SECTION, self::command::<T>());
    match matched(&command, &arguments)? {
        Some(matches) => typed(matches, Some(settings)),
        None => Ok(Typed::Answered),
    }
}

/// The command of a program, with a variable for every option, and built: commands below have
/// all their arguments.
pub fn command<T: CommandFactory>() -> Command {
    let mut command = with_variables(T::command(), VARIABLE_PREFIX);
    command.build();
    command
}

fn matched(command: &Command, arguments: &[OsString]) -> Result<Option<ArgMatches>, Failure> {
    let asks =
        |error: &Error| matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    match without_empty_variables(command.clone()).try_get_matches_from(arguments.iter()) {
        Ok(matches) => Ok(Some(matches)),
        Err(error) if asks(&error) => {
            // The help names every variable, the empty ones too.
            let named = command.clone().try_get_matches_from(arguments.iter());
            let help = named.err().filter(asks).unwrap_or(error);
            // Standard output, with colour where it is wanted; a closed one is no error.
            let _ = help.print();
            Ok(None)
        }
        Err(error) => Err(complaint(&error, command, arguments)),
    }
}

/// Treats an empty variable as an unset one: `VOIDDHT_PEER=` in a file of variables, or a
/// compose file that passes on a variable which the caller did not set, means "no value".
fn without_empty_variables(command: Command) -> Command {
    let command = command.mut_args(|option| {
        let value = option.get_env().and_then(std::env::var_os);
        if value.is_some_and(|value| value.is_empty()) { option.env(None::<&str>) } else { option }
    });
    command.mut_subcommands(without_empty_variables)
}

fn typed<T: Program>(matches: ArgMatches, file: Option<FileSettings>) -> Result<Typed<T>, Failure> {
    let typed = T::from_arg_matches(&matches);
    let typed = typed.map_err(|error| complaint(&error, &command::<T>(), &[]))?;
    Ok(Typed::Arguments(typed, Sources::new(matches, file)))
}

fn complaint(error: &Error, command: &Command, arguments: &[OsString]) -> Failure {
    Failure::Usage(complaint::one_line(error, command, arguments))
}

/// Gives every option a variable: its own, or the prefix and its long name. A command below adds
/// its name to the prefix.
fn with_variables(command: Command, prefix: &str) -> Command {
    let command = command.mut_args(|option| with_variable(option, prefix));
    command.mut_subcommands(|below| {
        let prefix = format!("{prefix}{}_", upper(below.get_name()));
        with_variables(below, &prefix)
    })
}

fn with_variable(option: Arg, prefix: &str) -> Arg {
    // Help shows the name of a variable without its value: that would end up in pasted texts.
    let option = option.hide_env_values(true);
    let option = match option.get_action() {
        ArgAction::SetTrue => option.value_parser(values::yes_or_no),
        _ => option,
    };
    let name = option.get_long().filter(|_| file::is_setting(&option)).map(upper);
    match name {
        Some(name) if option.get_env().is_none() => option.env(format!("{prefix}{name}")),
        _ => option,
    }
}

fn upper(name: &str) -> String {
    name.replace('-', "_").to_ascii_uppercase()
}
