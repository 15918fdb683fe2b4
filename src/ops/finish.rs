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
use super::scribe::{Item, Scribe};
use super::tasks::{State, state_of};
use super::{Context, looks, parts, record};
use crate::entry::{Status, TaskId};
use crate::error::{Error, Result};
use crate::journal::story::merge;
use crate::journal::{Finish, Journals, Record, Story};
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
    /// The journal could not be closed, and is still here: the entry was made from what it says.
    pub left: Option<PathBuf>,
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
    let mut scribe = Scribe::of(&story.start, running::now(context))?;
    let given = scribe.part(given)?;
    let finish = match &story.finish {
        Some(before) if given.as_object().is_some_and(Map::is_empty) || before.fields == given => {
            before.clone()
        }
        _ => Finish { at: running::now(context), fields: given },
    };
    let mut looked = Vec::new();
    // What was said already is not said again: the story is closed.
    if story.finish.is_none() {
        let mut looks: Vec<_> =
            story.repositories.iter().map(|worked| looks::last(context, worked)).collect();
        for repository in &repositories {
            looks.extend(looks::at_end(context, repository, &story.repositories)?);
        }
        for Look { event, artifacts, .. } in looks {
            looked.push(scribe.event(event)?);
            looked.extend(scribe.artifacts(artifacts)?);
        }
    }
    tell_found(&scribe, progress)?;
    let closing = Closing { finish, looked, only_if_lost: false };
    match seal(context, &journals, &task_id, closing.clone(), best_effort, progress) {
        // It could not be closed: another one holds it, or the disk is full.
        Err(Error::Busy { .. } | Error::Io { .. }) if best_effort => {
            let (Some(story), Closing { finish, looked, .. }) = (journals.read(&task_id)?, closing) else {
                return Err(running::not_running(context, &journals, &task_id));
            };
            let document = looked.into_iter().fold(story, Story::with).into_document(finish);
            let recorded = record(context, parts::of(document)?, best_effort, progress)?;
            Ok(FinishOutcome { recorded, left: Some(journals.path(&task_id)), ..FinishOutcome::default() })
        }
        sealed => sealed?.ok_or_else(|| running::not_running(context, &journals, &task_id)),
    }
}

/// Records every task whose process is gone, as failed; one that was being finished, as it was to be. What is wrong with
/// one keeps none of the others.
///
/// # Errors
/// There is no repository.
pub fn run_lost(
    context: &Context,
    tasks: &[TaskId],
    best_effort: bool,
    progress: Tell<'_>,
) -> Result<Vec<(TaskId, Result<FinishOutcome>)>> {
    let journals = running::journals_at(context)?;
    let mut done = Vec::new();
    for task_id in journals.tasks().into_iter().filter(|task| tasks.is_empty() || tasks.contains(task)) {
        let outcome = match journals.read(&task_id) {
            Ok(Some(story)) if state_of(&story) == State::Lost => {
                let fields = json!({ "status": Status::Failed, "error_message": LOST });
                let at = story.last_heard_of().to_owned();
                let finish = story.finish.clone().unwrap_or(Finish { at, fields });
                let known = story.repositories.iter().map(looks::unlooked);
                let looked = Scribe::of(&story.start, finish.at.clone()).and_then(|mut scribe| {
                    known.map(|event| scribe.event(Item::captured(event))).collect::<Result<Vec<_>>>()
                });
                let closing = Closing { finish, looked: looked.unwrap_or_default(), only_if_lost: true };
                seal(context, &journals, &task_id, closing, best_effort, progress).transpose()
            }
            Ok(_) => None,
            Err(error) => Some(Err(error)),
        };
        done.extend(outcome.map(|outcome| (task_id, outcome)));
    }
    Ok(done)
}

/// How a story is closed.
#[derive(Clone)]
struct Closing {
    finish: Finish,
    /// What was seen of its repositories at the end.
    looked: Vec<Record>,
    /// Nothing is done if somebody has the task by now.
    only_if_lost: bool,
}

/// Closes the story, unless it is closed so already, and records it. `None`: it is not to be closed, or is gone: another
/// finish was sooner.
fn seal(
    context: &Context,
    journals: &Journals,
    task_id: &TaskId,
    closing: Closing,
    best_effort: bool,
    progress: Tell<'_>,
) -> Result<Option<FinishOutcome>> {
    let Closing { finish, looked, only_if_lost } = closing;
    let Some(mut journal) = journals.open(task_id, context.deadline())? else { return Ok(None) };
    let Some(story) = journal.story()? else { return Ok(None) };
    if only_if_lost && state_of(&story) != State::Lost {
        return Ok(None);
    }
    // Refused before it is closed: what is wrong can still be put right.
    parts::of(story.clone().into_document(finish.clone()))?;
    let story = match &story.finish {
        Some(before) if *before == finish => story,
        before => {
            let looked = if before.is_none() { looked } else { Vec::new() };
            journal.append(looked.into_iter().chain([Record::Finish(finish.clone())]).collect())?;
            let Some(story) = journal.story()? else { return Ok(None) };
            story
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
    Ok(Some(FinishOutcome { recorded, set_aside, unreadable, left: None }))
}

fn tell_found(scribe: &Scribe, progress: Tell<'_>) -> Result<()> {
    let seen = Some("what changed in the repositories".to_owned());
    for (source, found) in [(None, &scribe.found), (seen, &scribe.captured)] {
        if !found.is_empty() {
            progress(Progress::Redacted(&Origin { source, line: None }, found))?;
        }
    }
    Ok(())
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
    // What is in a journal was let in by the rules of then.
    let options =
        RecordOptions { sources, fields: Vec::new(), ci: None, lets_in: true, init: false, best_effort };
    record::run(context, options, progress)
}
