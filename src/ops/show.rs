//! `git audit show`: one entry, whole.

use super::{Context, Coverage, LoggedEntry};
use crate::entry::TaskId;
use crate::error::{Error, Result};
use crate::index::Index;
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
    // The index knows the commit; where it does not, the walk looks for it.
    let index = Index::at_hand(&ledger, &mut view);
    let commit = index.as_ref().and_then(|index| index.commit_of(task_id.as_str()).ok().flatten());
    let known = commit.map(|commit| view.recorded_in(commit, Some(task_id))).transpose()?.flatten();
    let recorded = match known {
        Some(recorded) => Some(recorded),
        None => view.history()?.find_task(task_id)?,
    };
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
    let entries = index.map_or_else(|| view.count(), |index| Ok(index.held()))?;
    let coverage = Coverage { head: view.head(), entries, incomplete: view.incomplete() };
    Ok(ShowOutcome {
        entry: LoggedEntry { entry, recorded: recorded.as_ref().map(Into::into), stored },
        coverage,
    })
}
