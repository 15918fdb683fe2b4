//! `git audit event`: what happens while a task runs.

use serde_json::{Map, Value};

use super::Context;
use super::running::{self, RepositoryOption};
use crate::entry::TaskId;
use crate::error::Result;
use crate::journal::Record;

/// An event of this type is the result of a step: its metadata goes to the entry's `steps`.
const STEP_RESULT: &str = "step_result";

/// Things that happened.
#[derive(Debug)]
pub struct EventOptions {
    /// The running task.
    pub task_id: TaskId,
    /// The events, in order, as an entry has them; `at` is now where it is left out.
    pub events: Vec<Map<String, Value>>,
    /// A repository to look at: what changed in it goes into the last event.
    pub repository: Option<RepositoryOption>,
}

/// Things that were taken down.
#[derive(Debug)]
pub struct EventOutcome {
    /// The task.
    pub task_id: TaskId,
    /// The number of the last event, and how many there were. A result of a step has no number.
    pub last: u64,
    /// The number of events that were added.
    pub added: usize,
}

/// Adds events to a running task. They are durable when this returns; all of them or none.
///
/// # Errors
/// The task is not running, or an event breaks a rule.
pub fn run(context: &Context, options: EventOptions) -> Result<EventOutcome> {
    let EventOptions { task_id, events, .. } = options;
    let at = running::now(context);
    let records = events.into_iter().map(|event| record(event, &at)).collect::<Result<Vec<_>>>()?;
    let added = records.len();
    let (mut journal, _) = running::open(context, &task_id)?;
    let last = journal.append(records)?;
    journal.commit()?;
    Ok(EventOutcome { task_id, last, added })
}

fn record(mut event: Map<String, Value>, at: &str) -> Result<Record> {
    let is_step = event.get("type").is_some_and(|kind| kind == STEP_RESULT);
    let step = event.get_mut("metadata").filter(|data| is_step && data.get("step_id").is_some());
    match step.map(Value::take) {
        Some(Value::Object(step)) => running::step(step),
        _ => running::event(event, at),
    }
}
