//! What the commands for running tasks share: finding the journal.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use super::Context;
use crate::entry::{TaskId, Timestamp};
use crate::error::{Error, Result};
use crate::journal::{Journals, OpenJournal, Start, Story};
use crate::ledger::{self, Durability, Ledger};

/// Ids that are offered for one that is not there.
const MAX_SIMILAR: usize = 3;
const SIMILARITY: f64 = 0.7;

/// A repository that a task works in.
#[derive(Clone, Debug)]
pub struct RepositoryOption {
    /// Where it is.
    pub path: PathBuf,
    /// What it is called in events and artifacts; `None`: by its remote.
    pub repo_id: Option<String>,
}

/// The time, as an entry has it.
pub(super) fn now(context: &Context) -> String {
    Timestamp::from_clock(context.place.clock.now()).to_string()
}

/// The journals beside an open ledger, ready for a new one.
pub(super) fn journals_of(ledger: &Ledger) -> Result<Journals> {
    let journals = Journals::of(&ledger.state_directory(), ledger.asked_durability()?);
    ledger.make_state_directory(journals.directory())?;
    Ok(journals)
}

/// The journals of this place where that task's is, if it is anywhere.
pub(super) fn journals_for(context: &Context, task_id: &TaskId) -> Result<Journals> {
    journals_by_sight(context, task_id).map_or_else(|| journals_at(context), Ok)
}

/// The journals of this place, as far as they are there.
pub(super) fn journals_at(context: &Context) -> Result<Journals> {
    Ok(Journals::of(&ledger::state_directory_at(&context.place)?, Durability::default()))
}

/// The journal of a running task, locked, and how the task began.
///
/// # Errors
/// It is not running, or is being finished.
pub(super) fn open(context: &Context, task_id: &TaskId) -> Result<(OpenJournal, Start)> {
    let journals = journals_for(context, task_id)?;
    let Some(mut journal) = journals.open(task_id, context.deadline())? else {
        return Err(not_running(context, &journals, task_id));
    };
    let Some(start) = journal.start()? else { return Err(not_running(context, &journals, task_id)) };
    if journal.is_closed() {
        return Err(Error::Finishing(task_id.clone()));
    }
    Ok((journal, start))
}

/// What the journal of a running task says, without waiting for its writers.
///
/// # Errors
/// It is not running.
pub(super) fn story(context: &Context, task_id: &TaskId) -> Result<Story> {
    let journals = journals_for(context, task_id)?;
    journals.read(task_id)?.ok_or_else(|| not_running(context, &journals, task_id))
}

/// Whether the task has a journal.
pub(super) fn is_running(context: &Context, task_id: &TaskId) -> Result<bool> {
    Ok(journals_for(context, task_id)?.path(task_id).is_file())
}

/// Where the task's journal is there at first sight, and the caller's own, it is of a repository that was opened with
/// all care when the task began.
fn journals_by_sight(context: &Context, task_id: &TaskId) -> Option<Journals> {
    let journals = Journals::of(&ledger::state_directory_by_sight(&context.place)?, Durability::default());
    let metadata = fs::symlink_metadata(journals.path(task_id)).ok()?;
    let is_own = metadata.uid() == rustix::process::geteuid().as_raw();
    (metadata.is_file() && is_own).then_some(journals)
}

/// Whether the ledger has an entry of the task, as far as that can be known.
pub(super) fn is_recorded(context: &Context, task_id: &TaskId) -> bool {
    Ledger::open(&context.place).is_ok_and(|ledger| has_entry(&ledger, task_id))
}

fn has_entry(ledger: &Ledger, task_id: &TaskId) -> bool {
    ledger.view().and_then(|mut view| view.has(task_id)).unwrap_or(false)
}

/// Why there is no journal of the task.
pub(super) fn not_running(context: &Context, journals: &Journals, task_id: &TaskId) -> Error {
    let ledger = Ledger::open(&context.place).ok();
    if ledger.as_ref().is_some_and(|ledger| ledger.is_waiting(task_id)) {
        return Error::Waiting(task_id.clone());
    }
    let is_recorded = ledger.is_some_and(|ledger| has_entry(&ledger, task_id));
    let similar = journals.tasks().into_iter().map(|running| running.to_string());
    let similar = similar
        .filter(|running| strsim::jaro_winkler(running, task_id.as_str()) > SIMILARITY)
        .take(MAX_SIMILAR);
    Error::NotRunning { task_id: task_id.clone(), is_recorded, similar: similar.collect() }
}
