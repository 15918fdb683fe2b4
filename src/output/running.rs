//! What is said of tasks that are still running.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::sanitize::visible;
use super::style::Style;
use super::table::{Cell, Column, Table};
use super::v1::{ArtifactAnswer, EventAnswer, StartAnswer, TaskAnswer, TasksAnswer};
use super::{Format, Printer};
use crate::entry::Timestamp;
use crate::entry::text::first_line;
use crate::error::Result;
use crate::ops::artifact::ArtifactOutcome;
use crate::ops::event::EventOutcome;
use crate::ops::start::StartOutcome;
use crate::ops::tasks::{RunningTask, State};

static TASK_TABLE: [Column; 6] = [
    Column::fixed("SINCE"),
    Column::fixed("STATE"),
    Column::fixed("TASK"),
    Column::fixed("EVENTS").right(),
    Column::shrinks("AGENT", 8, 1),
    Column::shrinks("TITLE", 16, 4),
];
static EVENT_TABLE: [Column; 5] = [
    Column::fixed("TIME"),
    Column::fixed("SEQ").right(),
    Column::fixed("TYPE"),
    Column::shrinks("REPO", 8, 1),
    Column::shrinks("WHAT", 16, 4),
];
static ARTIFACT_TABLE: [Column; 4] = [
    Column::fixed("TYPE"),
    Column::shrinks("REFERENCE", 12, 3),
    Column::shrinks("REPO", 8, 1),
    Column::shrinks("SUMMARY", 12, 2),
];

/// A task began.
///
/// # Errors
/// The output cannot be written.
pub fn started(printer: &mut Printer, outcome: &StartOutcome) -> Result<()> {
    let answer = StartAnswer::from(outcome);
    match printer.format {
        Format::Json | Format::Jsonl => printer.json_line(&answer),
        Format::Csv => {
            printer.csv_row(&["task_id", "outcome", "since"])?;
            printer.csv_row(&[outcome.task_id.as_str(), answer.outcome(), &outcome.since])
        }
        Format::Human if outcome.resumed => {
            printer.line(&format!("resumed {}: running since {}", outcome.task_id, outcome.since))
        }
        Format::Human => printer.line(&format!("started {}", outcome.task_id)),
    }?;
    printer.flush()
}

/// Events were added.
///
/// # Errors
/// The output cannot be written.
pub fn event(printer: &mut Printer, outcome: &EventOutcome) -> Result<()> {
    match printer.format {
        Format::Json | Format::Jsonl => printer.json_line(&EventAnswer::from(outcome)),
        Format::Csv => {
            printer.csv_row(&["task_id", "seq", "added"])?;
            let [last, added] = [outcome.last.to_string(), outcome.added.to_string()];
            printer.csv_row(&[outcome.task_id.as_str(), &last, &added])
        }
        Format::Human => {
            let EventOutcome { task_id, last, added, steps, .. } = outcome;
            let events = match added - steps {
                0 => String::new(),
                1 => format!("event {last} of {task_id}"),
                events => format!("{events} events of {task_id}, up to {last}"),
            };
            let steps = match steps {
                0 => String::new(),
                1 => format!("a step of {task_id}"),
                steps => format!("{steps} steps of {task_id}"),
            };
            let and = if events.is_empty() || steps.is_empty() { "" } else { ", " };
            printer.line(&format!("{events}{and}{steps}"))
        }
    }?;
    printer.flush()
}

/// An artifact was added.
///
/// # Errors
/// The output cannot be written.
pub fn artifact(printer: &mut Printer, outcome: &ArtifactOutcome) -> Result<()> {
    let text = |key: &str| outcome.artifact.get(key).and_then(Value::as_str).unwrap_or_default();
    match printer.format {
        Format::Json | Format::Jsonl => printer.json_line(&ArtifactAnswer::from(outcome)),
        Format::Csv => {
            let columns = ["task_id", "repo_id", "ref_type", "ref_value"];
            printer.csv_row(&columns)?;
            let cells = columns.map(|column| text(column).to_owned());
            printer.csv_row(&[outcome.task_id.as_str(), &cells[1], &cells[2], &cells[3]])
        }
        Format::Human => {
            let value = visible(text("ref_value"));
            printer.line(&format!("{} {value} of {}", text("ref_type"), outcome.task_id))
        }
    }?;
    printer.flush()
}

/// The running tasks; with `whole`, their stories.
///
/// # Errors
/// The output cannot be written.
pub fn tasks(printer: &mut Printer, tasks: &[RunningTask], whole: bool) -> Result<()> {
    match printer.format {
        Format::Json => printer.json(&TasksAnswer::new(tasks, whole)),
        Format::Jsonl => tasks.iter().try_for_each(|task| printer.json_line(&TaskAnswer::new(task, whole))),
        Format::Csv => csv(printer, tasks),
        Format::Human => {
            let mut table = Table::new(Cow::Borrowed(&TASK_TABLE[..]));
            for task in tasks {
                let cells = cells(printer, task);
                table.row(printer, cells)?;
            }
            table.end(printer)?;
            if whole { tasks.iter().try_for_each(|task| story(printer, task)) } else { Ok(()) }
        }
    }
}

fn csv(printer: &mut Printer, tasks: &[RunningTask]) -> Result<()> {
    printer.csv_row(&[
        "task_id",
        "state",
        "since",
        "last",
        "pid",
        "events",
        "artifacts",
        "agent",
        "title",
    ])?;
    tasks.iter().try_for_each(|task| {
        let story = &task.story;
        let pid = story.owner.as_ref().map(|owner| owner.pid.to_string()).unwrap_or_default();
        printer.csv_row(&[
            task.task_id.as_str(),
            task.state.as_str(),
            &story.start.at,
            story.last_heard_of(),
            &pid,
            &story.events.len().to_string(),
            &story.artifacts.len().to_string(),
            task.text("/dispatch_info/agent_id").unwrap_or_default(),
            task.text("/title").unwrap_or_default(),
        ])
    })
}

fn cells(printer: &Printer, task: &RunningTask) -> Vec<Cell> {
    let style = match task.state {
        State::Alive | State::Open => Style::Good,
        State::Lost => Style::Bad,
        State::Elsewhere | State::Finishing => Style::Faint,
    };
    vec![
        time(printer, &task.story.start.at),
        Cell::new(task.state.as_str(), style),
        Cell::new(task.task_id.as_str(), Style::Id),
        Cell::plain(task.story.events.len().to_string()),
        Cell::or_dash(task.text("/dispatch_info/agent_id").unwrap_or_default()),
        Cell::plain(first_line(task.text("/title").unwrap_or_default())),
    ]
}

fn time(printer: &Printer, at: &str) -> Cell {
    let local = Timestamp::parse(at).map(|time| (printer.reader.local_time)(time.utc()));
    let text = local.map(|local| local.format("%Y-%m-%d %H:%M:%S").to_string());
    Cell::new(text.as_deref().unwrap_or(at), Style::Faint)
}

fn story(printer: &mut Printer, task: &RunningTask) -> Result<()> {
    let text = |item: &Value, key: &str| item.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    if !task.story.events.is_empty() {
        printer.line("")?;
        let mut table = Table::new(Cow::Borrowed(&EVENT_TABLE[..]));
        for event in &task.story.events {
            let none = Map::new();
            let event_fields = event.as_object().unwrap_or(&none);
            let said =
                event_fields.get("metadata").map(|metadata| text(metadata, "message")).unwrap_or_default();
            let words =
                [said, text(event, "error_message"), text(event, "commit_hash"), text(event, "status")];
            let what = words.iter().find(|word| !word.is_empty()).map(String::as_str).unwrap_or_default();
            let seq = event.get("seq").map(Value::to_string).unwrap_or_default();
            let cells = vec![
                time(printer, &text(event, "at")),
                Cell::plain(seq),
                Cell::plain(text(event, "type")),
                Cell::or_dash(text(event, "repo_id")),
                Cell::plain(first_line(what)),
            ];
            table.row(printer, cells)?;
        }
        table.end(printer)?;
    }
    if !task.story.artifacts.is_empty() {
        printer.line("")?;
        let mut table = Table::new(Cow::Borrowed(&ARTIFACT_TABLE[..]));
        for artifact in &task.story.artifacts {
            let cells = vec![
                Cell::plain(text(artifact, "ref_type")),
                Cell::plain(text(artifact, "ref_value")),
                Cell::or_dash(text(artifact, "repo_id")),
                Cell::plain(first_line(&text(artifact, "summary"))),
            ];
            table.row(printer, cells)?;
        }
        table.end(printer)?;
    }
    Ok(())
}
