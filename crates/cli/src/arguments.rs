//! From the command line to checked values.
//!
//! What each program understands is defined with clap beside what it does; here a mistake
//! becomes one line that says what would be right. Every option can also be set by the
//! environment; the command line wins.

mod complaint;
pub mod values;

use std::ffi::OsString;

use clap::error::ErrorKind;
use clap::{ArgMatches, Command, CommandFactory, FromArgMatches};

use crate::outcome::Failure;

/// What was typed.
#[derive(Debug)]
pub enum Typed<T> {
    /// Arguments, and where each of them comes from.
    Arguments(T, ArgMatches),
    /// The caller wanted the help or the version, and has it now.
    Answered,
}

/// Reads the arguments of a program, whose name is the first of them.
///
/// # Errors
/// [`Failure::Usage`] with one line for the first mistake.
pub fn parse<T: CommandFactory + FromArgMatches>(
    arguments: impl IntoIterator<Item = OsString>,
) -> Result<Typed<T>, Failure> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let mut command = names_only(T::command());
    // Commands build their arguments when they are used; a complaint may look at all of them.
    command.build();
    let matched = command.try_get_matches_from_mut(arguments.iter());
    match matched.and_then(|matches| Ok((T::from_arg_matches(&matches)?, matches))) {
        Ok((typed, matches)) => Ok(Typed::Arguments(typed, matches)),
        Err(help) if matches!(help.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            // Standard output, with colour where it is wanted; a closed one is no error.
            let _ = help.print();
            Ok(Typed::Answered)
        }
        Err(error) => Err(Failure::Usage(complaint::one_line(&error, &command, &arguments))),
    }
}

/// Shows the names of variables without their values: those would end up in pasted help texts.
fn names_only(command: Command) -> Command {
    command.mut_args(|argument| argument.hide_env_values(true)).mut_subcommands(names_only)
}
