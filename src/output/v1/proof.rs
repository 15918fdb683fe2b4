//! What a proof is worth.

use serde::Serialize;

use super::FindingAnswer;
use crate::entry::{Digest, Timestamp};
use crate::ops::verify_proof::{ProofCheck, VerifyProofOutcome};
use crate::verify::log::key::{Kind, hex};
use crate::verify::log::merkle::to_base64;
use crate::verify::log::note::Verified;
use crate::verify::report::{LayerStatus, Verdict};

/// `git-audit/verify-proof/v1`:
/// - `verdict`: `valid`, `not-valid`, `inconclusive`
/// - `task_id`; `commit`: as stated, not proven; `entry_bytes` and `digest`: of the entry
/// - `origin`, `size`, `root`: the checkpoint's; `index`: the place of the entry, from 0
/// - `checks`: `entry`, `inclusion`, `signature`, each `ok`, `failed` or `not-checked`, and then `why`
/// - `signatures`: those that fit: `name`, `key_id`, `kind` (`log` or `witness`), and when a witness saw it
///
/// Where the file is no proof, what it would say is `null`.
#[derive(Debug, Serialize)]
pub struct VerifyProofAnswer<'r> {
    schema: &'static str,
    verdict: Verdict,
    task_id: Option<&'r str>,
    commit: Option<&'r str>,
    digest: Option<String>,
    entry_bytes: Option<usize>,
    origin: Option<&'r str>,
    size: Option<u64>,
    root: Option<String>,
    index: Option<u64>,
    checks: Vec<CheckAnswer<'r>>,
    signatures: Vec<SignatureAnswer<'r>>,
    findings: Vec<FindingAnswer<'r>>,
}

#[derive(Debug, Serialize)]
struct CheckAnswer<'r> {
    check: &'static str,
    status: &'static str,
    why: Option<&'r str>,
}

/// A signature that fits.
#[derive(Debug, Serialize)]
pub struct SignatureAnswer<'r> {
    name: &'r str,
    key_id: String,
    kind: &'static str,
    seen_at: Option<Timestamp>,
}

impl<'r> SignatureAnswer<'r> {
    /// As it was verified.
    pub fn new(signature: &'r Verified) -> Self {
        let kind = match signature.kind {
            Kind::Plain => "log",
            Kind::Cosignature => "witness",
        };
        Self { name: &signature.name, key_id: hex(signature.id), kind, seen_at: seen_at(signature) }
    }
}

/// When a witness says that it saw the checkpoint; `None` also where no calendar has that time.
pub fn seen_at(signature: &Verified) -> Option<Timestamp> {
    let seconds = i64::try_from(signature.seen_at?).ok()?;
    Some(chrono::DateTime::from_timestamp_secs(seconds)?.into())
}

impl<'r> From<&'r VerifyProofOutcome> for VerifyProofAnswer<'r> {
    fn from(outcome: &'r VerifyProofOutcome) -> Self {
        let proof = outcome.proof.as_ref();
        let checkpoint = proof.map(|proof| &proof.checkpoint);
        let check = |(check, status): &'r (ProofCheck, LayerStatus)| CheckAnswer {
            check: check.as_str(),
            status: status.as_str(),
            why: match status {
                LayerStatus::NotChecked(why) => Some(why),
                _ => None,
            },
        };
        Self {
            schema: "git-audit/verify-proof/v1",
            verdict: outcome.verdict,
            task_id: proof.map(|proof| proof.task_id.as_str()),
            commit: proof.map(|proof| proof.commit.as_str()),
            digest: proof.map(|proof| Digest::of(&proof.entry).to_string()),
            entry_bytes: proof.map(|proof| proof.entry.len()),
            origin: checkpoint.map(|checkpoint| checkpoint.origin.as_str()),
            size: checkpoint.map(|checkpoint| checkpoint.size),
            root: checkpoint.map(|checkpoint| to_base64(&checkpoint.root)),
            index: proof.map(|proof| proof.index),
            checks: outcome.checks.iter().map(check).collect(),
            signatures: outcome.signatures.iter().map(SignatureAnswer::new).collect(),
            findings: outcome.findings.iter().map(FindingAnswer::new).collect(),
        }
    }
}
