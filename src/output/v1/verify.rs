//! What a verification found.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::verify::report::{Finding, Layer, LayerStatus, Report, Verdict};

/// `git-audit/verify/v1`:
/// - `verdict`: `valid`, `nothing-found` (in what was checked), `not-valid`, `inconclusive`
/// - `since`: only what came after this commit was looked at; else `null`
/// - `merkle_root`: over all entries, base64; `null` where those before `since` are not known
/// - `required`: the layers without which the verdict is `inconclusive`
/// - `layers`: each `ok`, `failed` or `not-checked`, and then `why`
/// - `finding_counts`: all findings by code, of which `findings` has the first thousand each
#[derive(Debug, Serialize)]
pub struct VerifyAnswer<'r> {
    schema: &'static str,
    verdict: Verdict,
    branch: &'r str,
    head: String,
    since: Option<String>,
    entries: u64,
    commits: u64,
    merkle_root: Option<&'r str>,
    layers: Vec<LayerAnswer<'r>>,
    required: Vec<&'static str>,
    first_bad_commit: Option<&'r str>,
    findings: Vec<FindingAnswer<'r>>,
    finding_counts: BTreeMap<&'static str, u64>,
    coverage: CoverageOfVerify,
}

#[derive(Debug, Serialize)]
struct LayerAnswer<'r> {
    layer: &'static str,
    status: &'static str,
    why: Option<&'r str>,
}

/// The same words as other answers have, of what was read.
#[derive(Debug, Serialize)]
struct CoverageOfVerify {
    head: String,
    entries: u64,
    complete: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// `git-audit/finding/v1`: one finding, with its evidence.
#[derive(Debug, Serialize)]
pub struct FindingAnswer<'r> {
    #[serde(skip_serializing_if = "Option::is_none")]
    schema: Option<&'static str>,
    /// What it is.
    pub code: &'static str,
    /// What it is about.
    pub layer: &'static str,
    /// What it does to the verdict.
    pub severity: &'static str,
    /// The commit.
    pub commit: Option<&'r str>,
    /// The path.
    pub path: Option<&'r str>,
    /// The task.
    pub task_id: Option<&'r str>,
    /// The sentence.
    pub message: &'r str,
    expected: Option<&'r Value>,
    actual: Option<&'r Value>,
}

impl<'r> FindingAnswer<'r> {
    /// Within another answer.
    pub fn new(finding: &'r Finding) -> Self {
        Self {
            schema: None,
            code: finding.code.as_str(),
            layer: finding.code.layer().as_str(),
            severity: finding.code.severity().as_str(),
            commit: finding.commit.as_deref(),
            path: finding.path.as_deref(),
            task_id: finding.task_id.as_ref().map(crate::entry::TaskId::as_str),
            message: &finding.message,
            expected: finding.expected.as_ref(),
            actual: finding.actual.as_ref(),
        }
    }

    /// On a line of its own.
    pub fn alone(finding: &'r Finding) -> Self {
        Self { schema: Some("git-audit/finding/v1"), ..Self::new(finding) }
    }
}

impl<'r> From<&'r Report> for VerifyAnswer<'r> {
    fn from(report: &'r Report) -> Self {
        let incomplete = report.layers.iter().find_map(|(layer, status)| match status {
            LayerStatus::NotChecked(why) if *layer <= Layer::Entries => Some(why.clone()),
            _ => None,
        });
        let since = report.since.map(|since| since.to_string());
        let reason =
            incomplete.or_else(|| Some(format!("only what came after commit {} was read", since.as_ref()?)));
        let layer = |(layer, status): &'r (Layer, LayerStatus)| LayerAnswer {
            layer: layer.as_str(),
            status: status.as_str(),
            why: match status {
                LayerStatus::NotChecked(why) => Some(why),
                _ => None,
            },
        };
        Self {
            schema: "git-audit/verify/v1",
            verdict: report.verdict,
            branch: &report.branch,
            head: report.head.to_string(),
            since,
            entries: report.entries,
            commits: report.commits,
            merkle_root: report.merkle_root.as_deref(),
            layers: report.layers.iter().map(layer).collect(),
            required: report.required.iter().map(|layer| layer.as_str()).collect(),
            first_bad_commit: report.first_bad_commit.as_deref(),
            findings: report.findings.iter().map(FindingAnswer::new).collect(),
            finding_counts: report.counts.iter().map(|(code, count)| (code.as_str(), *count)).collect(),
            coverage: CoverageOfVerify {
                head: report.head.to_string(),
                entries: report.entries,
                complete: reason.is_none(),
                reason,
            },
        }
    }
}
