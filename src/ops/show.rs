//! `git audit show`: one entry, whole.

use super::{Context, Coverage, LoggedEntry};
use crate::entry::TaskId;
use crate::error::{Error, Result};
use crate::ledger::{Ledger, Stored};

/// An entry and what the answer rests on.
#[derive(Debug)]
pub struct ShowOutcome {
    /// The entry.
    pub entry: LoggedEntry,
    /// What the answer rests on.
    pub coverage: Coverage,
}

/// The stored bytes of the task's entry, exactly.
///
/// # Errors
/// There is no entry of that id.
pub fn raw(context: &Context, task_id: &TaskId) -> Result<Stored> {
    let ledger = Ledger::open(&context.place)?;
    let mut view = ledger.view()?;
    let path = view.path_of(task_id)?;
    view.read(&path)
}

/// The task's entry, with the commit that recorded it. One that was removed or changed afterwards is shown as it was
/// recorded, with a warning.
///
/// # Errors
/// There never was an entry of that id, or what is stored is not one.
pub fn run(context: &Context, task_id: &TaskId) -> Result<ShowOutcome> {
    let ledger = Ledger::open(&context.place)?;
    let mut view = ledger.view()?;
    let recorded = view.history()?.find_task(task_id)?;
    let stored = match &recorded {
        Some(recorded) => view.load(recorded)?,
        None => {
            let path = view.path_in_tree(task_id)?;
            view.read(&path)?
        }
    };
    let timestamp = recorded.as_ref().and_then(|recorded| Some(recorded.summary().ok()?.timestamp));
    let entry = stored.entry(timestamp).map_err(|invalid| {
        Error::Damaged(format!("{} in the ledger is not a valid entry: {invalid}", stored.path))
    })?;
    let coverage = Coverage { head: view.head(), entries: view.count()?, incomplete: view.incomplete() };
    Ok(ShowOutcome {
        entry: LoggedEntry { entry, recorded: recorded.as_ref().map(Into::into), stored },
        coverage,
    })
}
