//! A table for people, written as its rows come: blocks of rows are aligned with each other, so that memory stays
//! bounded however long the answer is.
//!
//! On a terminal no line is longer than the terminal is wide, as far as the columns that are copied from allow it:
//! those are never shortened. Elsewhere nothing is.

use std::borrow::Cow;

use unicode_width::UnicodeWidthStr;

use super::Printer;
use super::sanitize::{fit, visible};
use super::style::Style;
use crate::error::Result;

/// Rows that are aligned with each other.
const BLOCK_ROWS: usize = 250;
const GAP: usize = 2;

/// A column of a [`Table`].
#[derive(Clone)]
pub(super) struct Column {
    title: Cow<'static, str>,
    align: Align,
    room: Room,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Align {
    Left,
    Right,
}

#[derive(Clone, Copy)]
enum Room {
    /// Never shortened.
    Fixed,
    /// Gives way on a terminal, down to `least` terminal columns. What there is beyond that is handed out in
    /// proportion to `share`. Where not even the least of all fits, the column with the smallest share is left out.
    Shrinks { least: usize, share: usize },
}

impl Column {
    /// One that is always whole: times, states, and whatever is copied, such as ids.
    pub const fn fixed(title: &'static str) -> Self {
        Self { title: Cow::Borrowed(title), align: Align::Left, room: Room::Fixed }
    }

    /// One that gives way on a terminal, with a title that is only known now.
    pub fn named(title: String) -> Self {
        let least = title.width().max(8);
        Self { title: Cow::Owned(title), align: Align::Left, room: Room::Shrinks { least, share: 1 } }
    }

    /// One that gives way on a terminal: it keeps `least` columns, and gets its `share` of what is left.
    pub const fn shrinks(title: &'static str, least: usize, share: usize) -> Self {
        Self { title: Cow::Borrowed(title), align: Align::Left, room: Room::Shrinks { least, share } }
    }

    /// The same, aligned to the right: numbers.
    pub const fn right(mut self) -> Self {
        self.align = Align::Right;
        self
    }

    const fn share(&self) -> usize {
        match self.room {
            Room::Fixed => 0,
            Room::Shrinks { share, .. } => share,
        }
    }
}

/// What stands in a column of a row. It is made safe here, so that no caller can forget.
pub(super) struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    /// `text` in a style.
    pub fn new(text: impl AsRef<str>, style: Style) -> Self {
        Self { text: visible(text.as_ref()).trim_end().to_owned(), style }
    }

    /// `text` as it is.
    pub fn plain(text: impl AsRef<str>) -> Self {
        Self::new(text, Style::Plain)
    }

    /// `text`, or `-` where it is empty.
    pub fn or_dash(text: impl AsRef<str>) -> Self {
        if text.as_ref().is_empty() { Self::new("-", Style::Faint) } else { Self::plain(text) }
    }
}

/// The terminal columns that a text takes.
fn columns_of(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.width() }
}

/// A table under way. Nothing is written before a block is full or [`Table::end`].
pub(super) struct Table {
    columns: Cow<'static, [Column]>,
    /// What each column's cells take, so far.
    widths: Vec<usize>,
    rows: Vec<Vec<Cell>>,
    has_head: bool,
}

impl Table {
    /// An empty table; without a row, it has no head either.
    pub fn new(columns: Cow<'static, [Column]>) -> Self {
        Self { widths: vec![0; columns.len()], columns, rows: Vec::new(), has_head: false }
    }

    /// Adds a row: a cell for each column.
    ///
    /// # Errors
    /// The output cannot be written.
    pub fn row(&mut self, printer: &mut Printer, cells: Vec<Cell>) -> Result<()> {
        self.rows.push(cells);
        if self.rows.len() >= BLOCK_ROWS { self.end(printer) } else { Ok(()) }
    }

    /// Writes the rows that wait.
    ///
    /// # Errors
    /// The output cannot be written.
    pub fn end(&mut self, printer: &mut Printer) -> Result<()> {
        let mut rows = std::mem::take(&mut self.rows);
        if rows.is_empty() {
            return Ok(());
        }
        if !std::mem::replace(&mut self.has_head, true) {
            rows.insert(
                0,
                self.columns.iter().map(|column| Cell::new(&column.title, Style::Heading)).collect(),
            );
        }
        let room = printer.reader.columns;
        self.measure(&rows, room);
        let widths = match room {
            Some(room) => fitted(&self.columns, &self.widths, room),
            None => self.widths.iter().copied().map(Some).collect(),
        };
        let is_short = room.is_some();
        rows.iter().try_for_each(|row| printer.line(&self.line(row, &widths, is_short, printer.reader.color)))
    }

    /// On a terminal, a few very long cells must not take the room of all other rows: in a column that does not shrink
    /// they stick out, and their own rows make up for it.
    fn measure(&mut self, rows: &[Vec<Cell>], room: Option<usize>) {
        for (number, column) in self.columns.iter().enumerate() {
            let mut cells: Vec<_> =
                rows.iter().filter_map(|row| row.get(number)).map(|cell| columns_of(&cell.text)).collect();
            cells.sort_unstable();
            let longest = cells.last().copied().unwrap_or_default();
            let width = match (column.room, room) {
                (Room::Fixed, Some(room)) if longest > room / 4 => {
                    let last = cells.len() - 1;
                    let most = cells[last - last / 4].max(room / 4).max(column.title.len());
                    cells.iter().copied().filter(|width| *width <= most).max().unwrap_or(most)
                }
                _ => longest,
            };
            self.widths[number] = self.widths[number].max(width);
        }
    }

    /// One line. Blanks are written only before text, so that no line ends in them.
    fn line(&self, row: &[Cell], widths: &[Option<usize>], is_short: bool, color: bool) -> String {
        let mut line = String::new();
        let mut written = 0;
        let mut start = 0;
        for ((cell, column), width) in row.iter().zip(self.columns.iter()).zip(widths) {
            let Some(width) = *width else { continue };
            let end = start + width;
            // A longer cell before this one may reach into its place.
            let from = if written == 0 { start } else { start.max(written + GAP) };
            let text = match column.room {
                Room::Shrinks { .. } if is_short && from >= end => String::new(),
                Room::Shrinks { .. } if is_short => fit(&cell.text, end - from),
                _ => cell.text.clone(),
            };
            if !text.is_empty() {
                let wide = columns_of(&text);
                let from =
                    if column.align == Align::Right { from.max(end.saturating_sub(wide)) } else { from };
                line.push_str(&" ".repeat(from - written));
                line.push_str(&cell.style.paint(&text, color));
                written = from + wide;
            }
            start = end + GAP;
        }
        line
    }
}

/// The width that each column gets on a terminal of `room` columns; `None`: it is left out.
fn fitted(columns: &[Column], widths: &[usize], room: usize) -> Vec<Option<usize>> {
    let mut given: Vec<_> = columns
        .iter()
        .zip(widths)
        .map(|(column, width)| match column.room {
            Room::Fixed => Some(*width),
            Room::Shrinks { least, .. } => Some(least.min(*width)),
        })
        .collect();
    let taken = |given: &[Option<usize>]| {
        let shown = given.iter().flatten();
        shown.clone().sum::<usize>() + GAP * shown.count().saturating_sub(1)
    };
    while taken(&given) > room {
        let mut shrinking = (0..columns.len())
            .filter(|at| given[*at].is_some() && columns[*at].share() > 0)
            .collect::<Vec<_>>();
        shrinking.sort_by_key(|at| columns[*at].share());
        let Some(least_wanted) = shrinking.first().copied() else { break };
        // The last one is worth having as long as its title fits.
        let lacking = taken(&given) - room;
        let rest = given[least_wanted].and_then(|width| width.checked_sub(lacking));
        let is_worth = |rest: &usize| shrinking.len() == 1 && *rest >= columns[least_wanted].title.len();
        given[least_wanted] = rest.filter(is_worth);
    }
    let mut spare = room.saturating_sub(taken(&given));
    let lacks = |given: &[Option<usize>], at: usize| widths[at] - given[at].unwrap_or(widths[at]);
    let mut wanting: Vec<_> = (0..columns.len()).filter(|at| lacks(&given, *at) > 0).collect();
    while let Some(last) = wanting.last().copied() {
        let shares: usize = wanting.iter().map(|at| columns[*at].share()).sum();
        let part = |at: usize| spare * columns[at].share() / shares.max(1);
        // Who needs less than its part leaves the rest to the others.
        if let Some(modest) = wanting.iter().position(|at| lacks(&given, *at) <= part(*at)) {
            let at = wanting.remove(modest);
            spare -= lacks(&given, at);
            given[at] = Some(widths[at]);
            continue;
        }
        let parts: Vec<_> = wanting.iter().map(|at| part(*at)).collect();
        let rest = spare - parts.iter().sum::<usize>();
        for (at, part) in wanting.into_iter().zip(parts) {
            let part = if at == last { part + rest } else { part };
            given[at] = given[at].map(|width| width + part);
        }
        break;
    }
    given
}

#[cfg(test)]
mod tests {
    use super::*;

    static COLUMNS: [Column; 4] = [
        Column::fixed("TASK"),
        Column::shrinks("AGENT", 5, 1),
        Column::shrinks("WHAT", 8, 3),
        Column::fixed("N").right(),
    ];

    fn lines(rows: &[[&str; 4]], room: Option<usize>) -> Vec<String> {
        let mut table = Table::new(Cow::Borrowed(&COLUMNS));
        let mut rows: Vec<Vec<_>> = rows.iter().map(|row| row.map(Cell::plain).into()).collect();
        rows.insert(0, COLUMNS.iter().map(|column| Cell::plain(&column.title)).collect());
        table.measure(&rows, room);
        let widths = match room {
            Some(room) => fitted(&COLUMNS, &table.widths, room),
            None => table.widths.iter().copied().map(Some).collect(),
        };
        rows.iter().map(|row| table.line(row, &widths, room.is_some(), false)).collect()
    }

    #[test]
    fn elsewhere_than_on_a_terminal_nothing_is_shortened() {
        let shown =
            lines(&[["t-1", "ann", "a long story of what was done", "12"], ["t-2", "", "日本", "3"]], None);
        assert_eq!(
            shown,
            [
                "TASK  AGENT  WHAT                            N",
                "t-1   ann    a long story of what was done  12",
                "t-2          日本                            3",
            ]
        );
    }

    #[test]
    fn on_a_terminal_lines_fit_and_what_is_copied_stays_whole() {
        let rows = [
            ["t-1", "a-very-long-agent", "a long story of what was done", "12"],
            ["t-2", "b", "日本語日本語日本語", "3"],
        ];
        for room in 12..80 {
            for (line, id) in lines(&rows, Some(room)).iter().zip(["TASK", "t-1", "t-2"]) {
                assert!(line.starts_with(id) && line.width() <= room, "{room}: {line}");
            }
        }
        assert_eq!(lines(&rows, Some(30))[1], "t-1   a-ver…  a long stor…  12");
    }

    #[test]
    fn the_least_wanted_column_goes_first_where_there_is_no_room() {
        assert_eq!(lines(&[["t-1", "agent", "a long story", "1"]], Some(18))[1], "t-1   a long s…  1");
        assert_eq!(lines(&[["t-1", "agent", "a long story", "1"]], Some(14))[1], "t-1   a lo…  1");
        assert_eq!(lines(&[["t-1", "agent", "a long story", "1"]], Some(8))[1], "t-1   1");
    }

    #[test]
    fn one_long_id_costs_its_own_row_only() {
        let long = "x".repeat(50);
        let mut rows = vec![["t-1", "ann", "done", "1"]; 5];
        rows.push([&long, "ann", "done", "1"]);
        let shown = lines(&rows, Some(40));
        assert_eq!(shown[1], "t-1   ann    done  1");
        assert_eq!(shown[6], format!("{long}  1"));
    }
}
