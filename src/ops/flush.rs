//! `git audit flush`: what waits in the spool into the ledger, and the ledger's packs into fewer and smaller ones.

use std::path::PathBuf;

use super::record::other_case;
use super::{Context, MAX_PASS_ENTRIES};
use crate::entry::TaskId;
use crate::entry::redact::Found;
use crate::error::{Error, Result};
use crate::ledger::{Deadline, Durability, Ledger, Naming, Packed, Receipt, Request};

/// What to flush.
#[derive(Clone, Copy, Debug, Default)]
pub struct FlushOptions {
    /// Only pack, and only what is due: what `record` starts when enough has piled up.
    pub only_due_packs: bool,
}

/// What was flushed.
#[derive(Debug, Default)]
pub struct FlushOutcome {
    /// Tasks recorded now.
    pub recorded: Vec<TaskId>,
    /// Tasks that were recorded already, as they waited.
    pub skipped: Vec<TaskId>,
    /// Tasks that are recorded with other content: the fields, and where the waiting entry was moved.
    pub differing: Vec<(TaskId, Vec<String>, PathBuf)>,
    /// What was found in entries as they waited.
    pub redacted: Vec<(TaskId, Vec<Found>)>,
    /// Entries that turned out to be none that could be recorded.
    pub refused: usize,
    /// Files in the spool that hold no entry that could be recorded.
    pub invalid: Vec<PathBuf>,
    /// Where commands stood whose entries wait for other ledgers.
    pub elsewhere: Vec<PathBuf>,
    /// Why the packs are as they were, if that is so.
    pub unpacked: Option<Error>,
    /// How durable what was recorded is.
    pub durability: Durability,
    /// What was done to the packs.
    pub packed: Packed,
}

impl FlushOutcome {
    /// Whether nothing waited.
    pub fn is_nothing(&self) -> bool {
        self.recorded.is_empty() && self.skipped.is_empty() && self.differing.is_empty() && self.refused == 0
    }
}

/// Commits what waits for the ledger of this place, and packs.
///
/// # Errors
/// No repository or ledger, a lock past the deadline, I/O. What waits goes on waiting then.
pub fn run(context: &Context, options: FlushOptions) -> Result<FlushOutcome> {
    let ledger = Ledger::open(&context.place)?;
    if options.only_due_packs {
        return Ok(FlushOutcome { packed: ledger.pack(false)?, ..FlushOutcome::default() });
    }
    let mut outcome = FlushOutcome::default();
    loop {
        let more = commit_waiting(&ledger, context.deadline(), MAX_PASS_ENTRIES)?;
        if more.is_nothing() {
            break;
        }
        outcome.recorded.extend(more.recorded);
        outcome.skipped.extend(more.skipped);
        outcome.differing.extend(more.differing);
        outcome.redacted.extend(more.redacted);
        outcome.refused += more.refused;
        outcome.durability = more.durability;
    }
    outcome.invalid = ledger.invalid_in_spool();
    outcome.elsewhere = ledger.waiting_elsewhere().into_iter().collect();
    match ledger.pack(true) {
        Ok(packed) => outcome.packed = packed,
        Err(error) => outcome.unpacked = Some(error),
    }
    Ok(outcome)
}

/// Commits up to `limit` entries that wait.
pub(super) fn commit_waiting(ledger: &Ledger, deadline: Deadline, limit: usize) -> Result<FlushOutcome> {
    let mut outcome = FlushOutcome::default();
    let waiting = ledger.waiting(limit);
    if waiting.is_empty() {
        return Ok(outcome);
    }
    let redactor = ledger.redactor()?;
    let (mut files, mut requests): (Vec<_>, Vec<Request>) = (Vec::new(), Vec::new());
    for (file, request) in waiting {
        // It waited under other rules than those of now, or under none but the built-in ones.
        match request.redacted(&redactor) {
            Ok((request, found)) => {
                if !found.is_empty() {
                    file.replace(&request);
                    outcome.redacted.push((request.task_id().clone(), found));
                }
                files.push(file);
                requests.push(request);
            }
            Err((invalid, text)) => {
                file.replace_by_text(text);
                file.refuse(&invalid.to_string());
                outcome.refused += 1;
            }
        }
    }
    if requests.is_empty() {
        return Ok(outcome);
    }
    let appended = ledger.append(&requests, deadline, Naming::Known)?;
    outcome.durability = appended.durability;
    for ((file, request), receipt) in files.iter().zip(&requests).zip(&appended.receipts) {
        let task_id = request.task_id().clone();
        match receipt {
            Receipt::Recorded { .. } => {
                file.done()?;
                outcome.recorded.push(task_id);
            }
            Receipt::Skipped { differing, .. } if differing.is_empty() => {
                file.done()?;
                outcome.skipped.push(task_id);
            }
            Receipt::Skipped { differing, .. } => {
                outcome.differing.push((task_id, differing.clone(), file.set_aside()?));
            }
            Receipt::OtherCase { existing } => {
                file.refuse(&other_case(&task_id, existing).to_string());
                outcome.refused += 1;
            }
        }
    }
    Ok(outcome)
}
