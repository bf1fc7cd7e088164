//! Parser of configuration files: sections, keys and values, each with its line.
//!
//! One line is one thing, so that a mistake has a line and no line can swallow the next. Which
//! keys there are is known elsewhere.
//!
//! ```text
//! hostkey = /etc/hostkey.pem      ; before the first section: for all modules
//! [dht]
//! api_address = 127.0.0.1:7401    # a comment
//! data-dir = "/srv/a # b"         # quotes keep what would be a comment
//! ```

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Bytes of a file that are looked at. A configuration has a few thousand; what is larger was
/// named by mistake.
const MAX_BYTES: u64 = 1 << 20;

/// A configuration file that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ini {
    /// The file.
    pub path: PathBuf,
    /// Its lines that say something, in order.
    pub lines: Vec<Line>,
}

/// A line that says something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its number, from 1.
    pub number: usize,
    /// The section that it is in, in the spelling of the file; `None` before the first.
    pub section: Option<String>,
    /// What it says, or what is wrong with it: in another program's section, errors are ignored.
    pub content: Result<Content, Fault>,
}

/// What a line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// `[name]`; the line is the first one of its own section.
    Section,
    /// `key = value`
    Entry {
        /// What stands before the equals sign.
        key: String,
        /// What stands after it, without quotes and comment.
        value: String,
    },
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Neither a section, nor a key with a value.
    #[error("{0:?} has no value: a line is KEY = VALUE, [SECTION] or a comment")]
    NoEquals(String),
    /// An equals sign with nothing before it.
    #[error("there is no key before the equals sign")]
    NoKey,
    /// A section whose bracket is not closed, or with text behind it.
    #[error("a section is a line of its own: [NAME]")]
    Section,
    /// A quote that is not closed, or with text behind it.
    #[error("the value begins with a quote that does not end it")]
    Quote,
    /// A backslash at the end.
    #[error("a backslash at the end does not continue a line: a value ends with its line")]
    Continued,
    /// A lone carriage return, or another character that cannot be seen.
    #[error("there is a character in it that cannot be seen: {0:?}")]
    Unseen(char),
}

/// A mistake in a file, and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The file.
    pub path: PathBuf,
    /// The line, from 1; `None` if it is the whole file.
    pub line: Option<usize>,
    /// What is wrong.
    pub text: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.path.display())?;
        if let Some(line) = self.line {
            write!(f, "{line}:")?;
        }
        write!(f, " {}", self.text)
    }
}

impl Ini {
    /// Reads a file.
    ///
    /// # Errors
    /// [`Mistake`] if it cannot be read, is no text, or begins with a byte order mark. Faults of
    /// single lines are kept with the line.
    pub fn read(path: &Path) -> Result<Self, Mistake> {
        let mut bytes = Vec::new();
        let read =
            File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes));
        let whole = |text: String| Mistake { path: path.to_owned(), line: None, text };
        read.map_err(|error: io::Error| whole(error.to_string()))?;
        if bytes.len() as u64 > MAX_BYTES {
            return Err(whole(format!("more than {MAX_BYTES} bytes are no configuration")));
        }
        let text = str::from_utf8(&bytes).map_err(|error| {
            let before = &bytes[..error.valid_up_to()];
            let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
            Mistake { path: path.to_owned(), line: Some(line), text: "not UTF-8".to_owned() }
        })?;
        Self::parse(path, text)
    }

    /// Takes a text apart.
    ///
    /// # Errors
    /// [`Mistake`] if it begins with a byte order mark.
    pub fn parse(path: &Path, text: &str) -> Result<Self, Mistake> {
        if text.starts_with('\u{feff}') {
            return Err(Mistake {
                path: path.to_owned(),
                line: Some(1),
                text: "the file begins with a byte order mark: save it as UTF-8 without one".into(),
            });
        }
        let mut lines: Vec<Line> = Vec::new();
        let mut section = None;
        for (index, text) in text.lines().enumerate() {
            let Some(content) = content(text.trim()) else { continue };
            let content = content.map(|piece| match piece {
                Piece::Section(name) => {
                    section = Some(name.to_owned());
                    Content::Section
                }
                Piece::Entry { key, value } => {
                    Content::Entry { key: key.to_owned(), value: value.to_owned() }
                }
            });
            lines.push(Line { number: index + 1, section: section.clone(), content });
        }
        Ok(Self { path: path.to_owned(), lines })
    }

    /// A mistake in a line of this file.
    pub fn mistake(&self, line: usize, text: impl Into<String>) -> Mistake {
        // What is quoted from the file must not break the line, nor move the cursor.
        let text = text.into().replace(char::is_control, "\u{fffd}");
        Mistake { path: self.path.clone(), line: Some(line), text }
    }
}

enum Piece<'a> {
    Section(&'a str),
    Entry { key: &'a str, value: &'a str },
}

/// What a line says; `None` if nothing.
fn content(line: &str) -> Option<Result<Piece<'_>, Fault>> {
    if line.is_empty() || line.starts_with(['#', ';']) {
        return None;
    }
    if let Some(unseen) = line.chars().find(|char| char.is_control() && *char != '\t') {
        return Some(Err(Fault::Unseen(unseen)));
    }
    if let Some(rest) = line.strip_prefix('[') {
        let section = rest.split_once(']').filter(|(_, rest)| without_comment(rest).is_empty());
        return Some(match section {
            Some((name, _)) => Ok(Piece::Section(name.trim())),
            None => Err(Fault::Section),
        });
    }
    let Some((key, value)) = line.split_once('=') else {
        return Some(Err(Fault::NoEquals(without_comment(line).to_owned())));
    };
    let key = key.trim();
    if key.is_empty() {
        return Some(Err(Fault::NoKey));
    }
    Some(unquoted(value.trim()).map(|value| Piece::Entry { key, value }))
}

fn unquoted(value: &str) -> Result<&str, Fault> {
    if let Some(quote) = value.chars().next().filter(|first| ['"', '\''].contains(first)) {
        let (inner, rest) = value[1..].split_once(quote).ok_or(Fault::Quote)?;
        return without_comment(rest).is_empty().then_some(inner).ok_or(Fault::Quote);
    }
    let value = without_comment(value);
    if value.ends_with('\\') { Err(Fault::Continued) } else { Ok(value) }
}

/// A comment within a line begins with a blank before its sign, so that a value may contain it.
fn without_comment(text: &str) -> &str {
    let mut before = ' ';
    let start = text.char_indices().find(|(_, char)| {
        let begins = ['#', ';'].contains(char) && before.is_whitespace();
        before = *char;
        begins
    });
    text[..start.map_or(text.len(), |(index, _)| index)].trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<Line> {
        Ini::parse(Path::new("f"), text).unwrap().lines
    }

    /// Number, section, key and value of each entry.
    fn entries(text: &str) -> Vec<(usize, Option<String>, String, String)> {
        let entries = lines(text).into_iter().filter_map(|line| match line.content.unwrap() {
            Content::Entry { key, value } => Some((line.number, line.section, key, value)),
            Content::Section => None,
        });
        entries.collect()
    }

    fn fault(line: &str) -> Fault {
        lines(line)[0].content.clone().unwrap_err()
    }

    #[test]
    fn each_entry_has_its_section_and_its_line() {
        let text =
            "hostkey = /k.pem\n\n# c\n[dht] ; the module\r\n a = 1\r\n; c\nb=2\n[ nse ]\nc =";
        let own = |text: &str| text.to_owned();
        assert_eq!(
            entries(text),
            [
                (1, None, own("hostkey"), own("/k.pem")),
                (5, Some(own("dht")), own("a"), own("1")),
                (7, Some(own("dht")), own("b"), own("2")),
                (9, Some(own("nse")), own("c"), own("")),
            ]
        );
    }

    #[test]
    fn comments_and_quotes_end_where_one_expects() {
        for (line, value) in [
            ("a = 1 # c", "1"),
            ("a = 1\t; c", "1"),
            ("a = x#y;z", "x#y;z"),
            ("a = # c", ""),
            ("a = \"x # y\" # c", "x # y"),
            ("a = 'x \" y'", "x \" y"),
            ("a = x\"y", "x\"y"),
            ("a = \"\"", ""),
            ("a = b = c", "b = c"),
            ("a = [::1]:7402, [::2]:7402", "[::1]:7402, [::2]:7402"),
            ("a = ä ; c", "ä"),
        ] {
            assert_eq!(entries(line)[0].3, value, "{line}");
        }
    }

    #[test]
    fn what_other_readers_join_is_a_fault_of_its_line() {
        assert_eq!(fault("bare\na = 1"), Fault::NoEquals("bare".to_owned()));
        assert_eq!(fault("a = b\\\nc = d"), Fault::Continued);
        assert_eq!(fault("a = b\rc = d"), Fault::Unseen('\r'));
        assert_eq!(fault("a\0 = b"), Fault::Unseen('\0'));
        assert_eq!(fault("= b"), Fault::NoKey);
        assert_eq!(fault("[dht"), Fault::Section);
        assert_eq!(fault("[dht] a = 1"), Fault::Section);
        assert_eq!(fault("a = \"b"), Fault::Quote);
        assert_eq!(fault("a = \"b\" c"), Fault::Quote);
    }

    #[test]
    fn a_byte_order_mark_and_what_is_no_text_are_refused() {
        let mistake = Ini::parse(Path::new("f"), "\u{feff}[dht]").unwrap_err();
        assert!(mistake.to_string().starts_with("f:1: the file begins with a byte order mark"));
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), b"[dht]\na = \xff").unwrap();
        assert_eq!(Ini::read(file.path()).unwrap_err().line, Some(2));
        std::fs::write(file.path(), vec![b'#'; MAX_BYTES as usize + 1]).unwrap();
        assert_eq!(Ini::read(file.path()).unwrap_err().line, None);
        assert!(Ini::read(Path::new("/nonexistent")).unwrap_err().text.contains("No such file"));
    }
}
