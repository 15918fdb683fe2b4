//! Lists: of entries, and of what entries have several of. Rows are written as they come; only the table for people
//! looks ahead, to align its columns.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::Value;

use super::fields::{Field, Picked};
use super::style::Style;
use super::table::{Cell, Column, Table};
use super::v1::{EntryAnswer, ItemAnswer, ListTail};
use super::{Format, Printer};
use crate::entry::text::first_line;
use crate::entry::{Headline, Timestamp, render};
use crate::error::Result;
use crate::ops::LoggedEntry;
use crate::ops::query::{Answered, Found, Page};

/// What is listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum List {
    /// Entries.
    Entries,
    /// Artifacts.
    Artifacts,
    /// Events.
    Events,
    /// Steps.
    Steps,
}

static ENTRY_TABLE: [Column; 6] = [
    Column::fixed("TIME"),
    Column::fixed("STATUS"),
    Column::fixed("TASK"),
    Column::shrinks("AGENT", 8, 1),
    Column::shrinks("SERVICES", 8, 2),
    Column::shrinks("WHAT", 16, 4),
];
static ARTIFACT_TABLE: [Column; 6] = [
    Column::fixed("TIME"),
    Column::fixed("TASK"),
    Column::shrinks("REPO", 8, 3),
    Column::fixed("TYPE"),
    Column::shrinks("REFERENCE", 12, 5),
    Column::shrinks("SUMMARY", 12, 2),
];
static EVENT_TABLE: [Column; 7] = [
    Column::fixed("TIME"),
    Column::fixed("TASK"),
    Column::fixed("SEQ").right(),
    Column::fixed("TYPE"),
    Column::shrinks("LEVEL", 5, 1),
    Column::shrinks("REPO", 8, 2),
    Column::shrinks("WHAT", 16, 4),
];
static STEP_TABLE: [Column; 7] = [
    Column::fixed("TIME"),
    Column::fixed("TASK"),
    Column::fixed("STEP"),
    Column::fixed("RESULT"),
    Column::fixed("MS").right(),
    Column::shrinks("WORKER", 8, 1),
    Column::shrinks("WHAT", 12, 4),
];

impl List {
    /// The key of the rows in the JSON answer.
    pub fn plural(self) -> &'static str {
        match self {
            Self::Entries => "entries",
            Self::Artifacts => "artifacts",
            Self::Events => "events",
            Self::Steps => "steps",
        }
    }

    fn schema(self) -> &'static str {
        match self {
            Self::Entries => "git-audit/log/v1",
            Self::Artifacts => "git-audit/artifacts/v1",
            Self::Events => "git-audit/events/v1",
            Self::Steps => "git-audit/steps/v1",
        }
    }

    fn table(self) -> &'static [Column] {
        match self {
            Self::Entries => &ENTRY_TABLE,
            Self::Artifacts => &ARTIFACT_TABLE,
            Self::Events => &EVENT_TABLE,
            Self::Steps => &STEP_TABLE,
        }
    }
}

/// Prints rows one after the other.
pub struct ListPrinter<'p> {
    printer: &'p mut Printer,
    list: List,
    /// What is shown of each row; `None`: what the format shows anyway.
    fields: Option<Vec<Field>>,
    begun: bool,
    rows: usize,
    table: Table,
}

impl<'p> ListPrinter<'p> {
    /// Nothing is written before the first row or the end: a query that fails first prints no half answer.
    pub fn new(printer: &'p mut Printer, list: List, fields: Option<Vec<Field>>) -> Self {
        let table = match &fields {
            None => Table::new(Cow::Borrowed(list.table())),
            Some(fields) => {
                let column = |field: &Field| {
                    Column::named(if field.name.starts_with('/') {
                        field.name.clone()
                    } else {
                        field.name.to_uppercase()
                    })
                };
                Table::new(fields.iter().map(column).collect::<Vec<_>>().into())
            }
        };
        Self { printer, list, fields, begun: false, rows: 0, table }
    }

    fn begin(&mut self) -> Result<()> {
        if std::mem::replace(&mut self.begun, true) {
            return Ok(());
        }
        match self.printer.format {
            Format::Json => {
                let (schema, rows) = (self.list.schema(), self.list.plural());
                self.printer.bytes(format!("{{\n  \"schema\": \"{schema}\",\n  \"{rows}\": [").as_bytes())
            }
            Format::Csv => {
                let columns = self.csv_fields();
                self.printer.csv_row(&columns.iter().map(|field| field.name.as_str()).collect::<Vec<_>>())
            }
            Format::Human | Format::Jsonl => Ok(()),
        }
    }

    fn csv_fields(&self) -> Vec<Field> {
        self.fields.clone().unwrap_or_else(|| Field::columns(self.list))
    }

    /// Adds the rows of an entry: itself, or its items.
    ///
    /// # Errors
    /// The output cannot be written.
    pub fn add(&mut self, found: Found) -> Result<()> {
        self.begin()?;
        match found {
            Found::Entry(entry, positions) => self.entry(*entry, &positions),
            Found::Headline(headline) => {
                self.rows += 1;
                let cells = self.headline_cells(&headline);
                self.table.row(self.printer, cells)
            }
        }
    }

    fn entry(&mut self, found: LoggedEntry, positions: &[u32]) -> Result<()> {
        if self.list == List::Entries {
            let cells = self.wants_cells().then(|| self.headline_cells(&Headline::of(&found.entry)));
            return self.row(EntryAnswer::new(found, &[]), cells);
        }
        for position in positions {
            let cells = self.wants_cells().then(|| self.item_cells(&found, *position));
            self.row(ItemAnswer::new(self.list, &found, *position), cells)?;
        }
        Ok(())
    }

    fn wants_cells(&self) -> bool {
        self.printer.format == Format::Human && self.fields.is_none()
    }

    fn row(&mut self, answer: impl Serialize, cells: Option<Vec<Cell>>) -> Result<()> {
        self.rows += 1;
        if let Some(cells) = cells {
            return self.table.row(self.printer, cells);
        }
        let format = self.printer.format;
        if let (Format::Json | Format::Jsonl, None) = (format, &self.fields) {
            return self.json(&answer);
        }
        let answer = serde_json::to_value(answer).unwrap_or(Value::Null);
        let fields = self.csv_fields();
        match format {
            Format::Json | Format::Jsonl => self.json(&Picked { answer: &answer, fields: &fields }),
            Format::Csv => csv(self.printer, &fields, &answer),
            Format::Human => {
                let cells = fields.iter().map(|field| Cell::or_dash(field.text(&answer))).collect();
                self.table.row(self.printer, cells)
            }
        }
    }

    fn json(&mut self, answer: &impl Serialize) -> Result<()> {
        if self.printer.format == Format::Jsonl {
            return self.printer.json_line(answer);
        }
        self.printer.bytes(if self.rows == 1 { b"\n    " } else { b",\n    " })?;
        let rendered = render::pretty(answer).unwrap_or_default();
        let text = String::from_utf8_lossy(&rendered).trim_end().replace('\n', "\n    ");
        self.printer.bytes(text.as_bytes())
    }

    /// Ends the answer.
    ///
    /// # Errors
    /// The output cannot be written.
    pub fn end(&mut self, page: &Page, answered: &Answered) -> Result<()> {
        self.begin()?;
        match self.printer.format {
            Format::Json => {
                self.printer.bytes(if self.rows == 0 { b"],\n" } else { b"\n  ],\n" })?;
                let rendered = render::pretty(&ListTail::new(page, answered)).unwrap_or_default();
                // The tail is an object of its own; its opening brace is the one we wrote at the beginning.
                self.printer.bytes(rendered.strip_prefix(b"{\n").unwrap_or(&rendered))
            }
            Format::Human => self.table.end(self.printer),
            Format::Jsonl | Format::Csv => Ok(()),
        }
    }

    fn time(&self, time: Timestamp) -> Cell {
        let local = (self.printer.reader.local_time)(time.utc());
        Cell::new(local.format("%Y-%m-%d %H:%M").to_string(), Style::Faint)
    }

    fn headline_cells(&self, headline: &Headline) -> Vec<Cell> {
        vec![
            self.time(headline.timestamp),
            Cell::new(headline.status.as_str(), Style::of_status(headline.status)),
            Cell::new(headline.task_id.as_str(), Style::Id),
            Cell::or_dash(headline.agent.as_deref().unwrap_or_default()),
            Cell::or_dash(headline.services.join(",")),
            Cell::plain(&headline.what),
        ]
    }

    fn item_cells(&self, found: &LoggedEntry, position: u32) -> Vec<Cell> {
        let entry = &found.entry;
        let task = Cell::new(entry.task_id.as_str(), Style::Id);
        let text = |text: &Option<String>| Cell::or_dash(text.as_deref().unwrap_or_default());
        let time = |time: Option<Timestamp>| self.time(time.unwrap_or(entry.timestamp));
        let at = position as usize;
        match self.list {
            List::Entries => None,
            List::Artifacts => entry.artifacts.iter().flatten().nth(at).map(|artifact| {
                vec![
                    time(artifact.created_at),
                    task,
                    text(&artifact.repo_id),
                    Cell::plain(artifact.ref_type.as_str()),
                    Cell::plain(&artifact.ref_value),
                    Cell::plain(first_line(artifact.summary.as_deref().unwrap_or_default())),
                ]
            }),
            List::Events => entry.events.iter().flatten().nth(at).map(|event| {
                let what = [&event.error_message, &event.commit_hash, &event.operation, &event.status];
                let said = event.extra.get("message").or_else(|| event.metadata.as_ref()?.get("message"));
                let said = said.and_then(Value::as_str);
                let what = said.or(what.into_iter().flatten().next().map(String::as_str)).unwrap_or_default();
                let is_error = event.error_message.is_some() || event.level.as_deref() == Some("error");
                vec![
                    time(event.at),
                    task,
                    Cell::plain(event.seq.to_string()),
                    Cell::new(&event.event_type, if is_error { Style::Bad } else { Style::Plain }),
                    text(&event.level),
                    text(&event.repo_id),
                    Cell::plain(first_line(what)),
                ]
            }),
            List::Steps => entry.steps.iter().flatten().nth(at).map(|step| {
                let (result, style) = match step.success {
                    Some(true) => ("ok", Style::Good),
                    Some(false) => ("failed", Style::Bad),
                    None => ("-", Style::Faint),
                };
                let states = [&step.from_state, &step.to_state].map(|state| state.as_deref().unwrap_or("?"));
                let moved = step.from_state.is_some() || step.to_state.is_some();
                let moved = if moved { states.join(" → ") } else { String::new() };
                let what: Vec<_> = [step.name.as_deref().unwrap_or_default(), &moved]
                    .into_iter()
                    .filter(|part| !part.is_empty())
                    .collect();
                vec![
                    time(None),
                    task,
                    Cell::plain(&step.step_id),
                    Cell::new(result, style),
                    Cell::or_dash(step.execution_time_ms.map(|ms| ms.to_string()).unwrap_or_default()),
                    Cell::or_dash(step.worker(entry).unwrap_or_default()),
                    Cell::plain(first_line(&what.join("  "))),
                ]
            }),
        }
        .unwrap_or_default()
    }
}

fn csv(printer: &mut Printer, fields: &[Field], answer: &Value) -> Result<()> {
    let cells: Vec<_> = fields.iter().map(|field| field.text(answer)).collect();
    printer.csv_row(&cells.iter().map(String::as_str).collect::<Vec<_>>())
}

/// One entry as CSV, with its header.
pub(super) fn csv_entry(printer: &mut Printer, found: LoggedEntry) -> Result<()> {
    let fields = Field::columns(List::Entries);
    printer.csv_row(&fields.iter().map(|field| field.name.as_str()).collect::<Vec<_>>())?;
    let answer = serde_json::to_value(EntryAnswer::new(found, &[])).unwrap_or(Value::Null);
    csv(printer, &fields, &answer)
}
