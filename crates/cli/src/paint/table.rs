//! Tables that fit the terminal: where the columns together are too wide, a long one gets lines of its
//! own, and those that matter least are left out.

use super::{Paint, Tone};

/// Blanks before each line, and between two columns.
const INDENT: usize = 2;
/// Blanks between columns; see [`INDENT`].
const GAP: usize = 2;

/// A column: its title, and when it is left out.
#[derive(Clone, Copy, Debug)]
pub struct Column<'a> {
    title: &'a str,
    right: bool,
    weight: u8,
    above: bool,
}

/// One cell.
#[derive(Clone, Debug, Default)]
pub struct Cell {
    text: String,
    tone: Option<Tone>,
}

/// Rows of cells under titles.
#[derive(Clone, Debug)]
pub struct Table<'a> {
    columns: Vec<Column<'a>>,
    rows: Vec<Vec<Cell>>,
}

impl<'a> Column<'a> {
    /// A column of text that is never left out.
    pub const fn text(title: &'a str) -> Self {
        Self { title, right: false, weight: u8::MAX, above: false }
    }

    /// A column of numbers that is never left out.
    pub const fn number(title: &'a str) -> Self {
        Self { title, right: true, weight: u8::MAX, above: false }
    }

    /// The same column, left out where room is short: the lowest weight first.
    pub const fn weight(self, weight: u8) -> Self {
        Self { weight, ..self }
    }

    /// The same column; where room is short, and before any other is left out, each of its cells stands
    /// on a line of its own above its row. For what is long, and is needed whole.
    pub const fn above(self) -> Self {
        Self { above: true, ..self }
    }
}

impl Cell {
    /// A cell in a tone.
    pub fn toned(tone: Tone, text: impl Into<String>) -> Self {
        Self { text: text.into(), tone: Some(tone) }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self { text: text.into(), tone: None }
    }
}

impl<'a> Table<'a> {
    /// No rows yet.
    pub fn new(columns: impl Into<Vec<Column<'a>>>) -> Self {
        Self { columns: columns.into(), rows: Vec::new() }
    }

    /// Adds a row, with a cell for each column.
    pub fn row(&mut self, cells: impl Into<Vec<Cell>>) {
        self.rows.push(cells.into());
    }

    /// The table in lines, no line wider than this as long as a column can be left out.
    pub fn render(&self, width: usize, paint: Paint) -> String {
        let widths = self.widths();
        let (above, mut kept): (Vec<_>, Vec<_>) = match total(&widths) > width {
            true => widths.into_iter().partition(|(index, _)| self.columns[*index].above),
            false => (Vec::new(), widths),
        };
        self.leave_out(&mut kept, width);
        let titles = kept.iter().map(|(index, width)| {
            let column = self.columns[*index];
            pad(column.title, *width, column.right)
        });
        let mut text = paint.tone(Tone::Faint, line(titles));
        for row in &self.rows {
            let cells = |columns: &[(usize, usize)]| {
                let cells = columns.iter().map(|(index, width)| {
                    let (cell, right) = (row.get(*index), self.columns[*index].right);
                    let text = pad(cell.map_or("", |cell| &cell.text), *width, right);
                    match cell.and_then(|cell| cell.tone) {
                        Some(tone) => paint.tone(tone, text),
                        None => text,
                    }
                });
                line(cells)
            };
            if !above.is_empty() {
                text.push('\n');
                text += &cells(&above);
            }
            text.push('\n');
            text += &cells(&kept);
        }
        text
    }

    /// All columns, each with its width.
    fn widths(&self) -> Vec<(usize, usize)> {
        let width = |index: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(index));
            let cells = cells.map(|cell| cell.text.chars().count());
            cells.chain([self.columns[index].title.chars().count()]).max().unwrap_or(0)
        };
        (0..self.columns.len()).map(|index| (index, width(index))).collect()
    }

    /// Leaves out the columns of the lowest weight until the others fit.
    fn leave_out(&self, kept: &mut Vec<(usize, usize)>, width: usize) {
        let weight = |(index, _): &(usize, usize)| self.columns[*index].weight;
        while total(kept) > width {
            // Of equal weight, the one farther to the right.
            let least = kept.iter().enumerate().rev().min_by_key(|(_, column)| weight(column));
            match least.filter(|(_, column)| weight(column) < u8::MAX) {
                Some((place, _)) => drop(kept.remove(place)),
                None => break,
            }
        }
    }
}

fn total(kept: &[(usize, usize)]) -> usize {
    let gaps = GAP * kept.len().saturating_sub(1);
    INDENT + gaps + kept.iter().map(|(_, width)| width).sum::<usize>()
}

fn pad(text: &str, width: usize, right: bool) -> String {
    if right { format!("{text:>width$}") } else { format!("{text:<width$}") }
}

fn line(cells: impl Iterator<Item = String>) -> String {
    let cells: Vec<_> = cells.collect();
    let joined = cells.join(&" ".repeat(GAP));
    format!("{}{}", " ".repeat(INDENT), joined.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table<'static> {
        let mut table = Table::new([
            Column::text("node"),
            Column::text("address").weight(1),
            Column::number("records").weight(2),
            Column::text("answer"),
        ]);
        table.row(["ab".into(), "192.0.2.1:7402".into(), "5".into(), Cell::from("well")]);
        table.row(["abcdef".into(), "".into(), "1,000".into(), Cell::toned(Tone::Bad, "no")]);
        table
    }

    #[test]
    fn columns_are_aligned_and_the_least_important_is_left_out_first() {
        let text = table().render(80, Paint::PLAIN);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "  node    address         records  answer");
        assert_eq!(lines[1], "  ab      192.0.2.1:7402        5  well");
        assert_eq!(lines[2], "  abcdef                    1,000  no");
        let text = table().render(30, Paint::PLAIN);
        assert_eq!(text.lines().nth(2), Some("  abcdef    1,000  no"));
        let text = table().render(18, Paint::PLAIN);
        assert_eq!(text.lines().nth(1), Some("  ab      well"));
        // What always stays may be too wide.
        assert_eq!(table().render(1, Paint::PLAIN), text);
    }

    #[test]
    fn a_long_column_gets_lines_of_its_own_before_others_are_left_out() {
        let mut table = Table::new([
            Column::text("key").above(),
            Column::text("state"),
            Column::number("size"),
        ]);
        table.row(["0123456789abcdef".into(), Cell::toned(Tone::Well, "kept"), "5".into()]);
        let lines = |width| table.render(width, Paint::PLAIN);
        assert_eq!(lines(31), "  key               state  size\n  0123456789abcdef  kept      5");
        assert_eq!(lines(30), "  state  size\n  0123456789abcdef\n  kept      5");
    }

    #[test]
    fn colours_take_no_room() {
        let text = table().render(30, Paint::COLOURED);
        assert!(text.contains("  \x1b[31mno    \x1b[0m"), "{text:?}");
    }
}
