//! Receipts of `record`, each printed as soon as it is durable.

use super::v1::RecordAnswer;
use super::{Format, Printer};
use crate::entry::TaskId;
use crate::error::Result;
use crate::ledger::{CommitId, Receipt};

const CSV_HEADER: [&str; 6] = ["task_id", "outcome", "identical", "commit", "path", "digest"];

/// Prints one receipt and hands it to the system: whoever feeds us may be waiting for it.
///
/// # Errors
/// The output cannot be written.
pub fn receipt(printer: &mut Printer, task_id: &TaskId, receipt: &Receipt) -> Result<()> {
    let first = !std::mem::replace(&mut printer.recorded, true);
    if first && printer.format == Format::Csv {
        printer.csv_row(&CSV_HEADER)?;
    }
    match (printer.format, receipt) {
        (_, Receipt::OtherCase { .. }) => Ok(()),
        (Format::Json | Format::Jsonl, _) => {
            RecordAnswer::new(task_id, receipt).map_or(Ok(()), |line| printer.json_line(&line))
        }
        (Format::Csv, _) => csv(printer, task_id, receipt),
        (Format::Human, Receipt::Recorded { commit, path, .. }) => {
            printer.line(&format!("recorded {task_id} in {}: {path}", commit.short()))
        }
        (Format::Human, Receipt::Skipped { commit, path, .. }) => {
            let commit = commit.as_ref().map_or_else(|| "an earlier commit".to_owned(), CommitId::short);
            printer.line(&format!("skipped {task_id}: recorded in {commit}: {path}"))
        }
    }?;
    printer.flush()
}

fn csv(printer: &mut Printer, task_id: &TaskId, receipt: &Receipt) -> Result<()> {
    let (outcome, identical, commit, path, digest) = match receipt {
        Receipt::Recorded { commit, path, digest } => ("recorded", true, Some(commit), path, digest),
        Receipt::Skipped { commit, path, digest, differing } => {
            ("skipped", differing.is_empty(), commit.as_ref(), path, digest)
        }
        Receipt::OtherCase { .. } => return Ok(()),
    };
    let commit = commit.map(CommitId::to_string).unwrap_or_default();
    let identical = if identical { "true" } else { "false" };
    printer.csv_row(&[task_id.as_str(), outcome, identical, &commit, path, &digest.to_string()])
}
