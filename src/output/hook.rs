//! What `hook install` and `hook uninstall` change.

use super::sanitize::visible;
use super::style::Style;
use super::v1::HookChangesAnswer;
use super::{Format, Printer};
use crate::error::Result;
use crate::ops::hook::install::{Change, InstallOptions};

/// What is going to change, as a diff; for people only.
///
/// # Errors
/// The output cannot be written.
pub fn diff(printer: &mut Printer, changes: &[Change]) -> Result<()> {
    if printer.format != Format::Human {
        return Ok(());
    }
    for change in changes {
        for line in change.diff().lines() {
            let style = match line.as_bytes().first() {
                Some(b'+') => Style::Good,
                Some(b'-') => Style::Bad,
                Some(b'@') => Style::Advice,
                _ => Style::Plain,
            };
            let line = visible(&line.replace('\t', "    "));
            printer.line(&style.paint(&line, printer.reader.color))?;
        }
    }
    Ok(())
}

/// What was changed.
///
/// # Errors
/// The output cannot be written.
pub fn changes(printer: &mut Printer, changes: &[Change], options: &InstallOptions) -> Result<()> {
    let answer = HookChangesAnswer::new(changes, options.dry_run);
    match printer.format {
        Format::Json | Format::Jsonl => printer.json(&answer),
        Format::Csv => {
            printer.csv_row(&["path", "outcome"])?;
            answer.rows().try_for_each(|row| printer.csv_row(&row))
        }
        Format::Human => answer.rows().try_for_each(|[path, outcome]| {
            let told = match (outcome, options.dry_run) {
                ("unchanged", _) => "unchanged",
                ("created", true) => "would create",
                ("changed", true) => "would change",
                ("removed", true) => "would remove",
                (outcome, _) => outcome,
            };
            printer.line(&format!("{told} {}", visible(path)))
        }),
    }
}
