//! Maps the lines of a configuration file to options of a program.
//!
//! A section holds the options of one command under their long names, with dashes or underscores;
//! some keys have another name or set two options at once ([`Alias`]). Sections of other programs
//! are ignored, and so are lines before the first section. A setting becomes the default of its
//! option, so that the command line and the environment take precedence by clap's own rules. A file
//! without any section of ours is refused: a misspelled section would otherwise set nothing.

use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, Command};

use super::complaint;
use super::ini::{Content, Fault, Ini, Mistake};
use super::ports::{MODULE_PORT, P2P_PORT};

/// The section of a configuration file that is ours; the tool's commands have theirs below it.
pub const SECTION: &str = "dht";

/// What is asked once, and never set for good.
const QUESTIONS: &[&str] = &["help", "version", "config", "check", "health", "list"];

/// A key that is not the long name of one option.
#[derive(Clone, Copy, Debug)]
pub struct Alias {
    /// The key.
    pub key: &'static str,
    /// The long names of what it sets.
    pub sets: Sets,
}

/// What an alias sets, by the long names of options.
#[derive(Clone, Copy, Debug)]
pub enum Sets {
    /// `ADDRESS:PORT`, or the address alone.
    AddressAndPort(&'static str, &'static str),
    /// A list, its items separated by commas or blanks.
    List(&'static str),
}

/// What a file sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSettings {
    path: PathBuf,
    settings: Vec<Setting>,
}

/// One option that a file sets.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Setting {
    /// The section, which tells the command.
    section: String,
    /// The option's ID.
    option: String,
    /// Its value, as the command line would have it.
    value: String,
    /// The key in the file, as it is written there.
    key: String,
    line: usize,
}

impl FileSettings {
    /// Reads the options of a command from its section, and checks each value.
    ///
    /// # Errors
    /// The first [`Mistake`], in the order of the file.
    pub fn of_section(
        file: &Ini,
        section: &str,
        command: &Command,
        aliases: &[Alias],
    ) -> Result<Self, Mistake> {
        let mut reader = Reader { file, section, command, aliases, settings: Vec::new() };
        for line in &file.lines {
            let is_ours =
                line.section.as_ref().is_some_and(|name| name.eq_ignore_ascii_case(section));
            match &line.content {
                // Whose section follows such a line is unclear.
                Err(fault @ Fault::Section) => {
                    return Err(file.mistake(line.number, fault.to_string()));
                }
                Err(fault) if is_ours => return Err(file.mistake(line.number, fault.to_string())),
                Ok(Content::Entry { key, value }) if is_ours => {
                    reader.entry(line.number, key, value)?;
                }
                Ok(Content::Entry { key, .. }) if line.section.is_none() => {
                    reader.must_be_anothers(line.number, key)?;
                }
                Ok(_) | Err(_) => {}
            }
        }
        Ok(Self { path: file.path.clone(), settings: reader.settings })
    }

    /// Refuses a file that has no section of ours, neither `section` nor one below it: every option
    /// in it would be passed over in silence.
    ///
    /// # Errors
    /// [`Mistake`] with the section whose name is nearest.
    pub fn refuse_foreign(file: &Ini, section: &str) -> Result<(), Mistake> {
        let below = format!("{section}.");
        let sections = || {
            file.lines.iter().filter_map(|line| match (&line.content, &line.section) {
                (Ok(Content::Section), Some(name)) => Some((name, line.number)),
                _ => None,
            })
        };
        let is_ours = |name: &str| {
            let name = name.to_ascii_lowercase();
            name == section || name.starts_with(&below)
        };
        if sections().any(|(name, _)| is_ours(name)) {
            return Ok(());
        }
        let distance =
            |name: &str| strsim::damerau_levenshtein(&name.to_ascii_lowercase(), section);
        match sections().min_by_key(|(name, _)| distance(name)) {
            Some((name, line)) => Err(file.mistake(
                line,
                format!("there is no section [{section}]; the nearest name is [{name}]"),
            )),
            None => Err(Mistake {
                path: file.path.clone(),
                line: None,
                text: format!("there is no section [{section}]: put it before the options"),
            }),
        }
    }

    /// A file that sets nothing.
    pub fn none(path: &Path) -> Self {
        Self { path: path.to_owned(), settings: Vec::new() }
    }

    /// Adds what another section of the same file sets.
    pub fn extend(&mut self, other: Self) {
        self.settings.extend(other.settings);
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What a section sets an option to, and in which line.
    pub fn get(&self, section: &str, option: &str) -> Option<(&str, usize)> {
        let is_it = |setting: &&Setting| setting.section == section && setting.option == option;
        self.settings.iter().find(is_it).map(|setting| (setting.value.as_str(), setting.line))
    }

    /// Lets a section set an option by what stands elsewhere in the file, unless it does so
    /// itself.
    pub fn imply(&mut self, section: &str, option: &str, value: String, line: usize) {
        if self.get(section, option).is_none() {
            let key = option.to_owned();
            let (section, option) = (section.to_owned(), option.to_owned());
            self.settings.push(Setting { section, option, value, key, line });
        }
    }

    /// Makes what the file sets the defaults of a command and of those below it.
    pub fn apply(&self, section: &str, command: Command) -> Command {
        let command =
            command.mut_args(|option| match self.get(section, option.get_id().as_str()) {
                Some((value, _)) => option.default_value(value.to_owned()),
                None => option,
            });
        command.mut_subcommands(|below| {
            let section = format!("{section}.{}", below.get_name());
            self.apply(&section, below)
        })
    }
}

/// Whether an option of this command can be set for good.
pub fn is_setting(option: &Arg) -> bool {
    option.get_long().is_some_and(|name| !QUESTIONS.contains(&name))
}

struct Reader<'a> {
    file: &'a Ini,
    section: &'a str,
    command: &'a Command,
    aliases: &'a [Alias],
    settings: Vec<Setting>,
}

impl Reader<'_> {
    fn entry(&mut self, line: usize, key: &str, value: &str) -> Result<(), Mistake> {
        for (name, value) in self.meant(line, key, value)? {
            let option = self.option(name).ok_or_else(|| self.unknown(line, key))?;
            let id = option.get_id().as_str();
            if let Some(other) = self.settings.iter().find(|other| other.option == id) {
                let text = match other.key == key {
                    true => format!("{key} is set twice; first in line {}", other.line),
                    false => {
                        format!("{key} sets what {} in line {} has set", other.key, other.line)
                    }
                };
                return Err(self.file.mistake(line, text));
            }
            let value = checked(option, &value).map_err(|expected| {
                self.file.mistake(line, format!("{value:?} for {key}: {expected}"))
            })?;
            self.settings.push(Setting {
                section: self.section.to_owned(),
                option: id.to_owned(),
                value,
                key: key.to_owned(),
                line,
            });
        }
        Ok(())
    }

    /// The options that a key means, by their long names, and the value for each.
    fn meant<'k>(
        &self,
        line: usize,
        key: &'k str,
        value: &str,
    ) -> Result<Vec<(&'k str, String)>, Mistake> {
        let alias = self.aliases.iter().find(|alias| is_same(alias.key, key));
        Ok(match alias.map(|alias| alias.sets) {
            None => vec![(key, value.to_owned())],
            Some(Sets::AddressAndPort(address, port)) => {
                let (host, number) = address_and_port(value).ok_or_else(|| {
                    let usual = if port == "module-port" { MODULE_PORT } else { P2P_PORT };
                    let expected = format!(
                        "must be ADDRESS:PORT, like 192.0.2.1:{usual} or [2001:db8::1]:{usual}"
                    );
                    self.file.mistake(line, format!("{value:?} for {key}: {expected}"))
                })?;
                let port = number.map(|number| (port, number.to_owned()));
                std::iter::once((address, host.to_owned())).chain(port).collect()
            }
            Some(Sets::List(option)) => {
                let is_between = |char: char| char == ',' || char.is_whitespace();
                let items: Vec<_> =
                    value.split(is_between).filter(|item| !item.is_empty()).collect();
                vec![(option, items.join(","))]
            }
        })
    }

    fn option(&self, name: &str) -> Option<&Arg> {
        let names = |option: &Arg| {
            let aliases = option.get_all_aliases().unwrap_or_default();
            aliases.into_iter().chain(option.get_long()).any(|known| is_same(known, name))
        };
        self.command.get_arguments().find(|option| is_setting(option) && names(option))
    }

    fn known_keys(&self) -> impl Iterator<Item = &str> {
        let options = self.command.get_arguments().filter(|option| is_setting(option));
        options.filter_map(Arg::get_long).chain(self.aliases.iter().map(|alias| alias.key))
    }

    fn unknown(&self, line: usize, key: &str) -> Mistake {
        let asked = normal(key);
        if QUESTIONS.contains(&asked.as_str()) {
            let text = format!("{key} belongs on the command line, as --{asked}");
            return self.file.mistake(line, text);
        }
        let distance = |known: &&str| strsim::damerau_levenshtein(&normal(known), &asked);
        let nearest = self.known_keys().min_by_key(distance).unwrap_or_default();
        let section = self.section;
        self.file.mistake(
            line,
            format!("there is no key {key} in [{section}]; the nearest is {nearest}"),
        )
    }

    /// What stands before the first section is for all modules, unless only we know it: then its
    /// section was forgotten.
    fn must_be_anothers(&self, line: usize, key: &str) -> Result<(), Mistake> {
        if self.known_keys().any(|known| is_same(known, key)) {
            let section = self.section;
            let text = format!("{key} stands before any section; it belongs under [{section}]");
            return Err(self.file.mistake(line, text));
        }
        Ok(())
    }
}

/// Dashes and underscores are alike, and so are large and small letters.
fn is_same(known: &str, key: &str) -> bool {
    normal(known) == normal(key)
}

fn normal(key: &str) -> String {
    key.replace('_', "-").to_ascii_lowercase()
}

/// `ADDRESS`, `ADDRESS:PORT`, `[IPv6]`, `[IPv6]:PORT`, or an IPv6 address that stands alone.
fn address_and_port(text: &str) -> Option<(&str, Option<&str>)> {
    if let Some(rest) = text.strip_prefix('[') {
        let (address, rest) = rest.split_once(']')?;
        return match rest.strip_prefix(':') {
            Some(port) => Some((address, Some(port))),
            None => rest.is_empty().then_some((address, None)),
        };
    }
    match text.split_once(':') {
        Some((address, port)) if !port.contains(':') => Some((address, Some(port))),
        _ => Some((text, None)),
    }
}

/// A value as clap would take it from the command line.
///
/// # Errors
/// What was expected instead.
fn checked(option: &Arg, value: &str) -> Result<String, String> {
    let is_flag = !option.get_action().takes_values();
    // A flag alone is a yes; here it has a value, as in the environment.
    let alone = option.clone().env(None).action(match option.get_action() {
        ArgAction::SetTrue => ArgAction::Set,
        other => other.clone(),
    });
    let alone = if is_flag { alone.num_args(1) } else { alone };
    let command = Command::new("file").no_binary_name(true).disable_help_flag(true).arg(alone);
    let name = option.get_long().unwrap_or_default();
    match command.try_get_matches_from([format!("--{name}={value}")]) {
        Ok(_) => Ok(value.to_owned()),
        Err(error) => Err(complaint::expectation(&error)),
    }
}

#[cfg(test)]
mod tests;
