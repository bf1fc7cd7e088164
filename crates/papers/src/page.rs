//! A man page as it is written: sections, text, tagged paragraphs. Its form is what mandoc's lint
//! wants: a line of input is short, and nothing stands in it for the eye alone.
//!
//! In text that is filled, what stands between backticks becomes bold.

use roff::{Inline, Roff, bold, roman};

/// The name of the whole, as it stands at the top of each page.
const MANUAL: &str = "voiddht";
/// Bytes of a line of input, before escapes; lint frowns on 80 after them.
const LINE_BYTES: usize = 64;

/// A page in progress.
pub(crate) struct Page {
    roff: Roff,
    /// Whether text hangs from a tag.
    is_hanging: bool,
}

impl Page {
    pub(crate) fn new(title: &str, section: &str, date: &str) -> Self {
        let mut roff = Roff::new();
        let source = format!("{MANUAL} {}", env!("CARGO_PKG_VERSION"));
        roff.control("TH", [title.to_uppercase().as_str(), section, date, &source, MANUAL]);
        Self { roff, is_hanging: false }
    }

    pub(crate) fn section(&mut self, name: &str) {
        self.roff.control("SH", [name]);
        self.is_hanging = false;
    }

    /// The beginning of a paragraph that hangs from this.
    pub(crate) fn tagged(&mut self, tag: Vec<Inline>) {
        self.roff.control("TP", []);
        self.is_hanging = true;
        self.roff.text(tag);
    }

    /// Breaks the line.
    pub(crate) fn next_line(&mut self) {
        self.roff.control("br", []);
    }

    /// Text that is filled.
    pub(crate) fn text(&mut self, text: &str) {
        let (mut line, mut bytes) = (Vec::new(), 0);
        let mut follows_blank = false;
        for (index, part) in text.split('`').enumerate() {
            follows_blank |= part.starts_with(char::is_whitespace);
            for word in part.split_whitespace() {
                if follows_blank && bytes + word.len() > LINE_BYTES {
                    self.roff.text(std::mem::take(&mut line));
                    bytes = 0;
                } else if follows_blank && !line.is_empty() {
                    line.push(roman(" "));
                }
                line.push(if index % 2 == 1 { bold(word) } else { roman(word) });
                bytes += word.len() + 1;
                follows_blank = true;
            }
            follows_blank = part.is_empty() && follows_blank || part.ends_with(char::is_whitespace);
        }
        self.roff.text(line);
    }

    /// Text in paragraphs, separated by empty lines.
    pub(crate) fn paragraphs(&mut self, text: &str) {
        for (index, paragraph) in text.split("\n\n").enumerate() {
            if index > 0 {
                self.roff.control(if self.is_hanging { "IP" } else { "PP" }, []);
            }
            self.text(paragraph);
        }
    }

    /// Lines as they are.
    pub(crate) fn lines<'a>(&mut self, lines: impl IntoIterator<Item = &'a str>) {
        self.roff.control("nf", []);
        for line in lines {
            self.roff.text([roman(line)]);
        }
        self.roff.control("fi", []);
    }

    pub(crate) fn finish(self) -> anyhow::Result<Vec<u8>> {
        let mut page = Vec::new();
        self.roff.to_writer(&mut page)?;
        Ok(page)
    }
}
