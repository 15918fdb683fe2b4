//! Who must have signed what is pushed.
//!
//! The policy is the repository's, that of the branch before the push, or that of the commits which a commit follows: none
//! loosens it for itself. A push cannot let its own signers in. Only a ledger that is new here, and of which the repository asks no signatures, says
//! itself who they are.

use std::collections::HashMap;

use super::super::engine::Checked;
use super::super::policies::{Policies, is_required_at};
use super::super::report::Code;
use super::super::signatures::{Outcome, Question, Signatures, Signers};
use super::super::timeline::Step;
use super::Refusal;
use crate::error::Result;
use crate::ledger::layout::CONFIG;
use crate::ledger::{Gate, Kind, ObjectId, RawObjects, RawStore};

/// Commits whose signatures are checked at a time.
const BATCH: usize = 1000;
/// Who may sign, below `.audit`.
const SIGNERS: &str = "allowed_signers";

/// What is pushed.
pub(super) struct Commits<'c> {
    /// Where the branch is.
    pub start: Option<&'c Step>,
    /// The commits after it.
    pub checked: &'c Checked,
}

/// A commit that has to be signed, and the time at which its key must have been valid.
struct Bound {
    commit: String,
    bytes: Vec<u8>,
    verify_at: i64,
}

/// Why the commits are refused.
pub(super) fn judge(gate: &Gate, store: &RawStore, commits: &Commits<'_>) -> Result<Vec<Refusal>> {
    let objects = store.open();
    let mut policies = Policies::new(&objects, store.id_bytes());
    let is_configured = gate.is_signing_configured()?;
    let mut refusals = Vec::new();
    let bound = commits.bound(is_configured, &mut policies, &mut refusals);
    if bound.is_empty() {
        return Ok(refusals);
    }
    let trusted = commits.start.or_else(|| commits.checked.steps.last().filter(|_| !is_configured));
    let in_ledger = trusted.and_then(|step| policies.content(step.tree, SIGNERS));
    let tools = gate.signing_tools();
    let signers = Signers::of(&tools, in_ledger);
    let mut signatures = Signatures::new(tools, signers, None);
    for part in bound.chunks(BATCH) {
        let part: Vec<_> =
            part.iter().map(|(id, verify_at)| Bound::read(&objects, *id, *verify_at)).collect();
        let questions: Vec<_> = part.iter().map(Bound::question).collect();
        for (outcome, one) in signatures.check_all(&questions).into_iter().zip(&part) {
            match outcome {
                Outcome::Good { .. } => {}
                Outcome::Findings(findings) => refusals.extend(findings.into_iter().map(Refusal::from)),
                Outcome::Unsigned => {
                    let message = "the commit has to be signed, and is not";
                    let refusal = Refusal::new(Code::SignatureMissing.as_str(), message);
                    refusals.push(Refusal { commit: Some(one.commit.clone()), ..refusal });
                }
            }
        }
    }
    Ok(refusals)
}

impl Commits<'_> {
    /// The commits that have to be signed: those that change anything under `.audit`, where the policy wants it.
    fn bound(
        &self,
        is_configured: bool,
        policies: &mut Policies<'_>,
        refusals: &mut Vec<Refusal>,
    ) -> Vec<(ObjectId, i64)> {
        let known = self.start.into_iter().chain(&self.checked.steps);
        let trees: HashMap<_, _> = known.map(|step| (step.id, step.tree)).collect();
        let always = is_configured || self.start.is_some_and(|step| is_required_at(policies, step.tree));
        let mut bound = Vec::new();
        for (step, verify_at) in self.checked.steps.iter().zip(&self.checked.latest) {
            let before: Vec<_> =
                step.parents.iter().filter_map(|parent| trees.get(parent).copied()).collect();
            let first = before.first().copied();
            if let Some(why) = policies.broken_by(step, first) {
                let message = format!("nobody could record any more: {why}");
                let (commit, path) = (Some(step.id.to_string()), Some(CONFIG.to_owned()));
                refusals.push(Refusal { commit, path, ..Refusal::new("policy", message) });
            }
            let is_required = always || before.iter().any(|top| is_required_at(policies, *top));
            if is_required && policies.directory(step.tree) != first.and_then(|top| policies.directory(top)) {
                bound.push((step.id, *verify_at));
            }
        }
        bound
    }
}

impl Bound {
    fn read(objects: &RawObjects, id: ObjectId, verify_at: i64) -> Self {
        let bytes = objects.read(id, Kind::Commit).map(|bytes| bytes.to_vec());
        // It was read before; what cannot be read now has no signature.
        Self { commit: id.to_string(), bytes: bytes.unwrap_or_default(), verify_at }
    }

    fn question(&self) -> Question<'_> {
        Question { commit: &self.commit, bytes: &self.bytes, verify_at: self.verify_at }
    }
}
