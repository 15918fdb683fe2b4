//! What a proof is worth: the verdict first, then what it says, then how its parts stand.

use super::sanitize::visible;
use super::style::Style;
use super::v1::{VerifyProofAnswer, seen_at};
use super::{Format, Printer, verify};
use crate::entry::Digest;
use crate::error::Result;
use crate::ops::verify_proof::VerifyProofOutcome;
use crate::verify::log::Proof;
use crate::verify::log::key::{Kind, hex};
use crate::verify::log::note::Verified;
use crate::verify::report::{LayerStatus, Verdict};

/// The outcome of `verify --proof`.
///
/// # Errors
/// The output cannot be written.
pub fn verified(printer: &mut Printer, outcome: &VerifyProofOutcome) -> Result<()> {
    match printer.format {
        Format::Json | Format::Jsonl => printer.json(&VerifyProofAnswer::from(outcome)),
        Format::Csv => {
            printer.csv_row(&["check", "status", "why"])?;
            outcome.checks.iter().try_for_each(|(check, status)| {
                let why = if let LayerStatus::NotChecked(why) = status { why } else { "" };
                printer.csv_row(&[check.as_str(), status.as_str(), why])
            })
        }
        Format::Human => human(printer, outcome),
    }
}

fn human(printer: &mut Printer, outcome: &VerifyProofOutcome) -> Result<()> {
    let color = printer.reader.color;
    let (word, style) = match outcome.verdict {
        Verdict::Valid | Verdict::NothingFound => ("valid", Style::Good),
        Verdict::NotValid => ("NOT VALID", Style::Error),
        Verdict::Inconclusive => ("inconclusive", Style::Warning),
    };
    let word = style.paint(word, color);
    match &outcome.proof {
        None => printer.line(&word)?,
        Some(proof) => {
            printer.line(&format!("{word} — proof of task {}", proof.task_id))?;
            printer.line("")?;
            says(printer, proof)?;
        }
    }
    printer.line("")?;
    for (check, status) in &outcome.checks {
        let (text, style) = match status {
            LayerStatus::Ok => ("ok".to_owned(), Style::Good),
            LayerStatus::Failed => ("failed".to_owned(), Style::Bad),
            LayerStatus::NotChecked(why) => (format!("not checked: {}", visible(why)), Style::Faint),
        };
        printer.line(&format!("  {:9}  {}", check.as_str(), style.paint(&text, color)))?;
    }
    for signature in &outcome.signatures {
        printer.line(&format!("  {:9}  {}", "", by(signature)))?;
    }
    verify::findings(printer, &outcome.findings, outcome.findings.len() as u64)
}

fn says(printer: &mut Printer, proof: &Proof) -> Result<()> {
    let checkpoint = &proof.checkpoint;
    let place = u128::from(proof.index) + 1;
    let lines = [
        ("entry", format!("{} bytes, {}", proof.entry.len(), Digest::of(&proof.entry))),
        ("ledger", visible(&checkpoint.origin)),
        ("place", format!("{place} of {}", checkpoint.size)),
        ("commit", format!("{} (stated, not proven)", proof.commit)),
    ];
    lines.iter().try_for_each(|(name, value)| printer.line(&format!("  {name:9}  {value}")))
}

/// A signature that fits.
pub(super) fn by(signature: &Verified) -> String {
    let key = format!("{}+{}", visible(&signature.name), hex(signature.id));
    match (signature.kind, seen_at(signature)) {
        (Kind::Plain, _) => format!("by {key}"),
        (Kind::Cosignature, Some(time)) => format!("witnessed by {key} at {time}"),
        (Kind::Cosignature, None) => format!("witnessed by {key}"),
    }
}
