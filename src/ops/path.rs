//! `git audit path`: where in the tree a task's entry is.

use super::Context;
use crate::entry::TaskId;
use crate::error::Result;
use crate::ledger::Ledger;

/// The path of the task's entry, relative to the root of the ledger's tree.
///
/// # Errors
/// There is no entry of that id.
pub fn run(context: &Context, task_id: &TaskId) -> Result<String> {
    Ledger::open(&context.place)?.view()?.path_of(task_id)
}
