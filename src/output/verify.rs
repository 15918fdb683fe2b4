//! The report of a verification: the verdict first, then the layers, then the findings.

use serde_json::Value;

use super::sanitize::visible;
use super::style::Style;
use super::v1::{FindingAnswer, VerifyAnswer};
use super::{Format, Printer};
use crate::error::Result;
use crate::verify::report::{Finding, Layer, LayerStatus, Report, Severity, Verdict};

/// Findings that a person is shown; JSON has all of them.
const MOST_SHOWN: usize = 20;
/// Of a piece of evidence, as much as a line can take.
const EVIDENCE_CHARACTERS: usize = 200;

/// The report.
///
/// # Errors
/// The output cannot be written.
pub fn report(printer: &mut Printer, report: &Report) -> Result<()> {
    match printer.format {
        Format::Json => printer.json(&VerifyAnswer::from(report)),
        Format::Jsonl => findings_as_lines(printer, &report.findings),
        Format::Csv => findings_as_csv(printer, &report.findings),
        Format::Human => human(printer, report),
    }
}

/// One finding a line.
///
/// # Errors
/// The output cannot be written.
pub fn findings_as_lines(printer: &mut Printer, findings: &[Finding]) -> Result<()> {
    findings.iter().try_for_each(|finding| printer.json_line(&FindingAnswer::alone(finding)))
}

/// One finding a row.
///
/// # Errors
/// The output cannot be written.
pub fn findings_as_csv(printer: &mut Printer, findings: &[Finding]) -> Result<()> {
    printer.csv_row(&["code", "layer", "severity", "commit", "path", "task_id", "message"])?;
    findings.iter().map(FindingAnswer::new).try_for_each(|row| {
        let or_empty = |value: Option<&str>| value.unwrap_or_default().to_owned();
        let (commit, path, task_id) = (or_empty(row.commit), or_empty(row.path), or_empty(row.task_id));
        printer.csv_row(&[row.code, row.layer, row.severity, &commit, &path, &task_id, row.message])
    })
}

fn human(printer: &mut Printer, report: &Report) -> Result<()> {
    let color = printer.reader.color;
    let (word, style) = verdict(report);
    let commits = match report.since {
        None => format!("in {}", counted(report.commits, "commit", "commits")),
        Some(_) => format!("with {}", counted(report.commits, "new commit", "new commits")),
    };
    let entries = counted(report.entries, "entry", "entries");
    let of = format!("branch {} at {}: {entries} {commits}", visible(&report.branch), report.head.short());
    printer.line(&format!("{} — {of}", style.paint(&word, color)))?;
    if let Some(since) = report.since {
        printer.line(&format!("what came before commit {} was not looked at again", since.short()))?;
    }
    printer.line("")?;
    let width = Layer::ALL.iter().map(|layer| layer.as_str().len()).max().unwrap_or(0);
    for (layer, status) in &report.layers {
        let (text, style) = match status {
            LayerStatus::Ok => ("ok".to_owned(), Style::Good),
            LayerStatus::Failed => {
                let of_layer = report.counts.iter().filter(|(code, _)| code.layer() == *layer);
                let grave = of_layer.filter(|(code, _)| code.severity() >= Severity::Inconclusive);
                let count = grave.map(|(_, count)| count).sum();
                (format!("failed: {}", counted(count, "finding", "findings")), Style::Bad)
            }
            LayerStatus::NotChecked(why) => (format!("not checked: {}", visible(why)), Style::Faint),
        };
        printer.line(&format!("  {:width$}  {}", layer.as_str(), style.paint(&text, color)))?;
    }
    if let Some(commit) = &report.first_bad_commit {
        printer.line("")?;
        printer.line(&format!("the first bad commit is {}", Style::Id.paint(&visible(commit), color)))?;
    }
    findings(printer, &report.findings, report.counts.values().sum())
}

/// The findings for a person: the gravest first, and of each kind in the ledger's order.
///
/// # Errors
/// The output cannot be written.
pub fn findings(printer: &mut Printer, findings: &[Finding], count: u64) -> Result<()> {
    let mut sorted: Vec<_> = findings.iter().collect();
    sorted.sort_by_key(|finding| std::cmp::Reverse(finding.code.severity()));
    for finding in sorted.iter().take(MOST_SHOWN) {
        printer.line("")?;
        one(printer, finding)?;
    }
    let more = count.saturating_sub(MOST_SHOWN as u64);
    if more > 0 {
        printer.line("")?;
        printer.line(&format!("and {} more; `--json` has them", more))?;
    }
    Ok(())
}

fn one(printer: &mut Printer, finding: &Finding) -> Result<()> {
    let color = printer.reader.color;
    let style = match finding.code.severity() {
        Severity::Error => Style::Error,
        Severity::Inconclusive | Severity::Warning => Style::Warning,
        Severity::Notice => Style::Advice,
    };
    let code = style.paint(finding.code.as_str(), color);
    printer.line(&format!("{code}: {}", visible(&finding.message)))?;
    let values = [
        ("commit", finding.commit.clone()),
        ("path", finding.path.clone()),
        ("task", finding.task_id.as_ref().map(ToString::to_string)),
        ("expected", finding.expected.as_ref().and_then(text)),
        ("actual", finding.actual.as_ref().and_then(text)),
    ];
    for (name, value) in values {
        if let Some(value) = value {
            let name = Style::Faint.paint(&format!("{name:8}"), color);
            printer.line(&format!("  {name}  {}", visible(&shortened(&value))))?;
        }
    }
    Ok(())
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(EVIDENCE_CHARACTERS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn verdict(report: &Report) -> (String, Style) {
    let checked = report.layers.iter().filter(|(_, status)| *status == LayerStatus::Ok).count();
    match report.verdict {
        Verdict::Valid => ("valid".to_owned(), Style::Good),
        Verdict::NothingFound => {
            let layers = report.layers.len();
            (format!("nothing found in the {checked} of {layers} layers that were checked"), Style::Good)
        }
        Verdict::NotValid => ("NOT VALID".to_owned(), Style::Error),
        Verdict::Inconclusive if report.entries == 0 => {
            ("inconclusive: there is nothing to check".to_owned(), Style::Warning)
        }
        Verdict::Inconclusive if !report.lacking.is_empty() => {
            let lacking: Vec<_> = report.lacking.iter().map(|layer| layer.as_str()).collect();
            (format!("inconclusive: required, and not ok: {}", lacking.join(", ")), Style::Warning)
        }
        Verdict::Inconclusive => ("inconclusive".to_owned(), Style::Warning),
    }
}

fn counted(count: u64, one: &str, several: &str) -> String {
    format!("{} {}", count, if count == 1 { one } else { several })
}
