//! Entries that correct a task which the ledger does not have: told to who recorded them, because `verify` finds it. No
//! reason to refuse them: the other task may come later, or from another clone.

use crate::entry::TaskId;
use crate::ledger::{Ledger, Request};

/// What is kept from pass to pass. An import may have any number.
const MOST_KEPT: usize = 1000;

/// Entries that correct others, as they are recorded.
#[derive(Debug, Default)]
pub(super) struct Superseding {
    pending: Vec<Correction>,
    more: usize,
}

/// An entry, and the task that it corrects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Correction {
    /// The entry's task.
    pub task_id: TaskId,
    /// The task that it says it corrects.
    pub supersedes: TaskId,
}

/// Corrections of tasks that the ledger does not have.
#[derive(Debug)]
pub struct Unknown {
    /// The first of them.
    pub corrections: Vec<Correction>,
    /// How many more there are, at most.
    pub more: usize,
}

impl Superseding {
    /// Takes down what is recorded.
    pub fn add(&mut self, recorded: &Request) {
        if let Some(supersedes) = recorded.supersedes().cloned() {
            self.pending.push(Correction { task_id: recorded.task_id().clone(), supersedes });
        }
    }

    /// Those that the ledger does not have in the end.
    pub fn unknown(mut self, ledger: &Ledger) -> Option<Unknown> {
        self.pass_ended(ledger);
        let Self { pending: corrections, more } = self;
        (!corrections.is_empty()).then_some(Unknown { corrections, more })
    }

    /// Forgets those whose task is there. What cannot be looked up is not told: everything is recorded all the same.
    pub fn pass_ended(&mut self, ledger: &Ledger) {
        if self.pending.is_empty() {
            return;
        }
        let Ok(mut view) = ledger.view() else { return self.pending.clear() };
        self.pending.retain(|correction| matches!(view.lacks(&correction.supersedes), Ok(true)));
        self.more += self.pending.len().saturating_sub(MOST_KEPT);
        self.pending.truncate(MOST_KEPT);
    }
}
