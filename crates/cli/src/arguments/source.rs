//! Where the value of an option comes from.

use std::fmt;
use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches};

use super::file::{FileSettings, SECTION};

/// Where the values of a program's options come from.
#[derive(Clone, Debug)]
pub struct Sources {
    matches: ArgMatches,
    file: Option<FileSettings>,
}

/// Where one value comes from, the strongest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The command line.
    CommandLine,
    /// The variable of this name.
    Variable(String),
    /// The configuration file.
    File {
        /// Which.
        path: PathBuf,
        /// Its line, from 1.
        line: usize,
    },
    /// The definition.
    Default,
    /// Not set, and without a default.
    Unset,
}

impl Sources {
    pub(super) fn new(matches: ArgMatches, file: Option<FileSettings>) -> Self {
        Self { matches, file }
    }

    /// Where the value of an option of the program itself comes from.
    pub fn of(&self, option: &Arg) -> Source {
        let id = option.get_id().as_str();
        match self.matches.value_source(id) {
            Some(ValueSource::CommandLine) => Source::CommandLine,
            Some(ValueSource::EnvVariable) => {
                let name = option.get_env().unwrap_or_default();
                Source::Variable(name.to_string_lossy().into_owned())
            }
            // What the file sets was made the default.
            Some(_) => self.in_file(id).unwrap_or(Source::Default),
            None => Source::Unset,
        }
    }

    /// Whether an option or a position, by its ID, was on the command line.
    pub fn is_typed(&self, id: &str) -> bool {
        self.matches.value_source(id) == Some(ValueSource::CommandLine)
    }

    /// Whether an option of the command below that was chosen was on the command line.
    pub fn is_typed_below(&self, id: &str) -> bool {
        let mut matches = &self.matches;
        while let Some((_, below)) = matches.subcommand() {
            matches = below;
        }
        // Not every command has every option.
        matches.try_contains_id(id).is_ok_and(|has_it| has_it)
            && matches.value_source(id) == Some(ValueSource::CommandLine)
    }

    /// Whether an option, by its ID, was set anywhere: on the command line, in the environment or in
    /// the configuration file.
    pub fn is_set(&self, id: &str) -> bool {
        match self.matches.value_source(id) {
            Some(ValueSource::CommandLine | ValueSource::EnvVariable) => true,
            Some(_) => self.in_file(id).is_some(),
            None => false,
        }
    }

    /// The words that an option or a position was given, by its ID: several with commas between
    /// them.
    pub fn words(&self, id: &str) -> String {
        let words = self.matches.get_raw(id).into_iter().flatten();
        let words: Vec<_> = words.map(|word| word.to_string_lossy().trim().to_owned()).collect();
        words.join(",")
    }

    fn in_file(&self, id: &str) -> Option<Source> {
        let file = self.file.as_ref()?;
        let (_, line) = file.get(SECTION, id)?;
        Some(Source::File { path: file.path().to_owned(), line })
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CommandLine => f.write_str("command line"),
            Self::Variable(name) => f.write_str(name),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Default => f.write_str("default"),
            Self::Unset => f.write_str("not set"),
        }
    }
}
