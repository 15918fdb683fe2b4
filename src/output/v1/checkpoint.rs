//! Checkpoints, and proofs that were made.

use std::path::Path;

use serde::Serialize;

use super::FindingAnswer;
use crate::ops::checkpoint::{CheckpointOutcome, Consistency};
use crate::ops::prove::ProveOutcome;
use crate::verify::log::merkle::to_base64;

/// `git-audit/checkpoint/v1`:
/// - `outcome`: `made`, `added`, or `refused` for what `findings` say; then nothing was signed or kept
/// - `origin`, `size`, `root`: what it states · `signatures`: how many it has, by whomever
/// - `note`: the checkpoint as it is written · `file`: where it is kept
/// - `verifier_key`: what the new signature is checked by
/// - `consistency`: that it goes on from the earlier one: `old_size`, `old_root`, and `proof` (RFC 6962)
/// - `forks`: the files that have both sides of a fork
#[derive(Debug, Serialize)]
pub struct CheckpointAnswer<'r> {
    schema: &'static str,
    outcome: &'static str,
    origin: &'r str,
    size: u64,
    root: String,
    signatures: usize,
    note: Option<String>,
    file: Option<String>,
    verifier_key: Option<String>,
    consistency: Option<ConsistencyAnswer>,
    findings: Vec<FindingAnswer<'r>>,
    forks: Vec<String>,
}

#[derive(Debug, Serialize)]
struct ConsistencyAnswer {
    old_size: u64,
    old_root: String,
    proof: Vec<String>,
}

impl From<&Consistency> for ConsistencyAnswer {
    fn from(consistency: &Consistency) -> Self {
        let Consistency { old, path } = consistency;
        let proof = path.iter().map(to_base64).collect();
        Self { old_size: old.size, old_root: to_base64(&old.root), proof }
    }
}

impl<'r> From<&'r CheckpointOutcome> for CheckpointAnswer<'r> {
    fn from(outcome: &'r CheckpointOutcome) -> Self {
        let checkpoint = &outcome.checkpoint;
        let text = |path: &Path| path.display().to_string();
        Self {
            schema: "git-audit/checkpoint/v1",
            outcome: match (outcome.is_refused(), outcome.is_added) {
                (true, _) => "refused",
                (_, true) => "added",
                _ => "made",
            },
            origin: &checkpoint.origin,
            size: checkpoint.size,
            root: to_base64(&checkpoint.root),
            signatures: checkpoint.signatures().len(),
            note: (!outcome.is_refused()).then(|| checkpoint.to_string()),
            file: outcome.file.as_deref().map(text),
            verifier_key: outcome.verifier.as_ref().map(ToString::to_string),
            consistency: outcome.consistency.as_ref().map(Into::into),
            findings: outcome.findings.iter().map(FindingAnswer::new).collect(),
            forks: outcome.forks.iter().map(|path| text(path)).collect(),
        }
    }
}

impl CheckpointAnswer<'_> {
    /// The columns of the CSV format: `outcome`, `origin`, `size`, `root`, `signatures`, `file`.
    pub fn cells(&self) -> [String; 6] {
        let file = self.file.clone().unwrap_or_default();
        let [outcome, origin] = [self.outcome, self.origin].map(str::to_owned);
        [outcome, origin, self.size.to_string(), self.root.clone(), self.signatures.to_string(), file]
    }
}

/// `git-audit/prove/v1`:
/// - `task_id`, and the `commit` that recorded it
/// - `index`: the place of its entry, from 0 · `origin`, `size`, `root`, `signatures`: of the checkpoint
/// - `file`: where the proof is; else `proof` has it
#[derive(Debug, Serialize)]
pub struct ProveAnswer<'r> {
    schema: &'static str,
    task_id: &'r str,
    commit: &'r str,
    index: u64,
    origin: &'r str,
    size: u64,
    root: String,
    signatures: usize,
    file: Option<String>,
    proof: Option<String>,
}

impl<'r> From<&'r ProveOutcome> for ProveAnswer<'r> {
    fn from(outcome: &'r ProveOutcome) -> Self {
        let (proof, checkpoint) = (&outcome.proof, &outcome.proof.checkpoint);
        let file = outcome.file.as_ref().map(|path| path.display().to_string());
        // An entry is UTF-8, or it would be none.
        let text = file.is_none().then(|| String::from_utf8_lossy(&outcome.bytes).into_owned());
        Self {
            schema: "git-audit/prove/v1",
            task_id: proof.task_id.as_str(),
            commit: &proof.commit,
            index: proof.index,
            origin: &checkpoint.origin,
            size: checkpoint.size,
            root: to_base64(&checkpoint.root),
            signatures: checkpoint.signatures().len(),
            file,
            proof: text,
        }
    }
}

impl ProveAnswer<'_> {
    /// The columns of the CSV format: `task_id`, `commit`, `index`, `size`, `root`, `file`.
    pub fn cells(&self) -> [String; 6] {
        let file = self.file.clone().unwrap_or_default();
        let [task_id, commit] = [self.task_id, self.commit].map(str::to_owned);
        [task_id, commit, self.index.to_string(), self.size.to_string(), self.root.clone(), file]
    }
}
