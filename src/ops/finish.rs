//! `git audit finish`: a story is closed and becomes an entry.
//!
//! How it ended is written into the journal first. So a finish that was interrupted is finished by the next one, with the
//! same entry; and the journal goes only when the entry is in the ledger, or waits in the spool.

use std::path::PathBuf;

use serde_json::{Map, Value, json};

use super::input::{Origin, Source};
use super::looks::Look;
use super::record::{Progress, RecordOptions, RecordOutcome};
use super::running::{self, RepositoryOption};
use super::scribe::Scribe;
use super::tasks::{State, state_of};
use super::{Context, looks, parts, record};
use crate::entry::{Status, TaskId};
use crate::error::{Error, Result};
use crate::journal::story::merge;
use crate::journal::{Finish, Journals, Record};
use crate::ledger::Receipt;

/// What is said of a task whose process is gone.
const LOST: &str = "its process ended without finishing it";

/// A task that ends.
pub struct FinishOptions {
    /// The task.
    pub task_id: TaskId,
    /// How it ended: a part of an entry. Nothing, where an interrupted finish has said it.
    pub given: Value,
    /// Repositories to look at, beside those that it began with.
    pub repositories: Vec<RepositoryOption>,
    /// What cannot be recorded waits in the spool, and is no error.
    pub best_effort: bool,
}

/// What became of a task's journal.
#[derive(Debug, Default)]
pub struct FinishOutcome {
    /// How recording went.
    pub recorded: RecordOutcome,
    /// The ledger has something else under that id, so the journal was moved here.
    pub set_aside: Option<PathBuf>,
    /// Lines of the journal that could not be read.
    pub unreadable: Vec<usize>,
}

type Tell<'t> = &'t mut dyn FnMut(Progress<'_>) -> Result<()>;

/// Closes a task's story and records its entry.
///
/// # Errors
/// The task is not running; how it ended breaks a rule; or the entry cannot be recorded: the journal is kept then, and
/// the same command finishes it later.
pub fn run(context: &Context, options: FinishOptions, progress: Tell<'_>) -> Result<FinishOutcome> {
    let journals = running::journals_for(context, &options.task_id)?;
    let FinishOptions { task_id, given, repositories, best_effort } = options;
    let Some(story) = journals.read(&task_id)? else {
        let error = running::not_running(context, &journals, &task_id);
        let says_how = given.get("status").is_some();
        return match error {
            Error::NotRunning { is_recorded: true, .. } if says_how => {
                finished_before(context, &task_id, given, progress)
            }
            error => Err(error),
        };
    };
    let mut looks = Vec::new();
    // What was said already is not said again: the story is closed.
    if story.finish.is_none() {
        looks.extend(story.repositories.iter().map(looks::last));
        for repository in &repositories {
            looks.extend(looks::at_end(context, repository, &story.repositories)?);
        }
    }
    let mut scribe = Scribe::of(&story.start, running::now(context))?;
    let given = scribe.part(given)?;
    tell_found(&scribe, progress)?;
    let finish = match story.finish {
        Some(before) if given.as_object().is_some_and(Map::is_empty) || before.fields == given => before,
        _ => Finish { at: running::now(context), fields: given },
    };
    seal(context, &journals, &task_id, finish, looks, best_effort, progress)
}

/// Records every task whose process is gone, as failed; one that was being finished, as it was to be. A story that no
/// entry can hold is an error of its own, and keeps none of the others.
///
/// # Errors
/// There is no repository, or an entry cannot be recorded.
pub fn run_lost(
    context: &Context,
    tasks: &[TaskId],
    best_effort: bool,
    progress: Tell<'_>,
) -> Result<Vec<(TaskId, Result<FinishOutcome>)>> {
    let journals = running::journals_at(context)?;
    let mut done = Vec::new();
    for task_id in journals.tasks().into_iter().filter(|task| tasks.is_empty() || tasks.contains(task)) {
        let Some(story) = journals.read(&task_id)? else { continue };
        if state_of(&story) != State::Lost {
            continue;
        }
        let fields = json!({ "status": Status::Failed, "error_message": LOST });
        let at = story.last_heard_of().to_owned();
        let finish = story.finish.unwrap_or(Finish { at, fields });
        let outcome = match seal(context, &journals, &task_id, finish, Vec::new(), best_effort, progress) {
            Err(error @ Error::Invalid(_)) => Err(error),
            sealed => Ok(sealed?),
        };
        done.push((task_id, outcome));
    }
    Ok(done)
}

/// Closes the story as `finish` says, unless it is closed so already, and records it.
fn seal(
    context: &Context,
    journals: &Journals,
    task_id: &TaskId,
    finish: Finish,
    looks: Vec<Look>,
    best_effort: bool,
    progress: Tell<'_>,
) -> Result<FinishOutcome> {
    let gone = || running::not_running(context, journals, task_id);
    let mut journal = journals.open(task_id, context.deadline())?.ok_or_else(gone)?;
    let story = journal.story()?.ok_or_else(gone)?;
    // Refused before it is closed: what is wrong can still be put right.
    parts::of(story.clone().into_document(finish.clone()))?;
    let story = match &story.finish {
        Some(before) if *before == finish => story,
        before => {
            let mut records = Vec::new();
            if before.is_none() {
                let mut scribe = Scribe::of(&story.start, finish.at.clone())?;
                for Look { event, artifacts, .. } in looks {
                    records.push(scribe.event(event)?);
                    records.extend(scribe.artifacts(artifacts)?);
                }
                tell_found(&scribe, progress)?;
            }
            records.push(Record::Finish(finish.clone()));
            journal.append(records)?;
            journal.story()?.ok_or_else(gone)?
        }
    };
    journal.commit()?;
    let unreadable = story.unreadable.clone();
    let documents = parts::of(story.into_document(finish))?;
    let mut is_other = false;
    let recorded = record(context, documents, best_effort, &mut |told| {
        is_other |= matches!(told, Progress::Receipt { receipt: Receipt::Skipped { differing, .. }, .. } if !differing.is_empty());
        progress(told)
    })?;
    let is_kept_elsewhere = recorded.invalid == 0;
    let journal = if is_kept_elsewhere { journals.open(task_id, context.deadline())? } else { None };
    let set_aside = match journal {
        // Another finish was at it, too, and the task may even have begun once more.
        Some(journal) if !journal.is_closed() => None,
        None => None,
        Some(journal) if is_other || !unreadable.is_empty() => Some(journal.set_aside()?),
        Some(journal) => {
            journal.remove()?;
            None
        }
    };
    Ok(FinishOutcome { recorded, set_aside, unreadable })
}

fn tell_found(scribe: &Scribe, progress: Tell<'_>) -> Result<()> {
    if scribe.found.is_empty() {
        return Ok(());
    }
    progress(Progress::Redacted(&Origin { source: None, line: None }, &scribe.found))
}

/// Records a task that could have no journal.
///
/// # Errors
/// What is known of it is no entry.
pub(super) fn without_journal(
    context: &Context,
    task_id: &TaskId,
    started_at: &str,
    given: Value,
    end: Value,
    progress: Tell<'_>,
) -> Result<FinishOutcome> {
    let at = running::now(context);
    let mut document =
        json!({ "execution_result": { "start_time": started_at, "end_time": at }, "timestamp": at });
    for more in [given, end, json!({ "task_id": task_id })] {
        merge(&mut document, more);
    }
    let recorded = record(context, vec![document], true, progress)?;
    Ok(FinishOutcome { recorded, ..FinishOutcome::default() })
}

/// A finish that was told already, and is told again: its entry is there, and nothing is added.
fn finished_before(
    context: &Context,
    task_id: &TaskId,
    mut given: Value,
    progress: Tell<'_>,
) -> Result<FinishOutcome> {
    merge(&mut given, json!({ "task_id": task_id }));
    let recorded = record(context, vec![given], false, progress)?;
    Ok(FinishOutcome { recorded, ..FinishOutcome::default() })
}

fn record(
    context: &Context,
    documents: Vec<Value>,
    best_effort: bool,
    progress: Tell<'_>,
) -> Result<RecordOutcome> {
    let sources = vec![Source::Values(documents)];
    let options = RecordOptions { sources, fields: Vec::new(), ci: None, init: false, best_effort };
    record::run(context, options, progress)
}
