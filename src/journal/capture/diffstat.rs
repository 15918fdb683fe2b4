//! The text of `git diff --stat` at 80 columns, from counts.
//!
//! Paths are ASCII here, because [`super::quote`] escapes the rest: a byte is a column.

use super::capped::Capped;
use super::quote::quoted;

const WIDTH: usize = 80;
/// At least this much is left for a name and for the bars.
const MIN_NAME: usize = 10;
const MIN_BARS: usize = 6;

/// One file that changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FileStat {
    /// The new path, or the only one.
    pub path: Vec<u8>,
    /// Where the file was, if it was moved.
    pub moved_from: Option<Vec<u8>>,
    pub amount: Amount,
}

/// How much a file changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Amount {
    Lines {
        added: u64,
        deleted: u64,
    },
    /// No text, or too much of it: bytes before and after.
    Bytes {
        before: u64,
        after: u64,
    },
    /// Nobody looked.
    Unknown,
}

impl FileStat {
    fn lines(&self) -> (u64, u64) {
        match self.amount {
            Amount::Lines { added, deleted } => (added, deleted),
            _ => (0, 0),
        }
    }

    fn shown_name(&self) -> String {
        match &self.moved_from {
            Some(before) => shown_move(before, &self.path),
            None => quoted(&self.path),
        }
    }
}

/// Appends the lines of the files and the summary to `text`.
pub(super) fn write(files: &[FileStat], text: &mut Capped) {
    if files.is_empty() {
        return;
    }
    let columns = Columns::of(files);
    for file in files {
        text.line(&columns.line(file));
    }
    let added: u64 = files.iter().map(|file| file.lines().0).sum();
    let deleted: u64 = files.iter().map(|file| file.lines().1).sum();
    text.line(&summary(files.len(), added, deleted));
}

fn summary(files: usize, added: u64, deleted: u64) -> String {
    let plural = |count: u64| if count == 1 { "" } else { "s" };
    let mut line = format!(" {files} file{} changed", plural(files as u64));
    if added > 0 || deleted == 0 {
        line.push_str(&format!(", {added} insertion{}(+)", plural(added)));
    }
    if deleted > 0 || added == 0 {
        line.push_str(&format!(", {deleted} deletion{}(-)", plural(deleted)));
    }
    line
}

/// How wide the parts of a line are.
struct Columns {
    name: usize,
    number: usize,
    bars: usize,
    most_lines: u64,
}

impl Columns {
    /// The name and the bars get what they want; where that is too much, the bars keep three eighths and the name the
    /// rest, and what one of them does not need goes to the other.
    fn of(files: &[FileStat]) -> Self {
        let mut longest_name = 0;
        let mut most_lines = 0;
        let mut bytes_width = 0;
        let mut number = 0;
        for file in files {
            longest_name = longest_name.max(file.shown_name().len());
            match file.amount {
                Amount::Lines { added, deleted } => most_lines = most_lines.max(added + deleted),
                Amount::Bytes { before, after } => {
                    bytes_width = bytes_width.max("Bin  ->  bytes".len() + digits(before) + digits(after));
                    number = "Bin".len();
                }
                Amount::Unknown => {}
            }
        }
        let number = number.max(digits(most_lines));
        // The blanks and the bar of ` name | number bars`, and a column that stays free.
        let frame = 6 + number;
        let width = WIDTH.max(MIN_NAME + MIN_BARS + frame);
        let lines = usize::try_from(most_lines).unwrap_or(usize::MAX);
        let mut bars = if lines.saturating_add(4) > bytes_width { lines } else { bytes_width - 4 };
        let mut name = longest_name;
        if name.saturating_add(bars).saturating_add(frame) > width {
            bars = bars.min((width * 3 / 8).saturating_sub(frame).max(MIN_BARS));
            if name > width - frame - bars {
                name = width - frame - bars;
            } else {
                bars = width - frame - name;
            }
        }
        Self { name, number, bars, most_lines }
    }

    fn line(&self, file: &FileStat) -> String {
        let Self { name: width, number, .. } = *self;
        let name = shortened(&file.shown_name(), width);
        match file.amount {
            Amount::Bytes { before: 0, after: 0 } => format!(" {name:width$} | {:>number$}", "Bin"),
            Amount::Bytes { before, after } => {
                format!(" {name:width$} | {:>number$} {before} -> {after} bytes", "Bin")
            }
            Amount::Unknown => format!(" {name:width$} | {:>number$}", "?"),
            Amount::Lines { added: 0, deleted: 0 } => format!(" {name:width$} | {:>number$}", 0),
            Amount::Lines { added, deleted } => {
                let (plus, minus) = self.bars_of(added, deleted);
                let lines = added + deleted;
                format!(" {name:width$} | {lines:>number$} {}{}", "+".repeat(plus), "-".repeat(minus))
            }
        }
    }

    /// Both kinds are seen if there are both; the rounding goes to the larger.
    fn bars_of(&self, added: u64, deleted: u64) -> (usize, usize) {
        let whole = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
        if self.bars as u64 > self.most_lines {
            return (whole(added), whole(deleted));
        }
        let scaled = |count: u64| {
            if count == 0 { 0 } else { 1 + whole(count * (self.bars as u64 - 1) / self.most_lines) }
        };
        let both = added > 0 && deleted > 0;
        let total = scaled(added + deleted).max(if both { 2 } else { 0 });
        if added < deleted {
            let plus = scaled(added);
            (plus, total - plus)
        } else {
            let minus = scaled(deleted);
            (total - minus, minus)
        }
    }
}

/// The end of a name that is too long, from a `/` on if there is one.
fn shortened(name: &str, width: usize) -> String {
    if name.len() <= width {
        return name.to_owned();
    }
    let end = &name[name.len() - width.saturating_sub(3)..];
    let end = end.find('/').map_or(end, |slash| &end[slash..]);
    format!("...{end}")
}

fn digits(number: u64) -> usize {
    number.checked_ilog10().unwrap_or(0) as usize + 1
}

/// `from => to`, with the directories that they share written once.
fn shown_move(from: &[u8], to: &[u8]) -> String {
    let (from_text, to_text) = (quoted(from), quoted(to));
    if from_text.starts_with('"') || to_text.starts_with('"') {
        return format!("{from_text} => {to_text}");
    }
    let same = from.iter().zip(to).take_while(|(one, other)| one == other).count();
    let prefix = from[..same].iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
    // The slash that ends the prefix may begin the suffix too: `a/{b => }/c`.
    let shared_slash = usize::from(prefix > 0);
    let room = from.len().min(to.len()) + shared_slash - prefix;
    let same =
        from.iter().rev().zip(to.iter().rev()).take(room).take_while(|(one, other)| one == other).count();
    let tail = &from[from.len() - same..];
    let suffix = tail.iter().position(|byte| *byte == b'/').map_or(0, |slash| tail.len() - slash);
    if prefix + suffix == 0 {
        return format!("{from_text} => {to_text}");
    }
    let middle =
        |text: &str| text.get(prefix..text.len().saturating_sub(suffix).max(prefix)).unwrap_or("").to_owned();
    let end = &from_text[from_text.len() - suffix..];
    format!("{}{{{} => {}}}{end}", &from_text[..prefix], middle(&from_text), middle(&to_text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_move_is_shown_with_what_both_paths_share() {
        let shown = |from: &str, to: &str| shown_move(from.as_bytes(), to.as_bytes());
        assert_eq!(shown("a", "b"), "a => b");
        assert_eq!(shown("d/a", "d/b"), "d/{a => b}");
        assert_eq!(shown("x/a", "y/a"), "{x => y}/a");
        assert_eq!(shown("d/x/a", "d/a"), "d/{x => }/a");
        assert_eq!(shown("d/a", "d/x/a"), "d/{ => x}/a");
        assert_eq!(shown("a", "d/a"), "a => d/a");
        assert_eq!(shown("é", "b"), "\"\\303\\251\" => b");
    }

    #[test]
    fn nothing_is_no_text() {
        let mut text = Capped::new(100);
        write(&[], &mut text);
        assert_eq!(text.finish(), (String::new(), 0));
    }
}
