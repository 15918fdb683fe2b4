//! Answers about one thing: `init`, `path`, `show`, a count; and the files that `man` wrote.

use std::path::PathBuf;

use super::sanitize::visible;
use super::v1::{CountAnswer, InitAnswer, ManAnswer, PathAnswer, ShowAnswer};
use super::{Format, Printer, human, list};
use crate::entry::TaskId;
use crate::error::Result;
use crate::ledger::{Initialised, Origin};
use crate::ops::Coverage;
use crate::ops::show::ShowOutcome;

/// What `init` did.
///
/// # Errors
/// The output cannot be written.
pub fn init(printer: &mut Printer, done: &Initialised) -> Result<()> {
    let answer = InitAnswer::from(done);
    let branch = visible(&done.branch);
    match printer.format {
        Format::Json | Format::Jsonl => printer.json(&answer),
        Format::Csv => {
            printer.csv_row(&["outcome", "branch", "head", "flat_limit", "checked_out"])?;
            let [flat_limit, checked_out] = [done.flat_limit.to_string(), done.checked_out.to_string()];
            printer.csv_row(&[answer.outcome(), &branch, &done.head.to_string(), &flat_limit, &checked_out])
        }
        Format::Human => {
            let head = done.head.short();
            match done.origin {
                Origin::Created => printer.line(&format!("began a ledger on branch {branch} ({head})")),
                Origin::Adopted => printer.line(&format!("adopted the ledger on branch {branch} ({head})")),
                Origin::Existing => printer
                    .line(&format!("the ledger is already on branch {branch} ({head}); nothing changed")),
            }
        }
    }
}

/// Where an entry is.
///
/// # Errors
/// The output cannot be written.
pub fn path(printer: &mut Printer, task_id: &TaskId, path: &str) -> Result<()> {
    match printer.format {
        Format::Json | Format::Jsonl => printer.json(&PathAnswer::new(task_id, path)),
        Format::Csv => {
            printer.csv_row(&["task_id", "path"])?;
            printer.csv_row(&[task_id.as_str(), path])
        }
        Format::Human => printer.line(path),
    }
}

/// Files that were written.
///
/// # Errors
/// The output cannot be written.
pub fn files(printer: &mut Printer, files: &[PathBuf]) -> Result<()> {
    let files: Vec<_> = files.iter().map(|file| file.to_string_lossy()).collect();
    match printer.format {
        Format::Json | Format::Jsonl => printer.json(&ManAnswer::new(&files)),
        Format::Csv => {
            printer.csv_row(&["path"])?;
            files.iter().try_for_each(|file| printer.csv_row(&[file]))
        }
        Format::Human => files.iter().try_for_each(|file| printer.line(&visible(file))),
    }
}

/// How many entries there are.
///
/// # Errors
/// The output cannot be written.
pub fn count(printer: &mut Printer, total: usize, coverage: &Coverage) -> Result<()> {
    match printer.format {
        Format::Json | Format::Jsonl => printer.json(&CountAnswer::new(total, coverage)),
        Format::Csv => {
            printer.csv_row(&["total"])?;
            printer.csv_row(&[&total.to_string()])
        }
        Format::Human => printer.line(&total.to_string()),
    }
}

/// One entry.
///
/// # Errors
/// The output cannot be written.
pub fn show(printer: &mut Printer, outcome: ShowOutcome) -> Result<()> {
    let ShowOutcome { entry, coverage } = outcome;
    match printer.format {
        Format::Json | Format::Jsonl => printer.json(&ShowAnswer::new(entry, &coverage)),
        Format::Csv => list::csv_entry(printer, entry),
        Format::Human => {
            let text = human::entry(&entry, printer.reader);
            printer.bytes(text.as_bytes())
        }
    }
}
