//! Colours, wrapped lines, bars and small charts for people at a terminal. Where standard output is no
//! terminal, the words alone, a line for each statement; where NO_COLOR is set, without colours.

pub mod table;

use std::env;
use std::fmt::Display;
use std::io::IsTerminal;

use anstream::adapter::strip_str;
use anstream::stream::RawStream;
use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};

/// The width of a terminal that does not say how wide it is, and of output that is no terminal.
const USUAL_WIDTH: usize = 80;
/// A terminal that is narrower is written to as if it were this wide.
const LEAST_WIDTH: usize = 40;

/// Whether words are coloured, and how long their lines are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paint {
    colours: bool,
    /// The width at which lines are wrapped; `None` leaves them as they are.
    width: Option<usize>,
}

/// What a colour says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// As it should be.
    Well,
    /// To be looked at.
    Warning,
    /// Wrong.
    Bad,
    /// Of less weight.
    Faint,
    /// Of more weight.
    Strong,
}

impl Tone {
    fn style(self) -> Style {
        match self {
            Self::Well => AnsiColor::Green.on_default(),
            Self::Warning => AnsiColor::Yellow.on_default(),
            Self::Bad => AnsiColor::Red.on_default(),
            Self::Faint => Style::new().dimmed(),
            Self::Strong => Style::new().bold(),
        }
    }
}

impl Paint {
    /// Without colours, and not wrapped.
    pub const PLAIN: Self = Self { colours: false, width: None };
    /// With colours, and not wrapped.
    pub const COLOURED: Self = Self { colours: true, width: None };

    /// As standard output wants it.
    pub fn of_stdout() -> Self {
        let stdout = std::io::stdout();
        let width = stdout.is_terminal().then(width_of_stdout);
        Self { colours: wants_colour(&stdout), width }
    }

    /// A text in a tone.
    pub fn tone(self, tone: Tone, text: impl Display) -> String {
        match self.colours {
            true => {
                let style = tone.style();
                format!("{style}{text}{style:#}")
            }
            false => text.to_string(),
        }
    }

    /// A text that begins at this column, wrapped between words; its further lines begin there, too.
    pub fn hang(self, column: usize, text: &str) -> String {
        let Some(width) = self.width else { return text.to_owned() };
        let (mut wrapped, mut at) = (String::new(), column);
        for (index, word) in text.split(' ').enumerate() {
            let length = strip_str(word).to_string().chars().count();
            if index > 0 && at + 1 + length > width {
                wrapped.push('\n');
                wrapped += &" ".repeat(column);
                at = column;
            } else if index > 0 {
                wrapped.push(' ');
                at += 1;
            }
            wrapped += word;
            at += length;
        }
        wrapped
    }
}

/// Whether a stream is a terminal that wants colours, as far as the environment says (NO_COLOR, TERM).
pub fn wants_colour(stream: &impl RawStream) -> bool {
    AutoStream::choice(stream) != ColorChoice::Never
}

/// The width that output to people may have.
pub fn width_of_stdout() -> usize {
    let terminal = rustix::termios::tcgetwinsize(std::io::stdout()).ok();
    let terminal = terminal.map(|size| usize::from(size.ws_col)).filter(|width| *width > 0);
    let named = || env::var("COLUMNS").ok()?.parse().ok();
    terminal.or_else(named).unwrap_or(USUAL_WIDTH).max(LEAST_WIDTH)
}

/// A bar that is filled up to `part` of `whole`, this many characters wide.
pub fn bar(part: f64, whole: f64, width: usize) -> String {
    let share = if whole > 0.0 { (part / whole).clamp(0.0, 1.0) } else { 0.0 };
    let eighths = (share * (width * 8) as f64).round() as usize;
    let mut text = "█".repeat(eighths / 8);
    if let Some(rest) = (eighths % 8).checked_sub(1) {
        text.push(['▏', '▎', '▍', '▌', '▋', '▊', '▉'][rest]);
    }
    let drawn = text.chars().count();
    text + &" ".repeat(width.saturating_sub(drawn))
}

/// When something began and how long it took, on a line this many characters wide that stands for
/// `whole`.
pub fn track(begin: f64, took: f64, whole: f64, width: usize) -> String {
    let place = |at: f64| {
        let share = if whole > 0.0 { (at / whole).clamp(0.0, 1.0) } else { 0.0 };
        (share * width as f64).round() as usize
    };
    let from = place(begin).min(width.saturating_sub(1));
    let to = place(begin + took).clamp(from + 1, width.max(from + 1));
    let parts = [("·", from), ("█", to - from), ("·", width.saturating_sub(to))];
    parts.map(|(sign, times)| sign.repeat(times)).concat()
}

/// A line of the last `width` values, the highest of them as high as a line is.
pub fn sparkline(values: &[Option<f64>], width: usize) -> String {
    let shown = &values[values.len().saturating_sub(width)..];
    let most = shown.iter().flatten().copied().fold(0.0, f64::max);
    let sign = |value: &Option<f64>| match value {
        Some(value) if most > 0.0 => {
            let level = (value / most * 8.0).round() as usize;
            [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'][level.min(8)]
        }
        _ => ' ',
    };
    shown.iter().map(sign).collect()
}

/// Words for numbers, as the dashboard has them.
pub mod words {
    /// A number with a comma between thousands.
    pub fn number(value: u64) -> String {
        let digits = value.to_string();
        let mut text = String::new();
        for (index, digit) in digits.chars().enumerate() {
            if index > 0 && (digits.len() - index).is_multiple_of(3) {
                text.push(',');
            }
            text.push(digit);
        }
        text
    }

    /// So many of a thing.
    pub fn plural(count: u64, word: &str) -> String {
        format!("{} {word}{}", number(count), if count == 1 { "" } else { "s" })
    }

    /// A size.
    pub fn bytes(value: u64) -> String {
        let units = ["B", "KiB", "MiB", "GiB", "TiB"];
        let (mut size, mut unit) = (value as f64, 0);
        while size >= 1024.0 && unit < units.len() - 1 {
            size /= 1024.0;
            unit += 1;
        }
        let unit_name = units[unit];
        if unit == 0 || size >= 100.0 {
            format!("{size:.0} {unit_name}")
        } else {
            format!("{size:.1} {unit_name}")
        }
    }

    /// A time in milliseconds.
    pub fn millis(value: f64) -> String {
        match value {
            ..0.995 => format!("{value:.2} ms"),
            ..9.95 => format!("{value:.1} ms"),
            ..1000.0 => format!("{value:.0} ms"),
            _ => format!("{:.1} s", value / 1000.0),
        }
    }

    /// A span of seconds.
    pub fn span(seconds: u64) -> String {
        match seconds {
            ..100 => format!("{seconds} s"),
            100..6_000 => format!("{} min", (seconds + 30) / 60),
            6_000..172_800 => format!("{} h", (seconds + 1_800) / 3_600),
            _ => format!("{} days", (seconds + 43_200) / 86_400),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::words::{bytes, millis, number, span};
    use super::*;

    #[test]
    fn colour_is_there_only_where_it_is_wanted() {
        assert_eq!(Paint::PLAIN.tone(Tone::Bad, "no"), "no");
        assert_eq!(Paint::COLOURED.tone(Tone::Bad, "no"), "\x1b[31mno\x1b[0m");
    }

    #[test]
    fn a_text_is_wrapped_below_its_beginning() {
        let paint = Paint { colours: true, width: Some(20) };
        let red = paint.tone(Tone::Bad, "is a");
        assert_eq!(
            paint.hang(6, &format!("this {red} text, and an-unbreakable-word it is")),
            "this \x1b[31mis a\x1b[0m\n      text, and\n      an-unbreakable-word\n      it is"
        );
        assert_eq!(paint.hang(6, "exactly so far"), "exactly so far");
        assert_eq!(Paint::PLAIN.hang(6, &"far ".repeat(20)), "far ".repeat(20));
    }

    #[test]
    fn bars_and_lines_have_their_width() {
        assert_eq!(bar(1.0, 2.0, 4), "██  ");
        assert_eq!(bar(5.0, 2.0, 2), "██");
        assert_eq!(bar(1.0, 0.0, 2), "  ");
        assert_eq!(bar(1.0, 16.0, 2), "▏ ");
        assert_eq!(track(1.0, 1.0, 4.0, 4), "·█··");
        assert_eq!(track(4.0, 0.0, 4.0, 4), "···█");
        assert_eq!(track(0.0, 9.0, 0.0, 3), "█··");
        assert_eq!(sparkline(&[Some(9.0), None, Some(1.0), Some(2.0)], 3), " ▄█");
        assert_eq!(sparkline(&[], 3), "");
    }

    #[test]
    fn numbers_read_as_people_write_them() {
        assert_eq!([number(0), number(999), number(1_048_576)], ["0", "999", "1,048,576"]);
        assert_eq!([bytes(12), bytes(1536), bytes(268_435_456)], ["12 B", "1.5 KiB", "256 MiB"]);
        assert_eq!(
            [millis(0.213), millis(3.04), millis(99.6), millis(2500.0)],
            ["0.21 ms", "3.0 ms", "100 ms", "2.5 s"]
        );
        assert_eq!(
            [span(99), span(150), span(7_300), span(259_200)],
            ["99 s", "3 min", "2 h", "3 days"]
        );
    }
}
