//! `git audit event`: what happens while a task runs.

use serde_json::{Map, Value};

use super::looks::Look;
use super::running::{self, RepositoryOption};
use super::scribe::Scribe;
use super::{Context, looks};
use crate::entry::TaskId;
use crate::entry::redact::Found;
use crate::error::{Error, Result};
use crate::journal::story::merged;
use crate::journal::{Record, Story};

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
    /// The number of the task's last event.
    pub last: u64,
    /// How many were added.
    pub added: usize,
    /// How many of those are results of steps, which have no number.
    pub steps: usize,
    /// The secrets that were found in them.
    pub found: Vec<Found>,
    /// The secrets that were found in the repository.
    pub captured: Vec<Found>,
}

/// Adds events to a running task. They are durable when this returns; all of them or none.
///
/// # Errors
/// The task is not running, or an event breaks a rule.
pub fn run(context: &Context, options: EventOptions) -> Result<EventOutcome> {
    let EventOptions { task_id, mut events, repository } = options;
    let look = match &repository {
        Some(repository) => {
            Some(looks::again(context, repository, &running::story(context, &task_id)?.repositories)?)
        }
        None => None,
    };
    let (mut journal, start) = running::open(context, &task_id)?;
    let mut scribe = Scribe::of(&start, running::now(context))?;
    let mut of_look = Vec::new();
    if let Some(Look { event, artifacts, baseline }) = look {
        let captured = scribe.part_of_event(event)?;
        if let Some(event) = events.last_mut() {
            *event = merged(captured, std::mem::take(event));
        }
        of_look = scribe.artifacts(artifacts)?;
        of_look.extend(baseline.map(|baseline| scribe.repository(baseline)));
    }
    let mut records =
        events.into_iter().map(|event| record(event, &mut scribe)).collect::<Result<Vec<_>>>()?;
    let added = records.len();
    let is_step = |record: &Record| matches!(record, Record::Step { .. });
    let steps = records.iter().filter(|record| is_step(record)).count();
    let story = if steps > 0 { journal.story()? } else { None };
    refuse_known_steps(&task_id, story.as_ref(), &records)?;
    records.extend(of_look);
    let last = journal.append(records)?;
    journal.commit()?;
    let Scribe { found, captured, .. } = scribe;
    Ok(EventOutcome { task_id, last, added, steps, found, captured })
}

/// The result of a step is taken down once.
fn refuse_known_steps(task_id: &TaskId, story: Option<&Story>, records: &[Record]) -> Result<()> {
    let steps = records.iter().filter_map(|record| match record {
        Record::Step { step } => Some(step),
        _ => None,
    });
    for (index, step) in steps.clone().enumerate() {
        let is_same = |other: &&Map<String, Value>| {
            ["step_id", "transition_id"].iter().all(|key| other.get(*key) == step.get(*key))
        };
        if story.is_some_and(|story| story.has_step(step))
            || steps.clone().take(index).any(|other| is_same(&other))
        {
            let step_id = step.get("step_id").and_then(Value::as_str).unwrap_or_default();
            let item = format!("the result of step {step_id} with that transition_id");
            return Err(Error::Duplicate { task_id: task_id.clone(), item });
        }
    }
    Ok(())
}

fn record(mut event: Map<String, Value>, scribe: &mut Scribe) -> Result<Record> {
    let is_step = event.get("type").is_some_and(|kind| kind == STEP_RESULT);
    let step = event.get_mut("metadata").filter(|data| is_step && data.get("step_id").is_some());
    match step.map(Value::take) {
        Some(Value::Object(step)) => Ok(Record::Step { step: scribe.step(step)? }),
        _ => scribe.event(event),
    }
}
