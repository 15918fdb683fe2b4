//! What a push may do to a ledger: go on from where it is, along the rules of every commit.

use std::collections::HashSet;
use std::path::PathBuf;

use super::engine::Engine;
use super::findings::Findings;
use super::report::{Finding, Severity};
use super::timeline::{Bounds, Step, Timeline};
use crate::error::Result;
use crate::ledger::{Gate, ObjectId};

mod signing;

/// Of a push, most have a few commits; the processors are for whoever else pushes.
const THREADS: usize = 2;

/// Why a push is refused.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// The rule that it breaks; a finding's code, or a rule about the push as a whole.
    pub rule: &'static str,
    /// In a sentence.
    pub message: String,
    /// The commit that it is about, in hexadecimal.
    pub commit: Option<String>,
    /// The path that it is about.
    pub path: Option<String>,
}

impl Refusal {
    /// About the push as a whole.
    pub fn new(rule: &'static str, message: impl Into<String>) -> Self {
        Self { rule, message: message.into(), commit: None, path: None }
    }
}

impl From<Finding> for Refusal {
    fn from(finding: Finding) -> Self {
        let Finding { code, commit, path, message, .. } = finding;
        Self { rule: code.as_str(), message, commit, path }
    }
}

/// A move of the ledger's branch.
pub struct Move<'m> {
    /// The repository.
    pub gate: &'m Gate,
    /// Where the branch is; `None`: it is new.
    pub old: Option<ObjectId>,
    /// Where it is to be.
    pub new: ObjectId,
    /// Directories of objects that came with the push, and are not the repository's yet.
    pub incoming: &'m [PathBuf],
}

/// Why the branch may not be moved so; nothing: it may.
///
/// # Errors
/// The commit that the branch is at cannot be read.
pub fn judge(asked: &Move<'_>) -> Result<Vec<Refusal>> {
    let store = asked.gate.raw_objects(asked.incoming);
    let objects = store.open();
    let shallow = HashSet::new();
    let bounds = Bounds { tip: asked.new, start: asked.old, shallow: &shallow };
    let mut findings = Findings::default();
    let mut is_merged_in = false;
    let timeline = Timeline::read(&objects, &bounds, &mut findings, &mut |steps| {
        is_merged_in |= steps.iter().any(|step| asked.old.is_some_and(|old| step.parents.contains(&old)));
    });
    // What cannot be read may be what leads there.
    if let Some(old) = asked.old.filter(|_| !timeline.has_met_start && findings.counts().is_empty()) {
        return Ok(vec![off_the_line(is_merged_in, old, asked)]);
    }
    let start = asked.old.map(|old| Step::read(&objects, old)).transpose()?;
    let engine = Engine { store: &store, bounds, start, is_partial: false, threads: THREADS };
    let mut findings = Findings::default();
    let checked = engine.run(&mut findings, &mut |_| {});
    let against = findings.into_list().into_iter();
    let against = against.filter(|finding| finding.code.severity() >= Severity::Inconclusive);
    let mut refusals: Vec<_> = against.map(Refusal::from).collect();
    // Whatever could not be read before can be now, and still does not lead there.
    if asked.old.is_some() && !checked.timeline.has_met_start && refusals.is_empty() {
        refusals.push(Refusal::new("force-push", "the push does not lead back to what is here"));
    }
    // What is refused anyway is not worth waiting for the programs that check signatures.
    if !refusals.is_empty() {
        return Ok(refusals);
    }
    signing::judge(asked.gate, &store, &signing::Commits { start: engine.start.as_ref(), checked: &checked })
}

/// The new history does not go on from the old one.
fn off_the_line(is_merged_in: bool, old: ObjectId, asked: &Move<'_>) -> Refusal {
    let branch = asked.gate.name();
    let refusal = if is_merged_in {
        let message = format!(
            "what `{branch}` has now would come after what is pushed: it is merged into it, not the other way round"
        );
        Refusal::new("reorder", message)
    } else {
        Refusal::new(
            "force-push",
            format!("the push would take away what `{branch}` has now, at commit {old}"),
        )
    };
    Refusal { commit: Some(asked.new.to_string()), ..refusal }
}
