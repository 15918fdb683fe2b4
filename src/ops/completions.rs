//! What a shell offers in place of a word that is being typed.

use crate::entry::TaskId;
use crate::error::Result;
use crate::ledger::{Ledger, Place};

/// More than this many candidates help nobody.
const MOST: usize = 200;

/// Ids of recorded tasks that start with `prefix`: at most 200, sorted. Nothing is written.
///
/// # Errors
/// There is no ledger, or it cannot be read.
pub fn task_ids(place: &Place, prefix: &str) -> Result<Vec<TaskId>> {
    Ledger::open(place)?.view()?.ids_starting_with(prefix, MOST)
}
