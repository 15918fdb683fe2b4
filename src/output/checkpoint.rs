//! Checkpoints as they are written, and proofs that were made. For people, a checkpoint and a proof are what a file of them
//! holds, so that they can be sent on.

use super::sanitize::visible;
use super::v1::{CheckpointAnswer, ProveAnswer};
use super::{Format, Printer, verify};
use crate::error::Result;
use crate::ops::checkpoint::CheckpointOutcome;
use crate::ops::prove::ProveOutcome;

/// What `checkpoint` made, took in or found.
///
/// # Errors
/// The output cannot be written.
pub fn checkpoint(printer: &mut Printer, outcome: &CheckpointOutcome) -> Result<()> {
    let answer = CheckpointAnswer::from(outcome);
    match printer.format {
        Format::Json | Format::Jsonl => printer.json(&answer),
        Format::Csv => {
            printer.csv_row(&["outcome", "origin", "size", "root", "signatures", "file"])?;
            printer.csv_row(&answer.cells().each_ref().map(String::as_str))
        }
        Format::Human if outcome.is_refused() => {
            printer.line("no checkpoint: something is against it")?;
            verify::findings(printer, &outcome.findings, outcome.findings.len() as u64)
        }
        Format::Human => {
            // One that came from somebody else may have lines of theirs.
            for line in outcome.checkpoint.to_string().lines() {
                printer.line(&visible(line))?;
            }
            Ok(())
        }
    }
}

/// What `prove` made.
///
/// # Errors
/// The output cannot be written.
pub fn proof(printer: &mut Printer, outcome: &ProveOutcome) -> Result<()> {
    match (printer.format, &outcome.file) {
        (Format::Json | Format::Jsonl, _) => printer.json(&ProveAnswer::from(outcome)),
        (Format::Csv, _) => {
            printer.csv_row(&["task_id", "commit", "index", "size", "root", "file"])?;
            printer.csv_row(&ProveAnswer::from(outcome).cells().each_ref().map(String::as_str))
        }
        (Format::Human, Some(file)) => printer.line(&visible(&file.display().to_string())),
        (Format::Human, None) => printer.bytes(&outcome.bytes),
    }
}
