//! The summary of `import`.

use super::v1::{ImportAnswer, RefusedAnswer};
use super::{Format, Printer, sanitize};
use crate::error::Result;
use crate::ops::import::ImportOutcome;

/// How many lines the human summary names; the messages before it have named all.
const MAX_LINES: usize = 10;

/// An input that is not an entry.
#[derive(Clone, Debug)]
pub struct Refused {
    /// Its line, from 1.
    pub line: Option<usize>,
    /// Where in it.
    pub pointer: Option<String>,
    /// What is wrong there.
    pub rule: String,
}

/// What was imported.
///
/// # Errors
/// The output cannot be written.
pub fn summary(printer: &mut Printer, outcome: &ImportOutcome, refused: &[Refused]) -> Result<()> {
    let refused_answers: Vec<_> = refused.iter().map(RefusedAnswer::from).collect();
    match printer.format {
        Format::Json | Format::Jsonl => printer.json(&ImportAnswer::new(outcome, refused_answers)),
        Format::Csv => {
            let ImportOutcome { recorded, skipped, differing, invalid, .. } = outcome;
            let cells = [recorded, skipped, differing, invalid].map(ToString::to_string);
            printer.csv_row(&["recorded", "skipped", "differing", "invalid"])?;
            printer.csv_row(&cells.each_ref().map(String::as_str))
        }
        Format::Human => {
            printer.line(&format!("recorded {}", outcome.recorded))?;
            let differing = match outcome.differing {
                0 => String::new(),
                differing => format!(", {differing} of them with other content"),
            };
            printer.line(&format!("skipped {}{differing}", outcome.skipped))?;
            let lines: Vec<_> = refused.iter().filter_map(|one| Some(one.line?.to_string())).collect();
            let named = match lines.len() {
                0 => String::new(),
                1 => format!(": line {}", lines[0]),
                count => {
                    let more = if outcome.invalid > count.min(MAX_LINES) { ", …" } else { "" };
                    format!(": lines {}{more}", lines[..count.min(MAX_LINES)].join(", "))
                }
            };
            printer.line(&sanitize::visible(&format!("invalid {}{named}", outcome.invalid)))
        }
    }
}
