//! The history as a list. Entries are written as they come; only the human table looks ahead, to align its columns.

use super::style::Style;
use super::table::{Cell, Column, Table};
use super::v1::{EntryAnswer, LogTail};
use super::{Format, Printer};
use crate::entry::{Timestamp, render};
use crate::error::Result;
use crate::ops::LoggedEntry;
use crate::ops::log::{LogOptions, LogOutcome};

/// The columns of the CSV format; several services stand in one cell, separated by `;`.
pub(super) const CSV_HEADER: [&str; 15] = [
    "task_id",
    "status",
    "timestamp",
    "title",
    "error_message",
    "plan_id",
    "agent_id",
    "agent_pool",
    "intent",
    "services",
    "start_time",
    "end_time",
    "commit",
    "path",
    "recorded_at",
];
const COLUMNS: [Column; 6] = [
    Column::fixed("TIME"),
    Column::fixed("STATUS"),
    Column::fixed("TASK"),
    Column::shrinks("AGENT", 8, 1),
    Column::shrinks("SERVICES", 8, 2),
    Column::shrinks("WHAT", 16, 4),
];

/// Prints entries one after the other.
pub struct LogPrinter<'p> {
    printer: &'p mut Printer,
    begun: bool,
    entries: usize,
    table: Table,
}

impl<'p> LogPrinter<'p> {
    /// Nothing is written before the first entry or the end: a query that fails first prints no half answer.
    pub fn new(printer: &'p mut Printer) -> Self {
        Self { printer, begun: false, entries: 0, table: Table::new(&COLUMNS) }
    }

    fn begin(&mut self) -> Result<()> {
        if std::mem::replace(&mut self.begun, true) {
            return Ok(());
        }
        match self.printer.format {
            Format::Json => {
                let head = format!("{{\n  \"schema\": \"{}\",\n  \"entries\": [", LogTail::SCHEMA);
                self.printer.bytes(head.as_bytes())
            }
            Format::Csv => self.printer.csv_row(&CSV_HEADER),
            Format::Human | Format::Jsonl => Ok(()),
        }
    }

    /// Adds an entry to it.
    ///
    /// # Errors
    /// The output cannot be written.
    pub fn entry(&mut self, entry: LoggedEntry) -> Result<()> {
        self.begin()?;
        self.entries += 1;
        match self.printer.format {
            Format::Json => {
                let separator = if self.entries == 1 { "\n    " } else { ",\n    " };
                self.printer.bytes(separator.as_bytes())?;
                self.nested_json(&EntryAnswer::new(entry, &[]), 4)
            }
            Format::Jsonl => self.printer.json_line(&EntryAnswer::new(entry, &[])),
            Format::Csv => csv_entry(self.printer, &entry),
            Format::Human => {
                let cells = self.cells(&entry);
                self.table.row(self.printer, cells)
            }
        }
    }

    /// Ends the answer.
    ///
    /// # Errors
    /// The output cannot be written.
    pub fn end(&mut self, options: &LogOptions, outcome: &LogOutcome) -> Result<()> {
        self.begin()?;
        match self.printer.format {
            Format::Json => {
                self.printer.bytes(if self.entries == 0 { b"],\n" } else { b"\n  ],\n" })?;
                let tail = LogTail::new(outcome.total, options.limit, options.offset, &outcome.coverage);
                let rendered = render::pretty(&tail).unwrap_or_default();
                // The tail is an object of its own; its opening brace is the one we wrote at the beginning.
                self.printer.bytes(rendered.strip_prefix(b"{\n").unwrap_or(&rendered))
            }
            Format::Human => self.table.end(self.printer),
            Format::Jsonl | Format::Csv => Ok(()),
        }
    }

    fn nested_json(&mut self, value: &impl serde::Serialize, indent: usize) -> Result<()> {
        let rendered = render::pretty(value).unwrap_or_default();
        let text =
            String::from_utf8_lossy(&rendered).trim_end().replace('\n', &format!("\n{}", " ".repeat(indent)));
        self.printer.bytes(text.as_bytes())
    }

    fn cells(&self, found: &LoggedEntry) -> Vec<Cell> {
        let entry = &found.entry;
        let local = (self.printer.reader.local_time)(entry.timestamp.utc());
        let what = entry.error_message.as_deref().or(entry.title.as_deref());
        let what = what.or(entry.intent()).or(entry.plan_id.as_deref()).unwrap_or_default();
        let corrects = entry
            .supersedes
            .as_ref()
            .filter(|_| what.is_empty())
            .map(|task_id| format!("corrects {task_id}"));
        let what = corrects.as_deref().unwrap_or(what).trim().lines().next().unwrap_or_default();
        vec![
            Cell::new(local.format("%Y-%m-%d %H:%M").to_string(), Style::Faint),
            Cell::new(entry.status.as_str(), Style::of_status(entry.status)),
            Cell::new(entry.task_id.as_str(), Style::Id),
            Cell::or_dash(entry.agent().unwrap_or_default()),
            Cell::or_dash(entry.services().join(",")),
            Cell::plain(what),
        ]
    }
}

/// One entry as a row of [`CSV_HEADER`].
pub(super) fn csv_entry(printer: &mut Printer, found: &LoggedEntry) -> Result<()> {
    let LoggedEntry { entry, recorded, stored } = found;
    let time = |time: Option<Timestamp>| time.map(|time| time.to_string()).unwrap_or_default();
    let result = entry.execution_result.as_ref();
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    let cells = [
        entry.task_id.to_string(),
        entry.status.as_str().to_owned(),
        entry.timestamp.to_string(),
        text(entry.title.as_deref()),
        text(entry.error_message.as_deref()),
        text(entry.plan_id.as_deref()),
        text(entry.agent()),
        text(entry.pool()),
        text(entry.intent()),
        entry.services().join(";"),
        time(result.and_then(|result| result.start_time)),
        time(result.and_then(|result| result.end_time)),
        recorded.as_ref().map(|recorded| recorded.commit.to_string()).unwrap_or_default(),
        stored.path.clone(),
        time(recorded.as_ref().map(|recorded| recorded.recorded_at.into())),
    ];
    printer.csv_row(&cells.each_ref().map(String::as_str))
}
