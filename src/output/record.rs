//! Receipts of `record`, each printed as soon as it is durable.

use super::v1::RecordAnswer;
use super::{Format, Printer};
use crate::entry::TaskId;
use crate::error::Result;
use crate::ledger::{CommitId, Durability, Receipt};

const CSV_HEADER: [&str; 6] = ["task_id", "outcome", "identical", "commit", "path", "digest"];

/// Prints one receipt and hands it to the system: whoever feeds us may be waiting for it.
///
/// # Errors
/// The output cannot be written.
pub fn receipt(
    printer: &mut Printer,
    task_id: &TaskId,
    receipt: &Receipt,
    durability: Durability,
) -> Result<()> {
    let first = !std::mem::replace(&mut printer.recorded, true);
    if first && printer.format == Format::Csv {
        printer.csv_row(&CSV_HEADER)?;
    }
    match (printer.format, receipt) {
        (_, Receipt::OtherCase { .. }) => Ok(()),
        (Format::Json | Format::Jsonl, _) => {
            RecordAnswer::new(task_id, receipt, durability).map_or(Ok(()), |line| printer.json_line(&line))
        }
        (Format::Csv, _) => {
            let cells = RecordAnswer::new(task_id, receipt, durability).map(|answer| answer.cells());
            cells.map_or(Ok(()), |cells| printer.csv_row(&cells.each_ref().map(String::as_str)))
        }
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
