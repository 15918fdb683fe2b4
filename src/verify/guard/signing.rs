//! Who must have signed what is pushed.
//!
//! The policy is the repository's, that of the branch before the push, or that of the commits which a commit follows: none
//! loosens it for itself. A push cannot let its own signers in. Only a ledger that is new here, and of which the repository
//! asks no signatures, says itself who they are.

use std::collections::HashMap;

use super::super::engine::Checked;
use super::super::policies::Policies;
use super::super::signatures::{ALLOWED_SIGNERS, Signatures, Signers};
use super::super::signed;
use super::super::timeline::Step;
use super::Refusal;
use crate::error::Result;
use crate::ledger::layout::CONFIG;
use crate::ledger::{Gate, RawStore};

/// What is pushed.
pub(super) struct Commits<'c> {
    /// Where the branch is.
    pub start: Option<&'c Step>,
    /// The commits after it.
    pub checked: &'c Checked,
}

/// Why the commits are refused.
pub(super) fn judge(gate: &Gate, store: &RawStore, pushed: &Commits<'_>) -> Result<Vec<Refusal>> {
    let objects = store.open();
    let mut policies = Policies::new(&objects, store.id_bytes());
    let is_configured = gate.is_signing_configured()?;
    let mut refusals = pushed.broken_policies(&mut policies);
    // A policy that cannot be read may want it.
    let mut binds = |step: &Step| policies.requires_signatures(step.tree).unwrap_or(true);
    let always = is_configured || pushed.start.is_some_and(&mut binds);
    let commits = signed::commits(pushed.checked, pushed.start, &objects, &mut policies);
    let bound = commits.iter().filter(|commit| always || commit.is_due);
    let (signed, unsigned): (Vec<_>, Vec<_>) = bound.partition(|commit| commit.is_signed);
    refusals.extend(unsigned.into_iter().map(|commit| signed::missing(commit).into()));
    if signed.is_empty() {
        return Ok(refusals);
    }
    let trusted = pushed.start.or_else(|| pushed.checked.steps.last().filter(|_| !is_configured));
    let in_ledger = trusted.and_then(|step| policies.content(step.tree, ALLOWED_SIGNERS));
    let tools = gate.signing_tools();
    let signers = Signers::of(&tools, in_ledger);
    let against =
        signed::check(&mut Signatures::new(tools, signers, None), &objects, pushed.checked, &signed);
    refusals.extend(against.into_iter().map(|(_, finding)| Refusal::from(finding)));
    Ok(refusals)
}

impl Commits<'_> {
    /// Policies under which nobody could record any more.
    fn broken_policies(&self, policies: &mut Policies<'_>) -> Vec<Refusal> {
        let known = self.start.into_iter().chain(&self.checked.steps);
        let trees: HashMap<_, _> = known.map(|step| (step.id, step.tree)).collect();
        let refusal = |step: &Step| {
            let first = step.parents.first().and_then(|parent| trees.get(parent).copied());
            let why = policies.broken_by(step, first)?;
            let message = format!("nobody could record any more: {why}");
            let (commit, path) = (Some(step.id.to_string()), Some(CONFIG.to_owned()));
            Some(Refusal { commit, path, ..Refusal::new("policy", message) })
        };
        self.checked.steps.iter().filter_map(refusal).collect()
    }
}
