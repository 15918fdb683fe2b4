//! Counts by group, and the state of the index.

use std::borrow::Cow;

use super::sanitize::visible;
use super::style::Style;
use super::table::{Cell, Column, Table};
use super::v1::{GroupAnswer, IndexAnswer, StatsAnswer};
use super::{Format, Printer};
use crate::entry::Status;
use crate::entry::stats::{Group, Grouping};
use crate::error::Result;
use crate::ops::index::{Report, State};
use crate::ops::query::StatsOutcome;

static TABLE: [Column; 8] = [
    Column::fixed("GROUP"),
    Column::fixed("TASKS").right(),
    Column::fixed("FAILED").right(),
    Column::shrinks("REJECTED", 8, 3).right(),
    Column::shrinks("CANCELLED", 9, 2).right(),
    Column::fixed("RATE").right(),
    Column::shrinks("P50", 6, 5).right(),
    Column::shrinks("P95", 6, 4).right(),
];
const BAR_CELLS: usize = 6;
const EIGHTHS: [char; 8] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];

/// The groups.
///
/// # Errors
/// The output cannot be written.
pub fn stats(
    printer: &mut Printer,
    by: Grouping,
    outcome: &StatsOutcome,
    limit: Option<usize>,
) -> Result<()> {
    let limit = limit.unwrap_or(usize::MAX);
    let groups = || outcome.groups.iter().take(limit).map(|(key, group)| (key.as_deref(), group));
    match printer.format {
        Format::Json => printer.json(&StatsAnswer::new(by, outcome, limit)),
        Format::Jsonl => {
            groups().try_for_each(|(key, group)| printer.json_line(&GroupAnswer::new(key, group)))
        }
        Format::Csv => {
            printer.csv_row(&[
                by.as_str(),
                "total",
                "completed",
                "failed",
                "rejected",
                "cancelled",
                "failure_rate",
                "p50_duration_ms",
                "p95_duration_ms",
            ])?;
            groups().try_for_each(|(key, group)| csv(printer, key, group))
        }
        Format::Human => {
            // Bars are for eyes; a pipe gets the numbers.
            let has_bars = printer.reader.columns.is_some();
            let most = groups().map(|(_, group)| group.total()).max().unwrap_or(0);
            let mut columns = TABLE.to_vec();
            if has_bars {
                columns.push(Column::shrinks("", BAR_CELLS, 1));
            }
            let mut table = Table::new(Cow::Owned(columns));
            for (key, group) in groups() {
                let mut cells = cells(key.unwrap_or("(none)"), group);
                if has_bars {
                    cells.push(Cell::new(bar(group.total(), most), Style::Faint));
                }
                table.row(printer, cells)?;
            }
            if outcome.groups.len() > 1 {
                let mut total = cells("all", &outcome.all);
                if has_bars {
                    total.push(Cell::plain(""));
                }
                table.row(printer, total)?;
            }
            table.end(printer)
        }
    }
}

fn cells(key: &str, group: &Group) -> Vec<Cell> {
    let count = |status: Status| {
        let count = group.ended(status);
        let style = if count == 0 { Style::Faint } else { Style::of_status(status) };
        Cell::new(count.to_string(), style)
    };
    let duration = |percent| Cell::or_dash(group.percentile_ms(percent).map(duration).unwrap_or_default());
    vec![
        Cell::plain(key),
        Cell::plain(group.total().to_string()),
        count(Status::Failed),
        count(Status::Rejected),
        count(Status::Cancelled),
        Cell::plain(format!("{:.1}%", group.failure_rate() * 100.0)),
        duration(50),
        duration(95),
    ]
}

fn csv(printer: &mut Printer, key: Option<&str>, group: &Group) -> Result<()> {
    let number = |number: Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
    let mut cells = vec![key.unwrap_or_default().to_owned(), group.total().to_string()];
    cells.extend(Status::ALL.map(|status| group.ended(status).to_string()));
    cells.push(format!("{:.4}", group.failure_rate()));
    cells.extend([50, 95].map(|percent| number(group.percentile_ms(percent))));
    printer.csv_row(&cells.iter().map(String::as_str).collect::<Vec<_>>())
}

/// A length of time in at most two units.
fn duration(ms: u64) -> String {
    let seconds = ms / 1000;
    match ms {
        0..1000 => format!("{ms}ms"),
        1000..60_000 => format!("{seconds}.{}s", ms % 1000 / 100),
        60_000..3_600_000 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
    }
}

/// `count` of `most` as a bar, in eighths of a cell.
fn bar(count: u64, most: u64) -> String {
    let eighths = count * (BAR_CELLS as u64) * 8 / most.max(1);
    let (full, rest) = (usize::try_from(eighths / 8).unwrap_or(0), usize::try_from(eighths % 8).unwrap_or(0));
    let mut bar = "█".repeat(full);
    bar.extend(EIGHTHS.get(rest).filter(|_| rest > 0 || full == 0));
    bar.trim_end().to_owned()
}

/// How the index stands to the ledger.
///
/// # Errors
/// The output cannot be written.
pub fn index(printer: &mut Printer, report: &Report) -> Result<()> {
    let answer = IndexAnswer::from(report);
    match printer.format {
        Format::Json | Format::Jsonl => printer.json(&answer),
        Format::Csv => {
            let head = report.head.map(|head| head.to_string()).unwrap_or_default();
            let (entries, size) = (report.entries.to_string(), report.size_bytes.to_string());
            printer.csv_row(&["state", "entries", "head", "size_bytes", "path"])?;
            printer.csv_row(&[answer.state(), &entries, &head, &size, &report.path.to_string_lossy()])
        }
        Format::Human => {
            let state = match &report.state {
                State::Missing => "there is none; the first query makes it".to_owned(),
                State::Current => "up to date".to_owned(),
                State::Behind => "behind the branch; the next query catches up".to_owned(),
                State::Unusable(reason) => format!("will be built anew: {reason}"),
            };
            let line = |label: &str, value: &str| format!("{label:<9}{}", visible(value));
            printer.line(&line("state", &state))?;
            if let Some(head) = report.head {
                printer.line(&line("head", &head.to_string()))?;
                printer.line(&line("entries", &report.entries.to_string()))?;
                printer.line(&line("bytes", &report.size_bytes.to_string()))?;
            }
            printer.line(&line("path", &report.path.to_string_lossy()))
        }
    }
}

/// Where the index is.
///
/// # Errors
/// The output cannot be written.
pub fn index_path(printer: &mut Printer, report: &Report) -> Result<()> {
    match printer.format {
        Format::Human => printer.line(&visible(&report.path.to_string_lossy())),
        _ => index(printer, report),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_grow_by_eighths_and_never_vanish_into_the_next() {
        assert_eq!([bar(0, 10), bar(10, 10), bar(5, 10)], ["", "██████", "███"]);
        assert_eq!(bar(1, 48), "▏");
    }

    #[test]
    fn durations_read_in_two_units() {
        assert_eq!(
            [0, 950, 1500, 61_000, 3_723_000].map(duration),
            ["0ms", "950ms", "1.5s", "1m01s", "1h02m"]
        );
    }
}
