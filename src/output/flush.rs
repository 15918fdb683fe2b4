//! What `flush` did.

use super::v1::FlushAnswer;
use super::{Format, Printer};
use crate::error::Result;
use crate::ops::flush::FlushOutcome;

/// What was flushed.
///
/// # Errors
/// The output cannot be written.
pub fn flushed(printer: &mut Printer, outcome: &FlushOutcome) -> Result<()> {
    let packed = outcome.packed;
    match printer.format {
        Format::Json | Format::Jsonl => printer.json(&FlushAnswer::from(outcome)),
        Format::Csv => {
            printer.csv_row(&["task_id", "outcome"])?;
            let rows = outcome.recorded.iter().map(|id| (id, "recorded"));
            let rows = rows.chain(outcome.skipped.iter().map(|id| (id, "skipped")));
            let rows = rows.chain(outcome.differing.iter().map(|(id, ..)| (id, "differing")));
            rows.into_iter().try_for_each(|(id, outcome)| printer.csv_row(&[id.as_str(), outcome]))
        }
        Format::Human => {
            for task_id in &outcome.recorded {
                printer.line(&format!("recorded {task_id}"))?;
            }
            for task_id in &outcome.skipped {
                printer.line(&format!("skipped {task_id}: recorded already"))?;
            }
            if outcome.is_nothing() && outcome.invalid.is_empty() {
                printer.line("nothing waits in the spool")?;
            }
            match packed.before {
                0 => Ok(()),
                before => printer.line(&format!(
                    "packed {} objects: {} where {before} were",
                    packed.objects,
                    if packed.after == 1 { "1 pack".to_owned() } else { format!("{} packs", packed.after) },
                )),
            }
        }
    }
}
