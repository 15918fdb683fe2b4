//! What a shell offers in place of a word that is being typed.

use crate::entry::TaskId;
use crate::error::Result;
use crate::journal::Journals;
use crate::ledger::{self, Durability, Ledger, Place};

/// More than this many candidates help nobody.
const MOST: usize = 200;

/// Ids of recorded tasks that start with `prefix`: at most 200, sorted. Nothing is written.
///
/// # Errors
/// There is no ledger, or it cannot be read.
pub fn task_ids(place: &Place, prefix: &str) -> Result<Vec<TaskId>> {
    Ledger::open(place)?.view()?.ids_starting_with(prefix, MOST)
}

/// The same for tasks that are running.
///
/// # Errors
/// There is no repository.
pub fn running_tasks(place: &Place, prefix: &str) -> Result<Vec<TaskId>> {
    let journals = Journals::of(&ledger::state_directory_at(place)?, Durability::default());
    let starts = |task_id: &TaskId| task_id.as_str().starts_with(prefix);
    Ok(journals.tasks().into_iter().filter(starts).take(MOST).collect())
}
